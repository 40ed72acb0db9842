"""What the store keeps for those who run it: who was discovered, that it takes writes, what is owed. On both databases."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from store_scenes import LEASE, NOW, Scene, cluster

from notifier.domain import discovery
from notifier.domain.discovery import Member, Roll, Wanted
from notifier.domain.holding import Holding
from notifier.domain.known import Known
from notifier.store import vitals
from notifier.store.discoveries import AT_ONCE
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.store.vitals import Owed

AT = datetime.fromtimestamp(NOW, UTC)


async def test_a_roll_is_known_again_in_every_detail(store: Store) -> None:
    assert await store.transact(lambda tx: tx.roll("p1")) == Roll()
    members = {"id-of-a": Member(cluster("a"), 2, 1), "id-of-b": Member(cluster("b"), gone_at=AT)}
    roll = Roll(members, Wanted(("a*", "b"), {"env": ("prod",)}), AT)
    for each in (Roll(), roll):
        await store.transact(partial(Transaction.save_roll, project="p1", roll=each))
    assert await store.transact(lambda tx: tx.roll("p1")) == roll
    assert await store.transact(lambda tx: tx.roll("p2")) == Roll()


async def test_whoever_was_met_is_known_however_many_are_asked_for(store: Store) -> None:
    await store.transact(lambda tx: tx.save(cluster(), (Known(), 0), Known(), ((), ()), NOW))
    asked = [f"p1/c-{number}" for number in range(AT_ONCE * 2)]
    assert await store.transact(lambda tx: tx.met([*asked, cluster().key])) == {cluster().key}
    assert await store.transact(lambda tx: tx.met([])) == frozenset()


async def test_a_beat_is_written_over_and_over_and_the_database_has_a_size(store: Store) -> None:
    for second in range(3):
        await store.transact(partial(Transaction.beat, name="notifier", now=NOW + second))
    assert await store.transact(lambda tx: tx.size()) > 10_000


async def test_what_is_due_is_owed_and_what_is_held_back_is_not(store: Store) -> None:
    await store.transact(Scene(sinks=("team", "hook")).three_events())
    later = Scene(replace(cluster(), id="held"), sinks=("team",), holding=Holding(digest=600.0))
    await store.transact(later.three_events())

    def owed(tx: Transaction) -> dict[str, Owed]:
        return tx.owed(("team", "hook", "idle"), NOW + 1)

    first = await store.transact(owed)
    assert first["hook"] == Owed(len(await store.transact(lambda tx: tx.deliveries(sink="hook"))), NOW, 0)
    assert (first["team"].backlog, first["idle"]) == (first["hook"].backlog, Owed())
    [claim] = await store.transact(lambda tx: tx.claim("hook", "me", 1, lease=LEASE, now=NOW + 1))
    assert (await store.transact(owed))["hook"] == first["hook"]
    await store.transact(lambda tx: tx.buried(claim, NOW + 2, outcome="rejected", reason="gone", detail=""))
    assert (await store.transact(owed))["hook"] == Owed(first["hook"].backlog - 1, NOW, 1)


async def test_a_long_backlog_is_not_counted_to_its_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "MOST_COUNTED", 1)
    await store.transact(Scene().three_events())
    assert (await store.transact(lambda tx: tx.owed(["team"], NOW + 1)))["team"].backlog == 2


async def test_two_replicas_that_read_the_same_list_tell_of_each_newcomer_once(postgres_url: str) -> None:
    stores = [Store(postgres_url).open() for _ in range(2)]
    names = ("a", "b", "c")

    def look(tx: Transaction) -> list[str]:
        roll = tx.roll("p1")
        call = discovery.call(roll, [cluster(name) for name in names], Wanted(), AT)
        tx.save_roll("p1", call.roll)
        for member in call.came:
            before, version = tx.known(member.cluster)
            step = discovery.discovered(before, member, AT)
            tx.save(member.cluster, (before, version), step.known, (step.events, ()), NOW)
        return [member.cluster.name for member in call.came]

    try:
        await stores[0].transact(lambda tx: tx.save_roll("p1", Roll(wanted=Wanted())))
        told = await asyncio.gather(*(store.transact(look) for store in stores))
        assert sorted(name for each in told for name in each) == list(names)
        assert len(await stores[0].transact(lambda tx: tx.events())) == len(names)
    finally:
        for store in stores:
            store.close()
