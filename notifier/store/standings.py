"""How sinks stand, for telling others: since when one fails, and what it owes."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, case, exists, func, or_, select, update

from notifier.domain.holding import Merge
from notifier.domain.model import Event, Kind
from notifier.domain.plan import Planned
from notifier.domain.standing import Backlog, Standing
from notifier.store import codec, schema
from notifier.store.knowledge import Knowledge
from notifier.store.lanes import LATE, OPEN
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

    def failing(self) -> frozenset[str]:
        """The sinks of which it has been told that they fail."""
        table = schema.sink
        return frozenset(self._run(select(table.c.name).where(table.c.failing_told)).scalars())

    def backlog(self, sink: str, since: datetime, now: datetime) -> Backlog:
        """What a sink owes, what of it is old enough to be merged, and what was given up since a moment."""
        owed = schema.delivery
        dead = and_(owed.c.state == State.DEAD.value, owed.c.settled_at >= since.timestamp())
        old = and_(owed.c.merge == Merge.WHEN_LATE.value, owed.c.created_at < now.timestamp() - LATE)
        newer = owed.alias()
        followed = exists().where(newer.c.lane == owed.c.lane, newer.c.position > owed.c.position, newer.c.state.in_(OPEN))
        merges = case((and_(or_(owed.c.merge == Merge.ALWAYS.value, old), followed), 1), else_=0)
        query = (
            select(owed.c.state, func.count(), func.sum(merges))
            .where(owed.c.sink == sink, or_(owed.c.state.in_(OPEN), dead))
            .group_by(owed.c.state)
        )
        counts = {row[0]: (int(row[1]), int(row[2])) for row in self._run(query)}
        lost, _ = counts.pop(State.DEAD.value, (0, 0))
        return Backlog(sum(count for count, _ in counts.values()), lost, sum(merged for _, merged in counts.values()))

    def hearers(self, event: str) -> frozenset[str]:
        """The sinks to which an event is or was owed."""
        owed = schema.delivery
        return frozenset(self._run(select(owed.c.sink).where(owed.c.event == event)).scalars())

    def unheard(self, sink: str) -> list[Event]:
        """That others fail or failed, as far as this sink was to tell of it and has not; what it was given up for too."""
        owed, told = schema.delivery, schema.event
        query = (
            select(told.c.body)
            .join(owed, owed.c.event == told.c.id)
            .where(owed.c.sink == sink, owed.c.state.in_((*OPEN, State.DEAD.value)), told.c.kind == Kind.SINK_FAILING.value)
            .order_by(told.c.position)
        )
        return [codec.event.validate_json(body) for body in self._run(query).scalars()]

    def tell(self, event: Event, owed: Sequence[Planned], now: float) -> None:
        """Write an event that no poll has seen, and what is owed to whom."""
        self._add([event], owed, now)
