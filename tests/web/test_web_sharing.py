import asyncio

import pytest
from web_world import a_world, cluster, fail_poll

from notifier.web import overview, sharing
from notifier.web.sharing import Sharing


class Maker:
    """Makes numbered answers when it is let."""

    def __init__(self) -> None:
        self.made = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.made += 1
        number = self.made
        await self.go.wait()
        return number


async def test_what_is_asked_together_is_made_once_and_goes_on_though_who_asked_first_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sharing, "MOMENT", 3600.0)
    shared, make = Sharing[int](), Maker()
    asked = [asyncio.create_task(shared.get("page", make)) for _ in range(3)]
    await asyncio.sleep(0)
    asked[0].cancel()
    await asyncio.sleep(0)
    make.go.set()
    assert await asyncio.gather(*asked[1:]) == [1, 1]
    assert make.made == 1
    assert await shared.get("another", make) == 2
    assert await shared.get("page", make) == 1
    assert await shared.get("page", make, anew=True) == 3
    assert await shared.get("page", make) == 3


async def test_an_answer_is_old_after_a_moment_and_then_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, make = Sharing[int](), Maker()
    make.go.set()
    assert await shared.get("page", make) == 1
    monkeypatch.setattr(sharing, "MOMENT", 0.0)
    assert await shared.get("page", make) == 2
    assert list(shared._made) == ["page"]
    assert await shared.get("another", make) == 3
    assert list(shared._made) == ["another"]


async def test_a_failure_is_everybodys_and_nobodys_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails() -> int:
        raise ValueError("no")

    shared, make = Sharing[int](), Maker()
    make.go.set()
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await shared.get("page", fails)
    monkeypatch.setattr(sharing, "MOMENT", 0.0)
    assert await shared.get("page", make) == 1


async def test_fifty_browsers_that_are_told_of_a_change_cost_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = 0, overview.look

    def counted(*given: object) -> overview.Seen:
        nonlocal looks
        looks += 1
        return look(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(overview, "look", counted)
    monkeypatch.setattr(sharing, "MOMENT", 3600.0)  # Fifty may take longer than one.
    async with a_world() as world:
        pages = await asyncio.gather(*(world.get("/") for _ in range(50)))
        assert {status for status, _, _ in pages} == {200}
        assert looks <= 2
        await world.store.transact(lambda tx: fail_poll(tx, cluster("silent", 2), "HTTP 503"))
        for told in ({"Cache-Control": "no-cache"}, {"Last-Event-ID": "7"}):
            assert "silent" in (await world.get("/", **told))[2]
        assert looks <= 4
