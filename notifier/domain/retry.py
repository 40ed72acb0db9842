"""What follows a failed try: when to try again, when to give up, when to leave the whole sink alone.

The sink says what became of the message (`DeliveryError`); this module says what that means, as a value. Pure: time and the
number of tries are arguments, and the jitter comes from the delivery's own id, so the schedule of a delivery is the same
wherever and whenever it is computed.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope

JITTER = 0.2
"""Tries are spread by ± this share of the wait, so that what failed together does not come back together."""

NOT_A_TRY = frozenset({DeliveryReason.THROTTLED})
"""Being asked to wait says nothing about the message: it does not lengthen the next wait."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How long a delivery is tried. Seconds. Waits double from ``first_retry`` up to ``max_retry``."""

    first_retry: float = 5.0
    max_retry: float = 12 * 3600.0
    give_up_after: float = 72 * 3600.0


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Try this delivery again at ``at``. ``counted`` is False where the failure was no fault of the message."""

    at: datetime
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Bury:
    """Give this delivery up: it is dead, kept, visible and can be sent again by a person."""

    reason: DeliveryReason


Verdict = TryAgain | Bury


@dataclass(frozen=True, slots=True)
class Pause:
    """Leave the sink alone until ``until``, None for "until a person acts or the configuration changes"."""

    until: datetime | None


def wait(policy: Policy, delivery_id: str, tries: int) -> float:
    """Seconds to wait after ``tries`` counted failures (from 1), jitter included.

    >>> 4.0 <= wait(Policy(first_retry=5), "a", 1) <= 6.0
    True
    """
    doubled = min(policy.first_retry * 2.0 ** min(tries - 1, 60), policy.max_retry)
    digest = blake2b(f"{delivery_id}/{tries}".encode(), digest_size=4).digest()
    spread = int.from_bytes(digest, "big") / 0xFFFFFFFF
    return doubled * (1 - JITTER + 2 * JITTER * spread)


def judge(error: DeliveryError, policy: Policy, *, delivery_id: str, tries: int, created_at: datetime, now: datetime) -> Verdict:
    """What becomes of a delivery after a failed try.

    Args:
        error: What the sink said.
        policy: The sink's.
        delivery_id: Seeds the jitter.
        tries: Counted failures so far, this one included if it counts.
        created_at: When the delivery was owed.
        now: The time of the failure.
    """
    if error.outcome is Outcome.REJECTED and error.scope is Scope.EVENT:
        return Bury(error.reason)
    deadline = created_at + timedelta(seconds=policy.give_up_after)
    if now >= deadline:
        return Bury(DeliveryReason.EXPIRED)
    seconds = max(wait(policy, delivery_id, max(tries, 1)), error.retry_after or 0.0)
    return TryAgain(min(now + timedelta(seconds=seconds), deadline), counted=error.reason not in NOT_A_TRY)


BREAK_AFTER = 5
"""Consecutive failures after which a sink is taken to be down."""

PROBE_EVERY = 30.0
"""Seconds between tries at a sink that is down: one message, not its whole backlog."""

REFUSED_EVERY = 15 * 60.0
"""Seconds between tries at a sink that refuses our credentials or address: someone has to mend that."""


def pause(error: DeliveryError, *, failures: int, now: datetime) -> Pause | None:
    """Whether the whole sink is left alone after a failure, the ``failures``-th in a row; None: it is not."""
    if error.reason is DeliveryReason.GONE and error.outcome is Outcome.REJECTED:
        return Pause(None)
    if error.scope is Scope.SINK and error.outcome is Outcome.REJECTED:
        return Pause(now + timedelta(seconds=REFUSED_EVERY))
    asked = error.retry_after or 0.0
    if error.scope is Scope.SINK and asked:
        return Pause(now + timedelta(seconds=asked))
    if failures >= BREAK_AFTER:
        return Pause(now + timedelta(seconds=max(asked, PROBE_EVERY)))
    return None
