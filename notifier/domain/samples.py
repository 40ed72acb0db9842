"""One realistic message of each kind: what ``notifier test SINK`` sends and what every sink is tested with.

They tell one upgrade of a cluster of three nodes that stalls, fails, is retried and succeeds, one outage, a sink that fails, and
that the cluster comes and goes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid5

from notifier.domain.identity import NAMESPACE, of_delivery
from notifier.domain.message import Message
from notifier.domain.model import (
    NOTIFIER,
    OURS,
    TERMINAL,
    Action,
    Cluster,
    Eta,
    Event,
    Kind,
    Nodes,
    Outage,
    SinkFacts,
    Stage,
    Status,
    TaskFacts,
    Timing,
)
from notifier.domain.render import ENGLISH, render
from notifier.domain.words import Words

NODES = ("css-sample-ess-esn-1-1", "css-sample-ess-esn-2-1", "css-sample-ess-esn-3-1")
CLUSTER = Cluster(
    id="5a3b1e00-0000-4000-8000-000000000001",
    name="sample-cluster",
    region="cn-north-4",
    project="sample-project",
    project_id="00000000000000000000000000000001",
    labels={"env": "sample"},
)
TASK_ID = "5a3b1e00-0000-4000-8000-0000000000aa"
TARGET = "7.10.2_22.5.1_1230"
FAIL_MESSAGE = "[402c6c3]NodeReplaceTask-fail: the node did not join the cluster in time"
TOLD_AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where the sample task stands when something happens. ``minute`` counts from its start; ``order`` is a stage's."""

    minute: int
    status: str = Status.RUNNING
    completed: int = 0
    attempt: int = 1
    order: int | None = None
    stage_status: str = Status.RUNNING


_SCENES = {
    Kind.TASK_STARTED: _Scene(0),
    Kind.NODE_STARTED: _Scene(1),
    Kind.STAGE_STARTED: _Scene(2, order=0),
    Kind.STAGE_SUCCEEDED: _Scene(8, order=0, stage_status=Status.SUCCESS),
    Kind.NODE_COMPLETED: _Scene(30, completed=1),
    Kind.TASK_STALLED: _Scene(75, completed=1, order=0),
    Kind.TASK_DEADLINE_NEAR: _Scene(85, completed=1, order=0),
    Kind.TASK_RESUMED: _Scene(90, completed=1, order=0),
    Kind.STAGE_FAILED: _Scene(95, Status.FAILED, completed=1, order=4, stage_status=Status.FAILED),
    Kind.NODE_FAILED: _Scene(95, Status.FAILED, completed=1),
    Kind.TASK_FAILED: _Scene(95, Status.FAILED, completed=1),
    Kind.TASK_PARTIALLY_FAILED: _Scene(95, Status.PARTIAL_FAILED, completed=1),
    Kind.TASK_RETRIED: _Scene(110, completed=1, attempt=2),
    Kind.TASK_VANISHED: _Scene(140, completed=2, attempt=2),
    Kind.TASK_WINDOW_ENDING: _Scene(145, completed=2, attempt=2),
    Kind.CLUSTER_UNREACHABLE: _Scene(150),
    Kind.CLUSTER_RECOVERED: _Scene(160),
    Kind.SINK_FAILING: _Scene(165),
    Kind.SINK_RECOVERED: _Scene(175),
    Kind.TASK_SUCCEEDED: _Scene(180, Status.SUCCESS, completed=3, attempt=2),
    Kind.CLUSTER_DISCOVERED: _Scene(180),
    Kind.CLUSTER_FORGOTTEN: _Scene(180),
}
_STAGES = (
    "Data migration",
    "Node brought offline",
    "Node creation",
    "Connectivity test",
    "Node replacement",
    "Node initialization",
    "Process startup",
    "Cluster joining",
    "Task status update",
)
_LENGTH = timedelta(minutes=180)


def samples(now: datetime = TOLD_AT, *, run: str = "", mark: str | None = "TEST", words: Words = ENGLISH) -> list[Message]:
    """One message of each kind, in the order of the story, which ends at ``now``.

    Args:
        now: When the messages are told; UTC.
        run: Goes into the ids. A receiver that drops repeats takes the samples of another run as new.
        mark: See `Message`.
        words: In which they are told.
    """
    return [
        render(
            event,
            delivery_id=of_delivery(event.id, "sample"),
            attempt=1,
            may_repeat=False,
            skipped=0,
            now=event.observed_at + timedelta(seconds=1),
            mark=mark,
            created_at=now,
            words=words,
        )
        for event in (_event(kind, number, now - _LENGTH, run) for number, kind in enumerate(_SCENES, start=1))
    ]


def sample(kind: Kind, now: datetime = TOLD_AT, *, run: str = "", mark: str | None = "TEST", words: Words = ENGLISH) -> Message:
    """The sample message of one kind."""
    return next(message for message in samples(now, run=run, mark=mark, words=words) if message.event.kind is kind)


def _event(kind: Kind, sequence: int, start: datetime, run: str) -> Event:
    scene = _SCENES[kind]
    time = start + timedelta(minutes=scene.minute)
    if kind in OURS:
        return _of_sink(kind, sequence, time, run)
    of_cluster = kind.value.startswith("cluster.")
    of_outage = kind in {Kind.CLUSTER_UNREACHABLE, Kind.CLUSTER_RECOVERED}
    concerns_node = kind.value.startswith(("node.", "stage.")) or kind in {Kind.TASK_STALLED, Kind.TASK_DEADLINE_NEAR}
    position = scene.completed - 1 if kind is Kind.NODE_COMPLETED else scene.completed
    running = scene.status == Status.RUNNING and not of_cluster
    return Event(
        id=str(uuid5(NAMESPACE, f"sample/{run}/{kind}")),
        kind=kind,
        sequence=sequence,
        time=time,
        observed_at=time + timedelta(seconds=4),
        cluster=CLUSTER,
        task=None if of_cluster else _task(scene, start, time),
        node=NODES[position] if concerns_node else None,
        stage=_stage(scene, time),
        progress=None if of_cluster else round(scene.completed / len(NODES), 2),
        eta=Eta(start + _LENGTH, start + _LENGTH * 1.2, "1 finished node") if running and scene.completed else None,
        timing=_timing(kind, start, time),
        outage=Outage(start + timedelta(minutes=145), "server", "HTTP 503") if of_outage else None,
    )


def _task(scene: _Scene, start: datetime, time: datetime) -> TaskFacts:
    failed = scene.status in {Status.FAILED, Status.PARTIAL_FAILED}
    at_work = NODES[scene.completed] if scene.completed < len(NODES) else None
    return TaskFacts(
        id=TASK_ID,
        action=Action.UPGRADING,
        status=scene.status,
        attempt=scene.attempt,
        started_at=start,
        ended_at=time if scene.status in TERMINAL else None,
        nodes=Nodes(len(NODES), NODES[: scene.completed], NODES[scene.completed : scene.completed + 1]),
        target=TARGET,
        fail_message=FAIL_MESSAGE if failed else None,
        current_node=at_work,
        stages=_stages(scene, time, failed=failed) if at_work else (),
    )


def _stages(scene: _Scene, time: datetime, *, failed: bool) -> tuple[Stage, ...]:
    """The stages of the node at work, two minutes each; where none is named, the fifth is reached once a node is done."""
    reached = scene.order if scene.order is not None else 4 if scene.completed else 0
    now = Status.FAILED if failed else scene.stage_status
    told = []
    for order, name in enumerate(_STAGES):
        begins = time + timedelta(minutes=2) * (order - reached)
        status = Status.SUCCESS if order < reached else now if order == reached else Status.WAITING
        over = status in TERMINAL
        ends = begins + timedelta(minutes=2) if order < reached else time
        told.append(Stage(order, name, status, "", None if order > reached else begins, ends if over else None))
    return tuple(told)


def _stage(scene: _Scene, time: datetime) -> Stage | None:
    if scene.order is None:
        return None
    over = scene.stage_status != Status.RUNNING
    began_at = time - timedelta(minutes=6) if over else time
    return Stage(scene.order, _STAGES[scene.order], scene.stage_status, "", began_at, time if over else None)


def _timing(kind: Kind, start: datetime, time: datetime) -> Timing | None:
    since, lasted = start + timedelta(minutes=30), (time - start).total_seconds() - 1800
    match kind:
        case Kind.TASK_STALLED:
            return Timing(since, lasted, usual=720.0, basis="this cluster's history")
        case Kind.TASK_RESUMED:
            return Timing(since, lasted)
        case Kind.TASK_DEADLINE_NEAR:
            began = time - timedelta(hours=24)
            return Timing(began, 86400.0, until=began + timedelta(hours=48), share=50)
        case Kind.TASK_WINDOW_ENDING:
            return Timing(start, (time - start).total_seconds(), until=start + timedelta(minutes=175), fits=False)
        case _:
            return None


def _of_sink(kind: Kind, sequence: int, time: datetime, run: str) -> Event:
    fails = kind is Kind.SINK_FAILING
    reason, detail = ("refused", "HTTP 401: the token is not valid") if fails else (None, None)
    return Event(
        id=str(uuid5(NAMESPACE, f"sample/{run}/{kind}")),
        kind=kind,
        sequence=sequence,
        time=time,
        observed_at=time,
        cluster=NOTIFIER,
        sink=SinkFacts(
            "sample-sink",
            time - timedelta(minutes=10),
            reason,
            detail,
            waiting=7,
            lost=0 if fails else 2,
            merged=0 if fails else 3,
        ),
    )
