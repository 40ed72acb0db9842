"""All that is kept of one task: what happened, who was told, who wanted to hear less. What the end report is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notifier.domain.model import Event
from notifier.domain.silences import Silence

DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one event for one sink.

    Attributes:
        event: The event's id.
        state: ``pending``, ``sending``, ``delivered``, ``dead`` or ``silenced``.
        tries: How often it was tried.
        owed_at: When it was owed.
        settled_at: When that came to an end; None: it has not.
        reason: Why it was not told, or not at the first try; None where there is nothing to say.
        detail: The same in words; of what was silenced, by whom and why.
        along: The delivery it was told along with, where it had no message of its own.
    """

    event: str
    sink: str
    state: str
    tries: int
    owed_at: datetime
    settled_at: datetime | None = None
    reason: str | None = None
    detail: str | None = None
    along: str | None = None

    @property
    def latency(self) -> timedelta | None:
        """From being owed to having arrived; None where it has not."""
        if self.state != DELIVERED or self.settled_at is None:
            return None
        return max(self.settled_at - self.owed_at, timedelta())


@dataclass(frozen=True, slots=True)
class StageTimes:
    """How long one stage took, in seconds, in other tasks; ``order`` and ``name`` say which."""

    order: int
    name: str
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything that is kept of a task.

    Attributes:
        events: Of the task, and of its cluster while it lasted.
        told: What became of them.
        silences: Those that were of this task or stopped something of it.
        elsewhere: What its stages took in other tasks.
    """

    events: tuple[Event, ...]
    told: tuple[Told, ...] = ()
    silences: tuple[Silence, ...] = ()
    elsewhere: tuple[StageTimes, ...] = ()

    @property
    def by_id(self) -> Mapping[str, Event]:
        """The events by their ids."""
        return {event.id: event for event in self.events}


@dataclass(frozen=True, slots=True)
class Audience:
    """How one sink was served over a whole task. ``latencies`` are of what arrived, shortest first."""

    sink: str
    arrived: int
    silenced: int
    waiting: int
    dead: int
    tries: int
    latencies: tuple[timedelta, ...] = field(default=())

    @property
    def usual(self) -> timedelta | None:
        """The median of the latencies."""
        return self.latencies[len(self.latencies) // 2] if self.latencies else None

    @property
    def longest(self) -> timedelta | None:
        """The last of the latencies."""
        return self.latencies[-1] if self.latencies else None


def audiences(dossier: Dossier) -> tuple[Audience, ...]:
    """How each sink was served, by name."""
    by_sink: dict[str, list[Told]] = {}
    for told in dossier.told:
        by_sink.setdefault(told.sink, []).append(told)
    return tuple(_audience(sink, rows) for sink, rows in sorted(by_sink.items()))


def _audience(sink: str, rows: list[Told]) -> Audience:
    states = [told.state for told in rows]
    return Audience(
        sink=sink,
        arrived=states.count(DELIVERED),
        silenced=states.count("silenced"),
        waiting=states.count("pending") + states.count("sending"),
        dead=states.count("dead"),
        tries=sum(told.tries for told in rows),
        latencies=tuple(sorted(told.latency for told in rows if told.latency is not None)),
    )
