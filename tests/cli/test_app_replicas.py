"""The whole application as one of several: what it holds, what it lets go of, what it leaves to the others."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from notifier import app
from notifier.config import Settings
from notifier.domain.errors import FetchError, FetchReason
from notifier.store.store import Store
from notifier.store.transaction import Transaction

CONFIG = """\
projects:
  - name: beijing
    region: cn-north-4
    project_id: p1
    endpoint: http://127.0.0.1:9
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


def settings(folder: Path, *sinks: str, http: str = "off") -> Settings:
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(sinks="\n".join(f"  {name}: {{type: console}}" for name in sinks or ("team",)), http=http))
    return app.load(path, {})


def held(tx: Transaction) -> list[tuple[int, bool]]:
    return sorted((len(row.clusters), row.well) for row in tx.replicas(0.0) if row.alive)


@pytest.fixture(autouse=True)
def _always_now(monkeypatch: pytest.MonkeyPatch) -> None:
    # A lease is judged by the store's clock, which the tests have no other hand on.
    monkeypatch.setattr(Transaction, "now", lambda _, ours: ours or Store("sqlite://").now().timestamp())


async def test_two_share_the_clusters_and_the_first_to_stop_leaves_them_to_the_other(tmp_path: Path, store: Store) -> None:
    chosen = settings(tmp_path)
    async with app.Crew(chosen, store) as one:
        async with app.Crew(chosen, store) as two:
            for crew in (one, two, one):
                await crew.shares.attend()
            # Nobody answers their polls here, so how well each is depends on how many of them have failed already.
            assert [clusters for clusters, _ in await store.transact(held)] == [2, 2]
            assert not one.shares.lapsed
            assert not two.shares.lapsed
        await one.shares.attend()
        assert [clusters for clusters, _ in await store.transact(held)] == [4]
        assert await store.transact(lambda tx: tx.group_alive(0.0))
    assert await store.transact(held) == []


async def test_one_that_cannot_start_leaves_the_clusters_to_the_others(tmp_path: Path, store: Store) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"{{listen: '127.0.0.1:{taken.getsockname()[1]}'}}"
        with pytest.raises(OSError, match="in use"):
            await app.Crew(settings(tmp_path, http=address), store).__aenter__()
    assert await store.transact(held) == []


async def test_one_whose_lease_is_over_is_not_ready(tmp_path: Path, store: Store) -> None:
    async with app.Crew(settings(tmp_path), store) as crew:
        crew.shares._until = 0.0
        assert crew.health().problems == ("the store has not been reached for so long that nothing is polled",)
        assert crew.health().alive, "a restart would not help"


async def test_only_ones_own_clusters_speak_against_ones_readiness(tmp_path: Path, store: Store) -> None:
    chosen = settings(tmp_path)
    async with app.Crew(chosen, store) as one, app.Crew(chosen, store) as two:
        for crew in (one, two, one):
            await crew.shares.attend()
        for watch in one.poller.watches:
            watch.failures = 3
        assert one.health().problems == ("2 of 2 clusters cannot be polled",)
        await one.shares.attend()
        assert (2, False) in await store.transact(held)
        for watch in two.poller.watches:
            watch.failures = 0
        await two.shares.attend()
        assert await store.transact(lambda tx: tx.group_alive(0.0)), "another proves progress"


async def test_what_another_replica_still_serves_is_not_given_up(tmp_path: Path, store: Store) -> None:
    """While a configuration is rolled out, the new ones have sinks that the old ones do not know."""
    async with app.Crew(settings(tmp_path, "team", "new"), store) as new:
        served = await store.transact(lambda tx: tx.served(0.0))
        assert served == {"team", "new"}
        async with app.Crew(settings(tmp_path, "team"), store) as old:
            assert await store.transact(lambda tx: tx.served(0.0)) == {"team", "new"}
            await old.tidying.retire()
        assert new.health().alive


async def test_replicas_do_not_hammer_a_project_that_refused_one_of_them(tmp_path: Path, store: Store) -> None:
    chosen = settings(tmp_path)
    async with app.Crew(chosen, store) as one, app.Crew(chosen, store) as two:
        for crew in (one, two, one):
            await crew.shares.attend()
        one.poller.watches[0].budget._block(FetchError(FetchReason.REFUSED, "HTTP 401"))
        await one.shares.attend()
        await two.shares.attend()
        with pytest.raises(FetchError, match="401"):
            async with two.poller.watches[0].budget.turn():
                raise AssertionError("it was asked")
