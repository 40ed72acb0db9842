"""Slack: one living message a task, seen once, quiet, and harmless whatever a node is called."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from block_limits import texts
from click.testing import CliRunner
from fake_slack import APP_TOKEN, CHANNEL, TOKEN, Posted, Slack, Unhurried, slack
from pydantic import ValidationError
from ruamel.yaml import YAML
from sink_receivers import Handler, Hook, hook

from notifier.cli import main
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Kind
from notifier.domain.samples import sample
from notifier.domain.words import Words
from notifier.outbound import open_session
from notifier.sinks.contract import Patient, Surroundings
from notifier.sinks.pace import Paces
from notifier.sinks.slack import PLACES, Settings, Sink
from notifier.sinks.slack_scopes import COMMANDS, FILES, HISTORY, SCOPES

STORY = (
    Kind.TASK_STARTED,
    Kind.NODE_STARTED,
    Kind.STAGE_STARTED,
    Kind.STAGE_SUCCEEDED,
    Kind.NODE_COMPLETED,
    Kind.STAGE_FAILED,
    Kind.TASK_FAILED,
    Kind.TASK_RETRIED,
    Kind.TASK_SUCCEEDED,
)


def news(kind: Kind, **changes: Any) -> Message:
    return replace(sample(kind, mark=None), **changes)


@asynccontextmanager
async def bot(workspace: Slack, lent: Mapping[str, Any] = {}, **more: Any) -> AsyncIterator[Sink]:
    given = Settings.model_validate({"token": TOKEN, "channel": CHANNEL, "base_url": workspace.url, **more})
    async with open_session(total=60.0) as session:
        around = Surroundings("team", session, page="http://page", **{"paces": Unhurried(), **lent})
        async with Sink(given, around) as sink:
            yield sink


async def told(sink: Sink, *kinds: Kind, last: Receipt | None = None) -> Receipt | None:
    for kind in kinds:
        last = await sink.send(news(kind), last)
    return last


async def test_a_story_is_one_message_with_a_thread_and_a_few_words_to_the_channel() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        await told(sink, *STORY)
    (root,) = workspace.roots
    assert root.edits == len(STORY) - 1
    replies = workspace.replies(root)
    assert [reply.text.split(": ")[1] for reply in replies if reply.broadcast] == [
        "upgrade FAILED",
        "upgrade succeeded",
    ]
    assert len(replies) == 5
    assert "Succeeded" in str(root.blocks)
    assert all(method in {"chat.postMessage", "chat.update"} for method, _ in workspace.calls)


async def test_what_was_merged_after_an_outage_is_in_the_thread_with_its_time_though_the_newest_only_changes_the_card() -> None:
    old = sample(Kind.NODE_COMPLETED, mark=None).event
    async with slack() as workspace, bot(workspace) as sink:
        last = await told(sink, Kind.TASK_STARTED)
        last = await sink.send(news(Kind.NODE_STARTED, earlier=(sample(Kind.STAGE_STARTED, mark=None).event,)), last)
        assert workspace.replies(workspace.roots[0]) == [], "stages have no place in the thread, merged or not"
        last = await sink.send(news(Kind.STAGE_STARTED, earlier=(old,)), last)
        await told(sink, Kind.STAGE_SUCCEEDED, last=last)
    (reply,) = workspace.replies(workspace.roots[0])
    assert not reply.broadcast
    assert f"• {Words().moment(old.time)} " in " ".join(texts(reply.blocks))


async def test_the_card_says_where_the_task_stands() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        await told(sink, Kind.TASK_STARTED, Kind.NODE_COMPLETED)
    said = " ".join(texts(workspace.roots[0].blocks))
    for part in (
        "sample-cluster",
        "*Running*",
        "▓",
        "*Completed* 1/3",
        "*In flight*",
        "of 9 stages",
        "data as of <!date^",
        "Status page",
    ):
        assert part in said, part
    assert "http://page" in str(workspace.roots[0].blocks)


async def test_a_restart_goes_on_with_the_same_message() -> None:
    async with slack() as workspace:
        async with bot(workspace) as sink:
            last = await told(sink, Kind.TASK_STARTED, Kind.NODE_STARTED)
        async with bot(workspace) as sink:
            await told(sink, Kind.NODE_COMPLETED, Kind.TASK_SUCCEEDED, last=last)
    assert len(workspace.roots) == 1


async def test_a_deleted_message_is_posted_anew_and_says_so() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        last = await told(sink, Kind.TASK_STARTED)
        workspace.messages.clear()
        last = await told(sink, Kind.NODE_COMPLETED, last=last)
        await told(sink, Kind.TASK_SUCCEEDED, last=last)
    (root,) = workspace.roots
    assert root.edits == 1
    posted = next(
        arguments
        for method, arguments in reversed(workspace.calls)
        if method == "chat.postMessage" and "thread_ts" not in arguments
    )
    assert "was deleted" in str(posted["blocks"])


async def test_a_message_deleted_between_edit_and_reply_is_tried_again() -> None:
    def fault(method: str, arguments: dict[str, Any]) -> str | None:
        return "thread_not_found" if method == "chat.postMessage" and "thread_ts" in arguments else None

    async with slack() as workspace, bot(workspace) as sink:
        last = await told(sink, Kind.TASK_STARTED)
        workspace.fault = fault
        with pytest.raises(DeliveryError) as failure:
            await told(sink, Kind.NODE_COMPLETED, last=last)
    assert (failure.value.outcome, failure.value.reason) == (Outcome.RETRY, DeliveryReason.MISSING)


def once(when: Callable[[str, dict[str, Any]], bool], fate: str) -> Callable[[str, dict[str, Any]], str | None]:
    """A fault that happens to the first call that fits."""
    done: list[bool] = []

    def fault(method: str, arguments: dict[str, Any]) -> str | None:
        if done or not when(method, arguments):
            return None
        done.append(True)
        return fate

    return fault


def is_root(method: str, arguments: dict[str, Any]) -> bool:
    return method == "chat.postMessage" and "thread_ts" not in arguments


def is_reply(method: str, arguments: dict[str, Any]) -> bool:
    return method == "chat.postMessage" and "thread_ts" in arguments


def is_edit(method: str, _: dict[str, Any]) -> bool:
    return method == "chat.update"


@pytest.mark.parametrize("step", [is_root, is_edit, is_reply])
@pytest.mark.parametrize("fate", ["reset after", "reset before"])
async def test_whatever_step_breaks_off_each_message_is_seen_once(step: Callable[[str, dict[str, Any]], bool], fate: str) -> None:
    async with slack(once(step, fate)) as workspace, bot(workspace) as sink:
        last: Receipt | None = None
        outcomes: list[Outcome] = []
        for kind in STORY:
            try:
                last = await sink.send(news(kind), last)
            except DeliveryError as error:
                outcomes.append(error.outcome)
                # As the engine does: the same delivery again, with a warning, and the receipt of the message before.
                last = await sink.send(news(kind, attempt=2, may_repeat=True), last)
    assert outcomes == [Outcome.UNCERTAIN]
    assert len(workspace.roots) == 1
    ids = [message.metadata["event_payload"]["delivery"] for message in workspace.replies(workspace.roots[0])]
    assert len(ids) == len(set(ids)) == 5


async def test_what_cannot_be_looked_for_is_posted_again_and_says_so() -> None:
    def fault(method: str, _: dict[str, Any]) -> str | None:
        return "missing_scope" if method.startswith("conversations.") else None

    without: list[tuple[str, str]] = []
    lent = {"went_without": lambda *told: without.append(told)}
    async with slack(fault) as workspace, bot(workspace, lent) as sink:
        last = await sink.send(news(Kind.TASK_STARTED, may_repeat=True), None)
        await sink.send(news(Kind.TASK_FAILED, may_repeat=True), last)
    assert [what for what, _ in without] == ["look", "look"]
    assert all("missing_scope" in why for _, why in without)
    (root,) = workspace.roots
    (reply,) = workspace.replies(root)
    assert "This may be a repeat." in str(workspace.calls[1])
    assert "This may be a repeat." in str(reply.blocks)


async def test_what_cannot_be_looked_for_for_now_is_not_posted_before_it_can() -> None:
    def fault(method: str, _: dict[str, Any]) -> str | None:
        return "ratelimited" if method.startswith("conversations.") else None

    async with slack(fault) as workspace, bot(workspace) as sink:
        with pytest.raises(DeliveryError) as failure:
            await sink.send(news(Kind.TASK_STARTED, may_repeat=True), None)
    assert (failure.value.reason, failure.value.retry_after) == (DeliveryReason.THROTTLED, 7.0)
    assert not workspace.messages


async def test_a_look_that_fails_for_now_is_a_try_that_failed() -> None:
    def fault(method: str, _: dict[str, Any]) -> str | None:
        return "service_unavailable" if method.startswith("conversations.") else None

    async with slack(fault) as workspace, bot(workspace) as sink:
        with pytest.raises(DeliveryError):
            await sink.send(news(Kind.TASK_STARTED, may_repeat=True), None)
    assert not workspace.messages


@pytest.mark.parametrize(
    ("error", "outcome", "reason", "scope"),
    [
        ("invalid_auth", Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK),
        ("token_revoked", Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK),
        ("missing_scope", Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK),
        ("channel_not_found", Outcome.REJECTED, DeliveryReason.MISSING, Scope.SINK),
        ("is_archived", Outcome.REJECTED, DeliveryReason.MISSING, Scope.SINK),
        ("not_in_channel", Outcome.REJECTED, DeliveryReason.MISSING, Scope.SINK),
        ("msg_too_long", Outcome.REJECTED, DeliveryReason.TOO_LARGE, Scope.EVENT),
        ("invalid_blocks", Outcome.REJECTED, DeliveryReason.INVALID, Scope.EVENT),
        ("ratelimited", Outcome.RETRY, DeliveryReason.THROTTLED, Scope.SINK),
        ("service_unavailable", Outcome.RETRY, DeliveryReason.SERVER, Scope.EVENT),
        ("something_new", Outcome.RETRY, DeliveryReason.SERVER, Scope.EVENT),
        ("internal_error", Outcome.UNCERTAIN, DeliveryReason.SERVER, Scope.EVENT),
        ("fatal_error", Outcome.UNCERTAIN, DeliveryReason.SERVER, Scope.EVENT),
        ("html", Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, Scope.EVENT),
        ("reset after", Outcome.UNCERTAIN, DeliveryReason.NETWORK, Scope.EVENT),
    ],
)
async def test_every_answer_has_a_meaning(error: str, outcome: Outcome, reason: DeliveryReason, scope: Scope) -> None:
    async with slack(lambda *_: error) as workspace, bot(workspace) as sink:
        with pytest.raises(DeliveryError) as failure:
            await told(sink, Kind.TASK_FAILED)
    assert (failure.value.outcome, failure.value.reason, failure.value.scope) == (outcome, reason, scope)
    assert failure.value.retry_after == (7.0 if error == "ratelimited" else None)
    assert TOKEN not in str(failure.value)
    writes = [method for method, _ in workspace.calls]
    # With a plan, with a section instead, without blocks.
    assert writes == ["chat.postMessage"] * (3 if scope is Scope.EVENT and outcome is Outcome.REJECTED else 1)


async def test_nobody_there_is_a_try_that_surely_failed() -> None:
    async with slack() as workspace:
        pass
    async with bot(workspace) as sink:
        with pytest.raises(DeliveryError) as failure:
            await told(sink, Kind.TASK_FAILED)
        assert await sink.check() == [failure.value.detail]
    assert (failure.value.outcome, failure.value.scope) == (Outcome.RETRY, Scope.SINK)


async def test_blocks_that_a_workspace_does_not_take_are_left_out() -> None:
    def fault(_method: str, arguments: dict[str, Any]) -> str | None:
        return "invalid_blocks" if arguments.get("blocks") else None

    async with slack(fault) as workspace, bot(workspace) as sink:
        await told(sink, Kind.TASK_STARTED, Kind.TASK_FAILED)
    (root,) = workspace.roots
    assert (root.blocks, root.text) == ([], workspace.replies(root)[0].text)


async def test_a_workspace_that_takes_no_plans_is_asked_once_and_told_in_sections_from_then_on() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        workspace.native = False
        await told(sink, *STORY)
    (root,) = workspace.roots
    assert not any(block["type"] == "plan" for block in root.blocks)
    assert "of 9 stages" in str(workspace.calls)
    offered = [any(block["type"] == "plan" for block in arguments["blocks"]) for _, arguments in workspace.calls]
    assert offered == [True] + [False] * (len(offered) - 1)


async def test_an_answer_without_ts_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slack, "post", lambda *_: {"ok": True})
    async with slack() as workspace, bot(workspace) as sink:
        with pytest.raises(DeliveryError) as failure:
            await told(sink, Kind.TASK_FAILED)
    assert failure.value.outcome is Outcome.UNCERTAIN


async def test_an_outage_of_a_cluster_is_told_in_the_channel_and_ended_in_its_thread() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        await told(sink, Kind.CLUSTER_UNREACHABLE, Kind.CLUSTER_RECOVERED)
    (root,) = workspace.roots
    assert (root.edits, [reply.broadcast for reply in workspace.replies(root)]) == (0, [True])


async def test_another_outage_is_another_message() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        last = await told(sink, Kind.CLUSTER_UNREACHABLE, Kind.CLUSTER_RECOVERED)
        again = news(Kind.CLUSTER_UNREACHABLE, id="another")
        last = await sink.send(again, last)
        await sink.send(again, last)
        await told(sink, Kind.CLUSTER_RECOVERED, last=last)
    first, second = workspace.roots
    assert (len(workspace.replies(first)), len(workspace.replies(second))) == (1, 1)


async def test_a_reminder_is_said_in_the_thread_and_in_the_channel() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        last = await told(sink, Kind.TASK_FAILED)
        await sink.send(news(Kind.TASK_FAILED, id="again", reminder=1), last)
    (reply,) = workspace.replies(workspace.roots[0])
    assert reply.broadcast
    assert "Reminder 1: this still lasts" in str(reply.blocks)


async def test_a_message_is_looked_for_page_by_page() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        workspace.page = 2
        last = await told(sink, Kind.TASK_STARTED)
        for number in range(4):
            await sink.send(news(Kind.TASK_STARTED, id=f"other {number}"), None)
        assert await sink.send(news(Kind.TASK_STARTED, may_repeat=True), None) == last
        await sink.send(news(Kind.TASK_STARTED, id="other", may_repeat=True), None)
    assert len(workspace.roots) == 6
    assert sum(method == "conversations.history" for method, _ in workspace.calls) == 6


async def test_a_channel_whose_next_turn_is_far_off_is_not_waited_for_until_it_looks_like_a_loss() -> None:
    paces = Paces()
    async with slack() as workspace, bot(workspace, lent={"paces": paces}) as sink:
        await paces.of("slack", workspace.url, TOKEN, CHANNEL).take(60.0)
        with pytest.raises(DeliveryError) as failure:
            await told(sink, Kind.TASK_STARTED)
        assert workspace.calls == []
    assert (failure.value.outcome, failure.value.reason) == (Outcome.RETRY, DeliveryReason.THROTTLED)
    assert failure.value.retry_after == pytest.approx(60.0, abs=20)


def chatter(number: int, before: str = "4000000001") -> list[Posted]:
    """What others say in the channel meanwhile."""
    return [Posted(f"{before}.{each:06}", "lunch?", [], {}) for each in range(number)]


async def test_in_a_busy_channel_a_message_is_found_behind_all_that_was_said_since_and_no_further_back() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        workspace.messages += chatter(2000, before="1000000000")
        workspace.fault = once(is_root, "reset after")
        with pytest.raises(DeliveryError):
            await told(sink, Kind.TASK_STARTED)
        workspace.messages += chatter(700)
        last = await sink.send(news(Kind.TASK_STARTED, may_repeat=True), None)
        looks = sum(method == "conversations.history" for method, _ in workspace.calls)
        await sink.send(news(Kind.TASK_STARTED, id="never posted", may_repeat=True), None)
    ours = [message for message in workspace.messages if message.metadata]
    assert ours[0].ts == last.fields["ts"]
    assert (len(ours), looks) == (2, 4)
    assert "This may be a repeat." not in str(ours[1].blocks)


async def test_what_would_have_to_be_looked_for_among_too_many_is_posted_again_and_says_so() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        workspace.messages += chatter(1100)
        await sink.send(news(Kind.TASK_STARTED, may_repeat=True), None)
    assert "This may be a repeat." in str(workspace.messages[-1].blocks)


async def test_looking_leaves_time_for_posting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.sinks.slack_channel.LONGEST_LOOK", 0.0)
    async with slack() as workspace, bot(workspace) as sink:
        workspace.messages += chatter(500)
        await sink.send(news(Kind.TASK_STARTED, may_repeat=True), None)
    assert [method for method, _ in workspace.calls] == ["conversations.history", "chat.postMessage"]


async def test_in_a_long_thread_a_reply_is_looked_for_behind_the_last_that_is_known() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        workspace.page = 2
        last = await told(sink, Kind.TASK_STARTED)
        for number in range(12):
            last = await sink.send(news(Kind.NODE_COMPLETED, id=f"node {number}"), last)
        workspace.fault = once(is_reply, "reset after")
        with pytest.raises(DeliveryError):
            await told(sink, Kind.TASK_FAILED, last=last)
        last = await sink.send(news(Kind.TASK_FAILED, may_repeat=True), last)
        before = Receipt({name: value for name, value in last.fields.items() if name != "newest"})
        await sink.send(news(Kind.TASK_RETRIED), before)  # As an earlier version left it.
    replies = workspace.replies(workspace.roots[0])
    assert [reply.text.split(": ")[1] for reply in replies[12:]] == ["upgrade FAILED", "upgrade retried"]


async def test_places_can_be_chosen() -> None:
    chosen = {"node.completed": "channel", "task.succeeded": "root"}
    async with slack() as workspace, bot(workspace, places=chosen) as sink:
        await told(sink, Kind.TASK_STARTED, Kind.NODE_COMPLETED, Kind.TASK_SUCCEEDED)
    (root,) = workspace.roots
    assert [reply.broadcast for reply in workspace.replies(root)] == [True]


async def test_only_what_changes_nothing_but_the_living_message_may_wait() -> None:
    async with slack() as workspace, bot(workspace, every="30s") as sink:
        assert isinstance(sink, Patient)
        waits = {kind: sink.patience(sample(kind).event) for kind in Kind}
    assert waits[Kind.STAGE_STARTED] == waits[Kind.NODE_STARTED] == 30
    assert waits[Kind.TASK_STARTED] == 0.0
    assert all(not waits[kind] for kind in PLACES)


def scopes_in(said: list[str]) -> list[str]:
    """The scopes that are said to be missing; each is said with what it is for."""
    assert all(re.fullmatch(r"the scope \S+ is missing: (to|for) .+", line) for line in said), said
    return [line.split()[2] for line in said]


async def test_check_says_which_scopes_are_missing_and_what_for() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        assert await sink.check() == []
        workspace.scopes = "files:write"
        assert scopes_in(await sink.check()) == ["chat:write", "channels:history", "groups:history"]
        workspace.fault = lambda *_: "invalid_auth"
        assert await sink.check() == ["auth.test: invalid_auth"]


@pytest.mark.parametrize(
    ("private", "held", "missing"),
    [
        (False, "channels:history", []),
        (False, "groups:history", ["channels:history"]),
        (True, "groups:history", []),
        (True, "channels:history", ["groups:history"]),
    ],
)
async def test_check_asks_only_for_the_history_scope_of_the_channel_that_is_told(
    private: bool,
    held: str,
    missing: list[str],
) -> None:
    async with slack() as workspace, bot(workspace) as sink:
        workspace.private = frozenset({CHANNEL} if private else ())
        workspace.scopes = f"chat:write,{held}"
        assert scopes_in(await sink.check()) == missing


@pytest.mark.parametrize(
    ("channel", "missing"),
    [("D0123456789", ["im:history"]), ("G0123456789", ["groups:history", "mpim:history"]), ("C5555555555", [])],
)
async def test_check_knows_what_it_takes_to_look_into_other_conversations(channel: str, missing: list[str]) -> None:
    async with slack() as workspace, bot(workspace, channel=channel) as sink:
        workspace.scopes = "chat:write" if missing else "chat:write,channels:history"
        said = await sink.check()
    others = [line for line in said if "is missing" not in line]
    assert [line.split(";")[0] for line in others] == [f"channel {channel}: conversations.history: channel_not_found"] * (
        not missing
    )
    assert scopes_in([line for line in said if "is missing" in line]) == missing


@pytest.mark.parametrize("report", [True, False])
async def test_check_asks_for_files_where_reports_are_wanted_and_only_there(report: bool) -> None:
    async with slack() as workspace, bot(workspace, lent={"report": report}) as sink:
        assert scopes_in(await sink.check()) == (["files:write"] if report else [])
        workspace.scopes += ",files:write"
        assert await sink.check() == []


async def test_with_no_program_around_it_nobody_listens_and_there_are_no_buttons() -> None:
    async with slack() as workspace, bot(workspace, app_token=APP_TOKEN, board=True) as sink:
        await sink.listen()
        await told(sink, Kind.TASK_FAILED)
    assert "action_id" not in str(workspace.roots[0].blocks)
    assert workspace.wires == []


async def test_check_says_whether_the_channel_can_be_reached() -> None:
    def fault(method: str, _: dict[str, Any]) -> str | None:
        return "not_in_channel" if method == "conversations.history" else None

    async with slack(fault) as workspace, bot(workspace) as sink:
        (said,) = await sink.check()
        assert said.startswith("channel C0123456789: conversations.history: not_in_channel; give the channel's id and invite")
        workspace.scopes = "chat:write,channels:history"
        assert len(await sink.check()) == 1


async def test_check_asks_for_what_buttons_need() -> None:
    async with slack() as workspace, bot(workspace, app_token=APP_TOKEN) as sink:
        assert await sink.check() == ["the scope commands is missing: for the slash command"]
        workspace.scopes += ",commands"
        assert await sink.check() == []
        assert workspace.wires == []
    async with slack() as workspace, bot(workspace, app_token="xapp-wrong") as sink:
        workspace.scopes += ",commands"
        (said,) = await sink.check()
        assert said.startswith("app_token: apps.connections.open: invalid_auth; buttons need one that begins with xapp-")
        assert "wrong" not in said


def test_the_documented_manifest_is_the_app_that_we_need() -> None:
    text = (Path(__file__).parents[2] / "docs" / "slack.md").read_text(encoding="utf-8")
    (manifest,) = [
        YAML(typ="safe").load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "bot_user" in block
    ]
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == {*SCOPES, *COMMANDS, *FILES, *HISTORY["C"]}
    assert manifest["settings"]["socket_mode_enabled"] is True
    assert manifest["settings"]["interactivity"]["is_enabled"] is True
    (command,) = manifest["features"]["slash_commands"]
    assert command["command"] == "/css"
    assert "`/css status`" in Words().phrases.talk.help
    # Slack: names up to 35 characters, a bot's up to 80, descriptions up to 140.
    assert len(manifest["display_information"]["name"]) <= 35
    assert len(manifest["display_information"]["description"]) <= 140


@asynccontextmanager
async def hooked(answer: Handler) -> AsyncIterator[tuple[Hook, Sink]]:
    async with hook(answer) as receiver, open_session(total=60.0) as session:
        settled = Settings.model_validate({"url": receiver.url})
        yield receiver, Sink(settled, Surroundings("team", session))


async def test_a_webhook_is_what_it_is_one_post_a_message() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async with hooked(answer) as (receiver, sink):
        await told(sink, Kind.TASK_STARTED, Kind.TASK_FAILED)
        assert await sink.check() == []
        assert sink.patience(sample(Kind.STAGE_STARTED).event) == 0.0
    assert len(receiver.posts) == 2


@pytest.mark.parametrize(
    ("status", "text", "outcome"), [(200, "hello", Outcome.UNCERTAIN), (404, "no_service", Outcome.REJECTED)]
)
async def test_a_webhook_that_does_not_say_ok_has_not_taken_it(status: int, text: str, outcome: Outcome) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, status=status)

    async with hooked(answer) as (_, sink):
        with pytest.raises(DeliveryError) as failure:
            await told(sink, Kind.TASK_FAILED)
    assert failure.value.outcome is outcome


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"token": TOKEN},
        {"channel": CHANNEL},
        {"token": TOKEN, "channel": "#general"},
        {"token": TOKEN, "channel": CHANNEL, "url": "https://hooks.test/x"},
        {"url": "https://hooks.test/x", "channel": CHANNEL},
        {"url": "ftp://hooks.test/x"},
        {"url": "http://[broken"},
        {"token": TOKEN, "channel": CHANNEL, "places": {"task.failed": "nowhere"}},
        {"token": TOKEN, "channel": CHANNEL, "every": 10},
        {"token": TOKEN, "channel": CHANNEL, "every": "soon"},
        {"token": TOKEN, "channel": CHANNEL, "every": "11m"},
        {"url": "https://hooks.test/x", "board": True},
        {"url": "https://hooks.test/x", "app_token": "xapp-1"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as failure:
        Settings.model_validate(wrong)
    assert TOKEN not in str(failure.value)


def test_a_posted_message_is_what_people_see() -> None:
    assert Posted("1", "text", [], {}).thread is None


CONFIG = """\
projects:
  - name: beijing
    region: cn-north-4
    project_id: p1
    endpoint: http://127.0.0.1:9
    credentials: {{access_key: AK, secret_key: SK}}
    clusters: [{{id: c1}}]
sinks:
  team: {{type: slack, token: {token}, channel: {channel}, base_url: "{url}", report: true}}
  console: {{type: console}}
"""


async def test_check_online_asks_the_sinks_that_can_be_asked(tmp_path: Path) -> None:
    path = tmp_path / "notifier.yaml"
    async with slack() as workspace:
        workspace.scopes = "chat:write,channels:history"
        path.write_text(CONFIG.format(token=TOKEN, channel=CHANNEL, url=workspace.url))
        found = await asyncio.to_thread(CliRunner().invoke, main, ["check", "--online", "-c", str(path)])
    assert found.exit_code == 1
    assert "0 of 1 clusters answered" in found.output
    assert "sink team: the scope files:write is missing: to bring reports along, as `report: true` asks" in found.output
    assert found.output.count("is missing") == 1
