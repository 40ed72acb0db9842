"""What sinks ask to keep over restarts, and the newest words on a task."""

from sqlalchemy import select

from notifier.domain.model import Event
from notifier.store import codec, schema, statements
from notifier.store.session import Session


class Keepsakes(Session):
    """The part of a transaction that a sink's desk stands on."""

    def recall(self, sink: str, name: str) -> str | None:
        """What a sink keeps under a name."""
        table = schema.keepsake
        found = self._run(select(table.c.value).where(table.c.sink == sink, table.c.name == name)).scalar()
        return None if found is None else str(found)

    def keep(self, sink: str, name: str, value: str) -> None:
        """Keep it, instead of what was kept under that name before."""
        table = schema.keepsake
        add = statements.upsert(self._dialect, table).values(sink=sink, name=name, value=value)
        self._run(add.on_conflict_do_update(index_elements=["sink", "name"], set_={"value": value}))

    def newest_of_thread(self, thread: str, most: int) -> list[Event]:
        """The newest ``most`` events of a task, or of a cluster for ``cluster.*``, in their order; see `Event.thread`."""
        table = schema.event
        newest = select(table.c.body).where(table.c.thread == thread).order_by(table.c.sequence.desc()).limit(most)
        return [codec.event.validate_json(body) for body in self._run(newest).scalars()][::-1]
