"""A simulator whose clock stands still until a test moves it, and a client that talks to it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from notifier.domain.model import Kind
from notifier.sources.scenarios import CLUSTER_ID, PROJECT_ID, SCENARIOS, Scenario
from notifier.sources.signing import Keys
from notifier.sources.simulator import Simulator

KEYS = Keys("AKTEST", "a-secret-key")
TOKEN = {"X-Auth-Token": "any"}
CLUSTER = f"/v1.0/{PROJECT_ID}/clusters/{CLUSTER_ID}"
DETAIL = f"{CLUSTER}/upgrade/detail"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class World:
    """A simulator, a client and a clock."""

    def __init__(self, simulator: Simulator, clock: Clock, client: aiohttp.ClientSession) -> None:
        self.simulator, self.clock, self.client = simulator, clock, client

    def go_to(self, second: float) -> None:
        self.clock.seconds = second

    def go_after(self, kind: Kind) -> None:
        self.go_to(next(fact.at for fact in self.simulator.scenario.facts() if fact.kind is kind) + 1)

    async def ask(self, path: str = DETAIL, method: str = "GET", **options: Any) -> tuple[int, Any]:
        options = {"headers": TOKEN, "allow_redirects": False, **options}
        async with self.client.request(method, self.simulator.url + path, **options) as response:
            text = await response.text()
            try:
                return response.status, json.loads(text)
            except ValueError:
                return response.status, text

    async def task(self, path: str = DETAIL) -> dict[str, Any]:
        status, answer = await self.ask(path)
        assert status == 200
        item: dict[str, Any] = answer["detailList"][0]
        return item


@asynccontextmanager
async def playing(scenario: str | Scenario, **options: Any) -> AsyncIterator[World]:
    """A scenario, by name or as it is, served with the options of `Simulator`."""
    clock = Clock()
    played = SCENARIOS[scenario] if isinstance(scenario, str) else scenario
    async with Simulator(played, monotonic=clock, **options) as simulator, aiohttp.ClientSession() as client:
        yield World(simulator, clock, client)
