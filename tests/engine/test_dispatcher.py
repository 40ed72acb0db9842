"""What an outlet does with what its sink says; deliveries are awaited in the store, not guessed at by the clock."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from engine_scripts import PATIENCE, QUICK, CountingStore, Sink, eventually, fails, outlet, rows, serving, settled, tell

from notifier.domain import render as words
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.retry import BREAK_AFTER, Policy
from notifier.engine import attempt as trying
from notifier.engine import outlet as engine
from notifier.engine import pauses, sending
from notifier.engine import record as recording
from notifier.store.errors import Fenced, StoreDamaged, StoreError, StoreFull
from notifier.store.rows import Claim, SinkState, State
from notifier.store.store import Store
from notifier.store.transaction import Transaction

GONE = fails(Outcome.REJECTED, DeliveryReason.GONE, scope=Scope.SINK)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store("sqlite://").open()
    yield opened
    opened.close()


async def test_a_lane_is_told_in_order_each_with_the_receipt_before(store: Store) -> None:
    sink = Sink()
    await store.transact(tell())
    async with serving(outlet(store, sink)):
        await eventually(settled(store))
    assert sink.told == [("search", 1), ("search", 2), ("search", 3), ("search", 4)]
    assert sink.lasts == [None, *(Receipt({"n": message.id}) for message in sink.heard[:-1])]


async def test_an_outlet_that_is_told_of_news_does_not_wait_for_its_next_look(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOK", "ALONE"):
        monkeypatch.setattr(engine, name, 2 * PATIENCE)
    served = outlet(store, Sink())
    async with serving(served) as dispatcher:
        await served.pulse.next()  # It has found nothing to do, and rests.
        await store.transact(tell())
        dispatcher.told(frozenset({"team", "unknown"}))
        await eventually(settled(store))


async def test_a_failing_head_does_not_hold_back_other_lanes(store: Store) -> None:
    sink = Sink(lambda message: fails() if message.event.cluster.name == "bad" else Receipt())
    await store.transact(tell("bad"))
    await store.transact(tell("good"))
    async with serving(outlet(store, sink, policy=Policy(first_retry=600))):
        await eventually(settled(store))
    assert [told for told in sink.told if told[0] == "good"] == [("good", number) for number in (1, 2, 3, 4)]
    assert sink.told.count(("bad", 1)) == 1, "the success of others must not cut its wait short"
    assert ("bad", 2) not in sink.told


async def test_a_failure_that_passes_is_tried_again_with_the_same_id(store: Store) -> None:
    sink = Sink(lambda message: fails() if message.attempt < 3 else Receipt())
    await store.transact(tell())
    async with serving(outlet(store, sink)):
        await eventually(settled(store))
    assert [message.attempt for message in sink.heard[:3]] == [1, 2, 3]
    assert len({message.id for message in sink.heard[:3]}) == 1
    assert not any(message.may_repeat for message in sink.heard), "the receiver surely did not take it"


async def test_a_refused_message_is_dead_and_the_next_one_says_so(store: Store) -> None:
    rejected = fails(Outcome.REJECTED, DeliveryReason.INVALID)
    sink = Sink(lambda message: rejected if message.event.sequence == 1 else Receipt())
    await store.transact(tell())
    async with serving(outlet(store, sink)):
        await eventually(settled(store, count=3))
    assert [message.skipped for message in sink.heard] == [0, 1, 0, 0]
    dead = (await rows(store))[0]
    assert (dead.state, dead.reason, dead.detail) == (State.DEAD, "invalid", "as the script says")


async def test_what_a_failed_try_has_achieved_is_given_back_to_the_next_ones(store: Store) -> None:
    reached = Receipt({"accepted": "a@example.com"})
    answers: list[DeliveryError | Receipt] = [fails(receipt=reached), fails(Outcome.UNCERTAIN), Receipt()]
    sink = Sink(lambda message: answers[message.attempt - 1] if message.event.sequence == 1 else Receipt())
    await store.transact(tell())
    async with serving(outlet(store, sink)):
        await eventually(settled(store))
    assert [message.progress for message in sink.heard[:4]] == [None, reached, reached, None]


async def test_what_is_given_up_having_arrived_in_part_was_not_skipped(store: Store) -> None:
    reached = Receipt({"accepted": "a@example.com"})
    partly = fails(Outcome.REJECTED, DeliveryReason.INVALID, receipt=reached)
    sink = Sink(lambda message: partly if message.event.sequence == 1 and message.progress is None else Receipt())
    await store.transact(tell())
    async with serving(outlet(store, sink)) as dispatcher:
        await eventually(settled(store, count=3))
        assert (sink.heard[1].skipped, sink.lasts[1]) == (0, reached)
        dead = (await rows(store))[0]
        assert dead.state is State.DEAD
        await store.transact(lambda tx: tx.resend(time.time(), ids=[dead.id]))
        dispatcher.told(frozenset({"team"}))
        await eventually(settled(store))
    assert sink.heard[-1].progress == reached, "who sends it again does not begin anew"


async def test_progress_that_cannot_be_stored_is_a_fault_of_the_sink(store: Store) -> None:
    wrong = fails(receipt=Receipt({"n": 1}))  # type: ignore[dict-item]
    sink = Sink(lambda message: wrong if message.attempt == 1 else Receipt())
    await store.transact(tell())
    async with serving(outlet(store, sink)):
        await eventually(settled(store))
    assert [message.may_repeat for message in sink.heard[:2]] == [False, True]


async def test_a_message_that_cannot_be_put_into_words_is_buried(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    render = words.render

    def broken(event: object, **facts: object) -> Message:
        if getattr(event, "sequence", 0) == 1:
            raise KeyError("a template's fault")
        return render(event, **facts)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(sending, "render", broken)
    sink = Sink()
    await store.transact(tell())
    async with serving(outlet(store, sink)):
        await eventually(settled(store, count=3))
    assert (await rows(store))[0].reason == "render"
    assert sink.heard[0].skipped == 1


@pytest.mark.parametrize("wrong", [None, "thanks", Receipt({"n": 1}), Receipt({"n": "\ud800"}), Receipt(None)])  # type: ignore[dict-item,arg-type]
async def test_a_sink_that_gives_back_nonsense_is_a_fault_of_the_sink(store: Store, wrong: Receipt) -> None:
    async def answer(right: bool) -> Receipt:
        return Receipt() if right else wrong

    sink = Sink(lambda message: answer(message.attempt > 1))
    await store.transact(tell())
    async with serving(outlet(store, sink)):
        await eventually(settled(store))
    assert [message.may_repeat for message in sink.heard[:3]] == [False, True, False]


async def test_a_sink_that_crashes_is_tried_again_and_may_repeat(store: Store) -> None:
    sink = Sink(lambda message: ZeroDivisionError("secret") if message.attempt == 1 else Receipt())
    await store.transact(tell())
    async with serving(outlet(store, sink)):
        await eventually(lambda: len(sink.heard) >= 2)
        await eventually(settled(store, count=4))
    assert [message.may_repeat for message in sink.heard[:2]] == [False, True]


async def test_a_sink_that_does_not_answer_is_uncertain(store: Store) -> None:
    async def never() -> Receipt:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    sink = Sink(lambda message: never() if message.attempt == 1 and message.event.sequence == 1 else Receipt())
    await store.transact(tell())
    async with serving(outlet(store, sink, timeout=0.05)):
        await eventually(settled(store))
    assert sink.heard[1].may_repeat


async def test_being_asked_to_wait_is_no_try(store: Store) -> None:
    throttled = fails(reason=DeliveryReason.THROTTLED, retry_after=0.01)
    sink = Sink(lambda message: throttled if message.attempt <= 2 and message.event.sequence == 1 else Receipt())
    tries: list[int] = []
    served = outlet(store, sink)
    render = served._sender.message
    served._sender.message = lambda claim: (tries.append(claim.tries), render(claim))[1]  # type: ignore[method-assign,func-returns-value]
    await store.transact(tell())
    async with serving(served):
        await eventually(settled(store))
    assert tries[:3] == [0, 0, 0]


async def test_a_sink_that_asks_for_a_pause_is_left_alone_then_probed_with_one_and_then_given_the_rest(store: Store) -> None:
    at: list[float] = []

    def busy_once(_: Message) -> Receipt | Exception:
        at.append(time.monotonic())
        return fails(scope=Scope.SINK, reason=DeliveryReason.THROTTLED, retry_after=0.3) if len(at) == 1 else Receipt()

    sink = Sink(busy_once)
    for name in ("a", "b", "c"):
        await store.transact(tell(name))
    served = outlet(store, sink, concurrency=1, policy=Policy(first_retry=600))
    async with serving(served):
        # What waits for 600 s is due as soon as the probe arrives.
        await eventually(settled(store, count=12))
        assert served.state == SinkState()
    assert at[1] - at[0] > 0.3 * 0.95, "it is left alone"
    assert await store.transact(lambda tx: tx.sinks()) == {"team": SinkState()}


@pytest.mark.parametrize(
    "other", [Receipt(), fails(), fails(Outcome.REJECTED, DeliveryReason.INVALID)], ids=["arrives", "fails", "is refused"]
)
async def test_what_was_under_way_when_a_sink_asked_for_a_pause_does_not_end_it(store: Store, other: Receipt | Exception) -> None:
    """Else the one that was put off would be sent again at once, to be put off again, as fast as the answers come."""
    asked = asyncio.Event()
    busy = fails(scope=Scope.SINK, reason=DeliveryReason.THROTTLED, retry_after=3600.0)

    async def script(message: Message) -> Receipt:
        if message.event.cluster.name == "busy":
            await eventually(lambda: len(sink.heard) == 2)
            asked.set()
            raise busy
        await asked.wait()
        await eventually(lambda: served.state.paused)
        if isinstance(other, Exception):
            raise other
        return other

    sink = Sink(script)
    served = outlet(store, sink, concurrency=2)
    for name in ("busy", "calm"):
        await store.transact(tell(name))
    async with serving(served):
        await eventually(lambda: served.state.paused and not served._sends)
        for _round in range(5):
            served.wake()
            await served.pulse.next()
        assert len(sink.heard) == 2
    stored = (await store.transact(lambda tx: tx.sinks()))["team"]
    assert stored.paused
    assert stored.paused_until is not None
    assert stored.paused_until > time.time() + 3000


@pytest.mark.parametrize(
    ("held", "asked", "ends"),
    [(10.0, 3600.0, 3600.0), (3600.0, 10.0, 3600.0), (None, 3600.0, None), (10.0, None, None)],
    ids=["longer", "shorter", "already off", "gone"],
)
def test_of_two_pauses_the_longer_one_counts(held: float | None, asked: float | None, ends: float | None) -> None:
    now = datetime.now(UTC)
    busy = fails(reason=DeliveryReason.THROTTLED, scope=Scope.SINK, retry_after=asked)
    before = SinkState(1, paused=True, paused_until=None if held is None else now.timestamp() + held)
    after = pauses.after(before, GONE if asked is None else busy, now, probe=False)
    assert (after.paused, after.paused_until) == (True, None if ends is None else pytest.approx(now.timestamp() + ends))


async def test_a_sink_that_asks_for_a_pause_while_more_is_being_claimed_is_left_alone_all_the_same(store: Store) -> None:
    served = outlet(store, Sink())
    held = SinkState(1, paused=True, paused_until=time.time() + 3600, reason="throttled", detail="HTTP 429")
    claim = served._claim

    def late(tx: Transaction, room: int, now: float) -> tuple[list[Claim], SinkState, float]:
        found = claim(tx, room, now)
        served.state = held  # A message that was under way has come back.
        return found

    served._claim = late  # type: ignore[method-assign]  # what happens in between
    await served._round()
    assert served.state is held


async def test_five_failures_in_a_row_pause_the_sink(store: Store) -> None:
    sink = Sink(lambda _: fails())
    await store.transact(tell())
    served = outlet(store, sink, concurrency=1)
    async with serving(served):
        await eventually(lambda: served.state.paused)
    assert len(sink.heard) == 5
    state = (await store.transact(lambda tx: tx.sinks()))["team"]
    assert (state.failures, state.reason) == (5, "server")


async def test_what_has_failed_before_it_worked_is_not_held_against_it_after_a_restart(store: Store) -> None:
    sink = Sink(lambda message: fails() if len(sink.heard) <= 3 else Receipt({"n": message.id}))
    await store.transact(tell())
    async with serving(outlet(store, sink, concurrency=1)):
        await eventually(settled(store))
    assert await store.transact(lambda tx: tx.sinks()) == {"team": SinkState()}
    again = Sink(lambda message: fails() if len(again.heard) <= 3 else Receipt({"n": message.id}))
    await store.transact(tell("logs"))
    served = outlet(store, again, concurrency=1)
    async with serving(served):
        await eventually(settled(store, count=8))


async def test_a_sink_that_is_gone_stays_off_over_a_restart_and_comes_back_with_new_settings(store: Store) -> None:
    sink = Sink(lambda _: GONE)
    await store.transact(tell())
    served = outlet(store, sink, fingerprint="old")
    async with serving(served):
        await eventually(lambda: served.state.paused)
    again = outlet(store, sink, fingerprint="old")
    async with serving(again):
        await eventually(lambda: again.state.paused)
    assert len(sink.heard) == 1
    sink.script = lambda _: Receipt()
    async with serving(outlet(store, sink, fingerprint="new")):
        await eventually(settled(store))


async def test_sending_again_revives_a_sink_that_is_off_without_a_restart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOOK", 0.05)
    sink = Sink(lambda message: GONE if message.event.sequence == 2 else fails(Outcome.REJECTED, DeliveryReason.INVALID))
    await store.transact(tell())
    served = outlet(store, sink, fingerprint="same")
    async with serving(served):
        await eventually(lambda: served.state.paused)
        sink.script = lambda _: Receipt()
        assert await store.transact(lambda tx: tx.resend(time.time()))
        await eventually(settled(store))


async def test_what_is_owed_for_too_long_is_given_up_even_while_the_sink_is_off(store: Store) -> None:
    await store.transact(tell())
    await store.transact(lambda tx: tx.enrol("team", "", 0.0))
    await store.transact(lambda tx: tx.mark("team", SinkState(1, paused=True, reason="gone", detail="")))
    sink = Sink()
    async with serving(outlet(store, sink, policy=Policy(give_up_after=0))):
        await eventually(settled(store, State.DEAD))
    assert sink.heard == []


async def test_a_rate_is_kept(store: Store) -> None:
    sink = Sink()
    await store.transact(tell())
    began = time.monotonic()
    async with serving(outlet(store, sink, rate=20.0)):
        await eventually(settled(store))
    assert time.monotonic() - began >= 3 / 20


async def test_a_stop_lets_what_is_under_way_finish(store: Store) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow() -> Receipt:
        begun.set()
        await go.wait()
        return Receipt()

    sink = Sink(lambda _: slow())
    await store.transact(tell())
    async with serving(outlet(store, sink), grace=PATIENCE):
        await begun.wait()
        asyncio.get_running_loop().call_later(0.05, go.set)
    states = [row.state for row in await rows(store)]
    assert states == [State.DELIVERED, State.PENDING, State.PENDING, State.PENDING]


async def test_a_stop_breaks_off_what_takes_too_long_and_remembers_that_it_may_have_arrived(store: Store) -> None:
    begun = asyncio.Event()

    async def never() -> Receipt:
        begun.set()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    sink = Sink(lambda _: never())
    await store.transact(tell())
    async with serving(outlet(store, sink), grace=0.05):
        await begun.wait()
    row = (await rows(store))[0]
    assert (row.state, row.reason) == (State.PENDING, "interrupted")
    sink.script = lambda _: Receipt()
    async with serving(outlet(store, sink, policy=QUICK)):
        await eventually(settled(store))
    assert sink.heard[1].may_repeat


async def test_a_claim_that_comes_back_during_a_stop_is_not_sent_behind_its_back(store: Store) -> None:
    sink = Sink()
    await store.transact(tell())
    for _ in range(20):
        served = outlet(store, sink)
        async with serving(served):
            await asyncio.sleep(0)
        assert served._sends == set()
        assert State.SENDING not in [row.state for row in await rows(store)]


async def test_an_outlet_outlives_its_store_and_its_own_faults(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "ALONE", 0.01)
    troubles: list[Exception] = [StoreError("the disk is full"), ZeroDivisionError("a fault of ours")]
    served = outlet(store, Sink())
    work = served._round

    async def troubled() -> float:
        if troubles:
            raise troubles.pop()
        return await work()

    monkeypatch.setattr(served, "_round", troubled)
    await store.transact(tell())
    async with serving(served):
        await eventually(settled(store))


@pytest.mark.parametrize("trouble", ["fenced", "store", "fault"])
async def test_what_cannot_be_settled_is_sent_again_under_the_same_id(
    store: Store, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "AGAIN", 60.0)
    monkeypatch.setattr(engine, "ALONE", 0.05)
    sink = Sink()
    served = outlet(store, sink, lease=2.0 if trouble == "store" else 30.0)
    arrive, sick = served._arrived, [True]

    def arrived(tx: object, *facts: object, **more: object) -> None:
        if sick:
            raise {"fenced": Fenced("taken over"), "store": StoreError("full"), "fault": ZeroDivisionError()}[trouble]
        arrive(tx, *facts, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(served, "_arrived", arrived)
    await store.transact(tell())
    async with serving(served):
        # Whoever is told that another has taken over, though none has, sends it again and again.
        await eventually(lambda: bool(sink.heard) and not served._sends)
        sick.clear()
        await store.transact(lambda tx: tx.release_lanes())
        served.wake()
        await eventually(settled(store))
    assert sink.heard[0].id == sink.heard[1].id
    assert sink.heard[1].may_repeat


async def test_what_cannot_be_settled_for_a_fault_of_ours_is_not_sent_again_and_again_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "ALONE", 3600.0)
    sink = Sink()
    served = outlet(store, sink)
    failed, loop = asyncio.Event(), asyncio.get_running_loop()

    def faulty(*_facts: object) -> None:  # On the store's thread.
        loop.call_soon_threadsafe(failed.set)
        raise ZeroDivisionError

    monkeypatch.setattr(served, "_arrived", faulty)
    await store.transact(tell())
    async with serving(served, grace=0.0):
        await failed.wait()
        await eventually(lambda: served._doubts == store.doubts > 0)
        for _round in range(5):
            served.wake()
            await served.pulse.next()
        assert len(sink.heard) == 1


async def test_a_stop_does_not_wait_for_what_cannot_be_written_down(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LAST", 0.05)
    monkeypatch.setattr(recording, "AGAIN", PATIENCE)
    begun = asyncio.Event()

    async def never() -> Receipt:
        begun.set()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    def refuse(*_facts: object, **_more: object) -> None:
        raise StoreError("full")

    served = outlet(store, Sink(lambda _: never()), lease=10 * PATIENCE)
    monkeypatch.setattr(served, "_failed", refuse)
    await store.transact(tell())
    async with serving(served, grace=0.05):
        await begun.wait()
        began = time.monotonic()
    assert time.monotonic() - began < recording.AGAIN


async def test_a_stop_does_not_wait_for_a_sink_that_heeds_no_cancelling(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trying, "STUBBORN", 0.05)
    begun = asyncio.Event()

    async def heedless() -> Receipt:
        begun.set()
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    await store.transact(tell())
    async with asyncio.timeout(PATIENCE), serving(outlet(store, Sink(lambda _: heedless())), grace=0.05):
        await begun.wait()
    assert (await rows(store))[0].reason == "interrupted"


async def test_an_outcome_that_the_store_refused_is_handed_in_again_and_not_told_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "AGAIN", 0.01)
    sink = Sink()
    served = outlet(store, sink)
    arrive, refusals = served._arrived, [StoreFull("full"), StoreError("the database restarts"), StoreFull("full")]

    def arrived(tx: Transaction, *facts: object, **more: object) -> None:
        if refusals:
            raise refusals.pop()
        arrive(tx, *facts, **more)  # type: ignore[arg-type]  # what it was called with

    monkeypatch.setattr(served, "_arrived", arrived)
    await store.transact(tell())
    async with serving(served):
        await eventually(settled(store))
    assert len(sink.heard) == 4


async def test_an_outcome_that_was_kept_though_its_commit_failed_is_not_written_again(store: Store) -> None:
    await store.transact(tell())
    await store.transact(lambda tx: tx.enrol("team", "", 0.0))
    [claim] = await store.transact(lambda tx: tx.claim("team", "us", 1, lease=30.0, now=time.time()))
    failures = [StoreError("the connection broke before the answer came")]

    class Doubtful:
        async def transact(self, work: Callable[[Transaction], None]) -> None:
            await store.transact(work)
            if failures:
                raise failures.pop()

    written: list[str] = []

    def work(tx: Transaction) -> None:
        written.append(claim.delivery)
        tx.delivered(claim, Receipt(), time.time())

    await recording.record(Doubtful(), claim, work, time.monotonic() + PATIENCE)  # type: ignore[arg-type]  # all that is asked of it
    assert written == [claim.delivery]


async def test_what_was_stopped_for_half_its_lease_is_not_sent(store: Store) -> None:
    """Somebody else may be sending it by then: whoever wakes must not begin."""
    sink = Sink()
    await store.transact(tell())
    served = outlet(store, sink)
    [claim] = await store.transact(lambda tx: tx.claim("team", "us", 1, lease=30.0, now=time.time()))
    await served._serve(claim, time.monotonic() - served.settings.lease / 2, 0.0)
    assert sink.heard == []
    assert [row.state for row in await rows(store)] == [State.PENDING] * 4


async def test_what_was_claimed_in_doubt_is_let_go_and_what_is_being_sent_is_not(store: Store) -> None:
    going = asyncio.Event()

    async def slow(message: Message) -> Receipt:
        await going.wait()
        return Receipt({"n": message.id})

    sink = Sink(lambda message: slow(message) if message.event.cluster.name == "slow" else Receipt())
    served = outlet(store, sink)
    await store.transact(tell("slow"))
    async with serving(served):
        await eventually(lambda: len(sink.heard) == 1)
        await store.transact(tell("lost"))
        await store.transact(lambda tx: tx.claim("team", "tester", 1, lease=30.0, now=time.time()))
        store.doubts += 1
        served.wake()
        await eventually(settled(store))
        assert sink.told.count(("slow", 1)) == 1
        going.set()
        await eventually(settled(store, count=8))


async def test_a_sink_that_another_replica_paused_is_left_alone_and_its_end_is_noticed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOOK", 0.02)
    sink = Sink()
    served = outlet(store, sink)
    async with serving(served):
        await eventually(lambda: served._next_sweep > 0)
        await store.transact(lambda tx: tx.mark("team", SinkState(5, paused=True, paused_until=time.time() + 3600)))
        await store.transact(tell())
        served.wake()
        await eventually(lambda: served.state.paused)
        await asyncio.sleep(0.1)
        assert sink.heard == []
        await store.transact(lambda tx: tx.mark("team", SinkState(), recovered=True))
        await eventually(settled(store))
    assert not served.state.paused


async def test_replicas_with_different_settings_of_a_sink_leave_it_alone_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOOK", 0.02)
    refuses = Sink(lambda _: fails(Outcome.REJECTED, DeliveryReason.REFUSED, scope=Scope.SINK))
    both = [outlet(store, refuses, fingerprint=settings, concurrency=1) for settings in ("old", "new")]
    await store.transact(tell())
    async with serving(both[0]), serving(both[1]):
        await eventually(lambda: all(served.state.paused for served in both))
        for _round in range(5):
            await asyncio.gather(*(served.pulse.next() for served in both))
        assert len(refuses.heard) <= 2


async def test_replicas_share_the_rate_of_a_sink(store: Store) -> None:
    sinks = [Sink(), Sink()]
    for name in "abcdef":
        await store.transact(tell(name))
    began = time.monotonic()
    async with serving(outlet(store, sinks[0], rate=20.0)), serving(outlet(store, sinks[1], rate=20.0)):
        await eventually(settled(store, count=24))
    told = sum(len(sink.heard) for sink in sinks)
    assert told <= (time.monotonic() - began) * 20 + 2


async def test_a_replica_that_was_stopped_and_taken_over_does_not_take_the_sink_to_be_down(store: Store) -> None:
    """When it wakes, everything that it had under way has timed out; that is its own fault, not the sink's."""
    await store.transact(tell())
    served = outlet(store, Sink(lambda _: fails()))
    await store.transact(lambda tx: tx.enrol("team", "", 0.0))
    [claim] = await store.transact(lambda tx: tx.claim("team", "us", 1, lease=-1.0, now=time.time()))
    await store.transact(lambda tx: tx.claim("team", "another", 1, lease=30.0, now=time.time()))
    served.state = SinkState(BREAK_AFTER - 1)
    await served._serve(claim, time.monotonic(), 0.0)
    assert served.state == SinkState()
    assert (await store.transact(lambda tx: tx.sinks()))["team"] == SinkState()


async def test_nothing_is_kept_in_hand_for_a_store_that_is_damaged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink()
    served = outlet(store, sink)
    tried: list[object] = []

    def arrived(*facts: object, **_: object) -> None:
        tried.append(facts)
        raise StoreDamaged("the disk fails")

    monkeypatch.setattr(served, "_arrived", arrived)
    await store.transact(tell())
    async with serving(served):
        await eventually(lambda: len(tried) > 0 and not served._sends)
    # Once, or twice where others shared the transaction.
    assert len(tried) <= 2


@pytest.mark.parametrize("hours", [-24, -1, 1])
async def test_a_wall_clock_that_is_set_neither_puts_off_a_retry_nor_sends_twice_what_is_under_way(
    store: Store, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOOK", 0.02)
    set_clock, first = asyncio.Event(), True

    async def slowly() -> Receipt:
        await set_clock.wait()
        await asyncio.sleep(0.1)  # Several looks: whoever takes the lease for ended would send again by now.
        return Receipt()

    def script(message: Message) -> Awaitable[Receipt] | Receipt | Exception:
        nonlocal first
        if message.event.cluster.name == "slow" and message.event.sequence == 1:
            return slowly()
        if first:
            first = False
            return fails()
        return Receipt()

    sink = Sink(script)
    await store.transact(tell("search"))
    await store.transact(tell("slow"))
    async with serving(outlet(store, sink, policy=Policy(first_retry=0.2))):
        await eventually(lambda: len(sink.heard) >= 2)
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=hours), tick=True):
            set_clock.set()
            await eventually(settled(store, count=8))
    assert sink.told.count(("slow", 1)) == 1
    assert sink.told.count(("search", 1)) == 2


async def test_what_a_clock_put_off_that_was_ahead_is_due_when_it_is_right_again(store: Store) -> None:
    served = outlet(store, Sink(lambda _: fails()), policy=Policy(first_retry=0.01))
    await store.transact(tell())
    await store.transact(tell("other"))
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1), tick=True):
        async with serving(served):
            await eventually(lambda: served.state.paused)
    async with serving(outlet(store, Sink())):
        await eventually(settled(store, count=8))


async def test_a_sink_with_a_rate_does_not_wait_for_a_turn_of_a_clock_that_was_ahead(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOOK", 0.02)
    async with serving(outlet(store, Sink(), rate=50.0)):
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=1), tick=True):
            await store.transact(tell())
            await eventually(settled(store))
        await store.transact(tell("later"))
        await eventually(settled(store, count=8))


async def test_a_clock_that_is_set_while_the_store_refuses_is_followed_when_it_takes_work_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "ALONE", 0.02)
    store = CountingStore("sqlite://").open()
    sink = Sink(lambda message: fails() if message.attempt == 1 else Receipt())
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1), tick=True) as clock:
        await store.transact(tell())
        async with serving(outlet(store, sink, policy=Policy(first_retry=0.2))):
            await eventually(lambda: len(sink.heard) == 1)
            store.sick = True
            clock.shift(-3600)
            before = store.transactions
            await eventually(lambda: store.transactions > before + 2)
            store.sick = False
            await eventually(settled(store))
    store.close()
