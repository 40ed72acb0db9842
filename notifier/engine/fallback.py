"""Tells of a sink through another: that it fails, once, and that it works again, with what it owes.

Both are events like any other. They are written in the transaction that settles the try which showed it, so that neither a crash
nor a second replica can lose one or tell it twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from notifier import telemetry
from notifier.domain import standing
from notifier.domain.errors import DeliveryError
from notifier.domain.model import NOTIFIER
from notifier.domain.plan import Audience
from notifier.domain.render import summary
from notifier.store.transaction import Transaction

NOBODY = Audience(())


def _nothing(_: frozenset[str]) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Told:
    """Which sinks are owed an event about another, and what it says."""

    sinks: frozenset[str]
    kind: str
    event: str
    summary: str


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
    wake: Callable[[frozenset[str]], None] = _nothing
    troubled: bool = True
    """Whether the store may know of a failure; at first nobody knows, and another replica may have seen one since."""

    def settled(self, tx: Transaction, error: DeliveryError | None, now: datetime) -> Told | None:
        """What a try has shown, within its transaction; ``error`` None: it arrived."""
        if error is None and not self.troubled:
            return None
        before = tx.standing(self.sink)
        after = standing.worked(before) if error is None else standing.failed(before, error, now, after=self.after)
        if after != before:
            tx.stand(self.sink, after)
        if after.sequence == before.sequence:
            return None
        backlog = tx.backlog(self.sink, after.since or before.since or now)
        event = standing.news(before, after, self.sink, error=error, backlog=backlog, now=now)
        owed = self.audience.plan([event], now, tx.silences(now.timestamp()))
        tx.tell(event, owed, now.timestamp())
        return Told(frozenset(each.sink for each in owed if not each.silence), event.kind, event.id, summary(event))

    def committed(self, told: Told | None, *, works: bool) -> None:
        """The transaction has been committed: say so, and wake whoever is owed."""
        self.troubled = not works
        if told is not None:
            telemetry.event_told(told.kind, NOTIFIER.name, told.event, told.summary)
            self.wake(told.sinks)
