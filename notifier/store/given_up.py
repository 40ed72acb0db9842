"""What was owed for too long is given up, kept, and can be owed again."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import and_, exists, or_, select, update

from notifier.domain.holding import Merge
from notifier.store import schema
from notifier.store.lanes import Lanes
from notifier.store.rows import State

AT_ONCE = 1000
"""Deliveries named in one statement: databases bound how many values it may have."""


class GivenUp(Lanes):
    """The part of a transaction that gives up and sends again."""

    def expire(
        self,
        sink: str,
        created_before: float,
        now: float,
        *,
        reason: str,
        detail: str,
        abandoned: bool = False,
        limit: int = 500,
    ) -> int:
        """Give up what a sink has owed since before ``created_before`` and is not being sent; how many.

        ``abandoned``: nobody serves the sink, so also what was being sent when its sender's lease ran out. Else it is claimed
        once more, which shows whether it had arrived.
        """
        owed, table = schema.delivery, schema.lane
        left = exists().where(table.c.id == owed.c.lane, table.c.lease_until <= self.now(now))
        idle = owed.c.state == State.PENDING.value
        if abandoned:
            idle = or_(idle, and_(owed.c.state == State.SENDING.value, left))
        old = (owed.c.sink == sink, idle, owed.c.created_at < created_before)
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
            named = (owed.c.id.in_([row.id for row in some]), owed.c.state == State.DEAD.value)  # Somebody may have been quicker.
            self._run(update(owed).where(*named).values(**fresh))
            self._wake(lanes)
        if rows:
            # Whoever sends again has mended the sink: it is met as if its settings had changed.
            self._run(update(schema.sink).where(schema.sink.c.name.in_({row.sink for row in rows})).values(fingerprint=""))
        return [row.id for row in rows]
