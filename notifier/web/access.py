"""Who may see and do what.

With a token, everything but the probes needs it: as ``Bearer`` for programs, as the password of HTTP Basic for browsers. Without
one the program listens on loopback only, and what threatens it is a browser on the same machine: a foreign page that posts
(CSRF) or a foreign name that resolves to loopback (DNS rebinding).
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping

from aiohttp import web

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


class Access:
    """Judges requests.

    Args:
        token: What to ask for; None to trust whoever reaches loopback.

    Raises:
        ValueError: The token is empty, so that anybody would have it.
    """

    def __init__(self, token: str | None) -> None:
        if token == "":
            raise ValueError("http.token is empty: set one, or leave the key out to listen on loopback only.")
        self._token = None if token is None else token.encode()

    def check(self, request: web.Request) -> None:
        """Let a request pass.

        Raises:
            web.HTTPUnauthorized: The token is missing or wrong.
            web.HTTPForbidden: It comes from a foreign page, or under a foreign name.
        """
        if request.path in OPEN:
            return
        if not self.knows(request):
            if self._token is None:
                raise web.HTTPForbidden(text="Without a token this is answered under localhost, 127.0.0.1 and [::1] only.")
            refusal = web.HTTPUnauthorized(text="A token is needed: as a bearer token, or as the password with any user name.")
            refusal.headers.add("WWW-Authenticate", 'Basic realm="notifier", charset="UTF-8"')
            refusal.headers.add("WWW-Authenticate", 'Bearer realm="notifier"')
            raise refusal
        # A browser adds a remembered password to a foreign page's request too, so a token does not make this needless.
        if request.method not in SAFE and not _is_same_origin(request):
            raise web.HTTPForbidden(text="Another site's page asked for this.")

    def knows(self, request: web.Request) -> bool:
        """Whether whoever asks may see names and details."""
        if self._token is None:
            return _LOOPBACK.fullmatch(request.headers.get("Host", "")) is not None
        return any(hmac.compare_digest(self._token, offered) for offered in _offered(request))


def _is_same_origin(request: web.Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in _OURS
    origin = request.headers.get("Origin")
    # Browsers older than Sec-Fetch-Site send Origin; programs send neither.
    return origin is None or origin.partition("://")[2] == request.headers.get("Host")


def _offered(request: web.Request) -> list[bytes]:
    """The token that a request offers, if any, byte for byte as it came: ``compare_digest`` refuses text that is no ASCII."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return [value.encode("utf-8", "surrogateescape")]
    if scheme.lower() == "basic":
        try:
            return [base64.b64decode(value, validate=True).partition(b":")[2]]
        except (binascii.Error, ValueError):
            return []
    return []
