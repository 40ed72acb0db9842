"""Our own sinks in the suite that every sink must pass."""

import asyncio
import io
import json
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import block_limits
import fake_slack
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.smtp import SMTP, Envelope, Session
from sink_receivers import break_off
from smtp_servers import LOGIN, OPS, PASSWORD, PostOffice, authority, post_office

from notifier.sinks import alertmanager, apprise, console, email, pagerduty, slack, webhook
from notifier.sinks.conformance import Behaviour, Received, Receiver, SinkConformance
from notifier.sinks.contract import Surroundings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Screen(io.StringIO):
    """A stream that behaves as its receiver is told to."""

    encoding = "utf-8"

    def __init__(self, receiver: Receiver, closing: threading.Event) -> None:
        super().__init__()
        self.receiver = receiver
        self.closing = closing

    def write(self, text: str) -> int:  # type: ignore[explicit-override]
        self.receiver.offered += 1
        if self.receiver.behaviour in {Behaviour.FAILS, Behaviour.DROPS}:
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
    remote = False
    goes_on = "a write to a stream that nobody reads cannot be broken off"
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
            receiver.offered += 1
            if receiver.behaviour is Behaviour.FAILS:
                echoed = " ".join((str(request.url), *request.headers.values(), SECRET))
                return web.Response(status=503, text=f"upstream down\r\n\x1b[31m {echoed}")
            if receiver.behaviour is Behaviour.HANGS:
                await asyncio.Event().wait()
            if receiver.behaviour is Behaviour.DROPS:
                return break_off(request)
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

    def surroundings(self, session: aiohttp.ClientSession) -> Surroundings:  # type: ignore[explicit-override]
        return Surroundings("conformance", session, paces=fake_slack.Unhurried())

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:  # type: ignore[explicit-override]
        def fault(method: str, arguments: dict[str, Any]) -> str | None:
            receiver.offered += method.startswith("chat.")
            if receiver.behaviour is Behaviour.FAILS:
                return "service_unavailable"
            if receiver.behaviour is Behaviour.HANGS:
                return "hang"
            if receiver.behaviour is Behaviour.DROPS:
                return "reset before"
            if method.startswith("chat."):
                shown = "\n".join([arguments["text"], *block_limits.texts(arguments["blocks"])])
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
        opened = set[str]()

        async def answer(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            receiver.offered += body.get("event_action") != "resolve"  # A test ends what it may have opened: no other try.
            if receiver.behaviour is Behaviour.FAILS:
                return web.Response(status=503, text=f"not now {body['routing_key']}")
            if receiver.behaviour is Behaviour.HANGS:
                await asyncio.Event().wait()
            if receiver.behaviour is Behaviour.DROPS:
                return break_off(request)
            key = body.get("dedup_key")
            if body.get("event_action") == "trigger":
                opened.add(key)
            elif key in opened:
                # A test ends its own incident at once: that is one message to whoever is paged.
                opened.remove(key)
                return web.json_response({"status": "success"}, status=202)
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


class TestAlertmanager(SinkConformance):
    sink_class = alertmanager.Sink
    settings_class = alertmanager.Settings
    secrets = ("canary-token",)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:  # type: ignore[explicit-override]
        async def answer(request: web.Request) -> web.Response:
            alerts = await request.json()
            receiver.offered += 1
            if receiver.behaviour is Behaviour.FAILS:
                return web.Response(status=503, text=request.headers["Authorization"])
            if receiver.behaviour is Behaviour.HANGS:
                await asyncio.Event().wait()
            if receiver.behaviour is Behaviour.DROPS:
                return break_off(request)
            receiver.received.append(Received(await request.text(), str(sorted(alerts[-1]["labels"].items()))))
            return web.Response()

        app = web.Application()
        app.router.add_post("/{tail:.*}", answer)
        server = TestServer(app, port=0)
        await server.start_server(shutdown_timeout=0.1, access_log=None)
        receiver = Receiver({"url": str(server.make_url("/")).rstrip("/"), "token": self.secrets[0]})
        try:
            yield receiver
        finally:
            with suppress(asyncio.CancelledError):
                await server.close()


class ToldOffice(PostOffice):
    """A post office that behaves as its receiver is told to."""

    receiver: Receiver

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # type: ignore[explicit-override]  # noqa: N802 - aiosmtpd's name
        self.receiver.offered += 1
        self.hangs = self.receiver.behaviour is Behaviour.HANGS
        self.on = {"DATA": f"451 upstream down, {PASSWORD}"} if self.receiver.behaviour is Behaviour.FAILS else {}
        if self.receiver.behaviour is Behaviour.DROPS:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        said = await super().handle_DATA(server, session, envelope)
        for mail in self.mails[len(self.receiver.received) :]:
            self.receiver.received.append(Received(mail.read, str(mail.parsed["Message-ID"])))
        return said


@pytest.mark.filterwarnings("ignore::UserWarning:aiosmtpd")
class TestEmail(SinkConformance):
    sink_class = email.Sink
    settings_class = email.Settings
    secrets = (PASSWORD,)
    certificates: ClassVar[Path]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def signed(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        cls.certificates = tmp_path_factory.mktemp("certificates")
        with authority(cls.certificates) as ours:
            ours.server()
            yield

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:  # type: ignore[explicit-override]
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(self.certificates / "good.pem", self.certificates / "good.key")
        office = ToldOffice()
        async with post_office(tls, auth=True, office=office):
            where = {"host": "127.0.0.1", "port": office.port, "ca_file": str(self.certificates / "ca.pem"), **LOGIN}
            office.receiver = Receiver({**where, "from": "css@example.com", "to": [OPS]})
            yield office.receiver


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
class TestApprise(SinkConformance):
    sink_class = apprise.Sink
    settings_class = apprise.Settings
    goes_on = "what it bridges to knows only blocking calls"
    secrets = ("canary-in-the-path", "canary-password")

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:  # type: ignore[explicit-override]
        freed = asyncio.Event()

        async def answer(request: web.Request) -> web.Response:
            said = await request.json()
            receiver.offered += 1
            if receiver.behaviour is Behaviour.FAILS:
                return web.Response(status=503, text=str(request.url))
            if receiver.behaviour is Behaviour.HANGS:
                await freed.wait()
            if receiver.behaviour is Behaviour.DROPS:
                return break_off(request)
            text = f"{said['title']}\n{said['message']}"
            receiver.received.append(Received(text, text.splitlines()[-1]))
            return web.Response()

        app = web.Application()
        app.router.add_post("/{tail:.*}", answer)
        server = TestServer(app, port=0)
        await server.start_server(shutdown_timeout=0.1, access_log=None)
        url = f"json://user:canary-password@127.0.0.1:{server.port}/canary-in-the-path"
        receiver = Receiver({"url": url, "accept_risk": True})
        try:
            yield receiver
        finally:
            freed.set()
            await server.close()
