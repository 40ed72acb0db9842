"""A pace that sinks share: whoever sends, the gap is behind all of them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from engine_scripts import Sink, eventually, outlet, serving, settled, tell

from notifier.domain.message import Message, Receipt
from notifier.sinks.contract import Paced
from notifier.sinks.pace import Pace, Paces
from notifier.store.store import Store


async def test_turns_come_one_after_another_each_with_its_gap() -> None:
    now = 10.0
    pace = Pace("team", clock=lambda: now)
    assert pace.wait() == 0.0
    assert await pace.take(2.0) == 0.0
    assert pace.wait() == 2.0
    assert await pace.take(1.0) == 2.0
    now = 12.5
    assert pace.wait() == 0.5
    now = 20.0
    assert (pace.wait(), await pace.take(1.0)) == (0.0, 0.0)


async def test_a_turn_that_is_too_far_off_is_left_to_others() -> None:
    pace = Pace("team", clock=lambda: 10.0)
    await pace.take(5.0)
    assert await pace.take(1.0, within=4.0) == 5.0
    assert await pace.take(1.0, within=5.0) == 5.0
    assert pace.wait() == 6.0


def test_who_asks_for_the_same_key_shares_a_pace_and_the_key_is_not_kept() -> None:
    paces = Paces()
    assert paces.of("slack", "xoxb-canary") is paces.of("slack", "xoxb-canary")
    assert paces.of("slack", "xoxb-canary") is not paces.of("slack", "xoxb-canar", "y")
    assert "canary" not in repr(vars(paces))


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store("sqlite://").open()
    yield opened
    opened.close()


@dataclass
class Timed(Sink):
    """Shares its pace."""

    pace: Pace = field(default_factory=Pace)


async def test_two_sinks_of_one_pace_are_told_no_faster_than_one(store: Store) -> None:
    pace, at = Pace(), []

    def heard(message: Message) -> Receipt:
        at.append(time.monotonic())
        return Receipt({"n": message.id})

    sinks = [Timed(heard, pace=pace) for _ in range(2)]
    assert all(isinstance(sink, Paced) for sink in sinks)
    await store.transact(tell("search", "team", "hook"))
    outlets = [outlet(store, sink, name, rate=25.0) for sink, name in zip(sinks, ("team", "hook"), strict=True)]
    began = time.monotonic()
    async with serving(*outlets):
        await eventually(settled(store, count=8))
    # Whoever is late is followed by whoever is on time: only the earliest moment is promised.
    assert [moment - began >= number / 25 * 0.95 for number, moment in enumerate(at)] == [True] * 8
