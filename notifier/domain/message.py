"""What passes between the engine and a sink: the message to deliver and the receipt that comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notifier.domain.model import Event


@dataclass(frozen=True, slots=True)
class Report:
    """What happened to a task, for a sink that can send it along: a page that needs nothing else, and the timeline in it.

    Attributes:
        title: The cluster and what was done to it.
        svg: The timeline.
        html: The page.
        png: The timeline as pixels; None where none could be drawn.
    """

    title: str
    svg: str
    html: str
    png: bytes | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said, before any sink's format.

    Attributes:
        id: The delivery's id; the same at every try, so that a receiver can tell a repeat.
        event: The fact behind it; ``event.id`` is the same for all sinks.
        earlier: Facts of the same lane, oldest first, that are told along with it in one message: what piled up while the sink
            was down, was held back, or is told too often to be told one by one. Never a failure or an end.
        title: A few words: the cluster and what happened.
        summary: One line for a person, without the cluster's name in front.
        facts: Label and value, in the order they should be shown.
        attempt: Which try this is, from 1.
        may_repeat: An earlier try may have got through: a sink that can look should look before it posts again.
        late_by: How long after the event was seen this is said, where that is worth mentioning.
        skipped: How many messages of this lane were given up since the last one that arrived.
        reminder: 0 for news; n for the n-th reminder that what ``event`` says still lasts.
        created_at: When it was owed, the same at every try; a reminder is owed long after its event. None where nobody noted it.
        progress: What earlier tries of this delivery have achieved (``DeliveryError.receipt``); None: nothing.
        report: At the end of a task, where the sink is configured to have it and it could be made.
        mark: ``"TEST"``, ``"DRILL"`` or ``"REPLAY"`` where this is no news; every sink must show it. None in earnest.
    """

    id: str
    event: Event
    title: str
    summary: str
    facts: tuple[tuple[str, str], ...] = ()
    earlier: tuple[Event, ...] = ()
    attempt: int = 1
    may_repeat: bool = False
    late_by: timedelta | None = None
    skipped: int = 0
    reminder: int = 0
    progress: "Receipt | None" = None
    mark: str | None = None
    report: Report | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What identifies a delivered message at the receiver (Slack channel and ts, PagerDuty dedup_key, Message-ID …).

    Plain strings under names of the sink's choosing; stored with the lane and handed back with its next message.
    """

    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of its names and texts."""
        return sum(len(part.encode()) for pair in self.fields.items() for part in pair)
