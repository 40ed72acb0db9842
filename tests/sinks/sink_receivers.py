"""Receivers on loopback that behave well, badly or not at all."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from notifier.outbound import open_session
from notifier.sinks.contract import Surroundings
from notifier.sinks.webhook import Settings, Sink

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Post:
    """A request as it arrived."""

    headers: dict[str, str]
    body: bytes
    path: str


@dataclass
class Hook:
    """A running receiver."""

    url: str
    posts: list[Post] = field(default_factory=list)


@asynccontextmanager
async def hook(handler: Handler | None = None) -> AsyncIterator[Hook]:
    """An HTTP server that remembers each request, then answers as ``handler`` says (204 without one)."""

    async def remember(request: web.Request) -> web.StreamResponse:
        found.posts.append(Post(dict(request.headers), await request.read(), request.path_qs))
        return await handler(request) if handler else web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", remember)
    server = TestServer(app, port=0)
    await server.start_server(shutdown_timeout=0.1, access_log=None)
    found = Hook(str(server.make_url("/hook")))
    try:
        yield found
    finally:
        await server.close()


@asynccontextmanager
async def raw_hook(answer: bytes = b"", *, reset: bool = False, hang: bool = False) -> AsyncIterator[str]:
    """A server that reads one whole request, writes ``answer``, and then closes, resets or hangs."""
    stop = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(answer)
        await writer.drain()
        if hang:
            await stop.wait()
        if reset:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        stop.set()
        server.close()


@asynccontextmanager
async def webhook(url: str, *, total: float = 60.0, **settings: object) -> AsyncIterator[Sink]:
    """A webhook sink, opened, that posts to ``url``."""
    checked = Settings.model_validate({"url": url, **settings})
    async with open_session(total=total) as session, Sink(checked, Surroundings("hook", session)) as sink:
        yield sink


def break_off(request: web.Request) -> web.Response:
    """Leave the sender without an answer."""
    transport = request.transport
    assert isinstance(transport, asyncio.Transport)
    transport.abort()
    return web.Response()
