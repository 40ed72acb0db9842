"""How wrong forecasts were: what was said, against what came, by how much was left."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean

MINUTE, HOUR = 60.0, 3600.0
STEPS = (15 * MINUTE, HOUR, 3 * HOUR, 12 * HOUR)
"""Seconds that were left: where one class ends and the next begins."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A forecast whose end is known."""

    made_at: datetime
    earliest: datetime
    latest: datetime
    ended_at: datetime

    @property
    def left(self) -> float:
        """Seconds that there were left in truth."""
        return (self.ended_at - self.made_at).total_seconds()

    @property
    def held(self) -> bool:
        """Whether the end lay in the range."""
        return self.earliest <= self.ended_at <= self.latest

    @property
    def error(self) -> float:
        """Seconds from the middle of the range to the end; above zero where it ended later."""
        return (self.ended_at - self.earliest - (self.latest - self.earliest) / 2) / timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Class:
    """All forecasts that were made with so much left.

    Attributes:
        least: Seconds that were left at the least.
        below: Seconds that more was never left than; None for the last class.
        count: How many forecasts.
        held: The share whose range held, 0 to 1.
        error: Seconds that the middle of the range was off, on average.
        bias: Seconds that it ended later than that middle, on average; below zero: earlier.
        share: ``error`` as a share of what was left, on average.
    """

    least: float
    below: float | None
    count: int
    held: float
    error: float
    bias: float
    share: float


def accuracy(forecasts: Iterable[Judged]) -> list[Class]:
    """The classes that have any, the most left first."""
    found: dict[int, list[Judged]] = {}
    for each in forecasts:
        found.setdefault(sum(each.left >= step for step in STEPS), []).append(each)
    return [_class(number, found[number]) for number in sorted(found, reverse=True)]


def _class(number: int, members: Sequence[Judged]) -> Class:
    error = fmean(abs(each.error) for each in members)
    return Class(
        least=STEPS[number - 1] if number else 0.0,
        below=STEPS[number] if number < len(STEPS) else None,
        count=len(members),
        held=fmean(each.held for each in members),
        error=error,
        bias=fmean(each.error for each in members),
        share=error / max(fmean(each.left for each in members), 1.0),
    )
