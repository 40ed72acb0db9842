"""What was owed for too long is given up, kept, and can be owed again."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import select, update

from notifier.domain.holding import Merge
from notifier.store import schema
from notifier.store.lanes import Lanes
from notifier.store.rows import State

AT_ONCE = 1000
"""Deliveries named in one statement: databases bound how many values it may have."""


class GivenUp(Lanes):
    """The part of a transaction that gives up and sends again."""

    def expire(self, sink: str, created_before: float, now: float, *, reason: str, detail: str, limit: int = 500) -> int:
        """Give up what a sink has owed since before ``created_before`` and is not being sent; how many."""
        owed, table = schema.delivery, schema.lane
        old = (owed.c.sink == sink, owed.c.state == State.PENDING.value, owed.c.created_at < created_before)
        lanes = list(self._run(select(owed.c.lane).where(*old).distinct().limit(limit)).scalars())
        if not lanes:
            return 0
        self._hold(lanes)
        rows = list(self._run(select(owed.c.id, owed.c.lane).where(*old, owed.c.lane.in_(lanes)).limit(limit)))
        values = {"state": State.DEAD.value, "settled_at": now, "reason": reason, "detail": detail}
        self._run(update(owed).where(owed.c.id.in_([row.id for row in rows])).values(**values))
        for lane, count in Counter(row.lane for row in rows).items():
            self._run(update(table).where(table.c.id == lane).values(skipped=table.c.skipped + count))
        self._wake(lanes)
        return len(rows)

    def resend(self, now: float, *, ids: Sequence[str] | None = None, sink: str | None = None) -> list[str]:
        """Owe dead deliveries again: the named ones, or all (of a sink). Their ids stay. Returns those that were dead."""
        owed = schema.delivery
        # A reminder of what may be over by now is not news.
        chosen = select(owed.c.id, owed.c.lane, owed.c.sink).where(owed.c.state == State.DEAD.value, owed.c.reminder == 0)
        if ids is not None:
            chosen = chosen.where(owed.c.id.in_(ids))
        if sink is not None:
            chosen = chosen.where(owed.c.sink == sink)
        rows = list(self._run(chosen.order_by(owed.c.lane)))
        fresh = {"state": State.PENDING.value, "tries": 0, "created_at": now, "ready_at": now, "settled_at": None}
        fresh |= {"batch": None, "merge": Merge.NEVER.value}
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            lanes = {row.lane for row in some}
            self._hold(lanes)
            self._run(update(owed).where(owed.c.id.in_([row.id for row in some])).values(**fresh))
            self._wake(lanes)
        if rows:
            # Whoever sends again has mended the sink: it is met as if its settings had changed.
            self._run(update(schema.sink).where(schema.sink.c.name.in_({row.sink for row in rows})).values(fingerprint=""))
        return [row.id for row in rows]
