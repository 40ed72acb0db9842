"""The two databases that every test of the store runs on."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import store_postgres
from psycopg import sql
from sqlalchemy import make_url

from notifier.store.schema import metadata
from notifier.store.store import Store

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server on which databases may be made."""
    if given := os.environ.get(store_postgres.URL_VARIABLE):
        yield given
        return
    folder = store_postgres.binaries()
    if folder is None:
        reason = f"NO POSTGRESQL: neither {store_postgres.URL_VARIABLE} nor server binaries; half of the store is NOT tested"
        if os.environ.get("NOTIFIER_REQUIRE_POSTGRES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with store_postgres.running(folder) as url:
        yield url


def _database(server: str) -> Iterator[str]:
    name = f"notifier_test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def postgres_empty(postgres_server: str) -> Iterator[str]:
    """The URL of a database without tables."""
    yield from _database(postgres_server)


@pytest.fixture(scope="session")
def postgres_migrated(postgres_server: str) -> Iterator[str]:
    """The URL of one database with our tables; emptying it is quicker than making one for each test."""
    for url in _database(postgres_server):
        Store(url).open().close()
        yield url


@pytest.fixture
def postgres_url(postgres_migrated: str) -> str:
    """The URL of a PostgreSQL database with our tables and nothing in them."""
    tables = sql.SQL(", ").join(sql.Identifier(name) for name in metadata.tables)
    with psycopg.connect(postgres_migrated, autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE {}").format(tables))
    return postgres_migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables, of both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/notifier.db"
    return str(request.getfixturevalue("postgres_empty"))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database to use, of both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/notifier.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An open store, on both databases."""
    opened = Store(url).open()
    yield opened
    opened.close()
