"""When something takes much longer than its like did: what is usual, and from when on it is called a stall.

What is watched is what the API shows to be at work: a stage, the wait between two, or where no stages are listed, the node. Only
time for which good answers showed no progress counts: "no data" is never taken for "no progress".
"""

from dataclasses import dataclass

from notifier.domain.course import NODE, PAUSE, Course, running, stage_kind
from notifier.domain.expectation import DATA, FEW, Outlook
from notifier.domain.model import Task

LEAST_SIGMA = 0.27
"""Few samples that happen to agree must not make the limit tight."""

USUAL = 1.645
"""Standard deviations: nineteen in twenty are no longer than what is called usual."""

RARE = 3.3
"""Standard deviations: one in two thousand is longer, so that hardly ever an upgrade of a hundred stages is accused wrongly."""

MOST = 1.95
"""Times as long as usual, however much its like varies: a hang is to be found before it has lasted twice as long."""

FACTOR = 3.0
"""Times as long as its like, unless the configuration says otherwise."""

DATA_FACTOR = 4.0
"""Where nothing is known, data migration may take so many times as long as other stages: it depends on the amount of data."""


@dataclass(frozen=True, slots=True)
class StallRule:
    """From when on it is a stall.

    Attributes:
        floor: Seconds; nothing shorter is.
        factor: So many times as long as its like.
        unknown: Seconds, where nothing is known of its like.
    """

    floor: float = 900.0
    factor: float = FACTOR
    unknown: float = 2700.0


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual of what runs now, in seconds: ``longest`` of nineteen in twenty, and ``limit`` from which on it is a stall.

    ``longest`` is None where nothing is known of its like.
    """

    longest: float | None
    limit: float
    basis: str


def usual(task: Task, course: Course, outlook: Outlook, rule: StallRule) -> Usual:
    """What to expect of what is at work now."""
    stage, node = running(task), task.current_node
    kind = NODE if not task.stages else PAUSE if stage is None else stage_kind(stage)
    expected = outlook.of(node, kind)
    if expected.known < FEW and not course.rounds:
        data = stage is not None and stage.order == DATA
        return Usual(None, max(rule.unknown * (DATA_FACTOR if data else 1.0), rule.floor), "nothing is known of its like yet")
    widened = LEAST_SIGMA / expected.sigma if expected.sigma < LEAST_SIGMA else 1.0
    longest = expected.quantile(USUAL * widened)
    rare = min(expected.quantile(RARE * widened), MOST * longest) / FACTOR
    return Usual(longest, max(rule.floor, rule.factor * max(expected.quantile(0.0), rare)), expected.basis)
