"""What surrounds an event: its neighbours in the order of its task, and the messages that its deliveries were told in."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from notifier.domain.model import Event
from notifier.store import codec, schema
from notifier.store.session import Session


class Stories(Session):
    """The part of a transaction that explains."""

    def neighbours(self, event: Event) -> tuple[Event | None, Event | None]:
        """The events before and after one, of the same task, or of the same cluster for ``cluster.*``."""
        table = schema.event
        near = (event.sequence - 1, event.sequence + 1)
        rows = self._run(select(table.c.sequence, table.c.body).where(table.c.thread == event.thread, table.c.sequence.in_(near)))
        found = {row.sequence: codec.event.validate_json(row.body) for row in rows}
        return found.get(near[0]), found.get(near[1])

    def told_by(self, deliveries: Iterable[str]) -> Mapping[str, Event]:
        """The event that each delivery's message is about."""
        owed, table = schema.delivery, schema.event
        wanted = list(deliveries)
        if not wanted:
            return {}
        query = select(owed.c.id, table.c.body).join(table, table.c.id == owed.c.event).where(owed.c.id.in_(wanted))
        return {row.id: codec.event.validate_json(row.body) for row in self._run(query)}
