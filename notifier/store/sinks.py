"""How sinks stand: whether one fails, is left alone, or works."""

from typing import Any

from sqlalchemy import Row, select, update

from notifier.store import schema, statements
from notifier.store.lanes import Lanes
from notifier.store.rows import SinkState

TURN = 0.05
"""Seconds to wait for a replica that is about to take its turn."""


class Sinks(Lanes):
    """The part of a transaction that remembers a sink's state."""

    def enrol(self, name: str, fingerprint: str, now: float) -> SinkState:
        """Meet a sink at start: its stored state, or a fresh one where its settings changed, for then it deserves a new try."""
        table = schema.sink
        row = self._run(select(table).where(table.c.name == name)).first()
        if row is not None and row.fingerprint == fingerprint:
            return _state(row)
        statement = statements.upsert(self._dialect, table).values(name=name, fingerprint=fingerprint, failures=0, paused=False)
        fresh = {"fingerprint": fingerprint, "failures": 0, "paused": False, "paused_until": None, "reason": None, "detail": None}
        self._run(statement.on_conflict_do_update(index_elements=["name"], set_=fresh))
        if row is not None:
            self.hasten(name, now)
        return SinkState()

    def admit(self, name: str, now: float, *, limited: bool) -> tuple[SinkState, float]:
        """How a sink stands, and for how many seconds nobody may send to it: it is paused, or its rate is used up.

        ``limited``: it has a rate, so whoever is admitted holds the turn until the end of the transaction.
        """
        table, instant = schema.sink, self.now(now)
        query = select(table).where(table.c.name == name)
        row = self._run(query.with_for_update(skip_locked=True) if limited else query).first()
        if row is None and limited:
            row, busy = self._run(query).one(), TURN
        else:
            busy = 0.0
        if row is None:
            return SinkState(), busy
        state = _state(row)
        if state.paused:
            return state, float("inf") if state.paused_until is None else max(state.paused_until - instant, busy)
        return state, max(row.next_send - instant, busy) if limited else 0.0

    def took_turn(self, name: str, gap: float, now: float) -> None:
        """Have everybody wait ``gap`` seconds before the next message to a sink."""
        self._run(update(schema.sink).where(schema.sink.c.name == name).values(next_send=self.now(now) + gap))

    def probing(self, name: str, lease: float, now: float) -> None:
        """Have the others wait to see whether our one message gets through to a sink that was paused."""
        table = schema.sink
        self._run(update(table).where(table.c.name == name, table.c.paused).values(paused_until=self.now(now) + lease))

    def mark(self, name: str, state: SinkState, *, recovered: bool = False) -> None:
        """Remember that a sink fails, is left alone, or works again (``recovered``).

        A failure that is no reason for a pause does not end the pause that another replica has begun.
        """
        table = schema.sink
        values = {
            "failures": state.failures,
            "paused": state.paused,
            "paused_until": state.paused_until,
            "reason": state.reason,
            "detail": state.detail,
        }
        ours = update(table).where(table.c.name == name)
        self._run((ours if state.paused or recovered else ours.where(~table.c.paused)).values(**values))

    def sinks(self) -> dict[str, SinkState]:
        """Every sink ever met, by name."""
        rows = self._run(select(schema.sink))
        return {row.name: _state(row) for row in rows}


def _state(row: Row[Any]) -> SinkState:
    return SinkState(row.failures, row.paused, row.paused_until, row.reason, row.detail)
