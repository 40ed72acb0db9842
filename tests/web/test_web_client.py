import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from web_world import a_world, bury_all, cluster, poll

from notifier.store.transaction import Transaction
from notifier.web.client import Remote, RemoteError
from notifier.web.questions import MOST


async def test_the_client_reads_what_the_server_says() -> None:
    async with a_world(token="t0ken") as world, Remote(world.web.url + "/", "t0ken") as remote:
        await world.store.transact(bury_all)
        assert [found["name"] for found in await remote.clusters()] == ["search-prod"]
        assert [found["kind"] for found in await remote.events(kind="task.*", severity="info", limit=5)] == ["task.started"]
        assert await remote.events(cluster="another") == []
        assert await remote.events(after=1000) == []
        dead = await remote.deliveries(sink="hook", state="dead")
        assert [found["reason"] for found in dead] == ["server"]
        assert await remote.retry([dead[0]["id"]]) == [dead[0]["id"]]
        await world.store.transact(bury_all)
        assert await remote.retry(sink="another") == []
        assert await remote.retry() == [dead[0]["id"]]


async def test_every_cluster_is_read_however_many_pages_they_fill() -> None:
    async with a_world(filled=False) as world, Remote(world.web.url) as remote:
        assert await remote.clusters() == []

        def many(tx: Transaction) -> None:
            for number in range(MOST + 3):
                poll(tx, cluster(f"c{number}", number), [])

        await world.store.transact(many)
        assert {found["name"] for found in await remote.clusters()} == {f"c{number}" for number in range(MOST + 3)}


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_a_refused_token_is_said_but_not_shown(token: str | None) -> None:
    async with a_world(token="t0ken") as world, Remote(world.web.url, token) as remote:
        with pytest.raises(RemoteError, match=r"refused \(HTTP 401\): A token is needed") as caught:
            await remote.clusters()
    assert "wrong" not in str(caught.value)


async def test_a_token_with_a_line_break_is_an_error_that_does_not_show_it() -> None:
    async with a_world(token="t0ken") as world, Remote(world.web.url, "evil\r\nX: y") as remote:
        with pytest.raises(RemoteError, match="no HTTP header can carry") as caught:
            await remote.clusters()
    assert "evil" not in str(caught.value)


async def test_the_servers_reason_reaches_the_person() -> None:
    async with a_world() as world, Remote(world.web.url) as remote:
        with pytest.raises(RemoteError, match="severity must be one of"):
            await remote.events(severity="loud")


async def test_nobody_there_is_said_so() -> None:
    async with a_world() as world:
        url = world.web.url
    async with Remote(url) as remote:
        with pytest.raises(RemoteError, match=r"No answer from http://127.*: no connection .* Is the notifier running"):
            await remote.clusters()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, "<html>", "is no notifier"),
        (200, "[]", "is no notifier"),
        (200, '{"clusters": 1}', "is no notifier"),
        (502, "<html>", r"HTTP 502\): no reason given"),
        (302, "", r"HTTP 302\): no reason given"),
        (200, " " * (5 * 1024 * 1024), "larger than"),
    ],
)
async def test_something_else_that_answers_there_is_told_apart(status: int, body: str, said: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body, status=status, headers={"Location": "http://127.0.0.1:1/"})

    app = web.Application()
    app.router.add_get("/api/v1/clusters", answer)
    async with TestServer(app) as server, Remote(str(server.make_url("/"))) as remote:
        with pytest.raises(RemoteError, match=said):
            await remote.clusters()


async def test_a_client_that_was_not_entered_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Remote("http://127.0.0.1:1").clusters()
