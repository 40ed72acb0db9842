"""How the simulated API misbehaves: what is served instead of a good answer, how often, in which order.

Every kind was seen in the field or must be expected there; none of them may be read as "no tasks" or "the task is over".
The marks (D), (C) and (I) are explained in ``upgrades``.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

from aiohttp import web

from notifier.sources.gateway import RefusedError, gateway_error, service_error


class Fault(StrEnum):
    """A way to misbehave."""

    UNAUTHORIZED = "unauthorized"
    """401 ``APIGW.0301``, though the keys are right."""
    GONE = "gone"
    """403 ``CSS.0015``, though the cluster is there."""
    THROTTLED = "throttled"
    """429 ``APIGW.0308`` with ``Retry-After``."""
    SERVER_ERROR = "server-error"
    """500 with a page of HTML (C)."""
    BAD_GATEWAY = "bad-gateway"
    """502."""
    GATEWAY_TIMEOUT = "gateway-timeout"
    """504."""
    HTML = "html"
    """200 with a page of HTML, as a captive portal serves it."""
    EMPTY = "empty"
    """200 with nothing in it."""
    REDIRECT = "redirect"
    """302 to a page for logging in."""
    SLOW = "slow"
    """The good answer, after `Faults.slow_for` seconds."""
    DRIP = "drip"
    """The good answer, in small pieces over `Faults.slow_for` seconds."""
    RESET = "reset"
    """The connection is reset before an answer."""
    TRUNCATED = "truncated"
    """Half of the JSON, as if it were all."""
    CUT = "cut"
    """The connection is closed in the middle of the answer."""
    STALE = "stale"
    """What was true `Faults.stale_by` scenario seconds ago."""
    SHRUNK = "shrunk"
    """``completedNodes`` lacks its last node."""


EVEN_MIX: Mapping[Fault, float] = dict.fromkeys(Fault, 1.0)


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, and when. Only reading is disturbed, not the operations.

    Attributes:
        rate: The share of requests that are answered badly, 0 to 1, once the script is over.
        mix: How often each kind, relative to the others.
        script: What happens to the first requests, one after the other; None is a good answer.
        seed: Of the drawing of lots.
        retry_after: Seconds asked for by a 429.
        slow_for: Real seconds.
        stale_by: Scenario seconds.
    """

    rate: float = 0.0
    mix: Mapping[Fault, float] = field(default_factory=lambda: EVEN_MIX)
    script: tuple[Fault | None, ...] = ()
    seed: int = 0
    retry_after: int = 1
    slow_for: float = 30.0
    stale_by: float = 300.0

    def drawn(self) -> Iterator[Fault | None]:
        """The fate of each request in turn; endless, the same for the same seed."""
        yield from self.script
        draw = Random(self.seed)  # noqa: S311 - a reproducible lottery, no secret
        kinds, weights = list(self.mix), list(self.mix.values())
        while True:
            yield draw.choices(kinds, weights)[0] if draw.random() < self.rate else None


def shrunk(body: bytes) -> bytes:
    """The answer, with the last of each task's ``completedNodes`` missing."""
    answer: dict[str, Any] = json.loads(body)
    for task in answer.get("detailList", ()):
        if task.get("completedNodes"):
            task["completedNodes"] = task["completedNodes"].rpartition(",")[0]
    return json.dumps(answer).encode()


async def spoil(fault: Fault, request: web.Request, good: web.Response, faults: Faults) -> web.StreamResponse:
    """Serve ``fault`` instead of the good answer. Stale and shrunk answers are good by this time."""
    if page := _PAGES.get(fault):
        return page(faults)
    body = good.body if isinstance(good.body, bytes) else b""
    match fault:
        case Fault.SLOW:
            await asyncio.sleep(faults.slow_for)
        case Fault.DRIP:
            return await _drip(request, body, faults.slow_for)
        case Fault.RESET:
            _reset(request)
        case Fault.TRUNCATED:
            good.body = body[: len(body) // 2]
        case Fault.CUT:
            return await _cut(request, body)
    return good


def error_response(refusal: RefusedError) -> web.Response:
    """A refusal on the wire."""
    return web.json_response(refusal.body, status=refusal.status)


def _throttled(faults: Faults) -> web.Response:
    text = "The throttling threshold has been reached: policy ip over ratelimit,limit:5,time:1 minute"  # (C)
    response = error_response(gateway_error(429, "APIGW.0308", text))
    response.headers["Retry-After"] = str(faults.retry_after)
    return response


def _html(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"<html><body><h1>{text}</h1></body></html>", content_type="text/html")


_PAGES: Mapping[Fault, Callable[[Faults], web.Response]] = {
    Fault.UNAUTHORIZED: lambda _: error_response(gateway_error(401, "APIGW.0301", "Incorrect IAM authentication information")),
    Fault.GONE: lambda _: error_response(service_error(403, "CSS.0015", "No resources are found or the access is denied.")),
    Fault.THROTTLED: _throttled,
    Fault.SERVER_ERROR: lambda _: _html(500, "HTTP STATUS:  500 </h1><h1>CloudMiddleWareTomcat"),
    Fault.BAD_GATEWAY: lambda _: _html(502, "502 Bad Gateway"),
    Fault.GATEWAY_TIMEOUT: lambda _: _html(504, "504 Gateway Time-out"),
    Fault.HTML: lambda _: _html(200, "Welcome"),
    Fault.EMPTY: lambda _: web.Response(status=200, content_type="application/json"),
    Fault.REDIRECT: lambda _: web.Response(status=302, headers={"Location": "/login"}),
}

_PIECES = 20


async def _drip(request: web.Request, body: bytes, seconds: float) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    size = len(body) // _PIECES + 1
    with suppress(ConnectionError):  # A client that will not wait has gone, as it should.
        await response.prepare(request)
        for start in range(0, len(body), size):
            await response.write(body[start : start + size])
            await asyncio.sleep(seconds / _PIECES)
    return response


async def _cut(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    with suppress(ConnectionError):
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _reset(request: web.Request) -> None:
    """Close so that the client gets a RST: with a linger of zero seconds."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
