"""The door to Huawei Cloud CSS that every request goes through: signed, asked once, and what a refusal means.

Sources of facts: "D" Huawei's or Open Telekom Cloud's documentation, "C" published code that met the real API.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import quote

import aiohttp
from yarl import URL

from notifier.domain.errors import FetchError, FetchReason
from notifier.outbound import REDIRECTS, BodyTooLarge, cause, http_date, read_capped, redirect_host, retry_after
from notifier.sources.credentials import Credentials, CredentialsError, Token
from notifier.sources.signing import Keys, Signer, parse_authorization
from notifier.sources.wire import text

AK_LOCK = 300.0
"""Seconds. Huawei: more than five refusals in a row lock an access key for five minutes (D)."""

MAX_SKEW = 600.0
"""Seconds our clock may differ before that is named as a likely cause of a refusal; the gateway bears 15 minutes (D)."""

REQUEST_ID = "X-Request-Id"
"""The gateway's name for a request, in every answer of it: Huawei's support asks for it (D)."""

_MAX_COMPLAINT = 65536
_MAX_DETAIL = 300
_LONGEST_ID = 80

_GONE = frozenset({"CSS.0015", "CSS.0022", "CSS.0047"})
"""Huawei: a cluster that is not there, or may not be seen, is 403 CSS.0015 (C); the others stand in the documentation."""

_INTERNAL = "CSS.0036"
_TOKEN_INVALID = "CSS.0045"  # noqa: S105 - an error code
_SUCH_AS_SECRETS = re.compile(
    r"""(?i:\b(?:authorization|x-auth-token|x-security-token|signature|secret\w*|password)["']?\s*[=:]\s*["']?\S+)"""
    r"""|(?i:\baccess=\S+|\bbearer\s+\S+)|\b[A-Z0-9]{20}\b|\b[A-Za-z0-9]{40}\b|[A-Za-z0-9+/_=-]{60,}"""
)


def utc_now() -> datetime:
    """The clock that requests are signed by."""
    return datetime.now(UTC)


class Reply(NamedTuple):
    """A good answer: its body, and what the gateway called the request, None where it did not say."""

    body: bytes
    request_id: str | None


class HuaweiDoor:
    """The API of one project, for all that ask it.

    Args:
        session: From ``outbound.open_session``.
        endpoint: ``https://css.<region>.myhuaweicloud.com`` or what stands for it, see ``regions.endpoint_of``.
        project_id: Huawei's.
        credentials: Asked before every request.
        clock: Gives the aware time that requests are signed with.
        timeout: Seconds that one request may take, its body included.

    Attributes:
        clusters: The address of the project's clusters.
        project_id: As given.
        timeout: As given.

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
        clock: Callable[[], datetime] = utc_now,
        timeout: float = 10.0,
    ) -> None:
        base = URL(endpoint)
        if base.scheme not in {"http", "https"} or not base.host or base.user or base.query_string:
            raise ValueError(
                "the endpoint must be an HTTP URL without user and query, such as https://css.cn-north-4.myhuaweicloud.com"
            )
        self.project_id, self.timeout = project_id, timeout
        self._session = session
        self.clusters = f"{endpoint.rstrip('/')}/v1.0/{quote(project_id, safe='')}/clusters"
        self._headers = {"Content-Type": "application/json", "X-Project-Id": project_id}
        self._credentials = credentials
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=timeout)
        self._signer: Signer | None = None

    async def get(self, url: URL, forbidden: FetchReason = FetchReason.REFUSED) -> Reply:
        """A good answer.

        Args:
            url: Below the endpoint.
            forbidden: What a 403 of the gateway or of IAM means: that the keys are no good, or that they lack this permission.

        Raises:
            FetchError: There is none.
        """
        now = self._clock()
        try:
            headers = self._sign(url, now, await self._credentials.keys(now))
            response = await self._session.get(url, headers=headers, allow_redirects=False, timeout=self._timeout)
            try:
                if response.status == HTTPStatus.OK:
                    name = response.headers.get(REQUEST_ID)
                    return Reply(await read_capped(response), name and text(name, _LONGEST_ID))
                raise await _refusal(response, headers, now, forbidden)
            finally:
                response.release()
        except CredentialsError as error:
            raise FetchError(FetchReason.REFUSED, text(str(error), _MAX_DETAIL)) from None
        except TimeoutError:
            raise FetchError(FetchReason.TIMEOUT, f"no complete answer within {self.timeout:g} s") from None
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
            self._signer = Signer(keys, self._headers)
        return self._signer.headers("GET", url, now)


async def _refusal(
    response: aiohttp.ClientResponse, sent: Mapping[str, str], now: datetime, forbidden: FetchReason
) -> FetchError:
    """What an answer other than 200 means."""
    try:
        body = await read_capped(response, _MAX_COMPLAINT)
    except (BodyTooLarge, aiohttp.ClientPayloadError):
        body = b""
    if response.status in REDIRECTS:
        host = text(redirect_host(response)) or "nowhere"
        return FetchError(FetchReason.UNREADABLE, f"HTTP {response.status} redirects to {host}; redirects are not followed")
    code, message = _complaint(body)
    reason = _reason(response.status, code, forbidden)
    detail = " ".join(filter(None, (f"HTTP {response.status}", code))) + (f": {message}" if message else "")
    if reason is FetchReason.REFUSED:
        detail = _skew(response.headers, now) + detail
    wait = retry_after(response.headers, now)
    if wait is None and reason is FetchReason.REFUSED and "reach the limit" in message:
        wait = AK_LOCK
    return FetchError(reason, text(_redact(detail, sent), _MAX_DETAIL), retry_after=wait)


def _reason(status: int, code: str, forbidden: FetchReason) -> FetchReason:
    """The kind of failure, by status and error code."""
    gateway = code.startswith(("APIG.", "APIGW."))
    throttled = gateway and code.endswith(".0308")
    rules = (
        (FetchReason.THROTTLED, status == HTTPStatus.TOO_MANY_REQUESTS or throttled),
        (FetchReason.REFUSED, status == HTTPStatus.UNAUTHORIZED or code == _TOKEN_INVALID),
        (FetchReason.NETWORK, status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED),
        (FetchReason.GONE, code in _GONE or (status == HTTPStatus.NOT_FOUND and not gateway)),
        (forbidden, status == HTTPStatus.FORBIDDEN and not code.startswith("CSS.")),
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
