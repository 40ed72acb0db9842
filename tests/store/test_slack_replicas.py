"""Several programs with one Slack token on one PostgreSQL: Slack counts them as one, and hears of them no faster than of one."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

sys.path.append(str(Path(__file__).parent.parent / "sinks"))
sys.path.append(str(Path(__file__).parent.parent / "engine"))
from engine_scripts import Sink as Scripted
from engine_scripts import eventually, outlet, settled, tell
from fake_slack import CHANNEL, TOKEN, Limits, Slack, slack
from slack_story import audit, cloud, configured, plan, program, quiet

from notifier.engine.turns import StoreTurns
from notifier.outbound import open_session
from notifier.sinks import slack_channel
from notifier.sinks.pace import Pace, Paces
from notifier.sinks.slack_calls import Calls
from notifier.sinks.slack_channel import Channel
from notifier.store.rows import Turn
from notifier.store.store import Store
from notifier.store.transaction import Transaction

GAP = 0.02
"""Seconds between turns, instead of Slack's."""


@asynccontextmanager
async def replicas(url: str, count: int = 2) -> AsyncIterator[list[Store]]:
    """So many programs' doors to one database."""
    stores = [Store(url).open() for _ in range(count)]
    try:
        yield stores
    finally:
        for store in stores:
            store.close()


class Paced(Scripted):
    """Shares a pace."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace


async def test_a_turn_that_a_program_took_for_a_token_is_gone_for_every_sink_of_the_token_in_all_programs(
    postgres_url: str,
) -> None:
    async with replicas(postgres_url) as stores:
        outlets, sinks = [], []
        for store in stores:
            paces = Paces(StoreTurns(store))
            for name, token in (("team", TOKEN), ("other", TOKEN), ("elsewhere", "another token")):
                sinks.append(Paced(paces.of("slack", token)))
                outlets.append(outlet(store, sinks[-1], name, rate=1 / 600))
        await stores[0].transact(tell("search", "team", "other", "elsewhere"))
        for each in outlets:
            rest = await each._round()
            assert rest >= 0.0
        await eventually(settled(stores[0], count=2))
        for each in reversed(outlets):
            await each._round()
            await each.stop(5.0)
    assert [len(sink.heard) for sink in sinks] == [1, 0, 1, 0, 0, 0]


async def test_what_programs_post_to_one_channel_comes_one_after_another(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_channel, "POST_GAP", GAP)
    async with slack() as workspace, replicas(postgres_url) as stores, open_session() as session:
        workspace.limits = Limits()
        channels = [_channel(workspace, store, session) for store in stores for _ in range(2)]
        posts = [channel.post(f"{number}", [], {}) for channel in channels for number in range(3)]
        began = time.monotonic()
        await asyncio.gather(*posts)
    assert len(workspace.messages) == 12
    assert time.monotonic() - began >= 11 * GAP * 0.9


def _channel(workspace: Slack, store: Store, session: object) -> Channel:
    calls = Calls(SecretStr(TOKEN), workspace.url, session)  # type: ignore[arg-type]  # as `open_session` gives it
    paces = Paces(StoreTurns(store))
    return Channel(calls, CHANNEL, paces.of("slack", TOKEN), paces.of("slack", TOKEN, CHANNEL), lambda *_: None)


async def test_while_another_program_takes_a_turn_one_asks_again_and_holds_nothing(postgres_url: str) -> None:
    turn, heard = Turn("a channel", 600.0), []
    patient = "?options=-c%20lock_timeout%3D300s%20-c%20statement_timeout%3D300s"
    async with replicas(postgres_url + patient) as stores:
        await StoreTurns(stores[0]).take(turn.key, 0.0, 0.0)

        async def meanwhile() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await StoreTurns(stores[1]).take(turn.key, turn.gap, 900.0)
            # The store of the one who waits is free for other work: it does not stand in the database's queue.
            async with asyncio.timeout(60):  # A lock would be waited for for five minutes.
                heard.append(await stores[1].transact(lambda tx: tx.sinks()))

        def work(tx: Transaction) -> None:
            assert tx.take_turn(turn, 60.0, 0.0) == 0.0
            asyncio.run(meanwhile())  # On a thread of its own, while our transaction is open.

        await stores[0].transact(work)
        assert await StoreTurns(stores[1]).take(turn.key, turn.gap, 900.0) == pytest.approx(600.0, abs=120)
    assert heard == [{}]


async def test_a_store_that_does_not_answer_holds_nobody_up_for_longer_than_a_turn(postgres_url: str) -> None:
    async with replicas(postgres_url, 1) as (store,):
        pace = Paces(StoreTurns(store)).of("slack", TOKEN)
        await pace.take(600.0)
        assert await pace.take(5.0) == pytest.approx(600.0, abs=120)
    assert await StoreTurns(store).take(pace.key, 5.0, 60.0) == 5.0


FASTER = 10.0


async def test_two_programs_and_two_sinks_with_one_token_stay_within_what_slack_takes(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A minute of Slack's lasts six seconds here, and so does one of the sinks'.
    monkeypatch.setattr(slack_channel, "POST_GAP", slack_channel.POST_GAP / FASTER)
    monkeypatch.setattr(slack_channel, "RATE", slack_channel.RATE * FASTER)
    plans = tuple(plan(number) for number in (0, 1, 5, 6))
    async with slack() as workspace, cloud(*plans) as simulated:
        workspace.limits = Limits(FASTER)
        path = configured(tmp_path, simulated.url, workspace.url, plans, more=f"every: 100ms, rate: {slack_channel.RATE}")
        path.write_text(path.read_text().replace(f"sqlite:///{tmp_path}/notifier.db", postgres_url))
        async with program(path) as store, program(path):
            await workspace.until(lambda: sum("Succeeded" in str(root.blocks) for root in workspace.roots) == 4)
            audit(workspace, await quiet(store))
    assert workspace.limits.edits_a_minute <= 50
    assert workspace.limits.posts_a_second <= 1
