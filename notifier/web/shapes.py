"""What the store holds as answers: the shapes of REST and of the command line's ``--json``, one frozen model each.

The OpenAPI document is generated from these models, so it cannot say anything else than what is answered. They are a contract
like `render.payload`: fields may be added, none may change. Absent things are null, moments are ISO 8601 in UTC.

Long, because it is one contract, and whoever needs it finds it in one place.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from notifier.domain.accuracy import Class
from notifier.domain.known import KnownTask
from notifier.domain.model import Action, Eta, Event, Kind, Severity, Task
from notifier.domain.progress import progress
from notifier.domain.render import Json, payload
from notifier.domain.silences import Silence
from notifier.store import codec
from notifier.store.dossiers import Gathered
from notifier.store.replicas import ReplicaRow
from notifier.store.rows import AttemptRow, ClusterRow, DeliveryRow, State, TaskRow

SEVERITIES = tuple(severity.word for severity in Severity)


def _severity(word: str) -> str:
    if word not in SEVERITIES:
        raise ValueError(f"must be one of {', '.join(SEVERITIES)}")
    return word


SeverityWord = Annotated[str, AfterValidator(_severity), Field(json_schema_extra={"enum": list(SEVERITIES)})]
Share = Annotated[float, Field(ge=0, le=1)]


class Shape(BaseModel):
    """An answer or a part of one. An unknown field is a fault of ours: the document would not know it."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


class NodesShape(Shape):
    """Where the nodes of a task stand."""

    total: int
    completed: tuple[str, ...]
    in_flight: tuple[str, ...]


class StageShape(Shape):
    """A step of the work on one node, as the API named it."""

    order: int
    name: str
    status: str
    description: str
    began_at: datetime | None
    ended_at: datetime | None


class OutageShape(Shape):
    """A span in which a cluster could not be polled, and why."""

    since: datetime
    reason: str
    detail: str


class EtaShape(Shape):
    """When a task will probably end: a range, and what the guess rests on."""

    earliest: datetime
    latest: datetime
    basis: str


class ClusterNames(Shape):
    """What a cluster is called, and where it is."""

    id: str
    name: str
    labels: Mapping[str, str]
    region: str
    project: str


class EventTask(Shape):
    """What an event says of its task."""

    id: str
    action: Action
    status: str
    attempt: int
    started_at: datetime | None
    ended_at: datetime | None
    nodes: NodesShape
    target: str | None
    fail_message: str | None
    current_node: str | None
    stages: tuple[StageShape, ...]


class TimingShape(Shape):
    """What an event about time says; lengths in seconds, ``share`` in percent. See `Timing`."""

    since: datetime
    lasted: float
    unseen: float
    usual: float | None
    basis: str | None
    until: datetime | None
    share: int | None
    fits: bool | None


class SinkShape(Shape):
    """What an event says of a sink that fails, or works again."""

    name: str
    since: datetime
    reason: str | None
    detail: str | None
    waiting: int
    lost: int
    merged: int


class EventShape(Shape):
    """A fact that happened, told once: the ``data`` of the webhook body."""

    id: str
    kind: Kind
    severity: SeverityWord
    sequence: int
    time: datetime
    observed: bool
    observed_at: datetime
    catch_up: bool
    summary: str
    cluster: ClusterNames
    task: EventTask | None
    node: str | None
    stage: StageShape | None
    progress: Share | None
    eta: EtaShape | None
    outage: OutageShape | None
    timing: TimingShape | None
    sink: SinkShape | None

    @classmethod
    def of(cls, event: Event) -> Self:
        """The event as the webhook says it."""
        return cls.model_validate(payload(event))


class PlacedEvent(EventShape):
    """An event with its ``position`` among all: what ``after`` and ``before`` count from."""

    position: int

    @classmethod
    def at(cls, position: int, event: Event) -> Self:
        """The event that stands at a position."""
        return cls.model_validate({"position": position, **payload(event)})


class DeliveryShape(Shape):
    """A delivery: which event is owed to which sink, and how far that is. ``reminder``: 0 for news, n for the n-th.

    ``ready_at`` is until when it was held; ``along`` the delivery whose message tells it too.
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
    reminder: int
    ready_at: datetime | None
    along: str | None


class TryShape(Shape):
    """One attempt at a delivery: when it ended, how, and why so."""

    number: int
    ended_at: datetime
    outcome: str
    reason: str | None
    detail: str | None


class NearEvent(Shape):
    """Another event, in brief."""

    id: str
    kind: Kind
    sequence: int
    observed_at: datetime
    summary: str

    @classmethod
    def of(cls, event: Event | None) -> Self | None:
        """The same, for an answer."""
        return None if event is None else cls(**{name: payload(event)[name] for name in cls.model_fields})


class TriedDelivery(DeliveryShape):
    """A delivery with every attempt at it. ``told_with``: what the message is about that tells it too."""

    tries: tuple[TryShape, ...]
    told_with: NearEvent | None

    @classmethod
    def told(cls, row: DeliveryRow, tries: Sequence[AttemptRow], leader: Event | None) -> Self:
        """The row and its attempts, for an answer."""
        found = tuple(TryShape.model_validate(each) for each in tries)
        return cls(**dict(DeliveryShape.model_validate(row)), tries=found, told_with=NearEvent.of(leader))


class AnswerShape(Shape):
    """An answer of the API: when it came, its bytes, their SHA-256, the gateway's name for the request; see `AnswerFacts`."""

    received_at: datetime
    size: int
    digest: str
    request_id: str | None
    same_until: datetime | None


class EvidenceShape(Shape):
    """Two answers. ``earlier`` is null where there was none, or where it is not known."""

    later: AnswerShape
    earlier: AnswerShape | None


class StoryShape(Shape):
    """An event: by which ``rule`` there is one, its neighbours, and what became of it: every delivery with every attempt.

    ``evidence`` are the two answers that it follows from; ``ground`` is what it follows from instead, null where it does.
    """

    event: EventShape
    deliveries: tuple[TriedDelivery, ...]
    rule: str
    ground: str | None
    evidence: EvidenceShape | None
    before: NearEvent | None
    after: NearEvent | None


class LeftShape(Shape):
    """How much was left: seconds from ``least`` on, and less than ``below`` unless that is null."""

    least: float
    below: float | None


class AccuracyShape(Shape):
    """How far off the forecasts were that were made with so much ``left``; all in seconds, shares from 0 to 1."""

    left: LeftShape
    forecasts: int
    held: Share
    error: float
    bias: float
    share: Annotated[float, Field(ge=0)]

    @classmethod
    def of(cls, found: Class) -> Self:
        """The same, for an answer."""
        return cls(
            left=LeftShape(least=found.least, below=found.below),
            forecasts=found.count,
            held=round(found.held, 4),
            error=round(found.error, 1),
            bias=round(found.bias, 1),
            share=round(found.share, 4),
        )


class MatchShape(Shape):
    """What a silence matches, spelled as the configuration spells it."""

    kind: tuple[str, ...]
    severity: str
    labels: Mapping[str, tuple[str, ...]]
    cluster: tuple[str, ...]
    project: tuple[str, ...]
    action: tuple[str, ...]


class SilenceShape(Shape):
    """A silence, and whether it holds now."""

    id: str
    match: MatchShape
    task: str | None
    reminders_only: bool
    starts_at: datetime
    ends_at: datetime
    author: str
    reason: str
    active: bool

    @classmethod
    def of(cls, silence: Silence, now: datetime) -> Self:
        """The same, for an answer."""
        matcher = silence.matcher
        match = MatchShape(
            kind=matcher.kind,
            severity=f"{matcher.severity.lowest.word}..{matcher.severity.highest.word}",
            labels=matcher.labels,
            cluster=matcher.cluster,
            project=matcher.project,
            action=matcher.action,
        )
        return cls(
            id=silence.id,
            match=match,
            task=silence.task,
            reminders_only=silence.reminders_only,
            starts_at=silence.starts_at,
            ends_at=silence.ends_at,
            author=silence.author,
            reason=silence.reason,
            active=silence.active(now),
        )


class TaskShape(Shape):
    """A task as it is known: the newest accepted answer of the API, and which attempt it is."""

    id: str
    action: Action
    status: str
    attempt: int
    started_at: datetime | None
    ended_at: datetime | None
    nodes: NodesShape
    current_node: str | None
    stages: tuple[StageShape, ...]
    target: str | None
    fail_message: str | None
    progress: Share | None
    eta: EtaShape | None
    vanished: bool

    @classmethod
    def of(cls, action: Action, known: KnownTask, eta: Eta | None = None) -> Self:
        """The same, for an answer."""
        return cls(**_task(action, known, eta))


class TaskOfCluster(TaskShape):
    """A task with its cluster."""

    cluster: ClusterNames

    @classmethod
    def at(cls, row: TaskRow, etas: Mapping[str, Eta]) -> Self:
        """The row, for an answer. ``etas``: by thread."""
        return cls(**_task(row.action, row.known, etas.get(row.thread)), cluster=ClusterNames.model_validate(row.cluster))


class ClusterShape(ClusterNames):
    """A cluster and every task known of it, newest first. ``asked_at``: its last good answer since this program started."""

    asked_at: datetime | None
    changed_at: datetime
    outage: OutageShape | None
    tasks: tuple[TaskShape, ...]

    @classmethod
    def seen(cls, row: ClusterRow, etas: Mapping[str, Eta], asked_at: datetime | None = None) -> Self:
        """The row, for an answer. ``etas``: by thread."""
        return cls(
            **dict(ClusterNames.model_validate(row.cluster)),
            asked_at=asked_at,
            changed_at=row.changed_at,
            outage=None if row.outage is None else OutageShape.model_validate(row.outage),
            tasks=tuple(TaskShape.of(action, known, etas.get(row.thread(action, known))) for action, known in row.tasks),
        )


class ReplicaShape(Shape):
    """A replica of the notifier: whether it is at work, and which clusters it polls. ``lanes``: tasks it tells of just now."""

    name: str
    version: str
    alive: bool
    well: bool
    started_at: datetime
    seen_at: datetime
    lease_until: datetime
    clusters: tuple[str, ...]
    lanes: int

    @classmethod
    def of(cls, row: ReplicaRow) -> Self:
        """The same, for an answer."""
        return cls(
            name=row.name,
            version=row.release,
            alive=row.alive,
            well=row.well,
            started_at=row.started_at,
            seen_at=row.seen_at,
            lease_until=row.lease_until,
            clusters=row.clusters,
            lanes=row.lanes,
        )


def nodes_total(task: Task) -> int:
    """How many nodes a task has. Huawei: ``totalNodes`` may lack what ``completedNodes`` lists."""
    return len(set(task.total) | set(task.completed))


def _task(action: Action, known: KnownTask, eta: Eta | None) -> Json:
    task = known.task
    nodes = NodesShape(total=nodes_total(task), completed=task.completed, in_flight=task.in_flight)
    return {
        "id": task.id,
        "action": action,
        "status": task.status,
        "attempt": known.attempt,
        "started_at": task.started_at,
        "ended_at": task.ended_at,
        "nodes": nodes,
        "current_node": task.current_node,
        "stages": tuple(StageShape.model_validate(stage) for stage in task.stages),
        "target": task.target,
        "fail_message": task.fail_message,
        "progress": progress(task),
        "eta": None if eta is None else EtaShape.model_validate(eta),
        "vanished": known.vanished,
    }


def event_json(position: int, event: Event) -> Json:
    """An event as the command line prints it."""
    return PlacedEvent.at(position, event).model_dump(mode="json")


def delivery_json(row: DeliveryRow) -> Json:
    """A delivery as the command line prints it."""
    return DeliveryShape.model_validate(row).model_dump(mode="json")


def dossier_json(gathered: Gathered) -> dict[str, Any]:
    """All that is kept of a task, field by field as `dossier.Dossier` has it: what reports are made of."""
    shown: dict[str, Any] = codec.dossier.dump_python(gathered.dossier(), mode="json")
    return shown


def silence_json(silence: Silence, now: datetime) -> Json:
    """A silence as the command line prints it."""
    return SilenceShape.of(silence, now).model_dump(mode="json")


def cluster_json(row: ClusterRow, etas: Mapping[str, Eta]) -> Json:
    """A cluster as the command line prints it. ``etas``: by thread."""
    return ClusterShape.seen(row, etas).model_dump(mode="json")


def accuracy_json(found: Class) -> Json:
    """How good the forecasts were, as the command line prints it."""
    return AccuracyShape.of(found).model_dump(mode="json")
