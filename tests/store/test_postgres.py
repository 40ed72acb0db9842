"""How PostgreSQL is reached: hosts, limits, standbys, restarts and hints."""

import asyncio
import sys

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from store_scenes import Scene

from notifier.store import postgres
from notifier.store.errors import StoreError, StoreFull
from notifier.store.store import Store, _readable
from notifier.store.transaction import Transaction


def test_our_limits_hold_unless_the_url_says_otherwise() -> None:
    given = postgres.arguments("postgresql://u:sesame@h/db?connect_timeout=2")
    assert (given["connect_timeout"], given["tcp_user_timeout"], given["target_session_attrs"]) == ("2", 15000, "read-write")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:sesame@one:5432,two:5433/db?sslmode=require", "postgresql://one:5432,two:5433/db"),
        ("postgresql://u:sesame@one,two/db", "postgresql://one,two/db"),
        ("postgresql:///db?host=/run/postgresql&password=sesame", "postgresql:///run/postgresql/db"),
        ("postgresql://one:5432/db", "postgresql://one:5432/db"),
    ],
)
def test_a_database_is_named_by_its_hosts_alone(url: str, shown: str) -> None:
    assert postgres.shown(url) == shown


def test_a_url_that_is_none_is_refused_without_quoting_it() -> None:
    with pytest.raises(StoreError, match="not a URL that PostgreSQL understands") as refusal:
        Store("postgresql://user:%zzsesame@host/db").open()
    assert "sesame" not in str(refusal.value)


def test_a_disk_without_room_is_told_from_other_refusals() -> None:
    said = "could not extend file: No space left on device\nHINT: Check free disk space."
    with pytest.raises(StoreFull, match="The disk under postgresql://one/db is full"), _readable(Store("postgresql://one/db")):
        raise DBAPIError("INSERT", None, Exception(said))


async def test_of_several_hosts_the_one_that_answers_is_used(postgres_url: str) -> None:
    store = Store(postgres_url.replace("@127.0.0.1", "@127.0.0.1:1,127.0.0.1")).open()
    try:
        assert await store.transact(lambda tx: tx.counts()) == {}
    finally:
        store.close()


@pytest.mark.parametrize(("said", "statement"), [("", "10s"), ("?options=-c%20statement_timeout%3D30s", "30s")])
async def test_a_session_has_limits_on_every_wait(postgres_url: str, said: str, statement: str) -> None:
    store = Store(postgres_url + said).open()
    try:
        assert await store.transact(limits) == [statement, "5s", "15s"]
    finally:
        store.close()


def limits(tx: Transaction) -> list[str]:
    """How long a session waits at the most, for each thing it may wait for."""
    return [tx._run(text(f"SHOW {name}")).scalar_one() for name in postgres.LIMITS]


async def test_a_server_that_lost_its_role_is_left_for_the_one_that_takes_writes(postgres_url: str) -> None:
    """A switched-over server keeps its connections and refuses their writes; only a new connection finds its heir."""
    store = Store(postgres_url).open()
    try:
        await store.transact(lambda tx: tx._run(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")))
        with pytest.raises(StoreError, match="read-only"):
            await store.transact(Scene().three_events())
        assert await store.transact(Scene().three_events())
    finally:
        store.close()


async def test_a_commit_whose_answer_never_came_is_not_assumed_to_have_failed(postgres_url: str) -> None:
    """Two pieces of work share a commit that is kept though it seems to fail: run again, each finds what is there."""
    store = Store(postgres_url).open()
    scenes = [Scene(), Scene()]
    broken = [True]

    def look(scene: Scene) -> object:
        def work(tx: Transaction) -> int:
            events = scene.three_events()(tx)
            if broken and scene is scenes[1]:
                broken.pop()
                tx._run(text("COMMIT"))  # It is kept …
                tx._run(text("SELECT pg_terminate_backend(pg_backend_pid())"))  # … and the connection breaks.
            return len(events)

        return work

    try:
        await asyncio.gather(*(store.transact(look(scene)) for scene in scenes), return_exceptions=True)  # type: ignore[arg-type]  # a work
        events = [event.id for _, event in await store.transact(lambda tx: tx.events())]
        assert len(events) == len(set(events)) == 4
        assert store.doubts > 0
    finally:
        store.close()


async def test_news_is_hinted_to_the_others_once_it_is_committed(postgres_url: str) -> None:
    store = Store(postgres_url).open()
    heard: asyncio.Queue[frozenset[str]] = asyncio.Queue()
    listener = asyncio.create_task(postgres.listen(postgres_url, heard.put_nowait))
    try:
        async with asyncio.timeout(60):
            with psycopg.connect(postgres_url, autocommit=True) as connection:
                listening = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND state = 'idle'"
                while not connection.execute(listening).fetchone():  # noqa: ASYNC110 - only asking tells
                    await asyncio.sleep(0.01)
            await store.transact(Scene(sinks=("team", "hook")).three_events())
            assert await heard.get() == {"team", "hook"}
    finally:
        listener.cancel()
        store.close()


async def test_hints_are_asked_for_again_after_the_connection_broke(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LISTEN_AGAIN", 0.01)
    heard: asyncio.Queue[frozenset[str]] = asyncio.Queue()
    listener = asyncio.create_task(postgres.listen(postgres_url, heard.put_nowait))
    try:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            async with asyncio.timeout(60):
                while not connection.execute(ended).fetchone():  # noqa: ASYNC110 - only asking tells
                    await asyncio.sleep(0.01)
                while heard.empty():
                    connection.execute("SELECT pg_notify(%s, 'team')", [postgres.CHANNEL])
                    await asyncio.sleep(0.02)
        assert heard.get_nowait() == {"team"}
    finally:
        listener.cancel()


def test_postgresql_without_its_driver_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match="extra `postgres`"):
        Store("postgresql://user@host/db").open()
