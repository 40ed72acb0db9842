"""How a sink stands: since when it cannot be told anything, and when that is worth telling through another.

Pure, like the diff: what became of a try goes in, what is known now and what happened come out.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from notifier.domain import identity
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
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
    """What a sink owes: deliveries that wait, those given up since it fails, and those that are told along with newer ones."""

    waiting: int
    lost: int
    merged: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a sink cannot be told anything.

    Attributes:
        reason: One of ``errors.DeliveryReason``.
        detail: The same in words.
        hopeless: It will not be better in a while, or news has been lost: that is told at once.
    """

    reason: str
    detail: str
    hopeless: bool = False

    @classmethod
    def of(cls, error: DeliveryError, *, lost: bool) -> Self:
        """A try that failed; ``lost``: so often that it was given up."""
        refused = error.outcome is Outcome.REJECTED and error.scope is Scope.SINK
        return cls(error.reason.value, error.detail, hopeless=refused or lost)


REMOVED = Failure(DeliveryReason.REMOVED.value, "the sink is no longer in the configuration")


def failed(standing: Standing, failure: Failure, now: datetime, *, after: float) -> Standing:
    """How a sink stands that was tried in vain, or waits for the next try; it has come to be ``told`` if that is to be told now.

    What is not hopeless has ``after`` seconds. A message that was refused as such says little of the sink; that nothing else
    arrived for so long, and then another was refused, says enough.
    """
    since = standing.since or now
    if not standing.told:
        since = min(since, now)  # A clock that was ahead must not put it off until it comes round again.
    if standing.told or not (failure.hopeless or (now - since).total_seconds() >= after):
        return Standing(since, standing.told, standing.sequence)
    return Standing(since, told=True, sequence=standing.sequence + 1)


def worked(standing: Standing) -> Standing:
    """How a sink stands after a try that arrived; its ``sequence`` has risen if that is to be told now."""
    return Standing(sequence=standing.sequence + 1 if standing.told else standing.sequence)


def news(before: Standing, after: Standing, sink: str, *, failure: Failure | None, backlog: Backlog, now: datetime) -> Event:
    """The event that lies between two standings of different ``sequence``.

    Args:
        before: How the sink stood.
        after: How it stands now.
        sink: Its name.
        failure: Why it fails; None where it works again, `REMOVED` where it ends with the sink.
        backlog: What it owes.
        now: When that was found.
    """
    kind = Kind.SINK_FAILING if after.told else Kind.SINK_RECOVERED
    since = after.since or before.since or now
    reason, detail = (None, None) if failure is None else (failure.reason, failure.detail)
    return Event(
        id=identity.of_sink(sink, kind, since.isoformat()),
        kind=kind,
        sequence=after.sequence,
        time=now,
        observed_at=now,
        cluster=NOTIFIER,
        sink=SinkFacts(sink, since, reason, detail, backlog.waiting, backlog.lost, backlog.merged),
    )
