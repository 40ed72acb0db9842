"""The one way out: what it dials, what it refuses to dial, how much it reads and how long it waits."""

import resource
import shutil
import ssl
import subprocess
import time
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from ports import free_port
from source_servers import bomb, serving, serving_bytes

from notifier import outbound
from notifier.outbound import (
    AddressRefused,
    BodyTooLarge,
    ProxyUnusable,
    cause,
    open_session,
    read_capped,
    redirect_host,
    retry_after,
)

NOW = datetime(2026, 3, 1, 2, 29, 51, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


async def ok(_: web.Request) -> web.Response:
    return web.Response(text="ok")


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::169.254.169.254]",
        "[2002:a9fe:a9fe::1]",
        "[::169.254.169.254]",
    ],
)
async def test_metadata_addresses_are_never_dialled_however_they_are_written(address: str) -> None:
    async with open_session(connect=1) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(f"http://{address}/latest/")
    refused = caught.value.os_error
    assert isinstance(refused, AddressRefused)
    assert "metadata" in refused.why
    assert refused.address in str(refused)
    assert refused.address in cause(caught.value)


@pytest.mark.parametrize("address", ["0xa9fea9fe", "2852039166", "0251.0376.0251.0376"])
async def test_numbers_that_a_resolver_takes_for_an_address_do_not_get_around_the_guard(address: str) -> None:
    async with open_session(connect=1) as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get(f"http://{address}/latest/")
    assert "metadata" in cause(caught.value) or isinstance(caught.value, aiohttp.ClientConnectorDNSError | aiohttp.InvalidURL)


async def test_a_name_that_leads_to_a_denied_range_is_refused_at_connect() -> None:
    async with serving(ok) as served, open_session(deny=[ip_network("127.0.0.0/8"), ip_network("::1/128")]) as session:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await session.get(served.url.replace("127.0.0.1", host))
            assert "is refused" in cause(caught.value)
        assert served.requests == []


async def test_private_addresses_may_be_dialled_by_default() -> None:
    async with serving(ok) as served, open_session() as session, session.get(served.url) as response:
        assert await read_capped(response) == b"ok"
        assert response.request_info.headers["User-Agent"].startswith("css-upgrade-notifier/")


def test_the_metadata_service_may_be_asked_for_credentials_when_that_is_wanted() -> None:
    outbound._Guard((), frozenset()).check("169.254.169.254")
    with pytest.raises(AddressRefused):
        outbound._Guard((), outbound.METADATA).check("fd00:ec2::254%eth0")


@pytest.mark.parametrize("status", sorted(outbound.REDIRECTS))
async def test_a_redirect_is_never_followed_even_where_the_caller_forgot_to_forbid_it(status: int) -> None:
    async with serving(ok) as other, open_session() as session:
        target = f"{other.url}/steal"

        async def redirect(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": target, "URI": target})

        async with serving(redirect) as served, session.get(served.url, headers={"X-Auth-Token": "secret"}) as response:
            assert response.status == status
            assert redirect_host(response) == "127.0.0.1"
        assert other.requests == []


async def test_a_response_without_a_redirect_or_with_a_broken_one_has_no_target() -> None:
    async def nonsense(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://[broken"} if request.path == "/broken" else {})

    async with serving(nonsense) as served, open_session() as session:
        for path in ("/broken", "/none"):
            async with session.get(served.url + path) as response:
                assert redirect_host(response) is None


async def test_a_dripping_answer_is_cut_at_the_total_deadline() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    async with serving_bytes(head, *[b"x"] * 2000, pause=0.05) as served, open_session(total=0.3) as session:
        began = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            async with session.get(served.url) as response:
                await read_capped(response)
        assert time.monotonic() - began < 60
        assert cause(caught.value) == "no complete answer in time"


async def test_a_gzip_bomb_is_cut_at_the_decompressed_cap() -> None:
    packed = bomb(200 * 1024 * 1024)
    assert len(packed) < 300_000

    async def explode(_: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with serving(explode) as served, open_session() as session:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with session.get(served.url) as response:
            with pytest.raises(BodyTooLarge) as caught:
                await read_capped(response)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert caught.value.limit == 4 * 1024 * 1024
    assert "4194304" in str(caught.value)


async def test_a_body_that_says_it_is_too_long_is_not_read_at_all() -> None:
    async with (
        serving_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", hang=True) as served,
        open_session() as session,
        session.get(served.url) as response,
    ):
        with pytest.raises(BodyTooLarge):
            await read_capped(response)


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101])
async def test_the_cap_is_exact_and_pieces_are_put_together(size: int) -> None:
    pieces = [b"1\r\nx\r\n"] * size
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with (
        serving_bytes(head, *pieces, b"0\r\n\r\n") as served,
        open_session() as session,
        session.get(served.url) as response,
    ):
        if size <= 100:
            assert await read_capped(response, 100) == b"x" * size
        else:
            with pytest.raises(BodyTooLarge):
                await read_capped(response, 100)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5", 5.0),
        (" 2.5 ", 2.5),
        ("-3", 0.0),
        ("999999", 3600.0),
        ("Sun, 01 Mar 2026 02:30:51 GMT", 60.0),
        ("Sun, 01 Mar 2026 02:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 10:30:51 +0800", 60.0),
        ("Sun, 01 Mar 2026 02:30:51 -0000", 60.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("Sun, 99 Mar 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, expected: float | None) -> None:
    assert retry_after({"Retry-After": value}, NOW) == expected


def test_retry_after_may_be_absent() -> None:
    assert retry_after({}, NOW) is None


async def test_http_goes_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(ok) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", "http://user:pass@"))
        async with open_session() as session, session.get("http://css.example.test/v1.0/x") as response:
            assert await read_capped(response) == b"ok"
    [request] = proxy.requests
    assert request.headers["Host"] == "css.example.test"
    assert request.headers["Proxy-Authorization"] == aiohttp.encode_basic_auth("user", "pass")


async def test_https_asks_the_proxy_for_a_tunnel_and_shows_the_signature_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving_bytes(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.removeprefix("http://").join(["user:hush@", ""]))
        async with open_session() as session:
            with pytest.raises(aiohttp.ClientHttpProxyError) as caught:
                await session.get("https://css.example.test/x", headers={"Authorization": "signed"})
    [head] = proxy.heads
    assert head.startswith("CONNECT css.example.test:443 HTTP/1.1")
    assert f"Proxy-Authorization: {aiohttp.encode_basic_auth('user', 'hush')}" in head
    assert "signed" not in head
    assert "407" in cause(caught.value)
    assert "hush" not in repr(caught.value)


async def test_a_proxy_that_is_down_is_named_as_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:hush@127.0.0.1:{free_port()}")
    async with open_session() as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get("https://css.example.test/x")
    assert cause(caught.value) == "no connection to the proxy: connection refused"
    assert "hush" not in repr(caught.value)


@pytest.mark.parametrize("no_proxy", ["*", "example.test", ".example.test", "*.example.test", "a.test, css.example.test:81"])
def test_no_proxy_excepts_names_and_all_below_them(no_proxy: str) -> None:
    assert outbound._direct("css.example.test", 81, no_proxy)


def test_no_proxy_excepts_addresses_and_ranges_and_loopback_always() -> None:
    assert outbound._direct("10.1.2.3", 80, "10.0.0.0/8")
    assert outbound._direct("10.1.2.3", 80, "10.1.2.3")
    assert outbound._direct("127.0.0.2", 80, "")
    assert outbound._direct("localhost", 80, "")
    assert not outbound._direct("11.1.2.3", 80, "10.0.0.0/8, example.test")
    assert not outbound._direct("notexample.test", 80, "example.test")
    assert not outbound._direct("css.example.test", 82, "css.example.test:81")


async def test_an_excepted_host_is_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    async with serving(ok) as served, open_session() as session, session.get(served.url) as response:
        assert response.status == 200


async def test_a_proxy_is_not_used_to_reach_the_metadata_service(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(ok) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with open_session() as session:
            with pytest.raises(aiohttp.ClientOSError) as caught:
                await session.get("http://169.254.169.254/")
        assert "metadata" in cause(caught.value)
        assert proxy.requests == []


async def test_a_proxy_that_is_not_an_http_one_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:hush@127.0.0.1:1080")
    with pytest.raises(ProxyUnusable, match="HTTPS_PROXY names a socks5 proxy") as caught:
        open_session()
    assert "hush" not in str(caught.value)


async def test_every_way_to_fail_has_its_words() -> None:
    async with open_session() as session:
        port = free_port()
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(f"http://127.0.0.1:{port}")
        assert cause(caught.value) == f"no connection to 127.0.0.1:{port}: connection refused"

        async with serving_bytes() as silent:
            with pytest.raises(aiohttp.ServerDisconnectedError) as silence:
                await session.get(silent.url)
        assert cause(silence.value) == "the connection was closed before an answer came"

        head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
        async with serving_bytes(head, b"half") as broken, session.get(broken.url) as response:
            with pytest.raises(aiohttp.ClientPayloadError) as half:
                await read_capped(response)
        assert cause(half.value) == "the answer broke off"

        async with serving_bytes(b"SSH-2.0-OpenSSH\r\n\r\n") as other:
            with pytest.raises(aiohttp.ClientResponseError) as strange:
                await session.get(other.url)
        assert cause(strange.value) == "the answer is no HTTP"

        async with serving(ok) as plain:
            with pytest.raises(aiohttp.ClientConnectorSSLError) as no_tls:
                await session.get(plain.url.replace("http:", "https:"))
        assert cause(no_tls.value).startswith("no TLS connection to 127.0.0.1: ")

        with pytest.raises(aiohttp.InvalidURL) as invalid:
            await session.get("http://[broken")
        assert cause(invalid.value) == "the address is no URL"


def test_causes_that_loopback_cannot_give_have_their_words_too() -> None:
    key = aiohttp.client_reqrep.ConnectionKey(
        host="css.example.test", port=443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
    )
    expired = ssl.SSLCertVerificationError(1, "bad")
    expired.verify_message = "certificate has expired"
    untrusted = aiohttp.ClientConnectorCertificateError(key, expired)
    assert cause(untrusted) == "the certificate of css.example.test is not trusted: certificate has expired"
    unknown = aiohttp.ClientConnectorDNSError(key, OSError(-2, "Name or service not known"))
    assert cause(unknown) == "host css.example.test cannot be resolved"
    assert cause(OSError()) == "OSError"
    assert cause(RuntimeError("secret")) == "RuntimeError"


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made_of = f"-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {certificate} -subj /CN=localhost"
    subprocess.run(["openssl", "req", *made_of.split()], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_a_certificate_of_nobody_we_know_is_refused(self_signed: ssl.SSLContext) -> None:
    app = web.Application()
    app.router.add_get("/", ok)
    server = TestServer(app, scheme="https", port=0)
    await server.start_server(ssl=self_signed)
    async with open_session() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError) as caught:
            await session.get(server.make_url("/"))
    await server.close()
    assert "is not trusted: self" in cause(caught.value)
