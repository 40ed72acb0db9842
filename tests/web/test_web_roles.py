"""Who may do what: every route, asked by everybody. And what guessing costs."""

from itertools import product

import pytest
from aiohttp import encode_basic_auth
from web_world import World, a_world, bury_all

from notifier import telemetry
from notifier.store.errors import StoreError
from notifier.web.access import HEADERS, Access
from notifier.web.guesses import MOST, REMEMBERED, SPAN, Guesses

OPERATE, READ = "operate-0123456789", "read-0123456789abcd"
ASKERS = {"none": {}, "bad": "Bearer wrong-0123456789", "read": f"Bearer {READ}", "operate": f"Bearer {OPERATE}"}
PROBES = {"/healthz", "/readyz"}
WITHOUT_STORE = PROBES | {"/metrics", "/static/{name}", "/api/v1/openapi.json"}
BODIES = {
    "/api/v1/deliveries/retry": {"all": True},
    "/api/v1/silences": {"for": "1h", "author": "ann", "reason": "drill"},
    "/api/v1/silences/expire": {"ids": ["x"]},
}


def filled(path: str, event: str) -> str:
    """A path whose variable parts lead somewhere."""
    parts = {"cluster": "cluster-1", "action": "UPGRADING", "name": "style.css"}
    of = {"/events/{id}": event, "/api/v1/events/{id}/story": event, "/api/v1/clusters/{id}": "cluster-1"}
    return path.format(**parts, id=of.get(path, "task-1"))


def routes(world: World) -> list[tuple[str, str]]:
    """Every route there is, by method and path."""
    found = [(each.method, each.resource.canonical) for each in world.web._runner.app.router.routes() if each.resource]
    return [(method, path) for method, path in found if method != "HEAD"]


def expected(method: str, path: str, asker: str) -> int:
    if path in PROBES:
        return 200
    if asker in {"none", "bad"}:
        return 401
    return 403 if method == "POST" and asker == "read" else 200


@pytest.mark.parametrize("asker", ASKERS)
async def test_every_route_knows_who_may(asker: str) -> None:
    async with a_world(token=OPERATE, read_token=READ) as world:
        await world.store.transact(bury_all)
        ((_, event),) = await world.store.transact(lambda tx: tx.events(kind="task.started"))
        asked = routes(world)
        assert len(asked) >= 20
        for method, path in asked:
            world.web._access._guesses = Guesses()
            headers = {"Authorization": str(ASKERS[asker])} if ASKERS[asker] else {}
            json = BODIES[path] if method == "POST" else None
            url = world.web.url + filled(path, event.id)
            async with world.session.request(method, url, headers=headers, json=json) as response:
                assert response.status == expected(method, path, asker), (method, path)
                assert response.status == 200 or "search-prod" not in await response.text()
        changed = await world.store.transact(lambda tx: bool(tx.silences(0.0)))
        assert changed == (asker == "operate")


async def test_no_get_changes_anything() -> None:
    async with a_world() as world:
        await world.store.transact(bury_all)
        ((_, event),) = await world.store.transact(lambda tx: tx.events(kind="task.started"))

        async def dump() -> list[str]:
            engine = world.store._engine
            assert engine is not None
            return await world.store.transact(lambda _: list(engine.raw_connection().driver_connection.iterdump()))  # type: ignore[union-attr] # it is sqlite3's

        before = await dump()
        assert any('INSERT INTO "delivery"' in line for line in before)
        for method, path in routes(world):
            if method == "GET" and path != "/stream":
                async with world.session.get(world.web.url + filled(path, event.id)) as response:
                    assert response.status == 200, path
        assert await dump() == before


@pytest.mark.parametrize("error", [StoreError("postgresql://u:secret@db"), RuntimeError("secret")])
async def test_a_fault_in_any_handler_shows_nothing_of_itself(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_world() as world:

        async def broken(_work: object) -> None:
            raise error

        monkeypatch.setattr(world.store, "transact", broken)
        monkeypatch.setattr(telemetry, "fault", lambda *_: None)  # a traceback each would take most of the time
        for (method, path), accept in product(routes(world), ("*/*", "text/html")):
            if path == "/stream":
                continue
            url, json = world.web.url + filled(path, "e"), BODIES[path] if method == "POST" else None
            async with world.session.request(method, url, json=json, headers={"Accept": accept}) as response:
                body = await response.text()
                assert (response.status in {500, 503}) == (path not in WITHOUT_STORE), path
                assert not any(word in body for word in ("secret", "Traceback", "db", ".py", "SELECT")) or response.status == 200
                assert {name: response.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/events", 405), ("TRACE", "/", 405)]
)
async def test_what_is_not_answered_carries_the_headers_too(method: str, path: str, status: int) -> None:
    async with a_world() as world, world.session.request(method, world.web.url + path) as response:
        assert response.status == status
        assert {name: response.headers[name] for name in HEADERS} == HEADERS


async def test_who_may_only_read_is_offered_no_buttons() -> None:
    async with a_world(token=OPERATE, read_token=READ) as world:
        await world.store.transact(bury_all)
        for token, offered in ((READ, False), (OPERATE, True)):
            for path in ("/letters", "/silences"):
                async with world.session.get(
                    world.web.url + path, headers={"Authorization": encode_basic_auth("me", token)}
                ) as response:
                    body = await response.text()
                assert ("<button" in body) == offered
                assert ("may look and change nothing" in body) != offered


async def test_the_sixth_wrong_token_of_a_minute_is_not_looked_at() -> None:
    async with a_world(token=OPERATE, read_token=READ) as world:
        time = 0.0
        world.web._access._guesses = Guesses(lambda: time)

        async def status(token: str | None, path: str = "/metrics") -> tuple[int, str | None]:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            async with world.session.get(world.web.url + path, headers=headers) as response:
                return response.status, response.headers.get("Retry-After")

        assert [await status("guess") for _ in range(MOST)] == [(401, None)] * MOST
        # The right one is not looked at either, or it could be guessed on; nor is one that the probe would judge.
        assert [await status(token) for token in ("guess", OPERATE)] == [(429, "60")] * 2
        assert await status("guess", "/readyz") == (429, "60")
        assert await status("guess", "/healthz") == (200, None)
        assert await status(None) == (401, None)
        time = SPAN
        assert await status(OPERATE) == (200, None)
        # Who was let in from there before is not locked out by somebody else's guesses.
        assert [await status("guess") for _ in range(MOST + 1)][-1] == (429, "60")
        assert await status(OPERATE) == (200, None)
        assert await status(READ) == (429, "60")


def test_guesses_are_counted_by_address_and_forgotten() -> None:
    time = 0.0
    guesses = Guesses(lambda: time)
    for _ in range(MOST):
        guesses.note("203.0.113.1", b"x", right=False)
        guesses.note("2001:db8:1:2::3", b"x", right=False)
    assert guesses.wait("203.0.113.1", b"y") == 60
    assert guesses.wait("203.0.113.2", b"y") == 0
    assert guesses.wait("2001:db8:1:2:ffff::9", b"y") == 60, "one customer has a whole /64"
    assert guesses.wait("2001:db8:1:3::3", b"y") == 0
    assert guesses.wait("not an address", b"y") == 0
    for number in range(REMEMBERED):
        guesses.note(f"host-{number}", b"x", right=False)
    assert len(guesses._addresses) == REMEMBERED
    assert guesses.wait("203.0.113.1", b"y") == 0


@pytest.mark.parametrize(("token", "read_token"), [(None, "read"), ("", None), ("token", ""), (None, "")])
def test_tokens_that_would_let_anybody_in_are_refused(token: str | None, read_token: str | None) -> None:
    with pytest.raises(ValueError, match=r"http\.(read_)?token"):
        Access(token, read_token)
