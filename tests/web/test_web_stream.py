import asyncio
import threading
from contextlib import AsyncExitStack

import aiohttp
import pytest
from web_world import PATIENCE, World, a_world, cluster, enrol, poll, task

from notifier.store.errors import StoreError
from notifier.store.rows import SinkState
from notifier.store.transaction import Transaction
from notifier.web import changes


async def line(stream: aiohttp.ClientResponse, start: bytes) -> bytes:
    """The next line of the stream that begins so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await stream.content.readline()
            assert found, "the stream ended"
            if found.startswith(start):
                return found


async def left(world: World, streams: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while world.web._changes.streams != streams:  # noqa: ASYNC110 - what the server counts has no event to wait for
            await asyncio.sleep(0.01)


async def test_a_change_of_the_store_reaches_every_browser() -> None:
    async with a_world() as world, AsyncExitStack() as stack:
        url = world.web.url + "/stream"
        streams = [await stack.enter_async_context(world.session.get(url)) for _ in range(2)]
        assert {stream.content_type for stream in streams} == {"text/event-stream"}
        told = [int((await line(stream, b"data:"))[6:]) for stream in streams]
        done = task(completed=("n1", "n2"), in_flight=("n3",), current_node="n3", stages=())
        assert await world.store.transact(lambda tx: poll(tx, cluster(), [done]))
        again = [int((await line(stream, b"data:"))[6:]) for stream in streams]
    assert all(new > old for old, new in zip(told, again, strict=True))


@pytest.mark.parametrize("what", ["delivered", "paused"])
async def test_what_becomes_of_deliveries_and_sinks_is_a_change_too(what: str) -> None:
    def change(tx: Transaction) -> None:
        if what == "paused":
            enrol(tx, SinkState(5, paused=True, reason="server"))
        else:
            tx.claim("hook", "me", 1, lease=60, now=1e12)

    async with a_world() as world, world.session.get(world.web.url + "/stream") as stream:
        first = await line(stream, b"data:")
        settled = await line(stream, b"data:")  # What there was before anybody looked counts as new once.
        await world.store.transact(change)
        assert await line(stream, b"data:") > settled > first


async def test_a_silent_stream_is_kept_alive() -> None:
    async with a_world() as world:
        world.web._changes._keep_alive = 0.05
        async with world.session.get(world.web.url + "/stream") as stream:
            assert await line(stream, b": ") == b": still here\n"


async def test_a_page_grows_old_even_if_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "REFRESH", 0.05)
    async with a_world() as world, world.session.get(world.web.url + "/stream") as stream:
        for _ in range(4):
            await line(stream, b"data:")


async def test_streams_are_counted_and_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST", 1)
    async with a_world() as world:
        url = world.web.url + "/stream"
        async with world.session.get(url) as stream:
            await line(stream, b"data:")
            async with world.session.get(url) as second:
                assert (second.status, second.headers["Retry-After"]) == (503, "30")
        await left(world, 0)
        async with world.session.get(url) as stream:
            assert stream.status == 200


async def test_nobody_looks_at_the_store_while_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, let = 0, threading.Semaphore(0)

    def counted(_tx: Transaction) -> int:
        nonlocal looks
        looks += 1
        let.acquire()
        return looks

    monkeypatch.setattr(changes, "_fingerprint", counted)
    async with a_world() as world:
        await asyncio.sleep(0.1)
        assert looks == 0
        url = world.web.url + "/stream"
        async with world.session.get(url) as one, world.session.get(url) as other:
            for number in range(3):
                for stream in (one, other):
                    assert await line(stream, b"data:") == b"data: %d\n" % number
                let.release()
        let.release(100)
        assert looks <= 4, "two browsers cost one look a change"


async def test_a_store_that_refuses_once_does_not_end_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = False

    def sometimes(_tx: Transaction) -> int:
        nonlocal failed
        if not failed:
            failed = True
            raise StoreError("gone")
        return 1

    monkeypatch.setattr(changes, "_fingerprint", sometimes)
    async with a_world() as world, world.session.get(world.web.url + "/stream") as stream:
        assert await line(stream, b"data:") == b"data: 0\n"
        assert await line(stream, b"data:") == b"data: 1\n"
        assert failed


async def test_shutdown_ends_the_streams_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_world() as world:
        world.web._changes._keep_alive = 3600.0
        async with world.session.get(world.web.url + "/stream") as stream:
            await line(stream, b"data:")
            monkeypatch.setattr(world.web._runner, "_shutdown_timeout", 3600.0)  # Who waited for the streams would wait so long.
            async with asyncio.timeout(PATIENCE):
                await world.web.__aexit__(None, None, None)
                await stream.content.read()
        assert world.web._changes.streams == 0
