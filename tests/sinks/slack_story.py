"""Whole stories on a fake Slack: a simulated cloud, the program as it is run, and an audit of what people have seen of it."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from block_limits import problems
from fake_slack import CHANNEL, OTHER, PATIENCE, TOKEN, Slack

from notifier import app
from notifier.domain.model import Event
from notifier.sinks.slack import PLACES
from notifier.sources.scenarios import ClusterPlan, Scenario, node_names
from notifier.sources.simulator import Simulator
from notifier.sources.story_clock import StoryClock
from notifier.sources.upgrades import Failure, TaskPlan
from notifier.store.rows import SinkState, State
from notifier.store.store import Store

PACE = 1 / 750
"""At which a node takes about a second."""

CONFIG = """\
projects:
  - name: fleet
    region: cn-north-4
    project_id: 6204a5bd270343b5885144cf9c8c158d
    endpoint: {cloud}
    credentials: {{access_key: AK, secret_key: SK}}
    clusters:
{clusters}
poll: {{active: 100ms, idle: 100ms, timeout: 2s, rate: 2000}}
store: sqlite:///{folder}/notifier.db
sinks:
  team: {{type: slack, token: {token}, channel: {channel}, base_url: "{slack}", {more}{also}}}
  other: {{type: slack, token: {token}, channel: {other}, base_url: "{slack}", {more}}}
routes:
  - {{match: {{kind: "*", cluster: "*[0-4]"}}, sinks: [team]}}
  - {{match: {{kind: "*", cluster: "*[5-9]"}}, sinks: [other]}}
delivery: {{first_retry: 100ms, max_retry: 300ms}}
http: off
"""
QUICK = "every: 200ms, rate: 100"


def plan(number: int, *failures: Failure, nodes: int = 2, start: float = 0.5) -> ClusterPlan:
    """A cluster that is upgraded within seconds."""
    name = f"css-{number}"
    task = TaskPlan(f"task-{number}", node_names(name, nodes), start, pace=PACE, seed=number, failures=failures)
    return ClusterPlan(f"id-of-{number}", name, task.nodes, (task,))


def retried(node: int = 0, stage: int = 2) -> Failure:
    """A failure that somebody retries after a second."""
    return Failure(node, stage, retried_after=750.0)


def configured(
    folder: Path, cloud: str, slack: str, plans: tuple[ClusterPlan, ...], *, more: str = QUICK, also: str = ""
) -> Path:
    """The configuration's file. ``also``: what only the first sink has."""
    clusters = "\n".join(f"      - {{id: {each.id}, name: {each.name}}}" for each in plans)
    path = folder / "notifier.yaml"
    addresses = {"cloud": cloud, "slack": slack, "token": TOKEN, "channel": CHANNEL, "other": OTHER}
    path.write_text(CONFIG.format(clusters=clusters, folder=folder, more=more, also=also, **addresses))
    return path


@asynccontextmanager
async def cloud(*plans: ClusterPlan) -> AsyncIterator[Simulator]:
    """The cloud in which they are upgraded, once somebody watches."""
    async with Simulator(Scenario("story", "a story", plans), speed=1.0, monotonic=StoryClock(8 * len(plans) + 2)) as simulator:
        yield simulator


@asynccontextmanager
async def program(path: Path) -> AsyncIterator[Store]:
    """The program at work, in this process."""
    settings = app.load(path)
    store = Store(settings.store).open()
    try:
        async with app.Crew(settings, store):
            yield store
    finally:
        store.close()


async def over(workspace: Slack, count: int, within: float = PATIENCE) -> None:
    """Wait until so many cards show an end."""
    ends = ("Succeeded", "someone must choose")
    await workspace.until(lambda: sum(any(end in str(root.blocks) for end in ends) for root in workspace.roots) >= count, within)


async def quiet(store: Store, within: float = PATIENCE) -> list[Event]:
    """Wait until nothing is owed any more; all events. What is owed lies in a database, so it has to be asked for again."""
    async with asyncio.timeout(within):
        while await _owed(store):  # noqa: ASYNC110 - nothing tells when a database has changed
            await asyncio.sleep(0.02)
    return await told(store)


async def paused(store: Store, sink: str, within: float = PATIENCE) -> SinkState:
    """Wait until a sink is left alone; how it stands then."""
    async with asyncio.timeout(within):
        while not (state := (await store.transact(lambda tx: tx.sinks()))[sink]).paused:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.02)
    return state


async def _owed(store: Store) -> bool:
    return any(state in {State.PENDING, State.SENDING} for _, state in await store.transact(lambda tx: tx.counts()))


async def told(store: Store) -> list[Event]:
    """All events."""
    return [event for _, event in await store.transact(lambda tx: tx.events(limit=10_000))]


def audit(workspace: Slack, events: list[Event]) -> None:
    """Each task has one card, and each event that belongs in its thread is there once."""
    roots = {root.ts: root for root in workspace.roots}
    tasks = {event.thread for event in events}
    assert len(roots) == len(tasks), Counter(root.text for root in roots.values())
    replies = [message for message in workspace.messages if message.thread is not None]
    assert all(reply.thread in roots for reply in replies)
    told = Counter(reply.metadata["event_payload"]["event"] for reply in replies)
    assert not {event: times for event, times in told.items() if times > 1}
    owed = {event.id: event.kind for event in events if event.kind in PLACES}
    missing = [kind for event, kind in owed.items() if event not in told]
    assert not missing, missing
    assert all(problems(message.blocks) == [] for message in workspace.messages)


NURSERY = """\
import os, sys
import notifier.app, notifier.sinks.slack
import notifier.sinks.slack_channel
from notifier.cli import main

notifier.sinks.slack_channel.POST_GAP = 0.01
for _ in sys.stdin:
    child = os.fork()
    if not child:
        main(["run", "-c", sys.argv[1]])
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""
"""Starts the program again and again without reading it again each time. Its posts need not be a second apart."""


class Process:
    """The program as a process of its own, which can be killed."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self._nursery: asyncio.subprocess.Process | None = None
        self._child = 0

    async def start(self) -> None:
        if self._nursery is None:
            with self.config.with_suffix(".log").open("ab") as log:
                arguments = [sys.executable, "-c", NURSERY, str(self.config)]
                pipe = asyncio.subprocess.PIPE
                self._nursery = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, stderr=log)
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(b"\n")
        self._child = int(await self._line())

    async def ended(self) -> None:
        """Wait for its end."""
        assert await self._line() == b"ended\n"
        self._child = 0

    async def _line(self) -> bytes:
        assert self._nursery is not None
        assert self._nursery.stdout is not None
        return await self._nursery.stdout.readline()

    def send(self, number: signal.Signals) -> None:
        if self._child:
            with suppress(ProcessLookupError):
                os.kill(self._child, number)

    async def clear(self) -> None:
        """Nothing of it may outlive the test."""
        self.send(signal.SIGKILL)
        if self._nursery is not None and self._nursery.returncode is None:
            self._nursery.kill()
            await self._nursery.wait()

    @property
    def log(self) -> str:
        return self.config.with_suffix(".log").read_text(errors="replace")
