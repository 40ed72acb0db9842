"""Socket Mode: what people do in Slack comes to us over a websocket that we open, so nothing of ours has to be reachable.

The connection is made on the program's own session, with its guard and its proxies: slack_sdk's client would open one of its own,
connect again for ever without saying so, and put the address, which holds a ticket, into its log. The words on the wire are
slack_sdk's (docs.slack.dev/apis/events-api/using-socket-mode).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Literal

import aiohttp
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from yarl import URL

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.outbound import cause
from notifier.sinks.slack_calls import Calls

HEARTBEAT = 15.0
"""Seconds between two pings; a connection whose answer does not come within half of that is dead."""

LARGEST = 1024 * 1024
"""Bytes of what Slack may send at once; a press carries the message that was pressed."""

MOST_WAITING = 100
"""Presses that wait to be acted on; more are confirmed only once there is room."""

Envelope = Literal["press", "command"]
KINDS: Mapping[str, Envelope] = {"interactive": "press", "slash_commands": "command"}

Reply = Mapping[str, Any] | None
Hear = Callable[[Envelope, Mapping[str, Any]], Awaitable[Reply]]
"""Acts on what came; the answer to a command, if there is one."""


class Socket:
    """The connection of one app. ``calls`` are made with its app-level token (``xapp-…``, scope ``connections:write``)."""

    def __init__(self, calls: Calls, session: aiohttp.ClientSession) -> None:
        self._calls = calls
        self._session = session

    async def listen(self, hear: Hear) -> None:
        """Hear everything, over as many connections as Slack wants, one after another.

        Raises:
            DeliveryError: There is no connection, or it ended without Slack's asking for another.
        """
        while True:
            address = await self.address()
            try:
                async with self._session.ws_connect(address, heartbeat=HEARTBEAT, max_msg_size=LARGEST) as wire:
                    presses: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(MOST_WAITING)
                    await together(self._read(wire, hear, presses), _work(hear, presses))
            except (aiohttp.ClientError, OSError) as error:
                raise _lost(cause(error)) from None

    async def address(self) -> URL:
        """Where to connect; good for one connection. Raises `DeliveryError`."""
        answer = await self._calls.call("apps.connections.open")
        url = URL(str(answer.get("url", "")))
        if url.scheme not in {"ws", "wss"} or not url.host:
            raise _lost("apps.connections.open: an answer without an address")
        # As http(s), which a websocket begins as, so that the session finds its proxy.
        return url.with_scheme("https" if url.scheme == "wss" else "http")

    async def _read(self, wire: aiohttp.ClientWebSocketResponse, hear: Hear, presses: asyncio.Queue[Mapping[str, Any]]) -> None:
        """Until Slack asks us to connect again. Everything is confirmed at once, since Slack waits no more than three seconds."""
        async for frame in wire:
            said = _object(frame)
            if said.get("type") == "disconnect":
                if said.get("reason") == "link_disabled":
                    detail = "Socket Mode is switched off in the app's settings"
                    raise DeliveryError(Outcome.REJECTED, DeliveryReason.REFUSED, detail, scope=Scope.SINK)
                await presses.join()
                return
            if not isinstance(said.get("payload"), dict) or (request := SocketModeRequest.from_dict(said)) is None:
                continue  # "hello", or something newer than us
            kind = KINDS.get(request.type)
            # The answer to a command goes with the confirmation.
            reply = await hear(kind, request.payload) if kind == "command" else None
            await wire.send_json(SocketModeResponse(request.envelope_id, payload=dict(reply or {})).to_dict())
            if kind == "press":
                await presses.put(request.payload)
        raise _lost("the connection was closed")


async def _work(hear: Hear, presses: asyncio.Queue[Mapping[str, Any]]) -> None:
    """Act on one press after another."""
    while True:
        await hear("press", await presses.get())
        presses.task_done()


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Do all of it until one ends or fails, then leave the rest. Raises what that one raised."""
    tasks = [asyncio.create_task(each) for each in work]
    if not tasks:
        return
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _object(frame: aiohttp.WSMessage) -> dict[str, Any]:
    """What a frame says; nothing if it is no JSON object."""
    if frame.type is not aiohttp.WSMsgType.TEXT:
        return {}
    try:
        found = json.loads(frame.data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _lost(detail: str) -> DeliveryError:
    return DeliveryError(Outcome.RETRY, DeliveryReason.NETWORK, detail, scope=Scope.SINK)
