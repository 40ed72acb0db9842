"""What says how the store itself is: a write that proves that it takes writes, its size, what is owed by it."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select, text

from notifier.store import schema, statements
from notifier.store.rows import State
from notifier.store.session import Session

MOST_COUNTED = 10_000
"""Deliveries of a sink in one state; more are not counted."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What stands open with one sink: deliveries that are due, since when (None: none is), and those given up."""

    backlog: int = 0
    oldest: float | None = None
    dead: int = 0


class Vitals(Session):
    """The part of a transaction that health and metrics use."""

    def beat(self, name: str, now: float) -> None:
        """Write that ``name`` is alive: one row each, written over and over."""
        statement = statements.upsert(self._dialect, schema.pulse).values(name=name, at=now)
        self._run(statement.on_conflict_do_update(index_elements=["name"], set_={"at": now}))

    def owed(self, sinks: Iterable[str], now: float) -> dict[str, Owed]:
        """What stands open with each of some sinks, found by an index and counted no further than `MOST_COUNTED`.

        What a digest or quiet hours hold back is not due, and not owed yet.
        """
        found: dict[str, Owed] = {}
        for sink in sinks:
            parts = [self._open(sink, state, now) for state in (State.PENDING, State.SENDING, State.DEAD)]
            (pending, since), (sending, begun), (dead, _) = parts
            found[sink] = Owed(pending + sending, min((at for at in (since, begun) if at is not None), default=None), dead)
        return found

    def _open(self, sink: str, state: State, now: float) -> tuple[int, float | None]:
        table = schema.delivery
        of_sink = (table.c.sink == sink, table.c.state == state.value, table.c.ready_at <= now)
        some = select(table.c.ready_at).where(*of_sink).limit(MOST_COUNTED + 1).subquery()
        count, since = self._run(select(func.count(), func.min(some.c.ready_at)).select_from(some)).one()
        return count, since

    def size(self) -> int:
        """Bytes of the database."""
        if self._dialect == "postgresql":
            return int(self._run(select(func.pg_database_size(func.current_database()))).scalar_one())
        pages, each = (self._run(text(f"PRAGMA {name}")).scalar_one() for name in ("page_count", "page_size"))
        return int(pages) * int(each)
