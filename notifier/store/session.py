"""What every part of a transaction stands on: a connection, and which database it speaks to."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, bindparam, func, select

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
        self._execute = connection.execute
        self._dialect = connection.dialect.name
        self._upserts = statements.upserts(self._dialect)
        self._instant: float | None = None
        self._later: dict[Any, list[dict[str, Any]]] = {}

    def _hint(self, sinks: Sequence[str]) -> None:
        """Tell the other replicas, once this is committed, that these sinks are owed news."""
        if self._dialect == "postgresql":
            self._execute(_HINT, {"sinks": "\n".join(sinks)})

    def _put(self, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
        """Write rows later, with those of others that want the same. ``statement``: one that is built once."""
        if rows:
            self._later.setdefault(statement, []).extend(rows)

    def _run(self, *arguments: Any, **options: Any) -> CursorResult[*tuple[Any, ...]]:
        """Execute a statement, after all that was put off: it may ask for what that writes."""
        self.flush()
        return self._execute(*arguments, **options)

    def flush(self) -> None:
        """Write what was put off; called before the commit."""
        waiting, self._later = self._later, {}
        for statement, rows in waiting.items():
            self._execute(statement, rows)
