"""Tells of a sink through another: that it fails, once, and that it works again, with what it owes.

Both are events like any other. They are written in the transaction that settles the try which showed it, so that neither a crash
nor a second replica can lose one or tell it twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from notifier import telemetry
from notifier.domain import identity, standing
from notifier.domain.model import NOTIFIER, Event, Kind
from notifier.domain.plan import Audience, Planned
from notifier.domain.render import summary
from notifier.domain.standing import Failure, Standing
from notifier.store.rows import SinkState
from notifier.store.transaction import Transaction

NOBODY = Audience(())


def nothing(_: frozenset[str]) -> None:
    """Wake nobody."""


@dataclass(frozen=True, slots=True)
class Told:
    """Which sinks are owed an event about another, and what it says."""

    sinks: frozenset[str]
    kind: str
    event: str
    summary: str

    def said(self) -> None:
        """Say it in the log."""
        telemetry.event_told(self.kind, NOTIFIER.name, self.event, self.summary)


@dataclass
class Fallback:
    """Watches over one sink.

    Attributes:
        sink: Its name.
        audience: Who hears of it.
        after: Seconds for which it may fail before that is told.
        wake: Called with the sinks that are owed news.
    """

    sink: str
    audience: Audience = NOBODY
    after: float = standing.FAILING
    wake: Callable[[frozenset[str]], None] = nothing
    troubled: bool = True
    """Whether the store may know of a failure; at first nobody knows, and another replica may have seen one since."""

    def settled(self, tx: Transaction, failure: Failure | None, now: datetime, *, merged: int = 0) -> Told | None:
        """What a try has shown, within its transaction; ``failure`` None: it arrived, with so many ``merged`` into it."""
        if failure is None and not self.troubled:
            return None
        before = tx.standing(self.sink)
        after = standing.worked(before) if failure is None else standing.failed(before, failure, now, after=self.after)
        return changed(tx, self.sink, self.audience, before, after, failure=failure, now=now, merged=merged)

    def waited(self, tx: Transaction, state: SinkState, now: datetime) -> Told | None:
        """What waiting for the next try has shown: who asks for an hour's patience is not tried before that."""
        if state.reason is None or state.detail is None:
            return None
        return self.settled(tx, Failure(state.reason, state.detail), now)

    def given_up(self, tx: Transaction, failure: Failure, now: datetime) -> Told | None:
        """News was lost by waiting; if the sink works, it is only slow, and its dead letters speak for themselves."""
        return None if tx.standing(self.sink).since is None else self.settled(tx, failure, now)

    def committed(self, told: Told | None, *, works: bool) -> None:
        """The transaction has been committed: say so, and wake whoever is owed."""
        self.troubled = not works
        if told is not None:
            told.said()
            self.wake(told.sinks)


def removed(tx: Transaction, sink: str, audience: Audience, now: datetime) -> Told | None:
    """Nobody will tell this sink anything more: whoever heard that it fails hears that this is over."""
    before = tx.standing(sink)
    return changed(tx, sink, audience, before, standing.worked(before), failure=standing.REMOVED, now=now)


def handed_on(tx: Transaction, sink: str, audience: Audience, now: datetime) -> tuple[Planned, ...]:
    """What a sink was to tell of others, and has not, is told by the next of the chain: nobody may be told by none."""
    lasting = [each for each in tx.unheard(sink) if _lasts(tx, each)]
    onward = audience.plan(lasting, now, tx.silences(now.timestamp()), failing=tx.failing())
    fresh = tuple(each for each in onward if each.sink not in tx.hearers(each.event.id))
    tx.owe(fresh, now.timestamp())
    return fresh


def _lasts(tx: Transaction, failing: Event) -> bool:
    """Whether the sink that an event tells of fails still: whoever heard only now would never hear that it is over."""
    return failing.sink is not None and tx.standing(failing.sink.name).since == failing.sink.since


def changed(
    tx: Transaction,
    sink: str,
    audience: Audience,
    before: Standing,
    after: Standing,
    *,
    failure: Failure | None,
    now: datetime,
    merged: int = 0,
) -> Told | None:
    """Write how a sink stands now, and the event in it, if there is one."""
    if after != before:
        tx.stand(sink, after)
    if after.sequence == before.sequence:
        return None
    since = after.since or before.since or now
    owes = tx.backlog(sink, since, now)
    backlog = replace(owes, merged=owes.merged + merged)
    event = standing.news(before, after, sink, failure=failure, backlog=backlog, now=now)
    silences, failing = tx.silences(now.timestamp()), tx.failing()
    # Whoever heard that it fails, through a chain of that time or a route that is gone, must hear that it is over.
    heard = frozenset[str]() if after.told else tx.hearers(identity.of_sink(sink, Kind.SINK_FAILING, since.isoformat()))
    owed = audience.plan([event], now, silences, failing=failing, also=sorted(heard), alarmed=tx.alarmed)
    tx.tell(event, owed, now.timestamp())
    if after.told:
        owed = (*owed, *handed_on(tx, sink, audience, now))
    return Told(frozenset(each.sink for each in owed if not each.silence), event.kind, event.id, summary(event))
