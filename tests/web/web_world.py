"""A store with a history, and a web room in front of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp

from notifier.domain.diff import diff
from notifier.domain.known import Known
from notifier.domain.model import Action, Cluster, Snapshot, Stage, Task
from notifier.domain.outage import unreachable
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.store.rows import SinkState
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web.health import Health
from notifier.web.server import Web

PATIENCE = 60.0
"""Seconds that a test waits for what comes anyway: nothing where it comes, and much on a machine that has other things to do."""

NOW = datetime.now(UTC).replace(microsecond=0)
STAGES = (
    Stage(0, "Data migration", "SUCCESS", "", NOW - timedelta(minutes=50), NOW - timedelta(minutes=9)),
    Stage(1, "Node replacement", "RUNNING", "", NOW - timedelta(minutes=9)),
)


def cluster(name: str = "search-prod", number: int = 1) -> Cluster:
    return Cluster(f"cluster-{number}", name, "cn-north-4", "prod", "p" * 32, {"env": "prod"})


def task(status: str = "RUNNING", **facts: object) -> Task:
    known: dict[str, object] = {
        "executions": 1,
        "total": ("n1", "n2", "n3"),
        "completed": ("n1",),
        "in_flight": ("n2",),
        "current_node": "n2",
        "stages": STAGES,
        "started_at": NOW - timedelta(hours=2),
        "target": "7.10.2_22.5.1",
    }
    return Task("task-1", status, **(known | facts))  # type: ignore[arg-type]


def poll(tx: Transaction, of: Cluster, tasks: Sequence[Task], sinks: Sequence[str] = ("hook",)) -> int:
    """What the poller does with one good answer; how many events came of it. The sinks hear of tasks only, not of nodes."""
    known, version = tx.known(of)
    step = diff(known, Snapshot(of, Action.UPGRADING, tuple(tasks)), datetime.now(UTC))
    audience = Audience([Route(Matcher(kind=("task.*",)), tuple(sinks))])
    planned = audience.plan(step.events, NOW)
    tx.save(of, (known, version), step.known, (step.events, planned), NOW.timestamp())
    return len(step.events)


def fail_poll(tx: Transaction, of: Cluster, detail: str) -> None:
    known, version = tx.known(of)
    step = unreachable(known, of, ("server", detail), NOW - timedelta(minutes=7), 0.0)
    tx.save(of, (known, version), step.known, (step.events, ()), NOW.timestamp())


def bury_all(tx: Transaction, sink: str = "hook", detail: str = "HTTP 503") -> None:
    later = NOW.timestamp() + 3600
    while claims := tx.claim(sink, "me", 10, lease=60, now=later):
        for claim in claims:
            tx.buried(claim, NOW.timestamp(), outcome="rejected", reason="server", detail=detail)


def enrol(tx: Transaction, state: SinkState = SinkState(), name: str = "hook") -> None:  # noqa: B008 - frozen
    tx.enrol(name, "print", NOW.timestamp())
    tx.mark(name, state)


@dataclass
class World:
    """The store, the room, a session without a token, and what the application would have seen."""

    store: Store
    web: Web
    session: aiohttp.ClientSession
    health: Health = field(default_factory=lambda: Health(alive=True))
    retried: list[frozenset[str]] = field(default_factory=list)

    async def get(self, path: str, **headers: str) -> tuple[int, aiohttp.ClientResponse, str]:
        async with self.session.get(self.web.url + path, headers=headers) as response:
            return response.status, response, await response.text()

    async def post(self, path: str, body: object, **headers: str) -> tuple[int, dict[str, object]]:
        async with self.session.post(self.web.url + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def json(self, path: str) -> dict[str, object]:
        async with self.session.get(self.web.url + path) as response:
            assert response.status == 200, await response.text()
            found: dict[str, object] = await response.json()
            return found


@asynccontextmanager
async def a_world(*, token: str | None = None, read_token: str | None = None, filled: bool = True) -> AsyncIterator[World]:
    store = Store("sqlite://").open()
    world: World
    retried: list[frozenset[str]] = []
    web = Web(
        store,
        host="127.0.0.1",
        port=0,
        token=token,
        read_token=read_token,
        health=lambda: world.health,
        retried=retried.append,
    )
    web._changes._every = 0.02
    try:
        async with web, aiohttp.ClientSession() as session:
            world = World(store, web, session, retried=retried)
            if filled:
                await store.transact(fill)
            yield world
    finally:
        store.close()


def fill(tx: Transaction) -> None:
    enrol(tx)
    tx.save(cluster(), (Known(), 0), Known(baselines=frozenset({Action.UPGRADING})), ((), ()), NOW.timestamp())
    assert poll(tx, cluster(), [task()])
