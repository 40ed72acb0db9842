"""What time itself has to tell: ``keep_time`` comes after the diff of a poll, and whenever something would be due.

It folds what is finished into each task's `Course`, gives every event its progress and forecast, and tells what no answer says:
that nothing moves, that it moves again, that a deadline or the end of a change window draws near.

* **No data is not no progress.** Only the time between good answers counts; a longer gap is added to ``Course.unseen``.
* **Once.** What is told leaves its mark in the course, which is committed with it. A stall ends with ``task.resumed``, or with
  the retry or the end of its attempt, which say so themselves.
* **Unchanged answers cost nothing.** ``Timed.check_at`` says when to look again if nothing changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from notifier.domain import identity
from notifier.domain.course import Length, elapsed, moved, position, running, watched
from notifier.domain.evidence import Evidence
from notifier.domain.expectation import DATA, NOTHING, History, Outlook
from notifier.domain.forecast import forecast
from notifier.domain.known import Known, KnownTask, TaskKey
from notifier.domain.model import TERMINAL, Action, Cluster, Eta, Event, Kind, Status, Timing
from notifier.domain.progress import progress
from notifier.domain.rules import BY_TIME
from notifier.domain.stall import StallRule, usual
from notifier.domain.window import Window

MIGRATION_LIMIT = timedelta(hours=48)
"""Huawei: data migration off a node is given up after 48 hours, and the upgrade fails."""

NO_ANSWERS: Mapping[Action, Evidence] = {}

MARKS = (50, 75, 90)
"""Percent of it at which it is warned of."""

CHECKPOINT = timedelta(minutes=5)
"""How often it is written down that answers are good though nothing changes: the most that a restart forgets."""

RECORD = timedelta(minutes=5)
"""How often a forecast of a task is recorded at the most."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is told of time for one cluster.

    Attributes:
        stall: None for no stalls.
        window: Its change window, if it has one.
        patience: Seconds without a good answer that are a gap.
    """

    stall: StallRule | None = field(default_factory=StallRule)
    window: Window | None = None
    patience: float = 60.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """A forecast that was made, to be judged by what came: when, of which attempt of which task."""

    action: Action
    task: str
    attempt: int
    made_at: datetime
    progress: float | None
    eta: Eta


@dataclass(frozen=True, slots=True)
class Ended:
    """The truth about an attempt's forecasts."""

    action: Action
    task: str
    attempt: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Timed:
    """What follows from the passing of time.

    Attributes:
        known: With the courses of all tasks.
        events: Those of the poll, completed, and what time has to tell.
        lengths: What was finished, for the history; by task.
        forecasts: To be recorded.
        ended: To judge forecasts by.
        check_at: When to look again though nothing changes; None while no task runs.
    """

    known: Known
    events: tuple[Event, ...] = ()
    lengths: tuple[tuple[TaskKey, Length], ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    ended: tuple[Ended, ...] = ()
    check_at: datetime | None = None


def due(lasts: Iterable[datetime | None], check_at: datetime | None, limits: Limits, now: datetime) -> bool:
    """Whether time may have something to tell though nothing changed: `Timed.check_at` has come, or there was a gap.

    ``lasts``: the good answers before those that came now, None where there was none.
    """
    for last in lasts:
        if last is not None and (now - last).total_seconds() > limits.patience:
            return True
    return check_at is not None and now >= check_at


def keep_time(  # noqa: PLR0917 - what was, what is, what was told, and by which rules
    before: Known,
    after: Known,
    events: Sequence[Event],
    cluster: Cluster,
    good: Mapping[Action, datetime | None],
    limits: Limits,
    histories: Mapping[Action, History],
    now: datetime,
    answers: Mapping[Action, Evidence] = NO_ANSWERS,
) -> Timed:
    """Tell what time has to tell, of the tasks of the actions that gave a good answer.

    Args:
        before: What was known before the poll.
        after: What its answers made of it.
        events: What they told.
        cluster: The cluster.
        good: The actions that answered well, each with the good answer before as this process remembers it.
        limits: What is told of this cluster.
        histories: What others took, by action; may lack any.
        now: When the answers came.
        answers: What they are known by, for each event to say what it follows from; may lack any.
    """
    tasks = dict(after.tasks)
    keeper = _Keeper(cluster, limits, now)
    by_task: dict[TaskKey, list[Event]] = {}
    for event in events:
        if event.task is not None:
            by_task.setdefault((event.task.action, event.task.id), []).append(event)
    for key, known in after.tasks.items():
        if key[0] not in good:
            continue
        old = before.tasks.get(key)
        if known is old and known.task.status != Status.RUNNING:
            continue
        history = histories.get(key[0], NOTHING)
        tasks[key] = keeper.task(key, old, known, by_task.get(key, []), good[key[0]], history)
    changed = any(tasks[key] is not after.tasks[key] for key in tasks)
    return Timed(
        replace(after, tasks=tasks) if changed else after,
        tuple(keeper.completed(events, answers)),
        tuple(keeper.lengths),
        tuple(keeper.forecasts),
        tuple(keeper.ended),
        min(keeper.due, default=None),
    )


class _Keeper:
    """Goes through the tasks of one cluster; collects what is to be told, recorded, and looked at again."""

    def __init__(self, cluster: Cluster, limits: Limits, now: datetime) -> None:
        self._cluster = cluster
        self._limits = limits
        self._now = now
        self._told: list[Event] = []
        self._views: dict[TaskKey, tuple[float | None, Eta | None]] = {}
        self.lengths: list[tuple[TaskKey, Length]] = []
        self.forecasts: list[Forecast] = []
        self.ended: list[Ended] = []
        self.due: list[datetime] = []

    def task(  # noqa: PLR0917 - what was, what is, what was told of it
        self,
        key: TaskKey,
        old: KnownTask | None,
        known: KnownTask,
        events: Sequence[Event],
        last: datetime | None,
        history: History,
    ) -> KnownTask:
        """The task with its course; ``last`` is the good answer before this one."""
        now, course = self._now, known.course
        since = max((at for at in (last, course.seen_at) if at is not None), default=None)
        passed = None if since is None else max((now - since).total_seconds(), 0.0)
        gap = None if passed is None or passed > self._limits.patience else passed
        moves = (
            old is None
            or course.moved_at is None
            or known.attempt != course.attempt
            or position(old.task) != position(known.task)
        )
        stalled = course.stalled
        if known.attempt != course.attempt:
            course = replace(course, attempt=known.attempt, stalls=0, progress=None, deadline=0)
        if moves:
            course, lengths = moved(course, None if old is None else old.task, known.task, gap, now)
            self.lengths += ((key, length) for length in lengths)
        elif passed is not None and gap is None:
            course = replace(course, unseen=course.unseen + passed, seen_at=now)
        elif course.seen_at is None or now - course.seen_at >= CHECKPOINT * 0.9:
            course = replace(course, seen_at=now)
        share = progress(known.task)
        if share is not None:
            share = share if course.progress is None else max(share, course.progress)
        course = course if share == course.progress else replace(course, progress=share)
        known = known if course is known.course else replace(known, course=course)
        if known.task.status == Status.RUNNING and not known.vanished:
            return self._running(key, old, known, events, history, stalled=stalled)
        self._views[key] = (share, None)
        if known.task.status == Status.SUCCESS and (old is None or old.task.status != Status.SUCCESS):
            self.ended.append(Ended(key[0], key[1], known.attempt, min(known.task.ended_at or now, now)))
        return known

    def _running(
        self, key: TaskKey, old: KnownTask | None, known: KnownTask, events: Sequence[Event], history: History, *, stalled: bool
    ) -> KnownTask:
        now = self._now
        outlook = Outlook(known.course, history, known.task.stages)
        eta = forecast(known, history, now, outlook)
        self._views[key] = (known.course.progress, eta)
        if stalled and not known.course.stalled and not any(event.kind is Kind.TASK_RETRIED for event in events):
            known = self._resumed(key, old, known)
        if not known.course.stalled and not known.doubts:
            known = self._stall(key, known, outlook)
        known = self._window(key, self._deadline(key, known), eta)
        if eta is not None and (known.course.forecast_at is None or now - known.course.forecast_at >= RECORD):
            known = replace(known, course=replace(known.course, forecast_at=now))
            self.forecasts.append(Forecast(key[0], key[1], known.attempt, now, known.course.progress, eta))
        self.due.append(now + CHECKPOINT)
        return known

    def _resumed(self, key: TaskKey, old: KnownTask | None, known: KnownTask) -> KnownTask:
        was = known.course if old is None else old.course
        timing = Timing(was.moved_at or self._now, watched(was, self._now), was.unseen)
        return self._tell(key, known, Kind.TASK_RESUMED, timing, number=known.course.stalls)

    def _stall(self, key: TaskKey, known: KnownTask, outlook: Outlook) -> KnownTask:
        rule, course, now = self._limits.stall, known.course, self._now
        if rule is None or course.moved_at is None:
            return known
        like = usual(known.task, course, outlook, rule)
        lasted = watched(course, now)
        if lasted < like.limit:
            self.due.append(now + timedelta(seconds=like.limit - lasted))
            return known
        course = replace(course, stalled=True, stalls=course.stalls + 1)
        timing = Timing(course.moved_at or now, lasted, course.unseen, like.longest, like.basis)
        return self._tell(key, replace(known, course=course), Kind.TASK_STALLED, timing, number=course.stalls)

    def _deadline(self, key: TaskKey, known: KnownTask) -> KnownTask:
        stage, course, now = running(known.task), known.course, self._now
        if stage is None or stage.order != DATA or course.began_at is None:
            return known
        gone = 100 * elapsed(course, now) / MIGRATION_LIMIT.total_seconds()
        reached = max((mark for mark in MARKS if gone >= mark), default=0)
        self.due += (course.began_at + MIGRATION_LIMIT * mark / 100 for mark in MARKS if mark > gone)
        if reached <= course.deadline:
            return known
        known = replace(known, course=replace(course, deadline=reached))
        timing = Timing(course.began_at, elapsed(course, now), until=course.began_at + MIGRATION_LIMIT, share=reached)
        return self._tell(key, known, Kind.TASK_DEADLINE_NEAR, timing, number=reached)

    def _window(self, key: TaskKey, known: KnownTask, eta: Eta | None) -> KnownTask:
        window, course, now = self._limits.window, known.course, self._now
        end = None if window is None else window.end(now)
        if window is None or end is None or end == course.window:
            return known
        if now < end - window.warn:
            self.due.append(end - window.warn)
            return known
        fits = None if eta is None else True if eta.latest <= end else False if eta.earliest > end else None
        known = replace(known, course=replace(course, window=end, windows=course.windows + 1))
        started = known.task.started_at or now
        timing = Timing(started, max((now - started).total_seconds(), 0.0), until=end, fits=fits)
        return self._tell(key, known, Kind.TASK_WINDOW_ENDING, timing, number=known.course.windows)

    def _tell(self, key: TaskKey, known: KnownTask, kind: Kind, timing: Timing, *, number: int) -> KnownTask:
        known = replace(known, sequence=known.sequence + 1)
        stage = running(known.task) if kind in {Kind.TASK_STALLED, Kind.TASK_DEADLINE_NEAR} else None
        node = known.task.current_node
        of_node = node if kind is Kind.TASK_DEADLINE_NEAR and node else ""
        attempt = 0 if kind is Kind.TASK_WINDOW_ENDING else known.attempt
        event_id = identity.of_task(self._cluster, key[0], key[1], kind, attempt=attempt, node=of_node, number=number)
        self._told.append(
            Event(
                id=event_id,
                kind=kind,
                sequence=known.sequence,
                time=self._now,
                observed_at=self._now,
                cluster=self._cluster,
                task=known.facts(key[0]),
                node=node if stage is not None or kind is Kind.TASK_STALLED else None,
                stage=stage,
                timing=timing,
            )
        )
        return known

    def completed(self, events: Iterable[Event], answers: Mapping[Action, Evidence]) -> Iterable[Event]:
        """The events with what is known of progress, end and the answers they follow from, then what time has to tell."""
        for event in (*events, *self._told):
            task = event.task
            view = None if task is None else self._views.get((task.action, task.id))
            if task is None or view is None:
                yield event
                continue
            rests = answers.get(task.action)
            if rests is not None and event.kind in BY_TIME:
                rests = Evidence(rests.later)  # The time that passed over it, not the difference from another.
            share = event.progress if view[0] is None else view[0]
            yield replace(event, progress=share, eta=None if task.status in TERMINAL else view[1], evidence=rests)
