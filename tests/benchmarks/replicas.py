"""How much more several replicas tell than one: processes of their own, one PostgreSQL, a receiver that takes its time.

Run it with ``make bench``. Prints ratios to one replica; more of them than cores gain only while receivers are waited for.
"""

import asyncio
import multiprocessing
import sys
import time
from datetime import UTC, datetime
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Self

from notifier import telemetry
from notifier.domain.diff import diff
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Action, Cluster, Event, Snapshot, Task
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.engine.dispatcher import Dispatcher
from notifier.engine.outlet import Outlet
from notifier.engine.sending import OutletSettings
from notifier.sinks.contract import SinkSettings, Surroundings
from notifier.store.rows import State
from notifier.store.store import Store
from notifier.store.transaction import Transaction

sys.path += [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "store")]
import store_postgres

LANES = 60
NODES = tuple(f"n{number}" for number in range(1, 6))
ANSWER = 0.1
"""Seconds a receiver takes: what Slack and most webhooks do."""

CONCURRENCY = 4


class Slow:
    """A receiver that takes its time."""

    def __init__(self, settings: SinkSettings, surroundings: Surroundings) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # noqa: ARG002 - a sink's signature
        await asyncio.sleep(ANSWER)
        return Receipt({"id": message.id})


def owe(tx: Transaction) -> int:
    """A task in each of many lanes that starts and completes its nodes; how many deliveries that is."""
    audience, now, count = Audience([Route(Matcher(), ("team",))]), datetime.now(UTC), 0
    for number in range(LANES):
        subject = Cluster(f"c{number}", f"c{number}", "cn-north-4", "prod", "p1")
        before = tx.known(subject)
        known = before[0]
        events: list[Event] = []
        for done in range(-1, len(NODES) + 1):
            left = NODES[max(done, 0) :]
            tasks = () if done < 0 else (Task("t1", "RUNNING", 1, NODES, NODES[:done], left[:1], left[0] if left else None),)
            step = diff(known, Snapshot(subject, Action.UPGRADING, tasks), now)
            known, events = step.known, [*events, *step.events]
        tx.save(subject, before, known, (events, audience.plan(events, now)), now.timestamp())
        count += len(events)
    return count


def replica(url: str, name: str, go: Flag, done: Flag) -> None:
    """Tell until all is told."""

    telemetry.configure(level="error")

    async def serve() -> None:
        store = Store(url).open()
        sink = Slow(SinkSettings(), None)  # type: ignore[arg-type]  # it has no surroundings
        dispatcher = Dispatcher([Outlet(OutletSettings("team", concurrency=CONCURRENCY), sink, store, name)])
        await asyncio.to_thread(go.wait)
        dispatcher.start()
        await asyncio.to_thread(done.wait)
        await dispatcher.stop(1.0)
        store.close()

    asyncio.run(serve())


async def measure(url: str, count: int) -> float:
    """Deliveries a second by so many replicas."""
    context = multiprocessing.get_context("spawn")
    go, done = context.Event(), context.Event()
    store = Store(url).open()
    owed = await store.transact(owe)
    replicas = [context.Process(target=replica, args=(url, f"r{number}", go, done)) for number in range(count)]
    for each in replicas:
        each.start()
    await asyncio.sleep(5)  # Until they have opened the store: starting is not what is measured.
    began = time.monotonic()
    go.set()
    while (await store.transact(lambda tx: tx.counts())).get(("team", State.DELIVERED), 0) < owed:  # noqa: ASYNC110 - only asking tells
        await asyncio.sleep(0.1)
    seconds = time.monotonic() - began
    done.set()
    for each in replicas:
        each.join()
    store.close()
    return owed / seconds


def main() -> None:
    """Print a table."""
    folder = store_postgres.binaries()
    if folder is None:
        sys.exit("no PostgreSQL server binaries")
    first = 0.0
    print(f"{LANES} tasks, a receiver that takes {ANSWER * 1000:.0f} ms, {CONCURRENCY} messages at once by each replica")  # noqa: T201
    for count in (1, 2, 4):
        with store_postgres.running(folder) as url:
            rate = asyncio.run(measure(url, count))
        first = first or rate
        print(f"{count} replicas: {rate:6.1f} deliveries/s, {rate / first:4.2f} of one")  # noqa: T201


if __name__ == "__main__":
    main()
