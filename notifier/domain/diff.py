"""What is new in an answer. The heart of the program: ``diff(known, snapshot, now) -> Step``.

Polls miss things, answers come late, repeat, shrink and lie. The rules, for each task:

* What was told stays told. Every fact has a mark in `KnownTask`; it is told where the answer shows it and the mark is missing.
* An answer that is older than what is known changes nothing (`doubt` says why). One that stays so for `CONFIRMATIONS` good
  answers in a row is believed after all, so that a mistaken doubt cannot make us blind.
* An attempt begins when ``executeTimes`` rises, or when a failed task runs again. Marks of stages start afresh with it, except
  for stages that were kept (same beginning): a retry restarts at stage 0 or at the failed stage, both are right.
* The first good answer for a cluster and action is the baseline: it tells of running tasks only, and of those one line.

Order within one answer, per task: started, retried, completed nodes, started nodes, stages, failed nodes, the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from notifier.domain import identity
from notifier.domain.doubt import RANK, doubtful, newer, outdated
from notifier.domain.known import Known, KnownTask, TaskKey
from notifier.domain.model import (
    FAILURES,
    TASK_STATUSES,
    TERMINAL,
    Action,
    Cluster,
    Event,
    Kind,
    Snapshot,
    Stage,
    Status,
    Task,
)
from notifier.domain.progress import progress
from notifier.domain.stages import kept_marks, marks_of, reopened, stage_facts, taken_over

CONFIRMATIONS = 3
"""Good answers in a row that it takes to believe what could as well be an old or incomplete answer."""

ENDINGS: Mapping[str, Kind] = {
    Status.SUCCESS: Kind.TASK_SUCCEEDED,
    Status.FAILED: Kind.TASK_FAILED,
    Status.PARTIAL_FAILED: Kind.TASK_PARTIALLY_FAILED,
}


@dataclass(frozen=True, slots=True)
class Remark:
    """Something odd about an answer that is no news, but is counted and logged: ``what`` is one of a few words."""

    what: str
    task_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from an answer: what is known now, what is to be told, what was odd."""

    known: Known
    events: tuple[Event, ...] = ()
    remarks: tuple[Remark, ...] = ()


def diff(known: Known, snapshot: Snapshot, now: datetime) -> Step:
    """Compare an answer with what is known.

    Args:
        known: What is known of the cluster; ``Known()`` at first.
        snapshot: What one poll saw of it, for one action.
        now: When it was seen, UTC.
    """
    baseline = snapshot.action not in known.baselines
    tasks = dict(known.tasks)
    changed = baseline
    events: list[Event] = []
    remarks: list[Remark] = []
    # By start, then id: the order of the list is not promised, and must not decide the order in which we speak.
    for task in sorted(snapshot.tasks, key=lambda task: (task.started_at or now, task.id)):
        key = (snapshot.action, task.id)
        before = tasks.get(key)
        teller = _Teller(snapshot.cluster, snapshot.action, now, events, remarks)
        after = teller.baseline(task) if baseline and before is None else teller.compare(before, task)
        if after is not before:
            tasks[key] = after
            changed = True
    if not snapshot.partial:
        changed |= _miss(tasks, snapshot, now, events)
    if not changed:
        return Step(known, (), tuple(remarks))
    return Step(replace(known, tasks=tasks, baselines=known.baselines | {snapshot.action}), tuple(events), tuple(remarks))


def _miss(tasks: dict[TaskKey, KnownTask], snapshot: Snapshot, now: datetime, events: list[Event]) -> bool:
    """Count running tasks that a complete answer does not list, tell of those that stay away; whether there were any."""
    listed = {task.id for task in snapshot.tasks}
    any_missing = False
    for key, known in list(tasks.items()):
        if key[0] is not snapshot.action or key[1] in listed or known.task.status != Status.RUNNING or known.missing:
            continue
        any_missing = True
        if known.doubts + 1 < CONFIRMATIONS:
            tasks[key] = replace(known, doubts=known.doubts + 1)
            continue
        if known.vanished:  # It had come back, and is gone again in the same attempt.
            tasks[key] = replace(known, doubts=0, missing=True)
            continue
        teller = _Teller(snapshot.cluster, snapshot.action, now, events, [])
        tasks[key] = teller.vanish(known)
    return any_missing


class _Teller:
    """Compares one task with what is known of it; collects events in the order in which they are told."""

    def __init__(self, cluster: Cluster, action: Action, now: datetime, events: list[Event], remarks: list[Remark]) -> None:
        self._cluster = cluster
        self._action = action
        self._now = now
        self._events = events
        self._remarks = remarks
        self._sequence = 0
        self.state = KnownTask(Task("", ""))

    def vanish(self, known: KnownTask) -> KnownTask:
        """A task that is no longer listed."""
        self._take(replace(known, doubts=0, vanished=True, missing=True))
        self.tell(Kind.TASK_VANISHED, self._now, attempt=known.attempt)
        return self._told()

    def _take(self, state: KnownTask) -> None:
        self.state = state
        self._sequence = state.sequence

    def _told(self) -> KnownTask:
        """The task as it is known after all that was told of it."""
        return self.state if self._sequence == self.state.sequence else replace(self.state, sequence=self._sequence)

    def baseline(self, task: Task) -> KnownTask:
        """A task that was there before we looked: known, but told in one line, and only if it runs."""
        task, from_zero = _counted(None, task)
        running, over = task.status == Status.RUNNING, task.status in TERMINAL
        self.state = KnownTask(
            task,
            attempt=max(task.executions or 1, 1),
            executions=task.executions,
            started=running or over,
            nodes_started=frozenset(task.in_flight),
            marks=marks_of(task),
            endings=frozenset({task.status} & TERMINAL),
            from_zero=from_zero,
        )
        self._remark_status(task)
        if running:
            self.tell(Kind.TASK_STARTED, task.started_at or self._now, catch_up=True)
        return self._told()

    def compare(self, before: KnownTask | None, task: Task) -> KnownTask:
        """A task of a later answer: tell what is new, in order. Returns ``before`` itself where nothing is."""
        task, from_zero = _counted(before, task)
        if before is not None:
            if certain := outdated(before, task):
                self._remarks.append(Remark("stale", task.id, certain))
                return before
            doubt = doubtful(before, task)
            if doubt and before.doubts + 1 < CONFIRMATIONS:
                self._remarks.append(Remark("stale", task.id, doubt))
                return replace(before, doubts=before.doubts + 1)
            if task == before.task:
                return replace(before, doubts=0, missing=False) if before.doubts or before.missing else before
        self._remark_status(task)
        self._accept(before, task, from_zero=from_zero)
        after = self._told()
        return before if before == after else after

    def _accept(self, before: KnownTask | None, task: Task, *, from_zero: bool) -> None:
        old = before.task if before else Task(task.id, Status.WAITING)
        new_nodes = [node for node in dict.fromkeys(task.completed) if node not in old.completed]
        completed = (*old.completed, *new_nodes)
        retracted = frozenset(old.completed).difference(task.completed)
        attempts = _attempts(before, task)
        # A retry may do nodes again that were completed before it.
        held = before.again.difference(task.completed) if before else frozenset[str]()
        again = retracted if len(attempts) > 1 else held
        in_flight = tuple(node for node in task.in_flight if node not in completed or node in again)
        if task.status in FAILURES and not task.stages and task.current_node in {None, old.current_node}:
            # Some answers forget the stages once it is over; a retry may show them again, and they are no news then.
            task = replace(task, stages=old.stages, current_node=old.current_node)
        if (completed, in_flight) != (task.completed, task.in_flight):
            task = replace(task, completed=completed, in_flight=in_flight)
        if before is None:
            self.state = KnownTask(task, attempt=attempts[0], executions=task.executions, from_zero=from_zero)
        else:
            highest = max(before.executions or 0, task.executions or 0) or None
            state = replace(before, task=task, executions=highest, doubts=0, missing=False, retracted=retracted, again=again)
            self._take(replace(state, from_zero=from_zero) if from_zero else state)
        if not self.state.started and task.status in TASK_STATUSES:
            self.state = replace(self.state, started=True)
            seen = task.status == Status.RUNNING
            self.tell(Kind.TASK_STARTED, task.started_at or self._latest(task), observed=seen)
        for attempt in attempts[1:]:
            self._retry(old, task, attempt, inferred=attempt != attempts[-1])
        for node in new_nodes:
            # The API gives no time for it; the end of the node's last stage is it, where that is still listed.
            ended = [stage.ended_at for stage in task.stages if stage.ended_at] if node == task.current_node else []
            whole = all(stage.status == Status.SUCCESS for stage in task.stages)
            self.tell(Kind.NODE_COMPLETED, max(ended) if ended and whole else self._latest(task), node=node)
        self._start_nodes(task)
        self._stages(old, task)
        if task.status in TERMINAL - self.state.endings:
            # What was in flight before a retry that began anew says nothing of where that one ended.
            self._end(() if again and len(attempts) > 1 else old.in_flight, task)
        self._forget(task)

    def _retry(self, old: Task, task: Task, attempt: int, *, inferred: bool) -> None:
        kept = kept_marks(self.state.marks.get(task.current_node or "", {}), old, task)
        self.state = replace(
            self.state,
            attempt=attempt,
            nodes_started=frozenset(),
            marks={task.current_node: kept} if task.current_node and kept else {},
            kept={task.current_node: taken_over(task, kept)} if task.current_node and kept else {},
            endings=frozenset(),
            failed_at=old.ended_at if old.status in FAILURES else self.state.failed_at,
            vanished=False,
        )
        since = old.ended_at
        begun = [stage.began_at for stage in task.stages if stage.began_at and since and stage.began_at >= since]
        self.tell(Kind.TASK_RETRIED, min(begun, default=self._latest(task)), attempt=attempt, observed=not inferred)

    def _start_nodes(self, task: Task) -> None:
        for node in task.in_flight:
            if node in self.state.nodes_started:
                continue
            self.state = replace(self.state, nodes_started=self.state.nodes_started | {node})
            begun = [stage.began_at for stage in task.stages if stage.began_at] if node == task.current_node else []
            if failed_at := self.state.failed_at:
                begun = [time for time in begun if time >= failed_at]  # What a retry kept began in an earlier attempt.
            self.tell(Kind.NODE_STARTED, min(begun, default=self._latest(task)), attempt=self.state.attempt, node=node)

    def _stages(self, old: Task, task: Task) -> None:
        node = task.current_node
        whole = node in old.completed and node not in self.state.again
        if node is None or (whole and node not in self.state.marks):
            return  # Left over from a node that was told whole before.
        before = self.state.kept.get(node, {})
        held, kept = reopened(self.state.marks.get(node, {}), before, task)
        if kept is not before:
            self.state = replace(self.state, kept={node: kept})
        marks = dict(held)
        for stage in sorted(task.stages, key=lambda stage: stage.order):
            if not RANK.get(stage.status):
                continue  # Most wait, and have nothing to tell.
            for kind, letter, time, observed in stage_facts(stage, marks.get(stage.order, "")):
                marks[stage.order] = marks.get(stage.order, "") + letter
                when = time or self._latest(task)
                self.tell(kind, when, attempt=self.state.attempt, node=node, stage=stage, observed=observed)
        if marks != self.state.marks.get(node, {}):
            self.state = replace(self.state, marks={**self.state.marks, node: marks})

    def _end(self, last: tuple[str, ...], task: Task) -> None:
        when = self._latest(task)
        first_failure = not self.state.endings & FAILURES
        self.state = replace(self.state, endings=self.state.endings | {task.status})
        if task.status in FAILURES and first_failure:
            for node in task.in_flight or [node for node in last if node not in task.completed]:
                self.tell(Kind.NODE_FAILED, when, attempt=self.state.attempt, node=node)
        self.tell(ENDINGS[task.status], when, attempt=self.state.attempt)

    def _latest(self, task: Task) -> datetime:
        """When what an answer shows has happened at the latest: when the task ended, else when the answer was seen."""
        return task.ended_at if task.ended_at and task.status in TERMINAL else self._now

    def _forget(self, task: Task) -> None:
        """Drop the marks of nodes that are completed and left behind; their stages are never told again."""
        kept = {
            node: marks
            for node, marks in self.state.marks.items()
            if node not in task.completed or node in self.state.again or node == task.current_node
        }
        if len(kept) != len(self.state.marks):
            self.state = replace(self.state, marks=kept)

    def _remark_status(self, task: Task) -> None:
        if task.status not in TASK_STATUSES:
            self._remarks.append(Remark("unknown_status", task.id, task.status))
        for stage in task.stages:
            if stage.status not in RANK:
                self._remarks.append(Remark("unknown_stage_status", task.id, stage.status))

    def tell(
        self,
        kind: Kind,
        time: datetime,
        *,
        attempt: int = 0,
        node: str | None = None,
        stage: Stage | None = None,
        observed: bool = True,
        catch_up: bool = False,
    ) -> None:
        """Add an event about the task at hand and number it."""
        self._sequence += 1
        state = self.state
        order = stage.order if stage else None
        task = state.task
        event_id = identity.of_task(self._cluster, self._action, task.id, kind, attempt=attempt, node=node or "", order=order)
        self._events.append(
            Event(
                id=event_id,
                kind=kind,
                sequence=self._sequence,
                time=time,
                observed_at=self._now,
                cluster=self._cluster,
                task=state.facts(self._action),
                node=node,
                stage=stage,
                progress=progress(task),
                observed=observed,
                catch_up=catch_up,
            )
        )


def _counted(before: KnownTask | None, task: Task) -> tuple[Task, bool]:
    """The task with its executions counted from 1, and whether the API counts them from 0.

    It is documented as "number of retries", though every sample known begins with 1.
    """
    from_zero = task.executions == 0 if before is None or before.executions is None else before.from_zero
    if not from_zero or task.executions is None:
        return task, from_zero
    return replace(task, executions=task.executions + 1), True


def _attempts(before: KnownTask | None, task: Task) -> range:
    """The attempt known so far and every one that began since; of a new task, all that its count of executions proves."""
    if before is None:
        return range(1, max(task.executions or 1, 1) + 1)
    last = before.attempt
    counted = task.executions is not None and task.executions > (before.executions or 1)
    if counted:
        last = max(last, task.executions or 1)
    if last == before.attempt and before.endings & FAILURES:
        # Where nothing is counted, an end that shows more than the failure before it is the end of another attempt.
        uncounted = before.executions is None and task.executions is None
        last += task.status == Status.RUNNING or (uncounted and task.status in TERMINAL and newer(before.task, task))
    return range(before.attempt, last + 1)
