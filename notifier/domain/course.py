"""How a task goes in time: when it moved last, how long what is finished took. The memory that forecasts and stalls rest on.

An answer of the API holds the stages of one node only, so what is finished is folded into a few bounded numbers here. Lengths are
the API's own where they agree with what we saw. Where they contradict it (a clock that runs wild, a time that was never set) our
own clock counts. Moments are ours, UTC.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from statistics import median

from notifier.domain.model import Stage, Status, Task

REMEMBERED = 12
"""The newest lengths of a kind that are kept for a task."""

ROUNDING = 2.0
"""Seconds by which lengths may differ for no reason: the API gives whole seconds."""

NODE, PAUSE = "node", "pause"
"""Kinds of span beside the stages: the whole work on a batch of nodes, and the waits in which no stage runs."""

_NODE_NAME = re.compile(r"-((?:ess(?:-(?:cold|client|master))?)|lgs)-[a-z]+-\d+-\d+$")


@dataclass(frozen=True, slots=True)
class Course:
    """What is remembered of a task's course.

    Attributes:
        attempt: The execution that the following is about; what took how long is kept over retries.
        moved_at: When the last progress was seen.
        began_at: When what runs now (a stage, or the wait for one) began.
        witnessed: Whether we saw it begin, rather than found it under way.
        round_at: When the batch at work began.
        seen_at: The newest good answer that was written down.
        unseen: Seconds since ``moved_at`` in which there was no data.
        batch: The most nodes that were at work at once.
        spans: Kind of span (see `key`) -> the newest lengths, in seconds.
        here: Kind of stage -> seconds it took on the node at work.
        rounds: How many batches were finished in sight.
        progress: The highest of this attempt, 0 to 1.
        stalled: Whether a stall was told and lasts.
        stalls: How many stalls were told in this attempt.
        deadline: The highest share of the migration limit that was told for the node at work, in percent.
        windows: How many times a window's end was told of.
        window: The end that was told of last.
        forecast_at: When a forecast was recorded last.
    """

    attempt: int = 0
    moved_at: datetime | None = None
    began_at: datetime | None = None
    witnessed: bool = False
    round_at: datetime | None = None
    seen_at: datetime | None = None
    unseen: float = 0.0
    batch: int = 1
    spans: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    here: Mapping[str, float] = field(default_factory=dict)
    rounds: int = 0
    progress: float | None = None
    stalled: bool = False
    stalls: int = 0
    deadline: int = 0
    windows: int = 0
    window: datetime | None = None
    forecast_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Length:
    """A finished span, for the history of others. ``began_at`` makes it itself and no other, whoever tells of it again."""

    kind: str
    node: str
    began_at: datetime
    seconds: float


@lru_cache(maxsize=4096)
def sort_of(node: str | None) -> str:
    """The sort of a node by its name (data, master, cold …), empty where that says nothing."""
    match = _NODE_NAME.search(node or "")
    return match[1] if match else ""


def key(node: str | None, kind: str) -> str:
    """What a length is filed under: the sort of node and what was done to it."""
    return f"{sort_of(node)}:{kind}"


def stage_kind(stage: Stage) -> str:
    """What a stage is filed under: its order and its name, which differ between actions and releases."""
    return f"{stage.order}/{stage.name}"


def running(task: Task) -> Stage | None:
    """The stage at work, None in the wait between two."""
    at_work = [stage for stage in task.stages if stage.status == Status.RUNNING]
    return min(at_work, key=lambda stage: stage.order) if len(at_work) > 1 else next(iter(at_work), None)


def position(task: Task) -> tuple[object, ...]:
    """Where a task stands: any change of it is progress."""
    stages = tuple((stage.order, stage.status, stage.began_at) for stage in task.stages)
    return task.executions, task.status, frozenset(task.completed), frozenset(task.in_flight), task.current_node, stages


def moved(course: Course, old: Task | None, new: Task, gap: float | None, now: datetime) -> tuple[Course, tuple[Length, ...]]:
    """The course after a task has moved from ``old`` to ``new``, and what was finished by it.

    Args:
        course: So far; a fresh one for a task that was never seen.
        old: The answer before.
        new: The answer that shows progress.
        gap: Seconds since the good answer before, None where that is too long ago to have seen anything begin.
        now: When it was seen.
    """
    finished = list(_finished(course, old, new, gap, now))
    seen = old is not None and gap is not None
    done = [node for node in new.completed if old is not None and node not in old.completed]
    apart = old is None or not set(old.in_flight) & set(new.in_flight)
    over = bool(done) and apart and seen and course.round_at is not None
    if over and course.round_at is not None:
        finished.append(Length(NODE, done[-1], course.round_at, (now - course.round_at).total_seconds()))
    pauses = list(_pauses(course, old, new, gap, now)) if old is not None and gap is not None else []
    spans = _filed(course.spans, [*((key(each.node, each.kind), each.seconds) for each in finished), *pauses])
    if over and course.round_at is not None and (usual := spans.get(key(done[-1], PAUSE))):
        finished.append(Length(PAUSE, done[-1], course.round_at, median(usual)))
    same_node = old is not None and old.current_node == new.current_node
    stages = {each.kind: round(each.seconds, 1) for each in finished if each.kind not in {NODE, PAUSE}}
    starts = old is None or course.round_at is None or (apart and bool(done or new.in_flight))
    goes_on = old is not None and course.began_at is not None and _goes_on(old, new)
    after = replace(
        course,
        moved_at=now,
        began_at=course.began_at if goes_on else now if seen else _began(new, now),
        witnessed=course.witnessed if goes_on else seen,
        round_at=(now if seen else _round_began(new, now)) if starts else course.round_at,
        seen_at=now,
        unseen=0.0,
        batch=max(course.batch, len(new.in_flight)),
        spans=spans,
        here={**course.here, **stages} if same_node else stages,
        rounds=course.rounds + over,
        stalled=False,
        deadline=course.deadline if same_node else 0,
    )
    return after, tuple(finished)


def _filed(spans: Mapping[str, tuple[float, ...]], lengths: Iterable[tuple[str, float]]) -> Mapping[str, tuple[float, ...]]:
    """The spans with these lengths, the newest of each kind."""
    found = dict(spans)
    for filed, seconds in lengths:
        found[filed] = (*found.get(filed, ()), round(seconds, 1))[-REMEMBERED:]
    return found


def _goes_on(old: Task, new: Task) -> bool:
    """Whether the stage at work is still the same, though something else has moved: another node of the batch, say."""
    before, after = running(old), running(new)
    if before is None or after is None or old.current_node != new.current_node:
        return False
    return (before.order, before.began_at) == (after.order, after.began_at)


def _finished(course: Course, old: Task | None, new: Task, gap: float | None, now: datetime) -> Iterator[Length]:
    """The stages that this answer shows finished and the one before did not."""
    node = new.current_node
    if node is None:
        return
    same = old is not None and old.current_node == node
    before = {stage.order: stage for stage in old.stages} if old is not None and same else {}
    fresh = [
        (stage, stage.began_at, stage.ended_at)
        for stage in new.stages
        if stage.status == Status.SUCCESS and stage.began_at and stage.ended_at and stage.ended_at >= stage.began_at
    ]
    fresh = [each for each in fresh if each[0].order not in before or before[each[0].order].ended_at != each[2]]
    unseen_begins = [each for each in fresh if before.get(each[0].order, each[0]).status == Status.WAITING]
    for stage, began_at, ended_at in fresh:
        seconds = (ended_at - began_at).total_seconds()
        was = before.get(stage.order)
        if gap is not None and was is not None and was.status == Status.RUNNING and course.witnessed and course.began_at:
            ours = (now - course.began_at).total_seconds()
            seconds = _credible(seconds, ours - gap, ours + gap)
        elif gap is not None and was is not None and was.status == Status.WAITING:
            seconds = seconds if seconds <= gap + ROUNDING else gap / len(unseen_begins)
        yield Length(stage_kind(stage), node, began_at, seconds)


def _pauses(course: Course, old: Task, new: Task, gap: float, now: datetime) -> Iterator[tuple[str, float]]:
    """The waits between stages of one node that have just ended, as they are filed."""
    if new.current_node is None or old.current_node != new.current_node:
        return
    began = {stage.order: stage.began_at for stage in old.stages}
    stages = sorted(new.stages, key=lambda each: each.order)
    waited = 0.0 if running(old) or course.began_at is None else (now - course.began_at).total_seconds()
    for first, second in pairwise(stages):
        if first.ended_at and second.began_at and began.get(second.order) != second.began_at:
            seconds = max((second.began_at - first.ended_at).total_seconds(), 0.0)
            yield key(new.current_node, PAUSE), _credible(seconds, 0.0, waited + gap)


def _credible(seconds: float, low: float, high: float) -> float:
    """The API's length, if it lies in what we saw; else the middle of that."""
    if low - ROUNDING <= seconds <= high + ROUNDING:
        return seconds
    return max((low + high) / 2, 0.0)


def _began(task: Task, now: datetime) -> datetime:
    """When what runs now began, for a task that is found under way: by the API's clock."""
    stage = running(task)
    times = [stage.began_at] if stage else [each.ended_at for each in task.stages]
    return min(max((time for time in times if time), default=task.started_at or now), now)


def _round_began(task: Task, now: datetime) -> datetime:
    times = [stage.began_at for stage in task.stages if stage.began_at]
    return min(min(times, default=task.started_at or now), now)


def elapsed(course: Course, now: datetime) -> float:
    """Seconds that what runs now has taken, with the time in which there was no data."""
    return 0.0 if course.began_at is None else max((now - course.began_at) / timedelta(seconds=1), 0.0)


def watched(course: Course, now: datetime) -> float:
    """Seconds for which good answers showed no progress."""
    return 0.0 if course.moved_at is None else max((now - course.moved_at).total_seconds() - course.unseen, 0.0)
