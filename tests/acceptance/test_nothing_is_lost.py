"""The real program against a cloud that errs and a receiver that fails, with and without SIGKILL in the middle.

Nothing lost, nothing out of order, nothing told twice as news.
"""

import asyncio
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from ledger_receiver import SECRET, Ledger

from notifier.domain.model import Kind
from notifier.sources.faults import Fault, Faults
from notifier.sources.scenarios import Scenario, fleet
from notifier.sources.simulator import Simulator
from notifier.store.rows import State
from notifier.store.store import Store

SPEED = 150.0
# Refused keys rest the whole project for a minute, so they have a test of their own.
MIX: dict[Fault, float] = {fault: 1.0 for fault in Fault if fault not in {Fault.UNAUTHORIZED, Fault.THROTTLED}}
ALWAYS_OWED = {Kind.TASK_STARTED, Kind.TASK_RETRIED, Kind.NODE_COMPLETED}

CONFIG = """\
projects:
  - name: fleet
    region: cn-north-4
    project_id: 6204a5bd270343b5885144cf9c8c158d
    endpoint: {cloud}
    credentials: {{access_key: AK, secret_key: SK}}
    clusters:
{clusters}
poll: {{active: 150ms, idle: 300ms, timeout: 500ms, rate: 500}}
store: sqlite:///{folder}/notifier.db
sinks:
  hook: {{type: webhook, url: "{hook}", secret: {secret}, concurrency: 8}}
routes:
  - {{match: {{kind: "*"}}, sinks: [hook]}}
delivery: {{first_retry: 100ms, max_retry: 1s}}
http: off
log: {{format: json, level: warning}}
"""


class Bot:
    """The program as a process that can be killed and started again."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self.process: asyncio.subprocess.Process | None = None
        self.log = config.with_suffix(".log")

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "notifier", "run", "-c", str(self._config), stdout=log, stderr=log
            )

    async def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        assert self.process.returncode is None, self.log.read_text()
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 10)


@asynccontextmanager
async def world(tmp_path: Path, scenario: Scenario) -> AsyncIterator[tuple[Bot, Ledger]]:
    ledger = Ledger(failing=0.2, resetting=0.05)
    faults = Faults(rate=0.2, mix=MIX, slow_for=1.0, seed=7)
    async with Simulator(scenario, speed=SPEED, faults=faults) as cloud, ledger.server:
        clusters = "\n".join(f"      - {{id: {each.id}, name: {each.name}}}" for each in scenario.clusters)
        hook = str(ledger.server.make_url("/hook"))
        config = tmp_path / "notifier.yaml"
        config.write_text(CONFIG.format(cloud=cloud.url, clusters=clusters, folder=tmp_path, hook=hook, secret=SECRET))
        bot = Bot(config)
        await bot.start()
        try:
            yield bot, ledger
        finally:
            if bot.process is not None and bot.process.returncode is None:
                bot.process.kill()
                await bot.process.wait()


Said = tuple[str, str, str | None, int | None, int]


def said(kind: str, task: str, node: str | None, order: int | None, attempt: int) -> Said:
    once = kind in {Kind.TASK_STARTED, Kind.NODE_COMPLETED}
    return (kind, task, node, order, 0 if once else attempt)


def audit(scenario: Scenario, ledger: Ledger) -> dict[str, int]:
    """The verdict, as numbers that should all be zero."""
    truth: dict[Said, bool] = {}
    last: dict[str, Said] = {}
    for fact in scenario.facts():
        key = said(fact.kind, fact.task_id, fact.node, fact.order, fact.attempt)
        truth[key] = fact.kind in ALWAYS_OWED
        if fact.kind in {Kind.TASK_SUCCEEDED, Kind.TASK_FAILED, Kind.TASK_PARTIALLY_FAILED}:
            last[fact.task_id] = key
    owed = {key for key, always in truth.items() if always} | set(last.values())
    ids: dict[Said, set[str]] = defaultdict(set)
    threads: dict[str, list[int]] = defaultdict(list)
    for event in ledger.first().values():
        data = event["data"]
        if data["task"] is None:
            threads[data["cluster"]["id"]].append(data["sequence"])
            continue
        order = data["stage"] and data["stage"]["order"]
        ids[said(data["kind"], data["task"]["id"], data["node"], order, data["task"]["attempt"])].add(event["id"])
        threads[data["task"]["id"]].append(data["sequence"])
    return {
        "lost": len(owed - set(ids)),
        "phantoms": len(set(ids) - set(truth)),
        "facts under two ids": sum(len(each) > 1 for each in ids.values()),
        "out of order": sum(sequence != list(range(1, len(sequence) + 1)) for sequence in threads.values()),
        "repeats that differ": sum(len(bodies) > 1 for bodies in ledger.bodies.values()),
    }


def finals(scenario: Scenario, ledger: Ledger) -> bool:
    """Whether every task's last end was received."""
    return audit(scenario, ledger)["lost"] == 0


async def everything(scenario: Scenario, ledger: Ledger, timeout: float) -> None:
    async with asyncio.timeout(timeout):
        while not finals(scenario, ledger):
            await ledger.until(len(ledger.received) + 1, timeout)


@pytest.mark.parametrize("kills", [0, 10])
async def test_nothing_is_lost_repeated_or_out_of_order(tmp_path: Path, kills: int) -> None:
    scenario = fleet(12, seed=kills, window=600.0)
    async with world(tmp_path, scenario) as (bot, ledger):
        for _ in range(kills):
            await ledger.until(len(ledger.received) + 25, 60)
            await bot.end(signal.SIGKILL)
            await bot.start()
        await everything(scenario, ledger, 90)
        assert await bot.end(signal.SIGTERM) == 0, bot.log.read_text()[-4000:]
    assert audit(scenario, ledger) == dict.fromkeys(audit(scenario, ledger), 0)
    repeats = len(ledger.received) - len(ledger.first())
    # Only what was under way at a kill, or whose answer was lost, may come twice.
    assert repeats <= len(ledger.unanswered) * 3 + kills * 8
    store = Store(f"sqlite:///{tmp_path}/notifier.db").open()
    try:
        counts = await store.transact(lambda tx: tx.counts())
        events = await store.transact(lambda tx: tx.events(limit=100_000))
    finally:
        store.close()
    assert not counts.get(("hook", State.DEAD))
    waiting = counts.get(("hook", State.PENDING), 0) + counts.get(("hook", State.SENDING), 0)
    # What was received and what was committed are the same, but for the last few that SIGTERM left for the next start.
    missing = {event.id for _, event in events} - set(ledger.first())
    assert len(missing) <= waiting
    assert set(ledger.first()) <= {event.id for _, event in events}
