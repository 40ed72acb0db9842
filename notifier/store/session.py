"""What every part of a transaction stands on: a connection, and which database it speaks to."""

from datetime import UTC, datetime

from sqlalchemy import Connection

from notifier.store import statements

COUNTED = {"preserve_rowcount": True}
"""Without it SQLAlchemy does not keep the count of an INSERT on psycopg."""


def moment(seconds: float) -> datetime:
    """A stored moment, for people."""
    return datetime.fromtimestamp(seconds, UTC)


class Session:
    """A connection within a transaction. ``now`` arguments are seconds since 1970."""

    def __init__(self, connection: Connection) -> None:
        self._run = connection.execute
        self._dialect = connection.dialect.name
        self._upserts = statements.upserts(self._dialect)
