"""Who may see and do what.

With a token, everything but the probes needs it: as ``Bearer`` for programs, as the password of HTTP Basic for browsers; a second
one may be given that reads and changes nothing. Without one the program listens on loopback only, and what threatens it is a
browser on the same machine: a foreign page that posts (CSRF) or a foreign name that resolves to loopback (DNS rebinding).
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from enum import IntEnum
from hashlib import sha256

from aiohttp import web

from notifier.web.guesses import Guesses

OPEN = frozenset({"/healthz", "/readyz"})
"""Probes know no token; what they are told is fit for anybody."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_OURS = frozenset({"same-origin", "none"})
"""https://www.w3.org/TR/fetch-metadata/: sent by the browser, out of reach of scripts; ``none`` is the person at the keyboard."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "notifier",
}


class Role(IntEnum):
    """What somebody may do; each may all that the ones before it may."""

    STRANGER = 0
    READ = 1
    OPERATE = 2


class Access:
    """Judges requests.

    Args:
        token: Who has it may do everything; None to trust whoever reaches loopback.
        read_token: Who has it may read.

    Raises:
        ValueError: A token is empty, so that anybody would have it, or there is a read token only.
    """

    def __init__(self, token: str | None, read_token: str | None = None) -> None:
        if "" in {token, read_token}:
            raise ValueError("http.token is empty: set one, or leave the key out to listen on loopback only.")
        if token is None and read_token is not None:
            raise ValueError("http.read_token goes with http.token: without that, nobody is asked for one.")
        roles = {Role.OPERATE: token, Role.READ: read_token}
        # Digests are of one length, so that a comparison says nothing of a token's.
        self._digests = {role: sha256(secret.encode()).digest() for role, secret in roles.items() if secret is not None}
        self._guesses = Guesses()

    def check(self, request: web.Request) -> Role:
        """Let a request pass: what whoever asks may do.

        Raises:
            web.HTTPUnauthorized: The token is missing or wrong.
            web.HTTPTooManyRequests: Too many wrong tokens came from there.
            web.HTTPForbidden: It comes from a foreign page, or under a foreign name, or the token may not do that.
        """
        if request.path in OPEN:
            return Role.STRANGER
        role = self.role(request)
        if role is Role.STRANGER:
            if not self._digests:
                raise web.HTTPForbidden(text="Without a token this is answered under localhost, 127.0.0.1 and [::1] only.")
            refusal = web.HTTPUnauthorized(text="A token is needed: as a bearer token, or as the password with any user name.")
            refusal.headers.add("WWW-Authenticate", 'Basic realm="notifier", charset="UTF-8"')
            refusal.headers.add("WWW-Authenticate", 'Bearer realm="notifier"')
            raise refusal
        if request.method in SAFE:
            return role
        # A browser adds a remembered password to a foreign page's request too, so a token does not make this needless.
        if not _is_same_origin(request):
            raise web.HTTPForbidden(text="Another site's page asked for this.")
        if role is not Role.OPERATE:
            raise web.HTTPForbidden(text="This token may read and change nothing.")
        return role

    def role(self, request: web.Request) -> Role:
        """What whoever asks may do.

        Raises:
            web.HTTPTooManyRequests: So many wrong tokens came from there that this one is not looked at.
        """
        if not self._digests:
            return Role.OPERATE if _LOOPBACK.fullmatch(request.headers.get("Host", "")) else Role.STRANGER
        offered = _offered(request)
        if offered is None:
            return Role.STRANGER
        digest, address = sha256(offered).digest(), request.remote or ""
        if wait := self._guesses.wait(address, digest):
            raise web.HTTPTooManyRequests(
                text="Too many wrong tokens came from this address.", headers={"Retry-After": str(wait)}
            )
        role = max((role for role, right in self._digests.items() if hmac.compare_digest(right, digest)), default=Role.STRANGER)
        self._guesses.note(address, digest, right=role is not Role.STRANGER)
        return role


def _is_same_origin(request: web.Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in _OURS
    origin = request.headers.get("Origin")
    # Browsers older than Sec-Fetch-Site send Origin; programs send neither.
    return origin is None or origin.partition("://")[2] == request.headers.get("Host")


def _offered(request: web.Request) -> bytes | None:
    """The token that a request offers, if any, byte for byte as it came: it need not be text."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, value = header.partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return value.encode("utf-8", "surrogateescape") if scheme.lower() == "bearer" else b""
