"""How a stranger's sink is opened and closed: never in the way of others, and again until it is open."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import pytest
from engine_scripts import PATIENCE, Sink, eventually, fails, tell

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.engine import attempt as trying
from notifier.engine import door as engine
from notifier.engine.attempt import Unusable
from notifier.engine.door import Door
from notifier.engine.sending import OutletSettings, Sender
from notifier.store.store import Store


async def nothing() -> None:
    pass


async def hang() -> None:
    await asyncio.Event().wait()


async def heedless() -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def raise_it() -> None:
        raise error

    return raise_it


@dataclass
class Shop(Sink):
    """Opens and closes as told."""

    opening: Callable[[], Awaitable[None]] = nothing
    closing: Callable[[], Awaitable[None]] = nothing
    tasks: list[asyncio.Task[object] | None] = field(default_factory=list)

    async def __aenter__(self) -> Self:  # type: ignore[explicit-override]  # Python 3.12 has it
        self.tasks.append(asyncio.current_task())
        await self.opening()
        return self

    async def __aexit__(  # type: ignore[explicit-override]
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tasks.append(asyncio.current_task())
        await self.closing()

    async def listen(self) -> None:
        self.tasks.append(None)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CLOSING", PATIENCE)
    monkeypatch.setattr(engine, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(engine, "LONGEST_WAIT", 0.02)
    monkeypatch.setattr(trying, "STUBBORN", 0.05)


async def test_it_is_closed_in_the_task_in_which_it_was_opened() -> None:
    shop = Shop()
    async with Door(shop, 5.0) as door:
        assert await door.shut() is None
    opened, closed = shop.tasks
    assert opened is closed


@pytest.mark.parametrize(
    ("opening", "reason", "detail"),
    [
        (raising(ConnectionRefusedError("broker canary")), DeliveryReason.NETWORK, "the sink raised ConnectionRefusedError"),
        (raising(KeyError("canary")), DeliveryReason.CRASHED, "the sink raised KeyError"),
        (raising(SystemExit("canary")), DeliveryReason.CRASHED, "the sink raised SystemExit"),
        (raising(asyncio.CancelledError()), DeliveryReason.CRASHED, "the sink raised CancelledError"),
        (raising(fails(reason=DeliveryReason.REFUSED)), DeliveryReason.REFUSED, "as the script says"),
        (hang, DeliveryReason.TIMEOUT, "it took longer than 0.05 s"),
        (heedless, DeliveryReason.TIMEOUT, "it took longer than 0.05 s"),
    ],
)
async def test_a_sink_that_does_not_open_is_tried_again_until_it_does(
    opening: Callable[[], Awaitable[None]], reason: DeliveryReason, detail: str
) -> None:
    shop, said = Shop(opening=opening), list[tuple[str, float]]()
    async with Door(shop, 0.05, lambda why, wait: said.append((why, wait))) as door:
        problem = await door.shut()
        assert problem is not None
        assert (problem.outcome, problem.scope, problem.reason) == (Outcome.RETRY, Scope.SINK, reason)
        assert problem.detail == f"the sink cannot be opened: {detail}"
        assert problem.retry_after
        with pytest.raises(DeliveryError):
            await door.listen()
        shop.opening = nothing
        await eventually(lambda: door.problem is None)
        assert await door.shut() is None
        await door.listen()
    assert [wait for _, wait in said[:2]] in ([0.01], [0.01, 0.02])
    assert {why for why, _ in said} == {problem.detail}


@pytest.mark.parametrize(
    ("closing", "patience", "kinds"),
    [
        (raising(RuntimeError("canary")), PATIENCE, [RuntimeError]),
        (raising(SystemExit(3)), PATIENCE, [SystemExit]),
        (hang, 0.05, [Unusable]),
        (heedless, 0.05, [Unusable]),
    ],
)
async def test_a_sink_that_does_not_close_keeps_nobody_waiting(
    closing: Callable[[], Awaitable[None]],
    patience: float,
    kinds: list[type[BaseException]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "CLOSING", patience)
    crashes: list[BaseException] = []
    async with asyncio.timeout(PATIENCE), Door(Shop(closing=closing), 5.0, crashed=crashes.append) as door:
        assert await door.shut() is None
    assert [type(crash) for crash in crashes] == kinds
    await eventually(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == engine.OPEN])


async def test_a_program_that_stops_does_not_wait_for_a_sink_that_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CLOSING", 3600.0)
    began = time.monotonic()
    async with Door(Shop(opening=heedless), 3600.0):
        await asyncio.sleep(0)
    assert time.monotonic() - began < PATIENCE
    await eventually(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == engine.OPEN])


async def test_messages_wait_for_a_sink_that_is_not_open() -> None:
    store = Store("sqlite://").open()
    try:
        shop = Shop(opening=raising(OSError()))
        await store.transact(tell())
        [claim] = await store.transact(lambda tx: tx.claim("team", "us", 1, lease=30.0, now=time.time()))
        async with Door(shop, 5.0) as door:
            sender = Sender(OutletSettings("team"), shop, store, door=door)
            found = await sender.send(claim, time.monotonic())
            assert isinstance(found, DeliveryError)
            assert (found.outcome, found.scope) == (Outcome.RETRY, Scope.SINK), "surely not sent: it is no repeat later"
            assert shop.heard == []
            shop.opening = nothing
            await eventually(lambda: door.problem is None)
            await sender.send(claim, time.monotonic())
            assert len(shop.heard) == 1
    finally:
        store.close()
