"""What a store promises about deliveries: claims, fences, leases and what becomes of what is owed; on both databases."""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import psycopg
import pytest
from sqlalchemy import create_engine, insert
from store_scenes import LEASE, NOW, Scene, arrived, claim, cluster, driver, given_up, put_off, running

from notifier.domain.holding import Holding
from notifier.domain.message import Receipt
from notifier.domain.model import Event
from notifier.store import schema
from notifier.store.errors import Fenced, StoreError
from notifier.store.rows import SinkState, State
from notifier.store.store import Store
from notifier.store.transaction import Transaction


async def _owe(store: Store, *names: str) -> list[list[Event]]:
    """Three clusters or so, each with a lane of some deliveries; the later named, the later owed."""
    return [await store.transact(Scene(cluster(name)).three_events(NOW + number)) for number, name in enumerate(names)]


async def _states(store: Store) -> list[State]:
    return [row.state for row in await store.transact(lambda tx: tx.deliveries(limit=500))]


async def test_a_claim_takes_the_head_of_each_free_lane_oldest_first(store: Store) -> None:
    told = await _owe(store, "a", "b", "c")
    claims = await store.transact(claim(2, now=NOW + 10))
    assert [taken.event for taken in claims] == [told[0][0], told[1][0]]
    assert [taken.event for taken in await store.transact(claim(now=NOW + 10))] == [told[2][0]]
    assert await store.transact(claim(now=NOW + 10)) == []
    assert {(taken.attempt, taken.tries, taken.uncertain, taken.skipped, taken.last) for taken in claims} == {
        (1, 0, False, 0, None)
    }


async def test_what_is_never_merged_comes_first_where_messages_queue_up(store: Store) -> None:
    edited = Holding(lambda _: 1.0)
    for number, name in enumerate(("a", "b", "c")):
        scene = Scene(cluster(name), holding=edited)
        await store.transact(scene.three_events(NOW + number))
        if name == "c":
            await store.transact(scene.see([replace(running(), status="FAILED")], NOW + 8))
    by_time = await store.transact(claim(1, now=NOW + 10))
    urgent = await store.transact(lambda tx: tx.claim("team", "tester", 1, lease=LEASE, now=NOW + 10, urgent_first=True))
    assert [taken.event.cluster.name for taken in by_time + urgent] == ["a", "c"]
    rest = await store.transact(lambda tx: tx.claim("team", "tester", 9, lease=LEASE, now=NOW + 10, urgent_first=True))
    assert [taken.event.cluster.name for taken in rest] == ["b"]


async def test_a_sink_claims_only_what_it_is_owed(store: Store) -> None:
    await store.transact(Scene(sinks=("team", "hook")).three_events())
    first, second = await store.transact(claim(sink="team")), await store.transact(claim(sink="hook"))
    assert first[0].event == second[0].event
    assert first[0].delivery != second[0].delivery
    assert await store.transact(claim(sink="nobody")) == []


async def test_a_lane_goes_on_in_order_with_the_receipt_of_the_message_before(store: Store) -> None:
    [events] = await _owe(store, "a")
    heard: list[Event] = []
    last: Receipt | None = None
    while claims := await store.transact(claim()):
        [taken] = claims
        assert taken.last == last
        heard.append(taken.event)
        await store.transact(arrived(taken))
        last = Receipt({"ts": taken.delivery})
    assert heard == events
    assert set(await _states(store)) == {State.DELIVERED}
    assert await store.transact(lambda tx: tx.next_due("team")) is None


async def test_what_is_put_off_waits_its_time_and_counts_its_tries(store: Store) -> None:
    await _owe(store, "a")
    [taken] = await store.transact(claim())
    # PostgreSQL judges by its own clock, so what is not due yet must lie ahead of the real one.
    far = time.time() + 3600
    await store.transact(put_off(taken, far))
    assert await store.transact(claim(now=time.time())) == []
    assert await store.transact(lambda tx: tx.next_due("team")) == far
    await store.transact(lambda tx: tx.hasten("team", NOW))
    [again] = await store.transact(claim())
    assert (again.delivery, again.attempt, again.tries, again.uncertain) == (taken.delivery, 2, 1, False)
    await store.transact(put_off(again, NOW, counted=False))
    [third] = await store.transact(claim())
    assert (third.attempt, third.tries) == (3, 1)


async def test_progress_is_kept_with_its_delivery_until_it_is_settled(store: Store) -> None:
    await _owe(store, "a")
    said = {"outcome": "retry", "reason": "server", "detail": "HTTP 503"}
    reached = Receipt({"accepted": "a@example.com"})
    [taken] = await store.transact(claim())
    assert taken.progress is None
    await store.transact(lambda tx: tx.postponed(taken, NOW, NOW, uncertain=False, counted=True, receipt=reached, **said))
    [again] = await store.transact(claim())
    assert (again.progress, again.last) == (reached, None)
    await store.transact(put_off(again, NOW))
    [third] = await store.transact(claim())
    assert third.progress == reached, "a try that achieved nothing takes nothing back"
    await store.transact(lambda tx: tx.buried(third, NOW, receipt=reached, **said))
    [other] = await store.transact(claim())
    assert (other.delivery != third.delivery, other.progress, other.last, other.skipped) == (True, None, reached, 0)


async def test_a_probe_takes_what_is_not_due_yet(store: Store) -> None:
    await _owe(store, "a")
    [taken] = await store.transact(claim())
    await store.transact(put_off(taken, time.time() + 3600))
    assert await store.transact(claim()) == []
    [again] = await store.transact(claim(early=True))
    assert again.delivery == taken.delivery
    assert await store.transact(claim(early=True)) == [], "a lease holds for a probe too"


async def test_a_lease_that_ran_out_lets_another_take_over_who_must_think_it_may_have_arrived(store: Store) -> None:
    await _owe(store, "a")
    [taken] = await store.transact(claim())
    moment = await store.transact(lambda tx: tx.now(NOW))
    assert await store.transact(lambda tx: tx.next_due("team")) == pytest.approx(moment + LEASE, abs=10)
    await _end_leases(store)
    [again] = await store.transact(claim())
    assert (again.delivery, again.epoch, again.attempt, again.uncertain) == (taken.delivery, taken.epoch + 1, 2, True)
    await store.transact(put_off(again, NOW))
    [third] = await store.transact(claim())
    assert third.uncertain, "once uncertain, always: a later clear failure proves nothing about the first try"


async def _end_leases(store: Store) -> None:
    await store.transact(lambda tx: tx.release_lanes())


@pytest.mark.parametrize(
    "settle", [arrived, given_up, lambda taken: put_off(taken, NOW + 1)], ids=["delivered", "buried", "put off"]
)
async def test_who_lost_a_lane_writes_nothing_more_about_it(
    store: Store, settle: Callable[..., Callable[[Transaction], None]]
) -> None:
    await _owe(store, "a")
    [stale] = await store.transact(claim())
    await _end_leases(store)
    await store.transact(claim())
    rows = await store.transact(lambda tx: tx.deliveries())
    with pytest.raises(Fenced):
        await store.transact(settle(stale))
    assert await store.transact(lambda tx: tx.deliveries()) == rows
    assert await store.transact(claim()) == [], "the lane still belongs to the other"


async def test_a_delivery_is_settled_once(store: Store) -> None:
    await _owe(store, "a")
    [taken] = await store.transact(claim())
    await store.transact(arrived(taken))
    with pytest.raises(StoreError):
        await store.transact(put_off(taken, NOW))
    assert (await _states(store))[0] is State.DELIVERED


async def test_what_was_given_up_is_counted_until_something_arrives(store: Store) -> None:
    [events] = await _owe(store, "a")
    for expected in (0, 1):
        [taken] = await store.transact(claim())
        assert taken.skipped == expected
        await store.transact(given_up(taken))
    [taken] = await store.transact(claim())
    assert (taken.event, taken.skipped) == (events[2], 2)
    await store.transact(arrived(taken))
    assert (await _states(store))[:3] == [State.DEAD, State.DEAD, State.DELIVERED]
    [taken] = await store.transact(claim())
    assert (taken.event, taken.skipped) == (events[3], 0)


async def test_lanes_whose_newest_receipt_has_a_field_can_be_held_and_are_claimed_by_nobody_meanwhile(store: Store) -> None:
    await _owe(store, "a", "b", "c")
    now = time.time()
    kept, quoted, other = Receipt({"keep": "x"}), Receipt({"said": '"keep":'}), Receipt({"ts": "1"})
    for taken, receipt in zip(await store.transact(claim(now=now)), (kept, quoted, other), strict=True):
        await store.transact(partial(Transaction.delivered, claim=taken, receipt=receipt, now=now))
    [held] = await store.transact(lambda tx: tx.hold("team", "me", "keep", lease=LEASE, now=now))
    assert held.receipt == kept
    assert held.lane not in {taken.lane for taken in await store.transact(claim(now=now))}
    assert await store.transact(lambda tx: tx.hold("team", "another", "keep", lease=LEASE, now=now)) == []
    await store.transact(lambda tx: tx.let_go([held]))
    assert [taken.lane for taken in await store.transact(claim(now=now))] == [held.lane]


async def test_when_a_sink_works_again_what_waited_is_due_at_once(store: Store) -> None:
    await _owe(store, "a", "b")
    for taken in await store.transact(claim(now=NOW + 10)):
        await store.transact(put_off(taken, time.time() + 900))
    assert await store.transact(lambda tx: tx.hasten("team", NOW + 20)) == 2
    assert await store.transact(lambda tx: tx.hasten("team", NOW + 20)) == 0
    assert len(await store.transact(claim(now=NOW + 20))) == 2


async def test_what_is_owed_for_too_long_is_given_up_but_not_what_is_being_sent(store: Store) -> None:
    def expire(tx: Transaction) -> int:
        return tx.expire("team", NOW + 50, NOW + 100, reason="expired", detail="too late")

    [events] = await _owe(store, "a")
    [taken] = await store.transact(claim())
    await store.transact(Scene(cluster("young")).three_events(NOW + 99))
    gone = len(events) - 1
    assert await store.transact(expire) == gone
    assert await store.transact(expire) == 0
    states = await _states(store)
    assert states[0] is State.SENDING
    assert states.count(State.DEAD) == gone
    assert states.count(State.PENDING) == len(events)
    await store.transact(arrived(taken, NOW + 101))
    assert [head.event.cluster.name for head in await store.transact(claim(now=NOW + 200))] == ["young"]


@pytest.mark.parametrize(("lease", "left"), [(3600.0, 1), (-3600.0, 0)])
async def test_what_nobody_serves_is_given_up_also_where_a_kill_left_it_half_sent(store: Store, lease: float, left: int) -> None:
    def expire(tx: Transaction) -> int:
        return tx.expire("team", NOW + 50, NOW + 100, reason="removed", detail="no such sink", abandoned=True)

    [events] = await _owe(store, "a")
    await store.transact(lambda tx: tx.claim("team", "tester", 1, lease=lease, now=NOW + 10))
    assert await store.transact(expire) == len(events) - left
    assert (await _states(store)).count(State.DEAD) == len(events) - left
    await store.transact(lambda tx: tx.resend(NOW + 100))
    assert [taken.uncertain for taken in await store.transact(claim(now=NOW + 200))] == [True] * (1 - left)


async def test_the_next_message_after_expired_ones_says_how_many_were_skipped(store: Store) -> None:
    [events] = await _owe(store, "a")
    await store.transact(lambda tx: tx.expire("team", NOW + 50, NOW + 100, reason="expired", detail="too late"))
    assert await store.transact(claim(now=NOW + 100)) == []

    def resend_last(tx: Transaction) -> list[str]:
        return tx.resend(NOW + 100, ids=[tx.deliveries()[-1].id])

    await store.transact(resend_last)
    [taken] = await store.transact(claim(now=NOW + 100))
    assert (taken.event, taken.skipped) == (events[-1], len(events))


async def test_dead_deliveries_are_sent_again_under_the_same_ids(store: Store) -> None:
    await _owe(store, "a", "b")
    first, second = await store.transact(claim(now=NOW + 10))
    await store.transact(given_up(first))
    await store.transact(given_up(second))
    assert await store.transact(lambda tx: tx.resend(NOW, ids=["unknown"])) == []
    assert await store.transact(lambda tx: tx.resend(NOW, sink="another")) == []
    assert await store.transact(lambda tx: tx.resend(NOW + 9, ids=[first.delivery])) == [first.delivery]
    assert await store.transact(lambda tx: tx.resend(NOW + 9, sink="team")) == [second.delivery]
    again = {taken.delivery: taken for taken in await store.transact(claim(now=NOW + 10))}
    assert set(again) == {first.delivery, second.delivery}
    assert (again[first.delivery].attempt, again[first.delivery].tries) == (2, 0)
    await store.transact(arrived(again[first.delivery]))


async def test_however_much_is_dead_it_can_be_sent_again(store: Store) -> None:
    """PostgreSQL takes 65,535 values a statement: after three days without a sink there may be more to send again."""
    many = 70_000

    def fill(tx: Transaction) -> None:
        some: dict[str, object] = {"cluster": "c", "kind": "node.completed", "severity": 1, "observed_at": NOW, "body": "{}"}
        events = [{"id": f"e{number}", "thread": "t", "sequence": number, **some} for number in range(many)]
        tx._run(insert(schema.event), events)
        tx._run(insert(schema.lane), [{"id": "team|t", "sink": "team"}])
        dead: dict[str, object] = {"sink": "team", "lane": "team|t", "state": "dead", "created_at": NOW, "ready_at": NOW}
        owed = [{"id": f"d{number}", "event": f"e{number}", "position": number, **dead} for number in range(many)]
        tx._run(insert(schema.delivery), owed)

    await store.transact(fill)
    assert len(await store.transact(lambda tx: tx.resend(NOW))) == many
    assert await store.transact(lambda tx: tx.counts()) == {("team", State.PENDING): many}


async def test_sending_again_wakes_a_lane_that_had_gone_to_sleep(store: Store) -> None:
    await _owe(store, "a")
    [dead] = await store.transact(claim())
    await store.transact(given_up(dead))
    while claims := await store.transact(claim()):
        await store.transact(arrived(claims[0]))
    assert await store.transact(lambda tx: tx.next_due("team")) is None
    await store.transact(lambda tx: tx.resend(NOW + 1))
    [again] = await store.transact(claim(now=NOW + 1))
    assert again.delivery == dead.delivery


async def test_a_sink_is_met_as_it_was_left_unless_its_settings_changed(store: Store) -> None:
    tired = SinkState(7, paused=True, paused_until=NOW + 900, reason="refused", detail="401")
    assert await store.transact(lambda tx: tx.enrol("team", "print-1", NOW)) == SinkState()
    await store.transact(lambda tx: tx.mark("team", tired))
    assert await store.transact(lambda tx: tx.enrol("team", "print-1", NOW)) == tired
    assert await store.transact(lambda tx: tx.sinks()) == {"team": tired}
    await _owe(store, "a")
    [taken] = await store.transact(claim())
    await store.transact(put_off(taken, time.time() + 900))
    assert await store.transact(lambda tx: tx.enrol("team", "print-2", NOW)) == SinkState()
    assert await store.transact(lambda tx: tx.sinks()) == {"team": SinkState()}
    assert len(await store.transact(claim())) == 1, "with new settings it deserves a try at once"


async def test_who_sends_again_has_mended_the_sink(store: Store) -> None:
    await store.transact(lambda tx: tx.enrol("team", "print-1", NOW))
    await store.transact(lambda tx: tx.mark("team", SinkState(1, paused=True, reason="gone", detail="410")))
    await _owe(store, "a")
    [taken] = await store.transact(claim())
    await store.transact(given_up(taken))
    await store.transact(lambda tx: tx.resend(NOW))
    assert await store.transact(lambda tx: tx.enrol("team", "print-1", NOW)) == SinkState()


async def test_forgetting_spares_what_is_young_and_what_anybody_is_owed(store: Store) -> None:
    await store.transact(Scene(cluster("silent"), sinks=()).three_events())
    [events, _] = await _owe(store, "a", "b")
    while claims := [taken for taken in await store.transact(claim(1, now=NOW)) if taken.event.cluster.name == "a"]:
        await store.transact(arrived(claims[0]))
    await store.transact(Scene(cluster("young"), sinks=()).three_events(NOW + 500))
    total = len(await store.transact(lambda tx: tx.events(limit=500)))
    forgotten = await store.transact(lambda tx: tx.forget(NOW + 100, limit=2))
    assert forgotten == 2
    while more := await store.transact(lambda tx: tx.forget(NOW + 100, limit=2)):
        forgotten += more
    assert forgotten == 2 * len(events)
    left = [event for _, event in await store.transact(lambda tx: tx.events(limit=500))]
    assert {event.cluster.name for event in left} == {"b", "young"}
    assert len(left) == total - forgotten


async def test_people_see_deliveries_by_sink_and_state(store: Store) -> None:
    await store.transact(Scene(sinks=("team", "hook")).three_events())
    [taken] = await store.transact(claim())
    await store.transact(put_off(taken, NOW + 5))
    rows = await store.transact(lambda tx: tx.deliveries(sink="team", state=State.PENDING))
    assert rows[0].id == taken.delivery
    assert (rows[0].reason, rows[0].detail, rows[0].attempts) == ("server", "HTTP 503", 1)
    assert rows[0].next_at is not None
    assert rows[0].next_at.timestamp() == NOW + 5
    counts = await store.transact(lambda tx: tx.counts())
    assert counts == {("team", State.PENDING): len(rows), ("hook", State.PENDING): len(rows)}


# --- several replicas, which only PostgreSQL has ------------------------------------------------------------------------------


async def test_replicas_that_claim_at_once_never_share_a_lane(postgres_url: str) -> None:
    replicas = [Store(postgres_url).open() for _ in range(2)]
    try:
        await _owe(replicas[0], *(f"c{number}" for number in range(20)))
        seen: list[str] = []
        while claims := await asyncio.gather(*(store.transact(claim(3, now=NOW + 100)) for store in replicas)):
            if not any(claims):
                break
            seen += [taken.lane for group in claims for taken in group]
        assert len(seen) == len(set(seen)) == 20
    finally:
        for store in replicas:
            store.close()


async def test_news_that_is_committed_while_a_lane_is_settled_is_not_forgotten(postgres_url: str) -> None:
    """The replica that polls holds the lane's row; the one that settles waits for it, and must then see the new delivery."""
    scene = Scene()
    store = Store(postgres_url).open()
    engine = create_engine(driver(postgres_url))
    try:
        await store.transact(scene.see([]))
        await store.transact(scene.three_events())
        while True:
            [taken] = await store.transact(claim())
            if [row.state for row in await store.transact(lambda tx: tx.deliveries())].count(State.PENDING) == 0:
                break
            await store.transact(arrived(taken))
        with engine.connect() as poller, poller.begin() as transaction:
            polled = Transaction(poller)
            assert scene.see([running("t1", "n1", "n2")])(polled)
            polled.flush()
            settling = asyncio.ensure_future(store.transact(arrived(taken)))
            await _until_somebody_waits(postgres_url)
            transaction.commit()
        await settling
        assert len(await store.transact(claim())) == 1
    finally:
        store.close()
        engine.dispose()


async def _until_somebody_waits(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        async with asyncio.timeout(60):
            while not connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(0.01)


async def test_replicas_that_start_at_once_migrate_once(postgres_empty: str) -> None:
    # Processes, as replicas are: Alembic keeps its context in a module, which threads would share.
    start = "import sys; from notifier.store.store import Store; Store(sys.argv[1]).open().close()"
    replicas = [await asyncio.create_subprocess_exec(sys.executable, "-c", start, postgres_empty) for _ in range(3)]
    assert await asyncio.gather(*(replica.wait() for replica in replicas)) == [0, 0, 0]


async def test_a_store_outlives_its_connection(postgres_url: str) -> None:
    store = Store(postgres_url).open()
    try:
        await store.transact(Scene().three_events())
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
            assert ended.fetchall() == [(True,)]
        assert len(await store.transact(lambda tx: tx.clusters())) == 1
    finally:
        store.close()


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with pytest.raises(StoreError) as failure:
        Store("postgresql://user:sesame@127.0.0.1:1/none").open()
    assert "127.0.0.1:1" in str(failure.value)
    assert "sesame" not in str(failure.value)
    assert "sesame" not in repr(Store("postgresql://user:sesame@127.0.0.1:1/none"))


async def test_what_a_sink_asks_to_keep_is_kept_under_its_name(store: Store) -> None:
    await store.transact(lambda tx: tx.keep("team", "board", "1.0"))
    await store.transact(lambda tx: tx.keep("other", "board", "9.0"))
    await store.transact(lambda tx: tx.keep("team", "board", "2.0"))
    assert await store.transact(lambda tx: tx.recall("team", "board")) == "2.0"
    assert await store.transact(lambda tx: tx.recall("team", "anything")) is None


async def test_the_newest_word_on_a_task_is_its_last_event(store: Store) -> None:
    first, second = await _owe(store, "a", "b")
    assert await store.transact(lambda tx: tx.newest_of_thread(first[0].thread, 1)) == first[-1:]
    assert await store.transact(lambda tx: tx.newest_of_thread(second[0].thread, 1)) == second[-1:]
    assert await store.transact(lambda tx: tx.newest_of_thread(first[0].thread, 99)) == first
    assert await store.transact(lambda tx: tx.newest_of_thread("nothing", 99)) == []
