"""The loop that looks: which clusters are due, what they answer, what of it is new, all of it committed in one transaction.

A poll is over when its transaction is: state, events and deliveries stand together or not at all. What is unchanged, byte for
byte, is neither parsed nor written.
"""

import asyncio
import heapq
import itertools
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from notifier import telemetry, tracing
from notifier.domain.diff import Remark, diff
from notifier.domain.errors import FetchError
from notifier.domain.evidence import AnswerFacts, Evidence
from notifier.domain.known import Known
from notifier.domain.model import Action, Event, Snapshot
from notifier.domain.outage import reachable, unreachable
from notifier.domain.plan import Audience
from notifier.domain.reminders import ENDS
from notifier.domain.render import summary
from notifier.domain.timekeeping import keep_time
from notifier.engine.library import Library
from notifier.engine.reminding import drop_ended, followed_up
from notifier.engine.watch import Watch
from notifier.engine.witness import Asked, evidence, unwritten
from notifier.store.errors import Fenced, StoreError
from notifier.store.store import Store
from notifier.store.transaction import Transaction

MOST_IN_FLIGHT = 200
"""Polls under way at once. Without a cap a fleet that is asked for more than it can bear collapses instead of being late."""

JITTER = 0.1
"""Polls are spread by ± this share of their interval, so that what started together does not stay together."""

LONGEST_BACKOFF = 60.0
"""Seconds between polls of a cluster that fails, at the most, whatever its cadence: that it works again is news."""

ELSEWHERE = 2.0
"""Seconds until a cluster that another replica polls is looked at again: it may have become ours."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """Seconds: between polls while a task runs, and while none does; until failing polls are told of."""

    active: float = 15.0
    idle: float = 60.0
    unreachable_after: float = 300.0


@dataclass(frozen=True, slots=True)
class Applied:
    """What a poll's transaction did; ``version`` is the one that ``known`` has in the store."""

    known: Known
    version: int
    events: tuple[Event, ...]
    remarks: tuple[Remark, ...]
    owed: frozenset[str]
    check_at: datetime | None = None
    answers: Mapping[Action, Evidence] = field(default_factory=dict)


class Poller:
    """Polls every watch at its cadence. ``tick`` starts what is due; ``told`` is called with the sinks that are owed news."""

    def __init__(
        self,
        watches: Sequence[Watch],
        store: Store,
        audience: Audience,
        cadence: Cadence,
        told: Callable[[frozenset[str]], None],
    ) -> None:
        self.watches: tuple[Watch, ...] = ()
        self._store = store
        self._audience = audience
        self._cadence = cadence
        self._told = told
        self._library = Library()
        self._held: Mapping[str, int] | None = None
        self._held_until = math.inf
        self._order = itertools.count()
        self._due: list[tuple[float, int, Watch]] = []
        self._polls: set[asyncio.Task[None]] = set()
        self.add(watches)

    def add(self, watches: Sequence[Watch]) -> None:
        """Watch these too; their first round is spread over one active interval: it must not be a burst."""
        now, spread = time.monotonic(), min(self._cadence.active, len(watches) * 0.05)
        self.watches += tuple(watches)
        for watch in watches:
            heapq.heappush(self._due, (now + random.random() * spread, next(self._order), watch))  # noqa: S311 - jitter

    def drop(self, watches: Sequence[Watch]) -> None:
        """Poll these no more; a poll under way comes to its end."""
        for watch in watches:
            watch.dropped = True
        self.watches = tuple(watch for watch in self.watches if not watch.dropped)
        self._due = [due for due in self._due if not due[2].dropped]
        heapq.heapify(self._due)

    def hold(self, epochs: Mapping[str, int], until: float) -> None:
        """Poll only these clusters, by key with the epoch of each, up to ``until`` by the monotonic clock.

        Until this is called for the first time, every watch is polled: nobody shares them.
        """
        before, self._held, self._held_until = self._held or {}, epochs, until
        if epochs is before:
            return
        for watch in self.watches:
            if epochs.get(watch.cluster.key) != before.get(watch.cluster.key):
                # Whoever had it meanwhile knows more than we remember.
                watch.forget()

    def holds(self, watch: Watch) -> bool:
        """Whether a cluster is ours to poll."""
        return self._held is None or (watch.cluster.key in self._held and time.monotonic() < self._held_until)

    def delay(self) -> float:
        """Seconds until the next poll is due; below zero if one is late."""
        if not self._due or len(self._polls) >= MOST_IN_FLIGHT:
            return 1.0
        return self._due[0][0] - time.monotonic()

    async def tick(self) -> None:
        """Start every poll that is due, as far as there is room."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now and len(self._polls) < MOST_IN_FLIGHT:
            due, _, watch = heapq.heappop(self._due)
            if not self.holds(watch):
                heapq.heappush(self._due, (now + ELSEWHERE, next(self._order), watch))
                continue
            telemetry.poll_started(now - due)
            task = asyncio.create_task(self._turn(watch), name=f"poll {watch.cluster.name}")
            self._polls.add(task)
            task.add_done_callback(self._polls.discard)

    async def stop(self) -> None:
        """Break off what is under way: a poll that was not committed never happened."""
        self._due.clear()
        for task in self._polls:
            task.cancel()
        await asyncio.gather(*self._polls, return_exceptions=True)

    async def _turn(self, watch: Watch) -> None:
        try:
            with tracing.poll(watch.cluster) as span:
                applied = await self.poll(watch)
                watch.fault = None
                span.note(error="no good answer" if watch.failures else None, events=len(applied.events) if applied else 0)
        except Fenced:
            watch.forget()
            telemetry.fenced("poll", watch.cluster.name)
        except StoreError as error:
            watch.forget()
            telemetry.store_failed("poll", str(error))
        except Exception as error:  # noqa: BLE001 - one cluster's fault must not stop the others
            watch.forget()
            watch.failures += 1
            watch.fault = type(error).__name__
            telemetry.fault(f"poll of {watch.cluster.name}", error)
        if not watch.dropped:
            heapq.heappush(self._due, (time.monotonic() + self._pause(watch), next(self._order), watch))

    def _pause(self, watch: Watch) -> float:
        seconds = self._cadence.active if watch.close else self._cadence.idle
        if watch.failures:
            # A failing cluster is asked soon at first, since most failures pass, then at its usual cadence.
            seconds = min(max(min(seconds, 2.0 ** min(watch.failures - 1, 10)), 0.05), LONGEST_BACKOFF)
        return seconds * (1 - JITTER + 2 * JITTER * random.random())  # noqa: S311 - jitter

    async def poll(self, watch: Watch) -> Applied | None:
        """Ask once; commit what is new. None where nothing is.

        Raises:
            StoreError: What was new could not be committed; the next poll sees it again.
        """
        if watch.connection != self._store.connections:
            # The server may be another, and what the one before had confirmed last may be lost: it has to be told again.
            watch.forget()
            watch.connection = self._store.connections
        # Read before asking: an answer counts only if the cluster was ours all the while.
        epoch = None if self._held is None else self._held.get(watch.cluster.key, -1)
        asked = await self._ask(watch)
        failure, now = asked.failure, asked.at
        if failure is not None:
            watch.failures += 1
            telemetry.poll_failed(watch.cluster.name, failure.reason, failure.detail)
        else:
            watch.failures = 0
            watch.polled_at = now
        applied = None
        if asked.snapshots or failure is not None or watch.outage or watch.due(asked.good, now):
            applied = await self._store.transact(lambda tx: self._apply(tx, watch, asked, epoch))
            known = applied.known
            watch.check_at = applied.check_at
            for listing in watch.listings:
                if listing.action in asked.good:
                    listing.evidence = applied.answers.get(listing.action)
                listing.unsettled = known.unsettled(listing.action)
                listing.close = listing.unsettled or known.running(listing.action)
            watch.outage = known.outage is not None
            # A fleet at rest would fill the memory with what nobody asks for.
            watch.known = (known, applied.version) if watch.close else None
            self._report(watch, applied)
        if failure is None:
            telemetry.polled("changed" if applied and applied.events else "unchanged")
        return applied

    async def _ask(self, watch: Watch) -> Asked:
        """What the source says.

        An action at rest is asked at the idle cadence only.
        """
        good: dict[Action, datetime | None] = {}
        snapshots: list[Snapshot] = []
        fresh: dict[Action, AnswerFacts] = {}
        failure: FetchError | None = None
        at: datetime | None = None
        for listing in watch.listings:
            now = time.monotonic()
            if not listing.close and now - listing.asked_at < self._cadence.idle * (1 - JITTER):
                continue
            try:
                async with watch.budget.turn():
                    # While something waits to be confirmed, an answer counts even if it says the same again.
                    answer = await watch.source.fetch(watch.cluster, listing.action, None if listing.unsettled else listing.body)
            except FetchError as error:
                at, failure = self._store.now(), error
                listing.fail()
                continue
            at = self._store.now()
            good[listing.action] = listing.good_at
            listing.body, listing.asked_at, listing.good_at = answer.body, now, at
            if answer.snapshot is not None:
                snapshots.append(answer.snapshot)
                fresh[listing.action] = answer.facts(at)
        return Asked(snapshots, failure, good, fresh, at or self._store.now())

    def _apply(self, tx: Transaction, watch: Watch, asked: Asked, epoch: int | None) -> Applied:
        """The whole of a poll's transaction; on the store's thread, so nothing here may touch the loop.

        If somebody else has saved the cluster since it became known to us, nothing is written (`Fenced`).
        """
        cluster, (snapshots, failure, good, fresh, now) = watch.cluster, asked
        tx.guard(cluster.key, epoch)
        before, version = watch.known or tx.known(cluster)
        known = before
        events: list[Event] = []
        remarks: list[Remark] = []
        for snapshot in snapshots:
            step = diff(known, snapshot, now)
            known = step.known
            events += step.events
            remarks += step.remarks
        if failure is None:
            step = reachable(known, cluster, now)
        else:
            reason = (failure.reason.value, failure.detail)
            step = unreachable(known, cluster, reason, now, self._cadence.unreachable_after)
        histories = self._library.histories(tx.history, cluster, step.known, good, time.monotonic())
        rests = evidence(before, watch.newest, fresh, good, now)
        timed = keep_time(before, step.known, [*events, *step.events], cluster, good, watch.limits, histories, now, rests)
        known, events = timed.known, list(timed.events)
        silences = tx.silences(now.timestamp()) if events else ()
        deliveries = (
            *self._audience.plan(events, now, silences, alarmed=tx.alarmed),
            *followed_up(tx, self._audience, events, now),
        )
        if known is not before:
            known = replace(known, answers={**before.answers, **{action: rests[action] for action in fresh}})
            version = tx.save(cluster, (before, version), known, (events, deliveries), now.timestamp())
            tx.remember(cluster, timed, now.timestamp())
        if any(event.kind in ENDS for event in events):
            drop_ended(tx, cluster, known, now)
        owed = frozenset(planned.sink for planned in deliveries if not planned.silence)
        return Applied(known, version, tuple(events), tuple(remarks), owed, timed.check_at, unwritten(known, rests))

    def _report(self, watch: Watch, applied: Applied) -> None:
        for remark in applied.remarks:
            telemetry.answer_odd(watch.cluster.name, remark.what, f"{remark.task_id}: {remark.detail}")
        for event in applied.events:
            telemetry.event_told(event.kind, watch.cluster.name, event.id, summary(event))
            tracing.told(event, self._store.now())
        if applied.owed:
            self._told(applied.owed)
