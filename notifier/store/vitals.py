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
    """What stands open with one sink: deliveries still owed, since when (None: nothing is), and given up."""

    backlog: int = 0
    oldest: float | None = None
    dead: int = 0


class Vitals(Session):
    """The part of a transaction that health and metrics use."""

    def beat(self, name: str, now: float) -> None:
        """Write that ``name`` is alive: one row each, written over and over."""
        statement = statements.upsert(self._dialect, schema.pulse).values(name=name, at=now)
        self._run(statement.on_conflict_do_update(index_elements=["name"], set_={"at": now}))

    def owed(self, sinks: Iterable[str]) -> dict[str, Owed]:
        """What stands open with each of some sinks, counted by an index and no further than `MOST_COUNTED`."""
        found: dict[str, Owed] = {}
        for sink in sinks:
            parts = [self._open(sink, state) for state in (State.PENDING, State.SENDING, State.DEAD)]
            (pending, since), (sending, begun), (dead, _) = parts
            found[sink] = Owed(pending + sending, min((at for at in (since, begun) if at is not None), default=None), dead)
        return found

    def _open(self, sink: str, state: State) -> tuple[int, float | None]:
        table = schema.delivery
        some = (
            select(table.c.created_at)
            .where(table.c.sink == sink, table.c.state == state.value)
            .limit(MOST_COUNTED + 1)
            .subquery()
        )
        count, since = self._run(select(func.count(), func.min(some.c.created_at)).select_from(some)).one()
        return count, since

    def size(self) -> int:
        """Bytes of the database."""
        if self._dialect == "postgresql":
            return int(self._run(select(func.pg_database_size(func.current_database()))).scalar_one())
        pages, each = (self._run(text(f"PRAGMA {name}")).scalar_one() for name in ("page_count", "page_size"))
        return int(pages) * int(each)
