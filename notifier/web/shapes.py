"""What the store holds as JSON-able data: the shapes of the REST answers and of the command line's ``--json``.

A contract like `render.payload`: fields may be added, none may change. Absent things are null, moments are ISO 8601 in UTC.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from notifier.domain.known import KnownTask
from notifier.domain.model import Action, Event, Outage, Stage, Task
from notifier.domain.progress import progress
from notifier.domain.render import Json, iso, payload
from notifier.domain.silences import Silence
from notifier.store import codec
from notifier.store.dossiers import Gathered
from notifier.store.rows import AttemptRow, ClusterRow, DeliveryRow


def event_json(position: int, event: Event) -> Json:
    """An event, with its ``position``: what ``after`` counts from."""
    return {"position": position, **payload(event)}


def delivery_json(row: DeliveryRow) -> Json:
    """A delivery: which event is owed to which sink, and how far that is."""
    return {
        "id": row.id,
        "event": row.event,
        "sink": row.sink,
        "kind": row.kind,
        "cluster": row.cluster,
        "state": row.state.value,
        "attempts": row.attempts,
        "created_at": iso(row.created_at),
        "settled_at": iso(row.settled_at),
        "next_at": iso(row.next_at),
        "reason": row.reason,
        "detail": row.detail,
        "ready_at": iso(row.ready_at),
        "along": row.along,
    }


def story_json(event: Event, fate: Sequence[tuple[DeliveryRow, Sequence[AttemptRow]]]) -> Json:
    """An event and what became of it: every delivery with every try."""
    return {
        "event": payload(event),
        "deliveries": [{**delivery_json(row), "tries": [_attempt_json(attempt) for attempt in tries]} for row, tries in fate],
    }


def dossier_json(gathered: Gathered) -> dict[str, Any]:
    """All that is kept of a task, field by field as `dossier.Dossier` has it: what reports are made of."""
    shown: dict[str, Any] = codec.dossier.dump_python(gathered.dossier(), mode="json")
    return shown


def _attempt_json(attempt: AttemptRow) -> Json:
    return {
        "number": attempt.number,
        "ended_at": iso(attempt.ended_at),
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "detail": attempt.detail,
    }


def silence_json(silence: Silence, now: datetime) -> Json:
    """A silence, and whether it holds now. The matcher is spelled as the configuration spells it."""
    matcher = silence.matcher
    return {
        "id": silence.id,
        "match": {
            "kind": list(matcher.kind),
            "severity": f"{matcher.severity.lowest.word}..{matcher.severity.highest.word}",
            "labels": {name: list(globs) for name, globs in matcher.labels.items()},
            "cluster": list(matcher.cluster),
            "project": list(matcher.project),
            "action": list(matcher.action),
        },
        "task": silence.task,
        "reminders_only": silence.reminders_only,
        "starts_at": iso(silence.starts_at),
        "ends_at": iso(silence.ends_at),
        "author": silence.author,
        "reason": silence.reason,
        "active": silence.active(now),
    }


def cluster_json(row: ClusterRow) -> Json:
    """A cluster and every task known of it, newest first."""
    return {
        "id": row.cluster.id,
        "name": row.cluster.name,
        "labels": dict(row.cluster.labels),
        "region": row.cluster.region,
        "project": row.cluster.project,
        "changed_at": iso(row.changed_at),
        "outage": _outage_json(row.outage),
        "tasks": [_task_json(action, known) for action, known in row.tasks],
    }


def nodes_total(task: Task) -> int:
    """How many nodes a task has. Huawei: ``totalNodes`` may lack what ``completedNodes`` lists."""
    return len(set(task.total) | set(task.completed))


def _outage_json(outage: Outage | None) -> Json | None:
    return None if outage is None else {"since": iso(outage.since), "reason": outage.reason, "detail": outage.detail}


def _task_json(action: Action, known: KnownTask) -> Json:
    task = known.task
    return {
        "id": task.id,
        "action": action.value,
        "status": task.status,
        "attempt": known.attempt,
        "started_at": iso(task.started_at),
        "ended_at": iso(task.ended_at),
        "nodes": {"total": nodes_total(task), "completed": list(task.completed), "in_flight": list(task.in_flight)},
        "current_node": task.current_node,
        "stages": [_stage_json(stage) for stage in task.stages],
        "target": task.target,
        "fail_message": task.fail_message,
        "progress": progress(task),
        "vanished": known.vanished,
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
