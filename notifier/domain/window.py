"""The hours in which a cluster may be worked on, and when they end."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

WARNING = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Weekly:
    """Hours of every week, by the clock of ``zone``, over midnight too.

    Attributes:
        days: On which it begins; Monday is 0.
        start: Included.
        end: Excluded. Not after ``start`` means the next day.
    """

    days: frozenset[int]
    start: time
    end: time
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Window:
    """When work on a cluster should be over: at one moment, or at the end of weekly hours. ``warn`` is told so long before."""

    ends: datetime | None = None
    weekly: Weekly | None = None
    warn: timedelta = WARNING

    def end(self, now: datetime) -> datetime | None:
        """The end of the window that ``now`` lies in; None outside of it."""
        if self.ends is not None:
            return self.ends if now < self.ends else None
        hours = self.weekly
        if hours is None:
            return None
        today = now.astimezone(hours.zone).date()
        for day in (today - timedelta(days=1), today):
            start = datetime.combine(day, hours.start, hours.zone)
            last = day + timedelta(days=1) if hours.end <= hours.start else day
            end = datetime.combine(last, hours.end, hours.zone)
            if day.weekday() in hours.days and start <= now < end:
                return end.astimezone(now.tzinfo)
        return None
