"""Time in the poller: what tells itself though nothing changes, what an unchanged poll costs, what an outage does not count."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from engine_scripts import CountingStore, Source, cluster

from notifier.domain.errors import FetchError, FetchReason
from notifier.domain.expectation import History
from notifier.domain.message import Receipt
from notifier.domain.model import Action, Kind, Stage, Task
from notifier.domain.plan import Audience
from notifier.domain.routing import Escalation, Matcher, Route
from notifier.domain.silences import Silence
from notifier.domain.stall import StallRule
from notifier.domain.timekeeping import Limits
from notifier.engine import library
from notifier.engine.budget import Budget
from notifier.engine.poller import Cadence, Poller
from notifier.engine.reminding import Reminding
from notifier.engine.tidying import Tidying
from notifier.engine.watch import Watch
from notifier.store.rows import State, Turn
from notifier.store.store import Store
from notifier.store.transaction import Transaction

NODES = tuple(f"css-test-ess-esn-{number}-1" for number in (1, 2))
START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
RULE = Limits(StallRule(floor=600.0, unknown=600.0), patience=60.0)
STAGES = (Stage(0, "Data migration", "SUCCESS", "", START, START), Stage(1, "Node brought offline", "RUNNING", "", START))
AT_WORK = Task("t", "RUNNING", 1, NODES, (), NODES[:1], NODES[0], STAGES, START)
OVER = Task("t", "SUCCESS", 1, NODES, NODES, (), None, (), START, START + timedelta(hours=1))
DOWN = FetchError(FetchReason.SERVER, "HTTP 503")


@pytest.fixture
def store() -> Iterator[CountingStore]:
    opened = CountingStore("sqlite://")
    opened.open()
    yield opened
    opened.close()


class Bench:
    """A poller of one cluster, at moments that the test chooses."""

    def __init__(self, store: Store, *routes: Route) -> None:
        self.store = store
        self.answer: tuple[Task, ...] | Exception = (AT_WORK,)
        self.source = Source(lambda _, action: self.answer if action is Action.UPGRADING else ())
        self.audience = Audience(routes or (Route(Matcher(), ("team",)),))
        self.told: list[frozenset[str]] = []
        self.restart()

    def restart(self) -> None:
        self.watch = Watch(cluster(), self.source, Budget(10_000.0), limits=RULE)
        self.poller = Poller([self.watch], self.store, self.audience, Cadence(15.0, 0.0, 1e9), self.told.append)

    async def poll(self, minute: float) -> list[Kind]:
        with time_machine.travel(START + timedelta(minutes=minute), tick=False):
            applied = await self.poller.poll(self.watch)
        return [event.kind for event in applied.events] if applied else []

    async def poll_until(self, first: float, last: float) -> list[Kind]:
        told: list[Kind] = []
        for number in range(int((last - first) * 4) + 1):
            told += await self.poll(first + number / 4)
        return told

    async def remind(self, minute: float) -> None:
        with time_machine.travel(START + timedelta(minutes=minute), tick=False):
            await Reminding(self.store, self.audience, self.told.append).remind()


async def test_a_stall_is_noticed_though_no_answer_changes_and_the_others_cost_no_transaction(store: CountingStore) -> None:
    bench = Bench(store)
    assert Kind.TASK_STARTED in await bench.poll(0)
    before = store.transactions
    assert await bench.poll_until(0.25, 4.75) == []
    assert store.transactions == before
    assert await bench.poll_until(5, 9.75) == []
    assert store.transactions <= before + 2  # It is written down now and then that all is well.
    assert await bench.poll(10) == [Kind.TASK_STALLED]
    assert await bench.poll_until(10.25, 30) == []


async def test_an_outage_is_no_stall_and_neither_is_a_machine_that_slept(store: CountingStore) -> None:
    bench = Bench(store)
    await bench.poll_until(0, 5)
    bench.answer = DOWN
    assert await bench.poll_until(5.25, 60) == []
    bench.answer = (AT_WORK,)
    assert await bench.poll_until(60.25, 64.5) == []
    assert await bench.poll(600) == []  # Nobody looked for nine hours: a laptop was shut.
    found = await bench.poll_until(600.25, 601.75)
    assert found == [Kind.TASK_STALLED]


async def test_a_restart_goes_on_counting_where_the_store_left_off(store: CountingStore) -> None:
    bench = Bench(store)
    await bench.poll_until(0, 9)
    bench.restart()
    assert await bench.poll_until(100, 104.5) == []
    assert await bench.poll_until(104.75, 106) == [Kind.TASK_STALLED]


async def test_a_gap_that_could_not_be_written_down_is_not_forgotten(store: CountingStore) -> None:
    bench = Bench(store)
    await bench.poll_until(0, 5)
    bench.answer = DOWN
    await bench.poll_until(5.25, 60)
    bench.answer = (AT_WORK,)
    store.sick = True
    with time_machine.travel(START + timedelta(minutes=60.25), tick=False):
        await bench.poller._turn(bench.watch)
    store.sick = False
    assert await bench.poll_until(60.5, 64) == []


async def test_what_is_finished_becomes_history_and_forecasts_are_judged(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(store)
    await bench.poll(0)
    await bench.poll(0.25)
    following = (STAGES[0], Stage(1, STAGES[1].name, "SUCCESS", "", START, START + timedelta(seconds=28)))
    bench.answer = (Task("t", "RUNNING", 1, NODES, (), NODES[:1], NODES[0], following, START),)
    await bench.poll(0.5)
    bench.answer = (OVER,)
    assert Kind.TASK_SUCCEEDED in await bench.poll(60)
    judged = await store.transact(lambda tx: tx.judged())
    assert [each.ended_at for each in judged] == [START + timedelta(minutes=60)]
    key = cluster().key
    found: History = await store.transact(lambda tx: tx.history(key, Action.UPGRADING))
    assert set(found.cluster) >= {"ess:0/Data migration", "ess:1/Node brought offline"}
    # The next task's first event says when it will end, by this very history; it is read once in ten minutes.
    reads: list[str] = []
    real = Transaction.history

    def counted(tx: Transaction, of: str, action: Action, running: list[str]) -> History:
        reads.append("read")
        return real(tx, of, action, running)

    monkeypatch.setattr(Transaction, "history", counted)
    bench.answer = (OVER, Task("t2", "RUNNING", 1, NODES, (), NODES[:1], NODES[0], STAGES, START))
    await bench.poll(70)
    moved = (STAGES[0], following[1], Stage(2, "Node creation", "RUNNING", "", START))
    bench.answer = (OVER, Task("t2", "RUNNING", 1, NODES, (), NODES[:1], NODES[0], moved, START))
    await bench.poll(70.25)
    assert reads == ["read"]
    monkeypatch.setattr(library, "KEPT", -1.0)
    bench.answer = (OVER, Task("t2", "RUNNING", 1, NODES, (NODES[0],), NODES[1:], NODES[1], (), START))
    await bench.poll(70.5)
    assert reads == ["read"] * 2
    events = [event for _, event in await store.transact(lambda tx: tx.events(kind="task.started"))]
    assert events[-1].eta is not None
    assert events[-1].eta.basis == "this cluster's history"


async def test_reminders_are_owed_while_a_failure_lasts_and_dropped_by_the_poll_that_ends_it(store: CountingStore) -> None:
    route = Route(Matcher(kind=("task.*",)), ("team",), repeat=3600.0, escalate=Escalation(1800.0, ("oncall",)))
    bench = Bench(store, route)
    await bench.poll(0)
    bench.answer = (Task("t", "FAILED", 1, NODES, (), (), None, (), START, START),)
    await bench.poll(1)
    await _deliver(store)
    bench.told.clear()
    await bench.remind(30)
    assert bench.told == []
    await bench.remind(32)
    await bench.remind(33)
    await bench.remind(61)
    assert bench.told == [frozenset({"oncall"}), frozenset({"team"})]
    bench.answer = (Task("t", "RUNNING", 2, NODES, (), NODES[:1], NODES[0], STAGES, START),)
    assert Kind.TASK_RETRIED in await bench.poll(62)
    bench.answer = (replace(OVER, executions=2),)
    assert Kind.TASK_SUCCEEDED in await bench.poll(63)
    rows = await store.transact(lambda tx: tx.deliveries())
    # The duty officer never took a route; he was told of the failure, so he is told what became of it.
    assert [row.kind for row in rows if row.sink == "oncall"] == [Kind.TASK_FAILED, Kind.TASK_RETRIED, Kind.TASK_SUCCEEDED]
    assert sorted((row.sink, row.reminder, row.state) for row in rows if row.kind == Kind.TASK_FAILED) == [
        ("oncall", 1, State.OVER),
        ("team", 0, State.DELIVERED),
        ("team", 1, State.OVER),
    ]
    store.sick = True
    await bench.remind(600)  # Nothing is raised: the next look is as good.


async def test_whoever_acknowledges_stops_the_escalation(store: CountingStore) -> None:
    bench = Bench(store, Route(Matcher(kind=("task.*",)), ("team",), escalate=Escalation(1800.0, ("oncall",))))
    await bench.poll(0)
    bench.answer = (Task("t", "FAILED", 1, NODES, (), (), None, (), START, START),)
    await bench.poll(1)
    seen = Silence("s", Matcher(), START, START + timedelta(days=1), "lin", "on it", reminders_only=True)
    await store.transact(lambda tx: tx.silence(seen))
    bench.told.clear()
    await bench.remind(120)
    assert bench.told == []


async def test_what_is_too_old_is_forgotten_and_a_sick_store_is_tidied_later(store: CountingStore) -> None:
    bench = Bench(store)
    await bench.poll(0)
    await _deliver(store)
    long_ago, turn = datetime(2026, 3, 2, tzinfo=UTC).timestamp(), Turn("team", 60.0)
    await store.transact(lambda tx: tx.take_turn(turn, 0.0, long_ago))
    await Tidying(store, frozenset(), Audience(())).tidy()
    assert await store.transact(lambda tx: tx.events()) == []
    assert await store.transact(lambda tx: tx.take_turn(turn, 0.0, long_ago)) == 0
    store.sick = True
    await Tidying(store, frozenset(), Audience(())).tidy()


async def _deliver(store: Store) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
    while claims := await store.transact(lambda tx: tx.claim("team", "me", 10, lease=30, now=now)):
        for claimed in claims:
            await store.transact(lambda tx, c=claimed: tx.delivered(c, Receipt({"n": "1"}), now))  # type: ignore[misc]  # bound now
