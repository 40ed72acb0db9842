"""What a process holds and how late its loop is, from outside: ``/proc``, ``/metrics``, and a process beside it that sleeps."""

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import quantiles
from typing import Self

import aiohttp

MOST_MIB = 300.0
MOST_LAG = 0.25
"""Promised: memory in MiB, and seconds that the loop is late, in 99 of 100 cases."""

BUCKET = re.compile(r'^notifier_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)

# Who is started in the background by a shell ignores an interrupt, and so does what it starts. It counts as the program does: who
# stood still for three seconds was late thirty times.
SLEEPER = """
import json, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
lates = []
try:
    print("asleep", flush=True)
    due = time.monotonic() + 0.1
    while True:
        time.sleep(max(due - time.monotonic(), 0.0))
        late = time.monotonic() - due
        while late >= 0:
            lates.append(late)
            late, due = late - 0.1, due + 0.1
except KeyboardInterrupt:
    print(json.dumps(lates))
"""


@dataclass
class Gauges:
    """What was measured.

    Attributes:
        peak: The most memory that was resident at once, in MiB.
        lag: Seconds that the program's loop was late at most in 99 of 100 cases, by its own histogram.
        worst: The upper edge of the bucket of the latest beat.
        idle: The same as ``lag`` of a process beside it that does nothing but sleep: that much is the machine's.
        share: How much of the processor it got when it wanted it, 0 to 1; on a quiet machine nearly all.
        answers: Seconds that ``/healthz`` took, each time.
    """

    peak: float = 0.0
    lag: float = 0.0
    worst: float = 0.0
    idle: float = 0.0
    share: float = 1.0
    answers: list[float] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether memory and lag stayed within what is promised, on a machine that makes nobody wait."""
        return self.peak <= MOST_MIB and self.lag <= MOST_LAG / self.share + self.idle

    def as_notes(self) -> dict[str, float]:
        p99 = quantiles(self.answers, n=100)[98] if len(self.answers) > 1 else 0.0
        return {
            "peak MiB": round(self.peak),
            "loop lag p99 ms": round(self.lag * 1000),
            "sleeper p99 ms": round(self.idle * 1000),
            "processor share": round(self.share, 2),
            "healthz p99 ms": round(p99 * 1000),
        }


def lag_of(metrics: str, share: float = 0.99) -> float:
    """Below which lag so many of all beats lie, with a straight line drawn through the bucket; 0 where none was counted."""
    return _within(_counts(metrics), share)


def _counts(metrics: str) -> dict[float, float]:
    return {float(edge): float(count) for edge, count in BUCKET.findall(metrics)}


def _within(counts: dict[float, float], share: float = 0.99) -> float:
    wanted = max(counts.values(), default=0.0) * share
    lower, below = 0.0, 0.0
    for edge, count in sorted(counts.items()):
        if wanted and count >= wanted:
            return edge if count == below or edge == inf else lower + (edge - lower) * (wanted - below) / (count - below)
        lower, below = edge, count
    return 0.0


@asynccontextmanager
async def gauged(pid: int, port: int) -> AsyncIterator[Gauges]:
    """Measure a process whose status page is at ``port``, while entered. It must still run at the end."""
    gauges = Gauges()
    before = schedule(pid)
    sleeper = await asyncio.create_subprocess_exec(sys.executable, "-c", SLEEPER, stdout=asyncio.subprocess.PIPE)
    assert sleeper.stdout is not None
    await sleeper.stdout.readline()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        watcher = asyncio.create_task(_watch(session, port, gauges))
        try:
            yield gauges
            metrics = await _text(session, f"http://127.0.0.1:{port}/metrics")
            program = _counts(metrics)
            gauges.lag, gauges.worst = _within(program), _within(program, share=1.0)
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher
            sleeper.send_signal(2)
            said, _ = await sleeper.communicate()
    lates = json.loads(said)
    gauges.idle = _within({edge: float(sum(late <= edge for late in lates)) for edge in program})
    gauges.share = share_of(pid, before)
    gauges.peak = peak_of(pid)


def schedule(pid: int) -> tuple[int, int]:
    """Nanoseconds for which its main thread ran, and for which it could have run and had to wait (Linux: sched-stats.rst)."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran), int(waited)


def share_of(pid: int, before: tuple[int, int] = (0, 0)) -> float:
    """How much of the processor a process got when it wanted it, 0 to 1, since its `schedule` was ``before``."""
    ran, waited = (now - then for now, then in zip(schedule(pid), before, strict=True))
    return ran / (ran + waited) if ran else 1.0


def peak_of(pid: int) -> float:
    """The most memory a process ever held, in MiB."""
    return _status(pid, "VmHWM") / 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """What a process holds at a moment (of the monotonic clock): memory that is resident, in MiB, open files, threads."""

    at: float
    pid: int
    memory: float
    files: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Self:
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return cls(time.monotonic(), pid, _status(pid, "VmRSS") / 1024, files, _status(pid, "Threads"))


def _status(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+)(?: kB)?$", status, re.MULTILINE)
    assert found, status
    return int(found[1])


async def waiting(port: int, sink: str) -> int:
    """How many deliveries of a sink are open, up to two."""
    rows = []
    async with aiohttp.ClientSession() as session:
        for state in ("pending", "sending"):
            url = f"http://127.0.0.1:{port}/api/v1/deliveries?sink={sink}&state={state}&limit=1"
            async with session.get(url) as answer:
                rows += (await answer.json())["deliveries"]
    return len(rows)


async def _watch(session: aiohttp.ClientSession, port: int, gauges: Gauges) -> None:
    """Ask for its health ten times a second and note how long the answer takes."""
    while True:
        began = time.monotonic()
        with suppress(aiohttp.ClientConnectionError):  # It has not begun to listen yet.
            await _text(session, f"http://127.0.0.1:{port}/healthz")
            gauges.answers.append(time.monotonic() - began)
        await asyncio.sleep(0.1)


async def _text(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as answer:
        return await answer.text()


async def listening(port: int, timeout: float) -> None:
    """Wait until somebody takes connections there."""
    async with asyncio.timeout(timeout):
        while not await _listens(port):  # noqa: ASYNC110 - it lies in another process
            await asyncio.sleep(0.05)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
