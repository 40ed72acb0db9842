"""What is remembered of a cluster between polls; all of it can be had again from the store."""

import math
import time
from dataclasses import dataclass, field
from datetime import datetime

from notifier.domain.evidence import Evidence
from notifier.domain.known import Known
from notifier.domain.model import Action, Cluster
from notifier.domain.timekeeping import Limits, due
from notifier.engine.budget import Budget
from notifier.engine.witness import Good
from notifier.sources.contract import Source


@dataclass(slots=True)
class Listing:
    """One of the two lists of a cluster's tasks."""

    action: Action
    body: bytes | None = None
    """The last good answer."""
    asked_at: float = -math.inf
    """When that was asked for, by the monotonic clock."""
    good_at: datetime | None = None
    """When it came."""
    unsettled: bool = True
    """Whether something waits to be confirmed."""
    close: bool = True
    """Whether to watch it closely: a task is at work, or something unsettled."""
    evidence: Evidence | None = None
    """The newest answer, where the store does not know it, since it brought nothing to be stored."""

    def fail(self) -> None:
        """There was no good answer: ask again at the next poll, and read what comes."""
        self.body, self.asked_at = None, -math.inf

    def forget(self) -> None:
        """Trust nothing but the store at the next poll."""
        self.body = self.good_at = self.evidence = None
        self.unsettled = self.close = True


@dataclass(slots=True)
class Watch:
    """A cluster under watch."""

    cluster: Cluster
    source: Source
    budget: Budget
    listings: tuple[Listing, ...] = field(default_factory=lambda: tuple(Listing(action) for action in Action))
    failures: int = 0
    outage: bool = True
    """Whether the store holds an outage, as far as is known; True at first, since nothing is known."""
    fault: str | None = None
    """What its last poll ended in, if that was a fault of ours: the cluster answers, and nothing is told."""
    polled_at: datetime | None = None
    known: tuple[Known, int] | None = None
    """What the store holds of it and in which version, while it is watched closely; None: it has to be asked."""
    limits: Limits = field(default_factory=Limits)
    check_at: datetime | None = None
    """When time alone will have something to tell, though nothing changes."""
    connection: int = 0
    """The store's, by number, that its last poll began with: what is remembered was confirmed by no later one."""
    since: float = field(default_factory=time.monotonic)
    """When it came under watch."""
    dropped: bool = False
    """Whether it is under watch no more."""

    @property
    def close(self) -> bool:
        """Whether to poll it at the active cadence."""
        return any(listing.close for listing in self.listings)

    @property
    def newest(self) -> dict[Action, Evidence]:
        """The newest answers, where the store does not know them."""
        return {listing.action: listing.evidence for listing in self.listings if listing.evidence is not None}

    def due(self, good: Good, now: datetime) -> bool:
        """Whether time has something to tell, or there was a gap in which nothing was seen."""
        return bool(good) and due(good.values(), self.check_at, self.limits, now)

    def forget(self) -> None:
        """Trust nothing but the store at the next poll."""
        for listing in self.listings:
            listing.forget()
        self.outage = True
        self.known = None
