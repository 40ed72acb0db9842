"""A receiver that forgets is told again what lasts, and never what has ended."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
from engine_scripts import PATIENCE, Sink, eventually, fails, outlet, serving, settled, tell

from notifier.domain.message import Message, Receipt
from notifier.engine import outlet as engine
from notifier.sinks.contract import KEEP
from notifier.store.rows import Held
from notifier.store.store import Store


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    with_memory = Store("sqlite://").open()
    yield with_memory
    with_memory.close()


@dataclass
class Forgetful(Sink):
    """Remembers what it was told to keep; what ``keeping`` raises, it raises."""

    kept: list[list[Receipt]] = field(default_factory=list)
    keeping: BaseException | None = None
    busy: asyncio.Event | None = None

    async def keep(self, receipts: Sequence[Receipt]) -> None:
        self.kept.append(list(receipts))
        if self.busy is not None:
            await self.busy.wait()
        if self.keeping is not None:
            raise self.keeping


def lasting(message: Message) -> Receipt:
    return Receipt({KEEP: str(message.event.sequence)}) if message.event.sequence < 4 else Receipt({"done": "yes"})


async def test_what_lasts_is_said_again_with_its_newest_receipt_until_it_has_ended(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "KEEP_EVERY", 0.0)
    sink = Forgetful()
    # What follows waits for it: a lane whose messages go out at once, one after another, is never free when its turn comes.
    sink.script = lambda message: fails() if message.event.sequence == 3 and not sink.kept else lasting(message)
    await store.transact(tell("search"))
    async with serving(outlet(store, sink)):
        await eventually(settled(store))
    said = [told.fields[KEEP] for (told,) in sink.kept]
    assert said
    assert said == sorted(said)
    assert await store.transact(lambda tx: tx.hold("team", "me", KEEP, lease=30, now=time.time())) == []


async def test_a_lane_is_held_while_it_is_said_so_that_no_replica_tells_anything_beside_it(store: Store) -> None:
    await store.transact(tell("search"))
    async with serving(outlet(store, Sink(lambda _: Receipt({KEEP: "1"})))):
        await eventually(settled(store))
    sink = Forgetful(busy=asyncio.Event())
    assert sink.busy is not None
    async with serving(outlet(store, sink)):
        await eventually(lambda: len(sink.kept) == 1)
        assert await store.transact(lambda tx: tx.hold("team", "another", KEEP, lease=30, now=time.time())) == []
        sink.busy.set()
    (held,) = await store.transact(lambda tx: tx.hold("team", "another", KEEP, lease=30, now=time.time()))
    assert held.receipt == Receipt({KEEP: "1"})
    # Whoever comes too late lets go of nothing that is another's.
    await store.transact(lambda tx: tx.let_go([Held(held.lane, held.epoch - 1, held.receipt)]))
    assert await store.transact(lambda tx: tx.hold("team", "a third", KEEP, lease=30, now=time.time())) == []


async def test_a_stop_does_not_wait_for_a_receiver_that_is_silent_when_it_is_told_again(store: Store) -> None:
    await store.transact(tell("search"))
    async with serving(outlet(store, Sink(lambda _: Receipt({KEEP: "1"})))):
        await eventually(settled(store))
    sink = Forgetful(busy=asyncio.Event())
    async with serving(outlet(store, sink, timeout=1000.0, lease=3000.0)):
        await eventually(lambda: len(sink.kept) == 1)
        began = time.monotonic()
    assert time.monotonic() - began < PATIENCE
    assert await store.transact(lambda tx: tx.hold("team", "another", KEEP, lease=30, now=time.time())), "the lane was let go of"


@pytest.mark.parametrize("raised", [fails(), TimeoutError(), ValueError("a fault")], ids=["refused", "silent", "crashed"])
async def test_a_receiver_that_does_not_take_it_is_told_again_later_and_its_news_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, raised: BaseException
) -> None:
    monkeypatch.setattr(engine, "KEEP_EVERY", 0.0)
    sink = Forgetful(lambda _: Receipt({KEEP: "1"}), keeping=raised)
    await store.transact(tell("search"))
    async with serving(outlet(store, sink)):
        await eventually(settled(store))
        await eventually(lambda: len(sink.kept) >= 2)
