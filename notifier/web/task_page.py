"""The page of one task: where it stands, its timeline as a picture, its events, and what became of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from notifier.domain.model import Action, Severity, Status
from notifier.domain.progress import progress
from notifier.domain.timeline import timeline
from notifier.domain.words import Words
from notifier.report.picture import picture
from notifier.store.catalogue import read_event
from notifier.store.rows import AttemptRow, DeliveryRow, EventRow, TaskRow
from notifier.store.transaction import Transaction
from notifier.web.event_page import DeliveryLine, delivery_line
from notifier.web.feed import EventLine, event_line
from notifier.web.health import Health
from notifier.web.marks import ACTIONS, outlook, past, task_badge
from notifier.web.overview import strip, where
from notifier.web.questions import Question, Text

MOST_EVENTS = 5000
"""Events that the picture is made of: 170 nodes of 13 stages."""

LISTED = 200
"""Events below the picture, the newest of them."""

WORDS = Words()


class TaskQuestion(Question):
    """Which task; ``stages`` lists its stages' events as well."""

    cluster: Text
    action: Action
    id: Text
    stages: Text = Field("")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store says; the events are read elsewhere. ``listed``: those below the picture, with what became of each."""

    row: TaskRow
    events: Sequence[EventRow]
    of_cluster: Sequence[EventRow]
    listed: Sequence[EventRow]
    fates: Mapping[str, Sequence[tuple[DeliveryRow, Sequence[AttemptRow]]]]


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and what became of it."""

    line: EventLine
    deliveries: tuple[DeliveryLine, ...]


def look(transaction: Transaction, question: TaskQuestion) -> Seen | None:
    """Ask the store; None if there is no such task."""
    row = transaction.task(question.cluster, question.action, question.id)
    if row is None:
        return None
    events = transaction.written(row.thread, limit=MOST_EVENTS)
    lowest = Severity.DEBUG if question.stages else Severity.INFO
    listed = [written for written in events if written.severity >= lowest][-LISTED:]
    fates = transaction.fates([written.id for written in listed])
    return Seen(row, events, transaction.written(row.cluster.key, limit=LISTED), listed, fates)


def view(seen: Seen, question: TaskQuestion, health: Health, now: datetime) -> dict[str, object]:
    """What the template shows."""
    row, task = seen.row, seen.row.known.task
    share, line = progress(task), timeline(map(read_event, [*seen.events, *seen.of_cluster]), now)
    over = task.status != Status.RUNNING
    asked = health.asked.get(row.cluster.key)
    eta = None if line is None or line.eta is None or over else line.eta
    return {
        "cluster": row.cluster,
        "labels": [f"{key}={value}" for key, value in sorted(row.cluster.labels.items())],
        "action": ACTIONS[row.action],
        "task": task,
        "attempt": row.known.attempt,
        "badge": task_badge(row.known),
        "percent": None if share is None else round(share * 100),
        "strip": strip(task),
        "at": where(task),
        "since": past(task.started_at, now) if task.started_at else None,
        "ended": past(task.ended_at, now) if over and task.ended_at else None,
        "asked": None if asked is None else past(asked, now),
        "eta": None if eta is None else outlook(eta, now),
        "picture": None if line is None else picture(line, WORDS, alone=False),
        "told": [_told(written, seen.fates.get(written.id, ()), now) for written in reversed(seen.listed)],
        "stages": bool(question.stages),
    }


def _told(written: EventRow, fate: Sequence[tuple[DeliveryRow, Sequence[AttemptRow]]], now: datetime) -> Told:
    lines = tuple(delivery_line(row, tries, now) for row, tries in fate)
    return Told(event_line(written.position, read_event(written), now), lines)
