"""Makes a message of an event, in the words of its sink, and the body that machines read.

What a sink adds is only its format. ``payload`` is the ``data`` of the webhook body and the JSON of the command line: a contract,
to which fields may be added but in which none may change. Its summary is English whatever a sink speaks.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from notifier.domain.message import Message, Receipt
from notifier.domain.model import Event, Stage, Timing
from notifier.domain.words import Words

LATE = timedelta(minutes=5)
"""News older than this is said to be old."""

Json = Mapping[str, object]

ENGLISH = Words()


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
    due: datetime | None = None,
    created_at: datetime | None = None,
    words: Words = ENGLISH,
) -> Message:
    """The message for one delivery of an event, in the words of its sink.

    ``reminder``: the how manieth time that it is said to last. ``due``: when it was to be told; None: once it was seen.
    """
    age, late = now - event.observed_at, now - (due or event.observed_at)
    lasts = words.phrases.time.lasting.format(span=words.span(age)) if reminder else ""
    return Message(
        id=delivery_id,
        event=event,
        title=words.title(event),
        summary=lasts + words.summary(event),
        facts=words.facts(event),
        earlier=earlier,
        attempt=attempt,
        may_repeat=may_repeat,
        late_by=late if late > LATE and not reminder else None,
        skipped=skipped,
        reminder=reminder,
        progress=progress,
        mark=mark,
        created_at=created_at,
    )


def summary(event: Event) -> str:
    """One line for a person, in English: what logs, the API and the body say."""
    return ENGLISH.summary(event)


def payload(event: Event) -> Json:
    """The event as JSON-able data: the ``data`` of the webhook body."""
    task, stage, outage, sink = event.task, event.stage, event.outage, event.sink
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
        "sink": sink
        and {
            "name": sink.name,
            "since": iso(sink.since),
            "reason": sink.reason,
            "detail": sink.detail,
            "waiting": sink.waiting,
            "lost": sink.lost,
            "merged": sink.merged,
        },
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
