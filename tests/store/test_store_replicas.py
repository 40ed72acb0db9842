"""Replicas by one store, on both databases: who holds what, who takes over, what is refused to those that come back too late."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from store_scenes import NOW, Scene, arrived, cluster, given_up, put_off, running

from notifier.domain.errors import DeliveryReason
from notifier.domain.model import Action, Cluster, Snapshot, Task
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.engine.budget import Budget
from notifier.engine.poller import Cadence, Poller
from notifier.engine.watch import Watch
from notifier.sources.contract import Answer
from notifier.store.errors import Fenced
from notifier.store.replicas import AT_ONCE, Presence, Standstill
from notifier.store.rows import Claim, SinkState, State, Turn
from notifier.store.store import Store
from notifier.store.transaction import Transaction

KEYS = frozenset(f"p1/c{number}" for number in range(10))
TWENTY = Turn("the receiver", 20.0)

GONE = -1.0
"""Seconds of a lease that is over as soon as it is given."""


def here(name: str, fleet: str = "all", *, well: bool = True, sinks: tuple[str, ...] = ("team",)) -> Presence:
    return Presence(name, fleet, sinks, "1.0", NOW, well)


def beat(
    name: str, keys: frozenset[str] = KEYS, fleet: str = "all", lease: float = 30.0
) -> Callable[[Transaction], Mapping[str, int]]:
    """One beat of a replica."""

    def work(tx: Transaction) -> Mapping[str, int]:
        tx.attend(here(name, fleet), lease=lease, now=NOW)
        tx.enlist(keys)
        return tx.share(here(name, fleet), keys, NOW)

    return work


async def settle_down(store: Store, *names: str) -> dict[str, Mapping[str, int]]:
    """Let each beat until all have seen each other."""
    held: dict[str, Mapping[str, int]] = {}
    for _ in range(3):
        held = {name: await store.transact(beat(name)) for name in names}
    return held


async def test_one_replica_holds_everything(store: Store) -> None:
    held = await store.transact(beat("a"))
    assert held.keys() == KEYS
    assert await store.transact(beat("a")) == held, "its epochs stay while nobody else takes anything"


@pytest.mark.parametrize("count", [2, 3, 5])
async def test_replicas_that_come_are_given_an_even_share(store: Store, count: int) -> None:
    await store.transact(beat("a"))
    held = await settle_down(store, *"abcde"[:count])
    assert sorted(key for keys in held.values() for key in keys) == sorted(KEYS)
    sizes = [len(keys) for keys in held.values()]
    assert max(sizes) - min(sizes) <= 1
    assert await settle_down(store, *"abcde"[:count]) == held, "what is even stays as it is"


async def test_who_leaves_hands_over_at_once(store: Store) -> None:
    await settle_down(store, "a", "b")
    await store.transact(lambda tx: tx.leave("a"))
    assert (await store.transact(beat("b"))).keys() == KEYS
    assert [row.name for row in await store.transact(lambda tx: tx.replicas(NOW))] == ["b"]


async def test_what_the_dead_held_is_taken_over_under_a_higher_epoch(store: Store) -> None:
    before = await settle_down(store, "a", "b")
    await store.transact(lambda tx: tx.attend(here("a"), lease=GONE, now=NOW))
    after = await store.transact(beat("b"))
    assert after.keys() == KEYS
    assert all(after[key] == before["a"][key] + 1 for key in before["a"])
    assert all(after[key] == epoch for key, epoch in before["b"].items())


async def test_who_was_taken_for_dead_comes_back_to_what_is_left_and_gets_its_share_again(store: Store) -> None:
    before = await settle_down(store, "a", "b")
    await store.transact(lambda tx: tx.attend(here("a"), lease=GONE, now=NOW))
    await store.transact(beat("b"))
    assert await store.transact(beat("a")) == {}
    after = await settle_down(store, "a", "b")
    assert len(after["a"]) == len(after["b"]) == 5
    assert all(epoch > before["a"].get(key, 0) for key, epoch in after["a"].items())


async def test_replicas_of_different_fleets_leave_nothing_unwatched_and_take_nothing_from_each_other(store: Store) -> None:
    """While a new configuration is rolled out, some replicas know clusters that the others do not."""
    more = KEYS | {"p1/new"}
    old = await store.transact(beat("old"))
    new = await store.transact(beat("new", more, "more"))
    assert new.keys() == {"p1/new"}
    assert await store.transact(beat("old")) == old
    await store.transact(lambda tx: tx.leave("old"))
    assert (await store.transact(beat("new", more, "more"))).keys() == more


async def test_a_cluster_that_is_no_longer_configured_is_let_go(store: Store) -> None:
    await store.transact(beat("a"))
    fewer = KEYS - {"p1/c3"}
    assert (await store.transact(beat("a", fewer, "fewer"))).keys() == fewer
    assert (await store.transact(beat("b", frozenset({"p1/c3"}), "three"))).keys() == {"p1/c3"}


async def test_more_clusters_than_fit_one_statement_are_shared_as_well(store: Store) -> None:
    many = frozenset(f"p1/{number}" for number in range(AT_ONCE * 2 + 1))
    assert len(await store.transact(beat("a", many))) == len(many)
    await store.transact(beat("b", many))
    await store.transact(beat("a", many))
    assert len(await store.transact(beat("b", many))) == AT_ONCE


async def test_a_share_that_did_not_change_is_not_read_again(store: Store) -> None:
    held = await store.transact(beat("a"))
    assert await store.transact(lambda tx: tx.share(here("a"), KEYS, NOW, held)) is held
    await store.transact(beat("b"))
    fewer = await store.transact(lambda tx: tx.share(here("a"), KEYS, NOW, held))
    assert len(fewer) == 5
    await store.transact(beat("b"))
    await store.transact(lambda tx: tx.attend(here("a"), lease=GONE, now=NOW))
    await store.transact(beat("c"))
    await store.transact(lambda tx: tx.attend(here("a"), lease=30.0, now=NOW))
    assert await store.transact(lambda tx: tx.share(here("a"), KEYS, NOW, fewer)) != fewer, "another has taken some"


async def test_people_see_who_is_at_work_with_what(store: Store) -> None:
    subject = cluster("search")
    await store.transact(Scene(subject).three_events())
    await store.transact(beat("a", frozenset({subject.key, "p1/new"})))
    await store.transact(lambda tx: tx.claim("team", "a", 1, lease=30.0, now=NOW))
    await store.transact(lambda tx: tx.attend(here("z", well=False), lease=30.0, now=NOW))
    await store.transact(lambda tx: tx.attend(here("gone"), lease=GONE, now=NOW))
    rows = await store.transact(lambda tx: tx.replicas(NOW))
    assert [(row.name, row.alive, row.well, row.clusters, row.lanes) for row in rows] == [
        ("a", True, True, ("p1/new", "search"), 1),
        ("z", True, False, (), 0),
        ("gone", False, False, (), 0),
    ]


async def test_the_group_is_alive_while_any_living_replica_is_well(store: Store) -> None:
    assert not await store.transact(lambda tx: tx.group_alive(NOW))
    await store.transact(lambda tx: tx.attend(here("a", well=False), lease=30.0, now=NOW))
    await store.transact(lambda tx: tx.attend(here("b"), lease=GONE, now=NOW))
    assert not await store.transact(lambda tx: tx.group_alive(NOW))
    await store.transact(lambda tx: tx.attend(here("b"), lease=30.0, now=NOW))
    assert await store.transact(lambda tx: tx.group_alive(NOW))


async def test_a_sink_is_served_while_any_living_replica_has_it(store: Store) -> None:
    await store.transact(lambda tx: tx.attend(here("a", sinks=("team", "hook")), lease=30.0, now=NOW))
    await store.transact(lambda tx: tx.attend(here("b", sinks=("old",)), lease=GONE, now=NOW))
    assert await store.transact(lambda tx: tx.served(NOW)) == {"team", "hook"}


# --- what all of them share of a sink -----------------------------------------------------------------------------------------


async def test_a_pause_that_one_replica_began_holds_for_all_and_one_of_them_probes(store: Store) -> None:
    await store.transact(lambda tx: tx.enrol("team", "f", NOW))
    now = await store.transact(lambda tx: tx.now(NOW))
    down = SinkState(5, paused=True, paused_until=now + 100, reason="server", detail="503")
    await store.transact(lambda tx: tx.mark("team", down))
    await store.transact(lambda tx: tx.mark("team", SinkState(1)))
    standing, wait = await store.transact(lambda tx: tx.admit("team", NOW))
    assert standing == down
    assert wait == pytest.approx(100, abs=5), "another's single failure does not end the pause"
    await store.transact(lambda tx: tx.mark("team", SinkState(5, paused=True, paused_until=now - 1)))
    assert (await store.transact(lambda tx: tx.admit("team", NOW)))[1] == 0
    await store.transact(lambda tx: tx.probing("team", 30.0, NOW))
    assert (await store.transact(lambda tx: tx.admit("team", NOW)))[1] == pytest.approx(30, abs=5)
    await store.transact(lambda tx: tx.mark("team", SinkState(), recovered=True))
    assert await store.transact(lambda tx: tx.admit("team", NOW)) == (SinkState(), 0)


async def test_a_sink_that_is_off_until_a_person_acts_admits_nobody(store: Store) -> None:
    await store.transact(lambda tx: tx.enrol("team", "f", NOW))
    await store.transact(lambda tx: tx.mark("team", SinkState(1, paused=True, reason="gone")))
    assert (await store.transact(lambda tx: tx.admit("team", NOW)))[1] == float("inf")


async def test_a_turn_that_was_taken_is_gone_for_all_replicas_and_for_other_sinks_of_the_same_receiver(store: Store) -> None:
    for name in ("team", "other"):
        await store.transact(lambda tx, name=name: tx.enrol(name, "f", NOW))  # type: ignore[misc]  # bound now
    assert (await store.transact(lambda tx: tx.admit("team", NOW, TWENTY)))[1] == 0
    await store.transact(lambda tx: tx.took_turn(TWENTY, NOW))
    for name in ("team", "other", "never met"):
        wait = (await store.transact(lambda tx, name=name: tx.admit(name, NOW, TWENTY)))[1]  # type: ignore[misc]  # likewise
        assert wait == pytest.approx(20, abs=5)
    assert (await store.transact(lambda tx: tx.admit("team", NOW)))[1] == 0
    assert (await store.transact(lambda tx: tx.admit("team", NOW, Turn("somebody else", 20.0))))[1] == 0


async def test_turns_queue_up_and_one_that_is_too_far_off_is_left_to_others(store: Store) -> None:
    long = Turn("a channel", 500.0)

    async def take(within: float) -> float:
        wait = await store.transact(lambda tx: tx.take_turn(long, within, NOW))
        assert wait is not None
        return wait

    assert await take(0.0) == 0
    assert await take(float("inf")) == pytest.approx(500, abs=60)
    if store.alone:
        return  # One process queues up in memory.
    assert await take(400.0) == pytest.approx(1000, abs=60)
    assert await take(1100.0) == pytest.approx(1000, abs=60)
    assert await take(0.0) == pytest.approx(1500, abs=60)


async def test_turns_that_came_long_ago_are_forgotten(store: Store) -> None:
    hour, now = Turn("a channel", 3600.0), NOW if store.alone else store.now().timestamp()

    async def wait() -> float | None:
        return await store.transact(lambda tx: tx.take_turn(hour, 0.0, now))

    assert await wait() == 0
    await store.transact(lambda tx: tx.forget_turns(now))
    assert await wait() == pytest.approx(3600, abs=60)
    await store.transact(lambda tx: tx.forget_turns(now + 7200))
    assert await wait() == 0


async def test_a_clock_that_is_set_back_makes_nobody_wait_for_it_to_come_round(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/notifier.db").open()
    try:
        await store.transact(lambda tx: tx.admit("team", NOW, TWENTY))
        await store.transact(lambda tx: tx.took_turn(TWENTY, NOW))
        assert (await store.transact(lambda tx: tx.admit("team", NOW - 10, TWENTY)))[1] == 20, "no sooner than after a gap"
        assert (await store.transact(lambda tx: tx.admit("team", NOW - 3600, TWENTY)))[1] == 0
    finally:
        store.close()


async def test_nobody_takes_a_turn_while_another_is_taking_it(postgres_url: str) -> None:
    replicas = [Store(postgres_url).open() for _ in range(2)]
    waits: list[float] = []

    def both(tx: Transaction) -> None:
        waits.append(tx.admit("team", NOW, TWENTY)[1])
        # The other asks while our transaction is open: on a thread of its own, so that it may.
        asyncio.run(asked_by_the_other())
        tx.took_turn(TWENTY, NOW)

    async def asked_by_the_other() -> None:
        waits.append((await replicas[1].transact(lambda tx: tx.admit("team", NOW, TWENTY)))[1])

    try:
        await replicas[0].transact(lambda tx: tx.admit("team", NOW, TWENTY))  # So that there is a row.
        await replicas[0].transact(both)
    finally:
        for each in replicas:
            each.close()
    assert waits[0] == 0
    assert waits[1] > 0


async def test_a_project_that_is_to_be_left_alone_is_left_alone_by_all_until_its_time_is_over(store: Store) -> None:
    found = [Standstill("p1", 60.0, "throttled", "HTTP 429"), Standstill("p2", GONE, "throttled", "HTTP 429")]
    assert await store.transact(lambda tx: tx.standstills("a", found, NOW)) == []
    (heard,) = await store.transact(lambda tx: [row for row in tx.standstills("b", [], NOW) if row.seconds > 0])
    assert (heard.project, heard.reason) == ("p1", "throttled")
    assert heard.seconds == pytest.approx(60, abs=5)
    assert [row.project for row in await store.transact(lambda tx: tx.standstills("b", [], NOW))] == ["p1"]


# --- the three fences: what a replica that was paused may not do when it wakes ------------------------------------------------


@pytest.fixture
def zombie_and_heir(url: str) -> Iterator[tuple[Store, Store]]:
    """Two replicas: with stores of their own on PostgreSQL, with the one there can be on SQLite."""
    first = Store(url).open()
    second = Store(url).open() if url.startswith("postgresql") else first
    yield first, second
    first.close()
    second.close()


def parted(claimed: Claim) -> Callable[[Transaction], None]:
    return lambda tx: tx.parted(claimed, NOW, outcome="rejected", reason="invalid", detail="too odd")


@pytest.mark.parametrize(
    "settle",
    [arrived, lambda claimed: put_off(claimed, NOW + 1), given_up, parted],
    ids=["delivered", "put off", "dead letter", "parted"],
)
async def test_a_record_under_a_stale_epoch_is_refused(
    zombie_and_heir: tuple[Store, Store], settle: Callable[[Claim], Callable[[Transaction], None]]
) -> None:
    zombie, heir = zombie_and_heir
    await heir.transact(Scene().three_events())
    [stale] = await zombie.transact(lambda tx: tx.claim("team", "zombie", 1, lease=GONE, now=NOW))
    [fresh] = await heir.transact(lambda tx: tx.claim("team", "heir", 1, lease=30.0, now=NOW))
    assert (fresh.delivery, fresh.epoch) == (stale.delivery, stale.epoch + 1)
    rows = await heir.transact(lambda tx: tx.deliveries())
    with pytest.raises(Fenced):
        await zombie.transact(settle(stale))
    assert await heir.transact(lambda tx: tx.deliveries()) == rows
    await heir.transact(arrived(fresh))
    told = await heir.transact(lambda tx: tx.deliveries())
    with pytest.raises(Fenced):
        await zombie.transact(settle(stale))
    assert await heir.transact(lambda tx: tx.deliveries()) == told


async def test_a_sweep_under_a_stale_clock_gives_up_nothing_that_another_is_sending(zombie_and_heir: tuple[Store, Store]) -> None:
    zombie, heir = zombie_and_heir
    await heir.transact(Scene().three_events())
    [fresh] = await heir.transact(lambda tx: tx.claim("team", "heir", 1, lease=30.0, now=NOW))
    await zombie.transact(lambda tx: tx.expire("team", NOW + 3600, NOW, reason=DeliveryReason.EXPIRED, detail="too late"))
    await heir.transact(arrived(fresh))
    states = {row.id: row.state for row in await heir.transact(lambda tx: tx.deliveries())}
    assert states.pop(fresh.delivery) is State.DELIVERED
    assert set(states.values()) == {State.DEAD}


class Held:
    """A source whose answers are given when the test says so."""

    def __init__(self, *tasks: Task) -> None:
        self.tasks = tasks
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def fetch(self, cluster: Cluster, action: Action, last: bytes | None = None) -> Answer:  # noqa: ARG002 - each answer is news
        tasks = self.tasks if action is Action.UPGRADING else ()
        answer = Answer(repr(tasks).encode(), Snapshot(cluster, action, tasks))
        if action is Action.UPGRADING:
            self.asked.set()
            await self.go.wait()
        return answer


def poller(store: Store, source: Held) -> Poller:
    watch = Watch(cluster(), source, Budget(1000.0))
    return Poller([watch], store, Audience([Route(Matcher(), ("team",))]), Cadence(), lambda _: None)


async def test_a_zombie_with_an_old_response_neither_emits_nor_changes_what_is_known(
    zombie_and_heir: tuple[Store, Store],
) -> None:
    slow, heir = zombie_and_heir
    keys = frozenset({cluster().key})
    past = Held(running("t1"), running("a task that is long over"))
    zombie = poller(slow, past)
    zombie.hold(await slow.transact(beat("zombie", keys)), time.monotonic() + 3600)
    poll = asyncio.ensure_future(zombie.poll(zombie.watches[0]))
    await past.asked.wait()
    # It falls silent, and another takes over and polls twice.
    await slow.transact(lambda tx: tx.attend(here("zombie"), lease=GONE, now=NOW))
    present = Held(running("t1", "n1"))
    present.go.set()
    other = poller(heir, present)
    other.hold(await heir.transact(beat("heir", keys)), time.monotonic() + 3600)
    await other.poll(other.watches[0])
    present.tasks = (running("t1", "n1", "n2"),)
    await other.poll(other.watches[0])

    async def stored() -> object:
        return await heir.transact(lambda tx: (tx.known(cluster()), tx.events(), tx.deliveries()))

    before = await stored()
    past.go.set()
    with pytest.raises(Fenced):
        await poll
    assert await stored() == before


async def test_an_answer_to_a_question_from_before_a_change_of_hands_and_back_does_not_count_either(store: Store) -> None:
    keys = frozenset({cluster().key})
    past = Held(running("t1"))
    looker = poller(store, past)
    looker.hold(await store.transact(beat("a", keys)), time.monotonic() + 3600)
    poll = asyncio.ensure_future(looker.poll(looker.watches[0]))
    await past.asked.wait()
    await store.transact(lambda tx: tx.leave("a"))
    await store.transact(beat("b", keys))
    await store.transact(lambda tx: tx.leave("b"))
    looker.hold(await store.transact(beat("a", keys)), time.monotonic() + 3600)
    past.go.set()
    with pytest.raises(Fenced):
        await poll
    assert await store.transact(lambda tx: tx.events()) == []


# --- several at once, which only PostgreSQL has -------------------------------------------------------------------------------


async def test_replicas_that_beat_at_once_never_hold_the_same_cluster_under_the_same_epoch(postgres_url: str) -> None:
    replicas = [Store(postgres_url).open() for _ in range(3)]
    claimed: dict[tuple[str, int], str] = {}
    try:
        for turn in range(8):
            dying = f"r{turn % 3}"
            names = [f"r{number}" for number in range(3)]
            beats = (
                each.transact(beat(name, lease=GONE if name == dying else 30.0))
                for name, each in zip(names, replicas, strict=True)
            )
            for name, held in zip(names, await asyncio.gather(*beats), strict=True):
                for item in held.items():
                    assert claimed.setdefault(item, name) == name
        final = [await each.transact(beat(f"r{number}")) for _ in range(3) for number, each in enumerate(replicas)][-3:]
    finally:
        for each in replicas:
            each.close()
    assert sorted(key for held in final for key in held) == sorted(KEYS)


async def test_the_moment_is_the_databases_own_however_wrong_our_clock_is(postgres_url: str) -> None:
    true = datetime.now(UTC)
    with time_machine.travel(true + timedelta(hours=1), tick=True):
        store = Store(postgres_url).open()
        try:
            assert abs(store.now() - true) < timedelta(minutes=1)
            instant = await store.transact(lambda tx: tx.now(0.0))
            assert store.now().timestamp() == pytest.approx(instant, abs=60)
        finally:
            store.close()
