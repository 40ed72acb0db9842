"""A workspace that speaks Slack's Web API as documented: what is posted can be seen, edited, answered, deleted; faults on demand.

It refuses what Slack would refuse: blocks beyond the documented limits, unknown channels, wrong tokens.
"""

import asyncio
import json
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
from fake_windows import Windows

from notifier.sinks.pace import Pace, Paces

TOKEN = "xoxb-canary-0123456789-abcdef"
APP_TOKEN = "xapp-canary-0123456789-abcdef"
CHANNEL = "C0123456789"
OTHER = "C9876543210"

PATIENCE = 120.0
"""Seconds that a test waits for what comes anyway: nothing where it comes, and much on a machine that has other things to do."""


class Unhurried(Paces):
    """Paces for tests that are not about them."""

    def of(self, *key: str) -> Pace:  # type: ignore[explicit-override]
        return Pace("".join(key), clock=lambda: 1e9 * time.monotonic())


Fault = Callable[[str, dict[str, Any]], str | None]


def no_fault(_method: str, _arguments: dict[str, Any]) -> str | None:
    return None


@dataclass
class Limits:
    """What Slack counts: edits of a workspace, of which it takes fifty a minute, and posts to a channel, one a second.

    How many come in the long run is looked at: on a busy machine what was sent apart may arrive together. ``faster``: a minute of
    Slack's lasts so many times less.
    """

    faster: float = 1.0
    edits: list[float] = field(default_factory=list)
    posts: dict[str, list[float]] = field(default_factory=dict)

    def note(self, method: str, channel: str) -> None:
        if method == "chat.update":
            self.edits.append(time.monotonic())
        elif method == "chat.postMessage":
            self.posts.setdefault(channel, []).append(time.monotonic())

    @property
    def edits_a_minute(self) -> float:
        return self._pace(self.edits, 60.0)

    @property
    def posts_a_second(self) -> float:
        """In the channel that had the most."""
        return max(self._pace(at, 1.0) for at in self.posts.values())

    def _pace(self, at: list[float], unit: float) -> float:
        assert len(at) > 5, "too few to tell"
        return (len(at) - 1) / (at[-1] - at[0]) / self.faster * unit


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
    channel: str = CHANNEL


@dataclass
class Slack:
    """The workspace. ``fault`` says what becomes of a call: an error's word, or ``reset before``, ``hang`` and kin."""

    fault: Fault = no_fault
    scopes: str = "chat:write,channels:history,groups:history"
    messages: list[Posted] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""
    private: frozenset[str] = frozenset()
    """Channels, by id, that are not public."""
    native: bool = True
    """Whether the workspace takes plans."""
    limits: Limits | None = None
    page: int = 1000
    """Messages of a page, whatever is asked for."""
    whispers: list[tuple[str, str]] = field(default_factory=list)
    """Who was told what, so that nobody else saw it."""
    windows: Windows = field(default_factory=Windows)
    wires: list[web.WebSocketResponse] = field(default_factory=list)
    acks: dict[str, "asyncio.Future[dict[str, Any]]"] = field(default_factory=dict)
    heard: "asyncio.Event" = field(default_factory=asyncio.Event)
    envelopes: int = 0

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
        self.heard.set()
        token = APP_TOKEN if method == "apps.connections.open" else TOKEN
        if request.headers.get("Authorization") != f"Bearer {token}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if self.limits is not None:
            self.limits.note(method, str(arguments.get("channel")))
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
        answer = self.forbidden(method, arguments) or self.answer(method, arguments)
        self.heard.set()
        if fate == "reset after":
            return self.reset(request)
        return web.json_response(answer, headers={"x-oauth-scopes": self.scopes})

    def forbidden(self, method: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """What Slack says where the token lacks the method's scope."""
        history = "groups:history" if arguments.get("channel") in self.private else "channels:history"
        needed = {"chat": "chat:write", "conversations": history, "files": "files:write"}.get(method.partition(".")[0])
        if needed is None or needed in self.scopes.split(","):
            return None
        return {"ok": False, "error": "missing_scope", "needed": needed, "provided": self.scopes}

    def answer(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if method == "auth.test":
            return {"ok": True, "team": "T1", "user": "notifier"}
        if method == "apps.connections.open":
            return {"ok": True, "url": self.url.replace("http://", "ws://").replace("/api/", "/socket?ticket=canary-ticket")}
        if method in {"views.open", "views.update"}:
            return self.windows.answer(method, arguments)
        if arguments.get("channel") not in {CHANNEL, OTHER}:
            return {"ok": False, "error": "channel_not_found"}
        if method == "chat.postEphemeral":
            self.whispers.append((arguments["user"], arguments["text"]))
            return {"ok": True, "message_ts": "1"}
        if method == "conversations.history":
            return self.history(arguments)
        if method == "conversations.replies":
            thread = [each for each in self.messages if arguments["ts"] in {each.ts, each.thread}]
            replies = [each for each in thread[1:] if each.ts > arguments.get("oldest", "")]
            # The first of the thread always comes along.
            return self.paged(arguments, thread[:1], replies) if thread else gone()
        if wrong := refusal(arguments, native=self.native):
            return {"ok": False, "error": wrong}
        return self.post(arguments) if method == "chat.postMessage" else self.update(arguments)

    def post(self, arguments: dict[str, Any]) -> dict[str, Any]:
        thread = arguments.get("thread_ts")
        if thread is not None and thread not in {each.ts for each in self.messages}:
            return {"ok": False, "error": "thread_not_found"}
        ts = f"{4 * 10**9}.{len(self.calls):06}"  # Later than any news of a test.
        content = (arguments["text"], arguments.get("blocks", []), arguments.get("metadata", {}))
        broadcast = bool(arguments.get("reply_broadcast"))
        self.messages.append(Posted(ts, *content, thread, broadcast, channel=str(arguments["channel"])))
        return {"ok": True, "channel": arguments["channel"], "ts": ts}

    def update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        found = next((each for each in self.messages if each.ts == arguments["ts"]), None)
        if found is None:
            return gone()
        found.text, found.blocks, found.edits = arguments["text"], arguments.get("blocks", []), found.edits + 1
        found.metadata = arguments.get("metadata", found.metadata)
        return {"ok": True, "channel": CHANNEL, "ts": found.ts}

    def history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The newest first, a page at a time."""
        since = arguments.get("oldest", "")
        there = [each for each in self.messages if self.in_channel(each) and each.channel == arguments["channel"]]
        seen = [each for each in reversed(there) if each.ts > since]
        return self.paged(arguments, [], seen)

    def paged(self, arguments: dict[str, Any], always: list[Posted], seen: list[Posted]) -> dict[str, Any]:
        first = int(arguments.get("cursor", 0))
        last = first + min(int(arguments["limit"]), self.page)
        cursor = str(last) if last < len(seen) else ""
        shown = [self.shown(each) for each in always + seen[first:last]]
        return {"ok": True, "messages": shown, "response_metadata": {"next_cursor": cursor}}

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Socket Mode, as an app that has connected sees it."""
        if request.query.get("ticket") != "canary-ticket":
            return web.Response(status=403)
        wire = web.WebSocketResponse()
        await wire.prepare(request)
        await wire.send_json({"type": "hello", "num_connections": 1})
        self.wires.append(wire)
        self.heard.set()
        async for frame in wire:
            said = json.loads(frame.data)
            if waiting := self.acks.pop(said.get("envelope_id"), None):
                waiting.set_result(said)
        self.wires.remove(wire)
        self.heard.set()
        return wire

    async def until(self, holds: Callable[[], bool], within: float = PATIENCE) -> None:
        """Wait for something that comes of a call or of a connection."""
        async with asyncio.timeout(within):
            while not holds():
                self.heard.clear()
                await self.heard.wait()

    async def connected(self) -> None:
        """Wait until an app listens."""
        await self.until(lambda: bool(self.wires))

    async def envelope(self, kind: str, payload: dict[str, Any], within: float = PATIENCE) -> dict[str, Any]:
        """Say something to the app; what it answers. Slack waits three seconds for it, a busy machine may take longer."""
        await self.connected()
        self.envelopes += 1
        name = f"envelope-{self.envelopes}"
        self.acks[name] = asyncio.get_running_loop().create_future()
        answer = self.acks[name]
        await self.wires[-1].send_json({"type": kind, "envelope_id": name, "payload": payload})
        return await asyncio.wait_for(answer, within)

    async def press(self, action: str, root: Posted, user: str = "lin", **changes: Any) -> dict[str, Any]:
        """Somebody presses a button of a message, as it is shown now."""
        row = root.blocks[-1]["elements"] if root.blocks else []
        value = next((each["value"] for each in row if each.get("action_id") == action), "")
        payload = {
            "type": "block_actions",
            "trigger_id": self.windows.trigger(),
            "user": {"id": "U1", "username": user, "name": user},
            "channel": {"id": root.channel},
            "container": {"type": "message", "message_ts": root.ts, "channel_id": root.channel},
            "actions": [{"type": "button", "action_id": action, "value": value}],
        }
        return await self.envelope("interactive", payload | changes)

    async def command(self, text: str, user: str = "lin") -> str:
        """Somebody gives the slash command; what they read."""
        payload = {"command": "/css", "text": text, "user_id": "U1", "user_name": user, "channel_id": CHANNEL}
        payload["trigger_id"] = self.windows.trigger()
        answer = await self.envelope("slash_commands", payload)
        assert answer["payload"]["response_type"] == "ephemeral"
        return str(answer["payload"]["text"])

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
    app.router.add_get("/socket", workspace.socket)
    server = TestServer(app, port=0)
    await server.start_server(shutdown_timeout=0.1, access_log=None)
    workspace.url = str(server.make_url("/api/"))
    try:
        yield workspace
    finally:
        with suppress(asyncio.CancelledError):
            await server.close()
