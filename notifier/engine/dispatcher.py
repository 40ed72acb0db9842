"""The loop that tells: each sink has an outlet of its own, so that none can hold back another.

An outlet claims the heads of free lanes, sends them side by side, and settles each before its lane goes on. What became of a
message is the sink's to say; what follows is decided here, by ``domain.retry``.
"""

import asyncio
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from notifier import telemetry, tracing
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.render import render
from notifier.domain.retry import Bury, Policy, TryAgain, judge, pause
from notifier.engine.pulse import Pulse
from notifier.engine.reports import Draw
from notifier.sinks.contract import Paced, Sink
from notifier.sinks.pace import Pace
from notifier.store.errors import Fenced, StoreError
from notifier.store.rows import Claim, SinkState
from notifier.store.store import Store
from notifier.store.transaction import Transaction

LEASE = 30.0
"""Seconds a claimed lane is ours. A send may take at most 0.4 of it, so that it has surely ended before another takes over."""

LONGEST_SEND = 0.4 * LEASE

LOOK = 1.0
"""Seconds after which an outlet looks for work though nobody woke it: another replica may have left some."""

SWEEP = 60.0
"""Seconds between looks for what has been owed for too long."""

ALONE = 5.0
"""Seconds an outlet waits after its own loop or the store failed; and the longest it ever rests."""


@dataclass(frozen=True, slots=True)
class OutletSettings:
    """How one sink is served: seconds a send may take, messages at once, messages a second (None: no limit), retries."""

    name: str
    timeout: float = 10.0
    concurrency: int = 2
    rate: float | None = None
    policy: Policy = field(default_factory=Policy)
    fingerprint: str = ""


class Outlet:
    """Serves one sink until stopped."""

    def __init__(self, settings: OutletSettings, sink: Sink, store: Store, owner: str, draw: Draw | None = None) -> None:
        self._pace = sink.pace if isinstance(sink, Paced) else Pace()
        self.settings = settings
        self.state = SinkState()
        self.pulse = Pulse(f"the outlet of sink {settings.name}", ALONE)
        self._sink = sink
        self._draw = draw
        self._store = store
        self._owner = owner
        self._wake = asyncio.Event()
        self._stopping = False
        self._sends: set[asyncio.Task[None]] = set()
        self._next_sweep = 0.0

    def wake(self) -> None:
        """There may be work."""
        self._wake.set()

    async def run(self) -> None:
        """Serve until `stop`. No fault of a sink or of the store ends it."""
        name, fingerprint = self.settings.name, self.settings.fingerprint
        enrolled = False
        while not self._stopping:
            self._wake.clear()
            try:
                if not enrolled:
                    self.state = await self._store.transact(lambda tx: tx.enrol(name, fingerprint, time.time()))
                    enrolled = True
                    if self.state.paused:  # It was before we started, and still is.
                        telemetry.sink_paused(name, "as before", self.state.reason or "", self.state.detail or "")
                rest = await self._round()
            except StoreError as error:
                telemetry.store_failed(f"outlet {name}", str(error))
                rest = ALONE
            except Exception as error:  # noqa: BLE001 - one sink's fault must not stop the others
                telemetry.fault(f"outlet {name}", error)
                rest = ALONE
            self.pulse.beat()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(rest, ALONE)):
                    await self._wake.wait()

    def close(self) -> None:
        """Claim nothing more: `run` returns when the claim under way, if there is one, has come back."""
        self._stopping = True
        self._wake.set()

    async def stop(self, grace: float) -> None:
        """Claim nothing more, let what is under way finish within ``grace`` seconds, then break it off."""
        self.close()
        if self._sends:
            await asyncio.wait(self._sends, timeout=grace)
        for task in self._sends:
            task.cancel()
        await asyncio.gather(*self._sends, return_exceptions=True)

    async def _round(self) -> float:
        """Claim what there is room for and start sending it; seconds to rest."""
        now, settings, state = time.time(), self.settings, self.state
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP
            await self._store.transact(lambda tx: self._give_up(tx, now))
        if state.paused and (state.paused_until is None or now < state.paused_until):
            # Whoever sends again, or another replica, may have ended the pause in the store.
            self.state = await self._store.transact(lambda tx: tx.enrol(settings.name, settings.fingerprint, now))
            if not self.state.paused:
                telemetry.sink_resumed(settings.name)
            return LOOK if self.state.paused else 0.0
        # After a pause one message is a probe, due or not; the backlog follows when it arrives.
        room = (1 if state.paused else settings.concurrency) - len(self._sends)
        if settings.rate is not None:
            wait = self._pace.wait()
            if wait > 0:
                return wait
            room = min(room, 1)
        if room <= 0:
            return LOOK
        claims = await self._store.transact(
            lambda tx: tx.claim(
                settings.name, self._owner, room, lease=LEASE, now=now, early=state.paused, urgent_first=settings.rate is not None
            )
        )
        # Another sink of the same pace may have taken the turn meanwhile; the next is ours then.
        turn = self._pace.take(1 / settings.rate) if claims and settings.rate is not None else 0.0
        for claim in claims:
            self._spawn(self._serve(claim, time.monotonic(), turn))
        if claims:
            return 0.0 if len(self._sends) < settings.concurrency and not state.paused else LOOK
        due = await self._store.transact(lambda tx: tx.next_due(settings.name))
        return LOOK if due is None else min(max(due - now, 0.01), LOOK)

    def _give_up(self, tx: Transaction, now: float) -> int:
        limit = self.settings.policy.give_up_after
        detail = f"not accepted within {limit:.0f} s"
        return tx.expire(self.settings.name, now - limit, now, reason=DeliveryReason.EXPIRED, detail=detail)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=f"send to {self.settings.name}")
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)
        task.add_done_callback(lambda _: self._wake.set())

    async def _serve(self, claim: Claim, claimed_at: float, turn: float) -> None:
        """Send one message, in ``turn`` seconds, and settle it."""
        try:
            await asyncio.sleep(turn)
            earlier = [along.event for along in claim.earlier]
            with tracing.delivery(self.settings.name, claim.event, earlier, claim.attempt) as span:
                outcome = await self._send(claim, claimed_at)
                if isinstance(outcome, DeliveryError):
                    span.note(error=outcome.detail, outcome=outcome.outcome, reason=outcome.reason)
                await self._settle(claim, outcome)
        except Fenced:
            telemetry.store_failed(f"outlet {self.settings.name}", f"lane {claim.lane} was taken over")
        except StoreError as error:
            # The lease runs out and the message is tried again with the same id.
            telemetry.store_failed(f"outlet {self.settings.name}", str(error))
        except Exception as error:  # noqa: BLE001 - likewise; nobody else would hear of it
            telemetry.fault(f"settling {claim.delivery}", error)

    async def _send(self, claim: Claim, claimed_at: float) -> Receipt | DeliveryError:
        try:
            message = self._message(claim)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next message must not wait for it
            telemetry.fault(f"render of {claim.event.id}", error)
            return DeliveryError(Outcome.REJECTED, DeliveryReason.RENDER, f"could not be put into words: {type(error).__name__}")
        timeout = self.settings.timeout
        try:
            if self._draw is not None and not claim.reminder:  # The news has brought it.
                message = replace(message, report=await self._draw(message.event))
            timeout = min(timeout, LONGEST_SEND, LEASE / 2 - (time.monotonic() - claimed_at))
            async with asyncio.timeout(timeout):
                return await self._tell(message, claim.last)
        except TimeoutError:
            return DeliveryError(Outcome.UNCERTAIN, DeliveryReason.TIMEOUT, f"no answer within {timeout:.1f} s")
        except asyncio.CancelledError:
            return DeliveryError(Outcome.UNCERTAIN, DeliveryReason.INTERRUPTED, "stopped before the answer came")
        except Exception as error:  # noqa: BLE001 - a stranger's sink may raise anything
            telemetry.sink_crashed(self.settings.name, error)
            return DeliveryError(Outcome.UNCERTAIN, DeliveryReason.CRASHED, f"the sink raised {type(error).__name__}")

    async def _tell(self, message: Message, last: Receipt | None) -> Receipt | DeliveryError:
        try:
            return _checked(await self._sink.send(message, last))
        except DeliveryError as error:
            if error.receipt is not None:
                _checked(error.receipt)
            return error

    def _message(self, claim: Claim) -> Message:
        return render(
            claim.event,
            earlier=tuple(along.event for along in claim.earlier),
            delivery_id=claim.delivery,
            attempt=claim.attempt,
            may_repeat=claim.uncertain,
            skipped=claim.skipped,
            # A reminder says how long it lasts; like all it says, that is the same at every try.
            now=claim.created_at if claim.reminder else datetime.now(UTC),
            progress=claim.progress,
            reminder=claim.reminder,
        )

    async def _settle(self, claim: Claim, outcome: Receipt | DeliveryError) -> None:
        now = datetime.now(UTC)
        if isinstance(outcome, Receipt):
            # Only a pause held the others back; a failure or two did not, and must not cut short what each waits for itself.
            recovered = self.state.paused
            self.state = SinkState()
            await self._store.transact(lambda tx: self._arrived(tx, claim, outcome, now.timestamp(), recovered=recovered))
            telemetry.delivered(self.settings.name, claim.delivery, (now - claim.event.observed_at).total_seconds())
            if recovered:
                telemetry.sink_recovered(self.settings.name)
            return
        verdict = self._judge(claim, outcome, now)
        await self._store.transact(lambda tx: self._failed(tx, claim, outcome, verdict, now.timestamp()))
        said = "dead" if isinstance(verdict, Bury) else f"again at {verdict.at:%Y-%m-%d %H:%M:%S} UTC"
        telemetry.delivery_failed(
            self.settings.name,
            claim.delivery,
            outcome=outcome.outcome,
            reason=outcome.reason,
            detail=outcome.detail,
            verdict=said,
        )

    def _arrived(self, tx: Transaction, claim: Claim, receipt: Receipt, now: float, *, recovered: bool) -> None:
        tx.delivered(claim, receipt, now)
        if recovered:
            # The others waited because the sink was down, not because of what they say.
            tx.mark(self.settings.name, self.state)
            tx.hasten(self.settings.name, now)

    def _judge(self, claim: Claim, error: DeliveryError, now: datetime) -> TryAgain | Bury:
        """What follows for the message; also whether the sink is left alone from now on."""
        listens = error.outcome is Outcome.REJECTED and error.scope is Scope.EVENT  # It judged this one message.
        failures = 0 if listens else self.state.failures + 1
        hold = pause(error, failures=failures, now=now) if failures else None
        if hold is None:
            self.state = SinkState(failures)
        else:
            until = None if hold.until is None else hold.until.timestamp()
            self.state = SinkState(failures, paused=True, paused_until=until, reason=error.reason, detail=error.detail)
            said = "someone acts" if hold.until is None else f"{hold.until:%Y-%m-%d %H:%M:%S} UTC"
            telemetry.sink_paused(self.settings.name, said, error.reason, error.detail)
        return judge(
            error,
            self.settings.policy,
            delivery_id=claim.delivery,
            tries=claim.tries + 1,
            created_at=claim.created_at,
            now=now,
        )

    def _failed(self, tx: Transaction, claim: Claim, error: DeliveryError, verdict: TryAgain | Bury, now: float) -> None:
        said = {"outcome": error.outcome.value, "reason": error.reason.value, "detail": error.detail}
        if isinstance(verdict, Bury) and claim.earlier and error.receipt is None and verdict.reason is not DeliveryReason.EXPIRED:
            tx.parted(claim, now, **said)
        elif isinstance(verdict, Bury):
            tx.buried(claim, now, receipt=error.receipt, **{**said, "reason": verdict.reason.value})
        else:
            uncertain = error.outcome is Outcome.UNCERTAIN
            tx.postponed(
                claim,
                verdict.at.timestamp(),
                now,
                uncertain=uncertain,
                counted=verdict.counted,
                receipt=error.receipt,
                **said,
            )
        tx.mark(self.settings.name, self.state)


def _checked(receipt: object) -> Receipt:
    """Refuse what a stranger's sink may give back instead of a receipt: it could not be stored."""
    if not isinstance(receipt, Receipt):
        raise TypeError("not a receipt")
    fields: object = receipt.fields
    if not isinstance(fields, Mapping):
        raise TypeError("a receipt's fields are a mapping")
    for text in (*fields.keys(), *fields.values()):
        if not isinstance(text, str):
            raise TypeError("a receipt holds text only")
        text.encode()
    return receipt


class Dispatcher:
    """All outlets, started and stopped together."""

    def __init__(self, outlets: list[Outlet]) -> None:
        self.outlets = {outlet.settings.name: outlet for outlet in outlets}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start serving, on the running loop."""
        self._tasks = [asyncio.create_task(outlet.run(), name=f"outlet {name}") for name, outlet in self.outlets.items()]

    def told(self, sinks: frozenset[str]) -> None:
        """Wake the outlets of sinks that are owed news."""
        for name in sinks:
            if outlet := self.outlets.get(name):
                outlet.wake()

    async def stop(self, grace: float) -> None:
        """Stop all of them within ``grace`` seconds, together."""
        for outlet in self.outlets.values():
            outlet.close()
        # First the loops: a claim that comes back after the outlets have stopped would be sent behind everybody's back.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(outlet.stop(grace) for outlet in self.outlets.values()))
