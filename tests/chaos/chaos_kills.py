"""Runs A, J and D: the program is killed, ended, and killed at a chosen system call. All sizes are arguments."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from chaos_audit import Blow, Verdict, Wanting
from chaos_gauges import share_of
from chaos_ledger import Ledger
from chaos_world import MIX, PATIENCE, World, world

from notifier.sources.faults import Faults
from notifier.sources.scenarios import Scenario, fleet

SYSCALLS = ("fdatasync", "sendto", "pwrite64", "recvfrom", "connect")
"""The calls after which the world is another: something is durable, said, or heard."""

SWEEP_SPEED = 600.0

STANDSTILL = 0.2
"""Seconds in which every thread of a program that is stopped has come back from the call it was in."""

Outcome = tuple[Verdict, dict[str, float]]


async def kills(folder: Path, *, count: int, clusters: int, seed: int, rough: bool = False) -> Outcome:
    """Run A: SIGKILL again and again. ``rough``: a fifth of all answers is bad, on both sides.

    Recovery is from the start of the process to the first receipt after it, where something is owed then, and where the receiver
    had not refused so often in a row that it is left alone for a while.
    """
    draw = Random(seed)
    scenario = fleet(clusters, seed=seed, window=600.0)
    ledger = Ledger(failing=0.2, resetting=0.05, seed=seed) if rough else None
    faults = Faults(rate=0.2, mix=MIX, slow_for=1.0, seed=seed) if rough else None
    recoveries: list[float] = []
    async with world(folder, scenario, ledger=ledger, faults=faults) as here:
        await here.bot.start()
        await here.looked_at()
        wanting, done = Wanting(scenario), 0
        before = now = 0
        while done < count and wanting.after(here.ledger.receipts):
            took = await _recovered(here)
            if '"sink.paused"' not in here.bot.log[before:]:  # By this process, or by the one before it.
                recoveries.append(took)
            await asyncio.sleep(draw.uniform(0.05, 0.6))
            await here.bot.end(signal.SIGKILL)
            before, now = now, len(here.bot.log)
            await here.bot.start()
            done += 1
        await here.all_told(PATIENCE)
        verdict = await here.verdict()
    return verdict, {"kills": done, "slowest recovery s": round(max(recoveries, default=0.0), 1)}


async def _recovered(here: World) -> float:
    """Seconds until a message comes, of a processor that a process has to itself: others' share of the time is not counted."""
    began = time.monotonic()
    await here.ledger.until(len(here.ledger.receipts) + 1, PATIENCE)
    return (time.monotonic() - began) * share_of(here.bot.pid)


async def terms(folder: Path, *, count: int, clusters: int, seed: int) -> Outcome:
    """Run J: SIGTERM again and again, with a receiver that answers: nothing lost, nothing repeated, and never more than 8 s."""
    draw = Random(seed)
    slowest, done = 0.0, 0
    scenario = fleet(clusters, seed=seed, window=600.0)
    async with world(folder, scenario, ledger=Ledger(), faults=Faults()) as here:
        await here.bot.start()
        await here.looked_at()
        wanting = Wanting(scenario)
        while done < count and await here.more(wanting):
            await asyncio.sleep(draw.uniform(0.0, 0.5))
            began = time.monotonic()
            assert await here.bot.end(signal.SIGTERM) == 0, here.bot.log[-4000:]
            slowest, done = max(slowest, time.monotonic() - began), done + 1
            await here.bot.start()
        await here.all_told(PATIENCE)
        verdict = await here.verdict(slots=0)
    return verdict, {"terms": done, "slowest stop s": round(slowest, 2)}


async def swept(folder: Path, syscall: str, when: int, seed: int) -> Verdict:
    """Run D: SIGKILL at the ``when``-th call of ``syscall``, through start, migration, polls, deliveries and SIGTERM."""
    async with world(folder, small(seed), ledger=Ledger(), faults=Faults(), speed=SWEEP_SPEED) as here:
        here.bot.before = traced(syscall, f"signal=KILL:when={when}")
        await here.bot.start()
        tracer = here.bot.process
        assert tracer is not None
        told, died = asyncio.create_task(here.all_told(PATIENCE)), asyncio.create_task(tracer.wait())
        await asyncio.wait({told, died}, return_when=asyncio.FIRST_COMPLETED)
        if not died.done():
            # It outlived the story: the call comes while it stops, or not at all. The tracer would let go of it at a SIGTERM.
            os.kill(here.bot.pid, signal.SIGTERM)
            await died
        died_of = "" if tracer.returncode == -signal.SIGKILL else ", not reached"
        here.bot.blows.append(Blow(time.monotonic(), f"{syscall} {when}{died_of}", before=6.0))
        here.bot.before = ()
        await here.bot.start()
        await told
        return await here.verdict()


def small(seed: int) -> Scenario:
    """Two clusters within seconds: enough for a kill at every step."""
    return fleet(2, seed=seed, window=30.0)


def traced(syscall: str, inject: str) -> tuple[str, ...]:
    """What runs a program so that something happens at a system call of it, and little at all others."""
    return (*_tracer(syscall, inject), "--seccomp-bpf", "-qq")


def _tracer(syscall: str, inject: str) -> tuple[str, ...]:
    return ("strace", "-f", "-o", "/dev/null", "-e", f"trace={syscall}", "-e", f"inject={syscall}:{inject}")


@asynccontextmanager
async def struck(pid: int, syscall: str, inject: str) -> AsyncIterator[None]:
    """Let something happen at a system call of a program that runs, for as long as this is entered."""
    command = (*_tracer(syscall, inject), "-p", str(pid))
    tracer = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert tracer.stderr is not None
    await tracer.stderr.readline()  # "Process … attached"
    try:
        yield
    finally:
        # A call that the tracer lets go of in the middle fails with ENOSYS, which no disk says. So all stand still meanwhile.
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(STANDSTILL)
        tracer.send_signal(signal.SIGTERM)
        await tracer.communicate()
        os.kill(pid, signal.SIGCONT)


def can_trace() -> bool:
    """Whether strace is here."""
    return shutil.which("strace") is not None
