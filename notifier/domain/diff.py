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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from notifier.domain import identity
from notifier.domain.doubt import RANK, doubtful, newer, outdated
from notifier.domain.known import Known, KnownTask, Marks, TaskKey
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
from notifier.domain.task_facts import facts_of

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
        if key[0] is not snapshot.action or key[1] in listed or known.task.status != Status.RUNNING or known.vanished:
            continue
        any_missing = True
        if known.doubts + 1 < CONFIRMATIONS:
            tasks[key] = replace(known, doubts=known.doubts + 1)
            continue
        teller = _Teller(snapshot.cluster, snapshot.action, now, events, [])
        teller.take(replace(known, doubts=0, vanished=True))
        teller.tell(Kind.TASK_VANISHED, now, attempt=known.attempt)
        tasks[key] = teller.state
    return any_missing


class _Teller:
    """Compares one task with what is known of it; collects events in the order in which they are told."""

    def __init__(self, cluster: Cluster, action: Action, now: datetime, events: list[Event], remarks: list[Remark]) -> None:
        self._cluster = cluster
        self._action = action
        self._now = now
        self._events = events
        self._remarks = remarks
        self.state = KnownTask(Task("", ""))

    def take(self, state: KnownTask) -> None:
        """Speak of this task from here on."""
        self.state = state

    def baseline(self, task: Task) -> KnownTask:
        """A task that was there before we looked: known, but told in one line, and only if it runs."""
        running, over = task.status == Status.RUNNING, task.status in TERMINAL
        self.state = KnownTask(
            task,
            attempt=max(task.executions or 1, 1),
            executions=task.executions,
            started=running or over,
            nodes_started=frozenset(task.in_flight),
            marks=_marks_of(task),
            endings=frozenset({task.status} & TERMINAL),
        )
        self._remark_status(task)
        if running:
            self.tell(Kind.TASK_STARTED, task.started_at or self._now, catch_up=True)
        return self.state

    def compare(self, before: KnownTask | None, task: Task) -> KnownTask:
        """A task of a later answer: tell what is new, in order. Returns ``before`` itself where nothing is."""
        if before is not None:
            if certain := outdated(before, task):
                self._remarks.append(Remark("stale", task.id, certain))
                return before
            doubt = doubtful(before, task)
            if doubt and before.doubts + 1 < CONFIRMATIONS:
                self._remarks.append(Remark("stale", task.id, doubt))
                return replace(before, doubts=before.doubts + 1)
            if task == before.task:
                return replace(before, doubts=0) if before.doubts else before
        self._remark_status(task)
        self._accept(before, task)
        return before if before == self.state else self.state

    def _accept(self, before: KnownTask | None, task: Task) -> None:
        old = before.task if before else Task(task.id, Status.WAITING)
        new_nodes = [node for node in dict.fromkeys(task.completed) if node not in old.completed]
        completed = (*old.completed, *new_nodes)
        in_flight = tuple(node for node in task.in_flight if node not in completed)
        if task.status in FAILURES and not task.stages and task.current_node in {None, old.current_node}:
            # Some answers forget the stages once it is over; a retry may show them again, and they are no news then.
            task = replace(task, stages=old.stages, current_node=old.current_node)
        task = replace(task, completed=completed, in_flight=in_flight)
        attempts = _attempts(before, task)
        if before is None:
            self.state = KnownTask(task, attempt=attempts[0], executions=task.executions)
        else:
            highest = max(before.executions or 0, task.executions or 0) or None
            self.state = replace(before, task=task, executions=highest, doubts=0)
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
            self._end(old, task)
        self._forget(task)

    def _retry(self, old: Task, task: Task, attempt: int, *, inferred: bool) -> None:
        current = self.state.marks.get(task.current_node or "", {})
        kept = {stage.order: current[stage.order] for stage in task.stages if stage.order in current and _kept(stage, old, task)}
        self.state = replace(
            self.state,
            attempt=attempt,
            nodes_started=frozenset(),
            marks={task.current_node: kept} if task.current_node and kept else {},
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
        if node is None or (node in old.completed and node not in self.state.marks):
            return  # Left over from a node that was told whole before.
        marks = dict(self.state.marks.get(node, {}))
        for stage in sorted(task.stages, key=lambda stage: stage.order):
            for kind, letter, time, observed in _stage_facts(stage, marks.get(stage.order, "")):
                marks[stage.order] = marks.get(stage.order, "") + letter
                when = time or self._latest(task)
                self.tell(kind, when, attempt=self.state.attempt, node=node, stage=stage, observed=observed)
        if marks:
            self.state = replace(self.state, marks={**self.state.marks, node: marks})

    def _end(self, old: Task, task: Task) -> None:
        when = self._latest(task)
        first_failure = not self.state.endings & FAILURES
        self.state = replace(self.state, endings=self.state.endings | {task.status})
        if task.status in FAILURES and first_failure:
            failed = task.in_flight or tuple(node for node in old.in_flight if node not in task.completed)
            for node in failed:
                self.tell(Kind.NODE_FAILED, when, attempt=self.state.attempt, node=node)
        self.tell(ENDINGS[task.status], when, attempt=self.state.attempt)

    def _latest(self, task: Task) -> datetime:
        """When what an answer shows has happened at the latest: when the task ended, else when the answer was seen."""
        return task.ended_at if task.ended_at and task.status in TERMINAL else self._now

    def _forget(self, task: Task) -> None:
        """Drop the marks of nodes that are completed and left behind; their stages are never told again."""
        kept = {
            node: marks for node, marks in self.state.marks.items() if node not in task.completed or node == task.current_node
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
        state = self.state = replace(self.state, sequence=self.state.sequence + 1)
        order = stage.order if stage else None
        task = state.task
        event_id = identity.of_task(self._cluster, self._action, task.id, kind, attempt=attempt, node=node or "", order=order)
        self._events.append(
            Event(
                id=event_id,
                kind=kind,
                sequence=state.sequence,
                time=time,
                observed_at=self._now,
                cluster=self._cluster,
                task=facts_of(self._action, state),
                node=node,
                stage=stage,
                progress=progress(task),
                observed=observed,
                catch_up=catch_up,
            )
        )


def _marks_of(task: Task) -> Mapping[str, Marks]:
    told = {stage.order: "".join(fact[1] for fact in _stage_facts(stage, "")) for stage in task.stages}
    return {task.current_node: {order: letters for order, letters in told.items() if letters}} if task.current_node else {}


def _stage_facts(stage: Stage, told: str) -> Iterator[tuple[Kind, str, datetime | None, bool]]:
    """The facts a stage shows that were not told: kind, the mark it leaves, its time, and whether it was seen or inferred."""
    if "R" not in told and RANK.get(stage.status, 0):
        yield Kind.STAGE_STARTED, "R", stage.began_at, stage.status == Status.RUNNING
    if stage.status == Status.FAILED and "F" not in told:
        yield Kind.STAGE_FAILED, "F", stage.ended_at, True
    if stage.status == Status.SUCCESS and "S" not in told:
        yield Kind.STAGE_SUCCEEDED, "S", stage.ended_at, True


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


def _kept(stage: Stage, old: Task, task: Task) -> bool:
    """Whether a stage listed in a new attempt is the very execution that was listed in the attempt before."""
    if old.current_node != task.current_node:
        return False
    for known in old.stages:
        if known.order == stage.order:
            same_start = known.began_at == stage.began_at
            return same_start and (known.began_at is not None or known.status == stage.status)
    return False
