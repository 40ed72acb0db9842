"""What is told together: held back, merged, repeated as it was, parted where it is refused as one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from store_scenes import LEASE, NOW, Scene, arrived, claim, given_up, put_off, running

from notifier.domain.holding import Holding
from notifier.domain.model import Event, Kind
from notifier.domain.routing import Matcher
from notifier.domain.silences import Silence
from notifier.store.lanes import LATE, MOST_TOGETHER
from notifier.store.rows import Claim, State
from notifier.store.store import Store
from notifier.store.transaction import Transaction


def patient(seconds: float) -> Callable[[Event], float | None]:
    """Node and stage news may wait, the rest may not."""
    return lambda event: seconds if event.kind.startswith(("node.", "stage.")) else None


SLOW, LENIENT = Holding(patient(10.0)), Holding(patient(0.0))


@pytest.fixture(autouse=True)
def _a_clock_that_the_test_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    # On PostgreSQL the database's clock decides, which is tested elsewhere and cannot be turned.
    monkeypatch.setattr(Transaction, "now", lambda _, ours: ours)


def kinds(claimed: Claim) -> list[str]:
    return [*(along.event.kind for along in claimed.earlier), claimed.event.kind]


async def states(store: Store) -> list[tuple[State, int]]:
    return [(row.state, row.attempts) for row in await store.transact(lambda tx: tx.deliveries())]


async def test_what_waits_is_told_together_when_its_time_has_come(store: Store) -> None:
    scene = Scene(holding=SLOW)
    await store.transact(scene.three_events())
    (first,) = await store.transact(claim())
    assert kinds(first) == ["task.started"]
    await store.transact(arrived(first))
    assert await store.transact(claim()) == []
    assert await store.transact(lambda tx: tx.next_due("team")) == NOW + 10
    (rest,) = await store.transact(claim(now=NOW + 10))
    assert kinds(rest) == ["node.started", "node.completed", "node.started"]
    assert rest.deliveries[-1] == rest.delivery
    await store.transact(arrived(rest, NOW + 10))
    assert {state for state, _ in await states(store)} == {State.DELIVERED}
    assert await store.transact(lambda tx: tx.next_due("team")) is None


async def test_what_is_urgent_takes_along_what_waits_before_it(store: Store) -> None:
    scene = Scene(holding=SLOW)
    await store.transact(scene.see([]))
    await store.transact(scene.see([running()]))
    (first,) = await store.transact(claim())
    await store.transact(arrived(first))
    await store.transact(scene.see([running("t1", "n1")], NOW + 1))
    assert await store.transact(claim(now=NOW + 2)) == []
    failed = replace(running("t1", "n1"), status="FAILED")
    await store.transact(scene.see([failed], NOW + 3))
    (urgent,) = await store.transact(claim(now=NOW + 3))
    # Each failure is a message of its own; the first takes along what waited.
    assert kinds(urgent) == ["node.started", "node.completed", "node.started", "node.failed"]
    await store.transact(arrived(urgent, NOW + 3))
    (end,) = await store.transact(claim(now=NOW + 3))
    assert kinds(end) == ["task.failed"]


async def test_old_news_is_merged_only_once_it_is_old(store: Store) -> None:
    scene = Scene(holding=LENIENT)
    await store.transact(scene.three_events())
    (first,) = await store.transact(claim())
    await store.transact(arrived(first))
    (second,) = await store.transact(claim())
    assert kinds(second) == ["node.started"]
    await store.transact(arrived(second))
    (late,) = await store.transact(claim(now=NOW + LATE + 1))
    assert kinds(late) == ["node.completed", "node.started"]


async def test_what_is_newer_goes_along_with_old_news_that_held_it_up(store: Store) -> None:
    scene = Scene(holding=LENIENT)
    await store.transact(scene.see([]))
    await store.transact(scene.see([running()]))
    await store.transact(scene.see([running("t1", "n1")], NOW + LATE))
    await store.transact(scene.see([replace(running("t1", "n1"), status="FAILED")], NOW + LATE))
    (first,) = await store.transact(claim(now=NOW + LATE))
    await store.transact(arrived(first, NOW + LATE))
    (late,) = await store.transact(claim(now=NOW + LATE + 1))
    assert kinds(late) == ["node.started", "node.completed", "node.started", "node.failed"]
    assert late.due.timestamp() == NOW, "the oldest of it was to be told then"


async def test_what_was_held_was_to_be_told_later_than_it_was_seen_and_not_so_what_is_sent_again(store: Store) -> None:
    scene = Scene(holding=SLOW)
    await store.transact(scene.three_events())
    (first,) = await store.transact(claim())
    await store.transact(arrived(first))
    (held,) = await store.transact(claim(now=NOW + 10))
    assert (first.due.timestamp(), held.due.timestamp()) == (NOW, NOW + 10)
    await store.transact(lambda tx: tx.buried(held, NOW + 10, outcome="rejected", reason="invalid", detail="no"))
    await store.transact(lambda tx: tx.resend(NOW + 9999, sink="team"))
    (again,) = await store.transact(claim(now=NOW + 9999))
    assert again.due.timestamp() == NOW


async def test_what_may_have_arrived_is_repeated_as_it_was(store: Store) -> None:
    scene = Scene(holding=LENIENT)
    await store.transact(scene.see([], NOW))
    await store.transact(scene.see([running()], NOW))
    (first,) = await store.transact(claim())
    await store.transact(arrived(first))
    (lost,) = await store.transact(claim(now=NOW + LATE + 1))
    await store.transact(put_off(lost, NOW + LATE + 5, uncertain=True))
    await store.transact(scene.see([running("t1", "n1")], NOW + LATE + 2))
    (again,) = await store.transact(claim(now=NOW + 3 * LATE))
    assert again.deliveries == lost.deliveries
    assert again.uncertain


async def test_a_message_of_several_is_repeated_as_it_was_after_a_crash(store: Store) -> None:
    scene = Scene(holding=SLOW)
    await store.transact(scene.three_events())
    (first,) = await store.transact(claim())
    await store.transact(arrived(first))
    (lost,) = await store.transact(claim(now=NOW + 10))
    await store.transact(scene.see([running("t1", "n1", "n2")], NOW + 11))
    (again,) = await store.transact(claim(now=NOW + 10 + LEASE + 1))
    assert again.deliveries == lost.deliveries
    assert again.attempt == 2
    assert again.uncertain


async def test_what_surely_did_not_arrive_may_be_told_in_other_company(store: Store) -> None:
    scene = Scene(holding=SLOW)
    await store.transact(scene.three_events())
    (first,) = await store.transact(claim())
    await store.transact(arrived(first))
    (failed,) = await store.transact(claim(now=NOW + 10))

    def refused(tx: Transaction) -> None:
        # The first try is one that may have got through only as long as nobody says otherwise.
        tx.postponed(failed, NOW + 15, NOW + 10, outcome="retry", reason="server", detail="503", uncertain=False, counted=True)

    await store.transact(refused)
    await store.transact(scene.see([running("t1", "n1", "n2")], NOW + 11))
    (again,) = await store.transact(claim(now=NOW + 15))
    assert len(again.deliveries) > len(failed.deliveries)
    assert again.deliveries[: len(failed.deliveries)] == failed.deliveries


async def test_a_message_that_is_refused_is_parted(store: Store) -> None:
    scene = Scene(holding=SLOW)
    await store.transact(scene.three_events())
    (first,) = await store.transact(claim())
    await store.transact(arrived(first))
    (refused,) = await store.transact(claim(now=NOW + 10))
    await store.transact(lambda tx: tx.parted(refused, NOW + 10, outcome="rejected", reason="too_large", detail="HTTP 413"))
    told = []
    for _ in refused.deliveries:
        (single,) = await store.transact(claim(now=NOW + 10))
        assert single.earlier == ()
        told.append(single.delivery)
        await store.transact(arrived(single, NOW + 10))
    assert told == refused.deliveries


async def test_all_of_a_message_dies_together_and_is_skipped(store: Store) -> None:
    scene = Scene(holding=SLOW)
    await store.transact(scene.three_events())
    (first,) = await store.transact(claim())
    await store.transact(arrived(first))
    (lost,) = await store.transact(claim(now=NOW + 10))
    await store.transact(given_up(lost))
    assert [state for state, _ in await states(store)].count(State.DEAD) == len(lost.deliveries) == 3
    again = await store.transact(lambda tx: tx.resend(NOW + 20))
    assert sorted(again) == sorted(lost.deliveries)
    (single,) = await store.transact(claim(now=NOW + 20))
    assert single.earlier == ()
    assert single.skipped == 3


async def test_a_message_holds_no_more_than_can_be_read(store: Store) -> None:
    scene = Scene(holding=SLOW)
    nodes = [f"n{number}" for number in range(MOST_TOGETHER + 20)]
    task = running("t1")
    await store.transact(scene.see([], NOW))
    await store.transact(scene.see([task], NOW))
    (first,) = await store.transact(claim())
    await store.transact(arrived(first))
    await store.transact(scene.see([replace(task, total=tuple(nodes), completed=tuple(nodes))], NOW))
    (many,) = await store.transact(claim(now=NOW + 10))
    assert len(many.deliveries) == MOST_TOGETHER


async def test_a_sink_that_works_again_hurries_what_failed_but_not_what_waits(store: Store) -> None:
    scene = Scene(holding=SLOW)
    await store.transact(scene.three_events())
    (first,) = await store.transact(claim())
    await store.transact(put_off(first, NOW + 500))
    assert await store.transact(lambda tx: tx.hasten("team", NOW)) == 1
    (first,) = await store.transact(claim())
    await store.transact(arrived(first))
    assert await store.transact(lambda tx: tx.hasten("team", NOW)) == 0
    assert await store.transact(claim(early=True)) == []


async def test_what_is_silenced_is_kept_and_not_told(store: Store) -> None:
    scene = Scene()
    subject = scene.subject
    at = datetime.fromtimestamp(NOW, UTC)
    quiet = Silence("s-1", Matcher(kind=("task.*",), cluster=(subject.id,)), at, at + timedelta(hours=1), "lin", "planned")
    await store.transact(lambda tx: tx.silence(quiet))
    assert await store.transact(lambda tx: tx.silences(NOW)) == [quiet]
    scene.silences = [quiet]
    await store.transact(scene.three_events())
    rows = await store.transact(lambda tx: tx.deliveries())
    assert [(row.kind, row.state) for row in rows if row.state is not State.PENDING] == [(Kind.TASK_STARTED, State.SILENCED)]
    (head,) = await store.transact(claim())
    assert head.event.kind is Kind.NODE_STARTED


async def test_a_silence_ends_is_replaced_and_can_be_looked_at_afterwards(store: Store) -> None:
    at = datetime.fromtimestamp(NOW, UTC)
    quiet = Silence("s-1", Matcher(), at, at + timedelta(hours=1), "lin", "planned", task="t1", reminders_only=True)
    await store.transact(lambda tx: tx.silence(quiet))
    over = replace(quiet, ends_at=at)
    await store.transact(lambda tx: tx.silence(over))
    assert await store.transact(lambda tx: tx.silences(NOW)) == []
    assert await store.transact(lambda tx: tx.silences(NOW, over=True)) == [over]


@pytest.mark.parametrize("sinks", [("team", "hook")])
async def test_a_lane_with_nothing_but_silenced_news_is_never_due(store: Store, sinks: tuple[str, ...]) -> None:
    at = datetime.fromtimestamp(NOW, UTC)
    scene = Scene(sinks=sinks)
    scene.silences = [Silence("s-1", Matcher(), at, at + timedelta(hours=1), "lin", "planned")]
    await store.transact(scene.three_events())
    for sink in sinks:
        assert await store.transact(lambda tx, sink=sink: tx.next_due(sink)) is None  # type: ignore[misc]  # a loop's variable
    assert await store.transact(lambda tx: tx.forget(NOW + 1)) > 0
