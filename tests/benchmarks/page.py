"""What the first page costs with 200 clusters of 20 nodes: the server's answer, the browser's first paint, what is sent.

Run it with ``python tests/benchmarks/page.py``. Without Chromium the paint is left out. Half of the fleet is at work.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import aiohttp

from notifier.domain.diff import diff
from notifier.domain.known import Known
from notifier.domain.model import Action, Cluster, Snapshot, Stage, Task
from notifier.sources.upgrades import STAGES
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web.health import Health
from notifier.web.server import Web

sys.path.append(str(Path(__file__).parents[1] / "web"))
from web_browsing import QUIET, chromium

CLUSTERS, NODES, ROUNDS = 200, 20, 15
NOW = datetime.now(UTC)


def fill(tx: Transaction) -> None:
    """The fleet as it stands."""
    nodes = tuple(f"search-prod-ess-esn-{number}-1" for number in range(1, NODES + 1))
    stages = tuple(
        Stage(stage.order, stage.name, "SUCCESS" if stage.order < 6 else "RUNNING" if stage.order == 6 else "WAITING")
        for stage in STAGES
    )
    for number in range(CLUSTERS):
        cluster = Cluster(f"cluster-{number:04d}", f"search-prod-{number:04d}", "cn-north-4", "prod", "p" * 32, {"env": "prod"})
        done = number % NODES
        status = "FAILED" if number % 50 == 0 else "RUNNING" if number % 2 else "SUCCESS"
        completed = nodes if status == "SUCCESS" else nodes[:done]
        flying = () if status == "SUCCESS" else nodes[done : done + 1]
        task = Task(f"task-{number}", status, 1, nodes, completed, flying, nodes[done], stages, NOW - timedelta(hours=2))
        known = Known(baselines=frozenset(Action))
        step = diff(known, Snapshot(cluster, Action.UPGRADING, (task,)), NOW)
        tx.save(cluster, (Known(), 0), step.known, (step.events, ()), NOW.timestamp())


async def ask(url: str) -> None:
    """How long the server takes, and what it sends."""
    took, sent, whole, cpu = [], 0, 0, time.process_time()
    async with aiohttp.ClientSession() as session, aiohttp.ClientSession(auto_decompress=False) as raw:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            async with raw.get(url, headers={"Accept-Encoding": "gzip"}) as response:
                sent = len(await response.read())
            took.append(time.perf_counter() - began)
        cpu = time.process_time() - cpu
        async with session.get(url) as response:
            whole = len(await response.read())
    print(f"server: median {median(took) * 1000:.0f} ms, worst {max(took) * 1000:.0f} ms of {ROUNDS}")  # noqa: T201 - it prints
    print(f"        {cpu / ROUNDS * 1000:.0f} ms of processor each, the asking included")  # noqa: T201 - it prints
    print(f"sent: {sent / 1024:.1f} KiB compressed, {whole / 1024:.1f} KiB whole")  # noqa: T201 - it prints


async def paint(url: str, path: str) -> None:
    """When a browser first shows something, and when all of it is there, from the click on."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - it is not always there

    painted = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    paints, loads, weight = [], [], 0.0
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=QUIET)
        for _ in range(5):
            page = await browser.new_page()
            await page.goto(url)
            while (first := await page.evaluate(painted)) is None:  # noqa: ASYNC110 - the page lets nobody wait inside it
                await asyncio.sleep(0.01)
            paints.append(first)
            loads.append(await page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart"))
            weight = await page.evaluate("performance.getEntries().reduce((sum, each) => sum + (each.transferSize || 0), 0)")
            await page.close()
        await browser.close()
    print(f"browser: first paint median {median(paints):.0f} ms, loaded {median(loads):.0f} ms")  # noqa: T201 - it prints
    print(f"page weight with sheets and scripts: {weight / 1024:.1f} KiB")  # noqa: T201 - it prints


async def main() -> None:
    """Measure."""
    store = Store("sqlite://").open()
    web = Web(store, host="127.0.0.1", port=0, token=None, health=lambda: Health(alive=True), retried=print)
    async with web:
        await store.transact(fill)
        await ask(web.url)
        if path := chromium():
            await paint(web.url, path)
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
