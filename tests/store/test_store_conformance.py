"""What a store promises, on SQLite and on a real PostgreSQL alike: one set of tests for both."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from store_scenes import NOW, Scene, cluster, driver, migrations, running

from notifier.domain.known import Known
from notifier.domain.model import Action, Status
from notifier.domain.outage import unreachable
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.store import schema
from notifier.store.errors import Fenced, StoreError
from notifier.store.store import Store
from notifier.store.transaction import Transaction


def test_an_empty_database_is_migrated_once_and_then_left_alone(empty_url: str) -> None:
    for expected in (None, schema.HEAD):
        store = Store(empty_url).open()
        store.close()
        assert store.schema_before == expected


def test_the_migrations_make_the_tables_that_the_code_believes_in(empty_url: str) -> None:
    Store(empty_url).open().close()
    engine = create_engine(driver(empty_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    engine.dispose()


def test_the_constant_names_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(migrations()).get_current_head() == schema.HEAD


def test_a_schema_of_a_newer_program_is_refused_and_kept(empty_url: str) -> None:
    url = empty_url
    Store(url).open().close()
    engine = create_engine(driver(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match="9999, which is newer"):
        Store(url).open()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    engine.dispose()


async def test_a_closed_store_says_so_and_may_be_closed_again(url: str) -> None:
    store = Store(url).open()
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.transact(lambda tx: tx.counts())


async def test_nothing_is_known_of_a_stranger(store: Store) -> None:
    assert await store.transact(lambda tx: tx.known(cluster())) == (Known(), 0)


async def test_what_is_saved_is_known_again_in_every_detail(store: Store) -> None:
    scene = Scene()
    seen: list[Known] = []

    def watch(tx: Transaction) -> None:
        before, version = tx.known(scene.subject)
        now = datetime.fromtimestamp(NOW, UTC)
        step = unreachable(before, scene.subject, ("server", "HTTP 503"), now, 0.0)
        tx.save(scene.subject, (before, version), step.known, (step.events, ()), NOW)
        seen.append(step.known)

    await store.transact(scene.three_events())
    await store.transact(scene.see([], action=Action.AZ_MIGRATION))
    await store.transact(watch)
    known, version = await store.transact(lambda tx: tx.known(scene.subject))
    assert known == seen[0]
    assert known.outage_told
    assert version == 5


async def test_saving_over_a_version_that_is_gone_is_fenced_and_writes_nothing(store: Store) -> None:
    scene = Scene()
    await store.transact(scene.three_events())
    events = await store.transact(lambda tx: tx.events())

    def late(tx: Transaction) -> None:
        before, version = tx.known(scene.subject)
        tx.save(scene.subject, (before, version - 1), replace(before, sequence=77), ((), ()), NOW)

    def unaware(tx: Transaction) -> None:
        tx.save(scene.subject, (Known(), 0), Known(sequence=77), ((), ()), NOW)

    for work in (late, unaware):
        with pytest.raises(Fenced):
            await store.transact(work)
    assert (await store.transact(scene.known)).sequence == 0
    assert await store.transact(lambda tx: tx.events()) == events


async def test_an_event_that_is_there_already_takes_the_whole_save_with_it(store: Store) -> None:
    scene = Scene()
    events = await store.transact(scene.three_events())
    before = await store.transact(lambda tx: tx.known(scene.subject))

    def twice(tx: Transaction) -> None:
        fresh = replace(events[0], id="fresh", sequence=99)
        tellings = (fresh, events[1])
        owed = Audience([Route(Matcher(), ("team",))]).plan(tellings, datetime.fromtimestamp(NOW, UTC))
        tx.save(scene.subject, tx.known(scene.subject), replace(before[0], sequence=5), (tellings, owed), NOW)

    with pytest.raises(StoreError) as failure:
        await store.transact(twice)
    assert "INSERT" not in str(failure.value)
    assert await store.transact(lambda tx: tx.known(scene.subject)) == before
    assert [event for _, event in await store.transact(lambda tx: tx.events())] == events


async def test_of_work_that_shares_a_commit_only_what_fails_is_undone(store: Store) -> None:
    def hold(tx: Transaction) -> None:
        tx.counts()

    def fail(tx: Transaction) -> None:
        tx.enrol("broken", "f", NOW)
        raise ValueError("mine alone")

    # All are handed in before the loop can run again, so they pile up behind the first.
    jobs: list[Awaitable[object]] = [store.transact(hold)]
    jobs += [store.transact(Scene(cluster(f"c{number}")).three_events()) for number in range(5)]
    jobs.insert(3, store.transact(fail))
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert [str(result) for result in results if isinstance(result, BaseException)] == ["mine alone"]
    assert len(await store.transact(lambda tx: tx.clusters())) == 5
    assert await store.transact(lambda tx: tx.sinks()) == {}


def _same(number: int, _tx: Transaction) -> int:
    return number


async def test_more_work_than_fits_one_commit_is_all_done(store: Store) -> None:
    results = await asyncio.gather(*(store.transact(partial(_same, number)) for number in range(250)))
    assert results == list(range(250))


async def test_work_that_nobody_waits_for_any_more_is_done_all_the_same(store: Store) -> None:
    waiting = asyncio.ensure_future(store.transact(Scene().three_events()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(await store.transact(lambda tx: tx.clusters())) == 1


async def test_people_see_clusters_by_name_with_their_tasks_newest_first(store: Store) -> None:
    for name in ("zeta", "alpha"):
        await store.transact(Scene(cluster(name)).three_events())
    await store.transact(Scene(cluster("alpha")).see([running("t1", "n1"), running("t2")], NOW + 60))
    rows = await store.transact(lambda tx: tx.clusters())
    assert [row.cluster.name for row in rows] == ["alpha", "zeta"]
    assert [known.task.id for _, known in rows[0].tasks] == ["t2", "t1"]
    assert rows[0].tasks[0][1].task.status == Status.RUNNING
    assert rows[0].changed_at == datetime.fromtimestamp(NOW + 60, UTC)
    assert rows[0].outage is None


async def test_people_find_events_by_cluster_kind_severity_and_position(store: Store) -> None:
    for name in ("zeta", "alpha"):
        await store.transact(Scene(cluster(name)).three_events())
    everything = await store.transact(lambda tx: tx.events())
    positions = [position for position, _ in everything]
    assert positions == sorted(positions)
    ours = await store.transact(lambda tx: tx.events(cluster="alpha"))
    assert ours == await store.transact(lambda tx: tx.events(cluster="id-of-alpha"))
    assert {event.cluster.name for _, event in ours} == {"alpha"}
    assert {event.kind for _, event in await store.transact(lambda tx: tx.events(kind="node.c*"))} == {"node.completed"}
    assert await store.transact(lambda tx: tx.events(kind="node_%")) == []
    assert await store.transact(lambda tx: tx.events(severity=50)) == []
    assert await store.transact(lambda tx: tx.events(after=positions[1])) == everything[2:]
    assert await store.transact(lambda tx: tx.events(limit=2)) == everything[-2:]
