"""What the Slack card says, and that Slack takes it whatever things are called and however many there are."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from block_limits import problems, texts, units
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.message import Message
from notifier.domain.model import Eta, Event, Kind, Outage, Stage, Status, TaskFacts
from notifier.domain.routing import Matcher
from notifier.domain.samples import TOLD_AT, sample
from notifier.domain.silences import Silence
from notifier.domain.words import Words
from notifier.sinks.desk import Standing
from notifier.sinks.slack_blocks import cut, escaped
from notifier.sinks.slack_board import blocks_of, lines_of
from notifier.sinks.slack_card import Card
from notifier.sources.upgrades import STAGES


def news(kind: Kind, **changes: Any) -> Message:
    return replace(sample(kind, mark=None), **changes)


def task_of(message: Message, **changes: Any) -> TaskFacts:
    assert message.event.task is not None
    return replace(message.event.task, **changes)


def about(message: Message, task: TaskFacts) -> Message:
    return replace(message, event=replace(message.event, task=task))


def said(blocks: list[dict[str, Any]]) -> str:
    return "\n".join(texts(blocks))


def plan_of(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    return next(block for block in blocks if block["type"] == "plan")


def silence(author: str = "Lin", *, reminders_only: bool = True, hours: float = 1, reason: str = "on it") -> Silence:
    return Silence("s", Matcher(), TOLD_AT, TOLD_AT + timedelta(hours=hours), author, reason, None, reminders_only)


def test_the_stages_of_the_node_at_work_are_told_one_by_one() -> None:
    plan = plan_of(Card(Words()).root(news(Kind.STAGE_FAILED)))
    assert plan["title"] == "css-sample-ess-esn-2-1: 4 of 9 stages"
    assert [step["status"] for step in plan["tasks"]] == ["complete"] * 4 + ["error"] + ["pending"] * 4
    assert plan["tasks"][0]["title"] == "Data migration · 2 min"


def test_a_workspace_without_plans_reads_the_same_stages_as_lines() -> None:
    blocks = Card(Words()).root(news(Kind.STAGE_FAILED), native=False)
    assert not any(block["type"] == "plan" for block in blocks)
    assert ":white_check_mark: Data migration · 2 min" in said(blocks)
    assert ":x: Node replacement" in said(blocks)
    assert ":white_small_square: Cluster joining" in said(blocks)


@pytest.mark.parametrize("native", [True, False])
def test_stages_are_called_what_the_reader_calls_them(native: bool) -> None:
    words = said(Card(Words("zh")).root(news(Kind.STAGE_FAILED), native=native))
    assert "数据迁移 · 2 分钟" in words
    assert "节点替换" in words
    assert not {stage.name for stage in STAGES} & set(re.split(r"\n| · |: ", words))


def test_of_many_stages_the_lines_show_those_around_the_one_at_work() -> None:
    stages = tuple(Stage(n, f"stage {n}", Status.SUCCESS if n < 30 else Status.WAITING) for n in range(40))
    message = news(Kind.NODE_COMPLETED)
    words = said(Card(Words()).root(about(message, task_of(message, stages=stages)), native=False))
    assert "stage 19\n" in words
    assert "stage 38\n" in words
    assert "stage 5\n" not in words
    assert "and 20 more" in words


def test_a_stage_at_work_says_what_it_is_and_an_unknown_status_is_shown_as_it_is() -> None:
    stages = (Stage(0, "Move", Status.RUNNING, "Data is moved."), Stage(1, "Think", "PONDERING"))
    message = news(Kind.NODE_COMPLETED)
    blocks = Card(Words()).root(about(message, task_of(message, stages=stages)))
    first, second = plan_of(blocks)["tasks"]
    assert "Data is moved." in str(first["details"])
    assert (second["title"], second["status"]) == ("Think (PONDERING)", "pending")
    assert ":grey_question: Think (PONDERING)" in said(
        Card(Words()).root(about(message, task_of(message, stages=stages)), native=False)
    )


def test_an_event_from_an_earlier_version_has_no_stages_and_a_card_all_the_same() -> None:
    message = news(Kind.NODE_COMPLETED)
    blocks = Card(Words()).root(about(message, task_of(message, stages=(), current_node=None)))
    assert not any(block["type"] == "plan" for block in blocks)
    assert "Running" in said(blocks)


def test_it_says_how_long_it_runs_and_when_it_will_end() -> None:
    message = news(Kind.NODE_COMPLETED)
    at = message.event.observed_at
    eta = Eta(at + timedelta(hours=1), at + timedelta(hours=2), "2 finished nodes")
    words = said(Card(Words()).root(replace(message, event=replace(message.event, eta=eta))))
    assert "30 min 4 s so far" in words
    assert f":dart: Expected to end between <!date^{int(eta.earliest.timestamp())}^" in words
    assert "judging by 2 finished nodes" in words
    over = said(Card(Words()).root(news(Kind.TASK_SUCCEEDED)))
    assert "took 3 h" in over
    assert ":dart:" not in over


@pytest.mark.parametrize("kind", [Kind.TASK_STARTED, Kind.TASK_FAILED])
def test_what_is_not_known_is_not_shown(kind: Kind) -> None:
    message = news(kind)
    bare = about(message, task_of(message, started_at=None, ended_at=None, target=None, fail_message=None))
    words = said(Card(Words()).root(replace(bare, event=replace(bare.event, progress=None))))
    assert "None" not in words
    assert "so far" not in words
    assert "sample-cluster · upgrade\n" in words
    assert "▓" not in words


def test_who_acknowledged_and_who_muted_is_shown_by_name() -> None:
    message = news(Kind.TASK_FAILED)
    held = [silence("*Lin* <!here>"), silence("Ma", reminders_only=False, hours=2), silence("Ma", hours=2)]
    words = said(Card(Words()).root(message, silences=held))
    assert ":eyes: acknowledged by \u200b*Lin\u200b* &lt;!here&gt;: no reminders until <!date^" in words
    assert words.count("Ma") == 1
    assert ":mute: muted by Ma until <!date^" in words


def test_buttons_are_there_only_if_somebody_listens() -> None:
    def actions(card: Card, kind: Kind) -> list[str]:
        row = card.root(news(kind))[-1]["elements"]
        return [element.get("action_id", element.get("url")) for element in row]

    console = "https://console.huaweicloud.com/css/?region=cn-north-4"
    assert actions(Card(Words(), "http://page"), Kind.CLUSTER_UNREACHABLE) == [console, "http://page"]
    task = "http://page/tasks/5a3b1e00-0000-4000-8000-000000000001/UPGRADING/5a3b1e00-0000-4000-8000-0000000000aa"
    assert actions(Card(Words(), "http://page"), Kind.TASK_FAILED) == [console, task]
    listening = Card(Words(), listens=True)
    assert actions(listening, Kind.NODE_COMPLETED) == ["mute", "explain", console]
    assert actions(listening, Kind.TASK_STALLED) == ["acknowledge", "mute", "explain", console]
    assert actions(listening, Kind.TASK_FAILED) == ["acknowledge", "mute", "explain", console]
    assert actions(listening, Kind.CLUSTER_UNREACHABLE) == ["acknowledge", "mute", "explain", console]
    assert actions(listening, Kind.TASK_SUCCEEDED) == ["explain", console]
    assert listening.root(news(Kind.TASK_FAILED))[-1]["elements"][0]["value"] == news(Kind.TASK_FAILED).event.id


def test_a_card_about_a_sink_leads_to_no_cluster() -> None:
    message = news(Kind.SINK_FAILING)
    blocks = Card(Words(), "https://status.example.com").root(message)
    assert [each["url"] for each in blocks[-1]["elements"]] == ["https://status.example.com"]
    assert blocks[-2]["elements"][0]["text"].startswith("data as of ")
    assert problems(Card(Words()).root(message)) == []
    assert "actions" not in {block["type"] for block in Card(Words()).root(message)}, "Slack refuses a row without buttons"


def test_a_message_that_is_no_news_says_so_in_a_sentence() -> None:
    assert "This is a drill; nothing has happened." in said(Card(Words()).root(news(Kind.TASK_FAILED, mark="DRILL")))


def test_it_speaks_chinese_and_says_what_was_merged_skipped_late_and_a_reminder() -> None:
    message = news(
        Kind.TASK_FAILED,
        earlier=(sample(Kind.NODE_STARTED).event,) * 12,
        skipped=3,
        late_by=timedelta(hours=2),
        reminder=2,
        mark="DRILL",
    )
    words = said(Card(Words("zh"), listens=True).root(message))
    for part in ("【演练】", "失败", "12 条", "3 条消息未能送达", "延迟 2 小时", "第 2 次提醒", "升级到", "静默"):
        assert part in words, part


@given(st.text(max_size=60), st.integers(1, 40))
def test_what_is_cut_fits_and_never_breaks_an_escape(text: str, longest: int) -> None:
    assert units(cut(text, longest)) <= longest
    assert units(escaped(text, longest)) <= longest
    assert re.fullmatch(r"(?:[^&<>]|&amp;|&lt;|&gt;)*", escaped(text, longest))


def test_what_fits_is_not_cut() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 3) == "ab…"
    assert cut("😀😀", 4) == "😀😀"
    assert cut("😀😀", 3) == "😀…"
    assert escaped("<>", 8) == "&lt;&gt;"
    assert escaped("<>", 7) == "&lt;…"
    assert cut("\n" * 100 + "x", 5) == " …"
    assert cut("\u202e" * 100 + "x", 5) == "…"


HOSTILE = [
    "<!channel> <@U1> <https://evil.test|AWS>",
    "&lt;!here&gt;",
    "*b* `c` _d_",
    "ش" * 10_000,
    "\u202eevil" * 50,
    "👩\u200d🚒" * 4_000,
    "&" * 10_000,
    "节点" * 300,
]
CONTROL = re.compile(r"<(?!!date\^\d+\^\{date_num\} \{time\}\|\d{4}-\d\d-\d\d \d\d:\d\d UTC>)")
KINDS = (Kind.TASK_FAILED, Kind.NODE_COMPLETED, Kind.CLUSTER_UNREACHABLE, Kind.STAGE_FAILED)


def spoilt(kind: Kind, text: str) -> Message:
    """A message in which everything that others name is called like that: 300 nodes, 40 stages with long descriptions."""
    message = news(kind)
    event = message.event
    nodes = tuple(f"{text}-{number}" for number in range(300))
    stages = tuple(
        Stage(n, text, Status.RUNNING if n % 2 else text, (text or "x") * (10_000 // (len(text) or 1))) for n in range(40)
    )
    task = event.task and replace(
        event.task,
        target=text,
        fail_message=text * 20,
        nodes=replace(event.task.nodes, total=700, completed=nodes, in_flight=nodes),
        current_node=text,
        stages=stages,
    )
    eta = Eta(event.observed_at, event.observed_at, text)
    whole = replace(event, cluster=replace(event.cluster, name=text, project=text), task=task, node=event.node and text, eta=eta)
    return replace(message, event=whole, title=text, summary=text * 10, earlier=(whole,) * 40, reminder=1, skipped=9)


def checked(message: Message, name: str) -> None:
    held = [silence(name, reminders_only=only, reason=name, hours=hours) for hours in range(3) for only in (True, False)]
    for card in (Card(Words(), "http://page/" + "x" * 4000, listens=True), Card(Words("zh"))):
        for blocks in (
            card.root(message, note="deleted", silences=held),
            card.root(message, silences=held, native=False),
            card.reply(message),
        ):
            assert problems(blocks) == []
            assert not any(CONTROL.search(each) for each in marked(blocks))
        assert "<" not in card.fallback(message)
        assert 0 < units(card.fallback(message)) <= 3000


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:8]))
@pytest.mark.parametrize("kind", [Kind.TASK_FAILED, Kind.CLUSTER_UNREACHABLE])
def test_300_nodes_and_40_stages_with_hostile_names_stay_within_the_limits(kind: Kind, text: str) -> None:
    checked(spoilt(kind, text), text)


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=120), st.sampled_from(KINDS))
def test_whatever_things_are_called_slack_takes_it_for_text(text: str, kind: Kind) -> None:
    checked(spoilt(kind, text), text)


def marked(value: Any) -> list[str]:
    """Every text in which Slack looks for instructions."""
    if isinstance(value, dict):
        own = [value["text"]] if value.get("type") == "mrkdwn" else []
        return own + [text for each in value.values() if isinstance(each, dict | list) for text in marked(each)]
    return [text for each in value for text in marked(each)] if isinstance(value, list) else []


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "151 characters"),
        ([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}], "type mrkdwn"),
        ([{"type": "section", "text": {"type": "mrkdwn", "text": ""}}], "0 characters"),
        ([{"type": "section"}], "neither"),
        ([{"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}], "number of fields"),
        ([{"type": "context", "elements": []}], "number of elements"),
        ([{"type": "plan", "title": "x", "tasks": []}], "task_id"),
        ([{"type": "rich_text"}], "no such block"),
        ([{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 2999}}] * 4, "in all"),
        ([{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}]}] * 51, "51 blocks"),
    ],
)
def test_the_checker_finds_what_slack_would_refuse(blocks: list[dict[str, Any]], problem: str) -> None:
    assert problem in " ".join(problems(blocks))


def test_a_stall_is_said_on_the_card_of_a_task_that_runs() -> None:
    words = said(Card(Words()).root(news(Kind.TASK_STALLED)))
    assert "*Running*" in words
    assert ":warning: Upgrade makes no progress (1 of 3 nodes, 33%): stage 0" in words
    assert words.count("makes no progress") == 1
    assert "FAILED (1" not in said(Card(Words()).root(news(Kind.TASK_FAILED)))


def test_the_event_that_is_shown_is_told_in_its_own_words() -> None:
    event: Event = news(Kind.NODE_COMPLETED).event
    assert event.node is not None
    assert "Node css-sample-ess-esn-1-1 completed" in said(Card(Words()).root(news(Kind.NODE_COMPLETED)))


@pytest.mark.parametrize("name", ["search", *HOSTILE], ids=lambda text: ascii(text[:8]))
def test_a_board_of_many_clusters_stays_within_the_limits(name: str) -> None:
    running, failed = news(Kind.NODE_COMPLETED).event, news(Kind.TASK_FAILED).event
    outage = Outage(TOLD_AT, name, name)
    standings = [
        Standing(
            replace(event.cluster, name=name), ((event.task.action, event.task, 0.4),), outage if number == 3 else None, TOLD_AT
        )
        for number, event in enumerate([running, failed] * 17)
        if event.task is not None
    ]
    over = replace(running, task=task_of(news(Kind.TASK_SUCCEEDED)))
    assert over.task is not None
    standings.append(Standing(over.cluster, ((over.task.action, over.task, 1.0),), None, TOLD_AT))
    for words, more in ((Words(), "and 5 more"), (Words("zh"), "另有 5 个")):
        card = Card(words)
        lines = lines_of(standings, card)
        assert len(lines) == 35
        blocks = blocks_of(lines, card)
        assert problems(blocks) == []
        assert not any(CONTROL.search(each) for each in marked(blocks))
        assert more in said(blocks)
    assert "Nothing is under way." in said(blocks_of([], Card(Words())))
