"""Run B: several replicas on one PostgreSQL.

They are killed, stopped for longer than their lease, cut off at COMMIT, multiplied and set an hour apart, and the database
crashes under them, or fails over to its standby.
"""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import chaos_replica_process
import psycopg
from chaos_audit import Blow, Verdict, Wanting, audit, unexplained
from chaos_bot import EVERY, SECOND, SLOTS, Bot, configuration
from chaos_forked import Forked
from chaos_ledger import Ledger, Receipt
from chaos_proxy import Proxy
from chaos_world import MIX, PATIENCE, SPEED, everything

sys.path.append(str(Path(__file__).parent.parent / "store"))
import store_postgres

from notifier.domain.model import Event
from notifier.engine.sending import LONGEST_SEND
from notifier.sources.faults import Faults
from notifier.sources.scenarios import Scenario, fleet
from notifier.sources.simulator import Simulator
from notifier.store.rows import DeliveryRow
from notifier.store.store import Store

LEASE = 4.0
"""Seconds, instead of 30: time enough for a send on a busy machine, short enough for many zombies."""

CALM_LEASE = 9.0
"""Where nobody is struck, a machine that is too slow for a send must not look like a fault."""

ORPHANS = """WITH living AS (SELECT name FROM replica WHERE lease_until > extract(epoch FROM clock_timestamp()))
SELECT key FROM watch WHERE owner NOT IN (SELECT name FROM living) AND EXISTS (SELECT 1 FROM living)"""
"""Clusters that are nobody's although somebody is there to take them."""


NEAR = 15.0
"""Seconds around a repeat in which what happened may be its cause."""

TRIES = """SELECT owed.id, owed.attempts, tried.number, tried.ended_at, tried.outcome, tried.detail
FROM delivery AS owed LEFT JOIN attempt AS tried ON tried.delivery = owed.id WHERE owed.event = %s ORDER BY number"""


FENCED = re.compile(r'"action": "fenced", "what": "delivery", "subject": "([^"]+)"')
"""How a replica says that another had taken a delivery over before its outcome could be written."""


def let_go(receipts: Iterable[Receipt], fenced: AbstractSet[str], lease: float) -> None:
    """Note what was told again since the lease was over before the outcome was written, as if its answer had not been given.

    A busy machine lets a replica stand still for longer than a lease of seconds, without a blow; the replica says that it was
    fenced, afterwards. A lane that was given away before the lease was over is no such case: a send begins with the claim and
    takes at most its share of the lease.
    """
    last: dict[str, Receipt] = {}
    for receipt in receipts:
        before = last.get(receipt.id)
        if before is not None and receipt.id in fenced and receipt.at - before.at >= (1 - LONGEST_SEND) * lease:
            before.answered = False
        last[receipt.id] = receipt


@dataclass
class Replica(Bot):
    """One of several; what is done to it is noted with all the others'."""

    ahead: float = 0.0
    lease: float = LEASE
    stopped_at: float | None = None

    async def start(self) -> None:  # type: ignore[explicit-override]  # Python 3.12 has it
        """Start the program with a short lease."""
        path, arguments = self.config.with_suffix(".log"), [str(self.config), str(self.lease), str(self.ahead)]
        self.starts += 1
        if self.starts % EVERY != SECOND:
            self.process = await Forked.start(chaos_replica_process.main, arguments, path, self.environ)
            return
        command = (sys.executable, chaos_replica_process.__file__, *arguments)
        with path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=os.environ)

    def send(self, number: signal.Signals) -> None:  # type: ignore[explicit-override]  # likewise
        """Strike; what was received may wait to be recorded for as long as the lease lasts."""
        super().send(number)
        if number is not signal.SIGCONT:
            self.blows[-1] = replace(self.blows[-1], before=self.lease)

    def stop(self) -> None:
        """Make a zombie of it."""
        self.stopped_at = time.monotonic()
        self.send(signal.SIGSTOP)

    def wake(self) -> None:
        """Let the zombie go on. What it had under way may arrive only now, after others have told it."""
        assert self.process is not None
        assert self.stopped_at is not None
        now = time.monotonic()
        self.blows.append(Blow(now, "SIGCONT", before=now - self.stopped_at + 1.0))
        self.stopped_at = None
        self.process.send_signal(signal.SIGCONT)


@dataclass
class Group:
    """The cloud, the receiver and the database, and the replicas between them."""

    scenario: Scenario
    ledger: Ledger
    cloud: Simulator
    database: store_postgres.Server | store_postgres.Pair
    proxy: Proxy
    folder: Path
    draw: Random
    cuts: int = 0
    """How many COMMITs are still to be cut."""
    cut_at: list[float] = field(default_factory=list)
    blows: list[Blow] = field(default_factory=list)
    replicas: list[Replica] = field(default_factory=list)
    began: float | None = None
    repeats: list[str] = field(default_factory=list)
    """What is known of each repeat that nothing explains."""
    longest_orphan: float = 0.0
    """Seconds for which any cluster was nobody's, while there was somebody to take it."""

    async def add(self, ahead: float = 0.0, lease: float = LEASE, active: str = "300ms", idle: str = "600ms") -> Replica:
        """Start one more."""
        folder = self.folder / f"r{len(self.replicas)}"
        folder.mkdir()
        # The cuts are felt by one of them; the others need not pay for the proxy.
        store = self.database.url if self.replicas else self.proxy.url
        hooks = {"hook": self.ledger.url}
        config = configuration(folder, self.scenario, self.cloud.url, hooks, store=store, active=active, idle=idle)
        replica = Replica(config, blows=self.blows, ahead=ahead, lease=lease)
        self.replicas.append(replica)
        await replica.start()
        return replica

    def clock(self) -> float:
        """The cloud's: it stands until `begin`."""
        return 0.0 if self.began is None else time.monotonic() - self.began

    async def begin(self) -> None:
        """Have the story begin once every cluster has been looked at."""
        async with _reading(self.database.url) as store, asyncio.timeout(PATIENCE):
            while len(await store.transact(lambda tx: tx.clusters())) < len(self.scenario.clusters):  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(0.05)
        self.began = time.monotonic()

    @property
    def at_work(self) -> list[Replica]:
        """Those that run and are not stopped."""
        return [each for each in self.replicas if each.running and each.stopped_at is None]

    async def crash_database(self) -> None:
        """Have it crash: it concerns whatever any replica had under way and could not record."""
        now = time.monotonic()
        await asyncio.to_thread(self.database.crash)
        self.blows += [Blow(now, "PostgreSQL crashes", before=LEASE, after=LEASE) for _ in self.replicas]

    async def watch_orphans(self) -> None:
        """Note for how long clusters are nobody's, until cancelled."""
        since: dict[str, float] = {}
        while True:
            await asyncio.sleep(0.1)
            try:
                found = await asyncio.to_thread(_orphans, self.database.url)
            except psycopg.Error:
                since.clear()
                continue
            now = time.monotonic()
            since = {key: since.get(key, now) for key in found}
            self.longest_orphan = max([self.longest_orphan, *(now - began for began in since.values())])

    async def shares(self) -> list[int]:
        """How many clusters each living replica holds, by the store."""
        async with _reading(self.database.url) as store:
            rows = await store.transact(lambda tx: tx.replicas(0.0))
        return sorted(len(row.clusters) for row in rows if row.alive)

    async def even(self, count: int, within: float) -> float:
        """Wait until so many replicas share evenly; how long that took."""
        began = time.monotonic()
        async with asyncio.timeout(within):
            while True:
                shares = await self.shares()
                if len(shares) == count and sum(shares) == len(self.scenario.clusters) and shares[-1] - shares[0] <= 1:
                    return time.monotonic() - began
                await asyncio.sleep(0.1)

    async def verdict(self, *, slots: int = SLOTS) -> Verdict:
        """End all and have everything audited."""
        for replica in self.replicas:
            if replica.running:
                assert await replica.end(signal.SIGTERM) in {0, -signal.SIGTERM}, replica.log[-4000:]
        stored = await contents(self.database.url)
        late = await asyncio.to_thread(_answers_too_late, self.database.url)
        for receipt in self.ledger.receipts:
            receipt.answered = receipt.answered and receipt.id not in late
        fenced = {each for replica in self.replicas for each in FENCED.findall(replica.log)}
        of = {row.id: row.event for row in stored[1]}
        let_go(self.ledger.receipts, {of[each] for each in fenced if each in of}, self.replicas[0].lease)
        await asyncio.to_thread(self._tell_of_repeats)
        return audit(self.scenario, self.ledger.receipts, self.blows, slots=slots, stored=stored)

    def _tell_of_repeats(self) -> None:
        """Keep all that is known of each repeat that nothing explains: who would find its cause needs it."""
        for before, again in unexplained(self.ledger.receipts, self.blows):
            struck = [*((blow.at, blow.what) for blow in self.blows), *((at, "COMMIT cut") for at in self.cut_at)]
            near = sorted((round(at - before.at, 2), what) for at, what in struck if abs(at - before.at) < NEAR)
            with psycopg.connect(self.database.url) as connection:
                tries = connection.execute(TRIES, [again.id]).fetchall()
            log = [
                f"{replica.config.parent.name}: {line}"
                for replica in self.replicas
                for line in replica.log.splitlines()
                if again.id in line or any(delivery in line for delivery, *_ in tries)
            ]
            after = round(again.at - before.at, 2)
            self.repeats.append(f"{again.id} again after {after} s; blows {near}; tries {tries}; log {log}")

    async def clear(self) -> None:
        """Nothing may outlive the run."""
        for replica in self.replicas:
            await replica.clear()


def _orphans(url: str) -> list[str]:
    with psycopg.connect(url, connect_timeout=1) as connection:
        return [row[0] for row in connection.execute(ORPHANS)]


def _answers_too_late(url: str) -> set[str]:
    """Events whose teller noted that no answer came in time: on a busy machine the ledger answers, and is not heard."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT event FROM delivery JOIN attempt ON delivery = id WHERE outcome = 'uncertain' AND attempt.reason = 'timeout'"
        )
        return {row[0] for row in found}


@asynccontextmanager
async def _reading(url: str) -> AsyncIterator[Store]:
    store = await asyncio.to_thread(Store(url).open)
    try:
        yield store
    finally:
        await asyncio.to_thread(store.close)


async def contents(url: str) -> tuple[Sequence[Event], Sequence[DeliveryRow]]:
    """Events and deliveries of the store."""
    async with _reading(url) as store:
        events = await store.transact(lambda tx: tx.events(limit=1_000_000))
        deliveries = await store.transact(lambda tx: tx.deliveries(limit=1_000_000))
    return [event for _, event in events], deliveries


def binaries() -> Path | None:
    """The folder of PostgreSQL's programs, if there is one."""
    return store_postgres.binaries()


def database(*, standby: bool = False) -> AbstractContextManager[store_postgres.Server | store_postgres.Pair]:
    """A PostgreSQL to be struck; one with a ``standby`` fails over to it and does not come back by itself.

    Raises:
        FileNotFoundError: There are no binaries.
    """
    folder = store_postgres.binaries()
    if folder is None:
        raise FileNotFoundError("no PostgreSQL server binaries")
    return store_postgres.pair(folder) if standby else store_postgres.server(folder)


@asynccontextmanager
async def group(
    folder: Path,
    scenario: Scenario,
    *,
    seed: int,
    faults: Faults | None = None,
    ledger: Ledger | None = None,
    standby: bool = False,
) -> AsyncIterator[Group]:
    """A world that is ready, with no replica yet."""
    draw = Random(seed)
    faults = faults or Faults(rate=0.02, mix=MIX, slow_for=1.0, seed=seed)
    ledger = ledger or Ledger(failing=0.02, resetting=0.01, seed=seed)
    here: list[Group] = []

    def cut() -> bool:
        if not here[0].cuts:
            return False
        here[0].cuts -= 1
        here[0].cut_at.append(time.monotonic())
        return True

    with database(standby=standby) as server:
        async with (
            # Nothing happens before it has been looked at: what is over at the first look is told by nobody, rightly.
            Simulator(scenario, speed=SPEED, faults=faults, monotonic=lambda: here[0].clock() if here else 0.0) as cloud,
            ledger,
            Proxy(lambda: server.leader, cut, lambda: draw.random() < 0.5) as proxy,
        ):
            here.append(Group(scenario, ledger, cloud, server, proxy, folder, draw))
            try:
                yield here[0]
            finally:
                await here[0].clear()


def calm(clusters: int, seed: int, window: float, pace: float) -> Scenario:
    """A fleet without retries: told so fast that whole attempts would pass between two polls."""
    story = fleet(clusters * 2, seed=seed, window=window, pace=pace)
    steady = (each for each in story.clusters if all(failure.retried_after is None for failure in each.tasks[0].failures))
    return replace(story, clusters=tuple(islice(steady, clusters)))


async def storm(
    folder: Path,
    *,
    kills: int,
    zombies: int,
    crashes: int,
    cuts: int,
    clusters: int,
    seed: int,
    window: float = 600.0,
    pace: float = 1.0,
    standby: bool = False,
) -> tuple[Verdict, dict[str, Any]]:
    """Three replicas, each blow on one of them at a time or on the database under all, in random order.

    With a ``standby`` it takes over at each crash of the database, and whoever crashed becomes its standby.
    """
    async with group(folder, calm(clusters, seed, window, pace), seed=seed, standby=standby) as here:
        await asyncio.gather(*(here.add() for _ in range(3)))
        await here.begin()
        orphans = asyncio.create_task(here.watch_orphans())
        blows = ["kill"] * kills + ["zombie"] * zombies + ["crash"] * crashes + ["cut"] * cuts
        here.draw.shuffle(blows)
        done = dict.fromkeys(("kill", "zombie", "crash", "cut"), 0)
        asleep: set[asyncio.Task[None]] = set()
        wanting = Wanting(here.scenario)
        for blow in blows:
            with suppress(TimeoutError):
                await here.ledger.until(len(here.ledger.receipts) + 1, 10)
            if not wanting.after(here.ledger.receipts):
                break  # Everything has been said: there is nothing left to interrupt.
            done[blow] += 1
            await _strike(here, blow, asleep)
            await asyncio.sleep(here.draw.uniform(0.1, 0.6))
        await asyncio.gather(*asleep)
        await _revive(here)
        await everything(here.scenario, here.ledger, PATIENCE)
        orphans.cancel()
        verdict = await here.verdict()
        notes = {
            **{f"{blow}s": float(count) for blow, count in done.items()},
            "commits cut": float(here.proxy.cuts),
            "longest nobody's s": round(here.longest_orphan, 1),
            **({"unexplained": here.repeats} if here.repeats else {}),
        }
    return verdict, notes


async def _revive(here: Group) -> None:
    """Start again, as whatever supervises it would, a replica that was started while the database was away and gave up."""
    for replica in here.replicas:
        if not replica.running:
            await replica.start()


async def _strike(here: Group, blow: str, asleep: set[asyncio.Task[None]]) -> None:
    await _revive(here)
    if blow == "crash":
        await here.crash_database()
    elif blow == "cut":
        here.cuts += 1
    elif here.at_work:
        victim = here.draw.choice(here.at_work)
        if blow == "kill":
            await victim.end(signal.SIGKILL)
            await victim.start()
        else:
            victim.stop()
            asleep.add(asyncio.create_task(_wake(victim)))


async def _wake(zombie: Replica) -> None:
    await asyncio.sleep(LEASE * 1.3)
    zombie.wake()


async def tide(
    folder: Path, *, most: int, clusters: int, seed: int, pace: float = 1.0, active: str = "1s", idle: str = "2s"
) -> tuple[Verdict, dict[str, Any]]:
    """One replica, then more and more, then one again, each with a clock of its own that is up to an hour off, during a flood."""
    off = (0.0, 3600.0, -3600.0, 1800.0, -900.0)
    evens = []
    async with group(
        folder, fleet(clusters, seed=seed, window=1200.0, pace=pace), seed=seed, ledger=Ledger(), faults=Faults()
    ) as here:
        orphans: asyncio.Task[None] | None = None
        for number in range(most):
            await here.add(off[number % len(off)], CALM_LEASE, active, idle)
            if here.began is None:
                await here.begin()
            evens.append(await here.even(number + 1, PATIENCE))
            orphans = orphans or asyncio.create_task(here.watch_orphans())
        for replica in here.replicas[1:]:
            assert await replica.end(signal.SIGTERM) == 0, replica.log[-4000:]
        # Its blow explains nothing: whoever ends cleanly repeats nothing.
        here.blows.clear()
        evens.append(await here.even(1, PATIENCE))
        await everything(here.scenario, here.ledger, PATIENCE)
        assert orphans is not None
        orphans.cancel()
        lates = [_late(receipt.at, receipt.event["observed_at"]) for receipt in here.ledger.receipts]
        verdict = await here.verdict(slots=0)
    return verdict, {
        "replicas at most": float(most),
        "slowest even share s": round(max(evens), 1),
        "longest nobody's s": round(here.longest_orphan, 1),
        "earliest s": round(min(lates), 1),
        "latest s": round(max(lates), 1),
        **({"unexplained": here.repeats} if here.repeats else {}),
    }


def _late(at: float, observed_at: str) -> float:
    """Seconds between what the program calls the moment it saw something and its arrival, both by the true clock."""
    arrived = time.time() - (time.monotonic() - at)
    return arrived - datetime.fromisoformat(observed_at).timestamp()
