"""Slack: one living message a task, seen once, quiet, and harmless whatever a node is called."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner
from fake_slack import CHANNEL, TOKEN, Posted, Slack, refusal, slack, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sink_receivers import Handler, Hook, hook

from notifier.cli import main
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Eta, Kind
from notifier.domain.samples import sample
from notifier.domain.words import Words
from notifier.outbound import open_session
from notifier.sinks.contract import Patient, Surroundings
from notifier.sinks.slack import PLACES, Settings, Sink
from notifier.sinks.slack_card import Card

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
async def bot(workspace: Slack, **more: Any) -> AsyncIterator[Sink]:
    given_ = Settings.model_validate({"token": TOKEN, "channel": CHANNEL, "base_url": workspace.url, **more})
    async with open_session(total=2.0) as session, Sink(given_, Surroundings("team", session, page="http://page")) as sink:
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


async def test_the_card_says_where_the_task_stands() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        await told(sink, Kind.TASK_STARTED, Kind.NODE_COMPLETED)
    said = " ".join(texts(workspace.roots[0].blocks))
    for part in ("sample-cluster", "*Running*", "▓", "*Done* 1/3", "*At work*", "attempt 1", "data as of <!date^", "Status page"):
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


@pytest.mark.parametrize("error", ["missing_scope", "ratelimited"])
async def test_what_cannot_be_looked_for_is_posted_again(error: str) -> None:
    def fault(method: str, _: dict[str, Any]) -> str | None:
        return error if method.startswith("conversations.") else None

    async with slack(fault) as workspace, bot(workspace) as sink:
        await sink.send(news(Kind.TASK_STARTED, may_repeat=True), None)
    assert len(workspace.roots) == 1


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
    assert writes == ["chat.postMessage"] * (2 if scope is Scope.EVENT and outcome is Outcome.REJECTED else 1)


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


async def test_places_can_be_chosen() -> None:
    chosen = {"node.completed": "channel", "task.succeeded": "root"}
    async with slack() as workspace, bot(workspace, places=chosen) as sink:
        await told(sink, Kind.TASK_STARTED, Kind.NODE_COMPLETED, Kind.TASK_SUCCEEDED)
    (root,) = workspace.roots
    assert [reply.broadcast for reply in workspace.replies(root)] == [True]


async def test_only_what_changes_nothing_but_the_living_message_may_wait() -> None:
    async with slack() as workspace, bot(workspace, every=30) as sink:
        assert isinstance(sink, Patient)
        waits = {kind: sink.patience(sample(kind).event) for kind in Kind}
    assert waits[Kind.STAGE_STARTED] == waits[Kind.NODE_STARTED] == 30
    assert waits[Kind.TASK_STARTED] == 0.0
    assert all(not waits[kind] for kind in PLACES)


async def test_check_says_which_scopes_are_missing_and_what_for() -> None:
    async with slack() as workspace, bot(workspace) as sink:
        assert await sink.check() == []
        workspace.scopes = "chat:write"
        said = await sink.check()
        assert [line.split(":")[0] + ":" + line.split(":")[1].split(" ")[0] for line in said] == [
            "the scope channels:history",
            "the scope groups:history",
        ]
        workspace.fault = lambda *_: "invalid_auth"
        assert await sink.check() == ["auth.test: invalid_auth"]


@asynccontextmanager
async def hooked(answer: Handler) -> AsyncIterator[tuple[Hook, Sink]]:
    async with hook(answer) as receiver, open_session(total=2.0) as session:
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
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as failure:
        Settings.model_validate(wrong)
    assert TOKEN not in str(failure.value)


def test_the_card_speaks_chinese_and_says_what_was_merged_skipped_and_late() -> None:
    message = news(
        Kind.TASK_FAILED,
        earlier=(sample(Kind.NODE_STARTED).event,) * 12,
        skipped=3,
        late_by=timedelta(hours=2),
        mark="DRILL",
    )
    eta = Eta(message.event.observed_at, message.event.observed_at, "2 nodes")
    running = replace(news(Kind.NODE_COMPLETED), event=replace(news(Kind.NODE_COMPLETED).event, eta=eta))
    assert " to <!date^" in " ".join(texts(Card(Words()).root(running)))
    said = " ".join(texts(Card(Words("zh")).root(message)))
    for part in ("[DRILL]", "失败", "12 条", "3 条消息未能送达", "延迟 2 小时"):
        assert part in said, part


HOSTILE = ["<!channel> <@U1> <https://evil.test|AWS>", "&lt;!here&gt;", "*b* `c` _d_", "ش" * 9000]
CONTROL = re.compile(r"<(?!!date\^\d+\^\{date_num\} \{time\}\|\d{4}-\d\d-\d\d \d\d:\d\d UTC>)")


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=200)
    | st.sampled_from(["<!channel> <@U1> <https://evil.test|AWS>", "&lt;!here&gt;", "*b* `c` _d_", "ش" * 9000])
)
def test_whatever_things_are_called_slack_takes_it_for_text_and_within_its_limits(text: str) -> None:
    for kind in (Kind.TASK_FAILED, Kind.NODE_COMPLETED, Kind.CLUSTER_UNREACHABLE, Kind.STAGE_FAILED):
        message = news(kind)
        event = message.event
        nodes = tuple(f"{text}-{number}" for number in range(300))
        task = event.task and replace(
            event.task,
            target=text,
            fail_message=text * 20,
            nodes=replace(event.task.nodes, total=700, completed=nodes, in_flight=nodes),
        )
        spoilt = replace(event, cluster=replace(event.cluster, name=text, project=text), task=task, node=event.node and text)
        message = replace(message, event=spoilt, title=text, summary=text * 10, earlier=(spoilt,) * 40)
        card = Card(Words())
        for blocks in (card.root(message), card.reply(message)):
            assert refusal({"text": card.fallback(message), "blocks": blocks}) is None
            assert not any(CONTROL.search(each) for each in _marked(blocks))
        assert "<" not in card.fallback(message)


def _marked(value: Any) -> list[str]:
    """Every text in which Slack looks for instructions."""
    if isinstance(value, dict):
        own = [value["text"]] if value.get("type") == "mrkdwn" else []
        return own + [text for each in value.values() if isinstance(each, dict | list) for text in _marked(each)]
    return [text for each in value for text in _marked(each)] if isinstance(value, list) else []


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
  team: {{type: slack, token: {token}, channel: {channel}, base_url: "{url}"}}
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
    assert "sink team: the scope groups:history is missing: the same in private channels" in found.output
