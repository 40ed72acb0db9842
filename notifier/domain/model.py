"""The words of the domain: clusters, tasks, nodes, stages, snapshots, events.

``Snapshot`` and what it holds is what one poll *saw*; ``Event`` is a fact that *happened*. Both are free of the API's spelling
(comma-joined lists, JSON in strings, naive times): the source translates at its door.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from notifier.domain.evidence import Evidence


class Action(StrEnum):
    """What is being done to a cluster. The API keeps two separate lists of tasks; both are watched."""

    UPGRADING = "UPGRADING"
    AZ_MIGRATION = "AZ_MIGRATION"


class Status:
    """The documented statuses, of tasks and of stages. Not an enumeration: an unknown status is kept as the text it is."""

    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    PARTIAL_FAILED = "PARTIAL_FAILED"
    WAITING = "WAITING"


FAILURES = frozenset({Status.FAILED, Status.PARTIAL_FAILED})
TERMINAL = FAILURES | {Status.SUCCESS}
TASK_STATUSES = TERMINAL | {Status.RUNNING}
STAGE_STATUSES = frozenset({Status.WAITING, Status.RUNNING, Status.SUCCESS, Status.FAILED})


class Severity(IntEnum):
    """How much an event matters; comparable, so that a route can ask for ``>=warning``."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50

    @property
    def word(self) -> str:
        """The severity as it is written in configuration, bodies and labels."""
        return self.name.lower()


class Kind(StrEnum):
    """What happened. The names are a contract: receivers and configurations hold on to them."""

    TASK_STARTED = "task.started"
    TASK_RETRIED = "task.retried"
    TASK_SUCCEEDED = "task.succeeded"
    TASK_FAILED = "task.failed"
    TASK_PARTIALLY_FAILED = "task.partially_failed"
    TASK_STALLED = "task.stalled"
    TASK_RESUMED = "task.resumed"
    TASK_VANISHED = "task.vanished"
    TASK_DEADLINE_NEAR = "task.deadline_near"
    TASK_WINDOW_ENDING = "task.window_ending"
    NODE_STARTED = "node.started"
    NODE_COMPLETED = "node.completed"
    NODE_FAILED = "node.failed"
    STAGE_STARTED = "stage.started"
    STAGE_SUCCEEDED = "stage.succeeded"
    STAGE_FAILED = "stage.failed"
    CLUSTER_UNREACHABLE = "cluster.unreachable"
    CLUSTER_RECOVERED = "cluster.recovered"
    SINK_FAILING = "sink.failing"
    SINK_RECOVERED = "sink.recovered"
    CLUSTER_DISCOVERED = "cluster.discovered"
    CLUSTER_FORGOTTEN = "cluster.forgotten"

    @property
    def severity(self) -> Severity:
        """How much an event of this kind matters."""
        return SEVERITIES[self]


SEVERITIES: Mapping[Kind, Severity] = {
    Kind.TASK_STARTED: Severity.INFO,
    Kind.TASK_RETRIED: Severity.WARNING,
    Kind.TASK_SUCCEEDED: Severity.INFO,
    Kind.TASK_FAILED: Severity.CRITICAL,
    Kind.TASK_PARTIALLY_FAILED: Severity.CRITICAL,
    Kind.TASK_STALLED: Severity.WARNING,
    Kind.TASK_RESUMED: Severity.INFO,
    Kind.TASK_VANISHED: Severity.WARNING,
    Kind.TASK_DEADLINE_NEAR: Severity.WARNING,
    Kind.TASK_WINDOW_ENDING: Severity.WARNING,
    Kind.NODE_STARTED: Severity.INFO,
    Kind.NODE_COMPLETED: Severity.INFO,
    Kind.NODE_FAILED: Severity.ERROR,
    Kind.STAGE_STARTED: Severity.DEBUG,
    Kind.STAGE_SUCCEEDED: Severity.DEBUG,
    Kind.STAGE_FAILED: Severity.ERROR,
    Kind.CLUSTER_UNREACHABLE: Severity.ERROR,
    Kind.CLUSTER_RECOVERED: Severity.INFO,
    Kind.SINK_FAILING: Severity.ERROR,
    Kind.SINK_RECOVERED: Severity.INFO,
    Kind.CLUSTER_DISCOVERED: Severity.INFO,
    Kind.CLUSTER_FORGOTTEN: Severity.WARNING,
}

OURS = frozenset({Kind.SINK_FAILING, Kind.SINK_RECOVERED})
"""Kinds that are about the notifier and not about a cluster."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that is watched.

    ``project`` is the name a person gave the Huawei project in the configuration, ``project_id`` is Huawei's own. Identity is
    ``(project_id, id)``: a name or a label may change at any time.
    """

    id: str
    name: str
    region: str
    project: str
    project_id: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Identifies the cluster across projects and restarts."""
        return f"{self.project_id}/{self.id}"


NOTIFIER = Cluster("notifier", "notifier", "", "", "")
"""Stands where a cluster would, in events about the notifier itself."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the work on one node (``currentNodeDetail[]``). Times are UTC, ``None`` where the API says nothing."""

    order: int
    name: str
    status: str
    description: str = ""
    began_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One upgrade or AZ migration as one poll saw it (an entry of ``detailList``).

    ``executions`` is ``executeTimes``: 1 on the first run, so retries are one less; ``None`` where the API is silent.
    ``stages`` describe ``current_node`` only. ``in_flight`` is the batch at work, without nodes that are completed already.
    ``target`` is the image's name or, for an AZ migration, the AZs the nodes end up in.
    """

    id: str
    status: str
    executions: int | None = None
    total: tuple[str, ...] = ()
    completed: tuple[str, ...] = ()
    in_flight: tuple[str, ...] = ()
    current_node: str | None = None
    stages: tuple[Stage, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None
    target: str | None = None
    fail_message: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one poll saw of one cluster and action: every task the API lists, in no particular order.

    ``partial`` says that the list shifted while its pages were read: what is in it counts, what is missing means nothing.
    """

    cluster: Cluster
    action: Action
    tasks: tuple[Task, ...]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Nodes:
    """Where the nodes of a task stand."""

    total: int
    completed: tuple[str, ...]
    in_flight: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What an event says of its task. ``attempt`` counts executions from 1.

    ``stages`` are those of ``current_node``, by their order, cut to what a message needs; events stored by earlier versions have
    none.
    """

    id: str
    action: Action
    status: str
    attempt: int
    started_at: datetime | None
    ended_at: datetime | None
    nodes: Nodes
    target: str | None
    fail_message: str | None
    current_node: str | None = None
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Eta:
    """When a task will probably end: a range, and what the guess rests on."""

    earliest: datetime
    latest: datetime
    basis: str


@dataclass(frozen=True, slots=True)
class Outage:
    """A span in which a cluster could not be polled. ``reason`` is one of ``errors.FetchReason``, ``since`` is our clock's."""

    since: datetime
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Timing:
    """What an event about time says: ``task.stalled``, ``task.resumed``, ``task.deadline_near``, ``task.window_ending``.

    Attributes:
        since: When what it speaks of began. UTC.
        lasted: Seconds of it for which good answers showed no progress, or that it took so far.
        unseen: Seconds without data in between; they do not count as a stall.
        usual: Seconds that nineteen in twenty of its like take at the most; None where nothing is known.
        basis: What ``usual`` rests on.
        until: The deadline, or the end of the window. UTC.
        share: Of the time to the deadline that is gone, in percent.
        fits: Whether the task will be over by ``until``; None where that is open.
    """

    since: datetime
    lasted: float
    unseen: float = 0.0
    usual: float | None = None
    basis: str | None = None
    until: datetime | None = None
    share: int | None = None
    fits: bool | None = None


@dataclass(frozen=True, slots=True)
class SinkFacts:
    """What an event says of a sink that fails, or works again.

    Attributes:
        name: The sink's.
        since: Its first failure in a row.
        reason: One of ``errors.DeliveryReason``; None where it works again, ``removed`` where nobody will tell it anything more.
        detail: The reason in words.
        waiting: Deliveries that are owed to it.
        lost: Deliveries that were given up meanwhile.
        merged: How many are told along with newer ones because they are old: of those that are owed, and with the message that
            showed that it works again.
    """

    name: str
    since: datetime
    reason: str | None
    detail: str | None
    waiting: int
    lost: int
    merged: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """A fact that happened, told once.

    Attributes:
        id: Deterministic: the same fact has the same id on any replica, after any restart or restore.
        sequence: 1, 2, 3 … without a gap per task (per cluster for ``cluster.*``, per sink for ``sink.*``).
        time: When it happened, by the API's clock where it says so, else when it was seen. UTC.
        observed_at: When we saw it. UTC.
        observed: False where the event was inferred from later evidence.
        catch_up: True for the one ``task.started`` of a task that was already running when first seen.
        progress: 0 to 1.
        outage: For ``cluster.unreachable`` and ``cluster.recovered`` only.
        timing: For events about time only.
        sink: For ``sink.*`` only; ``cluster`` is then `NOTIFIER`.
        evidence: The answers that it follows from; None where it follows from something else, or where nobody kept them.
    """

    id: str
    kind: Kind
    sequence: int
    time: datetime
    observed_at: datetime
    cluster: Cluster
    task: TaskFacts | None = None
    node: str | None = None
    stage: Stage | None = None
    progress: float | None = None
    eta: Eta | None = None
    observed: bool = True
    catch_up: bool = False
    outage: Outage | None = None
    timing: Timing | None = None
    sink: SinkFacts | None = None
    evidence: Evidence | None = None

    @property
    def severity(self) -> Severity:
        """How much it matters; fixed by the kind."""
        return self.kind.severity

    @property
    def subject(self) -> str:
        """What it is about, as a path: ``tasks/<id>``, ``tasks/<id>/nodes/<name>``, ``sinks/<name>``; empty for the cluster."""
        if self.sink is not None:
            return f"sinks/{self.sink.name}"
        if self.task is None:
            return ""
        path = f"tasks/{self.task.id}"
        return path if self.node is None else f"{path}/nodes/{self.node}"

    @property
    def thread(self) -> str:
        """What its deliveries are kept in order by, and its ``sequence`` counts: the task, the cluster, or the sink."""
        if self.sink is not None:
            return f"sinks/{self.sink.name}"
        return self.cluster.key if self.task is None else f"{self.cluster.key}/{self.task.action}/{self.task.id}"
