"""The course of one simulated upgrade or AZ migration: a pure function of its plan, from the first second to the last.

Marks in this module and its neighbours say how sure a detail is: (D) Huawei's documentation, (C) seen in published code or
samples that ran against the real API, (I) invented here because nothing public says, but plausible.

All times are scenario seconds since the scenario's beginning; negative ones lie before it.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Literal

from notifier.domain.model import Action, Status

NEVER = math.inf


@dataclass(frozen=True, slots=True)
class StageKind:
    """A step that every node goes through. ``seconds`` is its usual length."""

    order: int
    name: str
    description: str
    seconds: float


STAGES = (
    # (D) name and description; (C) six minutes on the documentation's cluster, five seconds on an empty one.
    StageKind(
        0, "Data migration", "Data is migrated from a node to other nodes in the cluster by running the exclude command.", 240
    ),
    # (C) names of 1 to 3 and the lengths of 2 and 3.
    StageKind(1, "Node brought offline", "The node is brought offline.", 120),
    StageKind(2, "Node creation", "The node is rebuilt with the same specifications.", 103),
    StageKind(3, "Connectivity test", "Node creation is verified.", 32),
    # (I) 4 to 11, after Huawei's prose: keep the IP address, initialise, start the processes, update the node's information.
    # That one of them binds the old port is (C): a failed task said so in its message.
    StageKind(
        4, "Network port binding", "The port of the original node is bound to the new node so that its IP address is kept.", 20
    ),
    StageKind(5, "Node initialization", "The operating system of the node is initialized.", 25),
    StageKind(6, "Configuration delivery", "The cluster configuration is delivered to the node.", 15),
    StageKind(7, "Plugin installation", "Plugins are installed on the node.", 40),
    StageKind(8, "Process startup", "The service processes of the node are started.", 60),
    StageKind(9, "Cluster joining", "The node is added to the cluster.", 30),
    StageKind(10, "Data recovery", "The node accepts shards again.", 45),
    StageKind(11, "Node information update", "The node information is updated.", 10),
    StageKind(
        12,  # (D)
        "Task status update",
        "The cluster task status is refreshed. If there are no nodes to be replaced, the task is marked as completed. "
        "Otherwise, another node starts to be replaced.",
        8,
    ),
)

SPREAD = 0.3
"""Sigma of the log-normal variation of a stage's length (I)."""
BEFORE_FIRST_STAGE = (2.0, 3.0)
"""Seconds between a task's start and its first stage (C)."""
BETWEEN_STAGES = (4.0, 5.0)
"""Seconds in which nothing is RUNNING (C)."""
AFTER_FAILED_STAGE = (5.0, 60.0)
"""Seconds between a stage's failure and the task's (I)."""
BEFORE_SILENT_FAILURE = 61.0
"""Seconds between the last stage's success and the failure of a task that shows no failed stage (C)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How an execution of a task fails, and what follows by itself.

    Attributes:
        node: Index into the plan's nodes. A node that is completed already fails no more, nor does a stage that a retry kept.
        stage: The order of the stage.
        silent: No stage is shown as failed: only those that succeeded are listed (C).
        partial: The task ends PARTIAL_FAILED instead of FAILED (I: when that happens is not documented).
        message: ``failMessage`` (C), an internal string.
        retried_after: Seconds until somebody retries; None: nobody does, unless an `Operation` comes.
        restart: Whether a retry begins with stage 0, or with the failed one while the finished ones stay (both I).
        start_time: What a retry makes of ``startTime``: kept, changed (both I), or emptied (C: a screenshot shows ``--``).
    """

    node: int
    stage: int
    silent: bool = False
    partial: bool = False
    message: str = "[402c6c3]RdsBindExistPortToInstanceTask-fail:null"
    retried_after: float | None = None
    restart: Literal["zero", "stage"] = "zero"
    start_time: Literal["kept", "changed", "emptied"] = "kept"


@dataclass(frozen=True, slots=True)
class Hang:
    """A stage that takes ``seconds`` longer than it would, in the first execution. ``node``: index into the plan's nodes."""

    node: int
    stage: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Operation:
    """What an operator does to a FAILED task: retry it, or terminate it (``retry_mode=abort``)."""

    at: float
    abort: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """How a region or a release of the API differs in what it shows.

    Attributes:
        old_region: No ``batchSize``, ``currentBatchNodes`` and ``failMessage``.
        blank: How an empty value looks: ``""`` and ``[]`` (D), null, or no key at all.
        forgets: A finished task names no current node and no stages (C); otherwise the last ones stay (C).
        numeric_executions: ``executeTimes`` is a number instead of a string (I).
        orders: Only these stages are listed (the documentation's samples list 0 and 12); None: all.
        unknown_statuses: A stage is ``PREPARING`` in the pause before it runs, a task ``INITIALIZING`` before its first (I).
        new_fields: There are fields that nobody has heard of (I).
        completed_lead: Seconds by which ``completedNodes`` grows before the stage list starts over (I).
    """

    old_region: bool = False
    blank: Literal["text", "null", "absent"] = "text"
    forgets: bool = False
    numeric_executions: bool = False
    orders: tuple[int, ...] | None = None
    unknown_statuses: bool = False
    new_fields: bool = False
    completed_lead: float = 0.0

    def lists(self, order: int) -> bool:
        """Whether the stage is shown at all."""
        return self.orders is None or order in self.orders


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One task, entirely: everything that will happen follows from this.

    Attributes:
        id: Huawei's task id, ``action_id`` of the retry API.
        nodes: In the order in which they are worked on.
        start: When the task appears.
        action: Which of the API's two lists it is in.
        batch: How many nodes are worked on at a time.
        pace: Stretches every length of the plan; 0.01 makes a task of seconds.
        seed: Of the variation.
        failures: How execution 1, 2, … fails; executions beyond succeed.
        operations: What an operator did, in the order of time.
        hangs: Stages that hang.
        source_az: For AZ migrations, as is ``target_az``.
        variant: How it is shown.
    """

    id: str
    nodes: tuple[str, ...]
    start: float
    action: Action = Action.UPGRADING
    batch: int = 1
    pace: float = 1.0
    seed: int = 0
    failures: tuple[Failure, ...] = ()
    operations: tuple[Operation, ...] = ()
    hangs: tuple[Hang, ...] = ()
    source_az: str = "cn-north-4a"
    target_az: str = "cn-north-4c"
    variant: Variant = Variant()

    def __post_init__(self) -> None:
        if not self.nodes or self.batch < 1 or self.pace <= 0:
            raise ValueError("a task needs nodes, a batch of at least one and a pace above zero")
        if any(not (0 <= failure.node < len(self.nodes) and 0 <= failure.stage < len(STAGES)) for failure in self.failures):
            raise ValueError("a failure names a node or a stage that the task does not have")


@dataclass(frozen=True, slots=True)
class Step:
    """A stage of one node with its times; NEVER where it does not come to pass."""

    order: int
    began: float = NEVER
    ended: float = NEVER
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """The work on one batch of nodes; the API shows the stages of the first of them. Steps older than the round were kept."""

    nodes: tuple[str, ...]
    began: float
    steps: tuple[Step, ...]
    ended: float
    completed: float = NEVER


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a task. ``done`` nodes were completed before it began, ``aborted`` is when it was given up for good."""

    number: int
    began: float
    done: int
    rounds: tuple[Round, ...]
    failure: Failure | None
    aborted: float = NEVER

    @property
    def ended(self) -> float:
        """When the status becomes terminal."""
        return self.rounds[-1].ended

    def completed(self, at: float) -> int:
        """How many nodes of the task are completed."""
        return self.done + sum(len(each.nodes) for each in self.rounds if each.completed <= at)

    def status(self, at: float) -> str:
        """The task's status while this attempt is the latest one."""
        if at < self.ended:
            return Status.RUNNING
        if self.failure is None:
            return Status.SUCCESS
        given_up_halfway = self.aborted <= at and self.completed(at) > 0  # (I)
        return Status.PARTIAL_FAILED if self.failure.partial or given_up_halfway else Status.FAILED


@lru_cache(maxsize=100_000)
def course(plan: TaskPlan) -> tuple[Attempt, ...]:
    """Every execution of the task, in order."""
    attempts: list[Attempt] = []
    began, done = plan.start, 0
    kept: tuple[Step, ...] = ()
    while True:
        attempt = _attempt(plan, len(attempts) + 1, began, done, kept)
        following = _operation_after(plan, attempt)
        if following is None:
            return (*attempts, attempt)
        if following.abort:
            return (*attempts, _given_up(attempt, following.at))
        attempts.append(attempt)
        began, done, kept = following.at, attempt.completed(following.at), _kept(attempt)


def attempt_at(plan: TaskPlan, at: float) -> Attempt | None:
    """The execution under way, or the last one; None before the task appears."""
    return next((attempt for attempt in reversed(course(plan)) if attempt.began <= at), None)


def _attempt(plan: TaskPlan, number: int, began: float, done: int, kept: tuple[Step, ...]) -> Attempt:
    planned = plan.failures[number - 1] if number <= len(plan.failures) else None
    rounds: list[Round] = []
    for first in range(done, len(plan.nodes), plan.batch):
        nodes = plan.nodes[first : first + plan.batch]
        hit = planned is not None and first <= planned.node < first + len(nodes) and planned.stage >= len(kept)
        failure = planned if hit else None
        rounds.append(_round(plan, number, nodes, rounds[-1].ended if rounds else began, kept, failure))
        if failure:
            return Attempt(number, began, done, tuple(rounds), failure)
        kept = ()
    return Attempt(number, began, done, tuple(rounds), None)


def _round(  # noqa: PLR0917 - all six shape it
    plan: TaskPlan, number: int, nodes: tuple[str, ...], began: float, kept: tuple[Step, ...], failure: Failure | None
) -> Round:
    draw = Random(f"{plan.seed}/{plan.id}/{number}/{nodes[0]}")  # noqa: S311 - a reproducible variation, no secret
    steps = list(kept)
    now = began + plan.pace * draw.uniform(*BEFORE_FIRST_STAGE)
    for stage in STAGES[len(kept) :]:
        length = plan.pace * (stage.seconds * draw.lognormvariate(0, SPREAD) + _hanging(plan, number, nodes, stage))
        if failure and stage.order == failure.stage:
            if failure.silent:
                ended = (steps[-1].ended if len(steps) > len(kept) else now) + plan.pace * BEFORE_SILENT_FAILURE
            else:
                steps.append(Step(stage.order, now, now + length * draw.uniform(0.3, 0.9), failed=True))
                ended = steps[-1].ended + plan.pace * draw.uniform(*AFTER_FAILED_STAGE)
            unreached = (Step(later.order) for later in STAGES[len(steps) :])
            return Round(nodes, began, (*steps, *unreached), ended)
        steps.append(Step(stage.order, now, now + length))
        now += length + plan.pace * draw.uniform(*BETWEEN_STAGES)
    return Round(nodes, began, tuple(steps), now + plan.variant.completed_lead, completed=now)


def _hanging(plan: TaskPlan, number: int, nodes: tuple[str, ...], stage: StageKind) -> float:
    hangs = [hang for hang in plan.hangs if plan.nodes[hang.node] in nodes and hang.stage == stage.order]
    return sum(hang.seconds for hang in hangs) if number == 1 else 0.0


def _operation_after(plan: TaskPlan, attempt: Attempt) -> Operation | None:
    if attempt.failure is None:
        return None
    operations = [operation for operation in plan.operations if operation.at >= attempt.ended]
    if attempt.failure.retried_after is not None:
        operations.append(Operation(attempt.ended + plan.pace * attempt.failure.retried_after))
    return min(operations, key=lambda operation: operation.at, default=None)


def _given_up(attempt: Attempt, at: float) -> Attempt:
    return Attempt(attempt.number, attempt.began, attempt.done, attempt.rounds, attempt.failure, at)


def _kept(attempt: Attempt) -> tuple[Step, ...]:
    """The stages that a retry leaves as they are."""
    if attempt.failure is None or attempt.failure.restart == "zero":
        return ()
    return attempt.rounds[-1].steps[: attempt.failure.stage]
