"""What there is to tell of the stages of a node: which facts a stage shows, and which of them were told already."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from notifier.domain.doubt import RANK
from notifier.domain.known import Kept, Marks
from notifier.domain.model import Kind, Stage, Status, Task


def stage_facts(stage: Stage, told: str) -> Iterator[tuple[Kind, str, datetime | None, bool]]:
    """The facts a stage shows that were not told: kind, the mark it leaves, its time, and whether it was seen or inferred."""
    if "R" not in told and RANK.get(stage.status, 0):
        yield Kind.STAGE_STARTED, "R", stage.began_at, stage.status == Status.RUNNING
    if stage.status == Status.FAILED and "F" not in told:
        yield Kind.STAGE_FAILED, "F", stage.ended_at, True
    if stage.status == Status.SUCCESS and "S" not in told:
        yield Kind.STAGE_SUCCEEDED, "S", stage.ended_at, True


def marks_of(task: Task) -> Mapping[str, Marks]:
    """The marks of all that an answer shows, as if it had been told."""
    told = {stage.order: "".join(fact[1] for fact in stage_facts(stage, "")) for stage in task.stages}
    return {task.current_node: {order: letters for order, letters in told.items() if letters}} if task.current_node else {}


def kept_marks(marks: Marks, old: Task, task: Task) -> Marks:
    """The marks of an attempt that the next one takes over: of stages that it keeps, so that they are no news in it."""
    kept: dict[int, str] = {}
    follows = False
    for stage in sorted(task.stages, key=lambda stage: stage.order):
        told = marks.get(stage.order, "")
        # A retry begins at the first stage or at the one that failed: what succeeded behind a stage that it keeps is kept, too,
        # though the last that was known of it came from an old answer, in which it had not begun.
        follows = bool(told) and (_kept(stage, old, task) or (follows and "S" in told and _not_begun(stage.order, old)))
        if follows:
            kept[stage.order] = told
    return kept


def taken_over(task: Task, marks: Marks) -> Mapping[int, Kept]:
    """The stages of an answer whose marks were kept, as the retry took them over."""
    return {stage.order: Kept(stage.began_at, marks[stage.order]) for stage in task.stages if stage.order in marks}


def reopened(marks: Marks, kept: Mapping[int, Kept], task: Task) -> tuple[Marks, Mapping[int, Kept]]:
    """The marks, and what is still kept, after an answer in which stages begin anew that a retry had seemed to keep.

    A retry may show the stages of the failed attempt for a while before it starts again at the first. What was told of such a
    stage in the attempt before is forgotten; what was told of it in this one stays told.
    """
    begun = [stage.order for stage in task.stages if stage.order in kept and _begins_anew(stage, kept[stage.order])]
    if not begun:
        return marks, kept
    left = {order: stage for order, stage in kept.items() if order not in begun}
    told = {order: "".join(letter for letter in marks.get(order, "") if letter not in kept[order].letters) for order in begun}
    return {order: letters for order, letters in {**marks, **told}.items() if letters}, left


def _begins_anew(stage: Stage, kept: Kept) -> bool:
    return stage.began_at != kept.began_at or stage.status == Status.WAITING


def _not_begun(order: int, old: Task) -> bool:
    return all(known.began_at is None for known in old.stages if known.order == order)


def _kept(stage: Stage, old: Task, task: Task) -> bool:
    """Whether a stage listed in a new attempt is the very execution that was listed in the attempt before."""
    if old.current_node != task.current_node:
        return False
    for known in old.stages:
        if known.order == stage.order:
            same_start = known.began_at == stage.began_at
            return same_start and (known.began_at is not None or known.status == stage.status)
    return False
