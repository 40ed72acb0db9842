"""What a sink is told at once, what may wait, and what may be told together.

Three wishes meet here: a sink that edits a living message need not be told of every stage by itself, a digest gathers what is not
urgent, quiet hours keep it until the morning. Failures and ends are never merged away, and nothing urgent ever waits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from enum import IntEnum

from notifier.domain.model import Event, Kind, Severity

NEVER_MERGED = frozenset(
    {
        Kind.TASK_SUCCEEDED,
        Kind.TASK_FAILED,
        Kind.TASK_PARTIALLY_FAILED,
        Kind.TASK_STALLED,
        Kind.TASK_DEADLINE_NEAR,
        Kind.TASK_WINDOW_ENDING,
        Kind.NODE_FAILED,
        Kind.STAGE_FAILED,
        Kind.CLUSTER_UNREACHABLE,
        Kind.SINK_FAILING,
    }
)
"""Kinds that always get a message of their own: failures, ends, and what somebody should look into."""

DIGESTED = Severity.INFO
"""The most that a digest makes wait."""


class Merge(IntEnum):
    """Whether an event may be told along with a later one of its lane."""

    NEVER = 0
    WHEN_LATE = 1
    """Only once it is old news, since the sink was down or could not keep up."""
    ALWAYS = 2


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which a sink is told only what is urgent: from ``start`` to ``end`` by the clock of ``zone``, over midnight too.

    Attributes:
        start: Included.
        end: Excluded. The same as ``start`` means the whole day.
        zone: Whose clock.
        urgent: The lowest severity that is told all the same.
    """

    start: time
    end: time
    zone: tzinfo
    urgent: Severity = Severity.ERROR

    def until(self, now: datetime) -> datetime | None:
        """When the quiet that ``now`` lies in ends; None outside of it."""
        local = now.astimezone(self.zone)
        clock = local.time()
        over_midnight = self.start >= self.end
        if not (clock >= self.start or clock < self.end if over_midnight else self.start <= clock < self.end):
            return None
        day = local.date() + timedelta(days=1 if over_midnight and clock >= self.start else 0)
        return datetime.combine(day, self.end, self.zone)


@dataclass(frozen=True, slots=True)
class Hold:
    """What one delivery may do: go out at ``ready_at``, earlier if something urgent follows it, merged or by itself."""

    ready_at: datetime
    merge: Merge


def by_itself(_: Event) -> float | None:
    """The patience of a sink that has none: every event gets a message of its own, at once."""
    return None


@dataclass(frozen=True, slots=True)
class Holding:
    """How one sink is spoken to.

    Attributes:
        patience: The sink's own: seconds an event may wait to be merged, None for those that get a message of their own.
        digest: Seconds that anything up to `DIGESTED` waits for company; 0 for no digest. A sink without patience tells what has
            waited one by one, for it has no way to tell of several at once.
        quiet: Its quiet hours.
    """

    patience: Callable[[Event], float | None] = by_itself
    digest: float = 0.0
    quiet: Quiet | None = None

    def hold(self, event: Event, now: datetime) -> Hold:
        """Until when an event is held back, seen from ``now``, and whether it may be merged."""
        patience = None if event.kind in NEVER_MERGED else self.patience(event)
        wait = patience or 0.0
        if self.digest and event.severity <= DIGESTED and event.kind not in NEVER_MERGED:
            wait = max(wait, self.digest)
            patience = None if self.patience is by_itself else wait
        ready_at = now + timedelta(seconds=wait)
        if self.quiet is not None and event.severity < self.quiet.urgent and (end := self.quiet.until(now)):
            ready_at = max(ready_at, end)
        if patience is None:
            return Hold(ready_at, Merge.NEVER)
        return Hold(ready_at, Merge.ALWAYS if ready_at > now else Merge.WHEN_LATE)
