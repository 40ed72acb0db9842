"""What says how the store itself is: a write that proves that it takes writes, its size, what is owed by it."""

from dataclasses import dataclass

from sqlalchemy import func, select, text

from notifier.store import schema, statements
from notifier.store.rows import State
from notifier.store.session import Session

UNSETTLED = (State.PENDING.value, State.SENDING.value, State.DEAD.value)


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

    def owed(self) -> dict[str, Owed]:
        """What stands open, by sink. Reads by an index what is not settled, never what was delivered."""
        table = schema.delivery
        rows = self._run(
            select(table.c.sink, table.c.state, func.count(), func.min(table.c.created_at))
            .where(table.c.state.in_(UNSETTLED))
            .group_by(table.c.sink, table.c.state)
        )
        found: dict[str, Owed] = {}
        for sink, state, count, since in rows:
            before = found.get(sink, Owed())
            if state == State.DEAD.value:
                found[sink] = Owed(before.backlog, before.oldest, count)
            else:
                oldest = since if before.oldest is None else min(before.oldest, since)
                found[sink] = Owed(before.backlog + count, oldest, before.dead)
        return found

    def size(self) -> int:
        """Bytes of the database."""
        if self._dialect == "postgresql":
            return int(self._run(select(func.pg_database_size(func.current_database()))).scalar_one())
        pages, each = (self._run(text(f"PRAGMA {name}")).scalar_one() for name in ("page_count", "page_size"))
        return int(pages) * int(each)
