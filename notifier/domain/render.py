"""Puts an event into words, and into the body that machines read.

The words are the same for every sink; what a sink adds is only its format. ``payload`` is the ``data`` of the webhook body and
the JSON of the command line: a contract, to which fields may be added but in which none may change.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import assert_never

from notifier.domain import time_words
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Action, Event, Kind, Stage, TaskFacts, Timing

span = time_words.span
"""A length of time as a person says it."""

LATE = timedelta(minutes=5)
"""News older than this is said to be old."""

Json = Mapping[str, object]


def render(
    event: Event,
    *,
    delivery_id: str,
    attempt: int,
    may_repeat: bool,
    skipped: int,
    now: datetime,
    mark: str | None = None,
    earlier: tuple[Event, ...] = (),
    progress: Receipt | None = None,
    reminder: int = 0,
) -> Message:
    """The message for one delivery of an event; ``reminder``: the how manieth time that it is said to last."""
    age = now - event.observed_at
    lasts = f"Still, after {span(age)}: " if reminder else ""
    return Message(
        id=delivery_id,
        event=event,
        title=title(event),
        summary=f"{lasts}{summary(event)}",
        facts=facts(event),
        earlier=earlier,
        attempt=attempt,
        may_repeat=may_repeat,
        late_by=age if age > LATE and not reminder else None,
        skipped=skipped,
        reminder=reminder,
        progress=progress,
        mark=mark,
    )


def title(event: Event) -> str:
    """The cluster and what happened, in a few words."""
    return f"{event.cluster.name}: {_headline(event, _work(event.task))}"


def _headline(event: Event, work: str) -> str:
    match event.kind:
        case Kind.TASK_STARTED:
            return f"{work} is running" if event.catch_up else f"{work} started"
        case Kind.TASK_RETRIED:
            return f"{work} retried"
        case Kind.TASK_SUCCEEDED:
            return f"{work} succeeded"
        case Kind.TASK_FAILED:
            return f"{work} FAILED"
        case Kind.TASK_PARTIALLY_FAILED:
            return f"{work} PARTIALLY FAILED"
        case Kind.TASK_STALLED:
            return f"{work} makes no progress"
        case Kind.TASK_RESUMED:
            return f"{work} makes progress again"
        case Kind.TASK_VANISHED:
            return f"{work} is no longer listed"
        case Kind.TASK_DEADLINE_NEAR:
            return "data migration nears its limit"
        case Kind.TASK_WINDOW_ENDING:
            return f"{work} still running, its change window ends"
        case Kind.NODE_STARTED:
            return "node started"
        case Kind.NODE_COMPLETED:
            return "node completed"
        case Kind.NODE_FAILED:
            return "node FAILED"
        case Kind.STAGE_STARTED:
            return "stage started"
        case Kind.STAGE_SUCCEEDED:
            return "stage succeeded"
        case Kind.STAGE_FAILED:
            return "stage FAILED"
        case Kind.CLUSTER_UNREACHABLE:
            return "cannot be watched"
        case Kind.CLUSTER_RECOVERED:
            return "is watched again"
        case Kind.CLUSTER_DISCOVERED:
            return "is new, and watched from now on"
        case Kind.CLUSTER_FORGOTTEN:
            return "is no longer listed"
    assert_never(event.kind)


def summary(event: Event) -> str:
    """One line for a person, without the cluster's name in front."""
    task, node = event.task, event.node
    match event.kind:
        case Kind.TASK_STARTED | Kind.TASK_SUCCEEDED:
            return f"{_sentence(event, _towards(task))}{_standing(event)}."
        case Kind.TASK_RESUMED:
            return f"{_sentence(event, _towards(task))}{_standing(event)}{time_words.resumed(event)}."
        case Kind.TASK_RETRIED:
            return f"{_sentence(event)}: attempt {task.attempt if task else '?'}{_standing(event)}."
        case Kind.TASK_FAILED | Kind.TASK_PARTIALLY_FAILED:
            return f"{_sentence(event)}{_standing(event)}{_cause(task)}. Someone must choose: retry or terminate."
        case Kind.TASK_STALLED:
            return f"{_sentence(event)}{_standing(event)}{time_words.stalled(event)}."
        case Kind.TASK_DEADLINE_NEAR:
            return f"{time_words.deadline(event)}."
        case Kind.TASK_WINDOW_ENDING:
            return f"{time_words.window(event)}{_standing(event)}."
        case Kind.TASK_VANISHED:
            return f"{_sentence(event)}: it was running when the API listed it last{_standing(event)}."
        case Kind.NODE_STARTED:
            return f"Node {node} started{_standing(event)}."
        case Kind.NODE_COMPLETED:
            return f"Node {node} completed{_standing(event)}."
        case Kind.NODE_FAILED:
            return f"Node {node} failed{_cause(task)}."
        case Kind.STAGE_STARTED:
            return f"Node {node}: {_stage(event.stage)} started."
        case Kind.STAGE_SUCCEEDED:
            return f"Node {node}: {_stage(event.stage)} succeeded{_took(event.stage)}."
        case Kind.STAGE_FAILED:
            return f"Node {node}: {_stage(event.stage)} failed{_took(event.stage)}{_cause(task)}."
        case Kind.CLUSTER_UNREACHABLE:
            return f"No data since {_clock(event.outage.since)} ({_blame(event)})." if event.outage else "No data."
        case Kind.CLUSTER_RECOVERED:
            return f"Data again, after {span(event.time - event.outage.since)} without." if event.outage else "Data again."
        case Kind.CLUSTER_DISCOVERED:
            return f"The project {event.cluster.project} lists a new cluster; it is watched from now on."
        case Kind.CLUSTER_FORGOTTEN:
            return f"The project {event.cluster.project} no longer lists it as one to watch; it is not watched any more."
    assert_never(event.kind)


def facts(event: Event) -> tuple[tuple[str, str], ...]:
    """Label and value pairs that a sink may show below the summary."""
    rows: list[tuple[str, str | None]] = [
        ("Cluster", f"{event.cluster.name} ({event.cluster.id})"),
        ("Region", event.cluster.region),
    ]
    if task := event.task:
        rows += [
            ("Action", _work(task)),
            ("Target", task.target),
            ("Status", task.status),
            ("Attempt", str(task.attempt)),
            ("Nodes", f"{len(task.nodes.completed)} of {task.nodes.total} completed"),
            ("In flight", ", ".join(task.nodes.in_flight) or None),
            ("Message", task.fail_message),
            ("Task", task.id),
        ]
    rows += [("What can be done", time_words.advice(event))]
    rows += [("Node", event.node), ("Stage", event.stage.name if event.stage else None), ("Seen", _clock(event.observed_at))]
    return tuple((label, value) for label, value in rows if value)


def payload(event: Event) -> Json:
    """The event as JSON-able data: the ``data`` of the webhook body."""
    task, stage, outage = event.task, event.stage, event.outage
    return {
        "id": event.id,
        "kind": event.kind.value,
        "severity": event.severity.word,
        "sequence": event.sequence,
        "time": iso(event.time),
        "observed": event.observed,
        "observed_at": iso(event.observed_at),
        "catch_up": event.catch_up,
        "summary": summary(event),
        "cluster": {
            "id": event.cluster.id,
            "name": event.cluster.name,
            "labels": dict(event.cluster.labels),
            "region": event.cluster.region,
            "project": event.cluster.project,
        },
        "task": task
        and {
            "id": task.id,
            "action": task.action.value,
            "status": task.status,
            "attempt": task.attempt,
            "started_at": iso(task.started_at),
            "ended_at": iso(task.ended_at),
            "nodes": {
                "total": task.nodes.total,
                "completed": list(task.nodes.completed),
                "in_flight": list(task.nodes.in_flight),
            },
            "target": task.target,
            "fail_message": task.fail_message,
            "current_node": task.current_node,
            "stages": [_stage_json(each) for each in task.stages],
        },
        "node": event.node,
        "stage": stage and _stage_json(stage),
        "progress": event.progress,
        "eta": event.eta and {"earliest": iso(event.eta.earliest), "latest": iso(event.eta.latest), "basis": event.eta.basis},
        "outage": outage and {"since": iso(outage.since), "reason": outage.reason, "detail": outage.detail},
        "timing": _timing(event.timing),
    }


def _timing(timing: Timing | None) -> Json | None:
    if timing is None:
        return None
    return {
        "since": iso(timing.since),
        "lasted": round(timing.lasted, 1),
        "unseen": round(timing.unseen, 1),
        "usual": None if timing.usual is None else round(timing.usual, 1),
        "basis": timing.basis,
        "until": iso(timing.until),
        "share": timing.share,
        "fits": timing.fits,
    }


def _stage_json(stage: Stage) -> Json:
    return {
        "order": stage.order,
        "name": stage.name,
        "status": stage.status,
        "description": stage.description,
        "began_at": iso(stage.began_at),
        "ended_at": iso(stage.ended_at),
    }


def iso(time: datetime | None) -> str | None:
    """UTC, ISO 8601, with ``Z``; microseconds only where there are any."""
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _work(task: TaskFacts | None) -> str:
    if task is None:
        return "work"
    return "AZ migration" if task.action is Action.AZ_MIGRATION else "upgrade"


def _sentence(event: Event, target: str = "") -> str:
    headline = _headline(event, _work(event.task) + target)
    return headline[:1].upper() + headline[1:]


def _towards(task: TaskFacts | None) -> str:
    return f" to {task.target}" if task and task.target else ""


def _standing(event: Event) -> str:
    if event.task is None or not event.task.nodes.total:
        return ""
    nodes = event.task.nodes
    percent = "" if event.progress is None else f", {event.progress:.0%}"
    return f" ({len(nodes.completed)} of {nodes.total} nodes{percent})"


def _cause(task: TaskFacts | None) -> str:
    return f": {task.fail_message}" if task and task.fail_message else ""


def _stage(stage: Stage | None) -> str:
    return f"stage {stage.order} “{stage.name}”" if stage else "a stage"


def _took(stage: Stage | None) -> str:
    if stage is None or stage.began_at is None or stage.ended_at is None or stage.ended_at < stage.began_at:
        return ""
    return f" after {span(stage.ended_at - stage.began_at)}"


def _blame(event: Event) -> str:
    return f"{event.outage.reason}: {event.outage.detail}" if event.outage else "unknown"


def _clock(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
