"""What nobody will tell the end of is ended all the same, and who was told of something wrong is told that it is over."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from engine_scripts import NODES, Sink, cluster, eventually, fails, outlet, running, serving

from notifier.domain.diff import diff
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Action, Kind, Severity, Snapshot, Task
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route, SeverityRange
from notifier.domain.silences import Silence
from notifier.engine import outlet as engine
from notifier.engine.keeping import over
from notifier.sinks.contract import KEEP
from notifier.store.rows import State
from notifier.store.store import Store
from notifier.store.transaction import Transaction

SEARCH = cluster()
BEGAN = datetime.now(UTC) - timedelta(hours=3)
FAILED = replace(running(), status="FAILED", started_at=BEGAN, ended_at=BEGAN + timedelta(hours=1))
ANOTHER = replace(running(), id="t2", started_at=BEGAN + timedelta(hours=2))
AUDIENCE = Audience([Route(Matcher(), ("team",))])
LANE = f"team|{SEARCH.key}/{Action.UPGRADING}/t1"


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    memory = Store("sqlite://").open()
    yield memory
    memory.close()


async def see(store: Store, *tasks: Task) -> None:
    """One answer, as a poll takes it in."""

    def work(tx: Transaction) -> None:
        now = datetime.now(UTC)
        before, version = tx.known(SEARCH)
        step = diff(before, Snapshot(SEARCH, Action.UPGRADING, tasks), now)
        owed = AUDIENCE.plan(step.events, now, tx.silences(now.timestamp()), alarmed=tx.alarmed)
        tx.save(SEARCH, (before, version), step.known, (step.events, owed), now.timestamp())

    await store.transact(work)


@dataclass
class Incidents(Sink):
    """Keeps a failure open until a success, or until it is told to end it; what ``ending`` raises, it raises."""

    ended: list[Receipt] = field(default_factory=list)
    ending: list[Exception] = field(default_factory=list)

    async def end(self, receipt: Receipt) -> Receipt:
        self.ended.append(receipt)
        if self.ending:
            raise self.ending.pop()
        return Receipt({"closed": "yes"})


async def settled(store: Store) -> bool:
    return {row.state for row in await store.transact(lambda tx: tx.deliveries())} == {State.DELIVERED}


def incident(message: Message) -> Receipt:
    return Receipt({KEEP: "open"}) if message.event.kind is Kind.TASK_FAILED else Receipt({})


async def test_a_failure_after_which_another_task_began_is_ended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "KEEP_EVERY", 0.0)
    sink = Incidents(incident, ending=[fails()])
    for tasks in ((), (running(),), (FAILED,)):
        await see(store, *tasks)
    async with serving(outlet(store, sink)):
        await eventually(partial(settled, store))
        assert not await store.transact(lambda tx: over(tx, LANE))
        assert sink.ended == []
        await see(store, ANOTHER, FAILED)
        await eventually(lambda: len(sink.ended) == 2)
        await eventually(partial(settled, store))
    assert sink.ended == [Receipt({KEEP: "open"})] * 2, "what fails is tried again"
    assert await store.transact(lambda tx: tx.hold("team", "me", KEEP, lease=30, now=0.0)) == []


async def test_what_a_cluster_that_nobody_watches_any_more_had_opened_is_ended(store: Store) -> None:
    for tasks in ((), (running(),), (FAILED,)):
        await see(store, *tasks)
    assert not await store.transact(lambda tx: over(tx, LANE))
    await store.transact(lambda tx: tx.watch({SEARCH.key: False}))
    assert await store.transact(lambda tx: over(tx, LANE))
    assert not await store.transact(lambda tx: over(tx, "team|nobody/upgrading/t9")), "nothing was opened there"


SILENCES = {
    "of everything": Silence("s1", Matcher(), BEGAN, BEGAN + timedelta(days=1), "lin", "maintenance"),
    "of what is no failure": Silence(
        *("s2", Matcher(severity=SeverityRange(highest=Severity.WARNING)), BEGAN, BEGAN + timedelta(days=1), "lin", "noise")
    ),
}


def states(rows: Sequence[tuple[Kind, State]], kind: Kind) -> list[State]:
    return [state for found, state in rows if found is kind]


@pytest.mark.parametrize("silence", SILENCES.values(), ids=SILENCES)
@pytest.mark.parametrize("silenced_first", [False, True], ids=["told before", "silenced before"])
async def test_who_was_told_of_a_failure_is_told_that_it_is_over_silence_or_not(
    store: Store, silence: Silence, *, silenced_first: bool
) -> None:
    await see(store)
    await see(store, running())
    if silenced_first:
        await store.transact(lambda tx: tx.silence(silence))
    await see(store, FAILED)
    if not silenced_first:
        await store.transact(lambda tx: tx.silence(silence))
    await see(store, replace(FAILED, status="SUCCESS", completed=NODES, in_flight=(), current_node=None))
    kinds = {event.id: event.kind for _, event in await store.transact(lambda tx: tx.events())}
    rows = [(kinds[row.event], row.state) for row in await store.transact(lambda tx: tx.deliveries())]
    heard = State.SILENCED if silenced_first and silence.id == "s1" else State.PENDING
    assert states(rows, Kind.TASK_FAILED) == states(rows, Kind.TASK_SUCCEEDED) == [heard]
    assert State.SILENCED in states(rows, Kind.NODE_COMPLETED)
