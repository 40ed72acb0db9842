import base64

import pytest
from web_world import World, a_world

from notifier.store.store import Store
from notifier.web.access import HEADERS
from notifier.web.health import Health
from notifier.web.server import Web

EVERYWHERE = "0.0.0.0"
TOKEN = "s3cret-tökén"
CLOSED = ("/", "/events", "/stream", "/static/style.css", "/metrics", "/api/v1/clusters", "/api/v1/events", "/nowhere")


def basic(password: str, user: str = "anybody") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def status_of(world: World, path: str, **headers: str) -> int:
    async with world.session.get(world.web.url + path, headers={k.replace("_", "-"): v for k, v in headers.items()}) as response:
        return response.status


async def post(world: World, path: str = "/api/v1/deliveries/retry", **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with world.session.post(world.web.url + path, headers=named, json={"all": True}) as response:
        return response.status


@pytest.mark.parametrize("path", CLOSED)
async def test_with_a_token_nothing_but_the_probes_is_open(path: str) -> None:
    async with a_world(token=TOKEN) as world:
        status, response, body = await world.get(path)
        assert (status, response.content_type) == (401, "application/problem+json")
        assert [value.partition(" ")[0] for value in response.headers.getall("WWW-Authenticate")] == ["Basic", "Bearer"]
        assert "search-prod" not in body
        assert await status_of(world, "/healthz") == 200
        assert await status_of(world, "/readyz") == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer s3cret",
        "Bearer ünïcödé",
        "Bearer \udcff\udcfe",
        TOKEN,
        f"Digest {TOKEN}",
        basic("wrong"),
        basic(""),
        "Basic !!!",
        "Basic é",
        "Basic YQ",
        "Basic " + base64.b64encode(TOKEN.encode()).decode(),
    ],
)
async def test_a_wrong_token_is_refused(header: str) -> None:
    async with a_world(token=TOKEN) as world:
        raw = {"Authorization": header}
        async with world.session.get(world.web.url + "/metrics", headers=raw) as response:
            assert response.status == 401


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer  {TOKEN} ", basic(TOKEN), basic(TOKEN, "")])
async def test_the_token_opens_everything(header: str) -> None:
    async with a_world(token=TOKEN) as world:
        for path in ("/", "/letters", "/static/live.js", "/metrics", "/api/v1/clusters"):
            assert await status_of(world, path, Authorization=header) == 200
        # A name that is not loopback is fine: that is what the token is for.
        assert await status_of(world, "/", Authorization=header, Host="notifier.example.com") == 200
        assert await post(world, Authorization=header) == 200


async def test_a_remembered_password_does_not_let_a_foreign_page_post() -> None:
    async with a_world(token=TOKEN) as world:
        assert await post(world, Authorization=basic(TOKEN), Sec_Fetch_Site="cross-site") == 403


async def test_details_are_for_those_who_may_see_them() -> None:
    async with a_world(token=TOKEN) as world:
        world.health = Health(alive=True, problems=("1 cluster cannot be polled",), details=("search-prod: no answer",))
        _, _, stranger = await world.get("/readyz")
        _, _, friend = await world.get("/readyz", Authorization=f"Bearer {TOKEN}")
    assert "search-prod" not in stranger
    assert "1 cluster cannot be polled" in stranger
    assert "search-prod: no answer" in friend


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "[::1]:8080"])
async def test_without_a_token_loopback_names_are_answered(host: str) -> None:
    async with a_world() as world:
        assert await status_of(world, "/", Host=host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "localhost:80:80", "::1", ""]
)
async def test_without_a_token_a_rebound_name_is_refused(host: str) -> None:
    async with a_world() as world:
        world.health = Health(alive=True, details=("search-prod",))
        assert await status_of(world, "/", Host=host) == 403
        assert await post(world, Host=host) == 403
        assert "search-prod" not in (await world.get("/readyz", Host=host))[2]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": ""}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1", "Host": "localhost:1"}, 200),
        ({"Origin": "http://localhost:2", "Host": "localhost:1"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
async def test_without_a_token_a_foreign_page_cannot_post(headers: dict[str, str], status: int) -> None:
    async with a_world() as world:
        assert await post(world, **headers) == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/static/live.js", 200),
        ("GET", "/healthz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/stream", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/static/..%2fserver.py", 404),
        ("GET", "/api/v1/events?limit=x", 400),
        ("DELETE", "/", 405),
        ("GET", "/api/v1/deliveries/retry", 405),
        ("POST", "/api/v1/deliveries/retry", 415),
    ],
)
async def test_every_answer_carries_the_headers(method: str, path: str, status: int) -> None:
    async with a_world() as world, world.session.request(method, world.web.url + path) as response:
        assert response.status == status
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
        assert response.headers.getall("Server") == ["notifier"]
        if status >= 400:
            assert response.content_type == "application/problem+json"
            body = await response.json()
            assert body["status"] == status
            assert body["detail"]
        if status == 405:
            assert response.headers["Allow"]


async def test_a_body_over_64_kib_is_refused() -> None:
    async with a_world() as world:
        url = world.web.url + "/api/v1/deliveries/retry"
        async with world.session.post(url, data=b" " * 70_000, headers={"Content-Type": "application/json"}) as response:
            assert (response.status, response.content_type) == (413, "application/problem+json")


@pytest.mark.parametrize(("host", "token"), [(EVERYWHERE, None), ("::", None), ("db.example", None), ("127.0.0.1", "")])
def test_without_a_token_only_loopback_is_listened_on(host: str, token: str | None) -> None:
    with pytest.raises(ValueError, match=r"http\.(listen|token)"):
        Web(Store("sqlite://"), host=host, port=0, token=token, health=lambda: Health(alive=True), retried=print)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("localhost", "http://localhost:80"),
        ("::1", "http://[::1]:80"),
        (EVERYWHERE, "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
    ],
)
def test_the_url_is_one_that_a_browser_can_open(host: str, url: str) -> None:
    assert Web(Store("sqlite://"), host=host, port=80, token="t", health=lambda: Health(alive=True), retried=print).url == url
