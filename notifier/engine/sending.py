"""Sends one message: puts it into words, has its report drawn, gives it to the sink, and says what became of it. Never raises."""

import asyncio
import time
from dataclasses import dataclass, field, replace

from notifier import telemetry
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome
from notifier.domain.message import Message, Receipt
from notifier.domain.plain_text import one_line
from notifier.domain.render import render
from notifier.domain.retry import Policy
from notifier.domain.words import Words
from notifier.engine.attempt import Hide, attempt
from notifier.engine.door import Door
from notifier.engine.reports import Draw
from notifier.sinks.contract import Sink
from notifier.store.rows import Claim
from notifier.store.store import Store

LEASE = 30.0
"""Seconds a claimed lane is ours. A send may take at most 0.4 of it, so that it has surely ended before another takes over."""

LONGEST_SEND = 0.4
"""Of the lease, how much a send may take."""


class Interrupted(DeliveryError):
    """We were stopped, or stood still for too long, which says nothing of the sink. No sink's own failure is of this class."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(outcome, DeliveryReason.INTERRUPTED, detail)


@dataclass(frozen=True, slots=True)
class OutletSettings:
    """How one sink is served: seconds a send may take, messages at once, messages a second (None: no limit), retries, words."""

    name: str
    timeout: float = 10.0
    concurrency: int = 2
    rate: float | None = None
    policy: Policy = field(default_factory=Policy)
    fingerprint: str = ""
    lease: float = LEASE
    words: Words = field(default_factory=Words)
    hide: Hide = one_line
    """See `attempt`."""


class Sender:
    """Sends the messages of one sink.

    Args:
        settings: How it is served.
        sink: The sink.
        store: Tells the time.
        draw: What makes the report that goes along with a message, if any is wanted.
        door: What keeps the sink open; None if it is open already.
    """

    def __init__(
        self, settings: OutletSettings, sink: Sink, store: Store, draw: Draw | None = None, door: Door | None = None
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._store = store
        self._draw = draw
        self._door = door

    async def send(self, claim: Claim, claimed_at: float) -> Receipt | DeliveryError:
        """Send what was claimed at ``claimed_at`` (monotonic) while the lane is surely ours."""
        try:
            message = self.message(claim)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next message must not wait for it
            telemetry.fault(f"render of {claim.event.id}", error)
            return DeliveryError(Outcome.REJECTED, DeliveryReason.RENDER, f"could not be put into words: {type(error).__name__}")
        outcome = Outcome.RETRY
        try:
            if self._door is not None and (shut := await self._door.shut()) is not None:
                return shut
            if self._draw is not None and not claim.reminder:  # The news has brought it.
                message = replace(message, report=await self._draw(message.event))
            timeout = self._patience(claimed_at)
            if timeout <= 0:
                # Nothing was sent. We may have been stopped for long, and then somebody else is sending it.
                return Interrupted(Outcome.RETRY, "too much of the lease was over to send it")
            outcome = Outcome.UNCERTAIN
            return await attempt(self._sink, message, claim.last, timeout, crashed=self._crashed, hide=self._settings.hide)
        except asyncio.CancelledError:
            return Interrupted(outcome, "stopped before the answer came")

    def message(self, claim: Claim) -> Message:
        """What is to be said."""
        return render(
            claim.event,
            earlier=tuple(along.event for along in claim.earlier),
            delivery_id=claim.delivery,
            attempt=claim.attempt,
            may_repeat=claim.uncertain,
            skipped=claim.skipped,
            # A reminder says how long it lasts; like all it says, that is the same at every try.
            now=claim.created_at if claim.reminder else self._store.now(),
            progress=claim.progress,
            reminder=claim.reminder,
            due=claim.due,
            created_at=claim.created_at,
            words=self._settings.words,
        )

    def _patience(self, claimed_at: float) -> float:
        lease = self._settings.lease
        return min(self._settings.timeout, LONGEST_SEND * lease, lease / 2 - (time.monotonic() - claimed_at))

    def _crashed(self, error: BaseException) -> None:
        telemetry.sink_crashed(self._settings.name, error)
