"""Whether an answer about a task may be old: from a cache, out of order, or with parts missing.

See ``docs/adr/0003-doubt.md``. What is certainly old never counts; what only looks old counts when it is said again and again.
"""

from collections.abc import Mapping

from notifier.domain.known import KnownTask
from notifier.domain.model import FAILURES, TERMINAL, Status, Task

RANK: Mapping[str, int] = {Status.WAITING: 0, Status.RUNNING: 1, Status.FAILED: 2, Status.SUCCESS: 2}
"""How far a stage is; an unknown status has none."""


def outdated(before: KnownTask, task: Task) -> str | None:
    """Why an answer is certainly older than what is known, however often it is given; None if it may be true."""
    if before.executions is not None and task.executions is not None and task.executions != before.executions:
        return "fewer executions than known" if task.executions < before.executions else None
    if Status.SUCCESS in before.endings and task.status not in TERMINAL:
        return "not over, after its success"
    return None


def doubtful(before: KnownTask, task: Task) -> str | None:
    """Why an answer looks older than what is known, though it may be true; None if there is no reason to think so."""
    old = before.task
    if task.executions is not None and task.executions > (before.executions or 1):
        return None
    if task.status in TERMINAL:
        # An end is never older than what is known of the same attempt; it may be the end of the attempt before.
        earlier = task.status in FAILURES and task.ended_at is not None and task.ended_at == before.failed_at
        return "the end of an earlier attempt" if earlier else None
    completed = set(old.completed) - before.retracted
    if not completed <= set(task.completed):
        return "fewer completed nodes than known"
    if task.current_node in completed and old.current_node in old.in_flight:
        return "at a node that was left behind"
    if task.status == Status.RUNNING and before.endings:
        return None if newer(old, task) else "running, with nothing newer than its failure"
    return "a stage went back" if _went_back(before, task) else None


def newer(failed: Task, task: Task) -> bool:
    """Whether an answer that says RUNNING after a failure shows anything that the failed one did not."""
    if task.started_at and failed.started_at and task.started_at > failed.started_at:
        return True
    if len(task.completed) > len(failed.completed):
        return True
    known = {stage.order: stage.began_at for stage in failed.stages} if task.current_node == failed.current_node else {}
    for stage in task.stages:
        before = known.get(stage.order)
        if stage.began_at is None or stage.began_at == before:
            continue
        # Another beginning proves nothing by itself: what was known of the stage may be from an attempt before the failed one.
        if stage.began_at >= failed.ended_at if failed.ended_at else before is not None:
            return True
    return False


def _went_back(before: KnownTask, task: Task) -> bool:
    """Whether a stage of the same node shows less than is known of the same execution of it, and none shows more.

    Of a stage that was kept by a retry it proves nothing: the retry may begin at the first stage after all.
    """
    old = before.task
    if task.current_node != old.current_node:
        return False
    latest = max((stage.began_at for stage in old.stages if stage.began_at), default=None)
    if latest and any(stage.began_at > latest for stage in task.stages if stage.began_at):
        return False
    kept = before.kept.get(old.current_node or "", {})
    known = {stage.order: stage for stage in old.stages if stage.order not in kept}
    return any(
        stage.order in known
        and RANK.get(stage.status, 2) < RANK.get(known[stage.order].status, 0)
        and stage.began_at in {None, known[stage.order].began_at}
        for stage in task.stages
    )
