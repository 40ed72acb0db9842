"""Our signer against Huawei's own, and against what a server makes of the bytes it received."""

import random
import warnings
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer as OfficialSigner
from yarl import URL

from notifier.sources.signing import Keys, Signer, parse_authorization, signature

NOW = datetime(2026, 3, 1, 2, 29, 51, 123456, tzinfo=UTC)
SECRET = "s" * 40
SECRETS = [SECRET, "k", "b" * 64, "longer than a block of the hash, ".ljust(65, "x"), "ключ" * 20]
ALPHABET = "abzAZ09-_.~ /%+&=?#:;,@!$'()*[]{}|\\\"<>^`äß€中😀"


def test_signs_byte_for_byte_as_the_official_sdk_does() -> None:
    chance = random.Random(20260301)
    keys = [Keys("AKTEST", secret) for secret in SECRETS]
    for _ in range(3000):
        path, query, headers, body = random_request(chance)
        signer = Signer(chance.choice(keys), headers)
        now = NOW + timedelta(seconds=chance.randrange(10**8))
        method = chance.choice(["GET", "PUT", "POST", "DELETE"])
        url = url_of(path, query)
        ours = signer.headers(method, url, now, body)
        assert ours["Authorization"] == official(signer.keys.secret_key, method, path, query, headers=ours, body=body), (
            method,
            path,
            query,
            headers,
            body,
        )


def test_a_server_recomputes_the_signature_from_what_arrived() -> None:
    chance = random.Random(1)
    for _ in range(300):
        path, query, headers, body = random_request(chance)
        signer = Signer(Keys("AKTEST", SECRET, "a-token"), headers)
        url = url_of(path, query)
        made = signer.headers("PUT", url, NOW, body)
        access_key, names, seal = parsed(made["Authorization"])
        assert access_key == "AKTEST"
        assert {"host", "x-sdk-date", "x-security-token"} <= set(names)
        arrived = {name.upper(): value for name, value in made.items()}
        assert signature(SECRET, "PUT", url.raw_path, url.raw_query_string, arrived, names, body) == seal


@pytest.mark.parametrize("spoiled", ["method", "path", "query", "header", "body", "key", "date"])
def test_a_change_of_anything_signed_spoils_the_signature(spoiled: str) -> None:
    url = URL("http://127.0.0.1:9000/v1.0/p/clusters/c?limit=10")
    made = Signer(Keys("AK", SECRET), {"X-Project-Id": "p"}).headers("GET", url, NOW, b"{}")
    _, names, seal = parsed(made["Authorization"])

    def seen(what: str, value: str, other: str) -> str:
        return other if what == spoiled else value

    received = {"Host": made["Host"], "X-Project-Id": seen("header", "p", "q")}
    received["X-Sdk-Date"] = seen("date", made["X-Sdk-Date"], "20260301T022952Z")
    again = signature(
        seen("key", SECRET, "other"),
        seen("method", "GET", "PUT"),
        seen("path", "/v1.0/p/clusters/c", "/v1.0/p/clusters/d"),
        seen("query", "limit=10", "limit=11"),
        received,
        names,
        seen("body", "{}", "[]").encode(),
    )
    assert again != seal


async def test_what_aiohttp_puts_on_the_wire_is_what_was_signed() -> None:
    verdicts = []

    async def verify(request: web.Request) -> web.Response:
        _, names, seal = parsed(request.headers["Authorization"])
        path, _, query = request.raw_path.partition("?")
        verdicts.append(signature(SECRET, request.method, path, query, request.headers, names, await request.read()) == seal)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", verify)
    signer = Signer(Keys("AK", SECRET, "token"), {"X-Project-Id": "p", "Content-Type": "application/json"})
    async with TestServer(app, port=0) as server, ClientSession() as session:
        for tail, body in [("/v1.0/p/clusters/c/upgrade/detail?limit=100", b""), ("/a%20b/ü?x=1+2&y=%2F&b&a=ä", b'{"a":1}')]:
            url = server.make_url(tail)
            headers = signer.headers("PUT", url, NOW, body)
            async with session.put(url, headers=headers, data=body):
                pass
    assert verdicts == [True, True]


def test_the_date_follows_the_clock_forwards_and_backwards_and_is_utc() -> None:
    signer, url = Signer(Keys("AK", SECRET)), URL("https://css.example.com/x")
    shanghai = timezone(timedelta(hours=8))
    times = [NOW, NOW + timedelta(seconds=1), NOW - timedelta(hours=1), NOW.astimezone(shanghai)]
    dates = [signer.headers("GET", url, time)["X-Sdk-Date"] for time in times]
    assert dates == ["20260301T022951Z", "20260301T022952Z", "20260301T012951Z", "20260301T022951Z"]


def test_headers_made_by_the_signer_replace_given_ones() -> None:
    signer = Signer(Keys("AK", SECRET), {"host": "evil", "authorization": "x", "Accept": "*/*"})
    made = signer.headers("GET", URL("https://css.example.com:8443/x"), NOW)
    assert made["Host"] == "css.example.com:8443"
    assert set(made) == {"Host", "X-Sdk-Date", "Authorization", "Accept"}


def test_a_declared_body_hash_stands_in_for_the_bodys_own() -> None:
    url = URL("https://css.example.com/x")
    made = Signer(Keys("AK", SECRET), {"X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD"}).headers("PUT", url, NOW, b"anything")
    _, names, seal = parsed(made["Authorization"])
    assert signature(SECRET, "PUT", "/x", "", made, names, b"something else") == seal


def test_the_caches_forget_before_they_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.sources.signing._MOST_TARGETS", 3)
    signer = Signer(Keys("AK", SECRET))
    first = signer.headers("GET", URL("https://h0.example.com/0"), NOW)
    for number in range(9):
        signer.headers("GET", URL(f"https://h{number}.example.com/{number}"), NOW)
    assert len(signer._targets) <= 3
    assert len(signer._plans) <= 3
    assert signer.headers("GET", URL("https://h0.example.com/0"), NOW) == first


@pytest.mark.parametrize(
    "header", ["", "Basic eA==", "SDK-HMAC-SHA256 Access=AK", "SDK-HMAC-SHA256 Access=, SignedHeaders=host, Signature=00"]
)
def test_what_is_no_signature_is_told_apart(header: str) -> None:
    assert parse_authorization(header) is None


def test_keys_do_not_show_themselves() -> None:
    shown = repr(Keys("AKVISIBLE", "SKVISIBLE", "TOKENVISIBLE"))
    assert "VISIBLE" not in shown


def random_request(chance: random.Random) -> tuple[str, list[tuple[str, str]], dict[str, str], bytes]:
    """Path (decoded), query (decoded), headers and body, with every awkward character."""

    def text(longest: int) -> str:
        return "".join(chance.choices(ALPHABET, k=chance.randrange(longest)))

    path = "/" + text(20).replace("%", "")
    query = [(text(8) or "q", text(8)) for _ in range(chance.randrange(4))]
    headers = {"X-Project-Id": "p", "Content-Type": "application/json", "X-Note": f" {text(6).strip()} ", "not_signed": "x"}
    kept = dict(chance.sample(sorted(headers.items()), chance.randrange(len(headers) + 1)))
    return path, query, kept, chance.choice([b"", b'{"a": 1}', chance.randbytes(20)])


def url_of(path: str, query: list[tuple[str, str]]) -> URL:
    encoded = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    return URL(f"https://css.example.com{quote(path)}{'?' if query else ''}{encoded}", encoded=True)


def official(secret: str, method: str, path: str, query: list[tuple[str, str]], *, headers: dict[str, str], body: bytes) -> str:
    """The ``Authorization`` that Huawei's SDK makes for the same request at the same second."""
    given = {name: value for name, value in headers.items() if name != "Authorization"}
    request = SdkRequest(
        method=method,
        schema="https",
        host="css.example.com",
        resource_path=path,
        query_params=query,
        header_params=given,
        body=body,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        OfficialSigner(SimpleNamespace(ak="AKTEST", sk=secret)).sign(request)
    return str(request.header_params["Authorization"])


def parsed(header: str) -> tuple[str, tuple[str, ...], str]:
    found = parse_authorization(header)
    assert found is not None
    return found
