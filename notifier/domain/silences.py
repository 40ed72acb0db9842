"""Silences: what nobody wants to hear of for a while, who said so, and why.

A silence stops deliveries, never events: what it stopped is kept with its name, so that ``explain`` can say why nobody was told.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from notifier.domain import identity
from notifier.domain.model import Event, Kind, Severity
from notifier.domain.routing import ANYTHING, Globs, Matcher, SeverityRange


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

    def about(self, event: Event, now: datetime) -> bool:
        """Whether it holds, at a moment, for the task or cluster that an event is about, whatever the event says of it."""
        of_task = self.task is None or (event.task is not None and event.task.id == self.task)
        whatever = replace(self.matcher, kind=ANYTHING, severity=SeverityRange())
        return of_task and self.active(now) and whatever.refusal(event) is None


ACKNOWLEDGED_FOR = timedelta(days=1)
"""For so long somebody who takes care of something is believed to; then reminders come again."""

TOLD_ANYWAY = frozenset({Kind.TASK_SUCCEEDED, Kind.TASK_VANISHED, Kind.CLUSTER_RECOVERED})
"""Besides failures, what nobody can mute: it ends a story that others may wait for."""


def acknowledgement(event: Event, author: str, now: datetime) -> Silence:
    """Somebody takes care of what an event is about: reminders of it stop, news of it does not."""
    return _of(event, "acknowledge", author, now, now + ACKNOWLEDGED_FOR, reason="taken care of", reminders_only=True)


def muting(event: Event, author: str, now: datetime, lasting: timedelta) -> tuple[Silence, ...]:
    """Nobody wants to hear of it for a while: neither of its progress nor reminders. Failures and ends are told all the same."""
    calm = tuple(kind for kind in Kind if kind.severity <= Severity.WARNING and kind not in TOLD_ANYWAY)
    until, why = now + lasting, "progress is not told, failures and the end are"
    return (
        _of(event, "mute", author, now, until, reason=why, kinds=calm),
        _of(event, "mute reminders", author, now, until, reason=why, reminders_only=True),
    )


def _of(event: Event, what: str, author: str, now: datetime, until: datetime, *, kinds: Globs = ANYTHING, **more: Any) -> Silence:
    """A silence of the event's task, or of its cluster. Its id is that of the wish, so that the same wish is one silence."""
    cluster, task = event.cluster, event.task
    matcher = Matcher(kind=kinds, cluster=(_literally(cluster.id),), project=(_literally(cluster.project),))
    return Silence(
        identity.of_wish(event.thread, what), matcher, now, until, author, task=None if task is None else task.id, **more
    )


def _literally(text: str) -> str:
    """A glob that matches this text only."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


def silenced_by(event: Event, silences: Iterable[Silence], now: datetime, *, reminder: bool = False) -> Silence | None:
    """The first silence that stops an event; None if none does."""
    return next((silence for silence in silences if silence.silences(event, now, reminder=reminder)), None)
