"""What slow and rude clients can hold, tried with real sockets."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import pytest
from web_world import NOW, PATIENCE, World, a_world, cluster, poll, task

from notifier.domain.message import Message, Receipt
from notifier.domain.retry import Policy
from notifier.engine.dispatcher import Dispatcher
from notifier.engine.outlet import Outlet
from notifier.engine.sending import OutletSettings
from notifier.web import changes, connections, operations
from notifier.web.access import HEADERS

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HALF = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


@asynccontextmanager
async def dialled(world: World, said: bytes = b"") -> AsyncIterator[Pair]:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.web.port, limit=2**24)
    writer.write(said)
    try:
        yield reader, writer
    finally:
        writer.close()


async def over(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server hangs up."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def until(world: World, there: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(world.web._room) != there:  # noqa: ASYNC110 - what the server counts has no event to wait for
            await asyncio.sleep(0.01)


class Heard:
    """A sink that hears."""

    def __init__(self) -> None:
        self.news = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send(self, _message: Message, _last: Receipt | None) -> Receipt:
        self.news.set()
        return Receipt()


@pytest.mark.skipif(sys.platform != "linux", reason="the crowd is counted in /proc")
async def test_500_slow_clients_delay_neither_a_delivery_nor_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 3600.0)  # Who waited for them would wait so long.
    sink = Heard()
    settings = OutletSettings("hook", 5.0, 2, None, Policy(), "print")
    async with a_world() as world, AsyncExitStack() as crowd:
        dispatcher = Dispatcher([Outlet(settings, sink, world.store, "me")])
        dispatcher.start()
        await sink.news.wait()
        sink.news.clear()
        slow = [await crowd.enter_async_context(dialled(world, HALF)) for _ in range(500)]
        assert len(world.web._room) <= connections.MOST
        assert len(list(Path("/proc/self/fd").iterdir())) >= 500, "there is a crowd"
        for _, writer in slow:
            writer.write(b"x")
        async with asyncio.timeout(PATIENCE):
            assert (await world.get("/healthz"))[0] == 200
        failed = task("FAILED", ended_at=NOW)
        assert await world.store.transact(lambda tx: poll(tx, cluster(), [failed]))
        dispatcher.told(frozenset({"hook"}))
        async with asyncio.timeout(PATIENCE):
            await sink.news.wait()
        await dispatcher.stop(1.0)


async def test_half_a_head_is_waited_for_no_longer_than_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connections.PATIENCE == 10
    monkeypatch.setattr(connections, "PATIENCE", 0.2)
    async with a_world() as world:
        for said in (b"", b"G", HALF):
            async with dialled(world, said) as (reader, _):
                assert await over(reader) == b""
        # Nor is the second half of a second one.
        async with dialled(world, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + HALF) as (reader, _):
            assert b"200 OK" in await over(reader)


async def test_a_client_that_trickles_is_not_waited_for_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.3)
    async with a_world() as world, dialled(world, HALF) as (reader, writer):

        async def trickle() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        drops = asyncio.create_task(trickle())
        assert await over(reader) == b""
        drops.cancel()


async def test_half_a_body_is_waited_for_no_longer_than_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert operations.PATIENCE == 10
    monkeypatch.setattr(operations, "PATIENCE", 0.1)
    head = b"POST /api/v1/silences HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
    async with a_world() as world, dialled(world, head) as (reader, _):
        said = await over(reader)
    assert said.startswith(b"HTTP/1.1 408")
    assert b"The body did not arrive" in said


async def test_a_body_that_nobody_reads_holds_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINGER", 0.1)
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"
    async with a_world() as world, dialled(world, head) as (reader, _):
        assert b"200 OK" in await over(reader)


async def test_a_client_that_does_not_take_its_answers_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.3)
    ask = b"GET /static/parts.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with a_world() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.web.port, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined] # it is a socket's
        writer.write(ask * 4000)
        await until(world, 1)
        await until(world, 0)
        writer.close()
        del reader


async def test_a_client_that_is_only_slow_has_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[connections.Connection] = []
    resume = connections.Connection.resume_writing

    def noted(self: connections.Connection) -> None:
        waited.append(self)
        resume(self)

    monkeypatch.setattr(connections.Connection, "resume_writing", noted)
    ask = b"GET /static/parts.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with a_world() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.web.port, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined] # it is a socket's
        writer.write(ask * 1200)
        async with asyncio.timeout(PATIENCE):
            while not any(each.writing_paused for each in world.web._room._there):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        writer.transport.resume_reading()  # type: ignore[attr-defined] # it is a socket's
        answers = 0
        async with asyncio.timeout(PATIENCE):
            while answers < 1200:
                answers += (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
    assert waited


async def test_when_it_is_full_who_takes_nothing_makes_way_after_those_who_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 1)
    async with a_world() as world:
        _, writer = await asyncio.open_connection("127.0.0.1", world.web.port, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined] # it is a socket's
        writer.write(b"GET /static/parts.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4000)
        async with asyncio.timeout(PATIENCE):
            while not any(each.writing_paused for each in world.web._room._there):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        assert (await world.get("/healthz"))[0] == 200
        assert len(world.web._room) == 1
        writer.close()


async def test_when_it_is_full_whoever_waits_longest_makes_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 3)
    async with a_world() as world, world.session.get(world.web.url + "/stream") as stream, AsyncExitStack() as crowd:
        first, second, third = [await crowd.enter_async_context(dialled(world, HALF)) for _ in range(3)]
        assert await over(first[0]) == b""
        # One that was answered is behind one that was not, though it came before.
        second[1].write(b"x\r\n\r\n")
        assert await second[0].readline() == b"HTTP/1.1 200 OK\r\n"
        await crowd.enter_async_context(dialled(world, HALF))
        assert await over(third[0]) == b""
        assert not stream.content.at_eof(), "who is being answered stays"
        assert len(world.web._room) == 3


async def test_when_everybody_is_being_answered_nobody_else_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 2)
    assert changes.MOST < 100, "streams leave room for others"
    async with a_world() as world, AsyncExitStack() as crowd:
        for _ in range(2):
            stream = await crowd.enter_async_context(world.session.get(world.web.url + "/stream"))
            await stream.content.readline()
        async with dialled(world, HALF) as (reader, _):
            assert await over(reader) == b""
        assert len(world.web._room) == 2


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\nno colon\r\n\r\n"])
async def test_what_is_no_http_is_answered_with_our_headers_and_no_others(said: bytes) -> None:
    async with a_world() as world, dialled(world, said) as (reader, _):
        head, _, body = (await over(reader)).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].endswith(" 400 Bad Request")
    assert {f"{name}: {value}" for name, value in HEADERS.items()} <= set(lines)
    assert sum(line.startswith("Server:") for line in lines) == 1
    assert b"The request cannot be read." in body
