"""Huawei Cloud CSS: asks ``upgrade/detail`` where the tasks of a cluster stand, and says why when it gets no answer.

An answer that brings nothing new is recognised by its bytes before it is parsed, so that an unchanged poll costs little more than
the bare request. Sources of facts: "D" Huawei's or Open Telekom Cloud's documentation, "C" published code that met the real API.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
from yarl import URL

from notifier.domain.errors import FetchError, FetchReason
from notifier.domain.model import Action, Cluster, Snapshot
from notifier.outbound import REDIRECTS, BodyTooLarge, cause, http_date, read_capped, redirect_host, retry_after
from notifier.sources.contract import Answer
from notifier.sources.credentials import Credentials, CredentialsError, Token
from notifier.sources.signing import Keys, Signer, parse_authorization
from notifier.sources.wire import MAX_TASKS, Drift, Page, UnreadableError, WireTask, drift, read_page, text, to_task

PAGE_LIMIT = 100
"""Tasks asked for at once. Huawei: 1 to 1000, 10 by default (D); one page spares a walk whose rules differ by region."""

MAX_PAGES = 100
MAX_WALKS = 4
"""A list that shifts while its pages are read is read again from the start, three times."""

WALK_TIME = 3
"""A walk through the pages may take so many times the deadline of one request."""

AK_LOCK = 300.0
"""Seconds. Huawei: more than five refusals in a row lock an access key for five minutes (D)."""

MAX_SKEW = 600.0
"""Seconds our clock may differ before that is named as a likely cause of a refusal; the gateway bears 15 minutes (D)."""

_MOST_TARGETS = 50_000
_MAX_COMPLAINT = 65536
_MAX_DETAIL = 300
_OFFSETS = ("offset", "start")
"""Where a page begins, from 1: the newer name and the older one (D)."""

_GONE = frozenset({"CSS.0015", "CSS.0022", "CSS.0047"})
"""Huawei: a cluster that is not there, or may not be seen, is 403 CSS.0015 (C); the others stand in the documentation."""

_INTERNAL = "CSS.0036"
_TOKEN_INVALID = "CSS.0045"  # noqa: S105 - an error code
_SUCH_AS_SECRETS = re.compile(
    r"""(?i:\b(?:authorization|x-auth-token|x-security-token|signature|secret\w*|password)["']?\s*[=:]\s*["']?\S+)"""
    r"""|(?i:\baccess=\S+|\bbearer\s+\S+)|\b[A-Z0-9]{20}\b|\b[A-Za-z0-9]{40}\b|[A-Za-z0-9+/_=-]{60,}"""
)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class HuaweiCss:
    """The API of one project, as a ``Source``.

    Args:
        session: From ``outbound.open_session``.
        endpoint: ``https://css.<region>.myhuaweicloud.com`` or what stands for it, see ``regions.endpoint_of``.
        project_id: Huawei's.
        credentials: Asked before every request.
        clock: Gives the aware time that requests are signed with.
        timeout: Seconds that one request may take, its body included.
        page_limit: Tasks asked for at once; None leaves it to the server.
        on_drift: Called with what an answer holds that is not known here, whenever there is any.

    Raises:
        ValueError: ``endpoint`` is no plain HTTP URL.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: str,
        project_id: str,
        credentials: Credentials,
        *,
        clock: Callable[[], datetime] = _utc_now,
        timeout: float = 10.0,
        page_limit: int | None = PAGE_LIMIT,
        on_drift: Callable[[frozenset[Drift]], None] | None = None,
    ) -> None:
        base = URL(endpoint)
        if base.scheme not in {"http", "https"} or not base.host or base.user or base.query_string:
            raise ValueError(
                "the endpoint must be an HTTP URL without user and query, such as https://css.cn-north-4.myhuaweicloud.com"
            )
        self._session = session
        self._clusters = f"{endpoint.rstrip('/')}/v1.0/{quote(project_id, safe='')}/clusters"
        self._headers = {"Content-Type": "application/json", "X-Project-Id": project_id}
        self._credentials = credentials
        self._clock = clock
        self._walk_time = timeout * WALK_TIME
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=timeout)
        self._limit = () if page_limit is None else (f"limit={page_limit}",)
        self._on_drift = on_drift
        self._signer: Signer | None = None
        self._targets: dict[tuple[str, Action], _Target] = {}

    async def fetch(self, cluster: Cluster, action: Action, last: bytes | None = None) -> Answer:
        """Ask once where the tasks of a cluster stand, following the pages; see ``Source.fetch``.

        Raises:
            FetchError: There is no answer, or none that can be believed.
        """
        target = self._targets.get((cluster.id, action)) or self._new_target(cluster.id, action)
        body = await self._get(target.url)
        if last is not None and body == last and target.whole == hash(last):
            return Answer(body, None)
        page = self._read(body)
        found = {str(item.id): item for item in page.items}
        if (page.total_size or 0) <= len(found):
            target.whole = hash(body)
            return Answer(body, _snapshot(cluster, action, found))
        try:
            async with asyncio.timeout(self._walk_time):
                return await self._walk(target.url, cluster, action, body, page)
        except TimeoutError:
            raise FetchError(FetchReason.TIMEOUT, f"the pages of the list took longer than {self._walk_time:g} s") from None

    def _new_target(self, cluster_id: str, action: Action) -> "_Target":
        if len(self._targets) >= _MOST_TARGETS:
            self._targets.clear()
        # Upgrades are asked for without action_mode, which every generation of the API understands (C).
        query = [f"action_mode={action}"] if action is not Action.UPGRADING else []
        query.extend(self._limit)
        path = f"{self._clusters}/{quote(cluster_id, safe='')}/upgrade/detail"
        target = self._targets[cluster_id, action] = _Target(
            URL("?".join([path, "&".join(query)] if query else [path]), encoded=True)
        )
        return target

    async def _walk(self, url: URL, cluster: Cluster, action: Action, body: bytes, page: Page) -> Answer:
        """Follow the pages from the first one on; from the start again where the list shifted meanwhile."""
        seen: dict[str, WireTask] = {}
        every: list[bytes] = []
        for attempt in range(MAX_WALKS):
            if attempt:
                body = await self._get(url)
                page = self._read(body)
            pages = [body]
            found, shifted = await self._rest(url, page, pages)
            seen |= found
            every += pages
            if not shifted:
                snapshot = _snapshot(cluster, action, found, partial=len(found) < (page.total_size or 0))
                return Answer(body, snapshot, tuple(pages))
        return Answer(body, _snapshot(cluster, action, seen, partial=True), tuple(every))

    async def _rest(self, url: URL, first: Page, pages: list[bytes]) -> tuple[dict[str, WireTask], bool]:
        """The tasks of the first page and of those behind it, and whether the list shifted so that they do not fit together."""
        found = {str(item.id): item for item in first.items}
        total = first.total_size or 0
        names = iter(_OFFSETS)
        name = next(names)
        for _ in range(MAX_PAGES):
            if len(found) >= min(total, MAX_TASKS):
                break
            pages.append(await self._get(url.update_query({name: len(found) + 1})))
            page = self._read(pages[-1])
            if page.total_size is not None and page.total_size != total:
                return found, True
            fresh = {str(item.id): item for item in page.items if str(item.id) not in found}
            found |= fresh
            if not fresh:
                following = next(names, None)
                if following is None:
                    break
                name = following
        return found, False

    def _read(self, body: bytes) -> Page:
        try:
            page = read_page(body)
        except UnreadableError as error:
            raise FetchError(FetchReason.UNREADABLE, f"HTTP 200, but {error}") from None
        if self._on_drift is not None and (news := drift(page)):
            self._on_drift(news)
        return page

    async def _get(self, url: URL) -> bytes:
        """The body of a good answer."""
        now = self._clock()
        try:
            headers = self._sign(url, now, await self._credentials.keys(now))
            async with self._session.get(url, headers=headers, allow_redirects=False, timeout=self._timeout) as response:
                if response.status == HTTPStatus.OK:
                    return await read_capped(response)
                raise await _refusal(response, headers, now)
        except CredentialsError as error:
            raise FetchError(FetchReason.REFUSED, text(str(error), _MAX_DETAIL)) from None
        except TimeoutError:
            raise FetchError(FetchReason.TIMEOUT, f"no complete answer within {self._timeout.total:g} s") from None
        except BodyTooLarge as error:
            raise FetchError(FetchReason.UNREADABLE, str(error)) from None
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
            reason = FetchReason.NETWORK if isinstance(error, aiohttp.ClientHttpProxyError) else FetchReason.UNREADABLE
            raise FetchError(reason, cause(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise FetchError(FetchReason.NETWORK, text(cause(error), _MAX_DETAIL)) from None
        except ValueError:
            told = (
                "the keys, the token or the project id hold a character that no HTTP header can carry; a line break at the end?"
            )
            raise FetchError(FetchReason.REFUSED, told) from None

    def _sign(self, url: URL, now: datetime, keys: Keys | Token) -> dict[str, str]:
        if isinstance(keys, Token):
            return {**self._headers, "X-Auth-Token": keys.value}
        if self._signer is None or keys is not self._signer.keys:
            self._signer = Signer(keys)
        return self._signer.headers("GET", url, now, self._headers)


class _Target:
    """Where one list of a cluster is asked for, and the hash of the last body that held all of it (None: none did)."""

    __slots__ = ("url", "whole")

    def __init__(self, url: URL) -> None:
        self.url = url
        self.whole: int | None = None


def _snapshot(cluster: Cluster, action: Action, found: Mapping[str, WireTask], *, partial: bool = False) -> Snapshot:
    return Snapshot(cluster, action, tuple(to_task(item) for item in found.values()), partial=partial)


async def _refusal(response: aiohttp.ClientResponse, sent: Mapping[str, str], now: datetime) -> FetchError:
    """What an answer other than 200 means."""
    try:
        body = await read_capped(response, _MAX_COMPLAINT)
    except (BodyTooLarge, aiohttp.ClientPayloadError):
        body = b""
    if response.status in REDIRECTS:
        host = text(redirect_host(response)) or "nowhere"
        return FetchError(FetchReason.UNREADABLE, f"HTTP {response.status} redirects to {host}; redirects are not followed")
    code, message = _complaint(body)
    reason = _reason(response.status, code)
    detail = " ".join(filter(None, (f"HTTP {response.status}", code))) + (f": {message}" if message else "")
    if reason is FetchReason.REFUSED:
        detail = _skew(response.headers, now) + detail
    wait = retry_after(response.headers, now)
    if wait is None and reason is FetchReason.REFUSED and "reach the limit" in message:
        wait = AK_LOCK
    return FetchError(reason, text(_redact(detail, sent), _MAX_DETAIL), retry_after=wait)


def _reason(status: int, code: str) -> FetchReason:
    """The kind of failure, by status and error code."""
    gateway = code.startswith(("APIG.", "APIGW."))
    throttled = gateway and code.endswith(".0308")
    rules = (
        (FetchReason.THROTTLED, status == HTTPStatus.TOO_MANY_REQUESTS or throttled),
        (FetchReason.REFUSED, status == HTTPStatus.UNAUTHORIZED or code == _TOKEN_INVALID),
        (FetchReason.NETWORK, status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED),
        (FetchReason.GONE, code in _GONE or (status == HTTPStatus.NOT_FOUND and not gateway)),
        (FetchReason.REFUSED, status == HTTPStatus.FORBIDDEN and not code.startswith("CSS.")),
        (FetchReason.SERVER, status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT),
        (FetchReason.SERVER, code == _INTERNAL),
        (FetchReason.REJECTED, status >= HTTPStatus.BAD_REQUEST),
    )
    return next((reason for reason, holds in rules if holds), FetchReason.UNREADABLE)


def _complaint(body: bytes) -> tuple[str, str]:
    """Error code and message: CSS's own shape (C), the gateway's (D), IAM's nested one; empty where there is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return "", "a page of HTML" if body.lstrip()[:1] == b"<" else ""
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        found = found["error"]
    if not isinstance(found, dict):
        return "", ""
    shapes = (("errCode", "externalMessage"), ("error_code", "error_msg"), ("code", "message"))
    code, message = next(((found[c], found.get(m)) for c, m in shapes if isinstance(found.get(c), str)), ("", ""))
    told = message if isinstance(message, str) else ""
    return text(code, 32), told.removeprefix(code).lstrip(" :")[:2000]


def _skew(headers: Mapping[str, str], now: datetime) -> str:
    """A word on our clock, where it is so far off that it may be what is refused; else nothing."""
    theirs = http_date(headers.get("Date", ""))
    ahead = (now - theirs).total_seconds() if theirs else 0.0
    if abs(ahead) <= MAX_SKEW:
        return ""
    return f"our clock is {abs(ahead) / 60:.0f} min {'ahead of' if ahead > 0 else 'behind'} the API's, set it right; "


def _redact(detail: str, sent: Mapping[str, str]) -> str:
    """The text without what we sent to prove who we are, and without anything of a secret's shape."""
    signed = parse_authorization(sent.get("Authorization", ""))
    for value in (sent.get("Authorization"), sent.get("X-Auth-Token"), sent.get("X-Security-Token"), signed and signed[0]):
        if value:
            detail = detail.replace(value, "***")
    return _SUCH_AS_SECRETS.sub("***", detail)
