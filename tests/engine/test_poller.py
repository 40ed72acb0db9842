"""The poller against scripted sources and a real store: what is committed, when, and what no fault can stop."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from engine_scripts import CountingStore, Source, cluster, eventually, running

from notifier import telemetry
from notifier.domain.errors import FetchError, FetchReason
from notifier.domain.model import Action, Cluster, Kind, Task
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.engine import poller as engine
from notifier.engine.budget import Budget
from notifier.engine.poller import Cadence, Poller
from notifier.engine.watch import Watch
from notifier.store.store import Store

DOWN = FetchError(FetchReason.SERVER, "HTTP 503")
Script = Callable[[Cluster, Action], tuple[Task, ...] | Exception]


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store("sqlite://").open()
    yield opened
    opened.close()


@pytest.fixture
def counting() -> Iterator[CountingStore]:
    store = CountingStore("sqlite://")
    store.open()
    yield store
    store.close()


class Bench:
    """A poller of some clusters of one source; by hand, or ``turning``."""

    def __init__(self, store: Store, script: Script, *names: str, cadence: Cadence | None = None) -> None:
        self.store = store
        self.source = Source(script)
        self.told: list[frozenset[str]] = []
        budget = Budget(10_000.0)
        watches = [Watch(cluster(name), self.source, budget) for name in names or ("search",)]
        self.poller = Poller(
            watches, store, Audience([Route(Matcher(), ("team",))]), cadence or Cadence(0.05, 0.05, 0.0), self.told.append
        )
        self.watch = watches[0]

    async def poll(self) -> list[Kind]:
        applied = await self.poller.poll(self.watch)
        return [event.kind for event in applied.events] if applied else []

    async def turn_until(self, predicate: Callable[[], bool]) -> None:
        """Tick as the clock would."""

        async def ticking() -> None:
            while True:
                await self.poller.tick()
                await asyncio.sleep(0.002)

        task = asyncio.create_task(ticking())
        try:
            await eventually(predicate)
        finally:
            task.cancel()

    async def kinds(self) -> list[Kind]:
        return [event.kind for _, event in await self.store.transact(lambda tx: tx.events())]


def only(action: Action, *tasks: Task) -> Script:
    """Tasks for one action, none for the other."""
    return lambda _, asked: tasks if asked is action else ()


async def test_what_is_unchanged_is_not_committed_and_a_change_is(counting: CountingStore) -> None:
    bench = Bench(counting, only(Action.UPGRADING, running()), cadence=Cadence(idle=0))
    assert await bench.poll() == [Kind.TASK_STARTED]
    before = counting.transactions
    for _ in range(5):
        assert await bench.poll() == []
    assert counting.transactions == before
    bench.source.script = only(Action.UPGRADING, running("n1"))
    assert await bench.poll() == [Kind.NODE_COMPLETED, Kind.NODE_STARTED]
    assert counting.transactions == before + 1
    assert bench.told == [frozenset({"team"}), frozenset({"team"})]


async def test_an_action_at_rest_is_asked_at_the_idle_cadence_only(store: Store) -> None:
    bench = Bench(store, only(Action.AZ_MIGRATION, running()), cadence=Cadence(active=1, idle=3600))
    for _ in range(4):
        await bench.poll()
    asked = [action for _, action in bench.source.asked]
    assert (asked.count(Action.UPGRADING), asked.count(Action.AZ_MIGRATION)) == (1, 4)
    upgrades, _ = bench.watch.listings
    upgrades.asked_at -= 3600
    await bench.poll()
    assert bench.source.asked[-2:] == [("search", Action.UPGRADING), ("search", Action.AZ_MIGRATION)]


async def test_what_waits_to_be_confirmed_is_read_again_though_its_bytes_are_the_same(store: Store) -> None:
    bench = Bench(store, only(Action.UPGRADING, running()), cadence=Cadence(idle=0))
    await bench.poll()
    bench.source.script = only(Action.UPGRADING)
    assert [await bench.poll() for _ in range(3)] == [[], [], [Kind.TASK_VANISHED]]


async def test_failing_polls_become_an_outage_that_ends(store: Store) -> None:
    bench = Bench(store, lambda *_: DOWN)
    assert await bench.poll() == [Kind.CLUSTER_UNREACHABLE]
    assert await bench.poll() == []
    assert bench.watch.failures == 2
    assert bench.watch.polled_at is None
    bench.source.script = lambda *_: ()
    assert await bench.poll() == [Kind.CLUSTER_RECOVERED]
    assert (bench.watch.failures, bench.watch.outage) == (0, False)
    assert bench.watch.polled_at is not None


async def test_how_late_a_poll_starts_is_noted_whatever_comes_of_it(store: Store) -> None:
    def noted() -> float:
        return telemetry.registry.get_sample_value("notifier_poll_lateness_seconds_count") or 0.0

    bench, before = Bench(store, lambda *_: DOWN), noted()
    await bench.turn_until(lambda: bench.watch.failures > 0)
    assert noted() > before


async def test_one_action_that_fails_does_not_hide_the_news_of_the_other(store: Store) -> None:
    bench = Bench(store, lambda _, action: (running(),) if action is Action.UPGRADING else DOWN)
    assert await bench.poll() == [Kind.TASK_STARTED, Kind.CLUSTER_UNREACHABLE]


async def test_an_outage_that_began_before_a_restart_ends_after_it(store: Store) -> None:
    await Bench(store, lambda *_: DOWN).poll()
    assert await Bench(store, lambda *_: ()).poll() == [Kind.CLUSTER_RECOVERED]


def test_a_cluster_that_fails_is_asked_soon_then_ever_more_rarely(store: Store) -> None:
    bench = Bench(store, lambda *_: (), cadence=Cadence(active=15, idle=3600))
    for listing in bench.watch.listings:
        listing.close = False
    pauses = []
    for failures in (1, 2, 4, 40):
        bench.watch.failures = failures
        pauses.append(bench.poller._pause(bench.watch))
    assert pauses == [pytest.approx(seconds, rel=0.11) for seconds in (1, 2, 8, 60)]
    bench.watch.failures = 0
    assert bench.poller._pause(bench.watch) == pytest.approx(3600, rel=0.11)


async def test_what_the_store_refused_is_seen_again(counting: CountingStore) -> None:
    bench = Bench(counting, only(Action.UPGRADING, running()))
    await bench.poll()
    bench.source.script = only(Action.UPGRADING, running("n1"))
    counting.sick, before = True, counting.transactions
    await bench.turn_until(lambda: counting.transactions >= before + 2)
    counting.sick = False
    await bench.turn_until(lambda: len(bench.told) == 2)
    await bench.poller.stop()
    assert await bench.kinds() == [Kind.TASK_STARTED, Kind.NODE_COMPLETED, Kind.NODE_STARTED]


async def test_a_source_that_crashes_stops_neither_its_cluster_nor_the_others(store: Store) -> None:
    bench = Bench(store, lambda asked, _: ZeroDivisionError() if asked.name == "bad" else (), "bad", "good")
    await bench.turn_until(lambda: [name for name, _ in bench.source.asked].count("good") >= 6)
    assert bench.poller.watches[0].failures > 0
    bench.source.script = only(Action.UPGRADING, running())
    await bench.turn_until(lambda: len(bench.told) == 2)
    await bench.poller.stop()


async def test_a_fault_in_the_transaction_of_a_poll_is_remembered_until_one_ends_well(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(store, only(Action.UPGRADING, running()))

    def faulty(*_facts: object, **_more: object) -> None:
        raise KeyError("canary")

    monkeypatch.setattr(Audience, "plan", faulty)
    await bench.turn_until(lambda: bench.watch.fault == "KeyError")
    assert bench.watch.polled_at is not None, "by that alone nobody would notice"
    monkeypatch.undo()
    await bench.turn_until(lambda: bench.watch.fault is None)
    assert await bench.kinds()


async def test_a_stop_breaks_off_polls_and_starts_no_more(store: Store) -> None:
    bench = Bench(store, lambda *_: ())
    begun, broken = asyncio.Event(), asyncio.Event()

    async def never(*_: object) -> None:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            broken.set()

    bench.source.fetch = never  # type: ignore[method-assign,assignment]  # a source that never answers
    await bench.turn_until(begun.is_set)
    await bench.poller.stop()
    assert broken.is_set()
    await bench.poller.tick()
    assert bench.poller.delay() == 1.0
    assert bench.poller._polls == set()
    assert await bench.kinds() == []


async def test_polls_under_way_are_capped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_IN_FLIGHT", 2)
    bench = Bench(store, lambda *_: (), "a", "b", "c", cadence=Cadence(0.0, 0.0, 60.0))
    assert bench.poller.delay() <= 0.0
    await bench.poller.tick()
    assert len(bench.poller._polls) == 2
    assert bench.poller.delay() == 1.0
    await bench.turn_until(lambda: {name for name, _ in bench.source.asked} == {"a", "b", "c"})
    await bench.poller.stop()


async def test_an_odd_answer_is_counted_and_changes_nothing(store: Store) -> None:
    before = _oddities()
    bench = Bench(store, only(Action.UPGRADING, Task("t1", "MOONWALKING", 1)))
    assert await bench.poll() == []
    assert _oddities() == before + 1


def _oddities() -> float:
    from notifier import telemetry  # noqa: PLC0415 - its registry is the process's

    return telemetry.registry.get_sample_value("notifier_answer_oddities_total", {"what": "unknown_status"}) or 0.0
