"""The whole application as one of several: what it holds, what it lets go of, what it leaves to the others."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from notifier import app
from notifier.config import Settings
from notifier.domain.errors import FetchError, FetchReason
from notifier.store.store import Store
from notifier.store.transaction import Transaction

Making = Callable[..., Settings]
CONFIG = """\
projects:
  - name: beijing
    region: cn-north-4
    project_id: p1
    endpoint: {cloud}
    credentials: {{access_key: AK, secret_key: SK}}
    clusters: [{{id: c1}}, {{id: c2}}, {{id: c3}}, {{id: c4}}]
poll: {{active: 1h, idle: 1h}}
sinks:
{sinks}
http: {http}
"""


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store("sqlite://").open()
    yield opened
    opened.close()


@pytest.fixture
async def settings(tmp_path: Path) -> AsyncIterator[Making]:
    """Makes settings for a cloud in which nothing happens: where every poll fails, health depends on how soon it is asked for."""

    async def nothing(_: web.Request) -> web.Response:
        return web.json_response({"totalSize": 0, "detailList": []})

    cloud = web.Application()
    cloud.router.add_get("/{tail:.*}", nothing)
    async with TestServer(cloud) as answering:

        def chosen(*sinks: str, http: str = "off") -> Settings:
            path = tmp_path / "config.yaml"
            named = "\n".join(f"  {name}: {{type: console}}" for name in sinks or ("team",))
            path.write_text(CONFIG.format(sinks=named, http=http, cloud=answering.make_url("/")))
            return app.load(path, {})

        yield chosen


async def polled(crew: app.Crew) -> None:
    """Every cluster of its own has answered, and none is asked again for an hour."""
    async with asyncio.timeout(60):
        while crew.poller._polls or not all(each.polled_at for each in crew._ours):  # noqa: ASYNC110 - it lies in counters
            await asyncio.sleep(0.005)


def held(tx: Transaction) -> list[tuple[int, bool]]:
    return sorted((len(row.clusters), row.well) for row in tx.replicas(0.0) if row.alive)


@pytest.fixture(autouse=True)
def _always_now(monkeypatch: pytest.MonkeyPatch) -> None:
    # A lease is judged by the store's clock, which the tests have no other hand on.
    monkeypatch.setattr(app, "TICK", 3600.0)  # Nor is a clock taken to stand still because the machine did something else.
    monkeypatch.setattr(Transaction, "now", lambda _, ours: ours or Store("sqlite://").now().timestamp())


async def test_two_share_the_clusters_and_the_first_to_stop_leaves_them_to_the_other(settings: Making, store: Store) -> None:
    chosen = settings()
    async with app.Crew(chosen, store) as one:
        async with app.Crew(chosen, store) as two:
            for crew in (one, two, one):
                await crew.shares.attend()
            assert await store.transact(held) == [(2, True), (2, True)]
            assert one.health().problems == two.health().problems == ()
        await one.shares.attend()
        assert await store.transact(held) == [(4, True)]
        assert await store.transact(lambda tx: tx.group_alive(0.0))
    assert await store.transact(held) == []


async def test_one_that_cannot_start_leaves_the_clusters_to_the_others(settings: Making, store: Store) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"{{listen: '127.0.0.1:{taken.getsockname()[1]}'}}"
        with pytest.raises(OSError, match="in use"):
            await app.Crew(settings(http=address), store).__aenter__()
    assert await store.transact(held) == []


async def test_one_whose_lease_is_over_is_not_ready(settings: Making, store: Store) -> None:
    async with app.Crew(settings(), store) as crew:
        crew.shares._until = 0.0
        assert crew.health().problems == ("the store has not been reached for so long that nothing is polled",)
        assert crew.health().alive, "a restart would not help"


async def test_only_ones_own_clusters_speak_against_ones_readiness(settings: Making, store: Store) -> None:
    chosen = settings()
    async with app.Crew(chosen, store) as one, app.Crew(chosen, store) as two:
        for crew in (one, two, one):
            await crew.shares.attend()
        await polled(one)
        for watch in one.poller.watches:
            watch.failures, watch.polled_at = 3, None
        assert one.health().problems == ("2 of 2 clusters cannot be polled",)
        await one.shares.attend()
        assert await store.transact(held) == [(2, False), (2, True)]
        assert await store.transact(lambda tx: tx.group_alive(0.0)), "another proves progress"


async def test_what_another_replica_still_serves_is_not_given_up(settings: Making, store: Store) -> None:
    """While a configuration is rolled out, the new ones have sinks that the old ones do not know."""
    async with app.Crew(settings("team", "new"), store) as new:
        served = await store.transact(lambda tx: tx.served(0.0))
        assert served == {"team", "new"}
        async with app.Crew(settings("team"), store) as old:
            assert await store.transact(lambda tx: tx.served(0.0)) == {"team", "new"}
            await old.tidying.retire()
        assert new.health().alive


async def test_replicas_do_not_hammer_a_project_that_refused_one_of_them(settings: Making, store: Store) -> None:
    chosen = settings()
    async with app.Crew(chosen, store) as one, app.Crew(chosen, store) as two:
        for crew in (one, two, one):
            await crew.shares.attend()
        one.poller.watches[0].budget._block(FetchError(FetchReason.REFUSED, "HTTP 401"))
        await one.shares.attend()
        await two.shares.attend()
        with pytest.raises(FetchError, match="401"):
            async with two.poller.watches[0].budget.turn():
                raise AssertionError("it was asked")
