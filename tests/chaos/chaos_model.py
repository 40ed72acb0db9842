"""Run H: hypothesis plays the cloud, the receivers and the power cord; the program's own poller, outlets and store must keep up.

The store is a real SQLite file. A crash is what a disk would hold at that instant: file and write-ahead log are copied while they
are open, and everything in memory is thrown away. Time is an invention, so hours pass in a millisecond.
"""

import asyncio
import json
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import hypothesis
import structlog
import time_machine
from chaos_audit import broken, heard_of, phantoms, truth
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select, text, update

from notifier.domain.diff import diff
from notifier.domain.errors import DeliveryError, DeliveryReason, FetchError, FetchReason, Outcome
from notifier.domain.holding import Holding
from notifier.domain.known import Known
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Action, Cluster, Event, Snapshot
from notifier.domain.outage import reachable, unreachable
from notifier.domain.plan import Audience
from notifier.domain.retry import Policy
from notifier.domain.routing import Matcher, Route
from notifier.engine.budget import Budget
from notifier.engine.outlet import Outlet
from notifier.engine.poller import Cadence, Poller
from notifier.engine.sending import OutletSettings
from notifier.engine.watch import Watch
from notifier.sources.contract import Answer
from notifier.sources.scenarios import EPOCH, ClusterPlan, Scenario, identifier, node_names
from notifier.sources.upgrades import Failure, TaskPlan, Variant
from notifier.sources.wire import read_page, to_task
from notifier.store import codec, schema
from notifier.store.rows import DeliveryRow, State
from notifier.store.store import Store
from notifier.store.transaction import Transaction

T = TypeVar("T")

SINKS = ("hook", "team")
AUDIENCE = Audience(
    [Route(Matcher(), SINKS)],
    # The team's sink may be told several things at once, as a living message is; whoever reads the hook wants each by itself.
    {"hook": Holding(), "team": Holding(patience=lambda event: None if event.kind.startswith("task.") else 0.0)},
)
CADENCE = Cadence(active=0.0, idle=0.0, unreachable_after=120.0)
EVENTS = select(schema.event.c.id, schema.event.c.sequence).order_by(schema.event.c.position)
OPEN = schema.delivery.c.state.in_((State.PENDING.value, State.SENDING.value))
LEFT = (
    select(schema.event.c.body)
    .join(schema.delivery, schema.delivery.c.event == schema.event.c.id)
    .order_by(schema.delivery.c.position)
)
ROUNDS = 3
MEMORY = Path("/dev/shm")  # noqa: S108 - a disk that need not be waited for; a folder of its own in it
BELIEVED = 2
"""Old answers in a row that must not be believed; the third may be (docs/adr/0003-doubt.md)."""


def _scenario() -> Scenario:
    """Two clusters: one is upgraded twice and then moved, the other fails twice on its way."""
    first, second = node_names("first", 3), node_names("second", 2)
    failures = (Failure(0, 4, retried_after=300.0, restart="stage"), Failure(1, 12, retried_after=200.0))
    few = Variant(orders=(0, 4, 12))  # Stages are alike; three of thirteen will do.
    plans = (
        TaskPlan(identifier("h", 1), first, 60.0, pace=0.2, seed=1, variant=few),
        TaskPlan(identifier("h", 2), first[:1], 1500.0, pace=0.2, seed=2, failures=(Failure(0, 4, partial=True),), variant=few),
        TaskPlan(identifier("h", 3), first, 1800.0, action=Action.AZ_MIGRATION, batch=2, pace=0.2, seed=3, variant=few),
    )
    retried = TaskPlan(identifier("h", 4), second, 90.0, pace=0.3, seed=4, failures=failures, variant=few)
    return Scenario(
        "model",
        "what the model plays",
        (
            ClusterPlan(identifier("h", "first"), "first", first, plans),
            ClusterPlan(identifier("h", "second"), "second", second, (retried,)),
        ),
    )


SCENARIO = _scenario()
HAPPENED, OWED = truth(SCENARIO)
CLUSTERS = tuple(Cluster(plan.id, plan.name, "r", "p", "p1") for plan in SCENARIO.clusters)


@dataclass
class Cloud:
    """A source that answers as the next rule says, and keeps what it said."""

    at: float = 0.0
    kind: str = "fresh"
    lag: float = 0.0
    said: list[Snapshot | FetchError] = field(default_factory=list)

    async def fetch(self, cluster: Cluster, action: Action, last: bytes | None = None) -> Answer:
        if self.kind == "failing":
            failure = FetchError(FetchReason.SERVER, "HTTP 503")
            self.said.append(failure)
            raise failure
        at = max(self.at - self.lag, 0.0) if self.kind == "old" else self.at
        items = SCENARIO.cluster(cluster.id).state(at, action)
        if self.kind == "reordered":
            items = items[::-1]
        partial = self.kind == "partial" and bool(items)
        body = json.dumps({"totalSize": len(items), "detailList": items[1:] if partial else items}).encode()
        if body == last:
            return Answer(body, None)
        tasks = tuple(to_task(item) for item in read_page(body).items)
        snapshot = Snapshot(cluster, action, tasks, partial=partial)
        self.said.append(snapshot)
        return Answer(body, snapshot)


@dataclass
class Door:
    """A sink that does as the next rule says, and notes what came through it."""

    name: str
    fate: str = "delivered"
    came: list[Event] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send(self, message: Message, last: Receipt | None) -> Receipt:
        del last
        if self.fate in {"delivered", "lost answer"}:
            self.came += [*message.earlier, message.event]
        match self.fate:
            case "lost answer" | "lost message":
                raise DeliveryError(Outcome.UNCERTAIN, DeliveryReason.NETWORK, "the answer broke off")
            case "refused for now":
                raise DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "HTTP 503")
            case "refused for good":
                raise DeliveryError(Outcome.REJECTED, DeliveryReason.INVALID, "HTTP 422")
        return Receipt({"id": message.id})


@dataclass(frozen=True, slots=True)
class Polled:
    """One poll that was committed: of whom, when, and what it was told."""

    cluster: Cluster
    at: datetime
    said: tuple[Snapshot | FetchError, ...]


class Replay:
    """The answers once more through the diff, from nothing: what must have been told, by ids and numbers, in order (I1)."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = defaultdict(Known)
        self._read = 0
        self.told: list[tuple[str, int]] = []

    def after(self, polls: Sequence[Polled]) -> list[tuple[str, int]]:
        """What follows from these polls, of which the first were there at the last call."""
        for poll in polls[self._read :]:
            self._add(poll)
        self._read = len(polls)
        return self.told

    def _add(self, poll: Polled) -> None:
        state, failure = self._known[poll.cluster.key], None
        for said in poll.said:
            if isinstance(said, FetchError):
                failure = said
                continue
            step = diff(state, said, poll.at)
            state = step.known
            self.told += [(event.id, event.sequence) for event in step.events]
        if failure is None:
            step = reachable(state, poll.cluster, poll.at)
        else:
            why = (failure.reason.value, failure.detail)
            step = unreachable(state, poll.cluster, why, poll.at, CADENCE.unreachable_after)
        self._known[poll.cluster.key] = step.known
        self.told += [(event.id, event.sequence) for event in step.events]


class Model(RuleBasedStateMachine):
    """See the module. ``wild``: an old copy was restored; numbers are given anew then, and only ids can be relied on."""

    template: Path
    """An empty store, migrated once: that takes longer than a whole example."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="chaos-model-", dir=MEMORY if MEMORY.is_dir() else None))
        self.number = 0
        self.path = self.folder / "0.db"
        shutil.copy(self.template, self.path)
        self.cloud = Cloud()
        self.doors = {name: Door(name) for name in SINKS}
        self.polls: list[Polled] = []
        self.replay = Replay()
        self.copy: tuple[Path, int] | None = None
        self.wild = False
        self.olds = 0
        self.unsure: Counter[tuple[str, str]] = Counter()
        self.dead: set[tuple[str, str]] = set()
        self.clock = time_machine.travel(EPOCH, tick=False)
        self.traveller = self.clock.start()
        self._wake_up()

    def teardown(self) -> None:  # type: ignore[explicit-override]  # typing.override needs Python 3.12
        """Every story is played to its end: the cloud comes to rest, all is mended, and nothing may be missing."""
        try:
            self._finish()
        finally:
            self._clear()

    def _clear(self) -> None:
        self.store.close()
        self.runner.close()
        self.clock.stop()
        shutil.rmtree(self.folder)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.cloud.at)

    def _wake_up(self) -> None:
        """A process begins: it remembers nothing but the file."""
        self.store = Store(f"sqlite:///{self.path}").open()
        self.poller = Poller([], self.store, AUDIENCE, CADENCE, lambda _sinks: None)
        self.watches = {cluster.id: Watch(cluster, self.cloud, Budget(1e9)) for cluster in CLUSTERS}
        policy = Policy(first_retry=0.0, max_retry=0.0)
        self.outlets = {
            name: Outlet(OutletSettings(name, policy=policy), door, self.store, "me") for name, door in self.doors.items()
        }

    def _copied(self) -> Path:
        """What the disk holds now."""
        self.number += 1
        there = self.folder / f"{self.number}.db"
        shutil.copy(self.path, there)
        log = self.path.with_name(self.path.name + "-wal")
        if log.exists():
            shutil.copy(log, there.with_name(there.name + "-wal"))
        return there

    def _die(self, there: Path) -> None:
        self.store.close()
        self.path = there
        self._wake_up()

    @initialize()
    def first_look(self) -> None:
        for cluster in CLUSTERS:
            self._poll(cluster)

    @rule(seconds=st.integers(1, 900))
    def the_cloud_moves_on(self, seconds: int) -> None:
        self.cloud.at += seconds
        self.traveller.move_to(self.now)

    @rule(cluster=st.sampled_from(CLUSTERS), kind=st.sampled_from(("fresh", "fresh", "partial", "failing", "reordered")))
    def a_poll(self, cluster: Cluster, kind: str) -> None:
        self.cloud.kind = kind
        if kind in {"fresh", "reordered"}:
            self.olds = 0
        self._poll(cluster)

    @precondition(lambda self: self.olds < BELIEVED)
    @rule(cluster=st.sampled_from(CLUSTERS), lag=st.integers(1, 1200))
    def an_old_answer(self, cluster: Cluster, lag: int) -> None:
        self.olds += 1
        self.cloud.kind, self.cloud.lag = "old", float(lag)
        self._poll(cluster)

    def _poll(self, cluster: Cluster) -> None:
        self.cloud.said.clear()
        self.run(self.poller.poll(self.watches[cluster.id]))
        self.polls.append(Polled(cluster, self.now, tuple(self.cloud.said)))

    @rule(
        name=st.sampled_from(SINKS),
        room=st.integers(1, 4),
        fate=st.sampled_from(
            ("delivered", "delivered", "delivered", "lost answer", "lost message", "refused for now", "refused for good")
        ),
    )
    def a_delivery(self, name: str, room: int, fate: str) -> None:
        self._deliver(name, room, fate)

    def _deliver(self, name: str, room: int, fate: str) -> int:
        door, outlet = self.doors[name], self.outlets[name]
        door.fate = fate
        # ``early``: a sink that was left alone is tried at once, since hours mean nothing here.
        claims = self.run(
            self.store.transact(lambda tx: tx.claim(name, "me", room, lease=30, now=self.now.timestamp(), early=True))
        )
        before = len(door.came)
        for claim in claims:
            self.run(outlet._serve(claim, time.monotonic(), 0.0))
        if fate == "lost answer":
            self.unsure.update((name, event.id) for event in door.came[before:])
        return len(claims)

    @rule(name=st.sampled_from(SINKS), room=st.integers(1, 4), arrives=st.booleans())
    def a_crash_while_sending(self, name: str, room: int, arrives: bool) -> None:
        claims = self.run(
            self.store.transact(lambda tx: tx.claim(name, "me", room, lease=30, now=self.now.timestamp(), early=True))
        )
        there = self._copied()
        if arrives:
            for claim in claims:
                told = [*(along.event for along in claim.earlier), claim.event]
                self.doors[name].came += told
                self.unsure.update((name, event.id) for event in told)
        self._die(there)

    @rule(cluster=st.sampled_from(CLUSTERS))
    def a_crash_just_before_a_commit(self, cluster: Cluster) -> None:
        there: list[Path] = []
        whole = self.store.transact

        async def interrupted(work: Any) -> Any:
            def half(tx: Any) -> Any:
                result = work(tx)
                there.append(self._copied())
                return result

            return await whole(half)

        self.cloud.kind = "fresh"
        self.cloud.said.clear()
        self.store.transact = interrupted  # type: ignore[method-assign]  # the power goes inside of it
        self.run(self.poller.poll(self.watches[cluster.id]))
        del self.store.transact
        self._die(there[0] if there else self._copied())

    @rule()
    def a_crash(self) -> None:
        self._die(self._copied())
        self._look_through()

    @rule()
    def a_backup(self) -> None:
        self.copy = (self._copied(), len(self.polls))

    @precondition(lambda self: self.copy is not None)
    @rule()
    def a_restore(self) -> None:
        assert self.copy is not None
        there, polls = self.copy
        self.wild = True
        self.polls, self.replay = self.polls[:polls], Replay()
        self.store.close()
        self.path = there
        self.copy = (self._copied(), polls)
        self._wake_up()

    @rule()
    def dead_letters_are_sent_again(self) -> None:
        self._resend()

    def _resend(self) -> int:
        rows = self.run(self.store.transact(lambda tx: tx.deliveries(state=State.DEAD, limit=100_000)))
        self.dead |= {(row.sink, row.event) for row in rows}
        return len(self.run(self.store.transact(lambda tx: tx.resend(self.now.timestamp()))))

    @invariant()
    def the_store_holds_what_follows_from_the_answers(self) -> None:
        stored = self.run(self.store.transact(lambda tx: tx._run(EVENTS).all()))
        assert [tuple(row) for row in stored] == self.replay.after(self.polls)

    def _look_through(self) -> list[DeliveryRow]:
        """I2 and I4; the deliveries."""
        events = [event for _, event in self.run(self.store.transact(lambda tx: tx.events(limit=100_000)))]
        deliveries = self.run(self.store.transact(lambda tx: tx.deliveries(limit=100_000)))
        assert broken(events, deliveries, self.dead) == []
        assert {(row.sink, row.event) for row in deliveries} == {(sink, event.id) for event in events for sink in SINKS}
        return deliveries

    @invariant()
    def nothing_is_told_that_did_not_happen_nor_twice_without_a_reason(self) -> None:
        for name, door in self.doors.items():
            facts: dict[Any, set[str]] = defaultdict(set)
            for event in door.came:
                if event.task is not None:
                    facts[heard_of(event)].add(event.id)
            assert phantoms(facts, HAPPENED) == []
            assert all(len(ids) == 1 for ids in facts.values()), "a fact under two ids"
            if self.wild:
                continue
            times = Counter(event.id for event in door.came)
            assert all(count <= 1 + self.unsure[name, event] for event, count in times.items()), "an unexplained repeat"
            threads: dict[str, list[int]] = defaultdict(list)
            for event in door.came:
                if (name, event.id) not in self.dead and event.sequence not in threads[event.thread]:
                    threads[event.thread].append(event.sequence)
            assert all(numbers == sorted(numbers) for numbers in threads.values()), "out of order"

    def _finish(self) -> None:
        self.the_cloud_moves_on(int(SCENARIO.end) + 3600)
        for _ in range(4):  # What was doubted must be said three times.
            for cluster in CLUSTERS:
                self.cloud.kind = "fresh"
                self._poll(cluster)
        self._resend()
        self.run(self.store.transact(self._settle_all))
        self.the_store_holds_what_follows_from_the_answers()
        self.nothing_is_told_that_did_not_happen_nor_twice_without_a_reason()
        rows = self._look_through()
        assert {row.state for row in rows} <= {State.DELIVERED}, "I3: everything comes to its end"
        for door in self.doors.values():
            assert not OWED - {heard_of(event) for event in door.came if event.task is not None}, "lost"
            if not self.wild:
                assert {event.id for event in door.came} == {row.event for row in rows}
        found = self.run(self.store.transact(lambda tx: tx._run(text("PRAGMA integrity_check")).scalar()))
        assert found == "ok", "I5"

    def _settle_all(self, tx: Transaction) -> None:
        """Everything that is owed is delivered, in one transaction, since there may be hundreds.

        What is left after so many rounds, in which each lane has gone on, is no different from what went before.
        """
        now = self.now.timestamp()
        for name, door in self.doors.items():
            for _ in range(ROUNDS):
                for claim in tx.claim(name, "me", 100, lease=30, now=now, early=True):
                    tx.delivered(claim, Receipt({"id": claim.delivery}), now)
                    door.came += [*(along.event for along in claim.earlier), claim.event]
            rest = tx._run(LEFT.where(OPEN, schema.delivery.c.sink == name)).all()
            door.came += [codec.event.validate_json(row.body) for row in rest]
        tx._run(update(schema.delivery).where(OPEN).values(state=State.DELIVERED.value, settled_at=now))


def prepared(folder: Path) -> type[Model]:
    """The model with an empty store to begin with."""
    template = folder / "empty.db"
    Store(f"sqlite:///{template}").open().close()
    return type("Model", (Model,), {"template": template})


def play(folder: Path, *, examples: int, steps: int, seed: int | None = None) -> None:
    """Play so many examples of so many steps; ``seed`` None draws the same ones every time.

    Raises:
        AssertionError: With the shortest story that breaks a promise.
    """
    machine = prepared(folder)
    rules = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=seed is None,
        suppress_health_check=list(HealthCheck),
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    try:
        run_state_machine_as_test(machine if seed is None else hypothesis.seed(seed)(machine), settings=rules)
    finally:
        structlog.reset_defaults()
