"""The plan of deliveries that follows from events: to whom, when, merged or not, or silenced."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notifier.domain import identity
from notifier.domain.conditions import closes
from notifier.domain.holding import Hold, Holding
from notifier.domain.model import Event
from notifier.domain.routing import Route, sinks_of
from notifier.domain.silences import Silence, silenced_by

AT_ONCE = Holding()


@dataclass(frozen=True, slots=True)
class Planned:
    """One event for one sink, before it is stored.

    Attributes:
        lane: Sink and thread (task, cluster or failing sink): what is delivered in order, by ``event.sequence``.
        silence: Who stops it and why, see `Silence.words`; it is kept, and not told.
        reminder: 0 for news; n for the n-th reminder that what the event says still lasts.
    """

    event: Event
    sink: str
    hold: Hold
    silence: str | None = None
    reminder: int = 0

    @property
    def id(self) -> str:
        """The delivery's, the same whoever plans it."""
        if self.reminder:
            return identity.of_reminder(self.event.id, self.sink, self.reminder)
        return identity.of_delivery(self.event.id, self.sink)

    @property
    def lane(self) -> str:
        """See the class."""
        return f"{self.sink}|{self.event.thread}"


@dataclass(frozen=True, slots=True)
class Audience:
    """Who hears of what and how they are spoken to.

    Attributes:
        routes: Who hears of what.
        holdings: By sink, what may wait.
        fallbacks: By sink, the one through which it is told that it fails.
    """

    routes: Sequence[Route]
    holdings: Mapping[str, Holding] = field(default_factory=dict)
    fallbacks: Mapping[str, str] = field(default_factory=dict)

    def sinks(self, event: Event, failing: Collection[str] = ()) -> tuple[str, ...]:
        """The sinks that hear of an event.

        Of a sink that fails, its fallback does, and never itself; if that one is ``failing`` too, so does the next of the chain.
        """
        routed = sinks_of(event, self.routes)
        if event.sink is None:
            return routed
        name = event.sink.name
        return tuple(sink for sink in dict.fromkeys((*self._chain(name, failing), *routed)) if sink != name)

    def _chain(self, name: str, failing: Collection[str]) -> list[str]:
        found: list[str] = []
        while (onward := self.fallbacks.get(name)) is not None and onward not in found:
            found.append(onward)
            if onward not in failing:
                break
            name = onward
        return found

    def plan(
        self,
        events: Iterable[Event],
        now: datetime,
        silences: Sequence[Silence] = (),
        *,
        failing: Collection[str] = (),
        also: Iterable[str] = (),
        alarmed: Callable[[Event], Collection[str]] = lambda _: (),
    ) -> tuple[Planned, ...]:
        """Every (event, sink) owed, in the order of the events.

        Args:
            events: What has happened.
            now: When they are planned.
            silences: What nobody hears of.
            failing: Sinks that are known to fail.
            also: Who hears of them besides.
            alarmed: Who was told of something wrong that an event ends: they are told that it is over, silence or not.
        """
        planned, beside = [], tuple(also)
        for event in events:
            silence = silenced_by(event, silences, now)
            waiting = alarmed(event) if silence is not None and closes(event.kind) else ()
            for sink in dict.fromkeys((*self.sinks(event, failing), *beside)):
                hold = self.holdings.get(sink, AT_ONCE).hold(event, now)
                planned.append(Planned(event, sink, hold, silence.words if silence is not None and sink not in waiting else None))
        return tuple(planned)
