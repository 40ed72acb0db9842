"""The world of a run: the cloud and the receiver, which are never killed, and the program, which is."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chaos_audit import Verdict, Wanting, audit
from chaos_bot import SLOTS, Bot, configuration
from chaos_ledger import Ledger

from notifier.domain.model import Action, Event
from notifier.sources.faults import Fault, Faults
from notifier.sources.scenarios import Scenario
from notifier.sources.simulator import Simulator
from notifier.store.rows import DeliveryRow
from notifier.store.store import Store

SPEED = 150.0

PATIENCE = 300.0
"""Seconds after which what comes anyway will not come any more, however busy the machine is."""

# Refused keys and throttling rest the whole project for a minute or more, so they have tests of their own.
MIX: dict[Fault, float] = {fault: 1.0 for fault in Fault if fault not in {Fault.UNAUTHORIZED, Fault.THROTTLED}}


class Curtain:
    """The clock that moves a scenario: it stands still until the curtain rises.

    What is over at the first look is told by nobody, rightly; so nothing may happen before it, however long a start takes.
    """

    def __init__(self) -> None:
        self._rose: float | None = None

    def __call__(self) -> float:
        return 0.0 if self._rose is None else time.monotonic() - self._rose

    def rise(self) -> None:
        self._rose = time.monotonic()


@dataclass
class World:
    """What a run plays with."""

    scenario: Scenario
    ledger: Ledger
    cloud: Simulator
    bot: Bot
    folder: Path
    opening: asyncio.Future[None] = field(default_factory=asyncio.Future)

    async def looked_at(self) -> None:
        """Wait until the story begins, which is when every cluster was looked at."""
        async with asyncio.timeout(PATIENCE):
            await self.opening

    async def more(self, wanting: Wanting) -> bool:
        """Wait for the next message; False if everything owed was received, so that there is nothing left to interrupt."""
        if not wanting.after(self.ledger.receipts):
            return False
        await self.ledger.until(len(self.ledger.receipts) + 1, PATIENCE)
        return True

    async def all_told(self, timeout: float) -> None:
        """Wait until everything owed was received."""
        await everything(self.scenario, self.ledger, timeout)

    async def verdict(self, *, slots: int = SLOTS, clock_is_set: bool = False) -> Verdict:
        """End the program and have everything audited."""
        await self.bot.leave()
        stored = await contents(self.folder / "notifier.db")
        return audit(
            self.scenario,
            self.ledger.receipts,
            self.bot.blows,
            slots=slots,
            stored=stored,
            clock_is_set=clock_is_set,
        )


async def eventually(holds: Callable[[], bool], timeout: float) -> None:
    """Wait for what lies in a counter, so that it has to be asked for again and again."""
    async with asyncio.timeout(timeout):
        while not holds():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)


async def everything(scenario: Scenario, ledger: Ledger, timeout: float) -> None:
    """Wait until a receiver has heard everything that is owed; nothing for ``timeout`` seconds means that no more will come.

    Raises:
        AssertionError: No more comes, and something is missing.
    """
    wanting = Wanting(scenario)
    while left := wanting.after(ledger.receipts):
        try:
            await ledger.until(len(ledger.receipts) + 1, timeout)
        except TimeoutError:
            raise AssertionError(
                f"{left} are still owed after {timeout:.0f} s of silence: {sorted(map(str, wanting.open))[:5]}"
            ) from None


async def contents(path: Path) -> tuple[Sequence[Event], Sequence[DeliveryRow]]:
    """Events and deliveries of a store that nobody holds any more. Opening it asks SQLite whether it is sound (I5)."""
    store = Store(f"sqlite:///{path}").open()
    try:
        events = await store.transact(lambda tx: tx.events(limit=1_000_000))
        deliveries = await store.transact(lambda tx: tx.deliveries(limit=1_000_000))
    finally:
        store.close()
    return [event for _, event in events], deliveries


@asynccontextmanager
async def world(
    folder: Path,
    scenario: Scenario,
    *,
    ledger: Ledger | None = None,
    faults: Faults | None = None,
    speed: float = SPEED,
    more_hooks: dict[str, str] | None = None,
    each: dict[str, str] | None = None,
    others: dict[str, str] | None = None,
    **configured: str,
) -> AsyncIterator[World]:
    """A world that is ready; the program has not started. Nothing happens before it has had a first look at every cluster."""
    ledger = ledger or Ledger(failing=0.02, resetting=0.01)
    faults = faults or Faults(rate=0.02, mix=MIX, slow_for=1.0, seed=7)
    curtain = Curtain()
    async with Simulator(scenario, speed=speed, faults=faults, monotonic=curtain) as cloud, ledger:
        hooks = {"hook": ledger.url, **(more_hooks or {})}
        config = configuration(folder, scenario, cloud.url, hooks, each=each, others=others, **configured)
        here = World(scenario, ledger, cloud, Bot(config), folder)
        here.opening = asyncio.ensure_future(_rise(curtain, here))
        try:
            yield here
        finally:
            here.opening.cancel()
            await here.bot.clear()


async def _rise(curtain: Curtain, here: World) -> None:
    """Let the story begin once every list was asked for twice by one process: a second look follows a first that is stored."""
    life, before = here.bot.process, 0
    while True:
        if here.bot.process is not life:
            life, before = here.bot.process, len(here.cloud.requests)
        looks = Counter((seen.path, seen.query) for seen in list(here.cloud.requests)[before:] if seen.outcome == "ok")
        if len(looks) == len(here.scenario.clusters) * len(Action) and min(looks.values()) > 1:
            curtain.rise()
            return
        await asyncio.sleep(0.05)
