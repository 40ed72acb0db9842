"""The whole program on embedded parts: a simulated cloud, a store in a temporary folder, the console, the status page."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory

from notifier import app, telemetry
from notifier.domain.model import Kind
from notifier.sources.scenarios import DEMO_SPEED, SCENARIOS, Scenario
from notifier.sources.signing import Keys
from notifier.sources.simulator import Simulator
from notifier.sources.story_clock import StoryClock
from notifier.store.store import Store

Say = Callable[[str], None]

CONFIGURATION = """\
projects:
  - name: demo
    region: cn-north-4
    project_id: 6204a5bd270343b5885144cf9c8c158d
    endpoint: {endpoint}
    credentials: {{access_key: DEMO-ACCESS-KEY, secret_key: DEMO-SECRET-KEY}}
    clusters:
{clusters}
poll: {{active: 200ms, idle: 1s, rate: 100}}
store: sqlite:///{folder}/demo.db
sinks:
  console: {{type: console}}
routes:
  - {{match: {{severity: ">=info"}}, sinks: [console]}}
http: {{listen: "127.0.0.1:{port}"}}
log: {{level: error}}
"""

AFTER = 3.0
"""Seconds the story is followed after its end, so that its last words are heard."""

LOOK = 0.25
"""Seconds between two looks whether it has ended, and by which it goes on between two looks at the most: it waits for a machine
that is held up, or that slept."""


async def play(*, keep: bool, port: int, speed: float | None, say: Say) -> None:
    """Play the demo scenario to its end; with ``keep`` go on until interrupted."""
    scenario, speed = SCENARIOS["demo"], speed or DEMO_SPEED
    length = scenario.end / speed + AFTER
    say(f"Three clusters of a simulated Huawei Cloud, {speed:.0f} times faster than life, for about {length:.0f} s:")
    for cluster in scenario.clusters:
        say(f"  {cluster.name}: {len(cluster.nodes)} nodes")
    say("search-prod is upgraded, logs-prod fails and is retried, orders-eu moves to another AZ.")
    say("Each line below is an event, told through the console sink. Stages are left out (severity debug).")
    say(f"Times jump: the API's clock, where it gives a time, goes {speed:.0f} times faster than yours.\n")
    telemetry.configure("console", "error")
    with TemporaryDirectory(prefix="notifier-demo-") as folder:
        async with Simulator(scenario, speed=speed, monotonic=StoryClock(longest=LOOK)) as cloud:
            path = Path(folder) / "demo.yaml"
            path.write_text(_configuration(scenario, cloud.url, folder, port))
            settings = app.load(path)
            store = Store(settings.store).open()
            try:
                async with app.Crew(settings, store) as crew:
                    say(f"Status page, live: {crew.page}\n")
                    await _until_interrupted(None if keep else _end(cloud))
                    await _sum_up(store, say)
            finally:
                store.close()


def _configuration(scenario: Scenario, endpoint: str, folder: str, port: int) -> str:
    clusters = "\n".join(f"      - {{id: {each.id}, name: {each.name}, labels: {{env: demo}}}}" for each in scenario.clusters)
    return CONFIGURATION.format(endpoint=endpoint, clusters=clusters, folder=folder, port=port)


async def _sum_up(store: Store, say: Say) -> None:
    events = await store.transact(lambda tx: tx.events(limit=10_000))
    counts = await store.transact(lambda tx: tx.counts())
    kinds = [event.kind for _, event in events]
    say(f"\nThat was all: {len(kinds)} events, {kinds.count(Kind.NODE_COMPLETED)} nodes completed;")
    failed, retried, succeeded = (kinds.count(kind) for kind in (Kind.TASK_FAILED, Kind.TASK_RETRIED, Kind.TASK_SUCCEEDED))
    say(f"tasks {failed} failed, {retried} retried, {succeeded} succeeded.")
    said = ", ".join(f"{count} {state.value}" for (_, state), count in sorted(counts.items()))
    say(f"Deliveries: {said}. Next: config/notifier.example.yaml, then `notifier check` and `notifier run`.")


async def simulate(scenario: Scenario, *, port: int, speed: float, keys: tuple[str, str] | None, say: Say) -> None:
    """Serve a scenario until interrupted."""
    async with Simulator(scenario, speed=speed, port=port, keys=Keys(*keys) if keys else None) as cloud:
        say(f"{cloud.url} speaks the API of Huawei Cloud CSS: {scenario.description}, at speed {speed:g}.")
        for cluster in scenario.clusters[:20]:
            say(f"  {cluster.name}  {cluster.id}")
        await _until_interrupted(None)


async def _end(cloud: Simulator) -> None:
    while cloud.elapsed < cloud.scenario.end:  # noqa: ASYNC110 - nothing tells but its clock
        await asyncio.sleep(LOOK)
    await asyncio.sleep(AFTER)


async def _until_interrupted(end: Coroutine[None, None, None] | None) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    awaited = [asyncio.create_task(each) for each in (stop.wait(), end) if each is not None]
    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    for task in awaited:
        task.cancel()
