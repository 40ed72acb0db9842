"""Whether the loops go on: each beats every time it goes around, and whoever doubts it waits for the next beat.

Two questions are asked of the beats. "Has any stopped?" is answered at once, from how long ago each was. "Do all go on?" is
answered by waiting until all have beaten once more and the store has taken a write: that is a proof, and only it is passed on to
a dead man's switch.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from notifier import metrics, telemetry
from notifier.store.errors import StoreError
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.store.vitals import Owed

INTERVALS = 3
"""A loop that has not beaten for so many of its intervals stands still."""

EVERY = 10.0
"""Seconds between two writes that only prove that the store takes writes."""

NAME = "notifier"


class Pulse:
    """One loop's. ``interval``: seconds within which it goes around, at the most."""

    def __init__(self, name: str, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._interval = interval
        self._clock = clock
        self._at = clock()
        self._next = asyncio.Event()

    def beat(self) -> None:
        """The loop has gone around."""
        self._at = self._clock()
        self._next.set()
        self._next = asyncio.Event()

    @property
    def stopped(self) -> bool:
        """Whether the loop stands still."""
        return self._clock() - self._at > INTERVALS * self._interval

    async def next(self) -> None:
        """Wait until the loop goes around."""
        await self._next.wait()


class Vitals:
    """The pulses of all loops and of the store.

    Args:
        store: Is written to, measured, and asked what it owes.
        sinks: The sinks that there are.
        pulses: Those of the loops.
    """

    def __init__(self, store: Store, sinks: Sequence[str], pulses: Sequence[Pulse]) -> None:
        self._store = store
        self._sinks = tuple(sinks)
        self._answers = Pulse("the store", EVERY)
        self._pulses = (*pulses, self._answers)

    def begin(self) -> None:
        """Everything is about to start: nothing is late yet."""
        for pulse in self._pulses:
            pulse.beat()

    @property
    def stopped(self) -> list[str]:
        """The names of all that stand still."""
        return [pulse.name for pulse in self._pulses if pulse.stopped]

    @property
    def trouble(self) -> StoreError | None:
        """Why the store refused work, whoever's; None once it has taken the write that proves it well."""
        return self._store.refusal

    async def write(self) -> None:
        """Write to the store, and measure it. A refusal is an answer too: the store is not well, but it does not stand still."""
        now = self._store.now().timestamp()
        try:
            owed, size = await self._store.transact(lambda tx: self._look(tx, now))
        except StoreError as error:
            telemetry.store_failed("pulse", str(error))
        else:
            self._store.refusal = None
            metrics.measured(owed, size, now)
            metrics.written()
        self._answers.beat()

    async def prove(self) -> None:
        """Come back when every loop has gone around once more, and the store has taken a write.

        Raises:
            StoreError: It did not.
        """
        now = self._store.now().timestamp()
        loops = [pulse.next() for pulse in self._pulses if pulse is not self._answers]
        await asyncio.gather(*loops, self._store.transact(lambda tx: tx.beat(NAME, now)))

    def _look(self, tx: Transaction, now: float) -> tuple[dict[str, Owed], int]:
        tx.beat(NAME, now)
        return tx.owed(self._sinks, now), tx.size()
