"""How sinks stand: whether one fails, is left alone, or works."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Row, delete, select, text, update

from notifier.store import schema, statements
from notifier.store.lanes import Lanes
from notifier.store.rows import SinkState, Turn
from notifier.store.session import COUNTED

TURN = 0.05
"""Seconds to wait for a replica that is about to take its turn."""

BOOKED = 3
"""So many gaps ahead no process that is alone has ever booked."""

# In the order of writing, which is not that of the clock. SQLite only.
_LAST_TRY = select(schema.attempt.c.ended_at).order_by(text("rowid DESC")).limit(1)


class Sinks(Lanes):
    """The part of a transaction that remembers a sink's state."""

    def enrol(self, name: str, fingerprint: str, now: float) -> SinkState:
        """Meet a sink at start: its stored state, or a fresh one where its settings changed, for then it deserves a new try."""
        table, row = schema.sink, self._row(name)
        if row is not None and row.fingerprint == fingerprint:
            return _state(row)
        statement = statements.upsert(self._dialect, table).values(name=name, fingerprint=fingerprint, failures=0, paused=False)
        fresh = {"fingerprint": fingerprint, "failures": 0, "paused": False, "paused_until": None, "reason": None, "detail": None}
        self._run(statement.on_conflict_do_update(index_elements=["name"], set_=fresh))
        if row is not None:
            self.hasten(name, now)
        return SinkState()

    def stands(self, name: str, fingerprint: str, now: float) -> SinkState:
        """How a sink stands that is left alone; it is met anew only where somebody sends again.

        Another replica may have other settings for it for a while: were each to find them changed, no pause would hold.
        """
        row = self._row(name)
        return self.enrol(name, fingerprint, now) if row is None or not row.fingerprint else _state(row)

    def _row(self, name: str) -> Row[Any] | None:
        return self._run(select(schema.sink).where(schema.sink.c.name == name)).first()

    def follow(self, name: str, state: SinkState, step: float) -> SinkState:
        """Have a sink and all that it waits for follow the wall clock, see `shift`; how it stands then."""
        self.shift(name, step)
        if state.paused_until is not None:
            state = replace(state, paused_until=state.paused_until + step)
            self.mark(name, state)
        return state

    def follow_back(self, name: str, state: SinkState, now: float) -> SinkState:
        """Make due what a sink waits for, if the clock was set back since that was put off and nobody saw it; how it stands then.

        For a sink that has just been met: whoever is at work sees the clock being set. On PostgreSQL waits go by its clock.
        """
        last = None if self._dialect == "postgresql" else self._run(_LAST_TRY).scalar()
        if last is None or last <= now:
            return state
        self.hasten(name, now)
        if state.paused_until is not None:
            state = replace(state, paused_until=now)
            self.mark(name, state)
        return state

    def admit(self, name: str, now: float, turn: Turn | None = None) -> tuple[SinkState, float]:
        """How a sink stands, and for how many seconds nobody may send to it: it is paused, or its turn has not come.

        ``turn``: of a sink that has a rate; whoever is admitted holds it until the end of the transaction.
        """
        instant = self.now(now)
        # The turn first: what another replica found out before it let go of it is seen then.
        wait = 0.0 if turn is None else self._next(turn, instant)
        row = self._row(name)
        busy = TURN if wait is None else wait
        if row is None:
            return SinkState(), busy
        state = _state(row)
        if state.paused:
            return state, float("inf") if state.paused_until is None else max(state.paused_until - instant, busy)
        return state, busy

    def took_turn(self, turn: Turn, now: float) -> None:
        """Have everybody wait for the turn's gap before the next; whoever was admitted calls it."""
        self._book(turn, self.now(now))

    def take_turn(self, turn: Turn, within: float, now: float) -> float | None:
        """Take the next turn; seconds until it comes. None: another replica is taking one, ask again in `TURN` seconds.

        ``within``: A turn that is further off is not taken: what is returned then is more than that.
        """
        instant = self.now(now)
        wait = self._next(turn, instant)
        if wait is not None and wait <= within:
            self._book(turn, instant + wait)
        return wait

    def forget_turns(self, before: float) -> None:
        """Delete the turns that came before then: of sinks that are gone, or that have had nothing to tell for long."""
        self._run(delete(schema.turn).where(schema.turn.c.next_at < before))

    def _book(self, turn: Turn, at: float) -> None:
        self._run(update(schema.turn).where(schema.turn.c.key == turn.key).values(next_at=at + turn.gap))

    def _next(self, turn: Turn, instant: float) -> float | None:
        """Seconds until the next turn, which is ours to take in this transaction; None: it is another's just now.

        Nobody waits for a turn while holding a lane, or two replicas could wait for each other.
        """
        table = schema.turn
        ours = select(table.c.next_at).where(table.c.key == turn.key)
        row = self._run(ours.with_for_update(skip_locked=True)).first()
        if row is None and self._run(ours).first() is not None:
            return None  # An INSERT would wait for whoever changes the row, even one that does nothing on a conflict.
        if row is None:
            first = statements.upsert(self._dialect, table).values(key=turn.key, next_at=0.0).on_conflict_do_nothing()
            return 0.0 if self._run(first, execution_options=COUNTED).rowcount == 1 else None
        wait = max(float(row.next_at) - instant, 0.0)
        if self._dialect == "postgresql":
            return wait
        # On SQLite turns go by our clock, and one process books one at a time: two gaps ahead at the most. What is further off
        # was booked before the clock was set back, and nobody may wait until it comes round.
        return min(wait, turn.gap) if wait < BOOKED * turn.gap else 0.0

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
