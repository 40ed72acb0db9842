"""What every part of a transaction stands on: a connection, and which database it speaks to."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, func, select

from notifier.store import postgres, statements

COUNTED = {"preserve_rowcount": True}
"""Without it SQLAlchemy does not keep the count of an INSERT on psycopg."""

_HINT = select(func.pg_notify(postgres.CHANNEL, bindparam("sinks")))


def moment(seconds: float) -> datetime:
    """A stored moment, for people."""
    return datetime.fromtimestamp(seconds, UTC)


class Session:
    """A connection within a transaction. ``now`` arguments are seconds since 1970."""

    def __init__(self, connection: Connection) -> None:
        self._run = connection.execute
        self._dialect = connection.dialect.name
        self._upserts = statements.upserts(self._dialect)
        self._instant: float | None = None

    def _hint(self, sinks: Sequence[str]) -> None:
        """Tell the other replicas, once this is committed, that these sinks are owed news."""
        if self._dialect == "postgresql":
            self._run(_HINT, {"sinks": "\n".join(sinks)})
