"""Silences: what nobody wants to hear of for a while, who said so, and why.

A silence stops deliveries, never events: what it stopped is kept with its name, so that ``explain`` can say why nobody was told.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from notifier.domain.model import Event
from notifier.domain.routing import Matcher


@dataclass(frozen=True, slots=True)
class Silence:
    """A matcher with a start, an end, an author and a reason.

    Attributes:
        task: Only of this task, by id; None for any.
        reminders_only: Somebody has acknowledged it: news is still told, reminders are not.
    """

    id: str
    matcher: Matcher
    starts_at: datetime
    ends_at: datetime
    author: str
    reason: str
    task: str | None = None
    reminders_only: bool = False

    @property
    def words(self) -> str:
        """Who silenced it and why."""
        return f"{self.author}: {self.reason} ({self.id})"

    def active(self, now: datetime) -> bool:
        """Whether it holds at a moment; the end is excluded."""
        return self.starts_at <= now < self.ends_at

    def silences(self, event: Event, now: datetime, *, reminder: bool = False) -> bool:
        """Whether it stops an event, or a reminder of it, at a moment."""
        if not self.active(now) or (self.reminders_only and not reminder):
            return False
        of_task = self.task is None or (event.task is not None and event.task.id == self.task)
        return of_task and self.matcher.refusal(event) is None


def silenced_by(event: Event, silences: Iterable[Silence], now: datetime, *, reminder: bool = False) -> Silence | None:
    """The first silence that stops an event; None if none does."""
    return next((silence for silence in silences if silence.silences(event, now, reminder=reminder)), None)
