"""Time as a line on paper: where a moment lies, and which moments are marked."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

STEPS = tuple(
    timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 20160, 40320)
)
"""Distances between marks, as people divide time."""

SHORTEST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark: where, the time of day, and the date where it is a new one."""

    x: float
    clock: str
    date: str | None


@dataclass(frozen=True, slots=True)
class Axis:
    """From ``began`` at ``left`` to ``ended`` at ``right``; what lies beyond is drawn at the edge."""

    began: datetime
    ended: datetime
    left: float
    right: float

    @property
    def length(self) -> timedelta:
        """Never nothing, so that a task of no seconds has a picture too."""
        return max(self.ended - self.began, SHORTEST)

    def x(self, at: datetime) -> float:
        """Where a moment lies."""
        share = (at - self.began) / self.length
        return round(self.left + min(max(share, 0.0), 1.0) * (self.right - self.left), 2)

    def ticks(self, zone: tzinfo, apart: float) -> Iterator[Tick]:
        """Marks at round times of a zone's clock, at least ``apart`` from each other."""
        most = max((self.right - self.left) / apart, 1.0)
        step = next((step for step in STEPS if self.length / step <= most), self.length)
        local = self.began.astimezone(zone)
        # Counted on the wall's clock from a midnight: hours are round in every zone, and after a change to summer time.
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        wall = midnight + step * ((local.replace(tzinfo=None) - midnight) // step)
        date, before = None, self.began - SHORTEST
        while (at := wall.replace(tzinfo=zone).astimezone(UTC)) <= self.began + self.length:
            wall += step
            if at < self.began or at <= before:
                continue
            shown, before = at.astimezone(zone), at
            yield Tick(self.x(at), f"{shown:%H:%M}", f"{shown:%Y-%m-%d}" if shown.date() != date else None)
            date = shown.date()
