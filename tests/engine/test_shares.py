"""The beat of a replica: it polls what is its own, takes its part of the rate, and stops when its lease is over."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from engine_scripts import CountingStore, Source, cluster, eventually

from notifier.domain.errors import FetchError, FetchReason
from notifier.domain.plan import Audience
from notifier.engine import poller as polling
from notifier.engine import shares as sharing
from notifier.engine.budget import Budget
from notifier.engine.poller import Cadence, Poller
from notifier.engine.shares import BEAT, LEASE, Seat, Shares
from notifier.engine.watch import Watch
from notifier.store.errors import StoreError


@pytest.fixture
def store() -> Iterator[CountingStore]:
    opened = CountingStore("sqlite://")
    opened.open()
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "ELSEWHERE", 0.01)


class Replica:
    """A poller of ten clusters with its place among the others; it beats when told to."""

    def __init__(self, store: CountingStore, name: str) -> None:
        self.source = Source(lambda *_: ())
        self.budget = Budget(100.0)
        watches = [Watch(cluster(f"c{number}"), self.source, self.budget) for number in range(10)]
        self.poller = Poller(watches, store, Audience([]), Cadence(0.01, 0.01, 0.0), lambda _: None)
        self.shares = Shares(Seat(name, ("team",)), store, self.poller)

    @property
    def held(self) -> set[str]:
        return {watch.cluster.name for watch in self.poller.watches if self.poller.holds(watch)}

    @asynccontextmanager
    async def ticking(self) -> AsyncIterator[None]:
        async def tick() -> None:
            while True:
                await self.poller.tick()
                await asyncio.sleep(0.002)

        task = asyncio.create_task(tick())
        try:
            yield
        finally:
            task.cancel()
            await self.poller.stop()

    def polled(self) -> set[str]:
        return {name for name, _ in self.source.asked}


async def test_each_replica_polls_its_own_clusters_and_no_others(store: CountingStore) -> None:
    one, two = Replica(store, "one"), Replica(store, "two")
    for replica in (one, two, one, two):
        await replica.shares.attend()
    assert len(one.held) == len(two.held) == 5
    async with one.ticking(), two.ticking():
        await eventually(lambda: one.polled() == one.held and two.polled() == two.held)
        await two.shares.leave()
        await one.shares.attend()
        one.source.asked.clear()
        await eventually(lambda: len(one.polled()) == 10)
        two.source.asked.clear()
        await eventually(lambda: len(one.source.asked) > 100)
        assert len(two.source.asked) <= 1, "one may have been under way"


async def test_replicas_divide_the_rate_of_a_project_as_they_divide_its_clusters(store: CountingStore) -> None:
    one, two = Replica(store, "one"), Replica(store, "two")
    await one.shares.attend()
    assert one.budget._gap == pytest.approx(0.01)
    for replica in (two, one, two):
        await replica.shares.attend()
    assert one.budget._gap == two.budget._gap == pytest.approx(0.02)


async def test_who_cannot_renew_its_lease_polls_nothing_until_it_can(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    for module in (polling, sharing):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    replica = Replica(store, "one")
    await replica.shares.attend()
    now += LEASE - 0.1
    store.sick = True
    with pytest.raises(StoreError):
        await replica.shares.attend()
    await replica.shares.beat()
    assert replica.held, "the lease is not over yet"
    before = replica.shares.lapsed
    now += 0.2
    assert (before, replica.shares.lapsed) == (False, True)
    assert replica.held == set()
    store.sick = False
    await replica.shares.beat()
    assert len(replica.held) == 10


async def test_what_changed_hands_is_read_again_from_the_store(store: CountingStore) -> None:
    replica = Replica(store, "one")
    await replica.shares.attend()
    watch = replica.poller.watches[0]
    await replica.poller.poll(watch)
    assert all(listing.body for listing in watch.listings)
    await replica.shares.attend()
    assert all(listing.body for listing in watch.listings), "nothing changed hands"
    await store.transact(lambda tx: tx.leave("one"))
    await replica.shares.attend()
    assert not any(listing.body for listing in watch.listings)


async def test_a_cluster_that_is_watched_from_now_on_is_shared_at_the_next_beat(store: CountingStore) -> None:
    replica = Replica(store, "one")
    await replica.shares.attend()
    new = Watch(cluster("new"), replica.source, replica.budget)
    replica.poller.watches = (*replica.poller.watches, new)
    assert not replica.poller.holds(new)
    await replica.shares.attend()
    assert replica.poller.holds(new)


async def test_a_stop_that_the_store_does_not_hear_of_ends_all_the_same(store: CountingStore) -> None:
    replica = Replica(store, "one")
    await replica.shares.attend()
    store.sick = True
    await replica.shares.leave()
    assert replica.held == set()


def test_a_beat_is_soon_enough_for_a_takeover_within_the_lease_and_five_seconds() -> None:
    assert Seat("one").beat == BEAT
    assert BEAT + polling.ELSEWHERE < 5
    assert Seat("one", lease=3.0).beat == 0.5


async def test_polls_cost_no_transaction_for_being_shared(store: CountingStore) -> None:
    replica = Replica(store, "one")
    await replica.shares.attend()
    for watch in replica.poller.watches:
        await replica.poller.poll(watch)
    before = store.transactions
    async with replica.ticking():
        asked = len(replica.source.asked)
        await eventually(lambda: len(replica.source.asked) > asked + 100)
    assert store.transactions == before


async def test_what_one_replica_is_refused_no_other_asks_until_it_has_asked_again(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five refusals lock a key for minutes, and replicas share a key."""
    one, two = Replica(store, "one"), Replica(store, "two")
    for replica in (one, two, one, two):
        await replica.shares.attend()
    refused = FetchError(FetchReason.REFUSED, "HTTP 401", retry_after=100.0)
    one.source.script = lambda *_: refused
    (watch, *_) = (watch for watch in one.poller.watches if one.poller.holds(watch))
    now, at = store.now(), time.monotonic()
    monkeypatch.setattr(store, "now", lambda: now)
    for replica in (one, two):
        monkeypatch.setattr(replica.budget, "_clock", lambda: at)
    await one.poller.poll(watch)
    await one.shares.attend()
    await two.shares.attend()
    theirs = next(watch for watch in two.poller.watches if two.poller.holds(watch))
    await two.poller.poll(theirs)
    assert two.source.asked == []
    assert theirs.failures == 1, "it is a failed poll all the same"
    assert one.budget.standstill is not None
    assert two.budget.standstill is None, "what was heard is not told on"
    left = two.budget._blocked_until - one.budget._blocked_until
    assert left == pytest.approx(2 * BEAT)
