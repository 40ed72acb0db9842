"""What can be learnt from a task that has been laid out: which stages were slow, and how good the forecasts were."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from notifier.domain.dossier import StageTimes
from notifier.domain.model import Event
from notifier.domain.node_rows import Bar, Outcome
from notifier.domain.timeline import Timeline

MOST_SLOW = 8
NOTICEABLE = 1.5
"""A stage that took less than so many times the usual is not worth a line."""

UNKNOWN = timedelta(minutes=1)
"""Nor is one of which nothing is known that took less."""

NEGLIGIBLE = timedelta(seconds=5)
"""Nor is one that is slower by less."""

CHECKPOINTS = (0.25, 0.5, 0.75)
"""The shares of the way at which a forecast is compared with the truth."""


@dataclass(frozen=True, slots=True)
class Slow:
    """A stage that took long. ``usual`` is the median of ``samples`` like it, None where there is none."""

    node: str
    order: int
    name: str
    took: timedelta
    usual: timedelta | None
    samples: int
    lasts: bool = False

    @property
    def times(self) -> float | None:
        """How many times as long as usual."""
        return self.took / self.usual if self.usual else None

    @property
    def excess(self) -> timedelta:
        """How much longer than usual; all of it where nothing is known."""
        return self.took - (self.usual or timedelta())


def slowest(line: Timeline, elsewhere: Iterable[StageTimes]) -> tuple[Slow, ...]:
    """The stages that cost most time beyond the usual: the same stage on other nodes and in other tasks.

    Args:
        line: The task.
        elsewhere: What stages took in other tasks.
    """
    known = {(times.order, times.name): times.seconds for times in elsewhere}
    # Of a stage whose end nobody saw nobody knows how long it took.
    bars = [(row.node, bar) for row in line.rows for bar in row.bars if bar.outcome is not Outcome.UNSEEN]
    groups: dict[int | None, list[tuple[str, float]]] = {}
    for node, bar in bars:
        if bar.ended is not None and bar.outcome is Outcome.SUCCEEDED:
            groups.setdefault(bar.order, []).append((node, (bar.ended - bar.began).total_seconds()))
    middles = {order: median(seconds for _, seconds in group) for order, group in groups.items()}
    # Looked at closely are only those that stand out: of hundreds of nodes nobody compares each with each.
    standing_out = sorted(bars, key=lambda found: _length(line, found[1]).total_seconds() - middles.get(found[1].order, 0.0))
    found = []
    for node, bar in standing_out[-10 * MOST_SLOW :]:
        order = bar.order or 0
        like = [*(seconds for name, seconds in groups.get(order, ()) if name != node), *known.get((order, bar.name), ())]
        usual = timedelta(seconds=median(like)) if like else None
        found.append(Slow(node, order, bar.name, _length(line, bar), usual, len(like), bar.ended is None))
    return tuple(sorted((slow for slow in found if _worth(slow)), key=lambda slow: slow.excess, reverse=True)[:MOST_SLOW])


def _worth(slow: Slow) -> bool:
    if slow.times is None:
        return slow.took >= UNKNOWN
    return slow.times >= NOTICEABLE and slow.excess >= NEGLIGIBLE


def _length(line: Timeline, bar: Bar) -> timedelta:
    return (bar.ended or line.until) - bar.began


@dataclass(frozen=True, slots=True)
class Forecast:
    """What was forecast when ``share`` of the time had passed, and how far off that was.

    Attributes:
        share: Of the whole time.
        at: When it was made.
        earliest: The range begins here …
        latest: … and ends here.
        missed_by: By how much the end lay outside of it; 0: it held.
        left: How much was left then.
        late: How much later than the middle of the range the end came; below 0: earlier.
    """

    share: float
    at: datetime
    earliest: datetime
    latest: datetime
    missed_by: timedelta
    left: timedelta
    late: timedelta


def forecasts(events: Sequence[Event], line: Timeline) -> tuple[Forecast, ...]:
    """The forecasts at `CHECKPOINTS` of the way against the end. Nothing of a task that is open, or had none."""
    if line.ended is None:
        return ()
    found = []
    for share in CHECKPOINTS:
        due = line.began + share * (line.ended - line.began)
        made = [event for event in events if event.eta is not None and event.task is not None and event.time <= due]
        newest = max(made, key=lambda event: (event.time, event.sequence), default=None)
        if newest is None or newest.eta is None:
            continue
        eta = newest.eta
        early, late = eta.earliest - line.ended, line.ended - eta.latest
        off = line.ended - (eta.earliest + (eta.latest - eta.earliest) / 2)
        left = max(line.ended - newest.time, timedelta())
        found.append(Forecast(share, newest.time, eta.earliest, eta.latest, max(early, late, timedelta()), left, off))
    return tuple(found)
