"""The page of all events, newest on top, with filters; and how an event is shown in a line, wherever it is."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from pydantic import Field

from notifier.domain.model import Event, Kind, Severity
from notifier.domain.render import summary
from notifier.store.transaction import Transaction
from notifier.web.marks import Badge, Moment, past, severity_badge
from notifier.web.questions import LowestSeverity, Question, Text, Whole

PAGE = 50
"""Events on a page."""


class FeedQuestion(Question):
    """Which events. An empty field of the form is none."""

    cluster: Text = ""
    kind: Text = ""
    severity: LowestSeverity = Severity.INFO
    before: Whole | None = Field(None)


@dataclass(frozen=True, slots=True)
class EventLine:
    """An event in a line: what it says, when, and where more is said."""

    position: int
    id: str
    path: str
    task: str | None
    cluster: str
    kind: str
    badge: Badge
    words: str
    time: Moment


def event_line(position: int, event: Event, now: datetime) -> EventLine:
    """An event in a line."""
    task = event.task
    return EventLine(
        position=position,
        id=event.id,
        path=f"events/{event.id}",
        task=None if task is None else f"tasks/{event.cluster.id}/{task.action.value}/{task.id}",
        cluster=event.cluster.name,
        kind=event.kind.value,
        badge=severity_badge(event),
        words=summary(event),
        time=past(min(event.time, event.observed_at), now),
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store says: one event more than the page shows, if there is one."""

    events: list[tuple[int, Event]]
    names: list[str]


def look(transaction: Transaction, question: FeedQuestion) -> Seen:
    """Ask the store."""
    events = transaction.events(
        cluster=question.cluster or None,
        kind=question.kind or None,
        severity=question.severity,
        before=question.before,
        limit=PAGE + 1,
    )
    return Seen(events, transaction.cluster_names())


def view(seen: Seen, question: FeedQuestion, now: datetime) -> dict[str, object]:
    """What the template shows."""
    shown = seen.events[-PAGE:]
    asked = {"cluster": question.cluster, "kind": question.kind, "severity": question.severity.word}
    older = urlencode({**asked, "before": shown[0][0]}) if len(seen.events) > PAGE else None
    return {
        "events": [event_line(position, event, now) for position, event in reversed(shown)],
        "asked": asked,
        "filtered": bool(question.cluster or question.kind or question.severity is not Severity.INFO),
        "newest": urlencode(asked) if question.before is not None else None,
        "older": older,
        "kinds": ["task.*", "node.*", "stage.*", "cluster.*", *(kind.value for kind in Kind)],
        "severities": [severity.word for severity in Severity],
        "names": seen.names,
    }
