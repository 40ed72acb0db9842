"""A workspace that speaks Slack's Web API as documented: what is posted can be seen, edited, answered, deleted; faults on demand.

It refuses what Slack would refuse: blocks beyond the documented limits, unknown channels, wrong tokens.
"""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from block_limits import problems

from notifier.sinks.pace import Pace, Paces

TOKEN = "xoxb-canary-0123456789-abcdef"
CHANNEL = "C0123456789"


class Unhurried(Paces):
    """Paces for tests that are not about them."""

    def of(self, *key: str) -> Pace:  # type: ignore[explicit-override]  # noqa: ARG002 - the name is the contract's
        return Pace(clock=lambda: 1e9 * time.monotonic())


Fault = Callable[[str, dict[str, Any]], str | None]


def no_fault(_method: str, _arguments: dict[str, Any]) -> str | None:
    return None


@dataclass
class Posted:
    """A message as people see it now."""

    ts: str
    text: str
    blocks: list[dict[str, Any]]
    metadata: dict[str, Any]
    thread: str | None = None
    broadcast: bool = False
    edits: int = 0


@dataclass
class Slack:
    """The workspace. ``fault`` says what becomes of a call: an error's word, or ``reset before``, ``hang`` and kin."""

    fault: Fault = no_fault
    scopes: str = "chat:write,channels:history,groups:history"
    messages: list[Posted] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""
    native: bool = True
    """Whether the workspace takes plans."""

    @property
    def roots(self) -> list[Posted]:
        return [message for message in self.messages if message.thread is None]

    def replies(self, root: Posted) -> list[Posted]:
        return [message for message in self.messages if message.thread == root.ts]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        arguments: dict[str, Any] = dict(request.query)
        if request.content_type == "application/json":
            arguments |= await request.json()
        self.calls.append((method, arguments))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        fate = self.fault(method, arguments)
        if fate == "hang":
            await asyncio.Event().wait()
        if fate == "reset before":
            return self.reset(request)
        if fate == "html":
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        if fate == "ratelimited":
            return web.json_response({"ok": False, "error": fate}, status=429, headers={"Retry-After": "7"})
        if fate is not None and fate != "reset after":
            status = 503 if fate == "service_unavailable" else 200
            return web.json_response({"ok": False, "error": fate}, status=status)
        answer = self.answer(method, arguments)
        if fate == "reset after":
            return self.reset(request)
        return web.json_response(answer, headers={"x-oauth-scopes": self.scopes})

    def answer(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if method == "auth.test":
            return {"ok": True, "team": "T1", "user": "notifier"}
        if arguments.get("channel") != CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        if method == "conversations.history":
            return {"ok": True, "messages": [self.shown(each) for each in reversed(self.messages) if self.in_channel(each)]}
        if method == "conversations.replies":
            thread = [each for each in self.messages if arguments["ts"] in {each.ts, each.thread}]
            return {"ok": True, "messages": [self.shown(each) for each in thread]} if thread else gone()
        if wrong := refusal(arguments, native=self.native):
            return {"ok": False, "error": wrong}
        return self.post(arguments) if method == "chat.postMessage" else self.update(arguments)

    def post(self, arguments: dict[str, Any]) -> dict[str, Any]:
        thread = arguments.get("thread_ts")
        if thread is not None and thread not in {each.ts for each in self.messages}:
            return {"ok": False, "error": "thread_not_found"}
        ts = f"1700000000.{len(self.calls):06}"
        content = (arguments["text"], arguments.get("blocks", []), arguments.get("metadata", {}))
        self.messages.append(Posted(ts, *content, thread, bool(arguments.get("reply_broadcast"))))
        return {"ok": True, "channel": CHANNEL, "ts": ts}

    def update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        found = next((each for each in self.messages if each.ts == arguments["ts"]), None)
        if found is None:
            return gone()
        found.text, found.blocks, found.edits = arguments["text"], arguments.get("blocks", []), found.edits + 1
        found.metadata = arguments.get("metadata", found.metadata)
        return {"ok": True, "channel": CHANNEL, "ts": found.ts}

    def in_channel(self, message: Posted) -> bool:
        return message.thread is None or message.broadcast

    def shown(self, message: Posted) -> dict[str, Any]:
        return {"ts": message.ts, "text": message.text, "metadata": message.metadata, "thread_ts": message.thread}

    def reset(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            connection = request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.transport.abort()
        return web.Response()


def gone() -> dict[str, Any]:
    return {"ok": False, "error": "message_not_found"}


def refusal(arguments: dict[str, Any], *, native: bool = True) -> str | None:
    """What Slack would say against a message. ``native``: whether the workspace takes plans."""
    blocks = arguments.get("blocks", [])
    if not arguments.get("text") or len(arguments["text"]) > 4000:
        return "no_text"
    wrong = problems(blocks)
    if any("in all" in problem for problem in wrong):
        return "msg_blocks_too_long"
    if wrong or (not native and any(block["type"] == "plan" for block in blocks)):
        return "invalid_blocks"
    return None


@asynccontextmanager
async def slack(fault: Fault = no_fault) -> AsyncIterator[Slack]:
    """A workspace that runs."""
    workspace = Slack(fault)
    app = web.Application()
    app.router.add_route("*", "/api/{method}", workspace.handle)
    server = TestServer(app, port=0)
    await server.start_server(shutdown_timeout=0.1, access_log=None)
    workspace.url = str(server.make_url("/api/"))
    try:
        yield workspace
    finally:
        with suppress(asyncio.CancelledError):
            await server.close()
