"""Runs C and F: a receiver that is down for long beside one that is not, and a fleet that finishes within a minute."""

import time
from pathlib import Path

from chaos_audit import Verdict, audit
from chaos_bot import SLOTS
from chaos_gauges import Gauges, free_port, gauged
from chaos_ledger import Ledger
from chaos_world import everything, world

from notifier.sources.faults import Faults
from notifier.sources.scenarios import fleet

WITHIN = 60.0
"""Seconds in which the whole fleet of a flood has finished."""


async def outage(folder: Path, *, clusters: int, seed: int, down_for: float) -> tuple[Verdict, dict[str, float]]:
    """Run C: a receiver is down for long, another is not, and must not notice."""
    scenario = fleet(clusters, seed=seed, window=600.0)
    until = time.monotonic() + down_for
    down = Ledger(down=lambda: time.monotonic() < until)
    async with (
        down,
        world(folder, scenario, ledger=Ledger(), faults=Faults(), more_hooks={"down": down.url}) as here,
    ):
        await here.bot.start()
        await here.all_told(120)
        others = time.monotonic()
        await everything(here.scenario, down, 120)
        late = audit(here.scenario, down.receipts, here.bot.blows, slots=SLOTS)
        verdict = await here.verdict()
    assert late.good, late
    notes = {"tries while down": down.refused, "others done s before it was up": round(until - others, 1)}
    return verdict, notes


async def flood(
    folder: Path, *, clusters: int, seed: int, within: float = WITHIN, active: str = "1s", idle: str = "2s"
) -> tuple[Verdict, Gauges, dict[str, float]]:
    """Run F: a whole fleet is upgraded and done within a minute; memory stays bounded and the loop answers."""
    scenario = fleet(clusters, seed=seed, window=60.0)
    port = await free_port()
    async with world(
        folder,
        scenario,
        ledger=Ledger(),
        faults=Faults(),
        speed=scenario.end / within,
        http=f"{{listen: '127.0.0.1:{port}'}}",
        active=active,
        idle=idle,
        timeout="10s",
    ) as here:
        await here.bot.start()
        began = time.monotonic()
        async with gauged(here.bot.pid, port) as gauges:
            await here.all_told(600)
            took = time.monotonic() - began
        verdict = await here.verdict()
        late = max((receipt.late for receipt in here.ledger.receipts), default=0.0)
    return verdict, gauges, {**gauges.as_notes(), "told after s": round(took), "slowest message s": round(late, 1)}
