"""A task's events laid out in time: its attempts, a row for each node, and what lay across them.

Pure: what the picture, the report and the status page show of a task is decided here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from notifier.domain.model import Cluster, Eta, Event, Kind, Stage, TaskFacts
from notifier.domain.node_rows import Outcome, Row, node_rows

ENDS = frozenset({Kind.TASK_SUCCEEDED, Kind.TASK_FAILED, Kind.TASK_PARTIALLY_FAILED})


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time. ``ended`` is None while it lasts; ``detail`` says why, where there is something to say."""

    began: datetime
    ended: datetime | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of the task. ``ended`` is None while it lasts."""

    number: int
    began: datetime
    ended: datetime | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Failure:
    """A stage or a node that failed, or the task where it is said of nothing smaller."""

    at: datetime
    node: str | None
    stage: Stage | None
    attempt: int
    message: str | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is drawn of a task.

    Attributes:
        cluster: Whose task it is, by its newest event.
        task: Where the task stands, by its newest event.
        outcome: How the task stands; UNSEEN where it vanished while it ran.
        began: The left edge: when the task started, or the first thing that is known of it.
        ended: When it ended; None while it is open.
        now: The right edge of what is known, never before the newest event.
        rows: The nodes that were seen at work, in the order in which they were.
        attempts: Every execution that is known of, at least one.
        failures: In the order of time.
        outages: When the cluster could not be polled, with the reason.
        stalls: When nothing moved although there was data.
        unwatched: What of the task was over when it was first looked at; None where all of it was watched.
        eta: When it will probably end, where that is known and the task is open.
    """

    cluster: Cluster
    task: TaskFacts
    outcome: Outcome
    began: datetime
    ended: datetime | None
    now: datetime
    rows: tuple[Row, ...]
    attempts: tuple[Attempt, ...]
    failures: tuple[Failure, ...] = ()
    outages: tuple[Span, ...] = ()
    stalls: tuple[Span, ...] = ()
    unwatched: Span | None = None
    eta: Eta | None = None

    @property
    def until(self) -> datetime:
        """The right edge: the end, or now."""
        return self.ended or self.now


def timeline(events: Iterable[Event], now: datetime) -> Timeline | None:
    """Lay out one task.

    Args:
        events: Of one task, and of its cluster (``cluster.*``) as far as they are wanted; in any order.
        now: UTC.

    Returns:
        None where no event is of a task.
    """
    told = sorted(events, key=lambda event: event.sequence)
    of_task = [event for event in told if event.task is not None]
    if not of_task or (task := of_task[-1].task) is None:
        return None
    now = max(now, *(event.time for event in of_task))
    whole = _whole(of_task)
    attempts = _attempts(of_task, whole.began)
    # A cluster's event is of its own sequence: only those that concern this stretch of time are laid over it.
    outages = _outages([event for event in told if event.task is None], whole.began, whole.ended or now)
    eta = next((event.eta for event in reversed(of_task) if event.eta is not None), None)
    return Timeline(
        cluster=of_task[-1].cluster,
        task=task,
        outcome=attempts[-1].outcome,
        began=whole.began,
        ended=whole.ended,
        now=now,
        rows=node_rows(
            of_task,
            whole.began,
            {attempt.number: attempt.began for attempt in attempts},
            {attempt.number: attempt.ended for attempt in attempts},
        ),
        attempts=attempts,
        failures=_failures(of_task),
        outages=outages,
        stalls=_stalls(of_task),
        unwatched=_unwatched(of_task[0], whole.began),
        eta=eta if whole.ended is None else None,
    )


def _whole(events: Sequence[Event]) -> Span:
    """From the first moment that anything is known of to the end, if it has ended for now."""
    began = min(_beginning(event) for event in events)
    last = next((event for event in reversed(events) if event.kind in ENDS | {Kind.TASK_RETRIED}), events[0])
    over = last.kind in ENDS or events[-1].kind is Kind.TASK_VANISHED
    return Span(began, max([began, *(event.time for event in events)]) if over else None)


def _beginning(event: Event) -> datetime:
    """The earliest moment that an event speaks of. A retry may change a task's start, so that the first event's counts."""
    moments = [event.time]
    if event.kind is Kind.TASK_STARTED and event.task is not None and event.task.started_at is not None:
        moments.append(event.task.started_at)
    if event.stage is not None and event.stage.began_at is not None:
        moments.append(event.stage.began_at)
    return min(moments)


def _attempts(events: Sequence[Event], began: datetime) -> tuple[Attempt, ...]:
    first = events[0].task.attempt if events[0].task else 1
    found = [Attempt(first, began, None, Outcome.RUNNING)]
    for event in events:
        last = found[-1]
        if event.kind is Kind.TASK_RETRIED and event.task is not None:
            # An attempt that nobody saw end is over when the next begins.
            if last.ended is None:
                found[-1] = replace(last, ended=max(last.began, event.time), outcome=Outcome.UNSEEN)
            found.append(Attempt(event.task.attempt, max(last.began, event.time), None, Outcome.RUNNING))
        elif event.kind in ENDS or event.kind is Kind.TASK_VANISHED:
            found[-1] = replace(last, ended=max(last.began, event.time), outcome=_outcome(event.kind))
        elif last.outcome is Outcome.UNSEEN:  # It had vanished, and is listed again.
            found[-1] = replace(last, ended=None, outcome=Outcome.RUNNING)
    return tuple(found)


def _outcome(kind: Kind) -> Outcome:
    if kind is Kind.TASK_VANISHED:
        return Outcome.UNSEEN
    return Outcome.SUCCEEDED if kind is Kind.TASK_SUCCEEDED else Outcome.FAILED


def _failures(events: Iterable[Event]) -> tuple[Failure, ...]:
    kinds = {Kind.STAGE_FAILED, Kind.NODE_FAILED, Kind.TASK_FAILED, Kind.TASK_PARTIALLY_FAILED}
    found: list[Failure] = []
    for event in events:
        if event.kind not in kinds or event.task is None:
            continue
        attempt, message = event.task.attempt, event.task.fail_message
        same = [place for place, failure in enumerate(found) if failure.attempt == attempt and event.node in {failure.node, None}]
        if not same:
            found.append(Failure(event.time, event.node, event.stage, attempt, message))
        # Said already, of something smaller; but the reason is often given only once the task has failed.
        found = [
            replace(failure, message=failure.message or message) if place in same else failure
            for place, failure in enumerate(found)
        ]
    return tuple(found)


def _outages(events: Iterable[Event], began: datetime, until: datetime) -> tuple[Span, ...]:
    spans: dict[datetime, Span] = {}
    for event in events:
        if event.outage is None:
            continue
        ended = event.time if event.kind is Kind.CLUSTER_RECOVERED else None
        since, detail = event.outage.since, f"{event.outage.reason}: {event.outage.detail}"
        spans[since] = Span(since, ended, detail)
    touching = [span for span in spans.values() if span.began <= until and (span.ended is None or span.ended >= began)]
    return tuple(sorted(touching, key=lambda span: span.began))


def _stalls(events: Iterable[Event]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for event in events:
        # A task that ends or is retried moves, whether or not anybody says that it was resumed.
        moves = event.kind in ENDS | {Kind.TASK_RESUMED, Kind.TASK_RETRIED, Kind.TASK_VANISHED}
        if spans and spans[-1].ended is None and moves:
            spans[-1] = replace(spans[-1], ended=max(spans[-1].began, event.time))
        elif event.kind is Kind.TASK_STALLED and not (spans and spans[-1].ended is None):
            since = event.time if event.timing is None else min(event.time, event.timing.since)
            spans.append(Span(since, None, event.stage.name if event.stage else ""))
    return tuple(spans)


def _unwatched(first: Event, began: datetime) -> Span | None:
    return Span(began, first.observed_at) if first.catch_up and first.observed_at > began else None
