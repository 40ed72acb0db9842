"""Runs C and F: a receiver that is down for long beside one that is not, and a fleet that finishes within a minute."""

import asyncio
import time
from pathlib import Path

import aiohttp
from chaos_audit import Verdict, audit
from chaos_bot import SLOTS
from chaos_gauges import Gauges, free_port, gauged
from chaos_ledger import Ledger
from chaos_world import contents, everything, world

from notifier.sources.faults import Faults
from notifier.sources.scenarios import fleet
from notifier.store.rows import State

Outcome = tuple[Verdict, dict[str, float]]

WITHIN = 60.0
"""Seconds in which the whole fleet of a flood has finished."""


async def outage(folder: Path, *, clusters: int, seed: int, down_for: float) -> Outcome:
    """Run C: a receiver is down for long, another is not, and must not notice."""
    until = time.monotonic() + down_for
    down = Ledger(down=lambda: time.monotonic() < until)
    scenario = fleet(clusters, seed=seed, window=600.0)
    async with down, world(folder, scenario, ledger=Ledger(), faults=Faults(), more_hooks={"down": down.url}) as here:
        await here.bot.start()
        await here.all_told(120)
        others = time.monotonic()
        await everything(here.scenario, down, 120)
        late = audit(here.scenario, down.receipts, here.bot.blows, slots=SLOTS)
        verdict = await here.verdict()
    assert late.good, late
    notes = {"tries while down": down.refused, "others done s before it was up": round(until - others, 1)}
    return verdict, notes


async def abandoned(folder: Path, *, clusters: int, seed: int, give_up_after: float = 20.0) -> Outcome:
    """Run C: a receiver is down for longer than messages are kept, another asks for patience again and again, a third is well.

    What was for the first is among the dead, all of it and nothing else; the others hear everything.
    """
    scenario = fleet(clusters, seed=seed, window=600.0)
    gone, throttled = Ledger(down=lambda: True), Ledger(throttling=0.02, seed=seed)
    port = await free_port()
    async with (
        gone,
        throttled,
        world(
            folder,
            scenario,
            ledger=Ledger(),
            faults=Faults(),
            more_hooks={"gone": gone.url, "throttled": throttled.url},
            each={"gone": f", delivery: {{give_up_after: {give_up_after:.0f}s}}"},
            http=f"{{listen: '127.0.0.1:{port}'}}",
        ) as here,
    ):
        await here.bot.start()
        await here.all_told(120)
        await everything(here.scenario, throttled, 300)
        while await _waiting(port, "gone"):  # noqa: ASYNC110 - it lies in another process
            await asyncio.sleep(1.0)
        patient = audit(here.scenario, throttled.receipts, here.bot.blows, slots=SLOTS)
        verdict = await here.verdict()
        events, deliveries = await contents(folder / "notifier.db")
    assert patient.good, patient
    dead = {row.event for row in deliveries if row.state is State.DEAD}
    assert dead == {row.event for row in deliveries if row.sink == "gone"} == {event.id for event in events}
    assert {row.sink for row in deliveries if row.state is State.DEAD} == {"gone"}
    return verdict, {"dead letters": len(dead), "tries of what is gone": gone.refused, "asked for patience": throttled.refused}


async def _waiting(port: int, sink: str) -> int:
    """How many deliveries of a sink wait."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/api/v1/deliveries?sink={sink}&state=pending") as answer,
    ):
        return len((await answer.json())["deliveries"])


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
