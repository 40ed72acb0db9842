"""How a sink stands: since when it cannot be told anything, and when that is worth telling through another.

Pure, like the diff: what became of a try goes in, what is known now and what happened come out.
"""

from dataclasses import dataclass
from datetime import datetime

from notifier.domain import identity
from notifier.domain.errors import DeliveryError, Outcome, Scope
from notifier.domain.model import NOTIFIER, Event, Kind, SinkFacts

FAILING = 600.0
"""Seconds for which a sink may fail before that is told, unless the configuration says otherwise."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is remembered of a sink.

    Attributes:
        since: When the first of the failures in a row was; None while it works.
        told: Whether they have been told of.
        sequence: How many ``sink.*`` events there were.
    """

    since: datetime | None = None
    told: bool = False
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a sink owes: deliveries that wait, and those given up since it fails."""

    waiting: int
    lost: int


def failed(standing: Standing, error: DeliveryError, now: datetime, *, after: float) -> Standing:
    """How a sink stands after a try that failed; it has come to be ``told`` if that is to be told now.

    A sink that refuses us, or is gone, will not be better in a while: that is told at once. Others have ``after`` seconds.
    """
    since = standing.since or now
    hopeless = error.outcome is Outcome.REJECTED and error.scope is Scope.SINK
    if standing.told or not (hopeless or (now - since).total_seconds() >= after):
        return Standing(since, standing.told, standing.sequence)
    return Standing(since, told=True, sequence=standing.sequence + 1)


def worked(standing: Standing) -> Standing:
    """How a sink stands after a try that arrived; its ``sequence`` has risen if that is to be told now."""
    return Standing(sequence=standing.sequence + 1 if standing.told else standing.sequence)


def news(before: Standing, after: Standing, sink: str, *, error: DeliveryError | None, backlog: Backlog, now: datetime) -> Event:
    """The event that lies between two standings of different ``sequence``.

    Args:
        before: How the sink stood.
        after: How it stands now.
        sink: Its name.
        error: Why it fails; None where it works again.
        backlog: What it owes.
        now: When that was found.
    """
    kind = Kind.SINK_RECOVERED if error is None else Kind.SINK_FAILING
    since = after.since or before.since or now
    reason, detail = (None, None) if error is None else (error.reason.value, error.detail)
    return Event(
        id=identity.of_sink(sink, kind, since.isoformat()),
        kind=kind,
        sequence=after.sequence,
        time=now,
        observed_at=now,
        cluster=NOTIFIER,
        sink=SinkFacts(sink, since, reason, detail, backlog.waiting, backlog.lost),
    )
