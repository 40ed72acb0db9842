"""How PostgreSQL is reached: several hosts, limits on every wait, and hints from other replicas.

The URL is libpq's own, so ``postgresql://one:5432,two:5432/notifier?sslmode=verify-full`` names two hosts of which the one that
takes writes is used; what it says about a setting goes before ours.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext

from notifier.store.errors import StoreError

if TYPE_CHECKING:
    import psycopg

CHANNEL = "notifier"
"""Where it is said who is owed news."""

READ_ONLY = "25006"
"""SQLSTATE of a write that a standby refuses: a server that lost its role keeps its connections."""

LIMITS = {"statement_timeout": "10s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "15s"}
"""Set once connected, and not by ``options``, which PgBouncer refuses."""

LIMIT = "SELECT set_config(name, %s, false) FROM pg_settings WHERE name = %s AND source <> 'client'"
"""Unless the URL says otherwise."""

# Seconds, but tcp_user_timeout in milliseconds: postgresql.org/docs/current/libpq-connect.html
DEFAULTS: dict[str, Any] = {
    "target_session_attrs": "read-write",
    "connect_timeout": 5,
    "tcp_user_timeout": 15_000,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "notifier",
}

LISTEN_AGAIN = 5.0
"""Seconds until hints are asked for again after the connection was lost."""


def arguments(url: str) -> dict[str, Any]:
    """What to connect with.

    Raises:
        StoreError: The driver is not installed, or the URL is none.
    """
    try:
        from psycopg import ProgrammingError  # noqa: PLC0415 - an extra, which SQLite does without
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - likewise
    except ModuleNotFoundError:
        raise StoreError("PostgreSQL needs the extra `postgres`: pip install 'css-upgrade-notifier[postgres]'.") from None
    try:
        given = conninfo_to_dict(url)
    except ProgrammingError:
        # Its message may quote the password.
        raise StoreError("store: not a URL that PostgreSQL understands. Write postgresql://user@host/database.") from None
    return {**DEFAULTS, **given}


def shown(url: str) -> str:
    """A database's URL for people: hosts and name, without user, password and settings."""
    given = arguments(url)
    hosts, ports = str(given.get("host", "")).split(","), str(given.get("port", "")).split(",")
    ports += ports[-1:] * (len(hosts) - len(ports))
    pairs = (f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False))
    return f"postgresql://{','.join(pairs)}/{given.get('dbname', '')}"


def engine(url: str) -> Engine:
    """One connection, renewed when it breaks. Raises `StoreError`."""
    given = arguments(url)
    import psycopg  # noqa: PLC0415 - it is there, see above

    def connect() -> "psycopg.Connection[Any]":
        connection = psycopg.connect(**given)
        try:
            connection.cursor().executemany(LIMIT, [(value, name) for name, value in LIMITS.items()])
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    made = create_engine(
        "postgresql+psycopg://", creator=connect, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True
    )

    @event.listens_for(made, "handle_error")
    def forsake(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
            context.is_disconnect = True  # The next connection goes to whoever takes writes now.

    return made


async def listen(url: str, heard: Callable[[frozenset[str]], None]) -> None:
    """Call ``heard`` with the sinks that are owed news, whoever committed it, until cancelled.

    A hint and no more: hints are lost while the connection is, and a pool in transaction mode gives none. Whoever misses one
    looks for work by itself within a second.
    """
    import psycopg  # noqa: PLC0415 - as above

    given = arguments(url)
    while True:
        with suppress(psycopg.Error, OSError):
            async with await psycopg.AsyncConnection.connect(**given, autocommit=True) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                async for notice in connection.notifies():
                    heard(frozenset(notice.payload.split("\n")))
        await asyncio.sleep(LISTEN_AGAIN)
