"""The runs: each builds a world of its own, does its worst, and returns the auditor's verdict. All sizes are arguments."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import quantiles

import aiohttp
from chaos_audit import Blow, Verdict, audit, missing
from chaos_bot import SLOTS, Bot, configuration
from chaos_ledger import Ledger

from notifier.domain.model import Event
from notifier.sources.faults import Fault, Faults
from notifier.sources.scenarios import Scenario, fleet
from notifier.sources.simulator import Simulator
from notifier.store.rows import DeliveryRow
from notifier.store.store import Store

SPEED = 150.0
LEAD = 5.0
"""Seconds before anything happens: what is over at the first look is told by nobody, rightly."""

# Refused keys and throttling rest the whole project for a minute or more, so they have tests of their own.
MIX: dict[Fault, float] = {fault: 1.0 for fault in Fault if fault not in {Fault.UNAUTHORIZED, Fault.THROTTLED}}


@dataclass
class World:
    """The cloud and the receiver, which are never killed, and the program, which is."""

    scenario: Scenario
    ledger: Ledger
    cloud: Simulator
    bot: Bot
    folder: Path
    notes: dict[str, float] = field(default_factory=dict)

    async def all_told(self, timeout: float) -> None:
        """Wait until everything owed was received."""
        await everything(self.scenario, self.ledger, timeout)

    async def verdict(self, *, slots: int = SLOTS, excused: int = 0) -> Verdict:
        """End the program and have everything audited."""
        if self.bot.running:
            # What it lets go of at the end would be repeated by the next start, which does not come.
            # A process that has just been started dies of it before it can do anything.
            assert await self.bot.end(signal.SIGTERM) in {0, -signal.SIGTERM}, self.bot.log[-4000:]
        stored = await contents(self.folder / "notifier.db")
        return audit(self.scenario, self.ledger.receipts, self.bot.blows, slots=slots, stored=stored, excused=excused)


async def everything(scenario: Scenario, ledger: Ledger, timeout: float) -> None:
    """Wait until a receiver has heard everything that is owed."""
    async with asyncio.timeout(timeout):
        while missing(scenario, ledger.receipts):
            await ledger.until(len(ledger.receipts) + 1, timeout)


async def contents(path: Path) -> tuple[Sequence[Event], Sequence[DeliveryRow]]:
    """Events and deliveries of a store that nobody holds any more."""
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
    **configured: str,
) -> AsyncIterator[World]:
    """A world that is ready; the program has not started. Nothing happens before it has had time for a first look."""
    scenario = _later(scenario, LEAD * speed)
    ledger = ledger or Ledger(failing=0.02, resetting=0.01)
    faults = faults or Faults(rate=0.02, mix=MIX, slow_for=1.0, seed=7)
    async with Simulator(scenario, speed=speed, faults=faults) as cloud, ledger:
        config = configuration(folder, scenario, cloud.url, {"hook": ledger.url}, **configured)
        here = World(scenario, ledger, cloud, Bot(config), folder)
        try:
            yield here
        finally:
            await here.bot.clear()


async def kills(folder: Path, *, count: int, clusters: int, seed: int, rough: bool = False) -> tuple[Verdict, dict[str, float]]:
    """Run A: SIGKILL again and again. ``rough``: a fifth of all answers is bad, on both sides.

    Recovery is from the start of the process to the first receipt after it; the world must have something to say then.
    """
    draw = Random(seed)
    scenario = fleet(clusters, seed=seed, window=600.0)
    ledger = Ledger(failing=0.2, resetting=0.05, seed=seed) if rough else None
    faults = Faults(rate=0.2, mix=MIX, slow_for=1.0, seed=seed) if rough else None
    recoveries: list[float] = []
    async with world(folder, scenario, ledger=ledger, faults=faults) as here:
        await here.bot.start()
        for _ in range(count):
            started = time.monotonic()
            try:
                await here.ledger.until(len(here.ledger.receipts) + 1, 20)
            except TimeoutError:
                break  # Everything has been said: there is nothing left to interrupt.
            recoveries.append(time.monotonic() - started)
            await asyncio.sleep(draw.uniform(0.05, 0.6))
            await here.bot.end(signal.SIGKILL)
            await here.bot.start()
        await here.all_told(120)
        verdict = await here.verdict()
    return verdict, {"kills": len(recoveries), "slowest recovery s": round(max(recoveries, default=0.0), 1)}


async def terms(folder: Path, *, count: int, clusters: int, seed: int) -> tuple[Verdict, dict[str, float]]:
    """Run J: SIGTERM again and again, with a receiver that answers: nothing lost, nothing repeated, and never more than 8 s."""
    draw = Random(seed)
    slowest, done = 0.0, 0
    scenario = fleet(clusters, seed=seed, window=600.0)
    async with world(folder, scenario, ledger=Ledger(), faults=Faults()) as here:
        await here.bot.start()
        for _ in range(count):
            try:
                await here.ledger.until(len(here.ledger.receipts) + 1, 20)
            except TimeoutError:
                break
            await asyncio.sleep(draw.uniform(0.0, 0.5))
            began = time.monotonic()
            assert await here.bot.end(signal.SIGTERM) == 0, here.bot.log[-4000:]
            slowest, done = max(slowest, time.monotonic() - began), done + 1
            await here.bot.start()
        await here.all_told(120)
        verdict = await here.verdict(slots=0)
    return verdict, {"terms": done, "slowest stop s": round(slowest, 2)}


async def outage(folder: Path, *, clusters: int, seed: int, down_for: float) -> tuple[Verdict, dict[str, float]]:
    """Run C: a receiver is down for long, another is not, and must not notice."""
    scenario = fleet(clusters, seed=seed, window=600.0)
    until = time.monotonic() + down_for
    down = Ledger(down=lambda: time.monotonic() < until)
    async with down, world(folder, scenario, ledger=Ledger(), faults=Faults()) as here:
        hooks = {"hook": here.ledger.url, "down": down.url}
        configuration(folder, scenario, here.cloud.url, hooks)
        await here.bot.start()
        await here.all_told(120)
        others = time.monotonic()
        await everything(here.scenario, down, 120)
        late = audit(here.scenario, down.receipts, here.bot.blows, slots=SLOTS)
        verdict = await here.verdict()
    assert late.good, late
    notes = {"tries while down": down.refused, "others done s before it was up": round(until - others, 1)}
    return verdict, notes


async def swept(folder: Path, syscall: str, when: int, seed: int) -> Verdict:
    """Run D: SIGKILL at the ``when``-th call of ``syscall``, through start, migration, polls, deliveries and SIGTERM."""
    async with world(folder, small(seed), ledger=Ledger(), faults=Faults(), speed=SWEEP_SPEED) as here:
        inject = f"inject={syscall}:signal=KILL:when={when}"
        here.bot.before = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscall}", "-e", inject)
        await here.bot.start()
        traced = here.bot.process
        assert traced is not None
        told, died = asyncio.create_task(here.all_told(60)), asyncio.create_task(traced.wait())
        await asyncio.wait({told, died}, return_when=asyncio.FIRST_COMPLETED)
        if not died.done():
            # It outlived the story: the call comes while it stops, or not at all. The tracer would let go of it at a SIGTERM.
            os.kill(_child_of(traced.pid), signal.SIGTERM)
            await died
        died_of = "" if traced.returncode == -signal.SIGKILL else ", not reached"
        here.bot.blows.append(Blow(time.monotonic(), f"{syscall} {when}{died_of}", before=6.0))
        here.bot.before = ()
        await here.bot.start()
        await told
        return await here.verdict()


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


async def flood(folder: Path, *, clusters: int, seed: int) -> tuple[Verdict, dict[str, float]]:
    """Run F: a whole fleet finishes within a minute; memory stays bounded and the loop answers."""
    base = fleet(clusters, seed=seed, window=60.0)
    lags: list[float] = []
    async with world(
        folder, base, ledger=Ledger(), faults=Faults(), http="{listen: '127.0.0.1:0'}", active="1s", idle="2s"
    ) as here:
        port = await _port_of(here)
        await here.bot.start()
        watcher = asyncio.create_task(_answers_soon(port, lags))
        try:
            await here.all_told(280)
        finally:
            watcher.cancel()
        verdict = await here.verdict()
        peak = here.bot.peak / 1024
    p99 = quantiles(lags, n=100)[98] * 1000 if len(lags) > 1 else 0.0
    return verdict, {"peak MiB": round(peak), "healthz p99 ms": round(p99), "most at once": here.ledger.most_open}


async def _port_of(here: World) -> int:
    """Choose a port for the status page: 0 would not tell us which it took."""
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    text = here.bot.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}")
    here.bot.config.write_text(text)
    return port


async def _answers_soon(port: int, lags: list[float]) -> None:
    """Ask for its health ten times a second and note how long the answer takes."""
    async with aiohttp.ClientSession() as session:
        while True:
            began = time.monotonic()
            try:
                async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                    await answer.read()
                lags.append(time.monotonic() - began)
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


SWEEP_SPEED = 600.0


def small(seed: int) -> Scenario:
    """Two clusters within seconds: enough for a kill at every step."""
    return fleet(2, seed=seed, window=30.0)


def _later(scenario: Scenario, seconds: float) -> Scenario:
    clusters = (
        replace(cluster, tasks=tuple(replace(task, start=task.start + seconds) for task in cluster.tasks))
        for cluster in scenario.clusters
    )
    return replace(scenario, clusters=tuple(clusters))


def can_trace() -> bool:
    """Whether strace is here and may trace."""
    return any(os.access(Path(folder) / "strace", os.X_OK) for folder in os.environ.get("PATH", "").split(os.pathsep))
