"""What people ask for, and what is old enough to be deleted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, exists, func, not_, or_, select

from notifier.domain.model import Cluster, Event
from notifier.store import codec, schema
from notifier.store.discoveries import Discoveries
from notifier.store.rows import AttemptRow, DeliveryRow, State
from notifier.store.session import moment

DONE = (State.DELIVERED.value, State.SILENCED.value, State.OVER.value)


class Inquiries(Discoveries):
    """The part of a transaction that reads for the status page, the API and the command line."""

    def events(
        self,
        *,
        cluster: str | None = None,
        kind: str | None = None,
        severity: int = 0,
        after: int = 0,
        before: int | None = None,
        limit: int = 50,
    ) -> list[tuple[int, Event]]:
        """Events that match, oldest first, each with its position: the newest, or with ``after`` those that follow it.

        ``cluster``: name or id; ``kind``: a glob; ``before``: only what stands before this position.
        """
        table = schema.event
        query = select(table.c.position, table.c.body).where(table.c.severity >= severity, table.c.position > after)
        if before is not None:
            query = query.where(table.c.position < before)
        if cluster is not None:
            wanted = [key for key, facts in self._names() if cluster in {facts.name, facts.id}]
            query = query.where(table.c.cluster.in_(wanted))
        if kind is not None:
            like = kind.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_").replace("*", "%")
            query = query.where(table.c.kind.like(like, escape="\\"))
        # Who follows from a position must not skip any; who does not wants the newest.
        order = table.c.position if after else table.c.position.desc()
        rows = sorted(self._run(query.order_by(order).limit(limit)), key=lambda row: row.position)
        return [(row.position, codec.event.validate_json(row.body)) for row in rows]

    def _names(self) -> list[tuple[str, Cluster]]:
        rows = self._run(select(schema.cluster.c.key, schema.cluster.c.facts))
        return [(row.key, codec.cluster.validate_json(row.facts)) for row in rows]

    def deliveries(
        self, *, sink: str | None = None, state: State | None = None, before: str | None = None, limit: int = 50
    ) -> list[DeliveryRow]:
        """The newest deliveries that match, oldest first; with ``before`` the newest that stand before this delivery."""
        owed, told, lane = schema.delivery, schema.event, schema.lane
        query = (
            select(owed, told.c.kind, told.c.body, told.c.position.label("place"), lane.c.next_at)
            .join(told, told.c.id == owed.c.event)
            .join(lane, lane.c.id == owed.c.lane)
        )
        if sink is not None:
            query = query.where(owed.c.sink == sink)
        if state is not None:
            query = query.where(owed.c.state == state.value)
        if before is not None:
            place, of_sink, number = self._place(before)
            same = and_(told.c.position == place, owed.c.sink == of_sink, owed.c.reminder < number)
            query = query.where(or_(told.c.position < place, and_(told.c.position == place, owed.c.sink > of_sink), same))
        rows = self._run(query.order_by(told.c.position.desc(), owed.c.sink, owed.c.reminder.desc()).limit(limit))
        return [_delivery_row(row) for row in reversed(list(rows))]

    def _place(self, delivery: str) -> tuple[int, str, int]:
        """Where a delivery stands: its event's position, its sink, its number; before all others if there is no such delivery."""
        owed, told = schema.delivery, schema.event
        query = select(told.c.position, owed.c.sink, owed.c.reminder).join(told, told.c.id == owed.c.event)
        row = self._run(query.where(owed.c.id == delivery)).first()
        return (-1, "", 0) if row is None else (row.position, row.sink, row.reminder)

    def event(self, event_id: str) -> Event | None:
        """An event by its id."""
        body = self._run(select(schema.event.c.body).where(schema.event.c.id == event_id)).scalar()
        return None if body is None else codec.event.validate_json(body)

    def fate(self, event: str) -> list[tuple[DeliveryRow, list[AttemptRow]]]:
        """What became of an event: its deliveries by sink, each with its tries."""
        return self.fates([event]).get(event, [])

    def fates(self, events: Sequence[str]) -> dict[str, list[tuple[DeliveryRow, list[AttemptRow]]]]:
        """What became of several events, by their ids; nothing of those that were owed to nobody."""
        owed, told, lane, tried = schema.delivery, schema.event, schema.lane, schema.attempt
        query = (
            select(owed, told.c.kind, told.c.body, lane.c.next_at)
            .join(told, told.c.id == owed.c.event)
            .join(lane, lane.c.id == owed.c.lane)
            .where(owed.c.event.in_(events))
            .order_by(owed.c.sink, owed.c.reminder)
        )
        rows = self._run(query).all()
        tries: dict[str, list[AttemptRow]] = {}
        ids = [row.id for row in rows]
        for row in self._run(select(tried).where(tried.c.delivery.in_(ids)).order_by(tried.c.number)):
            attempt = AttemptRow(row.number, moment(row.ended_at), row.outcome, row.reason, row.detail)
            tries.setdefault(row.delivery, []).append(attempt)
        found: dict[str, list[tuple[DeliveryRow, list[AttemptRow]]]] = {}
        for row in rows:
            found.setdefault(row.event, []).append((_delivery_row(row), tries.get(row.id, [])))
        return found

    def counts(self) -> dict[tuple[str, State], int]:
        """How many deliveries each sink has in each state."""
        owed = schema.delivery
        rows = self._run(select(owed.c.sink, owed.c.state, func.count()).group_by(owed.c.sink, owed.c.state))
        return {(row[0], State(row[1])): row[2] for row in rows}

    def forget(self, before: float, limit: int = 500) -> int:
        """Delete events seen before ``before`` of which nothing is owed or dead, with their deliveries; how many."""
        told, owed, tried = schema.event, schema.delivery, schema.attempt
        # A dead reminder is of no use any more: it is never sent again.
        useless = or_(owed.c.state.in_(DONE), and_(owed.c.state == State.DEAD.value, owed.c.reminder > 0))
        kept = exists().where(owed.c.event == told.c.id, not_(useless))
        old = list(self._run(select(told.c.id).where(told.c.observed_at < before, ~kept).limit(limit)).scalars())
        if old:
            theirs = select(owed.c.id).where(owed.c.event.in_(old))
            self._run(delete(tried).where(tried.c.delivery.in_(theirs)))
            self._run(delete(owed).where(owed.c.event.in_(old)))
            self._run(delete(told).where(told.c.id.in_(old)))
        return len(old)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(seconds)


def _delivery_row(row: Any) -> DeliveryRow:
    waiting = row.state == State.PENDING.value
    return DeliveryRow(
        id=row.id,
        event=row.event,
        sink=row.sink,
        kind=row.kind,
        cluster=codec.event.validate_json(row.body).cluster.name,
        state=State(row.state),
        attempts=row.attempts,
        created_at=moment(row.created_at),
        settled_at=_moment(row.settled_at),
        next_at=_moment(row.next_at) if waiting else None,
        reason=row.reason,
        detail=row.detail,
        reminder=row.reminder,
        ready_at=moment(row.ready_at),
        along=row.batch if row.batch != row.id else None,
    )
