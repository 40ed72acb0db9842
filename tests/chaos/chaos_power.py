"""Run E: the power goes at any moment. What a disk then holds of the store is a prefix of its write-ahead log, perhaps torn.

Each prefix is opened, its invariants are checked, and the story goes on from there: it must end with the very ids of the run that
was not cut, since an id follows from the fact.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from chaos_audit import broken
from sqlalchemy import text

from notifier.domain.diff import diff
from notifier.domain.message import Receipt
from notifier.domain.model import Cluster, Event, Snapshot
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.sources.scenarios import EPOCH, ClusterPlan, fleet
from notifier.sources.wire import read_page, to_task
from notifier.store.store import Store
from notifier.store.transaction import Transaction

AUDIENCE = Audience([Route(Matcher(), ("hook", "team"))])
EVERY = 45.0
"""Scenario seconds between polls."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What a number of power cuts came to."""

    prefixes: int
    torn: int
    broken: int
    strangers: int
    """Ids that the uncut run does not have."""
    lost: int
    """Acknowledged commits that were not there although their bytes were."""


def _snapshot(plan: ClusterPlan, at: float) -> Snapshot:
    """What the API would answer about the cluster's one task, read as the program reads it."""
    action = plan.tasks[0].action
    items = plan.state(at, action)
    page = read_page(json.dumps({"totalSize": len(items), "detailList": items}).encode())
    return Snapshot(Cluster(plan.id, plan.name, "r", "p", "p1"), action, tuple(to_task(wire) for wire in page.items))


def _poll(tx: Transaction, snapshot: Snapshot, now: datetime) -> list[Event]:
    known, version = tx.known(snapshot.cluster)
    step = diff(known, snapshot, now)
    if step.known is not known:
        planned = AUDIENCE.plan(step.events, now)
        tx.save(snapshot.cluster, (known, version), step.known, (step.events, planned), now.timestamp())
    return list(step.events)


def _tell(tx: Transaction, now: datetime) -> int:
    claims = [claim for sink in ("hook", "team") for claim in tx.claim(sink, "me", 8, lease=30, now=now.timestamp())]
    for claim in claims:
        tx.delivered(claim, Receipt({"id": claim.delivery}), now.timestamp())
    return len(claims)


def _moments(plans: Sequence[ClusterPlan]) -> list[float]:
    last = max(fact.at for plan in plans for fact in plan.facts())
    return [index * EVERY for index in range(int(last / EVERY) + 3)]


async def _story(
    store: Store, plans: Sequence[ClusterPlan], first: float, marks: list[tuple[int, int]] | None, wal: Path
) -> set[str]:
    """Poll from ``first`` on and deliver; ``marks``: bytes of the log and events committed, after each commit.

    Without ``marks`` nobody waits for deliveries, which take most of the time: there is one round of them at either end.
    """
    ids: set[str] = set()
    moments = [at for at in _moments(plans) if at >= first]
    for at in moments:
        now = EPOCH + timedelta(seconds=at)
        for plan in plans:
            events = await store.transact(lambda tx, plan=plan, at=at, now=now: _poll(tx, _snapshot(plan, at), now))  # type: ignore[misc]
            ids |= {event.id for event in events}
            if marks is not None:
                marks.append((wal.stat().st_size if wal.exists() else 0, len(ids)))
        if marks is not None or at in {moments[0], moments[-1]}:
            await store.transact(lambda tx, now=now: _tell(tx, now))  # type: ignore[misc]
    return ids


async def cut(folder: Path, *, prefixes: int, seed: int, clusters: int = 2) -> Cut:
    """Cut the power ``prefixes`` times, in half of the cases in the middle of a page."""
    draw = Random(seed)
    plans = fleet(clusters, seed=seed, window=60.0).clusters
    whole = folder / "whole.db"
    store = Store(f"sqlite:///{whole}").open()
    # Nothing may move from the log to the database, or a prefix of the log would not be a moment of the past.
    await store.transact(lambda tx: tx._run(text("PRAGMA wal_autocheckpoint=0")))
    wal = whole.with_name("whole.db-wal")
    start = folder / "start.db"
    shutil.copy(whole, start)
    began = wal.stat().st_size if wal.exists() else 0
    marks: list[tuple[int, int]] = []
    ids = await _story(store, plans, 0.0, marks, wal)
    log = wal.read_bytes()
    store.close()
    torn = damaged = strangers = lost = 0
    for number in range(prefixes):
        length = draw.randrange(began, len(log) + 1)
        part = log[:length]
        if number % 2 and length > began + 64:
            torn += 1
            part = part[:-32] + bytes(draw.randrange(256) for _ in range(32))
        there = folder / f"cut-{number}.db"
        shutil.copy(start, there)
        there.with_name(there.name + "-wal").write_bytes(part)
        found = await _recovered(there, plans, ids)
        damaged += found[0]
        strangers += found[1]
        committed = max((count for size, count in marks if size <= len(part) - (64 if number % 2 else 0)), default=0)
        lost += found[2] < committed
        for leftover in folder.glob(f"cut-{number}.db*"):
            leftover.unlink()
    return Cut(prefixes, torn, damaged, strangers, lost)


async def _recovered(path: Path, plans: Sequence[ClusterPlan], whole: set[str]) -> tuple[bool, int, int]:
    """Whether invariants are broken, how many ids nobody knows, and how many events were there when it was opened."""
    store = Store(f"sqlite:///{path}").open()
    try:
        events = [event for _, event in await store.transact(lambda tx: tx.events(limit=1_000_000))]
        deliveries = await store.transact(lambda tx: tx.deliveries(limit=1_000_000))
        wrong = bool(broken(events, deliveries))
        there = len(events)
        seen = max((event.observed_at for event in events), default=EPOCH)
        await _story(store, plans, (seen - EPOCH).total_seconds(), None, path)
        events = [event for _, event in await store.transact(lambda tx: tx.events(limit=1_000_000))]
        wrong |= bool(broken(events, await store.transact(lambda tx: tx.deliveries(limit=1_000_000))))
    finally:
        store.close()
    return wrong, len({event.id for event in events} - whole), there
