"""Whether all goes on: what stands still is named, and what cannot be proved is not told to the dead man's switch."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from engine_scripts import PATIENCE, Sink, eventually, outlet, serving, tell

from notifier import metrics, telemetry
from notifier.engine import heartbeat as engine
from notifier.engine import outlet as loop
from notifier.engine.heartbeat import Heartbeat
from notifier.engine.pulse import EVERY, INTERVALS, Pulse, Vitals
from notifier.outbound import open_session
from notifier.store.errors import StoreError
from notifier.store.rows import SinkState
from notifier.store.store import Store
from notifier.store.transaction import Transaction

T = TypeVar("T")


class SickStore(Store):
    """Refuses, or never answers, when it is told to."""

    sick: str | None = None
    stuck = False

    async def transact(self, work: Callable[[Transaction], T]) -> T:  # type: ignore[explicit-override]  # Python 3.12 has it
        if self.stuck:
            await asyncio.get_running_loop().create_future()
        if self.sick is not None:
            self.refusal = StoreError(self.sick)
            raise self.refusal
        return await super().transact(work)


@pytest.fixture
def store() -> Iterator[SickStore]:
    opened = SickStore("sqlite://")
    opened.open()
    yield opened
    opened.close()


def value(name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_loop_stands_still_after_three_of_its_intervals() -> None:
    now = [0.0]
    pulse = Pulse("x", 2.0, lambda: now[0])
    now[0] = 2.0 * INTERVALS
    before = pulse.stopped
    now[0] += 0.1
    after = pulse.stopped
    pulse.beat()
    assert (before, after, pulse.stopped) == (False, True, False)


async def test_whoever_waits_hears_the_next_beat_and_not_the_last() -> None:
    pulse = Pulse("x", 1.0)
    pulse.beat()
    waiting = [asyncio.create_task(pulse.next()) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert not any(task.done() for task in waiting)
    pulse.beat()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*waiting)


async def test_a_store_that_refuses_is_not_well_and_one_that_never_answers_stands_still(store: SickStore) -> None:
    now = [0.0]
    vitals = Vitals(store, ["team"], [])
    vitals._answers._clock = lambda: now[0]
    vitals.begin()
    now[0], store.sick = EVERY * INTERVALS + 1, "database or disk is full"
    assert vitals.stopped == ["the store"]
    await vitals.write()
    assert (vitals.stopped, str(vitals.trouble)) == ([], "database or disk is full")
    with pytest.raises(StoreError):
        await vitals.prove()
    store.sick = None
    await vitals.write()
    assert vitals.trouble is None


async def test_what_stands_open_is_measured_and_sinks_that_are_gone_are_not_shown(store: SickStore) -> None:
    await Vitals(store, ["of-old"], []).write()
    assert value("notifier_backlog", sink="of-old") == 0
    await store.transact(tell("search", "team"))
    await Vitals(store, ["team", "idle"], []).write()
    assert value("notifier_backlog", sink="team") == 4
    assert value("notifier_dead_letters", sink="team") == 0
    assert value("notifier_backlog_age_seconds", sink="team") != 0
    assert value("notifier_backlog_age_seconds", sink="idle") == 0
    assert value("notifier_backlog", sink="of-old") is None
    assert (value("notifier_store_size_bytes") or 0) > 10_000
    assert (value("notifier_store_last_write_timestamp_seconds") or 0) > 1_700_000_000


async def test_an_outlet_beats_when_it_works_when_it_rests_and_when_its_store_fails(store: SickStore) -> None:
    slow = outlet(store, Sink(), rate=0.001)
    async with serving(slow):
        for sick in (None, "full", None):
            store.sick = sick
            async with asyncio.timeout(PATIENCE):
                slow.wake()
                await slow.pulse.next()


async def test_a_sink_that_is_left_alone_is_shown_so_over_a_restart_and_until_it_is_tried_again(
    store: SickStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOOK", 0.02)
    telemetry.sinks_begin(["of-old"])
    telemetry.sink_paused("of-old", "noon", "gone", "")
    telemetry.sinks_begin(["team"])
    assert (value("notifier_sink_paused", sink="of-old"), value("notifier_sink_paused", sink="team")) == (None, 0)
    await store.transact(lambda tx: tx.enrol("team", "same", 0.0))
    await store.transact(lambda tx: tx.mark("team", SinkState(5, paused=True, reason="gone")))
    async with serving(outlet(store, Sink(), fingerprint="same")):
        await eventually(lambda: value("notifier_sink_paused", sink="team") == 1)
        await store.transact(lambda tx: tx.mark("team", SinkState(), recovered=True))
        await eventually(lambda: value("notifier_sink_paused", sink="team") == 0)


@dataclass
class Switch:
    """A dead man's switch: what it was asked, and what it answers."""

    url: str
    asked: list[tuple[str, str]] = field(default_factory=list)
    status: int = 200


@asynccontextmanager
async def a_switch() -> AsyncIterator[tuple[Switch, aiohttp.ClientSession]]:
    async def answer(request: web.Request) -> web.Response:
        switch.asked.append((request.method, request.path))
        return web.Response(status=switch.status, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    async with TestServer(app) as server, open_session(total=1.0) as session:
        switch = Switch(str(server.make_url("/s3cr3t-uuid")))
        yield switch, session


async def proved() -> None:
    pass


@asynccontextmanager
async def beating(
    session: aiohttp.ClientSession, switch: Switch, prove: Any = proved, method: str = "GET"
) -> AsyncIterator[None]:
    heart = Heartbeat(session, switch.url, 0.02, method, prove)
    heart.start()
    try:
        yield
    finally:
        await heart.stop()
        await heart.stop()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_pings_as_long_as_all_goes_on(method: str) -> None:
    async with a_switch() as (switch, session), beating(session, switch, method=method):
        assert switch.asked == []
        await eventually(lambda: len(switch.asked) >= 3)
    assert set(switch.asked) == {(method, "/s3cr3t-uuid")}


async def test_a_deadlocked_tick_stops_the_pings_at_once(store: SickStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.1)
    tick, lock = Pulse("the clock", 1.0), asyncio.Lock()

    async def ticking() -> None:
        while True:
            async with lock:
                tick.beat()
            await asyncio.sleep(0.002)

    clock = asyncio.create_task(ticking())
    vitals = Vitals(store, [], [tick])
    withheld = value("notifier_heartbeats_total", outcome="withheld") or 0.0

    def silent() -> bool:
        return (value("notifier_heartbeats_total", outcome="withheld") or 0.0) >= withheld + 2

    async with a_switch() as (switch, session), beating(session, switch, vitals.prove):
        await eventually(lambda: len(switch.asked) >= 2)
        await lock.acquire()
        heard = len(switch.asked)
        await eventually(silent)
        # At most the one that was on its way when the clock stopped, so the switch misses the very next.
        assert len(switch.asked) <= heard + 1
        lock.release()
        heard = len(switch.asked)
        await eventually(lambda: len(switch.asked) >= heard + 2)
        store.stuck = True
        heard, withheld = len(switch.asked), withheld + 2
        await eventually(silent)
        assert len(switch.asked) <= heard + 1
    clock.cancel()


@pytest.mark.parametrize("fault", [StoreError("the disk is full"), ZeroDivisionError()])
async def test_what_cannot_be_proved_is_not_said(fault: Exception) -> None:
    async def prove() -> None:
        proofs.append(1)
        raise fault

    proofs: list[int] = []
    async with a_switch() as (switch, session), beating(session, switch, prove):
        await eventually(lambda: len(proofs) >= 3)
        assert switch.asked == []


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_switch_that_refuses_is_counted_not_followed_and_asked_again(status: int) -> None:
    failed = value("notifier_heartbeats_total", outcome="failed") or 0.0
    async with a_switch() as (switch, session):
        switch.status = status
        async with beating(session, switch):
            await eventually(lambda: (value("notifier_heartbeats_total", outcome="failed") or 0.0) >= failed + 2)
    assert {path for _, path in switch.asked} == {"/s3cr3t-uuid"}


async def test_a_switch_that_cannot_be_reached_hurts_nobody_and_its_address_is_told_to_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(telemetry, "heartbeat", lambda *words: said.append(" ".join(words)))
    async with open_session(total=1.0) as session:
        for url in ("http://127.0.0.1:1/s3cr3t-uuid", "http://169.254.169.254/s3cr3t-uuid"):
            before = len(said)
            async with beating(session, Switch(url)):
                await eventually(lambda count=before: len(said) >= count + 2)
    assert all(line.startswith("failed") for line in said)
    assert any("metadata service" in line for line in said)
    assert not any("s3cr3t" in line for line in said)
