"""Discovery against scripted lists and a real store: who is watched, what is told, and what no fault can undo."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
from engine_scripts import Source, cluster, eventually

from notifier.domain.discovery import ABSENCES, REMEMBERED, Wanted
from notifier.domain.errors import FetchError, FetchReason
from notifier.domain.known import Known
from notifier.domain.model import Cluster, Kind
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.engine.budget import Budget
from notifier.engine.discovery import Discovery, Survey
from notifier.engine.poller import Cadence, Poller
from notifier.engine.watch import Watch
from notifier.sources.contract import Listed
from notifier.store.errors import StoreError
from notifier.store.store import Store

DOWN = FetchError(FetchReason.SERVER, "HTTP 503")


class Lists:
    """Gives what it holds, or raises it."""

    def __init__(self, *names: str) -> None:
        self.answer: Listed | Exception = Listed(tuple(cluster(name) for name in names))
        self.asked = 0

    def say(self, *names: str, complete: bool = True) -> None:
        self.answer = Listed(tuple(cluster(name) for name in names), complete)

    async def clusters(self) -> Listed:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Bench:
    """One project whose clusters are discovered, with a poller whose source has no tasks."""

    def __init__(self, store: Store, *names: str, explicit: tuple[str, ...] = (), wanted: Wanted = Wanted()) -> None:  # noqa: B008 - frozen
        self.store, self.lists, self.source = store, Lists(*names), Source(lambda *_: ())
        self.told: list[frozenset[str]] = []
        audience = Audience([Route(Matcher(), ("team",))])
        budget = Budget(10_000.0)
        named = [self.watch(cluster(name)) for name in explicit]
        self.poller = Poller(named, store, audience, Cadence(0.01, 0.01, 60.0), self.told.append)
        self.survey = Survey(
            "prod", "p1", self.lists, budget, wanted, frozenset(f"id-of-{name}" for name in explicit), 0.02, self.watch
        )
        self.discovery = Discovery([self.survey], self.poller, store, audience, self.told.append)

    def watch(self, found: Cluster) -> Watch:
        return Watch(found, self.source, Budget(10_000.0))

    async def look(self, *names: str) -> list[tuple[Kind, str, int]]:
        if names:
            self.lists.say(*names)
        self.survey.every = 0.0
        taken = await self.discovery.look(self.survey)
        return [(event.kind, event.cluster.name, event.sequence) for event in taken.events]

    async def poll(self) -> None:
        for watch in self.poller.watches:
            await self.poller.poll(watch)

    async def shown(self) -> list[str]:
        return [row.cluster.name for row in await self.store.transact(lambda tx: tx.clusters())]

    @property
    def watched(self) -> list[str]:
        return sorted(watch.cluster.name for watch in self.poller.watches)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store("sqlite://").open()
    yield opened
    opened.close()


async def test_the_first_list_is_watched_and_not_told_and_who_comes_later_is_both(store: Store) -> None:
    bench = Bench(store, "a", "b")
    assert await bench.look() == []
    assert bench.watched == ["a", "b"]
    assert await bench.look("a", "b", "c") == [(Kind.CLUSTER_DISCOVERED, "c", 1)]
    assert bench.watched == ["a", "b", "c"]
    assert bench.told == [frozenset({"team"})]
    [row] = await store.transact(lambda tx: tx.deliveries())
    assert (row.kind, row.sink) == ("cluster.discovered", "team")


async def test_who_is_gone_is_told_once_and_polled_no_more(store: Store) -> None:
    bench = Bench(store, "a", "b")
    await bench.look()
    told = [await bench.look("a") for _ in range(ABSENCES + 2)]
    assert told == [[], [], [(Kind.CLUSTER_FORGOTTEN, "b", 1)], [], []]
    assert bench.watched == ["a"]
    for _ in range(3):
        await bench.poller.tick()
        await asyncio.sleep(0.02)
    await bench.poller.stop()
    assert {name for name, _ in bench.source.asked} == {"a"}


async def test_who_is_forgotten_is_shown_no_more_but_what_was_told_of_it_is(store: Store) -> None:
    bench = Bench(store, "a", "b")
    await bench.look()
    await bench.poll()
    assert await bench.shown() == ["a", "b"]
    for _ in range(ABSENCES):
        await bench.look("a")
    assert await bench.shown() == ["a"]
    [(_, event)] = await store.transact(lambda tx: tx.events(cluster="b"))
    assert event.kind is Kind.CLUSTER_FORGOTTEN
    await bench.look("a", "b")
    assert await bench.shown() == ["a", "b"]


async def test_whom_a_changed_filter_leaves_out_is_shown_no_more_but_for_whom_the_configuration_names(store: Store) -> None:
    bench = Bench(store, "a", "b", "c")
    await bench.look()
    await bench.poll()
    bench.survey.wanted, bench.survey.explicit = Wanted(name=("a",)), frozenset({"id-of-c"})
    assert await bench.look() == []
    assert await bench.shown() == ["a", "c"]
    bench.survey.wanted = Wanted()
    assert await bench.look() == []
    assert await bench.shown() == ["a", "b", "c"]


async def test_who_has_left_the_configuration_is_shown_no_more_until_it_is_back(store: Store) -> None:
    for names in (("a", "b"), ("b",), ("a", "b"), ()):
        bench = Bench(store, explicit=names)
        await bench.discovery.recall()
        await bench.poll()
        assert await bench.shown() == list(names)
        assert await store.transact(lambda tx: tx.cluster_counts()) == (len(names), 0)
        assert (await store.transact(lambda tx: tx.cluster("id-of-a"))) is not None, "what was told of it can still be read"


async def test_who_is_gone_for_so_long_that_the_list_forgets_it_is_still_not_shown(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(store, "a", "b")
    await bench.look()
    await bench.poll()
    for _ in range(ABSENCES):
        await bench.look("a")
    now = store.now()
    monkeypatch.setattr(store, "now", lambda: now + REMEMBERED * 2)
    await bench.look("a")
    assert (await store.transact(lambda tx: tx.roll("p1"))).members.keys() == {"id-of-a"}
    assert await bench.shown() == ["a"]


async def test_who_was_never_polled_before_it_went_is_not_shown_either(store: Store) -> None:
    bench = Bench(store, "a", "b")
    await bench.look()
    for _ in range(ABSENCES):
        await bench.look("a")
    assert await store.transact(lambda tx: tx.cluster("id-of-b")) is not None
    assert await bench.shown() == []


async def test_a_poll_that_is_under_way_when_its_cluster_goes_is_its_last(store: Store) -> None:
    bench = Bench(store, "a")
    await bench.look()
    go = asyncio.Event()
    fetch = bench.source.fetch

    async def slow(*asked: object) -> object:
        await go.wait()
        return await fetch(*asked)  # type: ignore[arg-type]  # as they came

    bench.source.fetch = slow  # type: ignore[method-assign,assignment]  # likewise
    await eventually(lambda: bench.poller.delay() <= 0)
    await bench.poller.tick()
    bench.poller.drop(bench.poller.watches)
    go.set()
    await eventually(lambda: not bench.poller._polls)
    assert len(bench.source.asked) == 2
    assert bench.poller.delay() == 1.0


async def test_a_list_that_cannot_be_had_is_not_no_clusters(store: Store) -> None:
    bench = Bench(store, "a")
    await bench.look()
    bench.lists.answer = DOWN
    for _ in range(ABSENCES + 1):
        with pytest.raises(FetchError):
            await bench.discovery.look(bench.survey)
    bench.lists.say(complete=False)
    for _ in range(ABSENCES + 1):
        await bench.discovery.look(bench.survey)
    assert bench.watched == ["a"]


async def test_what_was_discovered_survives_a_restart_even_if_the_list_does_not_answer(store: Store) -> None:
    await Bench(store, "a", "b").look()
    later = Bench(store)
    later.lists.answer = DOWN
    await later.discovery.recall()
    assert later.watched == ["a", "b"]
    assert await later.look("a", "b", "c") == [(Kind.CLUSTER_DISCOVERED, "c", 1)]
    assert await Bench(store).look("a", "b", "c") == []


async def test_after_a_restart_the_filter_and_the_named_clusters_of_the_new_configuration_count(store: Store) -> None:
    await Bench(store, "a", "b", "c").look()
    later = Bench(store, "a", "b", "c", explicit=("a",), wanted=Wanted(name=("a", "b")))
    await later.discovery.recall()
    assert later.watched == ["a", "b"]
    assert await later.look() == []
    assert later.watched == ["a", "b"]


async def test_a_named_cluster_is_never_forgotten(store: Store) -> None:
    bench = Bench(store, "a", "b", explicit=("a",))
    await bench.look()
    for _ in range(ABSENCES):
        await bench.look("b")
    assert bench.watched == ["a", "b"]


async def test_a_cluster_that_the_store_knows_already_is_no_news(store: Store) -> None:
    await store.transact(lambda tx: tx.save(cluster("old"), (Known(), 0), Known(sequence=3), ((), ()), 0.0))
    bench = Bench(store, "a")
    await bench.look()
    assert await bench.look("a", "old") == []
    assert bench.watched == ["a", "old"]
    for _ in range(ABSENCES - 1):
        assert await bench.look("a") == []
    assert await bench.look("a") == [(Kind.CLUSTER_FORGOTTEN, "old", 4)]
    assert await bench.look("a", "old") == [(Kind.CLUSTER_DISCOVERED, "old", 5)]


async def test_a_new_name_is_told_from_then_on(store: Store) -> None:
    bench = Bench(store, "a")
    await bench.look()
    [watch] = bench.poller.watches
    renamed = Cluster("id-of-a", "renamed", "cn-north-4", "prod", "p1", {"env": "prod"})
    bench.lists.answer = Listed((renamed,))
    assert await bench.look() == []
    assert bench.poller.watches == (watch,)
    assert watch.cluster == renamed


async def looked(bench: Bench, holds: Callable[[], bool]) -> None:
    """Tick as the clock would until something holds, then stop; a look that a stop broke off is due at once here."""
    bench.survey.due = min(bench.survey.due, time.monotonic())

    def ticked() -> bool:
        bench.discovery.tick()
        return holds()

    await eventually(ticked)
    await bench.discovery.stop()


async def test_looks_come_at_their_interval_and_sooner_after_a_failure(store: Store) -> None:
    bench = Bench(store, "a")
    # None is under way then, which the stop would break off.
    await looked(bench, lambda: bench.lists.asked >= 3 and not bench.survey.failures)
    assert bench.survey.failures == 0
    assert bench.survey.looked_at is not None
    bench.survey.every, bench.survey.due = 600.0, 0.0
    bench.lists.answer = DOWN
    began = time.monotonic()
    await looked(bench, lambda: bench.survey.failures == 1 and bench.survey.due < float("inf"))
    assert began + 4.0 < bench.survey.due < time.monotonic() + 6.0


@pytest.mark.parametrize("fault", [ZeroDivisionError(), StoreError("the disk is full")])
async def test_no_fault_ends_the_looks(store: Store, fault: Exception) -> None:
    bench = Bench(store, "a")
    bench.lists.answer = fault
    await looked(bench, lambda: bench.lists.asked >= 3)
    bench.lists.say("a")
    await looked(bench, lambda: bench.watched == ["a"])


async def test_a_stop_breaks_off_a_look(store: Store) -> None:
    bench = Bench(store)
    begun = asyncio.Event()

    async def never() -> Listed:
        begun.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    bench.lists.clusters = never  # type: ignore[method-assign]  # a list that never comes
    bench.discovery.tick()
    await begun.wait()
    await bench.discovery.stop()
    assert await store.transact(lambda tx: tx.roll("p1").wanted) is None
