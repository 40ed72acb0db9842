"""Every event that a poll commits says which two answers it follows from; what is unchanged goes on writing nothing."""

from collections.abc import Iterator
from hashlib import sha256

import pytest
from engine_scripts import Source, cluster, running

from notifier.domain.evidence import Evidence
from notifier.domain.model import Action, Event, Kind, Task
from notifier.domain.plan import Audience
from notifier.domain.stall import StallRule
from notifier.domain.timekeeping import Limits
from notifier.engine.budget import Budget
from notifier.engine.poller import Applied, Cadence, Poller
from notifier.engine.watch import Watch
from notifier.store.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store("sqlite://").open()
    yield opened
    opened.close()


class Cloud:
    """What the API says now, and a watch that looks at it; ``restarted`` gives another that knows what the store knows."""

    def __init__(self, store: Store, *tasks: Task, limits: Limits | None = None) -> None:
        self.store, self.tasks, self.limits = store, tasks, limits or Limits()
        self.restarted()

    def restarted(self) -> None:
        source = Source(lambda _, action: self.tasks if action is Action.UPGRADING else ())
        self.watch = Watch(cluster(), source, Budget(10_000.0), limits=self.limits)
        self.poller = Poller([self.watch], self.store, Audience([]), Cadence(0.0, 0.0, 300.0), lambda _: None)

    async def poll(self, *tasks: Task) -> tuple[Event, ...]:
        self.tasks = tasks or self.tasks
        self.applied: Applied | None = await self.poller.poll(self.watch)
        return () if self.applied is None else self.applied.events

    def digest(self) -> str:
        return sha256(repr(self.tasks).encode()).hexdigest()


def rests(event: Event) -> Evidence:
    assert event.evidence is not None
    return event.evidence


async def test_an_event_says_which_two_answers_it_follows_from(store: Store) -> None:
    cloud = Cloud(store, running())
    (started,) = await cloud.poll()
    first = cloud.digest()
    assert rests(started) == Evidence(rests(started).later)
    assert (rests(started).later.digest, rests(started).later.size) == (first, len(repr(cloud.tasks)))
    await cloud.poll()
    events = await cloud.poll(running("n1"))
    assert [event.kind for event in events] == [Kind.NODE_COMPLETED, Kind.NODE_STARTED]
    for event in events:
        found, earlier = rests(event), rests(event).earlier
        assert found.later.digest == cloud.digest()
        assert earlier is not None
        assert (earlier.digest, earlier.received_at) == (first, rests(started).later.received_at)
        assert earlier.same_until is not None
        assert earlier.received_at < earlier.same_until < found.later.received_at
        stored = await store.transact(lambda tx, told=event.id: tx.event(told))  # type: ignore[misc]  # bound now
        assert stored == event


async def test_after_a_restart_the_earlier_answer_is_known_and_how_long_it_was_the_same_is_not(store: Store) -> None:
    cloud = Cloud(store, running())
    await cloud.poll()
    await cloud.poll()
    first = cloud.digest()
    cloud.restarted()
    event, *_ = await cloud.poll(running("n1"))
    earlier = rests(event).earlier
    assert earlier is not None
    assert (earlier.digest, earlier.same_until) == (first, None)


async def test_a_restart_that_finds_the_same_answer_knows_how_long_it_was_the_same(store: Store) -> None:
    cloud = Cloud(store, running())
    (started,) = await cloud.poll()
    cloud.restarted()
    assert await cloud.poll() == ()
    event, *_ = await cloud.poll(running("n1"))
    earlier = rests(event).earlier
    assert earlier is not None
    assert earlier.received_at == rests(started).later.received_at
    assert earlier.same_until is not None


async def test_an_answer_that_brings_nothing_is_the_earlier_one_all_the_same(store: Store) -> None:
    """Another order of the list is another answer, but no news: nothing is written, and yet it is what was seen before."""
    one, other = running(), Task("t0", "SUCCESS", 1)
    cloud = Cloud(store, one, other)
    await cloud.poll()
    versions = [cloud.applied and cloud.applied.version]
    assert await cloud.poll(other, one) == ()
    versions.append(cloud.applied and cloud.applied.version)
    assert versions[0] == versions[1]
    turned = cloud.digest()
    event, *_ = await cloud.poll(other, running("n1"))
    earlier = rests(event).earlier
    assert earlier is not None
    assert earlier.digest == turned
    assert not cloud.watch.newest


async def test_a_task_that_vanished_follows_from_the_answer_that_lacked_it_first(store: Store) -> None:
    cloud = Cloud(store, running(), Task("t0", "SUCCESS", 1))
    await cloud.poll()
    listed = cloud.digest()
    events: tuple[Event, ...] = ()
    for _ in range(3):
        events = await cloud.poll(Task("t0", "SUCCESS", 1))
    (vanished,) = events
    found = rests(vanished)
    assert vanished.kind is Kind.TASK_VANISHED
    assert found.earlier is not None
    assert (found.earlier.digest, found.later.digest) == (listed, cloud.digest())
    assert found.later.same_until is not None
    assert found.later.same_until > found.later.received_at


async def test_what_time_tells_rests_on_the_newest_answer_alone(store: Store) -> None:
    cloud = Cloud(store, running(), limits=Limits(StallRule(floor=0.0, unknown=1e-6)))
    (started, *told) = await cloud.poll()
    events = told or await cloud.poll()
    (stalled,) = events
    assert (started.kind, stalled.kind) == (Kind.TASK_STARTED, Kind.TASK_STALLED)
    found = rests(stalled)
    assert (found.earlier, found.later.digest) == (None, cloud.digest())
    assert found.later.same_until is not None


async def test_an_unchanged_poll_computes_and_writes_nothing(store: Store) -> None:
    cloud = Cloud(store, running())
    await cloud.poll()
    before = await store.transact(lambda tx: tx.known(cluster()))
    assert before[0].answers.keys() == set(Action)
    assert await cloud.poll() == ()
    assert cloud.applied is None
    assert await store.transact(lambda tx: tx.known(cluster())) == before
    assert before[0].answers[Action.UPGRADING].later.digest == cloud.digest()
