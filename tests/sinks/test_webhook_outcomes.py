"""What a webhook makes of whatever a receiver, a network or an attacker answers."""

import asyncio
import gzip
import shutil
import socket
import ssl
import subprocess
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from ports import free_port
from pydantic import ValidationError
from sink_receivers import hook, raw_hook, webhook
from time_is_up import an_hour_passes

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Receipt
from notifier.domain.model import Kind
from notifier.domain.samples import sample
from notifier.sinks import posting
from notifier.sinks.contract import Surroundings
from notifier.sinks.posting import Answer, failure
from notifier.sinks.webhook import Settings, Sink

MESSAGE = sample(Kind.TASK_FAILED)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

RETRY, REJECTED, UNCERTAIN = Outcome.RETRY, Outcome.REJECTED, Outcome.UNCERTAIN
EVENT, SINK = Scope.EVENT, Scope.SINK
PARTICULAR = {
    401: (REJECTED, DeliveryReason.REFUSED, SINK),
    403: (REJECTED, DeliveryReason.REFUSED, SINK),
    404: (REJECTED, DeliveryReason.MISSING, SINK),
    405: (REJECTED, DeliveryReason.MISSING, SINK),
    407: (REJECTED, DeliveryReason.REFUSED, SINK),
    408: (RETRY, DeliveryReason.SERVER, EVENT),
    410: (REJECTED, DeliveryReason.GONE, SINK),
    413: (REJECTED, DeliveryReason.TOO_LARGE, EVENT),
    425: (RETRY, DeliveryReason.SERVER, EVENT),
    429: (RETRY, DeliveryReason.THROTTLED, SINK),
}
GENERAL = {
    3: (RETRY, DeliveryReason.REDIRECT, SINK),
    4: (REJECTED, DeliveryReason.INVALID, EVENT),
    5: (RETRY, DeliveryReason.SERVER, EVENT),
}


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


async def failed(sink: Sink) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await sink.send(MESSAGE, None)
    return caught.value


async def test_every_status_has_its_outcome() -> None:
    answers = iter(range(200, 600))

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=next(answers))

    async with hook(answer) as found, webhook(found.url) as sink:
        for status in range(200, 600):
            if status < 300:
                assert (await sink.send(MESSAGE, None)).fields["status"] == str(status)
                continue
            error = await failed(sink)
            expected = PARTICULAR.get(status, GENERAL[status // 100])
            assert (error.outcome, error.reason, error.scope) == expected, status
            assert error.detail.startswith(f"HTTP {status}")


@pytest.mark.parametrize("status", [100, 101, 199, 600, 999])
def test_a_status_that_is_none_proves_nothing(status: int) -> None:
    error = failure(Answer(status, "", None, None))
    assert error
    assert (error.outcome, error.reason) == (UNCERTAIN, DeliveryReason.UNREADABLE)


@pytest.mark.parametrize(
    ("status", "asked", "heard", "scope"),
    [
        (429, "7", 7.0, SINK),
        (429, "soon", None, SINK),
        (503, "120", 120.0, SINK),
        (503, None, None, EVENT),
        (500, "3", 3.0, EVENT),
    ],
)
async def test_how_long_to_wait_is_heard(status: int, asked: str | None, heard: float | None, scope: Scope) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": asked} if asked else {})

    async with hook(answer) as found, webhook(found.url) as sink:
        error = await failed(sink)
    assert (error.retry_after, error.scope) == (heard, scope)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_the_target_of_a_redirect_hears_nothing(status: int) -> None:
    async with hook() as target:

        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": f"{target.url}?token=hush"})

        async with hook(answer) as found, webhook(found.url) as sink:
            error = await failed(sink)
        assert target.posts == []
    assert error.detail == f"HTTP {status}, redirects to 127.0.0.1"


async def test_a_receiver_that_takes_the_message_and_resets_may_have_accepted_it() -> None:
    async with raw_hook(reset=True) as url, webhook(url) as sink:
        error = await failed(sink)
    assert (error.outcome, error.reason) == (UNCERTAIN, DeliveryReason.NETWORK)


async def test_a_receiver_that_takes_the_message_and_closes_may_have_accepted_it() -> None:
    async with raw_hook() as url, webhook(url) as sink:
        error = await failed(sink)
    assert (error.outcome, error.reason) == (UNCERTAIN, DeliveryReason.NETWORK)


async def test_a_receiver_that_takes_the_message_and_says_nothing_may_have_accepted_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def say_nothing(_: web.Request) -> web.Response:
        an_hour_passes(monkeypatch)
        await asyncio.Event().wait()
        return web.Response()

    async with hook(say_nothing) as found, webhook(found.url) as sink:
        error = await failed(sink)
    assert (error.outcome, error.reason) == (UNCERTAIN, DeliveryReason.TIMEOUT)


async def test_half_a_status_line_may_hide_an_acceptance() -> None:
    async with raw_hook(b"HTTP/1.1 20") as url, webhook(url) as sink:
        error = await failed(sink)
    assert error.outcome is UNCERTAIN


async def test_an_answer_that_is_no_http_proves_nothing() -> None:
    async with raw_hook(b"SSH-2.0-OpenSSH\r\n\r\n") as url, webhook(url) as sink:
        error = await failed(sink)
    assert (error.outcome, error.reason) == (UNCERTAIN, DeliveryReason.UNREADABLE)


async def test_a_closed_port_surely_accepted_nothing() -> None:
    async with webhook(f"http://127.0.0.1:{free_port()}/") as sink:
        error = await failed(sink)
    assert (error.outcome, error.reason, error.scope) == (RETRY, DeliveryReason.NETWORK, SINK)


async def test_the_metadata_service_is_not_asked() -> None:
    async with webhook("http://169.254.169.254/latest") as sink:
        error = await failed(sink)
    assert (error.outcome, error.reason) == (RETRY, DeliveryReason.NETWORK)
    assert "metadata" in error.detail


async def test_a_host_name_no_resolver_takes_is_a_failed_delivery() -> None:
    async with webhook(f"http://{'a' * 64}.test/") as sink:
        error = await failed(sink)
    assert (error.outcome, error.reason, error.scope) == (RETRY, DeliveryReason.NETWORK, SINK)


class Resolver(AbstractResolver):
    """A name service that knows nothing, at once or never."""

    def __init__(self, *, hang: bool) -> None:
        self.hang = hang

    async def resolve(  # type: ignore[explicit-override]
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self.hang:
            await asyncio.Event().wait()
        raise OSError(-2, "Name or service not known", host, port, family)

    async def close(self) -> None:  # type: ignore[explicit-override]
        pass


@pytest.mark.parametrize(("hang", "reason"), [(False, DeliveryReason.NETWORK), (True, DeliveryReason.TIMEOUT)])
async def test_a_host_without_an_address_surely_accepted_nothing(*, hang: bool, reason: DeliveryReason) -> None:
    connector = aiohttp.TCPConnector(resolver=Resolver(hang=hang))
    settings = Settings.model_validate({"url": "http://receiver.test/"})
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=0.1 if hang else 60.0)) as session,
        Sink(settings, Surroundings("hook", session)) as sink,
    ):
        error = await failed(sink)
    assert (error.outcome, error.reason, error.scope) == (RETRY, reason, SINK)


async def test_a_receiver_that_speaks_no_tls_surely_accepted_nothing() -> None:
    async with hook() as found, webhook(found.url.replace("http:", "https:")) as sink:
        error = await failed(sink)
    assert (error.outcome, error.reason, error.scope) == (RETRY, DeliveryReason.TLS, SINK)


@pytest.fixture
def certificate(tmp_path: Path) -> SimpleNamespace:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    key, file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    what = f"-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {file} -subj /CN=x"
    subprocess.run(["openssl", "req", *what.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return SimpleNamespace(file=file, context=context)


async def test_a_certificate_is_trusted_only_where_the_settings_name_its_issuer(certificate: SimpleNamespace) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/", answer)
    server = TestServer(app, scheme="https", port=0)
    await server.start_server(ssl=certificate.context, access_log=None)
    async with webhook(str(server.make_url("/"))) as sink:
        error = await failed(sink)
    assert (error.outcome, error.reason) == (RETRY, DeliveryReason.TLS)
    assert "not trusted" in error.detail
    async with webhook(str(server.make_url("/")), ca_file=str(certificate.file)) as sink:
        assert isinstance(await sink.send(MESSAGE, None), Receipt)
    await server.close()


@pytest.mark.parametrize("status", [b"200 OK", b"503 Busy"])
async def test_the_status_decides_although_the_body_never_ends(status: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "READ_FOR", 0.1)
    began = time.monotonic()
    async with (
        raw_hook(b"HTTP/1.1 " + status + b"\r\nContent-Length: 99\r\n\r\nd", hang=True) as url,
        webhook(url, total=3600.0) as sink,
    ):
        if status.startswith(b"2"):
            assert (await sink.send(MESSAGE, None)).fields["status"] == "200"
        else:
            assert (await failed(sink)).detail == "HTTP 503"
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("content", [gzip.compress(bytes(50_000_000)), b"no gzip"], ids=["bomb", "garbage"])
async def test_the_status_decides_although_the_body_is_a_trap(status: int, content: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=content, headers={"Content-Encoding": "gzip"})

    async with hook(answer) as found, webhook(found.url) as sink:
        if status == 200:
            assert (await sink.send(MESSAGE, None)).fields["status"] == "200"
        else:
            assert (await failed(sink)).detail == "HTTP 500"


async def test_an_answer_is_quoted_in_one_short_line_without_our_secrets() -> None:
    async def answer(request: web.Request) -> web.Response:
        echo = [str(request.url), request.path_qs, *request.headers.values(), SECRET, "xoxb-1234-abcdef", "Bearer abcdefgh"]
        return web.Response(status=422, text="field \x1b[31mbad\r\n" + " | ".join(echo) + "z" * 5000)

    async with hook(answer) as found:
        url = f"{found.url}/T0000/canary-in-path?key=canary-in-query"
        async with webhook(url, secret=SECRET, headers={"X-Key": "canary-in-header"}) as sink:
            error = await failed(sink)
    assert error.detail.startswith("HTTP 422: field \ufffd[31mbad ")
    assert error.detail.isprintable()
    assert len(error.detail) <= 220
    shown = error.detail + "".join(traceback.format_exception(error))
    for secret in ("canary", SECRET[6:], "xoxb-1234", "abcdefgh"):
        assert secret not in shown


async def test_an_echoed_secret_is_hidden_also_without_its_prefix() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=400, text=f"bad signature with {SECRET[6:]}, {SECRET}")

    async with hook(answer) as found, webhook(found.url, secret=SECRET) as sink:
        assert (await failed(sink)).detail == "HTTP 400: bad signature with ***, ***"


async def test_a_proxy_that_refuses_us_surely_passed_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
    async with webhook("https://receiver.test/") as sink:
        error = await failed(sink)
    proxy.close()
    assert (error.outcome, error.reason, error.scope) == (RETRY, DeliveryReason.NETWORK, SINK)


async def test_no_failure_on_the_way_shows_the_url() -> None:
    async with raw_hook() as url, webhook(f"{url}/canary-path?key=canary-query") as sink:
        error = await failed(sink)
    assert "canary" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "url"),
        ({"url": "ftp://canary.test/x"}, "must begin with http:// or https://"),
        ({"url": "https:///canary"}, "name a host"),
        ({"url": "http://[canary"}, "is no URL"),
        ({"url": "https://canary:pass@example.test/"}, "put them into headers"),
        ({"secret": "canary"}, "24 to 64 random bytes"),
        ({"secret": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "24 to 64 random bytes"),
        ({"secret": "whsec_Y2FuYXJ5"}, "24 to 64 random bytes"),
        ({"secret": "whsec_" + "A" * 100}, "24 to 64 random bytes"),
        ({"secret": "whsec_canary!"}, "24 to 64 random bytes"),
        ({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8I!LPZIo2LaLaSw"}, "24 to 64 random bytes"),
        ({"secret": [SECRET, "canary"]}, "secret.1"),
        ({"headers": {"X-A": "canary\r\nX-B: 1"}}, "value of X-A must be printable ASCII"),
        ({"headers": {"X A": "canary"}}, "is no HTTP header name"),
        ({"headers": {"Webhook-Id": "canary"}}, "is set by the notifier"),
        ({"headers": {"content-encoding": "canary"}}, "is set by the notifier"),
        ({"ca_file": "/nowhere/canary.pem"}, "ca_file"),
        ({"verify": "canary"}, "verify"),
    ],
)
def test_settings_that_cannot_work_are_refused_without_being_repeated(settings: dict[str, object], words: str) -> None:
    base = {"url": "https://example.test/hook"} if settings else {}
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(base | settings)
    assert words in str(caught.value)
    assert "canary" not in str(caught.value)
