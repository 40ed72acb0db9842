"""The loop that tells, one for each sink, so that none can hold back another.

An outlet claims the heads of free lanes, sends them side by side, and settles each before its lane goes on. What became of a
message is the sink's to say; what follows is decided here, by ``domain.retry``.
"""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime

from notifier import telemetry, tracing
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome
from notifier.domain.message import Receipt
from notifier.domain.retry import Bury, TryAgain, judge
from notifier.domain.standing import Failure
from notifier.engine import pauses
from notifier.engine.clock import Wall
from notifier.engine.door import Door
from notifier.engine.fallback import Fallback, Told
from notifier.engine.keeping import KEEP_EVERY, keep
from notifier.engine.pulse import Pulse
from notifier.engine.record import record
from notifier.engine.reports import Draw
from notifier.engine.sending import LONGEST_SEND, Interrupted, OutletSettings, Sender
from notifier.sinks.contract import Ending, Lasting, Paced, Sink
from notifier.sinks.pace import Pace
from notifier.store.errors import Fenced, StoreError
from notifier.store.rows import Claim, SinkState, Turn
from notifier.store.session import moment
from notifier.store.store import Store
from notifier.store.transaction import Transaction

LOOK = 1.0
"""Seconds after which an outlet looks for work though nobody woke it: another replica may have left some."""

SWEEP = 60.0
"""Seconds between looks for what has been owed for too long."""

ALONE = 5.0
"""Seconds an outlet waits after its own loop or the store failed; and the longest it ever rests."""

LAST = 1.5
"""Seconds in which what was broken off at a stop is written down."""


class Outlet:
    """Serves one sink until stopped."""

    def __init__(
        self,
        settings: OutletSettings,
        sink: Sink,
        store: Store,
        owner: str,
        *,
        fallback: Fallback | None = None,
        draw: Draw | None = None,
        door: Door | None = None,
    ) -> None:
        self._sender = Sender(settings, sink, store, draw, door)
        self.door = door
        self._pace = sink.pace if isinstance(sink, Paced) else Pace(settings.name)
        self._turn = None if settings.rate is None else Turn(self._pace.key, 1 / settings.rate)
        self.settings = settings
        self.fallback = fallback or Fallback(settings.name)
        self.state = SinkState()
        self.pulse = Pulse(f"the outlet of sink {settings.name}", ALONE)
        self._sink = sink
        self._store = store
        self._owner = owner
        self._wake = asyncio.Event()
        self._stopping = False
        self._sends: set[asyncio.Task[None]] = set()
        self._keeping: asyncio.Task[None] | None = None
        self._lanes: set[str] = set()
        self._probes: set[str] = set()
        self._failing: set[str] = set()
        self._doubts = store.doubts
        self._next_sweep = 0.0
        self._next_keep = 0.0
        self._wall = Wall()
        self._step = 0.0

    def wake(self) -> None:
        """There may be work."""
        self._wake.set()

    async def run(self) -> None:
        """Serve until `stop`. No fault of a sink or of the store ends it."""
        name, enrolled = self.settings.name, False
        while not self._stopping:
            self._wake.clear()
            try:
                if not enrolled:
                    self.state = await self._store.transact(self._enrol)
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
        if self._keeping is not None:
            self._keeping.cancel()  # It is done again after a start; a receiver that is silent would use up the time to stop.

    async def stop(self, grace: float) -> None:
        """Claim nothing more, let what is under way finish within ``grace`` seconds, then break it off."""
        self.close()
        if self._sends:
            await asyncio.wait(self._sends, timeout=grace)
        for task in self._sends:
            task.cancel()
        if self._sends:
            # Bounded, though a send is over soon: what cannot be written down is told again, which must not hold up the end.
            await asyncio.wait(self._sends, timeout=LAST)

    async def _round(self) -> float:
        """Claim what there is room for and start sending it; seconds to rest."""
        await self._follow_the_clock()
        now, settings, state = self._now(), self.settings, self.state
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + SWEEP
            self.fallback.troubled = True
            self.fallback.committed(await self._store.transact(lambda tx: self._swept(tx, now)), works=False)
        if self._doubts != self._store.doubts:
            doubts, lanes = self._store.doubts, frozenset(self._lanes)
            await self._store.transact(lambda tx: tx.disown(settings.name, self._owner, lanes))
            self._doubts = doubts
        if state.paused and (state.paused_until is None or now < state.paused_until):
            found, told = await self._store.transact(self._pausing)
            self.fallback.committed(told, works=False)
            self._found(found, state)
            if not self.state.paused:
                telemetry.sink_resumed(settings.name)
            return LOOK if self.state.paused else 0.0
        if time.monotonic() >= self._next_keep and isinstance(self._sink, Lasting | Ending) and not self._stopping:
            self._next_keep = time.monotonic() + KEEP_EVERY
            patience = min(settings.timeout, LONGEST_SEND * settings.lease)
            how = {"lease": settings.lease, "patience": patience}
            work = keep(self._sink, settings.name, self._store, self._owner, **how, hide=settings.hide)
            self._keeping = asyncio.create_task(work, name=f"keep {settings.name}")
            await asyncio.wait({self._keeping})
            if not self._keeping.cancelled():
                self._keeping.result()
        # After a pause one message is a probe, due or not; the backlog follows when it arrives.
        room = (1 if state.paused else settings.concurrency) - len(self._sends)
        if self._turn is not None and (wait := self._pace.wait()) > 0:
            return wait
        if room <= 0 or self._stopping:
            return LOOK
        # Before the claim: our lease must never last longer in our eyes than in the store's.
        claimed_at = time.monotonic()
        claims, found, wait = await self._store.transact(lambda tx: self._claim(tx, room, now))
        if found.paused is not state.paused:
            telemetry.sink_stands(settings.name, paused=found.paused)
        self._found(found, state)
        if wait:
            return wait
        # Another sink of the same pace may have taken the turn meanwhile; the next is ours then.
        turn = self._pace.took(self._turn.gap) if claims and self._turn is not None else 0.0
        # Now, not when they begin: a doubt that arises before must not let go of them.
        self._lanes |= {claim.lane for claim in claims}
        if found.paused:
            self._probes |= {claim.lane for claim in claims}
        for claim in claims:
            self._spawn(self._serve(claim, claimed_at, turn))
        if claims:
            return 0.0 if len(self._sends) < settings.concurrency and not self.state.paused else LOOK
        due = await self._store.transact(lambda tx: tx.next_due(settings.name))
        return LOOK if due is None else min(max(due - now, 0.01), LOOK)

    def _found(self, found: SinkState, before: SinkState) -> None:
        """Take over how the store says that the sink stands, unless a message that was under way has shown more meanwhile."""
        if self.state is before:
            self.state = found

    def _enrol(self, tx: Transaction) -> SinkState:
        name, now = self.settings.name, self._now()
        return tx.follow_back(name, tx.enrol(name, self.settings.fingerprint, now), now)

    async def _follow_the_clock(self) -> None:
        """What waits for a moment waits for so many seconds, and a lease lasts so many: when the wall clock is set, they move."""
        self._step += self._wall.step()
        if self._step and self._store.alone:
            name, state, step = self.settings.name, self.state, self._step
            moved = await self._store.transact(lambda tx: tx.follow(name, state, step))
            if self.state is state:
                self.state = moved
            telemetry.phase("clock.set", "the wall clock was set", sink=name, seconds=round(step))
        self._step = 0.0  # Only now: a store that refused is asked again.

    def _claim(self, tx: Transaction, room: int, now: float) -> tuple[list[Claim], SinkState, float]:
        """Claim where neither the sink's rate nor a pause forbids it, whichever replica knows of it; seconds to wait if so."""
        settings, state = self.settings, self.state
        standing, wait = tx.admit(settings.name, now, self._turn)
        if standing.paused or state.paused:
            # Another replica has paused it, has ended the pause, or has begun to probe.
            state = standing
        if wait:
            return [], state, min(wait, LOOK)
        room = 1 if state.paused or self._turn is not None else room
        how = {"early": state.paused, "urgent_first": self._turn is not None}
        claims = tx.claim(settings.name, self._owner, room, lease=settings.lease, now=now, **how)
        if claims and state.paused:
            tx.probing(settings.name, settings.lease, now)
        if claims and self._turn is not None:
            tx.took_turn(self._turn, now)
        return claims, state, 0.0

    def _now(self) -> float:
        return self._store.now().timestamp()

    def _pausing(self, tx: Transaction) -> tuple[SinkState, Told | None]:
        """How the sink stands: whoever sends again, or another replica, may have ended the pause. If not, it may be news now."""
        at = self._store.now()
        state = tx.stands(self.settings.name, self.settings.fingerprint, at.timestamp())
        return state, self.fallback.waited(tx, state, at)

    def _swept(self, tx: Transaction, now: float) -> Told | None:
        """Give up what has been owed for too long."""
        limit = self.settings.policy.give_up_after
        lost = Failure(DeliveryReason.EXPIRED.value, f"not accepted within {limit:.0f} s", hopeless=True)
        if tx.expire(self.settings.name, now - limit, now, reason=lost.reason, detail=lost.detail):
            return self.fallback.given_up(tx, lost, self._store.now())
        # Where the next try is due it will show more. None is where another replica has told it, or nobody asks for it any more.
        return self.fallback.waited(tx, self.state, self._store.now()) if tx.waits(self.settings.name, now) else None

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
                outcome = await self._sender.send(claim, claimed_at)
                if isinstance(outcome, DeliveryError):
                    span.note(error=outcome.detail, outcome=outcome.outcome, reason=outcome.reason)
                await self._settle(claim, outcome, claimed_at + self.settings.lease)
        except Fenced:
            telemetry.fenced("delivery", claim.delivery)
            # Whoever was stopped so long that it was taken over has seen nothing of the sink. A pause that holds is found again.
            self.state = SinkState()
        except StoreError as error:
            # The lease runs out and the message is tried again with the same id.
            telemetry.store_failed(f"outlet {self.settings.name}", str(error))
        except Exception as error:  # noqa: BLE001 - likewise; nobody else would hear of it
            telemetry.fault(f"settling {claim.delivery}", error)
            # It would happen again at once, with the same message sent each time.
            await asyncio.sleep(ALONE)
        finally:
            for lanes in (self._lanes, self._probes, self._failing):
                lanes.discard(claim.lane)

    async def _settle(self, claim: Claim, outcome: Receipt | DeliveryError, until: float) -> None:
        now, before = self._store.now(), self.state
        probe = claim.lane in self._probes
        if isinstance(outcome, Receipt):
            # What was under way when the pause began says nothing against it; only a probe ends it.
            holds = before.paused and not probe
            receipt, ended = outcome, None if holds else before
            if not holds:
                self.state = SinkState()
            # Another replica may have failed to tell it before.
            self.fallback.troubled |= claim.attempt > 1
            told = await record(self._store, claim, lambda tx: self._arrived(tx, claim, receipt, now, ended), until)
            self.fallback.committed(told, works=not holds and not self._failing)
            telemetry.delivered(self.settings.name, claim.delivery, (now - claim.event.observed_at).total_seconds())
            if before.paused and not holds:
                telemetry.sink_recovered(self.settings.name)
            return
        policy, tries = self.settings.policy, claim.tries + 1
        verdict = judge(outcome, policy, delivery_id=claim.delivery, tries=tries, created_at=claim.created_at, now=now)
        self.state = state = pauses.after(before, outcome, now, probe=probe)
        # Already now: what arrives beside it may be written down behind it, and must look then.
        self.fallback.troubled = True
        self._failing.add(claim.lane)
        told = await record(self._store, claim, lambda tx: self._failed(tx, claim, outcome, verdict, now, state=state), until)
        self.fallback.committed(told, works=False)
        if state.paused and state is not before:
            ends = "someone acts" if state.paused_until is None else f"{moment(state.paused_until):%Y-%m-%d %H:%M:%S} UTC"
            telemetry.sink_paused(self.settings.name, ends, outcome.reason, outcome.detail)
        said = "dead" if isinstance(verdict, Bury) else f"again at {verdict.at:%Y-%m-%d %H:%M:%S} UTC"
        telemetry.delivery_failed(
            self.settings.name,
            claim.delivery,
            outcome=outcome.outcome,
            reason=outcome.reason,
            detail=outcome.detail,
            verdict=said,
        )

    def _arrived(self, tx: Transaction, claim: Claim, receipt: Receipt, now: datetime, before: SinkState | None) -> Told | None:
        """``before``: How the sink stood, which is over now; None: it is left alone all the same."""
        tx.delivered(claim, receipt, now.timestamp())
        if before is None:
            return None
        if before.failures:
            tx.mark(self.settings.name, SinkState(), recovered=before.paused)
        if before.paused:
            # The others waited because the sink was down, not because of what they say; after a failure or two, without a pause,
            # what each waits for itself must not be cut short.
            tx.hasten(self.settings.name, now.timestamp())
        return self.fallback.settled(tx, None, now, merged=len(claim.earlier))

    def _failed(
        self, tx: Transaction, claim: Claim, error: DeliveryError, verdict: TryAgain | Bury, at: datetime, *, state: SinkState
    ) -> Told | None:
        now = at.timestamp()
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
        tx.mark(self.settings.name, state, recovered=claim.lane in self._probes)
        expired = isinstance(verdict, Bury) and verdict.reason is DeliveryReason.EXPIRED
        if isinstance(error, Interrupted) and not expired:
            return None
        return self.fallback.settled(tx, Failure.of(error, lost=expired), at)
