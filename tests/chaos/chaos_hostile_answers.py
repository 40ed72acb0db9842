"""Answers that no honest server gives, and names that no honest person gives to a node: what both ends must bear."""

import asyncio
import gzip
import json
import struct
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Any, Self

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]

MIB = 1024 * 1024
LONGEST = 30.0
"""Seconds after which a server that never ends is ended, whoever still listens."""

NAMES = (
    "<!channel> <@U1> <https://evil.example|AWS> &lt;!here&gt;",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "node\r\nBcc: everybody@example.com\r\n\r\nHello",
    'node\n{"level": "ERROR", "event": "forged"}',
    "\x1b[2J\x1b[31mred\x07",
    "txt.\u202egpj \u2066hidden\u2069 \u200f",
    "nul\x00l \x7f \x9b31m \u2028 \u2029 \ufeff",
    "lone \ud800 surrogate \udfff",
    "'; DROP TABLE event; --",
    "%s %n {0.__class__} {{7*7}} ${HOME} $(reboot) `id`",
    "=HYPERLINK(1)",
    "x" * 100_000,
    "\u0301" * 500,
    "😀 节点 узел",
    " \t ",
)


def whole(body: bytes, status: str = "200 OK", headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that at least is HTTP."""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return raw(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)


def raw(text: bytes) -> Answer:
    """Bytes, whatever they are."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    return answer


@cache
def bomb() -> bytes:
    """A hundred kilobytes that become a hundred megabytes."""
    return gzip.compress(bytes(100 * MIB), compresslevel=6)


async def drip(writer: asyncio.StreamWriter) -> None:
    """A byte now and then, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def endless(writer: asyncio.StreamWriter) -> None:
    """As much as anybody takes, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"[" * 0x10000 + b"\r\n"
    while True:
        writer.write(chunk)
        await writer.drain()


async def hang(_writer: asyncio.StreamWriter) -> None:
    """Nothing at all."""
    await asyncio.Event().wait()


async def reset(writer: asyncio.StreamWriter) -> None:
    """The connection is reset."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER of no seconds
    writer.transport.abort()


def _list(*items: Mapping[str, Any]) -> bytes:
    return json.dumps({"totalSize": len(items), "detailList": items}).encode()


def of_both() -> dict[str, Answer]:
    """What a cloud and a receiver may do alike."""
    return {
        "a bomb": whole(bomb(), headers={"Content-Encoding": "gzip"}),
        "no gzip at all": whole(b"{}", headers={"Content-Encoding": "gzip"}),
        "drip": drip,
        "endless": endless,
        "hang": hang,
        "reset": reset,
        "8 MiB of headers": raw(b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 8 * MIB + b"\r\n\r\n"),
        "100 000 headers": raw(b"HTTP/1.1 200 OK\r\n" + b"X-Many: a\r\n" * 100_000 + b"\r\n"),
        "no HTTP": raw(b"SSH-2.0-OpenSSH_9.2\r\n" * 100),
        "half a status": raw(b"HTTP/1.1 2"),
        "broken chunks": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnonsense"),
        "less than promised": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"),
        "a page of HTML": whole(b"<html><script>alert(1)</script></html>", headers={"Content-Type": "text/html"}),
        "odd bytes": whole(bytes(range(256)) * 20),
    }


def of_the_cloud(trap: str) -> dict[str, Answer]:
    """What only a cloud answers: JSON that must not be believed, or not be parsed."""
    many = [{"id": f"t{number}", "status": "SUCCESS"} for number in range(100_000)]
    return {
        **of_both(),
        "a redirect": whole(b"", "302 Found", {"Location": trap}),
        "nothing": whole(b""),
        "trailing garbage": whole(_list() + b"}}}"),
        "truncated": whole(_list({"id": "t", "status": "RUNNING"})[:-9]),
        "a list": whole(b"[]"),
        "a number": whole(b"7"),
        "NaN": whole(b'{"totalSize": NaN, "detailList": []}'),
        "5000 digits": whole(b'{"totalSize": ' + b"9" * 5000 + b', "detailList": []}'),
        "deep": whole(b"[" * 100_000),
        "deep inside": whole(b'{"totalSize": 1, "detailList": [' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"]}"),
        "wrong types": whole(b'{"totalSize": {"a": 1}, "detailList": {"id": 7}}'),
        "100 000 tasks": whole(_list(*many)),
        "a task of 4 MB": whole(_list({"id": "t", "status": "RUNNING", "failMessage": "x" * 4_000_000})),
        "4 MB of brackets in a string": whole(_list({"id": "[" * 4_000_000})),
        "a total that is never reached": whole(b'{"totalSize": 1000000, "detailList": []}'),
    }


def of_a_receiver(trap: str) -> dict[str, Answer]:
    """What only a receiver answers."""
    return {
        **of_both(),
        "a redirect": whole(b"", "307 Temporary Redirect", {"Location": trap}),
        "too many requests, come back in a word": whole(b"", "429 Too Many Requests", {"Retry-After": "soon"}),
        "too many requests, come back yesterday": whole(b"", "429 Too Many Requests", {"Retry-After": "-86400"}),
        "a status of its own": whole(b"", "799 Whatever"),
        "names for an error": whole("\n".join(NAMES[:7]).encode(), "500 Internal Server Error"),
    }


def named_tasks(names: Iterable[str] = NAMES) -> bytes:
    """Tasks that failed, of which everything that a person or a tenant may choose is hostile."""
    items = [
        {
            "id": f"named-{number}",
            "status": "FAILED",
            "totalNodes": name.replace(",", ";"),
            "completedNodes": "",
            "currentNodeName": name,
            "currentNodeDetail": [{"order": 0, "name": name, "status": "FAILED", "desc": name}],
            "imageInfo": {"displayName": name},
            "failMessage": name,
            "executeTimes": "1",
        }
        for number, name in enumerate(names)
    ]
    return json.dumps({"totalSize": len(items), "detailList": items}).encode()


class Server:
    """A server that answers each request as ``choose(head)`` says, once a connection; ``seen`` counts requests."""

    def __init__(self, choose: Callable[[bytes], Answer]) -> None:
        self._choose = choose
        self.seen = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(LONGEST):
                    await self._answer(reader, writer)
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await reader.readexactly(int(line.split(b":")[1]))
        self.seen += 1
        await self._choose(head)(writer)
        writer.close()
        await writer.wait_closed()


def relayed(head: bytes, host: str, port: int) -> Answer:
    """The answer that another server gives to the same request."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        from_there, to_there = await asyncio.open_connection(host, port)
        try:
            to_there.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            writer.write(await from_there.read())
            await writer.drain()
        finally:
            to_there.transport.abort()

    return answer
