"""What the store gives back: one frozen type for each thing that is asked of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notifier.domain.known import KnownTask
from notifier.domain.message import Receipt
from notifier.domain.model import Action, Cluster, Event, Outage


class State(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"
    SILENCED = "silenced"
    """Never told: a silence stopped it."""
    OVER = "over"
    """A reminder that was never told: what it reminds of has ended, or somebody acknowledged it."""


@dataclass(frozen=True, slots=True)
class Along:
    """A delivery that is told along with a later one."""

    delivery: str
    event: Event
    attempt: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The head of a lane, ours to send until the lease ends: one delivery, or several that are told together.

    Attributes:
        delivery: The id of the last of them, which is the message's.
        lane: The lane's id.
        epoch: The lane's fence: whoever claims it next has a higher one, and then nothing of ours is written any more.
        event: What is to be told.
        earlier: The deliveries before it that are told along, oldest first, each with its event and its try.
        attempt: Which try this is, from 1.
        tries: Counted failures so far.
        uncertain: An earlier try may have got through.
        created_at: When it was owed.
        due: When the oldest of it was to be told: when it was seen, or later where a digest or quiet hours held it.
        skipped: Deliveries of this lane given up since the last one that arrived.
        last: The receipt of the lane's last delivered message.
        progress: What earlier tries of this delivery have achieved.
        reminder: 0 for news; n for the n-th reminder of it.
    """

    delivery: str
    lane: str
    epoch: int
    event: Event
    earlier: tuple[Along, ...]
    attempt: int
    tries: int
    uncertain: bool
    created_at: datetime
    due: datetime
    skipped: int
    last: Receipt | None
    progress: Receipt | None = None
    reminder: int = 0

    @property
    def deliveries(self) -> list[str]:
        """The ids of all that is told in the one message, oldest first."""
        return [*(along.delivery for along in self.earlier), self.delivery]


@dataclass(frozen=True, slots=True)
class Held:
    """A lane that is held while its newest receipt is looked after; ``epoch`` is its fence, as in `Claim`."""

    lane: str
    epoch: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn to tell a receiver something: all who name the same ``key`` take turns, with ``gap`` seconds behind each."""

    key: str
    gap: float


@dataclass(frozen=True, slots=True)
class SinkState:
    """Whether a sink is left alone, since it fails. ``paused_until`` None with ``paused``: until a person acts."""

    failures: int = 0
    paused: bool = False
    paused_until: float | None = None
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """A cluster and its tasks as they are known, newest task first."""

    cluster: Cluster
    tasks: tuple[tuple[Action, KnownTask], ...]
    outage: Outage | None
    changed_at: datetime

    def thread(self, action: Action, known: KnownTask) -> str:
        """What the events of one of its tasks are numbered by; see `Event.thread`."""
        return f"{self.cluster.key}/{action}/{known.task.id}"

    @property
    def threads(self) -> list[tuple[str, KnownTask]]:
        """Its tasks by their threads."""
        return [(self.thread(action, known), known) for action, known in self.tasks]


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task with its cluster. ``place`` is where it stands among all: the cluster's key, the action, the id."""

    place: tuple[str, str, str]
    cluster: Cluster
    action: Action
    known: KnownTask

    @property
    def thread(self) -> str:
        """What its events are numbered by; see `Event.thread`."""
        return f"{self.cluster.key}/{self.action}/{self.known.task.id}"


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it is written: to read thousands of them takes time, which the store's thread has not."""

    position: int
    id: str
    severity: int
    body: str


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A try of a delivery that has come to an end."""

    number: int
    ended_at: datetime
    outcome: str
    reason: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery for people to look at. ``reminder``: 0 for news, n for the n-th reminder of it.

    ``ready_at`` is until when it was held, ``created_at`` where it was not; ``along`` the delivery whose message tells it too.
    """

    id: str
    event: str
    sink: str
    kind: str
    cluster: str
    state: State
    attempts: int
    created_at: datetime
    settled_at: datetime | None
    next_at: datetime | None
    reason: str | None
    detail: str | None
    reminder: int = 0
    ready_at: datetime | None = None
    along: str | None = None
