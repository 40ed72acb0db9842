"""The one way out: every HTTP request of the program, to the API or to a sink, leaves through a session opened here.

A session opened here has a total deadline, verifies TLS, keeps no cookies, never follows a redirect (whatever the caller says),
looks at each address before it dials it, and goes through the proxies that the environment names.

Proxies are read here and not left to aiohttp's ``trust_env``: that reads the environment and ``~/.netrc`` in two threads for
every single request (four times the cost of a poll), and an entry of ``.netrc`` for the API's host collides with a signature.
"""

import errno
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.request import getproxies_environment

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from notifier import __version__

MAX_BODY = 4 * 1024 * 1024
MAX_RETRY_AFTER = 3600.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
KEEP_ALIVE = 75.0
"""Seconds; longer than the usual interval of polls, because a new TLS connection costs as much as eleven polls."""

METADATA = frozenset(
    ip_address(address)
    for address in (
        "169.254.169.254",  # Huawei, AWS, Azure, Google …
        "169.254.170.2",  # AWS ECS tasks
        "fd00:ec2::254",  # AWS over IPv6
        "168.63.129.16",  # Azure's host agent
        "100.100.100.200",  # Alibaba
    )
)
"""Where clouds hand out credentials to whoever asks: nothing a configuration names has any business there."""

_NAT64 = ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ip_network("::/96")
_SECONDS = re.compile(r"[+-]?\d{1,12}(\.\d{1,9})?")

Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address
_SockAddress = tuple[str | int | bytes, ...]
_AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, _SockAddress]


class AddressRefused(OSError):
    """An address that may not be dialled, whatever name led to it. ``address`` is the address, ``why`` the rule it breaks.

    aiohttp hands it on as the ``os_error`` of a ``ClientConnectorError``.
    """

    def __init__(self, address: str, why: str) -> None:
        super().__init__(errno.EACCES, f"address {address} is refused: {why}")
        self.address = address
        self.why = why


class BodyTooLarge(Exception):
    """An answer whose decompressed body exceeds ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the answer is larger than {limit} bytes")
        self.limit = limit


class ProxyUnusable(ValueError):
    """The environment names a proxy that is not an HTTP one."""


def open_session(
    *,
    total: float = 10.0,
    connect: float = 5.0,
    connections: int = 200,
    deny: Sequence[Network] = (),
    allow_metadata: bool = False,
) -> aiohttp.ClientSession:
    """Open a session; the caller closes it. Needs a running event loop.

    Through a proxy the guard sees the proxy's address and IP literals, not what the proxy makes of a name.

    Args:
        total: Seconds a request may take from the first byte to the last, whatever drips in between.
        connect: Seconds until an address must answer.
        connections: At most so many at once; more requests wait.
        deny: Further ranges that may not be dialled.
        allow_metadata: Only for asking the cloud's own metadata service for credentials: also takes no proxy.

    Raises:
        ProxyUnusable: The environment names a proxy that is not an HTTP one.
    """
    guard = _Guard(tuple(deny), frozenset() if allow_metadata else METADATA)
    proxies = {} if allow_metadata else _proxies()
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections, ttl_dns_cache=60, keepalive_timeout=KEEP_ALIVE, socket_factory=guard.open_socket
        ),
        timeout=aiohttp.ClientTimeout(total=total, sock_connect=connect),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"css-upgrade-notifier/{__version__}"},
        response_class=_Unfollowed,
        middlewares=(_by_proxy(proxies, guard),) if proxies else (),
    )


async def read_capped(response: aiohttp.ClientResponse, limit: int = MAX_BODY) -> bytes:
    """The decompressed body, at most ``limit`` bytes of it ever held; a longer one costs the connection.

    Raises:
        BodyTooLarge: It is longer.
    """
    content = response.content
    if not content.is_eof() and (response.content_length or 0) > limit:
        response.close()
        raise BodyTooLarge(limit)
    chunks: list[bytes] = []
    held = 0
    while not content.at_eof():
        chunks.append(await content.readany())
        held += len(chunks[-1])
        if held > limit:
            response.close()
            raise BodyTooLarge(limit)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that ``Retry-After`` asks us to wait, given as a number or a date: 0 to an hour; None if it says nothing usable."""
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        seconds = float(value)
    elif (date := http_date(value)) is not None:
        # By the clock of whoever named the date, where it says what that shows.
        seconds = (date - (http_date(headers.get("Date", "")) or now)).total_seconds()
    else:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def http_date(value: str) -> datetime | None:
    """A date as HTTP headers give it (``Date``, ``Retry-After``), in UTC; None if it is none."""
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date


def redirect_host(response: aiohttp.ClientResponse) -> str | None:
    """The host that a redirect we did not follow points to. ``response.headers`` has no ``Location``: see `open_session`."""
    location = next((value for name, value in response.raw_headers if name.lower() == b"location"), b"")
    try:
        return response.url.join(URL(location.decode("ascii"))).host if location else None
    except ValueError:
        return None


def cause(error: BaseException) -> str:
    """What went wrong on the way, in a few words for a person: no URL, no header, nothing secret."""
    words = next((words for kind, words in _CAUSES if isinstance(error, kind)), None)
    return words(error) if words else type(error).__name__


def _words(error: OSError) -> str:
    """An ``OSError`` without the address tuples that asyncio puts into its text."""
    if isinstance(error, AddressRefused) or not error.errno:
        return error.strerror or str(error) or type(error).__name__
    multiple = "refused: " in (error.strerror or "")  # several addresses, ours among the refusals: the text names it
    return str(error.strerror) if multiple else os.strerror(error.errno).lower()


def _certificate(error: aiohttp.ClientConnectorCertificateError) -> str:
    verdict = getattr(error.certificate_error, "verify_message", None) or type(error.certificate_error).__name__
    return f"the certificate of {error.host} is not trusted: {verdict}"


_CAUSES: tuple[tuple[type[BaseException], Callable[[Any], str]], ...] = (
    (TimeoutError, lambda _: "no complete answer in time"),
    (aiohttp.ClientConnectorCertificateError, _certificate),
    (aiohttp.ClientConnectorSSLError, lambda e: f"no TLS connection to {e.host}: {getattr(e.os_error, 'reason', 'refused')}"),
    (aiohttp.ClientConnectorDNSError, lambda e: f"host {e.host} cannot be resolved"),
    (aiohttp.ClientHttpProxyError, lambda e: f"the proxy does not let us through: HTTP {e.status}"),
    (aiohttp.ClientProxyConnectionError, lambda e: f"no connection to the proxy: {_words(e.os_error)}"),
    (aiohttp.ClientConnectorError, lambda e: f"no connection to {e.host}:{e.port}: {_words(e.os_error)}"),
    (aiohttp.ServerDisconnectedError, lambda _: "the connection was closed before an answer came"),
    (aiohttp.ClientPayloadError, lambda _: "the answer broke off"),
    (aiohttp.ClientResponseError, lambda _: "the answer is no HTTP"),
    (aiohttp.InvalidURL, lambda _: "the address is no URL"),
    (OSError, _words),
)
"""The most particular first."""


class _Unfollowed(aiohttp.ClientResponse):
    """A response whose redirect nobody can follow, also not a library that was lent the session and forgot to say so.

    aiohttp follows a redirect that names a target and would carry ``X-Auth-Token`` to another host; without the target it
    returns the response as it is.
    """

    # typing.override needs Python 3.12.
    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:  # type: ignore[explicit-override]
        await super().start(connection)
        if self.status in REDIRECTS:
            kept = CIMultiDict((name, value) for name, value in self.headers.items() if name.lower() not in {"location", "uri"})
            self._headers = CIMultiDictProxy(kept)
            self._cache.clear()
        return self


class _Guard:
    """Judges the addresses that are really dialled: a name, a literal and a rebinding resolver all end here."""

    def __init__(self, deny: tuple[Network, ...], metadata: frozenset[_Address]) -> None:
        self._deny = deny
        self._metadata = metadata

    def open_socket(self, info: _AddrInfo) -> socket.socket:
        """The socket to dial ``info`` with.

        Raises:
            AddressRefused: It may not be dialled.
        """
        family, kind, protocol, _, address = info
        self.check(str(address[0]))
        return socket.socket(family, kind, protocol)

    def check(self, address: str) -> None:
        """Raise `AddressRefused` unless the IP address may be dialled."""
        for form in _forms(ip_address(address.partition("%")[0])):
            if form in self._metadata:
                raise AddressRefused(address, "it is a cloud's metadata service")
            for network in self._deny:
                if form.version == network.version and form in network:
                    raise AddressRefused(address, f"{network} is denied")


def is_metadata(host: str) -> bool:
    """Whether a host is written as the address of a cloud's metadata service, in any of the forms that lead there."""
    try:
        return bool(METADATA.intersection(_forms(ip_address(host))))
    except ValueError:
        pass
    try:  # Resolvers take 2852039166 and 0xa9.0xfe.43518 for addresses.
        return IPv4Address(socket.inet_aton(host)) in METADATA
    except (OSError, ValueError):
        return False


def _forms(address: _Address) -> tuple[_Address, ...]:
    """The address itself, and the IPv4 one that it carries where it is a mapped, translated or tunnelled one."""
    if isinstance(address, IPv4Address):
        return (address,)
    carried = address.ipv4_mapped or address.sixtofour
    if carried is None and (address in _NAT64 or address in _IPV4_COMPATIBLE):
        carried = IPv4Address(address.packed[-4:])
    return (address,) if carried is None else (address, carried)


def _proxies() -> dict[str, str]:
    """The proxies by scheme and the exceptions under ``no``, as the environment names them; empty without proxies."""
    found = getproxies_environment()
    proxies = {scheme: found[scheme] for scheme in ("http", "https") if scheme in found}
    for scheme, value in proxies.items():
        kind, separator, _ = value.partition("://")
        if not separator:
            proxies[scheme] = f"http://{value}"
        elif kind.lower() not in {"http", "https"}:
            raise ProxyUnusable(f"{scheme.upper()}_PROXY names a {kind} proxy; only HTTP proxies can be used")
    return proxies | {"no": found.get("no", "")} if proxies else {}


def _direct(host: str, port: int | None, exceptions: str) -> bool:
    """Whether ``NO_PROXY`` excepts a host: ``*``, a name and all below, ``name:port``, an address, a range. Loopback always."""
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address and address.is_loopback):
        return True
    for exception in exceptions.lower().replace(",", " ").split():
        name = exception.removesuffix(f":{port}").lstrip("*").lstrip(".")
        if not name or host == name or host.endswith(f".{name}") or (address and _holds(name, address)):
            return True
    return False


def _holds(name: str, address: _Address) -> bool:
    try:
        return address in ip_network(name, strict=False)
    except ValueError:
        return False


def _by_proxy(proxies: dict[str, str], guard: _Guard) -> aiohttp.ClientMiddlewareType:
    """A middleware that sends each request through the proxy of its scheme, unless ``NO_PROXY`` excepts its host."""
    route = lru_cache(maxsize=1024)(_router(proxies, guard))

    async def send(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        found = route(request.url.scheme, request.url.host or "", request.url.port)
        if found is not None:
            proxy, authorization = found
            tunnel = request.url.scheme == "https"
            request.update_proxy(proxy, None, {"Proxy-Authorization": authorization} if tunnel and authorization else None)
            if authorization and not tunnel:
                request.headers["Proxy-Authorization"] = authorization
        return await handler(request)

    return send


def _router(proxies: dict[str, str], guard: _Guard) -> Callable[[str, str, int | None], tuple[URL, str | None] | None]:
    def route(scheme: str, host: str, port: int | None) -> tuple[URL, str | None] | None:
        """The proxy, and its ``Proxy-Authorization`` apart from it, so that no error shows a password."""
        if scheme not in proxies or _direct(host.lower(), port, proxies["no"]):
            return None
        with suppress(ValueError):
            guard.check(host)
        proxy = URL(proxies[scheme])
        authorization = aiohttp.encode_basic_auth(proxy.user, proxy.password or "") if proxy.user else None
        return proxy.with_user(None), authorization

    return route
