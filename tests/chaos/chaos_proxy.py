"""A TCP proxy before PostgreSQL that cuts connections at the worst moment: COMMIT is sent, and its answer is not heard."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""The simple query, as libpq sends it (postgresql.org/docs/current/protocol-message-formats.html)."""


class Proxy:
    """``url`` leads to the database, which is where ``target()`` says at each connection.

    ``cut()`` is asked at each COMMIT, ``keep()`` whether the server gets it all the same.
    """

    def __init__(self, target: Callable[[], str], cut: Callable[[], bool], keep: Callable[[], bool]) -> None:
        self._target = target
        self._cut = cut
        self._keep = keep
        self._pipes: set[asyncio.Task[None]] = set()
        self.cuts = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port, target = self._server.sockets[0].getsockname()[1], self._target()
        self.url = target.replace(f":{urlsplit(target).port}/", f":{port}/")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            await self._pipe(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # Either side may go at any time; asyncio would log a handler that was cancelled.
        finally:
            self._pipes.discard(task)
            writer.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self._target())
        theirs, ours = await asyncio.open_connection(parts.hostname, parts.port)
        back = asyncio.create_task(_copy(theirs, writer))
        try:
            while data := await reader.read(65536):
                if data.endswith(COMMIT) and self._cut():
                    self.cuts += 1
                    if self._keep():
                        back.cancel()
                        await asyncio.gather(back, return_exceptions=True)
                        ours.write(data)
                        await theirs.read(1)  # It is committed, and nobody hears of it.
                    return
                ours.write(data)
                await ours.drain()
        finally:
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            ours.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
