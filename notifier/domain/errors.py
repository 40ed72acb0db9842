"""Failures at the two doors, typed: a source that could not be read, a sink that could not be told.

Each failure carries a ``reason`` from a fixed set. The same word is the log field, the metric's label and what a person reads.
"""

from enum import StrEnum

from notifier.domain.message import Receipt


class FetchReason(StrEnum):
    """Why a poll failed."""

    THROTTLED = "throttled"
    REFUSED = "refused"
    """The keys or the token were refused: every poll of the project would be."""
    GONE = "gone"
    """The cluster does not exist or may not be seen; the API says 403 ``CSS.0015`` for both."""
    REJECTED = "rejected"
    """The request itself was called wrong (400 and kin)."""
    SERVER = "server"
    UNREADABLE = "unreadable"
    """An answer that is not what the API promises: HTML, truncated, wrong types, a redirect, an empty 200."""
    NETWORK = "network"
    TIMEOUT = "timeout"

    @property
    def of_project(self) -> bool:
        """Whether the whole project is concerned, not just this cluster."""
        return self in {FetchReason.THROTTLED, FetchReason.REFUSED}


class FetchError(Exception):
    """A poll that told nothing.

    Args:
        reason: What kind of failure, see `FetchReason`.
        detail: One line for a person, free of secrets and control characters.
        retry_after: Seconds the API asked us to wait, where it did.
    """

    def __init__(self, reason: FetchReason, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after


class Outcome(StrEnum):
    """What became of a message that was not confirmed."""

    RETRY = "retry"
    """Surely not accepted; may be later."""
    REJECTED = "rejected"
    """Surely not accepted; never will be."""
    UNCERTAIN = "uncertain"
    """May have been accepted: the answer was lost."""


class Scope(StrEnum):
    """Whether a failure speaks of the one event or of the whole sink."""

    EVENT = "event"
    SINK = "sink"


class DeliveryReason(StrEnum):
    """Why a delivery failed."""

    THROTTLED = "throttled"
    REFUSED = "refused"
    """Credentials or permission."""
    GONE = "gone"
    """The receiver says that it exists no more: the sink is switched off until someone acts."""
    MISSING = "missing"
    """The address, channel or key is unknown there."""
    INVALID = "invalid"
    """The receiver understood and refuses this very message."""
    TOO_LARGE = "too_large"
    SERVER = "server"
    REDIRECT = "redirect"
    UNREADABLE = "unreadable"
    """An answer that proves nothing."""
    NETWORK = "network"
    TLS = "tls"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"
    """We stopped or died between sending and hearing."""
    RENDER = "render"
    """The message could not be put into words or into the sink's format: a fault of ours or of a template."""
    CRASHED = "crashed"
    """The sink raised what it should not: a fault in its code."""
    EXPIRED = "expired"
    """Not accepted within ``give_up_after``."""
    REMOVED = "removed"
    """The sink is no longer in the configuration."""


class DeliveryError(Exception):
    """A message that was not confirmed. The sink says what became of it; the engine alone decides what follows.

    Args:
        outcome: See `Outcome`.
        reason: See `DeliveryReason`.
        detail: One line for a person, free of secrets and control characters.
        scope: The one event, or the whole sink.
        retry_after: Seconds the receiver asked us to wait, where it did.
        receipt: What has been achieved in spite of it, such as the recipients who have the message already. It is stored with
            the delivery, and the next try is given it back as ``message.progress``. A delivery that is given up with one has
            arrived in part: the lane's next message gets it as ``last``. None: nothing new has been achieved.
    """

    def __init__(
        self,
        outcome: Outcome,
        reason: DeliveryReason,
        detail: str,
        *,
        scope: Scope = Scope.EVENT,
        retry_after: float | None = None,
        receipt: Receipt | None = None,
    ) -> None:
        super().__init__(f"{outcome}: {reason}: {detail}")
        self.outcome = outcome
        self.reason = reason
        self.detail = detail
        self.scope = scope
        self.retry_after = retry_after
        self.receipt = receipt
