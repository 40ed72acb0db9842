"""Servers on loopback that behave well, badly or not at all; each remembers what it was asked."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Served:
    """A running server: where it is, and the requests it has seen; ``asked`` once there was a raw one."""

    url: str
    requests: list[web.Request] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Served]:
    """An HTTP server that gives every request to ``handler``."""

    async def remember(request: web.Request) -> web.StreamResponse:
        served.requests.append(request)
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", remember)
    server = TestServer(app, port=0)
    served = Served("")
    async with server:
        served.url = str(server.make_url("")).rstrip("/")
        yield served


@asynccontextmanager
async def serving_bytes(*pieces: bytes, pause: float = 0.0, hang: bool = False) -> AsyncIterator[Served]:
    """A server that reads a request's head, sends ``pieces`` with a ``pause`` between, then closes (or hangs)."""
    tasks: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            served.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            served.asked.set()
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            if hang:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(answer(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    served = Served(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield served
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def bomb(unpacked: int) -> bytes:
    """A gzip member of nothing but zeros that unpacks to ``unpacked`` bytes."""
    return gzip.compress(bytes(unpacked), 9)
