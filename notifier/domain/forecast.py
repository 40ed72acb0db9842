"""When a task will probably end: a range that its end lies in nine times in ten, and what that rests on.

What is left is a sum of log-normal lengths: the rest of the stage at work, the stages of the node at work that wait, and a whole
round of them for each batch of nodes to come. Their means and variances are added up and read as one log-normal length again
(Fenton 1960). What is off for one node may be off for all (`Expected.drift`), so that part does not average out.
"""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import NormalDist

from notifier.domain.course import NODE, PAUSE, Course, elapsed, running, sort_of
from notifier.domain.expectation import NODE_SPREAD, SHORTEST, Expected, History, Outlook
from notifier.domain.known import KnownTask
from notifier.domain.model import Eta, Status, Task

EARLY, LATE = -1.5, 2.2
"""Standard deviations of the range's ends. Lopsided, since what goes wrong makes it later. See tests/benchmarks/forecast.py."""

CAUTION = 2.5
"""Finished stages of a node that its like outweighs."""

RARE, STUCK = 1e-2, 0.25
"""What lasts longer than one in a hundred does may be stuck; it goes on for a quarter of what it took so far, for all we know."""

ENDING = timedelta(minutes=2)
"""How long a task takes to end at the most, once all its nodes are completed."""

_NORMAL = NormalDist()


@dataclass(slots=True)
class _Sum:
    """A sum of lengths: its mean, the variance of what is independent, and by kind what is off for all of that kind alike."""

    mean: float = 0.0
    variance: float = 0.0
    shared: dict[str, float] = field(default_factory=dict)

    def add(self, expected: Expected, factor: float = 1.0, times: int = 1) -> None:
        """``times`` more lengths to come, each ``factor`` times as long as its like."""
        mean = expected.mean * factor
        self.mean += mean * times
        self.variance += mean**2 * math.expm1(expected.spread**2) * times
        self.shared[expected.filed] = self.shared.get(expected.filed, 0.0) + mean * times * expected.drift

    def ends(self) -> tuple[float, float]:
        """The ends of the range, in seconds."""
        variance = self.variance + sum(each**2 for each in self.shared.values())
        sigma = math.sqrt(math.log1p(variance / self.mean**2))
        middle = math.log(self.mean) - sigma**2 / 2
        return math.exp(middle + EARLY * sigma), math.exp(middle + LATE * sigma)


def forecast(known: KnownTask, history: History, now: datetime, outlook: Outlook | None = None) -> Eta | None:
    """When the task will end, seen from ``now``; None where nothing can be said: it is over, or its nodes are not known.

    ``outlook`` saves to work it out again where it is at hand.
    """
    task, course = known.task, known.course
    waiting = [node for node in dict.fromkeys(task.total) if node not in task.completed]
    if task.status != Status.RUNNING or known.vanished or not task.total:
        return None
    if not waiting:
        return Eta(now, now + ENDING, "all nodes are completed")
    outlook = outlook or Outlook(course, history, task.stages)
    at_work = [node for node in waiting if node in task.in_flight or node == task.current_node]
    to_come = [node for node in waiting if node not in at_work]
    left = _Sum()
    if at_work:
        _rest_of_round(left, outlook, task, course, now)
    firsts = [to_come[first] for first in range(0, len(to_come), course.batch)]
    for sort in dict.fromkeys(map(sort_of, firsts)):
        alike = [node for node in firsts if sort_of(node) == sort]
        _rounds(left, outlook, alike[0], len(alike))
    earliest, latest = left.ends()
    return Eta(now + timedelta(seconds=earliest), now + timedelta(seconds=latest), _basis(course, outlook, task))


def _basis(course: Course, outlook: Outlook, task: Task) -> str:
    if course.rounds:
        nodes = f"{course.rounds} finished node{'s' * (course.rounds > 1)}"
        return (
            nodes if course.batch == 1 else f"{course.rounds} finished batch{'es' * (course.rounds > 1)} of {course.batch} nodes"
        )
    stages = outlook.stages(task.current_node or "")
    weightiest = max(stages or [outlook.of(task.current_node, NODE)], key=lambda each: each.mean)
    return weightiest.basis


def _rounds(left: _Sum, outlook: Outlook, node: str, times: int) -> None:
    """Whole nodes, or batches of them: their stages and the pauses after these, or where none are listed, each in one piece."""
    before, stages = left.mean, outlook.stages(node)
    if not stages:
        left.add(outlook.of(node, NODE), times=times)
    for expected in stages:
        left.add(expected, times=times)
    left.add(outlook.of(node, PAUSE), times=times * len(stages))
    left.variance += times * (NODE_SPREAD * (left.mean - before) / times) ** 2


def _rest_of_round(left: _Sum, outlook: Outlook, task: Task, course: Course, now: datetime) -> None:
    """What is left of the node at work."""
    node = task.current_node or task.in_flight[0]
    if not task.stages or node in task.completed:
        so_far = 0.0 if course.round_at is None else (now - course.round_at).total_seconds()
        _remainder(left, outlook.of(node, NODE), max(so_far, 0.0))
        return
    factor, at_work = math.exp(_slower(outlook, course, node)), running(task)
    before = left.mean
    for stage, expected in zip(task.stages, outlook.stages(node), strict=True):
        if stage is at_work:
            _remainder(left, expected, elapsed(course, now), factor)
        elif stage.status != Status.SUCCESS:
            left.add(expected, factor=factor)
    pauses = sum(stage.status != Status.SUCCESS for stage in task.stages)
    left.add(outlook.of(node, PAUSE), times=max(pauses, 1))
    left.variance += (NODE_SPREAD * (left.mean - before)) ** 2


def _slower(outlook: Outlook, course: Course, node: str) -> float:
    """How much slower this node is than its like, in logarithms, by its finished stages; cautious while they are few."""
    off = [math.log(max(seconds, SHORTEST)) - outlook.of(node, kind).middle for kind, seconds in course.here.items()]
    return max(min(sum(off) / (len(off) + CAUTION), 1.5), -1.5)


def _remainder(left: _Sum, expected: Expected, so_far: float, factor: float = 1.0) -> None:
    """What is left of a length that has lasted ``so_far``: of a log-normal length, the more the longer it lasts already."""
    sigma, middle = expected.sigma, expected.middle + math.log(factor)
    if so_far <= 0:
        left.add(expected, factor=factor)
        return
    at = (math.log(so_far) - middle) / sigma
    longer = 1 - _NORMAL.cdf(at)
    if longer < RARE:
        mean = STUCK * so_far
    else:
        whole = math.exp(middle + sigma**2 / 2) * (1 - _NORMAL.cdf(at - sigma)) / longer
        mean = max(whole - so_far, SHORTEST)
    left.mean += mean
    # What is left of a long tail is as uncertain as it is long.
    left.variance += mean**2
