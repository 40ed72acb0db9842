"""The page of one task: where it stands, its timeline as a picture, its events, and what became of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from notifier.domain.model import Action, Event, Severity, Status
from notifier.domain.progress import progress
from notifier.domain.timeline import timeline
from notifier.domain.words import Words
from notifier.report.picture import picture
from notifier.store.rows import AttemptRow, DeliveryRow, TaskRow
from notifier.store.transaction import Transaction
from notifier.web.event_page import DeliveryLine, delivery_line
from notifier.web.feed import EventLine, event_line
from notifier.web.health import Health
from notifier.web.marks import ACTIONS, moment, past, task_badge
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
    """What the store says. ``listed``: the events below the picture, with what became of each."""

    row: TaskRow
    events: Sequence[tuple[int, Event]]
    listed: Sequence[tuple[int, Event]]
    fates: Mapping[str, Sequence[tuple[DeliveryRow, Sequence[AttemptRow]]]]


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and what became of it."""

    line: EventLine
    deliveries: tuple[DeliveryLine, ...]
    words: str


def look(transaction: Transaction, question: TaskQuestion) -> Seen | None:
    """Ask the store; None if there is no such task."""
    row = transaction.task(question.cluster, question.action, question.id)
    if row is None:
        return None
    events = transaction.task_events(row.thread, limit=MOST_EVENTS)
    of_cluster = transaction.task_events(row.cluster.key, limit=LISTED)
    lowest = Severity.DEBUG if question.stages else Severity.INFO
    listed = [found for found in events if found[1].severity >= lowest][-LISTED:]
    return Seen(row, [*events, *of_cluster], listed, transaction.fates([event.id for _, event in listed]))


def view(seen: Seen, question: TaskQuestion, health: Health, now: datetime) -> dict[str, object]:
    """What the template shows."""
    row, task = seen.row, seen.row.known.task
    share, line = progress(task), timeline((event for _, event in seen.events), now)
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
        "eta": None if eta is None else (moment(eta.earliest, now), moment(eta.latest, now), eta.basis),
        "picture": None if line is None else picture(line, WORDS, alone=False),
        "told": [_told(position, event, seen.fates.get(event.id, ()), now) for position, event in reversed(seen.listed)],
        "stages": bool(question.stages),
    }


def _told(position: int, event: Event, fate: Sequence[tuple[DeliveryRow, Sequence[AttemptRow]]], now: datetime) -> Told:
    lines = tuple(delivery_line(row, tries, now) for row, tries in fate)
    return Told(event_line(position, event, now), lines, ", ".join(f"{line.sink} {line.badge.word}" for line in lines))
