"""How sinks stand: whether one fails, is left alone, or works."""

from sqlalchemy import select, update

from notifier.store import schema, statements
from notifier.store.lanes import Lanes
from notifier.store.rows import SinkState


class Sinks(Lanes):
    """The part of a transaction that remembers a sink's state."""

    def enrol(self, name: str, fingerprint: str, now: float) -> SinkState:
        """Meet a sink at start: its stored state, or a fresh one where its settings changed, for then it deserves a new try."""
        table = schema.sink
        row = self._run(select(table).where(table.c.name == name)).first()
        if row is not None and row.fingerprint == fingerprint:
            return SinkState(row.failures, row.paused, row.paused_until, row.reason, row.detail)
        statement = statements.upsert(self._dialect, table).values(name=name, fingerprint=fingerprint, failures=0, paused=False)
        fresh = {"fingerprint": fingerprint, "failures": 0, "paused": False, "paused_until": None, "reason": None, "detail": None}
        self._run(statement.on_conflict_do_update(index_elements=["name"], set_=fresh))
        if row is not None:
            self.hasten(name, now)
        return SinkState()

    def mark(self, name: str, state: SinkState) -> None:
        """Remember that a sink fails, is left alone, or works again."""
        table = schema.sink
        values = {
            "failures": state.failures,
            "paused": state.paused,
            "paused_until": state.paused_until,
            "reason": state.reason,
            "detail": state.detail,
        }

        self._run(update(table).where(table.c.name == name).values(**values))

    def sinks(self) -> dict[str, SinkState]:
        """Every sink ever met, by name."""
        rows = self._run(select(schema.sink))
        return {row.name: SinkState(row.failures, row.paused, row.paused_until, row.reason, row.detail) for row in rows}
