"""Run F: a fleet that finishes within a minute."""

import time
from pathlib import Path

from chaos_audit import Verdict
from chaos_bot import page_at
from chaos_gauges import Gauges, gauged
from chaos_ledger import Ledger
from chaos_world import PATIENCE, world
from ports import free_port

from notifier.sources.faults import Faults
from notifier.sources.scenarios import fleet

WITHIN = 60.0
"""Seconds in which the whole fleet of a flood has finished."""


async def flood(
    folder: Path, *, clusters: int, seed: int, within: float = WITHIN, active: str = "1s", idle: str = "2s"
) -> tuple[Verdict, Gauges, dict[str, float]]:
    """Run F: a whole fleet is upgraded and done within a minute; memory stays bounded and the loop answers."""
    scenario = fleet(clusters, seed=seed, window=60.0)
    port = free_port()
    async with world(
        folder,
        scenario,
        ledger=Ledger(),
        faults=Faults(),
        speed=scenario.end / within,
        http=page_at(port),
        active=active,
        idle=idle,
        timeout="10s",
    ) as here:
        await here.bot.start()
        began = time.monotonic()
        async with gauged(here.bot.pid, port) as gauges:
            await here.all_told(2 * PATIENCE)
            took = time.monotonic() - began
        verdict = await here.verdict()
        late = max((receipt.late for receipt in here.ledger.receipts), default=0.0)
    return verdict, gauges, {**gauges.as_notes(), "told after s": round(took), "slowest message s": round(late, 1)}
