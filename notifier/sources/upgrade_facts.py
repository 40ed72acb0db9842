"""The truth about a simulated task: what an all-seeing observer would tell of it, to compare with what was told.

Pure.
"""

from collections.abc import Iterator
from typing import NamedTuple

from notifier.domain.model import Action, Kind, Status
from notifier.sources.upgrades import NEVER, Attempt, TaskPlan, course


class Fact(NamedTuple):
    """Something that happened, as an all-seeing observer would tell it. ``order`` is the stage's."""

    at: float
    cluster_id: str
    action: Action
    task_id: str
    attempt: int
    kind: Kind
    node: str | None = None
    order: int | None = None


_TERMINAL = {
    Status.SUCCESS: Kind.TASK_SUCCEEDED,
    Status.FAILED: Kind.TASK_FAILED,
    Status.PARTIAL_FAILED: Kind.TASK_PARTIALLY_FAILED,
}
_RANK = {
    kind: rank
    for rank, kinds in enumerate(
        (
            (Kind.TASK_STARTED,),
            (Kind.TASK_RETRIED,),
            (Kind.NODE_COMPLETED,),
            (Kind.NODE_STARTED,),
            (Kind.STAGE_STARTED, Kind.STAGE_SUCCEEDED, Kind.STAGE_FAILED),
            (Kind.NODE_FAILED,),
            tuple(_TERMINAL.values()),
        )
    )
    for kind in kinds
}
"""The order in which facts of one instant are told."""


def facts(plan: TaskPlan, cluster_id: str) -> tuple[Fact, ...]:
    """Everything that happens to the task and can be seen through the API, in order.

    ``node.started`` and the stages are counted anew in every attempt, as far as a retry works on them again. Of a batch that
    fails, every node fails: the API does not say which one it was. Stages that the variant hides are left out.
    """
    told = (
        Fact(at, cluster_id, plan.action, plan.id, attempt.number, kind, node, order)
        for attempt in course(plan)
        for at, kind, node, order in _told(plan, attempt)
    )
    return tuple(sorted(told, key=lambda fact: (fact.at, _RANK[fact.kind])))


_Telling = tuple[float, Kind, str | None, int | None]


def _told(plan: TaskPlan, attempt: Attempt) -> Iterator[_Telling]:
    yield attempt.began, Kind.TASK_STARTED if attempt.number == 1 else Kind.TASK_RETRIED, None, None
    for work in attempt.rounds:
        for node in work.nodes:
            yield work.began, Kind.NODE_STARTED, node, None
            if work.completed < NEVER:
                yield work.completed, Kind.NODE_COMPLETED, node, None
        for step in work.steps:
            if work.began <= step.began < NEVER and plan.variant.lists(step.order):
                yield step.began, Kind.STAGE_STARTED, work.nodes[0], step.order
                yield step.ended, Kind.STAGE_FAILED if step.failed else Kind.STAGE_SUCCEEDED, work.nodes[0], step.order
    if attempt.failure:
        for node in attempt.rounds[-1].nodes:
            yield attempt.ended, Kind.NODE_FAILED, node, None
    ending = attempt.status(attempt.ended)
    yield attempt.ended, _TERMINAL[ending], None, None
    if attempt.aborted < NEVER and attempt.status(attempt.aborted) != ending:
        yield attempt.aborted, _TERMINAL[attempt.status(attempt.aborted)], None, None
