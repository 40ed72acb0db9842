"""Run T: time goes wrong: the loop stands still for seconds, the wall clock is set by an hour and by a day, both ways."""

import asyncio
import os
import signal
from itertools import pairwise
from pathlib import Path

from chaos_audit import Verdict, Wanting
from chaos_bot import page_at
from chaos_gauges import gauged
from chaos_ledger import Ledger
from chaos_world import PATIENCE, World, eventually, world
from ports import free_port

from notifier.sources.faults import Faults
from notifier.sources.scenarios import fleet

SPEED = 400.0
HOUR, DAY = 3600, 86400
STEPS = (HOUR, -HOUR, DAY, -DAY, -HOUR)
"""Seconds by which the wall clock is set, one after another; each from what it showed before. Nothing follows a last step back
that could make due again what it has put off."""

STALL = 5.0
"""Seconds for which nothing of the program runs."""

LATEST = 10.0
"""Seconds after which news must have come in spite of it all."""


async def stalled(folder: Path, *, clusters: int, seed: int) -> tuple[Verdict, dict[str, float]]:
    """The whole process stands still for five seconds. Polls are late, none is lost, and its lag is there to see."""
    port = free_port()
    scenario = fleet(clusters, seed=seed, window=600.0)
    async with world(folder, scenario, ledger=Ledger(), faults=Faults(), speed=SPEED, http=page_at(port)) as here:
        await here.bot.start()
        await here.ledger.until(3, PATIENCE)
        async with gauged(here.bot.pid, port) as gauges:
            here.bot.send(signal.SIGSTOP)
            await asyncio.sleep(STALL)
            here.bot.send(signal.SIGCONT)
            asked = len(here.cloud.requests)
            await here.ledger.until(len(here.ledger.receipts) + 1, LATEST)
        await here.all_told(PATIENCE)
        return await here.verdict(), {"polls after": len(here.cloud.requests) - asked, "lag seen s": gauges.worst}


async def stepped(
    folder: Path, *, clusters: int, seed: int, steps: tuple[int, ...] = STEPS, between: float = 3.0
) -> tuple[Verdict, dict[str, float]]:
    """The wall clock is set, again and again, while receivers fail now and then, so that there are waits that it could break."""
    ledger = Ledger(failing=0.2, any_time=True, seed=seed)
    scenario = fleet(clusters, seed=seed, window=900.0)
    async with world(folder, scenario, ledger=ledger, faults=Faults(), speed=SPEED) as here:
        clock, wrong, fewest = folder / "clock", 0, float("inf")
        here.bot.program = (str(Path(__file__).with_name("chaos_wall.py")), str(clock))
        await here.bot.start()
        wanting = Wanting(scenario)
        for step in steps:
            if wanting.after(here.ledger.receipts):
                await here.ledger.until(len(here.ledger.receipts) + 1, PATIENCE)
            wrong += step
            clock.write_text(str(wrong))
            os.kill(here.bot.pid, signal.SIGUSR1)
            fewest = min(fewest, await _asked(here, between) / between)
        await here.all_told(PATIENCE)
        latest = max(after - before for before, after in pairwise(receipt.at for receipt in here.ledger.receipts))
        notes = {"steps": len(steps), "fewest polls a second": round(fewest, 1), "longest silence s": round(latest, 1)}
        return await here.verdict(slots=0, clock_is_set=True), notes


async def _asked(here: World, seconds: float) -> int:
    """How often the cloud is asked within so many seconds, or until it was asked once in each where that takes longer."""

    def asked() -> int:
        return sum(here.cloud.served.values()) - before

    before = sum(here.cloud.served.values())
    await asyncio.sleep(seconds)
    await eventually(lambda: asked() >= seconds, 60.0)
    return asked()
