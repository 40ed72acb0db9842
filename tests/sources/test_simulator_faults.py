"""Every fault of the simulated API is really what it says."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from simulated_world import CLUSTER, DETAIL, TOKEN, World, playing

from notifier.domain.model import Kind
from notifier.sources.faults import Fault, Faults


@asynccontextmanager
async def misbehaving(fault: Fault, **options: Any) -> AsyncIterator[World]:
    async with playing("success", faults=Faults(script=(fault,), **options)) as world:
        world.go_to(1500)
        yield world


@pytest.mark.parametrize(
    ("fault", "status", "says"),
    [
        (Fault.UNAUTHORIZED, 401, "APIGW.0301"),
        (Fault.GONE, 403, "CSS.0015"),
        (Fault.THROTTLED, 429, "APIGW.0308"),
        (Fault.SERVER_ERROR, 500, "CloudMiddleWareTomcat"),
        (Fault.BAD_GATEWAY, 502, "<html>"),
        (Fault.GATEWAY_TIMEOUT, 504, "<html>"),
        (Fault.HTML, 200, "<html>"),
        (Fault.EMPTY, 200, ""),
        (Fault.REDIRECT, 302, ""),
    ],
)
async def test_a_scripted_fault_is_served_once(fault: Fault, status: int, says: str) -> None:
    async with misbehaving(fault) as world:
        got, answer = await world.ask()
        assert got == status
        assert says in str(answer)
        assert says or not answer
        assert (await world.ask())[0] == 200
        assert world.simulator.served == {fault.value: 1, "ok": 1}


async def test_a_throttled_client_is_told_when_to_come_back() -> None:
    async with (
        misbehaving(Fault.THROTTLED, retry_after=7) as world,
        world.client.get(world.simulator.url + DETAIL, headers=TOKEN) as response,
    ):
        assert response.headers["Retry-After"] == "7"


async def test_a_redirect_leads_elsewhere() -> None:
    async with (
        misbehaving(Fault.REDIRECT) as world,
        world.client.get(world.simulator.url + DETAIL, headers=TOKEN, allow_redirects=False) as response,
    ):
        assert response.headers["Location"] == "/login"


@pytest.mark.parametrize("fault", [Fault.SLOW, Fault.DRIP])
async def test_a_slow_answer_is_good_but_late(fault: Fault) -> None:
    async with misbehaving(fault, slow_for=0.2) as world:
        began = time.monotonic()
        first = await world.ask()
        assert time.monotonic() - began >= 0.19
        assert first == await world.ask()


async def test_a_dripping_answer_comes_in_pieces() -> None:
    async with (
        misbehaving(Fault.DRIP, slow_for=0.2) as world,
        world.client.get(world.simulator.url + DETAIL, headers=TOKEN) as response,
    ):
        pieces = [piece async for piece in response.content.iter_any()]
        assert len(pieces) > 5
        assert json.loads(b"".join(pieces))["totalSize"] == 1


async def test_a_client_that_leaves_a_dripping_answer_is_no_fault_of_the_simulators(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with misbehaving(Fault.DRIP) as world:

        async def leave(_: float) -> None:
            """Break the connection off without letting anybody notice before the next piece is written."""
            runner = world.simulator._runner
            assert runner is not None
            assert runner.server is not None
            for each in runner.server.connections:
                assert each.transport is not None
                each.transport.abort()

        monkeypatch.setattr("notifier.sources.faults.asyncio", SimpleNamespace(sleep=leave))
        with pytest.raises(aiohttp.ClientError):
            await world.ask()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("aiohttp")] == []


@pytest.mark.parametrize("fault", [Fault.DRIP, Fault.CUT])
async def test_a_client_that_has_left_before_the_answer_is_no_fault_of_the_simulators(
    fault: Fault, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prepare = web.StreamResponse.prepare

    async def left(response: web.StreamResponse, request: web.Request) -> object:
        assert request.transport is not None
        request.transport.abort()
        return await prepare(response, request)

    async with misbehaving(fault) as world:
        monkeypatch.setattr(web.StreamResponse, "prepare", left)
        with pytest.raises(aiohttp.ClientError):
            await world.ask()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("aiohttp")] == []


async def test_closing_does_not_wait_for_a_slow_answer() -> None:
    async with misbehaving(Fault.DRIP, slow_for=3600) as world:
        began = time.monotonic()
        async with world.client.get(world.simulator.url + DETAIL, headers=TOKEN) as response:
            await world.simulator.__aexit__(None, None, None)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        assert time.monotonic() - began < 60


async def test_a_reset_is_a_reset() -> None:
    async with misbehaving(Fault.RESET) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.simulator.port)
        writer.write(f"GET {DETAIL} HTTP/1.1\r\nHost: h\r\nX-Auth-Token: t\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_half_of_an_answer_may_pretend_to_be_all_of_it() -> None:
    async with misbehaving(Fault.TRUNCATED) as world:
        status, answer = await world.ask()
        assert status == 200
        assert isinstance(answer, str)
        assert answer.startswith('{"totalSize": 1')


async def test_an_answer_may_be_cut_off() -> None:
    async with misbehaving(Fault.CUT) as world:
        with pytest.raises(aiohttp.ClientPayloadError):
            await world.ask()


async def test_a_stale_answer_is_an_earlier_state() -> None:
    async with misbehaving(Fault.STALE, stale_by=1000.0) as world:
        world.go_to(1500)
        expected = world.simulator.scenario.state(500.0, epoch=world.simulator.epoch)
        assert (await world.ask())[1]["detailList"] == expected
        assert (await world.ask())[1]["detailList"] != expected


async def test_a_shrunk_answer_lacks_the_last_completed_node() -> None:
    async with playing("success", faults=Faults(script=(Fault.SHRUNK, Fault.SHRUNK))) as world:
        assert await world.ask() == (200, {"totalSize": 0, "detailList": []})
        world.go_after(Kind.TASK_SUCCEEDED)
        assert (await world.task())["completedNodes"] == "css-test-ess-esn-1-1,css-test-ess-esn-2-1"
        assert (await world.task())["completedNodes"].count(",") == 2


async def test_faults_come_at_their_rate_by_their_mix_and_by_their_seed() -> None:
    faults = Faults(rate=0.2, mix={Fault.HTML: 3, Fault.EMPTY: 1}, seed=4)
    drawn = [fault for fault, _ in zip(faults.drawn(), range(4000), strict=False)]
    assert drawn == [fault for fault, _ in zip(faults.drawn(), range(4000), strict=False)]
    assert 700 < sum(fault is not None for fault in drawn) < 900
    assert 2 < drawn.count(Fault.HTML) / drawn.count(Fault.EMPTY) < 4
    assert set(Faults(rate=1).mix) == set(Fault)
    async with playing("success") as world:
        world.simulator.faults = faults
        assert world.simulator.faults is faults
        for _ in range(30):
            await world.ask()
        assert world.simulator.served == {
            name: count for name in ("ok", "html", "empty") if (count := [f.value if f else "ok" for f in drawn[:30]].count(name))
        }


async def test_faults_do_not_hit_operations() -> None:
    async with playing("failure", faults=Faults(rate=1.0, mix={Fault.HTML: 1})) as world:
        world.go_after(Kind.TASK_FAILED)
        task = world.simulator.scenario.clusters[0].tasks[0].id
        assert await world.ask(f"{CLUSTER}/upgrade/{task}/retry", "PUT") == (200, "")
        assert (await world.ask())[1].startswith("<html>")
