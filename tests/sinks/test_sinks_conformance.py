"""Our own sinks in the suite that every sink must pass."""

import asyncio
import io
import json
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from typing import Any

import fake_slack
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from mail_server import Server, mail_server

from notifier.sinks import console, pagerduty, slack, webhook
from notifier.sinks import email as email_sink
from notifier.sinks.conformance import Behaviour, Received, Receiver, SinkConformance

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Screen(io.StringIO):
    """A stream that behaves as its receiver is told to."""

    encoding = "utf-8"

    def __init__(self, receiver: Receiver, closing: threading.Event) -> None:
        super().__init__()
        self.receiver = receiver
        self.closing = closing

    def write(self, text: str) -> int:  # type: ignore[explicit-override]
        if self.receiver.behaviour is Behaviour.FAILS:
            raise BrokenPipeError(32, "Broken pipe")
        if self.receiver.behaviour is Behaviour.HANGS:
            self.closing.wait(10)
            raise BrokenPipeError(32, "Broken pipe")
        written = super().write(text)
        self.receiver.received[:] = [Received(line, identity(line)) for line in self.getvalue().splitlines()]
        return written


def identity(line: str) -> str | None:
    return str(json.loads(line)["id"]) if line.startswith("{") else None


class OfConsole(SinkConformance):
    sink_class = console.Sink
    settings_class = console.Settings
    form = "text"

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:  # type: ignore[explicit-override]
        receiver = Receiver({"stream": "stdout", "colour": "never", "format": self.form})
        closing = threading.Event()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdout", Screen(receiver, closing))
            try:
                yield receiver
            finally:
                closing.set()


class TestConsoleText(OfConsole):
    form = "text"


class TestConsoleJson(OfConsole):
    form = "json"


class TestWebhook(SinkConformance):
    sink_class = webhook.Sink
    settings_class = webhook.Settings
    secrets = (SECRET, SECRET.removeprefix("whsec_"), "canary-in-the-path", "canary-in-the-query", "canary-in-a-header")

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:  # type: ignore[explicit-override]
        async def answer(request: web.Request) -> web.Response:
            content = await request.read()
            if receiver.behaviour is Behaviour.FAILS:
                echoed = " ".join((str(request.url), *request.headers.values(), SECRET))
                return web.Response(status=503, text=f"upstream down\r\n\x1b[31m {echoed}")
            if receiver.behaviour is Behaviour.HANGS:
                await asyncio.Event().wait()
            receiver.received.append(Received(content.decode(), request.headers["webhook-id"]))
            return web.Response(status=202)

        app = web.Application()
        app.router.add_post("/{tail:.*}", answer)
        server = TestServer(app, port=0)
        await server.start_server(shutdown_timeout=0.1, access_log=None)
        receiver = Receiver(
            {
                "url": str(server.make_url("/hook/canary-in-the-path?key=canary-in-the-query")),
                "secret": SECRET,
                "headers": {"Authorization": "Bearer canary-in-a-header"},
            }
        )
        try:
            yield receiver
        finally:
            with suppress(asyncio.CancelledError):
                await server.close()


class TestSlack(SinkConformance):
    sink_class = slack.Sink
    settings_class = slack.Settings
    secrets = (fake_slack.TOKEN,)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:  # type: ignore[explicit-override]
        def fault(method: str, arguments: dict[str, Any]) -> str | None:
            if receiver.behaviour is Behaviour.FAILS:
                return "service_unavailable"
            if receiver.behaviour is Behaviour.HANGS:
                return "hang"
            if method.startswith("chat."):
                shown = "\n".join([arguments["text"], *fake_slack.texts(arguments["blocks"])])
                receiver.received.append(Received(shown, arguments["metadata"]["event_payload"]["delivery"]))
            return None

        async with fake_slack.slack(fault) as workspace:
            settings = {"token": fake_slack.TOKEN, "channel": fake_slack.CHANNEL, "base_url": workspace.url}
            receiver = Receiver(settings)
            yield receiver


class TestPagerDuty(SinkConformance):
    sink_class = pagerduty.Sink
    settings_class = pagerduty.Settings
    secrets = ("canary6789abcdef0123456789abcdef",)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:  # type: ignore[explicit-override]
        async def answer(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            if receiver.behaviour is Behaviour.FAILS:
                return web.Response(status=503, text=f"not now {body['routing_key']}")
            if receiver.behaviour is Behaviour.HANGS:
                await asyncio.Event().wait()
            # A change event has no key; PagerDuty shows it again.
            details = body["payload"]["custom_details"] if "payload" in body else {}
            receiver.received.append(Received(await request.text(), str(details.get("id"))))
            return web.json_response({"status": "success"}, status=202)

        app = web.Application()
        app.router.add_post("/{tail:.*}", answer)
        server = TestServer(app, port=0)
        await server.start_server(shutdown_timeout=0.1, access_log=None)
        receiver = Receiver({"routing_key": self.secrets[0], "base_url": str(server.make_url("/")).rstrip("/")})
        try:
            yield receiver
        finally:
            with suppress(asyncio.CancelledError):
                await server.close()


class TestEmail(SinkConformance):
    sink_class = email_sink.Sink
    settings_class = email_sink.Settings
    secrets = ("secret-canary",)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:  # type: ignore[explicit-override]
        async with mail_server() as server:
            receiver = Postbox(
                {
                    "host": "127.0.0.1",
                    "port": server.port,
                    "tls": "none",
                    "from": "css@example.com",
                    "to": ["ops@example.com"],
                    "username": "css",
                    "password": "secret-canary",
                },
                server=server,
            )
            yield receiver


@dataclass(slots=True)
class Postbox(Receiver):
    """What a mail server took, read as a mail program reads it."""

    server: Server = field(default_factory=Server)

    def __setattr__(self, name: str, value: object) -> None:  # type: ignore[explicit-override]
        object.__setattr__(self, name, value)
        if name == "behaviour":
            with suppress(AttributeError):  # While it is being made, the server comes last.
                self.server.hang = value is Behaviour.HANGS
                self.server.data = "451 not now" if value is Behaviour.FAILS else "250 OK"

    def __getattribute__(self, name: str) -> object:  # type: ignore[explicit-override]
        if name == "received":
            return [letter(content) for _, content in self.server.mails]
        return object.__getattribute__(self, name)


def letter(content: bytes) -> Received:
    mail = message_from_bytes(content, policy=default)
    bodies = [part.get_content() for part in mail.walk() if part.get_content_maintype() == "text"]
    return Received("\n".join([str(mail["Subject"]), *bodies]), str(mail["Message-ID"]))
