"""Release N beside N+1 on one database: what the next migration may do, and that those who run already bear it."""

import asyncio
import itertools

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine.interfaces import ReflectedColumn
from store_scenes import NOW, Scene, arrived, claim, cluster, driver, migrations, running

from notifier.store.errors import StoreError
from notifier.store.rows import State
from notifier.store.schema import HEAD, metadata
from notifier.store.store import Store

FIRST = "0007"
"""The schema of the first edition; nobody runs an older one."""

Columns = dict[str, dict[str, ReflectedColumn]]


def _at(url: str, revision: str) -> Columns:
    """Every column of every table after the migration to a revision."""
    engine = create_engine(driver(url))
    config = migrations()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        found = inspect(connection)
        tables = {table: {column["name"]: column for column in found.get_columns(table)} for table in found.get_table_names()}
    engine.dispose()
    return tables


def _breaks(before: Columns, after: Columns) -> list[str]:
    """What a program that knows only the schema before would trip over."""
    found = [f"table {table} is gone" for table in before if table not in after]
    for table, columns in before.items():
        for name, now in after.get(table, {}).items():
            was = columns.get(name)
            if was is None and not now["nullable"] and now["default"] is None:
                found.append(f"{table}.{name} is new, must be given, and has no default")
            elif was is not None and (str(was["type"]), was["nullable"]) != (str(now["type"]), now["nullable"]):
                found.append(f"{table}.{name} has changed")
        found += [f"{table}.{name} is gone" for name in columns if name not in after.get(table, columns)]
    return found


def test_since_the_first_edition_migrations_only_add(postgres_empty: str) -> None:
    steps = [step.revision for step in ScriptDirectory.from_config(migrations()).walk_revisions(FIRST, HEAD)]
    seen = [_at(postgres_empty, revision) for revision in reversed(steps)]
    for earlier, later in itertools.pairwise(seen):
        assert _breaks(earlier, later) == []


def test_a_migration_that_takes_away_would_be_found(postgres_empty: str) -> None:
    before = _at(postgres_empty, HEAD)
    with psycopg.connect(postgres_empty, autocommit=True) as connection:
        connection.execute("ALTER TABLE sink DROP COLUMN failures")
        connection.execute("ALTER TABLE sink ADD COLUMN colour text")
        connection.execute("ALTER TABLE event ALTER COLUMN kind TYPE varchar(9)")
        connection.execute("ALTER TABLE cluster ADD COLUMN owner text NOT NULL")
        connection.execute("DROP TABLE pulse")
    assert sorted(_breaks(before, _at(postgres_empty, HEAD))) == [
        "cluster.owner is new, must be given, and has no default",
        "event.kind has changed",
        "sink.failures is gone",
        "table pulse is gone",
    ]


def _next_release(url: str) -> None:
    """What a migration of the next release may do, to every table at once."""
    with psycopg.connect(url) as connection:
        for table in metadata.tables:
            name = sql.Identifier(table)
            connection.execute(sql.SQL("ALTER TABLE {} ADD COLUMN of_next integer NOT NULL DEFAULT 7").format(name))
            connection.execute(sql.SQL("ALTER TABLE {} ADD COLUMN of_next_too text").format(name))
        connection.execute("CREATE TABLE of_next (id integer PRIMARY KEY)")
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


async def test_who_runs_goes_on_while_the_next_release_migrates_and_who_starts_is_refused(postgres_empty: str) -> None:
    one, other = Store(postgres_empty).open(), Store(postgres_empty).open()
    try:
        scene = Scene()
        await one.transact(scene.three_events())
        claims = await other.transact(claim(1))
        migrating = asyncio.create_task(asyncio.to_thread(_next_release, postgres_empty))
        while not migrating.done():
            await one.transact(lambda tx: tx.known(scene.subject))
        await migrating
        await other.transact(arrived(claims[0]))
        seen = await one.transact(scene.see([running("t1", "n1", "n2")], NOW + 60))
        await other.transact(Scene(cluster("logs")).three_events(NOW + 60))
        assert seen
        told = 0
        while claims := await other.transact(claim(now=NOW + 90)):
            for each in claims:
                await one.transact(arrived(each, NOW + 90))
            told += len(claims)
        assert await one.transact(lambda tx: tx.counts()) == {("team", State.DELIVERED): told + 1}
        with pytest.raises(StoreError, match="9999, which is newer"):
            Store(postgres_empty).open()
    finally:
        one.close()
        other.close()
