"""What people see in Slack while upgrades succeed or fail, and while we are stopped, killed or cut off: each thing once."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from block_limits import texts
from fake_slack import APP_TOKEN, CHANNEL, OTHER, Limits, Posted, slack
from slack_story import Process, audit, cloud, configured, over, paused, plan, program, quiet, retried, told

from notifier import telemetry
from notifier.domain.model import Kind
from notifier.sinks import slack_channel
from notifier.sources.upgrades import Failure
from notifier.store.store import Store


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Posts may follow each other faster than Slack's second."""
    monkeypatch.setattr(slack_channel, "POST_GAP", 0.005)


@pytest.mark.usefixtures("quick")
async def test_a_success_and_a_failure_that_is_retried_are_two_cards_with_quiet_threads(tmp_path: Path) -> None:
    plans = (plan(1), plan(6, retried()))
    async with slack() as workspace, cloud(*plans) as simulated:
        async with program(configured(tmp_path, simulated.url, workspace.url, plans)) as store:
            await workspace.until(lambda: any("FAILED" in reply.text for reply in workspace.messages if reply.broadcast))
            await workspace.until(lambda: sum("Succeeded" in str(root.blocks) for root in workspace.roots) == 2)
            events = await quiet(store)
        audit(workspace, events)
    by_channel = {root.channel: root for root in workspace.roots}
    good, bad = by_channel[CHANNEL], by_channel[OTHER]
    loud = {root.ts: [each.text.split(": ")[1] for each in workspace.replies(root) if each.broadcast] for root in (good, bad)}
    assert loud == {good.ts: ["upgrade succeeded"], bad.ts: ["upgrade FAILED", "upgrade succeeded"]}
    assert "attempt 2" in " ".join(texts(bad.blocks))


@pytest.mark.usefixtures("quick")
async def test_a_restart_in_the_middle_goes_on_with_the_same_cards(tmp_path: Path) -> None:
    plans = (plan(1), plan(6))
    async with slack() as workspace, cloud(*plans) as simulated:
        path = configured(tmp_path, simulated.url, workspace.url, plans)
        async with program(path):
            await workspace.until(lambda: any(root.edits > 1 for root in workspace.roots))
        async with program(path) as store:
            await over(workspace, 2)
            audit(workspace, await quiet(store))


@pytest.mark.usefixtures("quick")
async def test_accepted_and_reset_on_a_tenth_of_the_calls_nothing_is_seen_twice(tmp_path: Path) -> None:
    calls, hit = Counter[str](), Counter[str]()

    def fault(method: str, _: dict[str, Any]) -> str | None:
        # Every tenth of a method's own calls, not one in ten by lot: which calls there are, and in which order, is the hour's.
        calls[method] += 1
        if not method.startswith("chat.") or calls[method] % 10 != 4:
            return None
        hit[method] += 1
        return "reset after"

    plans = tuple(plan(number, *[retried()] * (number % 2), nodes=1) for number in range(6))
    async with (
        slack(fault) as workspace,
        cloud(*plans) as simulated,
        program(configured(tmp_path, simulated.url, workspace.url, plans)) as store,
    ):
        await workspace.until(lambda: _ends(workspace.messages) == 6)
        audit(workspace, await quiet(store))
    assert hit["chat.postMessage"] >= 2
    assert hit["chat.update"] >= 2


@pytest.mark.usefixtures("quick")
async def test_where_a_scope_is_missing_what_may_have_got_through_is_said_again_says_so_and_is_counted(tmp_path: Path) -> None:
    lost: list[str] = []

    def fault(method: str, _: dict[str, Any]) -> str | None:
        if method == "chat.postMessage" and not lost:
            lost.append(method)
            return "reset after"
        return "missing_scope" if method.startswith("conversations.") else None

    labels = {"sink": "team", "what": "look"}
    before = telemetry.registry.get_sample_value("notifier_sink_without_total", labels) or 0.0
    plans = (plan(1, nodes=1),)
    async with (
        slack(fault) as workspace,
        cloud(*plans) as simulated,
        program(configured(tmp_path, simulated.url, workspace.url, plans)),
    ):
        await workspace.until(lambda: len(workspace.roots) == 2)
    # As it was posted: the card has been edited since, perhaps.
    posted = [
        str(arguments) for method, arguments in workspace.calls if method == "chat.postMessage" and "thread_ts" not in arguments
    ]
    assert ["This may be a repeat." in each for each in posted] == [False, True]
    assert telemetry.registry.get_sample_value("notifier_sink_without_total", labels) == before + 1


@pytest.mark.usefixtures("quick")
async def test_a_failure_is_acknowledged_at_the_running_program_and_the_board_follows(tmp_path: Path) -> None:
    plans = (plan(1, Failure(0, 2)),)
    async with slack() as workspace, cloud(*plans) as simulated:
        also = f", app_token: {APP_TOKEN}, board: true"
        path = configured(tmp_path, simulated.url, workspace.url, plans, also=also)
        async with program(path) as store:
            await workspace.until(lambda: any("upgrade FAILED" in each.text for each in workspace.messages if each.broadcast))
            board, card = sorted(workspace.roots, key=lambda root: root.metadata["event_type"])
            assert card.metadata["event_type"] == "css_upgrade"
            await workspace.press("acknowledge", card, user="lin")
            await workspace.until(lambda: "acknowledged by lin" in str(card.blocks))
            assert "css-1" in await workspace.command("status")
            await workspace.until(lambda: ":x: *css-1*" in str(board.blocks))
            await quiet(store)
            assert len(await store.transact(lambda tx: tx.silences(0.0, over=True))) == 1


@pytest.mark.usefixtures("quick")
async def test_an_archived_channel_suspends_its_sink_and_another_is_told(tmp_path: Path) -> None:
    archived = False

    def fault(method: str, arguments: dict[str, Any]) -> str | None:
        return "is_archived" if archived and method.startswith("chat.") and arguments["channel"] == CHANNEL else None

    plans = (plan(1), plan(6))
    async with slack(fault) as workspace, cloud(*plans) as simulated:
        path = configured(tmp_path, simulated.url, workspace.url, plans, also=", fallback: other")
        async with program(path) as store:
            await workspace.until(lambda: any(root.channel == CHANNEL for root in workspace.roots))
            archived = True
            await workspace.until(lambda: any("archived" in root.text for root in workspace.roots if root.channel == OTHER))
            # What was on its way when the channel was archived may still arrive; the pause is in the store before long.
            state = await paused(store, "team")
            assert (state.reason, str(state.detail).partition(": ")[2]) == ("missing", "is_archived")
            tried = sum(arguments.get("channel") == CHANNEL for _, arguments in workspace.calls)
            await workspace.until(lambda: any("Succeeded" in str(root.blocks) for root in workspace.roots))
            again = sum(arguments.get("channel") == CHANNEL for _, arguments in workspace.calls) - tried
            assert again < 5, "nobody goes on trying"


FASTER = 30.0


async def test_twenty_clusters_at_once_stay_within_what_slack_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A minute of Slack's lasts two seconds here, and so does one of the sinks'.
    monkeypatch.setattr(slack_channel, "POST_GAP", slack_channel.POST_GAP / FASTER)
    monkeypatch.setattr(slack_channel, "RATE", slack_channel.RATE * FASTER)
    more = f"every: 500ms, rate: {slack_channel.RATE}"
    plans = tuple(plan(number, *[retried()] * (number % 10 == 3), nodes=1) for number in range(20))
    async with slack() as workspace, cloud(*plans) as simulated:
        workspace.limits = Limits(FASTER)
        async with program(configured(tmp_path, simulated.url, workspace.url, plans, more=more)) as store:
            await workspace.until(lambda: sum("Succeeded" in str(root.blocks) for root in workspace.roots) == 20)
            events = await quiet(store)
        audit(workspace, events)
    assert workspace.limits.edits_a_minute <= 50
    assert workspace.limits.posts_a_second <= 1
    stages = sum(event.kind in {Kind.STAGE_STARTED, Kind.STAGE_SUCCEEDED} for event in events)
    assert sum(method == "chat.update" for method, _ in workspace.calls) < stages / 3, "edits are merged"


class Executioner:
    """Kills the program at each step in turn: before Slack takes a call, after it took it, after it answered."""

    def __init__(self, steps: list[tuple[str, str]]) -> None:
        self.steps = steps
        self.kill: Callable[[], None] = lambda: None

    def __call__(self, method: str, arguments: dict[str, Any]) -> str | None:
        kind = {"chat.update": "edit", "chat.postMessage": "reply" if "thread_ts" in arguments else "root"}.get(method)
        due = next((step for step in self.steps if step[0] == kind), None)
        if due is None:
            return None
        self.steps.remove(due)
        if due[1] == "answered":
            asyncio.get_running_loop().call_later(0.002, self.kill)
            return None
        self.kill()
        return f"reset {due[1]}"


async def test_killed_at_any_step_of_a_post_nothing_is_seen_twice_and_nothing_is_missing(tmp_path: Path) -> None:
    steps = [(kind, when) for when in ("after", "before", "answered") for kind in ("root", "reply")] + [("edit", "after")]
    executioner = Executioner(steps)
    plans = tuple(plan(number, nodes=1, start=0.5 + number) for number in range(3))
    async with slack(executioner) as workspace, cloud(*plans) as simulated:
        bot = Process(configured(tmp_path, simulated.url, workspace.url, plans))
        executioner.kill = lambda: bot.send(signal.SIGKILL)
        done = asyncio.create_task(workspace.until(lambda: not steps and _ends(workspace.messages) == 3))
        died = None
        try:
            while not done.done():
                await bot.start()
                died = asyncio.create_task(bot.ended())
                await asyncio.wait({done, died}, return_when=asyncio.FIRST_COMPLETED)
            bot.send(signal.SIGTERM)
            assert died is not None
            await died
            assert steps == [], bot.log[-3000:]
        finally:
            done.cancel()
            await bot.clear()
        store = Store(f"sqlite:///{tmp_path}/notifier.db").open()
        try:
            audit(workspace, await told(store))
        finally:
            store.close()


def _ends(messages: list[Posted]) -> int:
    return sum("upgrade succeeded" in message.text for message in messages if message.broadcast)
