"""Sources and sinks that follow a script, a store that counts, and a way to await what the store will say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TypeVar

from notifier.domain.diff import diff
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Action, Cluster, Event, Snapshot, Task
from notifier.domain.plan import Audience
from notifier.domain.retry import Policy
from notifier.domain.routing import Matcher, Route
from notifier.engine.dispatcher import Dispatcher
from notifier.engine.outlet import Outlet
from notifier.engine.sending import OutletSettings
from notifier.sinks.contract import SinkSettings, Surroundings
from notifier.sources.contract import Answer
from notifier.store.errors import StoreError
from notifier.store.rows import DeliveryRow, State
from notifier.store.store import Store
from notifier.store.transaction import Transaction

T = TypeVar("T")
QUICK = Policy(first_retry=0.01, max_retry=0.05, give_up_after=60)
NODES = ("n1", "n2", "n3")
PATIENCE = 60.0
"""Seconds that a test waits for what comes anyway: nothing where it comes, and much on a machine that has other things to do."""


def cluster(name: str = "search") -> Cluster:
    return Cluster(f"id-of-{name}", name, "cn-north-4", "prod", "p1")


def running(*completed: str) -> Task:
    left = tuple(node for node in NODES if node not in completed)
    return Task("t1", "RUNNING", 1, NODES, completed, left[:1], left[0] if left else None)


async def eventually(predicate: Callable[[], Awaitable[bool]] | Callable[[], bool], within: float = PATIENCE) -> None:
    """Await a condition; what is awaited lies in a database or a counter, so it has to be asked for again and again."""
    async with asyncio.timeout(within):
        while True:
            holds = predicate()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(0.005)


class CountingStore(Store):
    """Counts transactions; refuses them while ``sick``."""

    sick = False
    transactions = 0

    async def transact(self, work: Callable[[Transaction], T]) -> T:  # type: ignore[explicit-override]  # Python 3.12 has it
        self.transactions += 1
        if self.sick:
            raise StoreError("the disk is full")
        return await super().transact(work)


class Source:
    """Answers by a function of the cluster and action: tasks, or an exception; the body is what the tasks say."""

    def __init__(self, script: Callable[[Cluster, Action], tuple[Task, ...] | Exception]) -> None:
        self.script = script
        self.asked: list[tuple[str, Action]] = []

    async def fetch(self, cluster: Cluster, action: Action, last: bytes | None = None) -> Answer:
        self.asked.append((cluster.name, action))
        answer = self.script(cluster, action)
        if isinstance(answer, Exception):
            raise answer
        body = repr(answer).encode()
        return Answer(body, None if body == last else Snapshot(cluster, action, answer))


@dataclass
class Sink:
    """Does what the script says with each message; remembers all it was given."""

    script: Callable[[Message], Awaitable[Receipt] | Receipt | Exception] = lambda message: Receipt({"n": message.id})
    heard: list[Message] = field(default_factory=list)
    lasts: list[Receipt | None] = field(default_factory=list)

    def __call__(self, settings: SinkSettings, surroundings: Surroundings) -> Self:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    async def send(self, message: Message, last: Receipt | None) -> Receipt:
        self.heard.append(message)
        self.lasts.append(last)
        done = self.script(message)
        if isinstance(done, Exception):
            raise done
        return done if isinstance(done, Receipt) else await done

    @property
    def told(self) -> list[tuple[str, int]]:
        return [(message.event.cluster.name, message.event.sequence) for message in self.heard]


def fails(
    outcome: Outcome = Outcome.RETRY,
    reason: DeliveryReason = DeliveryReason.SERVER,
    *,
    scope: Scope = Scope.EVENT,
    retry_after: float | None = None,
    receipt: Receipt | None = None,
) -> DeliveryError:
    return DeliveryError(outcome, reason, "as the script says", scope=scope, retry_after=retry_after, receipt=receipt)


def tell(name: str = "search", *sinks: str) -> Callable[[Transaction], list[Event]]:
    """One cluster's task that starts and completes a node: four events in a lane of each sink."""

    def work(tx: Transaction) -> list[Event]:
        subject, now = cluster(name), datetime.now(UTC)
        before, version = tx.known(subject)
        known = before
        events: list[Event] = []
        for tasks in ((), (running(),), (running("n1"),)):
            step = diff(known, Snapshot(subject, Action.UPGRADING, tasks), now)
            known = step.known
            events += step.events
        owed = Audience([Route(Matcher(), sinks or ("team",))]).plan(events, now)
        tx.save(subject, (before, version), known, (events, owed), now.timestamp())
        return events

    return work


async def rows(store: Store) -> list[DeliveryRow]:
    return await store.transact(lambda tx: tx.deliveries(limit=500))


def settled(store: Store, state: State = State.DELIVERED, count: int = 4) -> Callable[[], Awaitable[bool]]:
    """That so many deliveries are in a state."""

    async def ask() -> bool:
        return [row.state for row in await rows(store)].count(state) == count

    return ask


def outlet(store: Store, sink: object, name: str = "team", **settings: object) -> Outlet:
    # So patient that no send is broken off, and no lease over, because the machine did something else meanwhile.
    chosen = OutletSettings(**{"name": name, "policy": QUICK, "timeout": 40.0, "lease": 100.0, **settings})  # type: ignore[arg-type]  # a test's own
    return Outlet(chosen, sink, store, "tester")  # type: ignore[arg-type]  # scripted, and sometimes wrong on purpose


@asynccontextmanager
async def serving(*outlets: Outlet, grace: float = 1.0) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(list(outlets))
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        await dispatcher.stop(grace)


def failing(tx: Transaction) -> list[Event]:
    """A task that starts and fails, told to ``team``: nothing but the start and the end."""
    subject, now = cluster(), datetime.now(UTC)
    before, version = tx.known(subject)
    known, events = before, list[Event]()
    for tasks in ((), (running(),), (replace(running(), status="FAILED", fail_message="no quota"),)):
        step = diff(known, Snapshot(subject, Action.UPGRADING, tasks), now)
        known, events = step.known, [*events, *step.events]
    owed = Audience([Route(Matcher(kind=("task.*",)), ("team",))]).plan(events, now)
    tx.save(subject, (before, version), known, (events, owed), now.timestamp())
    return events
