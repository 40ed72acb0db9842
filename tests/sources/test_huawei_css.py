"""The door in: each answer a server can give, and what the engine is told of it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from source_servers import Served, bomb, serving, serving_bytes

from notifier.domain.errors import FetchError, FetchReason
from notifier.domain.model import Action, Cluster
from notifier.outbound import open_session
from notifier.sources import huawei_css, paging
from notifier.sources.credentials import Credentials, FromEnvironment, Given, Token
from notifier.sources.huawei_css import HuaweiCss
from notifier.sources.huawei_door import HuaweiDoor
from notifier.sources.signing import Keys, parse_authorization, signature
from notifier.sources.wire import Drift, DriftKind

NOW = datetime(2026, 3, 1, 2, 29, 51, tzinfo=UTC)
DATA = Path(__file__).parents[1] / "data"
SEED = (DATA / "seed_upgrade.json").read_bytes()
PROJECT = "6204a5bd270343b5885144cf9c8c158d"
CLUSTER = Cluster("ea244205-d641-45d9-9dcb-ab2236bcd07e", "search", "cn-north-4", "prod", PROJECT)
PATH = f"/v1.0/{PROJECT}/clusters/{CLUSTER.id}/upgrade/detail"
KEYS = Keys("AKAKAKAKAKAKAKAKAKAK", "sksksksksksksksksksksksksksksksksksksksk")
Opening = Callable[..., HuaweiCss]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def open_source() -> AsyncIterator[Opening]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session())

        def opening(endpoint: str, credentials: Credentials | None = None, *, timeout: float = 10.0, **options: Any) -> HuaweiCss:
            door = HuaweiDoor(session, endpoint, PROJECT, credentials or Given(KEYS), clock=lambda: NOW, timeout=timeout)
            return HuaweiCss(door, **options)

        yield opening


def answering(body: bytes | str, status: int = 200, **headers: str) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=sent)

    return answer


async def failure(source: HuaweiCss) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await source.fetch(CLUSTER, Action.UPGRADING)
    assert caught.value.detail.isprintable()
    assert 0 < len(caught.value.detail) <= 300
    assert caught.value.__cause__ is None
    return caught.value


async def test_asks_as_the_documentation_says_and_signs_what_it_sends(open_source: Opening) -> None:
    async with serving(answering(SEED)) as served:
        source = open_source(served.url + "/")
        answer = await source.fetch(CLUSTER, Action.UPGRADING)
        await source.fetch(CLUSTER, Action.AZ_MIGRATION)
    upgrade, migration = served.requests
    assert upgrade.raw_path == f"{PATH}?limit=100"
    assert migration.raw_path == f"{PATH}?action_mode=AZ_MIGRATION&limit=100"
    for request in (upgrade, migration):
        assert request.method == "GET"
        assert request.headers["X-Project-Id"] == PROJECT
        parsed = parse_authorization(request.headers["Authorization"])
        assert parsed is not None
        path, _, query = request.raw_path.partition("?")
        assert parsed[0] == KEYS.access_key
        assert parsed[2] == signature(KEYS.secret_key, "GET", path, query, request.headers, parsed[1], b"")
    assert answer.body == SEED
    assert answer.snapshot is not None
    assert (answer.snapshot.cluster, answer.snapshot.action, answer.snapshot.partial) == (CLUSTER, Action.UPGRADING, False)
    assert [task.target for task in answer.snapshot.tasks] == ["7.10.2_22.5.1_1230"]


async def test_asks_for_no_limit_where_none_is_wanted_and_quotes_what_it_is_given(open_source: Opening) -> None:
    odd = Cluster("a/../b?c", "odd", "r", "p", PROJECT)
    async with serving(answering(SEED)) as served:
        await open_source(served.url, page_limit=None).fetch(odd, Action.UPGRADING)
    assert served.requests[0].raw_path == f"/v1.0/{PROJECT}/clusters/a%2F..%2Fb%3Fc/upgrade/detail"


async def test_a_token_goes_along_instead_of_a_signature(open_source: Opening) -> None:
    async with serving(answering(SEED)) as served:
        await open_source(served.url, Given(Token("the-token"))).fetch(CLUSTER, Action.UPGRADING)
    [request] = served.requests
    assert request.headers["X-Auth-Token"] == "the-token"
    assert "Authorization" not in request.headers


async def test_new_keys_are_used_from_the_next_request_on(open_source: Opening) -> None:
    class Rotating:
        async def keys(self, now: datetime) -> Keys:
            assert now == NOW
            return Keys(f"AK{len(served.requests)}", "sk", "temporary")

    async with serving(answering(SEED)) as served:
        source = open_source(served.url, Rotating())
        for _ in range(2):
            await source.fetch(CLUSTER, Action.UPGRADING)
    signed = [parse_authorization(request.headers["Authorization"]) for request in served.requests]
    assert [parsed and parsed[0] for parsed in signed] == ["AK0", "AK1"]
    assert served.requests[0].headers["X-Security-Token"] == "temporary"


async def test_an_equal_answer_is_not_parsed_again_once_it_is_known_to_be_whole(open_source: Opening) -> None:
    async with serving(answering(SEED)) as served:
        source = open_source(served.url)
        after_restart = await source.fetch(CLUSTER, Action.UPGRADING, SEED)
        assert after_restart.snapshot is not None
        assert (await source.fetch(CLUSTER, Action.UPGRADING, bytes(bytearray(SEED)))).snapshot is None
        assert (await source.fetch(CLUSTER, Action.UPGRADING, b"another")).snapshot is not None
        assert (await source.fetch(CLUSTER, Action.UPGRADING)).snapshot is not None


@pytest.mark.parametrize(("header", "expected"), [("5f0c", "5f0c"), ("x" * 200, "x" * 79 + "…"), ("a\tb", "a b"), (None, None)])
async def test_the_gateways_name_for_the_request_is_passed_on(
    open_source: Opening, header: str | None, expected: str | None
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=SEED, headers={} if header is None else {"X-Request-Id": header})

    async with serving(answer) as served:
        found = await open_source(served.url).fetch(CLUSTER, Action.UPGRADING)
    facts = found.facts(NOW)
    assert found.request_id == expected
    assert (facts.size, facts.request_id) == (len(SEED), expected)
    assert facts.digest == sha256(SEED).hexdigest()


async def test_an_answer_of_several_pages_is_known_by_all_of_them(open_source: Opening) -> None:
    async with serving(Listing(15).answer) as served:
        answer = await open_source(served.url).fetch(CLUSTER, Action.UPGRADING)
    assert len(answer.pages) == 2
    facts = answer.facts(NOW)
    assert (facts.size, facts.digest) == (sum(map(len, answer.pages)), sha256(b"".join(answer.pages)).hexdigest())


async def test_the_list_of_addresses_is_bounded(open_source: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huawei_css, "_MOST_TARGETS", 2)
    async with serving(answering(SEED)) as served:
        source = open_source(served.url)
        for number in range(5):
            await source.fetch(Cluster(str(number), "n", "r", "p", PROJECT), Action.UPGRADING)
    assert len(source._targets) <= 2


async def test_what_is_new_in_an_answer_is_reported(open_source: Opening) -> None:
    reported: list[frozenset[Drift]] = []
    news = b'{"totalSize":1,"detailList":[{"id":"t","status":"PAUSED"}]}'
    async with serving(answering(news)) as served:
        await open_source(served.url, on_drift=reported.append).fetch(CLUSTER, Action.UPGRADING)
    async with serving(answering(SEED)) as served:
        await open_source(served.url, on_drift=reported.append).fetch(CLUSTER, Action.UPGRADING)
    assert reported == [frozenset({Drift(DriftKind.TASK_STATUS, "PAUSED")})]


@pytest.mark.parametrize(
    "endpoint", ["css.example.com", "ftp://css.example.com", "https://", "https://user:hush@css.example.com", ""]
)
async def test_an_endpoint_that_is_none_is_refused_at_once(open_source: Opening, endpoint: str) -> None:
    with pytest.raises(ValueError, match="the endpoint must be an HTTP URL") as caught:
        open_source(endpoint)
    assert "hush" not in str(caught.value)


def css(code: str, message: str = "words") -> str:
    return json.dumps({"errCode": code, "externalMessage": f"{code} : {message}"})


def gateway(code: str, message: str = "words") -> str:
    return json.dumps({"error_code": code, "error_msg": message, "request_id": "5f0"})


HTML = "<h1>HTTP STATUS:  500 </h1><p>CloudMiddleWareTomcat</p>"
NESTED = json.dumps({"error": {"code": "IAM.0101", "message": "nested words"}})

ANSWERS: list[tuple[int, str, FetchReason, str]] = [
    (
        401,
        gateway("APIGW.0301", "Incorrect IAM authentication information"),
        FetchReason.REFUSED,
        "HTTP 401 APIGW.0301: Incorrect IAM",
    ),
    (401, NESTED, FetchReason.REFUSED, "HTTP 401 IAM.0101: nested words"),
    (401, "", FetchReason.REFUSED, "HTTP 401"),
    (400, css("CSS.0045"), FetchReason.REFUSED, "HTTP 400 CSS.0045: words"),
    (
        403,
        css("CSS.0015", "No resources are found or the access is denied"),
        FetchReason.GONE,
        "HTTP 403 CSS.0015: No resources are found",
    ),
    (404, css("CSS.0022"), FetchReason.GONE, "HTTP 404 CSS.0022: words"),
    (404, css("CSS.1103"), FetchReason.GONE, "HTTP 404 CSS.1103"),
    (404, "", FetchReason.GONE, "HTTP 404"),
    (400, css("CSS.0047"), FetchReason.GONE, "HTTP 400 CSS.0047"),
    (404, gateway("APIGW.0101", "The API does not exist"), FetchReason.REJECTED, "HTTP 404 APIGW.0101: The API does not exist"),
    (403, gateway("APIGW.0302"), FetchReason.REFUSED, "HTTP 403 APIGW.0302"),
    (403, gateway("APIGW.0306"), FetchReason.REFUSED, "HTTP 403 APIGW.0306"),
    (403, gateway("PDP5.0001", "not authorized"), FetchReason.REFUSED, "HTTP 403 PDP5.0001: not authorized"),
    (403, HTML, FetchReason.REFUSED, "HTTP 403: a page of HTML"),
    (403, css("CSS.0010"), FetchReason.REJECTED, "HTTP 403 CSS.0010"),
    (403, css("CSS.5045"), FetchReason.REJECTED, "HTTP 403 CSS.5045"),
    (400, css("CSS.0001"), FetchReason.REJECTED, "HTTP 400 CSS.0001: words"),
    (400, css("CSS.0036", "Internal error"), FetchReason.SERVER, "HTTP 400 CSS.0036: Internal error"),
    (405, "", FetchReason.REJECTED, "HTTP 405"),
    (408, "", FetchReason.SERVER, "HTTP 408"),
    (407, "", FetchReason.NETWORK, "HTTP 407"),
    (409, css("CSS.0011"), FetchReason.REJECTED, "HTTP 409 CSS.0011"),
    (412, "[]", FetchReason.REJECTED, "HTTP 412"),
    (415, css("CSS.0004"), FetchReason.REJECTED, "HTTP 415 CSS.0004"),
    (
        429,
        gateway("APIGW.0308", "The throttling threshold has been reached"),
        FetchReason.THROTTLED,
        "HTTP 429 APIGW.0308: The throttling",
    ),
    (429, "", FetchReason.THROTTLED, "HTTP 429"),
    (503, gateway("APIG.0308"), FetchReason.THROTTLED, "HTTP 503 APIG.0308"),
    (500, css("CSS.0005"), FetchReason.SERVER, "HTTP 500 CSS.0005"),
    (500, HTML, FetchReason.SERVER, "HTTP 500: a page of HTML"),
    (500, '{"error": "text"}', FetchReason.SERVER, "HTTP 500"),
    (500, '{"errCode": null, "externalMessage": null}', FetchReason.SERVER, "HTTP 500"),
    (500, '{"errCode": "CSS.0005", "externalMessage": ["x"]}', FetchReason.SERVER, "HTTP 500 CSS.0005"),
    (500, "[" * 50_000, FetchReason.SERVER, "HTTP 500"),
    (500, "x" * 100_000, FetchReason.SERVER, "HTTP 500"),
    (502, "", FetchReason.SERVER, "HTTP 502"),
    (503, "", FetchReason.SERVER, "HTTP 503"),
    (504, gateway("APIGW.0203", "Backend timeout."), FetchReason.SERVER, "HTTP 504 APIGW.0203: Backend timeout."),
    (300, "", FetchReason.UNREADABLE, "HTTP 300"),
    (302, "", FetchReason.UNREADABLE, "HTTP 302 redirects to nowhere"),
    (201, SEED.decode(), FetchReason.UNREADABLE, "HTTP 201"),
    (204, "", FetchReason.UNREADABLE, "HTTP 204"),
    (200, "", FetchReason.UNREADABLE, "HTTP 200, but an empty body"),
    (200, HTML, FetchReason.UNREADABLE, "HTTP 200, but HTML or XML, not JSON"),
    (200, "{}", FetchReason.UNREADABLE, "HTTP 200, but neither totalSize nor detailList"),
    (200, "[]", FetchReason.UNREADABLE, "HTTP 200, but Input should be an object"),
    (200, css("CSS.0015"), FetchReason.UNREADABLE, "HTTP 200, but neither totalSize nor detailList"),
    (200, SEED.decode()[:900], FetchReason.UNREADABLE, "HTTP 200, but Invalid JSON: EOF"),
    (200, "[" * 100_000, FetchReason.UNREADABLE, "HTTP 200, but Invalid JSON: recursion limit exceeded"),
    (200, '{"totalSize":NaN}', FetchReason.UNREADABLE, "HTTP 200, but totalSize"),
    (200, '{"totalSize":' + "9" * 5000 + "}", FetchReason.UNREADABLE, "HTTP 200, but Invalid JSON: number out of range"),
]


@pytest.mark.parametrize(("status", "body", "reason", "detail"), ANSWERS)
async def test_each_answer_has_its_reason(open_source: Opening, status: int, body: str, reason: FetchReason, detail: str) -> None:
    async with serving(answering(body, status)) as served:
        error = await failure(open_source(served.url))
    assert error.reason is reason
    assert detail in error.detail
    assert "<" not in error.detail


@pytest.mark.parametrize(
    ("status", "value", "expected"),
    [
        (429, "7", 7.0),
        (429, "Sun, 01 Mar 2026 02:30:51 GMT", 60.0),
        (503, "120", 120.0),
        (429, "99999", 3600.0),
        (502, "soon", None),
    ],
)
async def test_retry_after_is_passed_on(open_source: Opening, status: int, value: str, expected: float | None) -> None:
    async with serving(answering("", status, Retry_After=value, Date="Sun, 01 Mar 2026 02:29:51 GMT")) as served:
        assert (await failure(open_source(served.url))).retry_after == expected


async def test_a_locked_access_key_is_left_alone_for_five_minutes(open_source: Opening) -> None:
    async with serving(answering(gateway("APIG.0301", "AK access failed to reach the limit,forbidden"), 401)) as served:
        error = await failure(open_source(served.url))
    assert (error.reason, error.retry_after) == (FetchReason.REFUSED, 300.0)


@pytest.mark.parametrize(
    ("minutes", "hint"),
    [(17, "our clock is 17 min behind the API's"), (-17, "our clock is 17 min ahead of the API's"), (9, ""), (None, "")],
)
async def test_a_refusal_names_our_clock_where_it_is_far_off(open_source: Opening, minutes: int | None, hint: str) -> None:
    date = "no date" if minutes is None else f"{NOW + timedelta(minutes=minutes):%a, %d %b %Y %H:%M:%S} GMT"
    async with serving(answering(gateway("APIGW.0301"), 401, Date=date)) as served:
        error = await failure(open_source(served.url))
    assert error.detail.startswith(hint or "HTTP 401")


async def test_a_complaint_that_echoes_our_secrets_is_told_without_them(open_source: Opening) -> None:
    async def echo(request: web.Request) -> web.Response:
        headers = request.headers
        shown = [headers.get(name, "") for name in ("Authorization", "X-Auth-Token", "X-Security-Token")]
        foreign = f"AK QWERTYUIOPASDFGHJKLZ SK {'aB3' * 13}z Bearer abc.def password=hunter2 X-Auth-Token: MIIF{'x' * 80}"
        return web.json_response(
            {"errCode": "CSS.0001", "externalMessage": f"bad\r\n\x00 {KEYS.access_key} {shown} {foreign}"}, status=400
        )

    for keys in (Keys(KEYS.access_key, KEYS.secret_key, "a-security-token"), Keys("odd", KEYS.secret_key), Token("an-iam-token")):
        async with serving(echo) as served:
            error = await failure(open_source(served.url, Given(keys)))
        assert error.reason is FetchReason.REJECTED
        for secret in (
            KEYS.access_key,
            "a-security-token",
            "an-iam-token",
            "QWERTYUIOP",
            "aB3aB3",
            "abc.def",
            "hunter2",
            "MIIF",
            "odd,",
        ):
            assert secret not in error.detail
        assert "HTTP 400 CSS.0001: bad" in error.detail


async def test_a_redirect_is_not_followed_and_its_target_hears_nothing(open_source: Opening) -> None:
    async with serving(answering(SEED)) as other, serving(answering("", 307, Location=f"{other.url}/x?token=hush")) as served:
        error = await failure(open_source(served.url, Given(Token("an-iam-token"))))
        assert other.requests == []
    assert error.reason is FetchReason.UNREADABLE
    assert error.detail == "HTTP 307 redirects to 127.0.0.1; redirects are not followed"


async def test_a_dripping_answer_is_cut_at_the_deadline(open_source: Opening) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"
    async with serving_bytes(head, *[b" "] * 5000, pause=0.02) as served:
        began = time.monotonic()
        error = await failure(open_source(served.url, timeout=0.2))
    assert time.monotonic() - began < 60
    assert (error.reason, error.detail) == (FetchReason.TIMEOUT, "no complete answer within 0.2 s")


async def test_a_server_that_never_answers_is_left_at_the_deadline(open_source: Opening) -> None:
    async with serving_bytes(hang=True) as served:
        assert (await failure(open_source(served.url, timeout=0.1))).reason is FetchReason.TIMEOUT


async def test_a_gzip_bomb_is_an_unreadable_answer(open_source: Opening) -> None:
    async with serving(answering(bomb(200 * 1024 * 1024), Content_Encoding="gzip")) as served:
        error = await failure(open_source(served.url))
    assert (error.reason, error.detail) == (FetchReason.UNREADABLE, "the answer is larger than 4194304 bytes")


@pytest.mark.parametrize(
    ("pieces", "reason", "detail"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", SEED[:100]], FetchReason.UNREADABLE, "the answer broke off"),
        ([b"HTTP/1.1 500 Oops\r\nContent-Length: 900\r\n\r\n", b"half"], FetchReason.SERVER, "HTTP 500"),
        (
            [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n", b"zzzz"],
            FetchReason.UNREADABLE,
            "broke off",
        ),
        ([b"SSH-2.0-OpenSSH_9\r\n\r\n"], FetchReason.UNREADABLE, "the answer is no HTTP"),
        ([], FetchReason.NETWORK, "the connection was closed before an answer came"),
    ],
)
async def test_half_an_answer_is_none(open_source: Opening, pieces: list[bytes], reason: FetchReason, detail: str) -> None:
    async with serving_bytes(*pieces) as served:
        error = await failure(open_source(served.url))
    assert error.reason is reason
    assert detail in error.detail


async def test_a_server_that_is_not_there_is_a_matter_of_the_network(open_source: Opening) -> None:
    async with serving_bytes() as served:
        pass
    error = await failure(open_source(served.url))
    assert error.reason is FetchReason.NETWORK
    assert error.detail.endswith("connection refused")


async def test_an_endpoint_at_the_metadata_service_is_never_asked(open_source: Opening) -> None:
    error = await failure(open_source("http://169.254.169.254"))
    assert error.reason is FetchReason.NETWORK
    assert "is refused: it is a cloud's metadata service" in error.detail


async def test_a_proxy_that_refuses_is_a_matter_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving_bytes(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with open_session() as session:
            error = await failure(HuaweiCss(HuaweiDoor(session, "https://css.example.test", PROJECT, Given(KEYS))))
    assert proxy.heads[0].startswith("CONNECT css.example.test:443")
    assert (error.reason, error.detail) == (FetchReason.NETWORK, "the proxy does not let us through: HTTP 403")


async def test_keys_that_are_not_there_are_a_refusal_that_says_what_to_do(open_source: Opening) -> None:
    async with serving(answering(SEED)) as served:
        error = await failure(open_source(served.url, FromEnvironment({})))
        assert served.requests == []
    assert error.reason is FetchReason.REFUSED
    assert "HUAWEICLOUD_SDK_AK" in error.detail


async def test_a_key_with_a_line_break_at_its_end_is_a_refusal_and_no_crash(open_source: Opening) -> None:
    async with serving(answering(SEED)) as served:
        error = await failure(open_source(served.url, Given(Token("token\n"))))
        assert served.requests == []
    assert error.reason is FetchReason.REFUSED
    assert "line break" in error.detail


async def test_a_fetch_that_is_cancelled_ends_at_once(open_source: Opening) -> None:
    async with serving_bytes(hang=True) as served:
        task = asyncio.ensure_future(open_source(served.url).fetch(CLUSTER, Action.UPGRADING))
        await served.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


class Listing:
    """A server with a list of tasks, which it pages as one of the generations of the API does."""

    def __init__(self, count: int, size: int = 10, parameter: str | None = "offset") -> None:
        self.ids: Sequence[str] = [f"t{number}" for number in range(count)]
        self.size = size
        self.parameter = parameter
        self.total: int | None = None
        self.shift: Callable[[], None] = lambda: None

    async def answer(self, request: web.Request) -> web.Response:
        begin = int(request.query.get(self.parameter, "1")) - 1 if self.parameter else 0
        page = self.ids[begin : begin + min(self.size, int(request.query["limit"]))]
        total = len(self.ids) if self.total is None else self.total
        self.shift()
        return web.json_response({"totalSize": total, "detailList": [{"id": identity, "status": "SUCCESS"} for identity in page]})


async def listed(open_source: Opening, listing: Listing) -> tuple[list[str], bool, Served]:
    async with serving(listing.answer) as served:
        snapshot = (await open_source(served.url).fetch(CLUSTER, Action.UPGRADING)).snapshot
    assert snapshot is not None
    return [task.id for task in snapshot.tasks], snapshot.partial, served


async def test_pages_are_followed_to_the_last(open_source: Opening) -> None:
    ids, partial, served = await listed(open_source, Listing(25))
    assert (ids, partial) == ([f"t{number}" for number in range(25)], False)
    assert [request.query.get("offset") for request in served.requests] == [None, "11", "21"]


async def test_a_server_that_knows_only_start_is_asked_with_start(open_source: Opening) -> None:
    ids, partial, served = await listed(open_source, Listing(25, parameter="start"))
    assert (len(ids), partial) == (25, False)
    assert [request.query.get("start") for request in served.requests] == [None, None, "11", "21"]


async def test_a_server_that_ignores_where_a_page_begins_does_not_loop(open_source: Opening) -> None:
    ids, partial, served = await listed(open_source, Listing(25, parameter=None))
    assert (len(ids), partial) == (10, True)
    assert len(served.requests) == 3


async def test_a_total_that_promises_more_than_there_is_leaves_the_answer_partial(open_source: Opening) -> None:
    listing = Listing(2)
    listing.total = 5
    ids, partial, _ = await listed(open_source, listing)
    assert (ids, partial) == (["t0", "t1"], True)


async def test_a_list_that_shifts_once_is_read_again_from_the_start(open_source: Opening) -> None:
    listing = Listing(15)

    def grow() -> None:
        listing.ids = ["new", *listing.ids]
        listing.shift = lambda: None

    listing.shift = grow
    ids, partial, served = await listed(open_source, listing)
    assert (ids[0], len(ids), partial) == ("new", 16, False)
    assert len(served.requests) == 4


async def test_a_list_that_never_stands_still_is_partial_but_keeps_all_that_was_seen(open_source: Opening) -> None:
    listing = Listing(15)

    def grow() -> None:
        listing.ids = [f"new{len(listing.ids)}", *listing.ids]

    listing.shift = grow
    ids, partial, served = await listed(open_source, listing)
    assert partial
    assert len(served.requests) == 8
    assert {"new15", "new16", "t0"} <= set(ids)
    assert len(ids) == len(set(ids))


async def test_the_number_of_pages_is_bounded(open_source: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_PAGES", 5)
    ids, partial, served = await listed(open_source, Listing(100, size=1))
    assert (len(ids), partial, len(served.requests)) == (6, True, 6)


async def test_a_failing_page_fails_the_poll(open_source: Opening) -> None:
    listing = Listing(15)

    async def second_fails(request: web.Request) -> web.Response:
        return web.Response(status=502) if "offset" in request.query else await listing.answer(request)

    async with serving(second_fails) as served:
        assert (await failure(open_source(served.url))).reason is FetchReason.SERVER


async def test_a_walk_that_takes_too_long_is_a_timeout(open_source: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    assert huawei_css.WALK_TIME == 3
    monkeypatch.setattr(huawei_css, "WALK_TIME", 0.005)  # Or one page might be what takes too long.
    listing = Listing(100, size=1)

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.06)
        return await listing.answer(request)

    async with serving(slow) as served:
        error = await failure(open_source(served.url, timeout=60.0))
    assert (error.reason, error.detail) == (FetchReason.TIMEOUT, "the pages of the list took longer than 0.3 s")


async def test_an_answer_in_several_pages_is_read_anew_though_its_first_page_is_the_same(open_source: Opening) -> None:
    listing = Listing(15)
    async with serving(listing.answer) as served:
        source = open_source(served.url)
        first = await source.fetch(CLUSTER, Action.UPGRADING)
        again = await source.fetch(CLUSTER, Action.UPGRADING, first.body)
    assert again.body == first.body
    assert again.snapshot is not None
    assert len(again.snapshot.tasks) == 15


async def test_many_fetches_share_a_connection(open_source: Opening) -> None:
    peers = set()

    async def remember(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(body=SEED)

    async with serving(remember) as served:
        source = open_source(served.url)
        for _ in range(20):
            await source.fetch(CLUSTER, Action.UPGRADING)
    assert len(served.requests) == 20
    assert len(peers) == 1
