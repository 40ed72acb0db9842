"""A webhook receiver that keeps a ledger: it notes what it got before it answers, and answers badly as often as it is told to."""

import asyncio
import hashlib
import json
import math
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(slots=True)
class Receipt:
    """One message as it came in.

    Attributes:
        at: When, by the monotonic clock.
        late: Seconds since the program saw the change, by the wall clock.
        answered: Whether we let our answer be heard.
    """

    at: float
    id: str
    thread: str
    sequence: int
    digest: str
    event: dict[str, Any]
    answered: bool = True
    late: float = 0.0


@dataclass
class Ledger:
    """Receives at ``/hook``; ``down`` decides about whole spans of time, the shares about single messages.

    Attributes:
        failing: The share of messages that get a 503 before they are noted.
        resetting: The share that is noted and then not answered: the connection is reset.
        down: While it returns True, everything is refused.
        patience: While it returns more than 0, everything is answered with a 429 that asks for so many seconds of patience.
        any_time: Signatures are good whenever they were made; others are refused after five minutes.
    """

    failing: float = 0.0
    resetting: float = 0.0
    down: Callable[[], bool] = lambda: False
    patience: Callable[[], float] = lambda: 0.0
    any_time: bool = False
    seed: int = 1
    receipts: list[Receipt] = field(default_factory=list)
    refused: int = 0
    open: int = 0
    most_open: int = 0

    async def __aenter__(self) -> Self:
        self._draw = Random(self.seed)
        self._more = asyncio.Condition()
        app = web.Application()
        app.router.add_post("/hook", self._hook)
        self._server = TestServer(app)
        await self._server.start_server()
        self.url = str(self._server.make_url("/hook"))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            return await self._answer(request, await request.read())
        finally:
            self.open -= 1

    async def _answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        fate = self._draw.random()
        if self.down() or fate < self.failing:
            self.refused += 1
            return web.Response(status=503)
        if (seconds := self.patience()) > 0:
            self.refused += 1
            return web.Response(status=429, headers={"Retry-After": str(math.ceil(seconds))})
        self._verify(body, request.headers)
        event = json.loads(body)
        assert request.headers["webhook-id"] == event["id"]
        data = event["data"]
        of = data["sink"] and data["sink"]["name"], data["task"] and data["task"]["id"]
        thread = "/".join([data["cluster"]["id"], *filter(None, of)])
        digest, late = hashlib.sha256(body).hexdigest(), time.time() - datetime.fromisoformat(data["observed_at"]).timestamp()
        receipt = Receipt(time.monotonic(), event["id"], thread, data["sequence"], digest, data, late=late)
        async with self._more:
            self.receipts.append(receipt)
            self._more.notify_all()
        if fate < self.failing + self.resetting and request.transport is not None:
            receipt.answered = False
            connection = request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.transport.abort()
        return web.Response(status=204)

    def _verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        if not self.any_time:
            Webhook(SECRET).verify(body, dict(headers))
            return
        moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        assert headers["webhook-signature"] == Webhook(SECRET).sign(headers["webhook-id"], moment, body.decode())

    async def until(self, count: int, timeout: float) -> None:
        """Wait for so many receipts in all."""
        async with asyncio.timeout(timeout), self._more:
            await self._more.wait_for(lambda: len(self.receipts) >= count)
