"""The list of a project's clusters: from the simulator, from servers that page in their own ways, and from bad ones."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st
from source_servers import serving

from notifier.domain.errors import FetchError, FetchReason
from notifier.domain.model import Cluster
from notifier.domain.plain_text import one_line
from notifier.engine.budget import Budget
from notifier.outbound import open_session
from notifier.sources import paging
from notifier.sources.credentials import Given, Token
from notifier.sources.huawei_clusters import HuaweiClusters
from notifier.sources.huawei_door import HuaweiDoor
from notifier.sources.scenarios import PROJECT_ID, SCENARIOS
from notifier.sources.signing import Keys, parse_authorization, signature
from notifier.sources.simulator import Paging, Simulator
from notifier.sources.wire import UnreadableError
from notifier.sources.wire_clusters import read_clusters

KEYS = Keys("AKAKAKAKAKAKAKAKAKAK", "sksksksksksksksksksksksksksksksksksksksk")
Opening = Callable[..., HuaweiClusters]
FIELDS = ("id", "name", "status", "tags", "key", "value", "clusters", "totalSize")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def open_list() -> AsyncIterator[Opening]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session())

        def opening(endpoint: str) -> HuaweiClusters:
            return HuaweiClusters(HuaweiDoor(session, endpoint, PROJECT_ID, Given(KEYS)), region="cn-north-4", project="prod")

        yield opening


def item(number: int, **more: object) -> dict[str, object]:
    return {"id": f"c-{number}", "name": f"search-{number}", "somethingNew": {"a": [1]}, **more}


def listing(
    items: list[dict[str, object]], *, limit: int = 100, page: str = "offset", totals: Mapping[int, int] = {}
) -> Callable[[web.Request], Any]:
    """A server that pages by one parameter; ``totals`` says what it claims from some request on."""
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        first = int(request.query.get(page, "1")) - 1
        total = max((each for at, each in totals.items() if at <= asked), default=len(items))
        asked += 1
        return web.json_response({"totalSize": total, "clusters": items[first : first + limit]})

    return answer


async def test_asks_signed_and_understands_the_simulator(open_list: Opening) -> None:
    scenario = SCENARIOS["demo"]
    async with Simulator(scenario, keys=KEYS) as cloud:
        listed = await open_list(cloud.url).clusters()
    assert listed.complete
    assert {each.name for each in listed.clusters} == {each.name for each in scenario.clusters}
    assert {(each.region, each.project, each.project_id) for each in listed.clusters} == {("cn-north-4", "prod", PROJECT_ID)}
    assert [(seen.path, seen.query, seen.outcome) for seen in cloud.requests] == [
        (f"/v1.0/{PROJECT_ID}/clusters", "limit=100", "ok")
    ]


async def test_the_signature_is_over_what_is_sent(open_list: Opening) -> None:
    async with serving(listing([item(1)])) as served:
        await open_list(served.url).clusters()
    [request] = served.requests
    parsed = parse_authorization(request.headers["Authorization"])
    path, _, query = request.raw_path.partition("?")
    assert parsed is not None
    assert parsed[2] == signature(KEYS.secret_key, "GET", path, query, request.headers, parsed[1], b"")


async def test_tags_become_labels_in_whatever_way_they_are_spelled(open_list: Opening) -> None:
    spellings: list[object] = [
        [{"key": "env", "value": "prod"}, {"key": "team", "value": None}, {"value": "x"}, 5],
        {"env": "prod", "team": 1},
        ["env=prod", "team", "=x"],
        None,
        "env",
        [{"key": "e\u202env\n", "value": "pr\x00od"}],
    ]
    async with serving(listing([item(number, tags=tags) for number, tags in enumerate(spellings)])) as served:
        listed = await open_list(served.url).clusters()
    assert [dict(each.labels) for each in listed.clusters] == [
        *[{"env": "prod", "team": ""}] * 3,
        {},
        {},
        {"env": "pr\ufffdod"},
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9) | st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=12,
)


@example({"clusters": [{"id": "c", "tags": {"\U00014647\u3000": "\ue000"}}]})
@given(st.fixed_dictionaries({"clusters": st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON), max_size=3)}) | JSON)
def test_whatever_is_sent_is_read_or_refused_and_what_is_read_is_harmless(answer: object) -> None:
    try:
        page = read_clusters(json.dumps(answer).encode())
    except UnreadableError:
        return
    for found in page.items:
        assert found.known
        for name, value in found.labels.items():
            assert one_line(name) == name  # Letters that this Python does not know yet are letters.
            assert one_line(value) == value


def test_what_is_not_used_is_kept() -> None:
    page = read_clusters(json.dumps({"totalSize": 1, "clusters": [item(1, vpcId="v")], "more": True}).encode())
    [found] = page.items
    assert found.model_extra == {"somethingNew": {"a": [1]}, "vpcId": "v"}
    assert page.model_extra == {"more": True}


@pytest.mark.parametrize("paging_", ["both", "start-only"])
async def test_many_clusters_are_read_page_by_page(open_list: Opening, paging_: Paging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.sources.huawei_clusters.PAGE_LIMIT", 1)
    async with Simulator(SCENARIOS["demo"], paging=paging_) as cloud:
        listed = await open_list(cloud.url).clusters()
    assert (len(listed.clusters), listed.complete) == (3, True)


async def test_a_server_that_knows_no_paging_is_not_asked_for_ever_and_its_list_is_no_proof(
    open_list: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.sources.huawei_clusters.PAGE_LIMIT", 2)
    async with Simulator(SCENARIOS["demo"], paging="ignored") as cloud:
        listed = await open_list(cloud.url).clusters()
    assert (len(listed.clusters), listed.complete) == (2, False)
    assert len(cloud.requests) == 3


async def test_a_list_that_shifts_is_read_again_and_one_that_never_rests_is_incomplete(open_list: Opening) -> None:
    items = [item(number) for number in range(5)]
    async with serving(listing(items, limit=2, totals={1: 6, 2: 5})) as served:
        assert await open_list(served.url).clusters() is not None
    async with serving(listing(items, limit=2, totals={at: 5 + at for at in range(99)})) as served:
        restless = await open_list(served.url).clusters()
    assert not restless.complete
    assert {each.id for each in restless.clusters} == {"c-0", "c-1"}


async def test_a_list_without_end_has_one(open_list: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_PAGES", 5)

    async def answer(request: web.Request) -> web.Response:
        first = int(request.query.get("offset", "1"))
        return web.json_response({"totalSize": 10**9, "clusters": [item(first)]})

    async with serving(answer) as served:
        listed = await open_list(served.url).clusters()
    assert (len(listed.clusters), listed.complete) == (6, False)


async def test_a_cluster_without_an_id_leaves_the_list_incomplete_and_one_without_a_name_is_called_by_its_id(
    open_list: Opening,
) -> None:
    async with serving(listing([item(1, id=None), item(2, name=" "), item(3, name=None)])) as served:
        listed = await open_list(served.url).clusters()
    assert [(each.id, each.name) for each in listed.clusters] == [("c-2", "c-2"), ("c-3", "c-3")]
    assert not listed.complete


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty body"),
        (b"<html>", "HTML"),
        (b"[]", "an object"),
        (b"{}", "neither totalSize nor clusters"),
        (b'{"detailList": []}', "neither totalSize nor clusters"),
        (b'{"clusters": {}}', "clusters"),
        (b'{"clusters": [1]}', "clusters"),
        (b'{"totalSize": "many"}', "totalSize"),
        (b"[" * 10_000 + b"]" * 10_000, "unreadable"),
    ],
)
async def test_what_is_no_list_is_never_no_clusters(open_list: Opening, body: bytes, words: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with serving(answer) as served:
        with pytest.raises(FetchError, match=words) as caught:
            await open_list(served.url).clusters()
    assert caught.value.reason is FetchReason.UNREADABLE
    with pytest.raises(UnreadableError):
        read_clusters(body)


async def test_an_empty_list_is_one(open_list: Opening) -> None:
    async with serving(listing([])) as served:
        assert await open_list(served.url).clusters() == (await open_list(served.url).clusters())
    assert read_clusters(b'{"totalSize": 0, "clusters": null}').clusters is None


async def test_a_refusal_says_why_and_no_secret(open_list: Opening) -> None:
    async def answer(request: web.Request) -> web.Response:
        said = {"error_code": "APIGW.0301", "error_msg": f"bad {request.headers['Authorization']}"}
        return web.json_response(said, status=401)

    async with serving(answer) as served:
        with pytest.raises(FetchError) as caught:
            await open_list(served.url).clusters()
    assert caught.value.reason is FetchReason.REFUSED
    assert KEYS.access_key not in caught.value.detail


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, {"error_code": "APIGW.0302", "error_msg": "IAM denies it"}),
        (403, {"errCode": "CSS.0015", "externalMessage": "No resources are found or the access is denied."}),
        (404, {}),
    ],
)
async def test_keys_that_may_not_list_are_not_taken_for_bad_keys(open_list: Opening, status: int, said: dict[str, str]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(said, status=status)

    budget = Budget(1000.0)
    async with serving(answer) as served:
        with pytest.raises(FetchError, match="css:cluster:list") as caught:
            async with budget.turn():
                await open_list(served.url).clusters()
    assert caught.value.reason is FetchReason.GONE
    async with asyncio.timeout(30), budget.turn():
        pass  # The polls of the project go on.


async def test_a_walk_that_takes_too_long_is_a_failure(open_list: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.sources.huawei_clusters.WALK_TIME", 0.02)

    async def answer(request: web.Request) -> web.Response:
        if "offset" in request.query:
            await asyncio.sleep(10)
        return web.json_response({"totalSize": 2, "clusters": [item(1)]})

    async with serving(answer) as served:
        with pytest.raises(FetchError, match="took longer") as caught:
            await open_list(served.url).clusters()
    assert caught.value.reason is FetchReason.TIMEOUT


async def test_a_token_goes_along_as_with_every_request() -> None:
    async with serving(listing([item(1)])) as served, open_session() as session:
        door = HuaweiDoor(session, served.url, PROJECT_ID, Given(Token("the-token")))
        assert (await HuaweiClusters(door, region="r", project="p").clusters()).clusters == (
            Cluster("c-1", "search-1", "r", "p", PROJECT_ID, {}),
        )
    assert served.requests[0].headers["X-Auth-Token"] == "the-token"
