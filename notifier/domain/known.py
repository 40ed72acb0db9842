"""What is remembered of a cluster between polls: the left-hand side of the diff, stored with every change.

High-water marks only: what has been told stays told, whatever later answers say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from notifier.domain.course import Course
from notifier.domain.evidence import Evidence
from notifier.domain.model import Action, Nodes, Outage, Stage, Status, Task, TaskFacts

TaskKey = tuple[Action, str]

Marks = Mapping[int, str]
"""Of one node: stage order -> what was told of it, a letter each: R (running), F (failed), S (succeeded)."""

MOST_STAGES, LONGEST_NAME, LONGEST_PROSE = 40, 100, 200
"""Of the stages that every event carries: it is stored and sent whole, and a webhook's body should stay under 20 KB."""

TOLD_OF = frozenset({Status.RUNNING, Status.FAILED})
"""Stages whose description says something that matters now."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A stage that a retry took over from the attempt before: when it began, and the letters that were told of it there."""

    began_at: datetime | None
    letters: str


@dataclass(frozen=True, slots=True)
class KnownTask:
    """One task as it is known.

    Attributes:
        task: The newest accepted answer; ``completed`` holds every node ever seen completed, in the order they were told.
        attempt: Which execution this is, from 1; also rises where a retry shows only in the status.
        executions: The highest ``executeTimes`` seen.
        sequence: The number of events told.
        started: Whether ``task.started`` was told, or need not be.
        nodes_started: Nodes whose start was told in this attempt.
        marks: Node -> what was told of its stages in this attempt. Dropped once the node is completed and left behind.
        endings: The terminal statuses of this attempt.
        failed_at: When the attempt before this one failed, by the API's clock.
        doubts: How many good answers in a row could not be believed, or lacked the task.
        vanished: Whether it was told in this attempt that the task is no longer listed.
        missing: Whether it is not listed now.
        kept: Node -> by order: stages that the retry took over from the attempt before.
        retracted: Completed nodes that believed answers no longer list. They stay completed for whoever was told.
        again: Those of them that this attempt does again.
        from_zero: Whether the API counts this task's executions from 0; ``executions`` and ``attempt`` begin with 1 all the same.
        course: How it goes in time.
    """

    task: Task
    attempt: int = 1
    executions: int | None = None
    sequence: int = 0
    started: bool = False
    nodes_started: frozenset[str] = frozenset()
    marks: Mapping[str, Marks] = field(default_factory=dict)
    endings: frozenset[str] = frozenset()
    failed_at: datetime | None = None
    doubts: int = 0
    vanished: bool = False
    missing: bool = False
    kept: Mapping[str, Mapping[int, Kept]] = field(default_factory=dict)
    retracted: frozenset[str] = frozenset()
    again: frozenset[str] = frozenset()
    from_zero: bool = False
    course: Course = field(default_factory=Course)

    def facts(self, action: Action) -> TaskFacts:
        """What an event says of the task as it stands."""
        task = self.task
        return TaskFacts(
            id=task.id,
            action=action,
            status=task.status,
            attempt=self.attempt,
            started_at=task.started_at,
            ended_at=task.ended_at,
            nodes=Nodes(len(set(task.total) | set(task.completed)), task.completed, task.in_flight),
            target=task.target,
            fail_message=task.fail_message,
            current_node=task.current_node,
            stages=tuple(_brief(stage) for stage in sorted(task.stages, key=lambda stage: stage.order)[:MOST_STAGES]),
        )


@lru_cache(maxsize=4096)
def _brief(stage: Stage) -> Stage:
    prose = stage.description[:LONGEST_PROSE] if stage.status in TOLD_OF else ""
    if prose == stage.description and len(stage.name) <= LONGEST_NAME:
        return stage
    # Not `replace`, which costs several times as much, for every stage of every event.
    return Stage(stage.order, stage.name[:LONGEST_NAME], stage.status, prose, stage.began_at, stage.ended_at)


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of a cluster.

    Attributes:
        baselines: The actions that had a first good poll.
        sequence: The number of ``cluster.*`` events told.
        outage: Polls fail since then; None while they work.
        outage_told: Whether that was told.
        answers: Of each action, the answer that led to what is known; the one before it is forgotten by a restart.
    """

    tasks: Mapping[TaskKey, KnownTask] = field(default_factory=dict)
    baselines: frozenset[Action] = frozenset()
    sequence: int = 0
    outage: Outage | None = None
    outage_told: bool = False
    answers: Mapping[Action, Evidence] = field(default_factory=dict)

    def unsettled(self, action: Action) -> bool:
        """Whether an answer that says nothing new may still change what is known: something waits to be confirmed."""
        return action not in self.baselines or any(key[0] is action and known.doubts for key, known in self.tasks.items())

    def running(self, action: Action) -> bool:
        """Whether a task of this action is at work and listed, so that it should be watched closely."""
        return any(
            key[0] is action and known.task.status == Status.RUNNING and not known.missing for key, known in self.tasks.items()
        )
