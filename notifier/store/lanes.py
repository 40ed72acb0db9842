"""What is owed: lanes are claimed, their deliveries settled, given up, sent again.

A lane is claimed by raising its ``epoch``; every later write about it names that epoch and is refused with `Fenced` if somebody
else claimed it since. Leases only save work; the epoch is what is right.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, case, exists, func, insert, or_, select, update

from notifier.domain.holding import Merge
from notifier.domain.message import Receipt
from notifier.store import codec, schema
from notifier.store.errors import Fenced
from notifier.store.rows import Along, Claim, Held, State
from notifier.store.session import Session, moment

LATE = 600.0
"""Seconds after which what is still owed is old news, and may be told along with newer."""

MOST_TOGETHER = 100
"""Deliveries in one message, at the most."""

OPEN = (State.PENDING.value, State.SENDING.value)

_CLOCK = select(func.extract("epoch", func.clock_timestamp()))


class Lanes(Session):
    """The part of a transaction that the dispatcher uses."""

    def now(self, ours: float) -> float:
        """The clock that leases are judged by: the database's, where replicas could disagree; ``ours`` on SQLite.

        Asked once a transaction: a moment that is a little old ends no lease too early.
        """
        if self._dialect != "postgresql":
            return ours
        if self._instant is None:
            self._instant = float(self._run(_CLOCK).scalar_one())
        return self._instant

    def release_lanes(self) -> None:
        """End all leases: for the one process that knows that no other is alive."""
        self._run(update(schema.lane).where(schema.lane.c.lease_until > 0).values(lease_until=0.0))

    def disown(self, sink: str, owner: str, keep: Collection[str]) -> None:
        """End the leases of ``owner`` on lanes of a sink, but for those it knows of: it cannot tell whether it claimed others."""
        table = schema.lane
        lost = (table.c.sink == sink, table.c.owner == owner, table.c.lease_until > 0, table.c.id.not_in(keep))
        self._run(update(table).where(*lost).values(lease_until=0.0))

    def recorded(self, claim: Claim) -> bool:
        """Whether the outcome of a claim was written, which is not known where the connection broke while it was."""
        tried = schema.attempt
        found = select(tried.c.number).where(tried.c.delivery == claim.delivery, tried.c.number == claim.attempt)
        return self._run(found).first() is not None

    def claim(
        self, sink: str, owner: str, limit: int, *, lease: float, now: float, early: bool = False, urgent_first: bool = False
    ) -> list[Claim]:
        """Take up to ``limit`` lanes of a sink that are due and free, for ``lease`` seconds, each with what it owes next.

        The longest due come first. ``early``: those that wait after a failure as well, to see whether a sink works again.
        ``urgent_first``: before them come lanes that owe what is never merged, such as a failure or an end; for a sink whose
        messages queue up, since it takes only so many a second.
        """
        table, instant = schema.lane, self.now(now)
        queue = [self._calm(), table.c.next_at] if urgent_first else [table.c.next_at]
        ready = or_(table.c.next_at <= instant, table.c.retry_at.is_not(None)) if early else table.c.next_at <= instant
        due = (
            select(table.c.id, table.c.epoch, table.c.skipped, table.c.receipt)
            .where(table.c.sink == sink, ready, table.c.lease_until <= instant)
            .order_by(*queue)
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
        messages = [self._together(head, instant - LATE) for head in self._run(self._heads(list(lanes))).all()]
        self._run(
            update(schema.delivery)
            .where(schema.delivery.c.id == bindparam("delivery_id"))
            # Until the outcome is written, whoever finds it like this must think that it may have got through. A try that may
            # have is repeated with the very same deliveries, under the same id.
            .values(
                state=State.SENDING.value, attempts=schema.delivery.c.attempts + 1, uncertain=True, batch=bindparam("batch_id")
            ),
            [{"delivery_id": row.id, "batch_id": rows[-1].id} for rows in messages for row in rows],
        )
        return [_claim(rows, lanes[rows[0].lane]) for rows in messages]

    def _calm(self) -> Any:
        """0 for a lane that owes something urgent, else 1."""
        owed = schema.delivery
        urgent = exists().where(owed.c.lane == schema.lane.c.id, owed.c.state.in_(OPEN), owed.c.merge == Merge.NEVER.value)
        return case((urgent, 0), else_=1)

    def _heads(self, lanes: Sequence[str]) -> Any:
        owed, rival = schema.delivery, schema.delivery.alias("rival")
        first = select(func.min(rival.c.position)).where(rival.c.lane == owed.c.lane, rival.c.state.in_(OPEN)).scalar_subquery()
        return (
            select(owed, schema.event.c.body)
            .join(schema.event, schema.event.c.id == owed.c.event)
            .where(owed.c.lane.in_(lanes), owed.c.position == first)
        )

    def _together(self, head: Any, late_before: float) -> list[Any]:
        """What the head of a lane is told with: what was tried together before, else what follows while it may be merged."""
        late = head.created_at < late_before
        if head.batch == head.id or (head.batch is None and not _merges(head, late=late)):
            return [head]
        owed = schema.delivery
        rows = self._run(
            select(owed, schema.event.c.body)
            .join(schema.event, schema.event.c.id == owed.c.event)
            .where(owed.c.lane == head.lane, owed.c.state.in_(OPEN))
            .order_by(owed.c.position)
            .limit(MOST_TOGETHER)
        ).all()
        if head.batch is not None:
            return [row for row in rows if row.batch == head.batch]
        together = [rows[0]]
        for row in rows[1:]:
            # Where the first is late, so is the lane: what is newer waited behind it, and would go out as late one by one.
            if not _merges(together[-1], late=late):
                break
            together.append(row)
        return together

    def delivered(self, claim: Claim, receipt: Receipt, now: float) -> None:
        """Settle: it arrived, with all that was told along. Raises `Fenced`."""
        document = codec.dump(codec.receipt, receipt.fields)
        self._settle(claim, {"receipt": document, "skipped": 0})
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
        if not claim.earlier and self._lapsed(claim):
            self._settle(claim, {})
            self._conclude(claim, now, outcome, state=State.OVER, reason=reason, detail=detail)
            return
        self._settle(claim, {}, until)
        uncertain = uncertain or claim.uncertain
        changes: dict[str, Any] = {
            "tries": claim.tries + counted,
            "uncertain": uncertain,
            "reason": reason,
            "detail": detail,
            **_progress(receipt),
        }
        # What surely has not arrived, not even in part, may be told in other company next time.
        if not uncertain and receipt is None:
            changes["batch"] = None
        self._conclude(claim, now, outcome, state=State.PENDING, final=False, **changes)

    def _lapsed(self, claim: Claim) -> bool:
        """Whether what is claimed is a reminder that ceased to be owed while it was being sent."""
        owed = schema.delivery
        state = select(owed.c.state).where(owed.c.id == claim.delivery)
        return claim.reminder > 0 and self._run(state).scalar() == State.OVER.value

    def parted(self, claim: Claim, now: float, *, outcome: str, reason: str, detail: str) -> None:
        """Settle: refused as one message, so each is tried by itself from now on. Raises `Fenced`."""
        self._settle(claim, {}, now)
        changes = {"uncertain": claim.uncertain, "batch": None, "merge": Merge.NEVER.value, "reason": reason, "detail": detail}
        self._conclude(claim, now, outcome, state=State.PENDING, final=False, **changes)

    def buried(self, claim: Claim, now: float, *, outcome: str, reason: str, detail: str, receipt: Receipt | None = None) -> None:
        """Settle: given up, kept. With a ``receipt`` it has arrived in part, and was not skipped. Raises `Fenced`."""
        progress = _progress(receipt)
        skipped = schema.lane.c.skipped + len(claim.deliveries)
        self._settle(claim, {**progress, "skipped": 0} if progress else {"skipped": skipped})
        self._conclude(claim, now, outcome, state=State.DEAD, reason=reason, detail=detail, **progress)

    def _settle(self, claim: Claim, changes: Mapping[str, Any], until: float | None = None) -> None:
        table, owed = schema.lane, schema.delivery
        self._hold([claim.lane])
        rest = select(func.min(owed.c.ready_at)).where(
            owed.c.lane == claim.lane, owed.c.state.in_(OPEN), owed.c.id.not_in(claim.deliveries)
        )
        statement = (
            update(table)
            .where(table.c.id == claim.lane, table.c.epoch == claim.epoch)
            .values(lease_until=0.0, next_at=rest.scalar_subquery() if until is None else until, retry_at=until, **changes)
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

    def _conclude(self, claim: Claim, now: float, outcome: str, *, state: State, final: bool = True, **changes: Any) -> None:
        owed = schema.delivery
        stands: dict[str, Any] = {"state": state, "settled_at": now}
        if not final:
            # A reminder that lapsed while it was being sent is owed no more; what was told along with it is news, and still is.
            over = owed.c.state == State.OVER.value
            stands = {"state": case((over, State.OVER.value), else_=state.value), "settled_at": case((over, now))}
        self._run(update(owed).where(owed.c.id.in_(claim.deliveries)).values(**stands, **changes))
        said = {"ended_at": now, "outcome": outcome, "reason": changes.get("reason"), "detail": changes.get("detail")}
        along = {"detail": said["detail"] or f"told along with {claim.delivery}"}
        records = [{**said, **along, "delivery": each.delivery, "number": each.attempt} for each in claim.earlier]
        self._run(insert(schema.attempt), [*records, {**said, "delivery": claim.delivery, "number": claim.attempt}])

    def next_due(self, sink: str) -> float | None:
        """When the next lane of a sink can be claimed; None while it owes nothing."""
        table = schema.lane
        free = case((table.c.lease_until > table.c.next_at, table.c.lease_until), else_=table.c.next_at)
        due = self._run(select(func.min(free)).where(table.c.sink == sink, table.c.next_at.is_not(None))).scalar()
        return None if due is None else float(due)

    def waits(self, sink: str, now: float) -> bool:
        """Whether something waits for its next try after a failure."""
        table = schema.lane
        waiting = select(table.c.id).where(table.c.sink == sink, table.c.retry_at > self.now(now)).limit(1)
        return self._run(waiting).first() is not None

    def hold(self, sink: str, owner: str, field: str, *, lease: float, now: float) -> list[Held]:
        """Take every free lane of a sink whose newest receipt has a field, for ``lease`` seconds, as `claim` does."""
        table, instant = schema.lane, self.now(now)
        # The receipt is JSON of texts: a quotation mark within one would be escaped.
        named = table.c.receipt.like(f'%"{field}":%')
        free = (
            select(table.c.id, table.c.epoch, table.c.receipt)
            .where(table.c.sink == sink, named, table.c.lease_until <= instant)
            .order_by(table.c.id)
            .with_for_update(skip_locked=True)
        )
        lanes = self._run(free).all()
        if lanes:
            self._run(
                update(table)
                .where(table.c.id == bindparam("lane_id"))
                .values(owner=owner, epoch=table.c.epoch + 1, lease_until=instant + lease),
                [{"lane_id": lane.id} for lane in lanes],
            )
        return [Held(lane.id, lane.epoch + 1, Receipt(codec.receipt.validate_json(lane.receipt))) for lane in lanes]

    def let_go(self, held: Sequence[Held]) -> None:
        """End the leases of lanes that were held, with their receipts; one that somebody else has taken since is left to them."""
        table = schema.lane
        for each in held:
            changes = {"lease_until": 0.0, "receipt": codec.dump(codec.receipt, each.receipt.fields)}
            self._run(update(table).where(table.c.id == each.lane, table.c.epoch == each.epoch).values(**changes))

    def hasten(self, sink: str, now: float) -> int:
        """Make every lane of a sink that waits after a failure due now, because the sink works again; how many."""
        table = schema.lane
        waiting = (table.c.sink == sink, table.c.retry_at.is_not(None))
        return self._run(update(table).where(*waiting).values(next_at=now, retry_at=None)).rowcount

    def shift(self, sink: str, step: float) -> None:
        """Follow the wall clock that was set by ``step`` seconds: what a sink waits for, and leases. Not on PostgreSQL.

        There leases go by the database's clock, which ours says nothing about. After a step forward what waits is due early,
        which does no harm; a lease that seems to have ended would, so those move too.
        """
        if self._dialect == "postgresql":
            return
        lane, owed = schema.lane, schema.delivery
        self._run(update(lane).where(lane.c.sink == sink, lane.c.lease_until > 0).values(lease_until=lane.c.lease_until + step))
        if step < 0:
            moments = {"next_at": lane.c.next_at + step, "retry_at": lane.c.retry_at + step}
            self._run(update(lane).where(lane.c.sink == sink).values(**moments))
            self._run(update(owed).where(owed.c.sink == sink, owed.c.state.in_(OPEN)).values(ready_at=owed.c.ready_at + step))

    def _wake(self, lanes: Iterable[str]) -> None:
        """Set the time of lanes whose deliveries were changed from outside: when what they owe is due, else never."""
        table, owed = schema.lane, schema.delivery
        due = select(func.min(owed.c.ready_at)).where(owed.c.lane == table.c.id, owed.c.state.in_(OPEN)).scalar_subquery()
        self._run(update(table).where(table.c.id.in_(list(lanes))).values(next_at=due, retry_at=None))


def _merges(row: Any, *, late: bool) -> bool:
    """Whether what follows a delivery in its lane may take it along."""
    return bool(row.merge == Merge.ALWAYS or (late and row.merge == Merge.WHEN_LATE))


def _progress(receipt: Receipt | None) -> dict[str, Any]:
    return {} if receipt is None else {"receipt": codec.dump(codec.receipt, receipt.fields)}


def _claim(rows: Sequence[Any], lane: Any) -> Claim:
    *before, last = rows
    events = [codec.event.validate_json(row.body) for row in rows]
    # Whoever sends again what was given up has not held it.
    held = [timedelta(seconds=row.ready_at - row.created_at) for row in rows]
    return Claim(
        delivery=last.id,
        lane=last.lane,
        epoch=lane.epoch + 1,
        event=events[-1],
        earlier=tuple(Along(row.id, event, row.attempts + 1) for row, event in zip(before, events, strict=False)),
        attempt=last.attempts + 1,
        tries=max(row.tries for row in rows),
        uncertain=any(row.uncertain for row in rows),
        created_at=moment(last.created_at),
        due=min(event.observed_at + hold for event, hold in zip(events, held, strict=True)),
        skipped=lane.skipped,
        last=_receipt(lane.receipt),
        progress=_receipt(last.receipt),
        reminder=last.reminder,
    )


def _receipt(document: str | None) -> Receipt | None:
    return None if document is None else Receipt(codec.receipt.validate_json(document))
