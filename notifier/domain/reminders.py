"""Conditions that last, and when they are told again: reminders and escalation.

A condition is a failure that nobody retried, a stall, a cluster that cannot be watched. It lasts until what is known says that it
is over, or somebody acknowledges it (a silence, or one for reminders only). Its reminders fall due at fixed distances from the
moment it was seen, so that it does not matter who asks, or how late.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.domain import identity
from notifier.domain.diff import ENDINGS
from notifier.domain.known import Known
from notifier.domain.model import Event, Kind, TaskFacts
from notifier.domain.routing import Route

CONDITIONS = frozenset({Kind.TASK_FAILED, Kind.TASK_PARTIALLY_FAILED, Kind.TASK_STALLED, Kind.CLUSTER_UNREACHABLE})

ENDS = CONDITIONS | {
    Kind.TASK_STARTED,
    Kind.TASK_RETRIED,
    Kind.TASK_RESUMED,
    Kind.TASK_SUCCEEDED,
    Kind.CLUSTER_RECOVERED,
}
"""Kinds of event after which a condition may be over; a new task ends the failure of the one before it."""

LONGEST = timedelta(days=7)
"""Nobody is reminded for longer: who has not acted in a week has decided not to."""

MOST = 9_999
"""Reminders of one event to one sink."""

SHORTEST_LOOK, LONGEST_LOOK = 0.25, 30.0
"""Seconds between two looks for what is due."""


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery of a condition's event to one sink: news (0) or the n-th reminder, when it was owed, whether it still is."""

    reminder: int
    created_at: datetime
    open: bool


def lasts(event: Event, known: Known) -> bool:
    """Whether the condition that an event tells of is still there."""
    if event.kind is Kind.CLUSTER_UNREACHABLE:
        since = None if known.outage is None or not known.outage_told else known.outage.since.isoformat()
        return since is not None and event.id == identity.of_cluster(event.cluster, Kind.CLUSTER_UNREACHABLE, since)
    if event.task is None or event.kind not in CONDITIONS:
        return False
    action, task_id = event.task.action, event.task.id
    task = known.tasks.get((action, task_id))
    if task is None or task.attempt != event.task.attempt:
        return False
    if event.kind is Kind.TASK_STALLED:
        number = task.course.stalls
        own = identity.of_task(event.cluster, action, task_id, event.kind, attempt=task.attempt, number=number)
        return task.course.stalled and event.id == own
    return ENDINGS.get(task.task.status) is event.kind and not _superseded(event.task, event.time, known)


def _superseded(failed: TaskFacts, at: datetime, known: Known) -> bool:
    """Whether a later task of the same action has begun: whoever started it has seen that the one before failed."""
    since = failed.ended_at or at
    return any(
        action is failed.action and task_id != failed.id and other.task.started_at is not None and other.task.started_at > since
        for (action, task_id), other in known.tasks.items()
    )


def due(event: Event, routes: Sequence[Route], told: Mapping[str, Sequence[Told]], now: datetime) -> list[tuple[str, int]]:
    """Who is to be reminded now of a condition that lasts, and the how manieth reminder it is.

    What was missed (the program was down) is not made up for: one reminder says it all. Nobody is reminded of what he is still to
    be told.

    Args:
        event: What tells of the condition.
        routes: All of them.
        told: By sink, the deliveries of this event so far.
        now: UTC.
    """
    age = now - event.observed_at
    if age > LONGEST:
        return []
    slots: dict[str, datetime] = {}

    def wish(sinks: Sequence[str], slot: datetime) -> None:
        for sink in sinks:
            slots[sink] = max(slots.get(sink, slot), slot)

    for route in routes:
        if route.match.refusal(event) is not None:
            continue
        sinks = route.sinks
        if route.escalate is not None and age >= (after := timedelta(seconds=route.escalate.after)):
            wish(route.escalate.to, event.observed_at + after)
            sinks = (*sinks, *route.escalate.to)
        if route.repeat is not None and age >= (every := timedelta(seconds=route.repeat)):
            wish(sinks, event.observed_at + age // every * every)
    found = []
    for sink, slot in slots.items():
        so_far = told.get(sink, ())
        number = max((each.reminder for each in so_far), default=0) + 1
        if number <= MOST and not any(each.open or each.created_at >= slot for each in so_far):
            found.append((sink, number))
    return found


def look_every(routes: Sequence[Route]) -> float | None:
    """Seconds between two looks for what is due; None where nobody asked to be reminded."""
    waits = [route.repeat for route in routes if route.repeat is not None]
    waits += [route.escalate.after for route in routes if route.escalate is not None]
    return min(max(min(waits) / 4, SHORTEST_LOOK), LONGEST_LOOK) if waits else None
