"""Reminders in the store: deliveries of their own in the same lane, never told once what they remind of is over."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from store_scenes import NOW, Scene, arrived, claim, given_up, put_off, running

from notifier.domain.holding import Holding
from notifier.domain.model import Kind
from notifier.domain.plan import Audience
from notifier.domain.routing import Escalation, Matcher, Route
from notifier.domain.silences import Silence
from notifier.engine.reminding import Reminding, drop_ended
from notifier.store.rows import State
from notifier.store.store import Store
from notifier.store.transaction import Transaction

HOUR = 3600.0
FAILED = replace(running(), status="FAILED")


@pytest.fixture(autouse=True)
def _a_clock_that_the_test_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    # On PostgreSQL the database's clock decides, which is tested elsewhere and cannot be turned.
    monkeypatch.setattr(Transaction, "now", lambda _, ours: ours)


def remind(store: Store, at: float, sinks: tuple[str, ...] = ("team",)) -> Callable[[Transaction], list[str]]:
    reminding = Reminding(store, Audience([Route(Matcher(), sinks, repeat=HOUR)]), lambda _: None)
    return lambda tx: [planned.id for planned in reminding.plan(tx, datetime.fromtimestamp(at, UTC))]


async def fail(store: Store, scene: Scene) -> None:
    """A failure that is told."""
    await store.transact(scene.see([]))
    await store.transact(scene.see([running()]))
    await store.transact(scene.see([FAILED]))
    while claimed := await store.transact(claim()):
        await store.transact(arrived(claimed[0]))


async def states(store: Store) -> list[State]:
    rows = await store.transact(lambda tx: tx.deliveries(limit=200))
    return [row.state for row in rows if row.kind == Kind.TASK_FAILED]


async def test_a_failure_that_lasts_is_told_again_in_the_same_lane(store: Store) -> None:
    await fail(store, Scene())
    assert await store.transact(remind(store, NOW + HOUR - 1)) == []
    (first,) = await store.transact(remind(store, NOW + HOUR))
    assert await store.transact(remind(store, NOW + HOUR + 1)) == []
    (claimed,) = await store.transact(claim(now=NOW + HOUR))
    assert (claimed.delivery, claimed.event.kind, claimed.reminder) == (first, Kind.TASK_FAILED, 1)
    assert claimed.last is not None  # A sink that edits or threads gets what it gave back for the news.
    await store.transact(arrived(claimed, NOW + HOUR))
    (second,) = await store.transact(remind(store, NOW + 2 * HOUR))
    assert second != first
    (claimed,) = await store.transact(claim(now=NOW + 2 * HOUR))
    assert claimed.reminder == 2


async def test_a_reminder_comes_before_what_happens_after_it(store: Store) -> None:
    scene = Scene()
    await fail(store, scene)
    await store.transact(remind(store, NOW + HOUR))
    (claimed,) = await store.transact(claim(now=NOW + HOUR))
    await store.transact(scene.see([replace(running(), executions=2)], NOW + HOUR))
    assert await store.transact(claim(now=NOW + HOUR)) == []  # One at a time.
    await store.transact(arrived(claimed, NOW + HOUR))
    (following,) = await store.transact(claim(now=NOW + HOUR))
    assert following.event.kind is Kind.TASK_RETRIED


async def test_nobody_is_reminded_of_what_the_same_transaction_ends(store: Store) -> None:
    scene = Scene()
    await fail(store, scene)
    await store.transact(remind(store, NOW + HOUR))

    def retry(tx: Transaction) -> None:
        scene.see([replace(running(), executions=2)], NOW + HOUR + 1)(tx)
        drop_ended(tx, scene.subject, scene.known(tx), datetime.fromtimestamp(NOW + HOUR + 1, UTC))

    await store.transact(retry)
    (claimed,) = await store.transact(claim(now=NOW + HOUR + 1))
    assert (claimed.event.kind, claimed.reminder) == (Kind.TASK_RETRIED, 0)
    assert await states(store) == [State.DELIVERED, State.OVER]


async def test_what_was_being_sent_when_it_ended_is_not_tried_again(store: Store) -> None:
    scene = Scene()
    await fail(store, scene)
    await store.transact(remind(store, NOW + HOUR))
    (sending,) = await store.transact(claim(now=NOW + HOUR))
    await store.transact(scene.see([replace(running(), executions=2)], NOW + HOUR))
    await store.transact(lambda tx: drop_ended(tx, scene.subject, scene.known(tx), datetime.fromtimestamp(NOW + HOUR, UTC)))
    await store.transact(put_off(sending, NOW + 2 * HOUR, uncertain=True))
    (following,) = await store.transact(claim(now=NOW + HOUR + 1))
    assert following.event.kind is Kind.TASK_RETRIED
    assert await states(store) == [State.DELIVERED, State.OVER]


@pytest.mark.parametrize("how", ["tried again", "parted"])
async def test_news_that_was_sent_along_with_a_reminder_stays_owed_when_that_is_over(store: Store, how: str) -> None:
    scene = Scene(sinks=("oncall",))
    await fail(store, scene)
    digest = Audience([Route(Matcher(kind=("node.started",)), ("team",))], {"team": Holding(lambda _: 0.0, digest=2 * HOUR)})
    events = [event for _, event in await store.transact(lambda tx: tx.events())]
    await store.transact(lambda tx: tx.owe(digest.plan(events, datetime.fromtimestamp(NOW, UTC)), NOW))
    escalates = Route(Matcher(kind=(Kind.TASK_FAILED,)), ("oncall",), escalate=Escalation(HOUR, ("team",)))
    reminding = Reminding(store, Audience([escalates]), lambda _: None)
    await store.transact(lambda tx: reminding.plan(tx, datetime.fromtimestamp(NOW + HOUR, UTC)))
    (sending,) = await store.transact(claim(now=NOW + HOUR))
    assert ([along.event.kind for along in sending.earlier], sending.reminder) == ([Kind.NODE_STARTED], 1)
    await store.transact(lambda tx: tx.lapse([sending.delivery], datetime.fromtimestamp(NOW + HOUR, UTC), "it is over"))
    if how == "parted":
        await store.transact(lambda tx: tx.parted(sending, NOW + HOUR, outcome="rejected", reason="too_large", detail="413"))
    else:
        await store.transact(put_off(sending, NOW + HOUR + 1))
    (again,) = await store.transact(claim(now=NOW + HOUR + 1))
    assert (again.event.kind, again.earlier, again.reminder) == (Kind.NODE_STARTED, (), 0)
    await store.transact(arrived(again, NOW + HOUR + 1))
    assert await store.transact(lambda tx: tx.next_due("team")) is None


async def test_a_reminder_that_fails_while_it_lasts_is_tried_again(store: Store) -> None:
    await fail(store, Scene())
    await store.transact(remind(store, NOW + HOUR))
    (sending,) = await store.transact(claim(now=NOW + HOUR))
    await store.transact(put_off(sending, NOW + HOUR + 60))
    assert await store.transact(remind(store, NOW + 2 * HOUR)) == []  # It has not arrived, so there is nothing to add.
    (again,) = await store.transact(claim(now=NOW + HOUR + 60))
    assert (again.delivery, again.attempt) == (sending.delivery, 2)


async def test_a_reminder_that_was_given_up_is_not_sent_again_as_news_is_and_keeps_nothing(store: Store) -> None:
    await fail(store, Scene())
    await store.transact(remind(store, NOW + HOUR))
    (sending,) = await store.transact(claim(now=NOW + HOUR))
    await store.transact(given_up(sending))
    assert await store.transact(lambda tx: tx.resend(NOW + HOUR)) == []
    await store.transact(lambda tx: tx.forget(NOW + 1))
    assert await states(store) == []


async def test_whoever_acknowledges_is_not_reminded_and_neither_is_what_was_owed_already(store: Store) -> None:
    scene = Scene()
    await fail(store, scene)
    await store.transact(remind(store, NOW + HOUR))
    ends = datetime.fromtimestamp(NOW, UTC) + timedelta(days=1)
    seen = Silence("s-1", Matcher(), datetime.fromtimestamp(NOW, UTC), ends, "lin", "on it", reminders_only=True)
    await store.transact(lambda tx: tx.silence(seen))
    assert await store.transact(remind(store, NOW + HOUR + 1)) == []
    assert await states(store) == [State.DELIVERED, State.OVER]
    assert await store.transact(claim(now=NOW + HOUR + 1)) == []
    assert await store.transact(lambda tx: tx.next_due("team")) is None
    assert await store.transact(remind(store, NOW + 5 * HOUR)) == []
    await store.transact(lambda tx: tx.expire_silences(["s-1"], datetime.fromtimestamp(NOW + 5 * HOUR, UTC)))
    assert len(await store.transact(remind(store, NOW + 5 * HOUR + 1))) == 1


async def test_a_reminder_of_what_ended_unseen_is_dropped_at_the_next_look(store: Store) -> None:
    scene = Scene()
    await fail(store, scene)
    await store.transact(remind(store, NOW + HOUR))
    await store.transact(scene.see([replace(running(), executions=2)], NOW + HOUR + 1))
    assert await store.transact(remind(store, NOW + HOUR + 2)) == []
    assert await states(store) == [State.DELIVERED, State.OVER]


async def test_what_is_over_is_forgotten_with_the_event(store: Store) -> None:
    scene = Scene()
    await fail(store, scene)
    await store.transact(remind(store, NOW + HOUR))
    await store.transact(scene.see([replace(running(), executions=2)], NOW + HOUR + 1))
    await store.transact(remind(store, NOW + HOUR + 2))
    for claimed in await store.transact(claim(now=NOW + HOUR + 2)):
        await store.transact(arrived(claimed, NOW + HOUR + 2))
    assert await store.transact(lambda tx: tx.forget(NOW + 1)) > 0
    assert await states(store) == []
