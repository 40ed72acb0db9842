"""The calendar work that reminds: looks which conditions last, owes reminders where they are due, drops what is over."""

from collections.abc import Callable, Sequence
from datetime import datetime

from notifier import telemetry
from notifier.domain.conditions import closes
from notifier.domain.known import Known
from notifier.domain.model import Cluster, Event
from notifier.domain.plan import AT_ONCE, Audience, Planned
from notifier.domain.reminders import ENDS, LONGEST, due, lasts
from notifier.domain.routing import sinks_of
from notifier.domain.silences import Silence, silenced_by
from notifier.store.errors import StoreError
from notifier.store.store import Store
from notifier.store.transaction import Transaction


class Reminding:
    """Reminds whoever asked to be; ``told`` is called with the sinks that are owed something."""

    def __init__(self, store: Store, audience: Audience, told: Callable[[frozenset[str]], None]) -> None:
        self._store = store
        self._audience = audience
        self._told = told

    async def remind(self) -> None:
        """Look once. A store that fails is looked at again the next time."""
        try:
            owed = await self._store.transact(lambda tx: self.plan(tx, self._store.now()))
        except StoreError as error:
            telemetry.store_failed("reminders", str(error))
            return
        sinks = frozenset(planned.sink for planned in owed)
        if sinks:
            self._told(sinks)

    def plan(self, tx: Transaction, now: datetime) -> Sequence[Planned]:
        """One look: what is owed from now on. What is known is locked while it is asked, so nothing ends in between."""
        asking = [route for route in self._audience.routes if route.repeat is not None or route.escalate is not None]
        seen = tx.conditions((now - LONGEST).timestamp())
        found = [(event, told) for event, told in seen if any(route.match.refusal(event) is None for route in asking)]
        known: dict[str, Known] = {}
        for cluster in sorted({event.cluster.key: event.cluster for event, _ in found}.values(), key=_key):
            known[cluster.key], _ = tx.known(cluster)
        silences = tx.silences(now.timestamp()) if found else ()
        self._lapse(tx, known, silences, now)
        owed = [
            Planned(event, sink, self._audience.holdings.get(sink, AT_ONCE).hold(event, now), reminder=number)
            for event, told in found
            if lasts(event, known[event.cluster.key]) and silenced_by(event, silences, now, reminder=True) is None
            for sink, number in due(event, self._audience.routes, told, now)
        ]
        tx.remind(owed, now)
        return owed

    def _lapse(self, tx: Transaction, known: dict[str, Known], silences: Sequence[Silence], now: datetime) -> None:
        """Drop what was acknowledged since it was owed, has ended without anybody looking, or is asked for by no route now."""
        acknowledged, over = [], []
        for reminder, event in tx.open_reminders():
            if not lasts(event, known.get(event.cluster.key, Known())):
                over.append(reminder)
            elif silenced_by(event, silences, now, reminder=True):
                acknowledged.append(reminder)
        tx.lapse(over, now, "it is over, or nobody asks for it any more")
        tx.lapse(acknowledged, now, "somebody acknowledged it")


def _key(cluster: Cluster) -> str:
    return cluster.key


def followed_up(tx: Transaction, audience: Audience, events: Sequence[Event], now: datetime) -> list[Planned]:
    """What else is owed within the poll's transaction: whoever a condition was escalated to hears how it ends, too.

    No route need say so. An incident that an escalation opened would stay open for ever otherwise.
    """
    found = []
    for event in events:
        if event.kind not in ENDS:
            continue
        reminded = {sink for sink, condition in tx.reminded(event.thread) if sink not in sinks_of(condition, audience.routes)}
        for sink in sorted(reminded - set(sinks_of(event, audience.routes))):
            silence = None if closes(event.kind) else silenced_by(event, tx.silences(now.timestamp()), now)
            hold = audience.holdings.get(sink, AT_ONCE).hold(event, now)
            found.append(Planned(event, sink, hold, silence.words if silence else None))
    return found


def drop_ended(tx: Transaction, cluster: Cluster, known: Known, now: datetime) -> None:
    """Within the poll's transaction: nobody is reminded of what that very poll has ended."""
    over = [reminder for reminder, event in tx.open_reminders(cluster.key) if not lasts(event, known)]
    tx.lapse(over, now, "it is over")
