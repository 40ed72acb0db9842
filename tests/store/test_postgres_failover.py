"""PostgreSQL fails over to its standby under an open store, which is not opened anew."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import store_postgres
from store_scenes import Scene, cluster, running

from notifier.domain.model import Action, Cluster, Event, Snapshot, Task
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.engine.budget import Budget
from notifier.engine.poller import Cadence, Poller
from notifier.engine.watch import Watch
from notifier.sources.contract import Answer
from notifier.store.errors import StoreError
from notifier.store.store import Store, Work

PATIENCE = 60.0


@pytest.fixture
def pair(postgres_server: str) -> Iterator[store_postgres.Pair]:  # noqa: ARG001 - where there is no server, it says so
    folder = store_postgres.binaries()
    if folder is None:
        pytest.skip("NO BINARIES OF POSTGRESQL: a failover is NOT tested")
    with store_postgres.pair(folder) as made:
        yield made


@asynccontextmanager
async def opened(pair: store_postgres.Pair) -> AsyncIterator[Store]:
    store = await asyncio.to_thread(Store(pair.url).open)
    try:
        yield store
    finally:
        await asyncio.to_thread(store.close)


async def insist(store: Store, work: Work[list[Event]]) -> list[Event]:
    """Hand it in until it is taken."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await store.transact(work)
            except StoreError:
                await asyncio.sleep(0.02)  # As the poller does, which comes again.


async def events(store: Store) -> list[Event]:
    return await insist(store, lambda tx: [event for _, event in tx.events()])


async def test_what_was_committed_outlives_the_server_that_committed_it(pair: store_postgres.Pair) -> None:
    scene = Scene()
    async with opened(pair) as store:
        told = await store.transact(scene.three_events())
        failing_over = asyncio.create_task(asyncio.to_thread(pair.fail_over))
        told += await insist(store, scene.see([running("t1", "n1", "n2")]))
        await failing_over
        told += await insist(store, scene.see([running("t1", "n1", "n2", "n3")]))
        assert [event.id for event in await events(store)] == [event.id for event in told]
        assert [event.sequence for event in told] == list(range(1, len(told) + 1))


class Script:
    """A source that says what the test says."""

    def __init__(self) -> None:
        self.tasks: tuple[Task, ...] = ()

    async def fetch(self, cluster: Cluster, action: Action, last: bytes | None = None) -> Answer:
        tasks = self.tasks if action is Action.UPGRADING else ()
        body = repr(tasks).encode()
        return Answer(body, None if body == last else Snapshot(cluster, action, tasks))


async def test_what_an_asynchronous_standby_never_had_is_told_again_under_the_same_ids(pair: store_postgres.Pair) -> None:
    async with opened(pair) as store:
        source = Script()
        watch = Watch(cluster(), source, Budget(1000.0))
        poller = Poller([watch], store, Audience([Route(Matcher(), ("team",))]), Cadence(), lambda _: None)

        async def polled_with(*tasks: Task) -> list[str]:
            source.tasks = tasks
            await poller._turn(watch)
            return [event.id for event in await events(store)]

        await polled_with(running("t1"))
        kept = await polled_with(running("t1", "n1"))
        await asyncio.to_thread(pair.lag)
        lost = await polled_with(running("t1", "n1", "n2"))
        assert len(lost) > len(kept)
        await asyncio.to_thread(pair.fail_over)
        assert [event.id for event in await events(store)] == kept
        assert await polled_with(running("t1", "n1", "n2")) == lost, "though the answer is the same"
