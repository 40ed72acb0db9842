"""Conditions that may last, and the reminders of them: who was told so far, what is owed, what is not owed any more."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from notifier.domain.conditions import ENDS, OPENS
from notifier.domain.model import Event
from notifier.domain.plan import Planned
from notifier.domain.reminders import CONDITIONS, Told
from notifier.store import codec, schema
from notifier.store.knowledge import Knowledge
from notifier.store.lanes import OPEN, Lanes
from notifier.store.rows import State
from notifier.store.session import moment


class Conditions(Knowledge, Lanes):
    """The part of a transaction that reminders use."""

    def conditions(self, since: float) -> list[tuple[Event, dict[str, list[Told]]]]:
        """Every event seen since then that tells of a condition, each with its deliveries so far, by sink."""
        table, owed = schema.event, schema.delivery
        wanted = (table.c.observed_at >= since, table.c.kind.in_([kind.value for kind in CONDITIONS]))
        events = {
            row.id: codec.event.validate_json(row.body)
            for row in self._run(select(table.c.id, table.c.body).where(*wanted).order_by(table.c.position))
        }
        told: dict[str, dict[str, list[Told]]] = {event: {} for event in events}
        columns = (owed.c.event, owed.c.sink, owed.c.reminder, owed.c.created_at, owed.c.state)
        for row in self._run(select(*columns).where(owed.c.event.in_(list(events)))):
            each = Told(row.reminder, moment(row.created_at), row.state in OPEN)
            told[row.event].setdefault(row.sink, []).append(each)
        return [(event, told[event_id]) for event_id, event in events.items()]

    def open_reminders(self, cluster: str | None = None) -> list[tuple[str, Event]]:
        """The reminders that are still to be told (of one cluster, by its key), each with its event."""
        table, owed = schema.event, schema.delivery
        query = select(owed.c.id, table.c.body).join(table, table.c.id == owed.c.event)
        query = query.where(owed.c.reminder > 0, owed.c.state.in_(OPEN))
        if cluster is not None:
            query = query.where(table.c.cluster == cluster)
        return [(row.id, codec.event.validate_json(row.body)) for row in self._run(query)]

    def opening(self, thread: str) -> list[Event]:
        """What told, of a task, cluster or sink, that something is wrong that lasts."""
        table = schema.event
        wanted = (table.c.thread == thread, table.c.kind.in_([kind.value for kind in OPENS]))
        bodies = self._run(select(table.c.body).where(*wanted).order_by(table.c.position)).scalars()
        return [codec.event.validate_json(body) for body in bodies]

    def alarmed(self, event: Event) -> frozenset[str]:
        """The sinks that were told of something wrong which this event ends."""
        conditions = ENDS.get(event.kind, ())
        kinds = [kind.value for kind, condition in OPENS.items() if condition in conditions]
        table, owed = schema.event, schema.delivery
        query = select(owed.c.sink).join(table, table.c.id == owed.c.event)
        query = query.where(table.c.thread == event.thread, table.c.kind.in_(kinds), owed.c.state != State.SILENCED.value)
        return frozenset(self._run(query).scalars())

    def reminded(self, thread: str) -> list[tuple[str, Event]]:
        """The sinks that were reminded of a condition of a task or cluster, each with the event that tells of it."""
        table, owed = schema.event, schema.delivery
        query = select(owed.c.sink, table.c.body).join(table, table.c.id == owed.c.event)
        rows = self._run(query.where(table.c.thread == thread, owed.c.reminder == 1))
        return [(row.sink, codec.event.validate_json(row.body)) for row in rows]

    def remind(self, reminders: Sequence[Planned], now: datetime) -> None:
        """Owe reminders."""
        self.owe(reminders, now.timestamp())

    def lapse(self, reminders: Sequence[str], now: datetime, why: str) -> None:
        """Do not tell these reminders any more. What is being sent this moment is told; what fails is not tried again."""
        if not reminders:
            return
        owed = schema.delivery
        lanes = list(self._run(select(owed.c.lane).where(owed.c.id.in_(reminders)).distinct()).scalars())
        self._hold(lanes)
        lapsed = {"state": State.OVER.value, "settled_at": now.timestamp(), "reason": State.OVER.value, "detail": why}
        self._run(update(owed).where(owed.c.id.in_(reminders), owed.c.state.in_(OPEN)).values(**lapsed))
        self._wake(lanes)
