"""What is owed: lanes are claimed, their deliveries settled, given up, sent again.

A lane is claimed by raising its ``epoch``; every later write about it names that epoch and is refused with `Fenced` if somebody
else claimed it since. Leases only save work; the epoch is what is right.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, case, exists, func, insert, select, update

from notifier.domain.message import Receipt
from notifier.store import codec, schema
from notifier.store.errors import Fenced
from notifier.store.rows import Claim, State
from notifier.store.session import Session, moment

OPEN = (State.PENDING.value, State.SENDING.value)


class Lanes(Session):
    """The part of a transaction that the dispatcher uses."""

    def now(self, ours: float) -> float:
        """The clock that leases are judged by: the database's, where replicas could disagree; ``ours`` on SQLite."""
        if self._dialect != "postgresql":
            return ours
        return float(self._run(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())

    def release_lanes(self) -> None:
        """End all leases: for the one process that knows that no other is alive."""
        self._run(update(schema.lane).where(schema.lane.c.lease_until > 0).values(lease_until=0.0))

    def claim(self, sink: str, owner: str, limit: int, *, lease: float, now: float, early: bool = False) -> list[Claim]:
        """Take the heads of up to ``limit`` lanes of a sink that are due and free, oldest first, for ``lease`` seconds.

        ``early``: those that are not due yet as well, to see whether a sink works again.
        """
        table, instant = schema.lane, self.now(now)
        ready = table.c.next_at.is_not(None) if early else table.c.next_at <= instant
        due = (
            select(table.c.id, table.c.epoch, table.c.skipped, table.c.receipt)
            .where(table.c.sink == sink, ready, table.c.lease_until <= instant)
            .order_by(table.c.next_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        lanes = {row.id: row for row in self._run(due)}
        if not lanes:
            return []
        self._run(
            update(table)
            .where(table.c.id == bindparam("lane_id"))
            .values(owner=owner, epoch=table.c.epoch + 1, lease_until=instant + lease),
            [{"lane_id": lane} for lane in lanes],
        )
        heads = list(self._run(self._heads(list(lanes))))
        self._run(
            update(schema.delivery)
            .where(schema.delivery.c.id == bindparam("delivery_id"))
            # Until the outcome is written, whoever finds it like this must think that it may have got through.
            .values(state=State.SENDING.value, attempts=schema.delivery.c.attempts + 1, uncertain=True),
            [{"delivery_id": head.id} for head in heads],
        )
        return [_claim(head, lanes[head.lane]) for head in heads]

    def _heads(self, lanes: Sequence[str]) -> Any:
        owed, rival = schema.delivery, schema.delivery.alias("rival")
        first = select(func.min(rival.c.position)).where(rival.c.lane == owed.c.lane, rival.c.state.in_(OPEN)).scalar_subquery()
        return (
            select(owed, schema.event.c.body)
            .join(schema.event, schema.event.c.id == owed.c.event)
            .where(owed.c.lane.in_(lanes), owed.c.position == first)
        )

    def delivered(self, claim: Claim, receipt: Receipt, now: float) -> None:
        """Settle: it arrived. Raises `Fenced`."""
        document = codec.dump(codec.receipt, receipt.fields)
        self._settle(claim, now, {"receipt": document, "skipped": 0})
        self._conclude(claim, now, "delivered", state=State.DELIVERED, receipt=document, uncertain=False)

    def postponed(
        self,
        claim: Claim,
        until: float,
        now: float,
        *,
        outcome: str,
        reason: str,
        detail: str,
        uncertain: bool,
        counted: bool,
        receipt: Receipt | None = None,
    ) -> None:
        """Settle: try again at ``until``, with ``receipt`` as progress if this try made any. Raises `Fenced`."""
        self._settle(claim, now, {}, until)
        tries = claim.tries + counted
        changes = {
            "state": State.PENDING,
            "tries": tries,
            "uncertain": uncertain or claim.uncertain,
            "reason": reason,
            "detail": detail,
            **_progress(receipt),
        }
        self._conclude(claim, now, outcome, final=False, **changes)

    def buried(self, claim: Claim, now: float, *, outcome: str, reason: str, detail: str, receipt: Receipt | None = None) -> None:
        """Settle: given up, kept. With a ``receipt`` it has arrived in part, and was not skipped. Raises `Fenced`."""
        progress = _progress(receipt)
        self._settle(claim, now, {**progress, "skipped": 0} if progress else {"skipped": schema.lane.c.skipped + 1})
        self._conclude(claim, now, outcome, state=State.DEAD, reason=reason, detail=detail, **progress)

    def _settle(self, claim: Claim, now: float, changes: Mapping[str, Any], until: float | None = None) -> None:
        table, owed = schema.lane, schema.delivery
        self._hold([claim.lane])
        more = exists().where(owed.c.lane == claim.lane, owed.c.state.in_(OPEN), owed.c.id != claim.delivery)
        next_at: Any = case((more, now), else_=None) if until is None else until
        statement = (
            update(table)
            .where(table.c.id == claim.lane, table.c.epoch == claim.epoch)
            .values(lease_until=0.0, next_at=next_at, **changes)
        )
        if self._run(statement).rowcount != 1:
            raise Fenced(f"Lane {claim.lane} was taken over.")

    def _hold(self, lanes: Iterable[str]) -> None:
        """Lock lanes before asking what they owe.

        An UPDATE that has to wait for a row sees the row's new values but other tables as they were when it began (PostgreSQL,
        READ COMMITTED): it would put a lane to sleep that was owed more in the meantime. A later statement sees what is new.
        """
        table = schema.lane
        self._run(select(table.c.id).where(table.c.id.in_(list(lanes))).order_by(table.c.id).with_for_update()).all()

    def _conclude(self, claim: Claim, now: float, outcome: str, *, final: bool = True, **changes: Any) -> None:
        owed = schema.delivery
        self._run(update(owed).where(owed.c.id == claim.delivery).values(settled_at=now if final else None, **changes))
        record = {"delivery": claim.delivery, "number": claim.attempt, "ended_at": now, "outcome": outcome}
        record |= {"reason": changes.get("reason"), "detail": changes.get("detail")}
        self._run(insert(schema.attempt).values(**record))

    def next_due(self, sink: str) -> float | None:
        """When the next lane of a sink can be claimed; None while it owes nothing."""
        table = schema.lane
        free = case((table.c.lease_until > table.c.next_at, table.c.lease_until), else_=table.c.next_at)
        due = self._run(select(func.min(free)).where(table.c.sink == sink, table.c.next_at.is_not(None))).scalar()
        return None if due is None else float(due)

    def hasten(self, sink: str, now: float) -> int:
        """Make every waiting lane of a sink due now, because the sink works again; how many."""
        table = schema.lane
        return self._run(update(table).where(table.c.sink == sink, table.c.next_at > now).values(next_at=now)).rowcount

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
        self._wake(lanes, now)
        return len(rows)

    def _wake(self, lanes: Iterable[str], now: float) -> None:
        """Set the time of lanes whose deliveries were changed from outside: now if they owe anything, else never."""
        table, owed = schema.lane, schema.delivery
        more = exists().where(owed.c.lane == table.c.id, owed.c.state.in_(OPEN))
        self._run(update(table).where(table.c.id.in_(list(lanes))).values(next_at=case((more, now), else_=None)))

    def resend(self, now: float, *, ids: Sequence[str] | None = None, sink: str | None = None) -> list[str]:
        """Owe dead deliveries again: the named ones, or all (of a sink). Their ids stay. Returns those that were dead."""
        owed = schema.delivery
        chosen = select(owed.c.id, owed.c.lane, owed.c.sink).where(owed.c.state == State.DEAD.value)
        if ids is not None:
            chosen = chosen.where(owed.c.id.in_(ids))
        if sink is not None:
            chosen = chosen.where(owed.c.sink == sink)
        rows = list(self._run(chosen))
        if rows:
            self._hold({row.lane for row in rows})
            fresh = {"state": State.PENDING.value, "tries": 0, "created_at": now, "settled_at": None}
            self._run(update(owed).where(owed.c.id.in_([row.id for row in rows])).values(**fresh))
            self._wake({row.lane for row in rows}, now)
            # Whoever sends again has mended the sink: it is met as if its settings had changed.
            self._run(update(schema.sink).where(schema.sink.c.name.in_({row.sink for row in rows})).values(fingerprint=""))
        return [row.id for row in rows]


def _progress(receipt: Receipt | None) -> dict[str, Any]:
    return {} if receipt is None else {"receipt": codec.dump(codec.receipt, receipt.fields)}


def _claim(head: Any, lane: Any) -> Claim:
    return Claim(
        delivery=head.id,
        lane=head.lane,
        epoch=lane.epoch + 1,
        event=codec.event.validate_json(head.body),
        attempt=head.attempts + 1,
        tries=head.tries,
        uncertain=head.uncertain,
        created_at=moment(head.created_at),
        skipped=lane.skipped,
        last=_receipt(lane.receipt),
        progress=_receipt(head.receipt),
    )


def _receipt(document: str | None) -> Receipt | None:
    return None if document is None else Receipt(codec.receipt.validate_json(document))
