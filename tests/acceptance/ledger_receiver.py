"""A webhook receiver that keeps a ledger: notes what it got before it answers, and answers badly as often as it is told to."""

import asyncio
import json
import socket
import struct
from collections import defaultdict
from random import Random
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Ledger:
    def __init__(self, *, failing: float = 0.0, resetting: float = 0.0, seed: int = 1) -> None:
        self.received: list[dict[str, Any]] = []
        self.bodies: dict[str, set[bytes]] = defaultdict(set)
        self.unanswered: set[str] = set()
        self._failing, self._resetting, self._draw = failing, resetting, Random(seed)
        self._more = asyncio.Condition()
        app = web.Application()
        app.router.add_post("/hook", self._hook)
        self.server = TestServer(app)

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fate = self._draw.random()
        if fate < self._failing:
            return web.Response(status=503)
        Webhook(SECRET).verify(body, dict(request.headers))
        event = json.loads(body)
        assert request.headers["webhook-id"] == event["id"]
        async with self._more:
            self.received.append(event)
            self.bodies[event["id"]].add(body)
            self._more.notify_all()
        if fate < self._failing + self._resetting and request.transport is not None:
            self.unanswered.add(event["id"])
            connection = request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.transport.abort()
        return web.Response(status=204)

    async def until(self, count: int, timeout: float) -> None:
        """Wait for so many receipts in all."""
        async with asyncio.timeout(timeout), self._more:
            await self._more.wait_for(lambda: len(self.received) >= count)

    def first(self) -> dict[str, dict[str, Any]]:
        """The first receipt of each id, in the order in which they came."""
        found: dict[str, dict[str, Any]] = {}
        for event in self.received:
            found.setdefault(event["id"], event)
        return found
