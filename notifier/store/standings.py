"""How sinks stand, for telling others: since when one fails, and what it owes."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, func, or_, select, update

from notifier.domain.model import Event
from notifier.domain.plan import Planned
from notifier.domain.standing import Backlog, Standing
from notifier.store import schema
from notifier.store.knowledge import Knowledge
from notifier.store.lanes import OPEN
from notifier.store.rows import State
from notifier.store.session import moment


class Standings(Knowledge):
    """The part of a transaction that tells of sinks."""

    def standing(self, sink: str) -> Standing:
        """How a sink stands; its row is locked where several replicas write. One that was never met works."""
        table = schema.sink
        row = self._run(select(table).where(table.c.name == sink).with_for_update()).first()
        if row is None:
            return Standing()
        since = None if row.failing_since is None else moment(row.failing_since)
        return Standing(since, row.failing_told, row.sequence)

    def stand(self, sink: str, standing: Standing) -> None:
        """Remember how a sink stands."""
        since = None if standing.since is None else standing.since.timestamp()
        values = {"failing_since": since, "failing_told": standing.told, "sequence": standing.sequence}
        self._run(update(schema.sink).where(schema.sink.c.name == sink).values(**values))

    def backlog(self, sink: str, since: datetime) -> Backlog:
        """What a sink owes, and what of it was given up since a moment."""
        owed = schema.delivery
        dead = and_(owed.c.state == State.DEAD.value, owed.c.settled_at >= since.timestamp())
        query = (
            select(owed.c.state, func.count())
            .where(owed.c.sink == sink, or_(owed.c.state.in_(OPEN), dead))
            .group_by(owed.c.state)
        )
        counts = {row[0]: int(row[1]) for row in self._run(query)}
        lost = counts.pop(State.DEAD.value, 0)
        return Backlog(sum(counts.values()), lost)

    def tell(self, event: Event, owed: Sequence[Planned], now: float) -> None:
        """Write an event that no poll has seen, and what is owed to whom."""
        self._add([event], owed, now)
