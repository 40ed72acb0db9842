"""One POST to a receiver that is not trusted: for every sink that speaks HTTP.

What it settles for all of them: whether the receiver can have read the message when something went wrong on the way, how much
of an answer is read and how long, that nothing of an answer is repeated that a log must not hold, and what a status means where
the receiver has no words of its own.
"""

import asyncio
import base64
import html
import json
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.plain_text import one_line
from notifier.outbound import BodyTooLarge, cause, read_capped, redirect_host, retry_after

READ_AT_MOST = 16 * 1024
"""Bytes of an answer, decompressed; one that is longer is neither parsed nor quoted."""

READ_FOR = 1.0
"""Seconds. The status has come already; the body's end frees the connection for the next message."""

QUOTED = 200
"""Characters of an answer that an error repeats."""

_SHORTEST_SECRET = 4
_SHORTEST_PATH_SECRET = 8
_SECRET_SHAPES = re.compile(
    r"xox[a-z]-[\w-]+|xapp-[\w-]+|hooks\.slack\.com/[\w/]+|whsec_[\w+/=]+|(?i:bearer|basic)\s+[\w.~+/=-]+"
    r"|\bv1,[\w+/=]{40,}|\b(?:[A-Z0-9]{20}|[A-Za-z0-9]{40})\b"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said.

    Attributes:
        status: The HTTP status.
        excerpt: The beginning of the body, one harmless line without secrets: to be shown, never to be parsed.
        retry_after: Seconds it asks us to wait, where it does.
        redirect: The host it points to, where it does.
        body: All of the body, as it came: to be parsed, never to be shown. None where it was not read to its end, since it was
            too long or too slow: what it says is then unknown, which is something else than that it says nothing.
    """

    status: int
    excerpt: str
    retry_after: float | None
    redirect: str | None
    body: str | None = field(default=None, repr=False)

    @property
    def words(self) -> str:
        """The answer in one line for a person."""
        target = f", redirects to {self.redirect}" if self.redirect else ""
        return f"HTTP {self.status}{target}" + (f": {self.excerpt}" if self.excerpt else "")

    @property
    def json(self) -> object:
        """The body as JSON; None where it was not read, or is none."""
        try:
            return json.loads(self.body or "")
        # RecursionError: an answer of nothing but brackets.
        except (ValueError, RecursionError):
            return None


_REJECTED: Mapping[int, tuple[DeliveryReason, Scope]] = {
    HTTPStatus.UNAUTHORIZED: (DeliveryReason.REFUSED, Scope.SINK),
    HTTPStatus.FORBIDDEN: (DeliveryReason.REFUSED, Scope.SINK),
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: (DeliveryReason.REFUSED, Scope.SINK),
    HTTPStatus.NOT_FOUND: (DeliveryReason.MISSING, Scope.SINK),
    HTTPStatus.METHOD_NOT_ALLOWED: (DeliveryReason.MISSING, Scope.SINK),
    HTTPStatus.GONE: (DeliveryReason.GONE, Scope.SINK),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (DeliveryReason.TOO_LARGE, Scope.EVENT),
}
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})


def failure(answer: Answer) -> DeliveryError | None:
    """What an answer means, by its status; None: the receiver has taken the message."""
    status, wait = answer.status, answer.retry_after
    match status // 100:
        case 2:
            return None
        case 3:
            return DeliveryError(Outcome.RETRY, DeliveryReason.REDIRECT, answer.words, scope=Scope.SINK)
        case 4 if status == HTTPStatus.TOO_MANY_REQUESTS:
            return DeliveryError(Outcome.RETRY, DeliveryReason.THROTTLED, answer.words, scope=Scope.SINK, retry_after=wait)
        case 4 if status not in _LATER:
            reason, scope = _REJECTED.get(status, (DeliveryReason.INVALID, Scope.EVENT))
            return DeliveryError(Outcome.REJECTED, reason, answer.words, scope=scope)
        case 4 | 5:
            overloaded = status == HTTPStatus.SERVICE_UNAVAILABLE and wait is not None
            scope = Scope.SINK if overloaded else Scope.EVENT
            return DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, answer.words, scope=scope, retry_after=wait)
    return DeliveryError(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, answer.words)


async def post(
    session: aiohttp.ClientSession,
    url: URL,
    body: bytes,
    headers: Mapping[str, str],
    *,
    mask: "Mask",
    tls: ssl.SSLContext | None = None,
    method: str = "POST",
) -> Answer:
    """Send ``body`` once, follow nothing, and give back the answer whatever its status.

    Raises:
        DeliveryError: There was no answer. ``retry`` where no byte of the body had gone to a connection, else ``uncertain``.
    """
    payload = _Body(body, content_type=headers["Content-Type"])
    try:
        async with session.request(
            method, url, data=payload, headers=headers, ssl=tls or True, allow_redirects=False
        ) as response:
            answer = await _body(response)
            return Answer(
                status=response.status,
                excerpt=mask(answer or "", QUOTED),
                retry_after=retry_after(response.headers, datetime.now(UTC)),
                redirect=mask(redirect_host(response) or "", QUOTED) or None,
                body=answer,
            )
    # OSError and ValueError: a host name that no resolver can be asked for leaves aiohttp as what it is.
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _failure(error, mask(cause(error), QUOTED), begun=payload.begun) from None


class Mask:
    """Hides secrets in what others wrote: these, in the forms in which a receiver may echo them, and whatever looks like one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= _SHORTEST_SECRET for form in _forms(secret)}
        self._known = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))) if forms else None

    def __call__(self, text: str, longest: int) -> str:
        """One line of at most ``longest`` characters, without a secret."""
        return one_line(self.hide(text), longest).strip()

    def hide(self, text: str) -> str:
        """All of the text, its lines as they are, without a secret."""
        if self._known:
            text = self._known.sub("***", text)
        return _SECRET_SHAPES.sub("***", text)


def secrets_of(url: URL) -> list[str]:
    """What of a URL may be secret: all behind the host, as a whole and in its parts."""
    parts = [part for part in (*url.parts, *url.query.values()) if len(part) >= _SHORTEST_PATH_SECRET]
    return [str(url), url.raw_path_qs, url.path_qs, url.raw_query_string, *parts]


def _forms(secret: str) -> Iterable[str]:
    yield secret
    yield quote(secret, safe="")
    yield html.escape(secret)
    yield json.dumps(secret)[1:-1]
    yield base64.b64encode(secret.encode()).decode()


class _Body(aiohttp.BytesPayload):
    """The bytes, and whether their writing has ``begun``: until then the receiver surely has nothing it could accept."""

    begun = False

    # typing.override needs Python 3.12.
    async def write_with_length(  # type: ignore[explicit-override]
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        self.begun = True
        await super().write_with_length(writer, content_length)


async def _body(response: aiohttp.ClientResponse) -> str | None:
    try:
        async with asyncio.timeout(READ_FOR):
            return (await read_capped(response, READ_AT_MOST)).decode("utf-8", "replace")
    except (TimeoutError, aiohttp.ClientError, BodyTooLarge):
        return None


def _failure(error: Exception, words: str, *, begun: bool) -> DeliveryError:
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch):
        reason = DeliveryReason.TLS
    elif isinstance(error, TimeoutError):
        reason = DeliveryReason.TIMEOUT
    elif isinstance(error, aiohttp.ClientResponseError) and not isinstance(error, aiohttp.ClientHttpProxyError):
        reason = DeliveryReason.UNREADABLE
    else:
        reason = DeliveryReason.NETWORK
    if begun:
        return DeliveryError(Outcome.UNCERTAIN, reason, words)
    return DeliveryError(Outcome.RETRY, reason, words, scope=Scope.SINK)
