"""In which words a sink speaks: every kind in every language, in the reader's time zone."""
# ruff: noqa: RUF001 - Chinese has punctuation of its own

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain import phrases_zh
from notifier.domain.errors import DeliveryReason, FetchReason
from notifier.domain.model import STAGE_STATUSES, TASK_STATUSES, Action, Kind, Severity, Stage
from notifier.domain.phrases import Labels
from notifier.domain.render import payload, summary
from notifier.domain.samples import FAIL_MESSAGE, sample, samples
from notifier.domain.words import LANGUAGES, Language, Words
from notifier.sources.upgrades import STAGES

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHANGHAI = Words("zh", ZoneInfo("Asia/Shanghai"))


def test_moments_are_shown_in_the_zone_of_the_reader() -> None:
    assert Words().moment(NOON) == "2026-03-01 12:00:00 UTC"
    assert SHANGHAI.moment(NOON) == "2026-03-01 20:00:00 CST"


def test_a_language_is_one_that_can_be_configured() -> None:
    assert set(LANGUAGES) == set(get_args(Language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_words_in_every_language(language: Language) -> None:
    lacking = [kind.value for kind in Kind if kind not in LANGUAGES[language].tellings]
    assert not lacking, f"phrases_{language} has no words for {lacking}: add a Telling for each"
    for kind in Kind:
        message = sample(kind, words=Words(language))
        assert message.title.startswith(message.event.cluster.name)
        assert message.summary
        assert not re.search("[{}]|None|  ", f"{message.title} {message.summary}")


@pytest.mark.parametrize("kind", Kind)
def test_chinese_is_chinese_but_for_names_that_are_not_ours(kind: Kind) -> None:
    # Only our own words are left once what strangers said is taken out.
    message = sample(kind, words=SHANGHAI)
    event = message.event
    names = [event.cluster.name, event.cluster.id, event.cluster.region, event.cluster.project, event.node]
    names += ["CST", "API", "ID", "HTTP", "MB", "indices.recovery.max_bytes_per_sec"]
    if event.task:
        names += [event.task.target, event.task.fail_message, event.task.id, *event.task.nodes.in_flight]
    if event.sink:
        names += [event.sink.name, "the token is not valid"]
    said = " ".join([message.title, message.summary, *(f"{label} {value}" for label, value in message.facts)])
    for name in sorted(filter(None, names), key=len, reverse=True):
        said = said.replace(name, "")
    assert re.findall("[A-Za-z]+", said) == []


@pytest.mark.parametrize(
    ("kind", "title", "summary"),
    [
        (Kind.TASK_STARTED, "升级已开始", "升级（目标 7.10.2_22.5.1_1230）已开始（已完成 0/3 个节点，0%）。"),
        (
            Kind.TASK_FAILED,
            "升级失败",
            f"升级失败（已完成 1/3 个节点，33%），失败信息：“{FAIL_MESSAGE}”。请人工选择：重试或终止。",
        ),
        (Kind.TASK_RETRIED, "升级已重试", "升级已重试，当前为第 2 次执行（已完成 1/3 个节点，33%）。"),
        (Kind.NODE_COMPLETED, "节点升级完成", "节点 css-sample-ess-esn-1-1 已完成升级（已完成 1/3 个节点，33%）。"),
        (Kind.STAGE_SUCCEEDED, "阶段成功", "节点 css-sample-ess-esn-1-1：阶段 0“数据迁移”成功，耗时 6 分钟。"),
        (Kind.CLUSTER_UNREACHABLE, "无法监控", "自 2026-03-01 15:25:00 CST 起无法获取数据（服务端错误：HTTP 503）。"),
        (Kind.CLUSTER_RECOVERED, "监控已恢复", "已重新获取到数据，中断 15 分钟。"),
        (
            Kind.SINK_FAILING,
            "通知渠道 sample-sink 故障",
            (
                "自 2026-03-01 15:35:00 CST 起无法通过通知渠道 sample-sink 发送通知"
                "（认证被拒绝：HTTP 401，对方应答：“the token is not valid”）。7 条消息等待发送。"
            ),
        ),
        (
            Kind.SINK_RECOVERED,
            "通知渠道 sample-sink 已恢复",
            (
                "通知渠道 sample-sink 已恢复，中断 10 分钟。积压的 7 条消息将陆续发送。"
                "有 3 条较早的消息按任务合并发送。2 条消息已放弃。"
            ),
        ),
    ],
)
def test_chinese_reads_as_it_should(kind: Kind, title: str, summary: str) -> None:
    message = sample(kind, words=SHANGHAI)
    assert message.title == f"{message.event.cluster.name}：{title}"
    assert message.summary == summary


def test_an_az_migration_and_a_task_found_running_have_chinese_words() -> None:
    event = sample(Kind.TASK_STARTED).event
    assert event.task is not None
    found = replace(event, catch_up=True, task=replace(event.task, action=Action.AZ_MIGRATION, target="cn-north-4c"))
    assert SHANGHAI.title(found) == "sample-cluster：可用区切换进行中"
    assert SHANGHAI.summary(found) == "可用区切换（目标 cn-north-4c）正在进行（已完成 0/3 个节点，0%）。"


def test_a_sink_that_left_while_it_failed_has_words_in_both_languages() -> None:
    event = sample(Kind.SINK_RECOVERED).event
    assert event.sink is not None
    gone = replace(event, sink=replace(event.sink, reason="removed", detail="the sink is no longer in the configuration"))
    assert SHANGHAI.title(gone) == "notifier：通知渠道 sample-sink 已移除"
    assert SHANGHAI.summary(gone) == (
        "通知渠道 sample-sink 已从配置中移除；移除前，自 2026-03-01 15:45:00 CST 起一直处于故障状态。2 条消息已放弃。"
    )
    assert "no longer in the configuration" in Words().summary(gone)


def test_facts_are_labelled_in_the_language_of_the_reader() -> None:
    facts = dict(sample(Kind.STAGE_FAILED, words=SHANGHAI).facts)
    assert (facts["操作"], facts["状态"], facts["节点进度"], facts["阶段"]) == ("升级", "失败", "已完成 1/3", "节点替换")
    assert facts["发现时间"] == "2026-03-01 14:35:04 CST"


def holes(phrase: Any, path: str = "") -> Iterator[tuple[str, set[str]]]:
    """What each phrase of a language has to be filled in with, by where it stands."""
    if is_dataclass(phrase):
        for each in fields(phrase):
            yield from holes(getattr(phrase, each.name), f"{path}.{each.name}")
    elif isinstance(phrase, str):
        yield path, set(re.findall(r"\{(\w+)\}", phrase))


def test_both_languages_fill_in_the_same() -> None:
    # A kind may be told with other facts in one language; and one that has no word for "1 thing" needs none.
    apart = {".found.headline", ".found.summary"}
    english, chinese = (dict(holes(LANGUAGES[language])) for language in ("en", "zh"))
    assert {path for path in english if path in chinese and path not in apart and english[path] != chinese[path]} == set()
    assert {path for path in english.keys() - chinese.keys() if not path.endswith(".one")} == set()
    for language in LANGUAGES.values():
        assert set(language.around.severities) == set(Severity)
        assert set(language.around.no_news) == {"TEST", "DRILL", "REPLAY"}
        assert set(language.statuses) == STAGE_STATUSES | TASK_STATUSES


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_label_stands_twice(language: Language) -> None:
    labels = [getattr(LANGUAGES[language].labels, each.name) for each in fields(Labels)]
    assert len(set(labels)) == len(labels)


def test_chinese_knows_every_stage_status_and_reason_that_is_known_of() -> None:
    chinese = phrases_zh.CHINESE
    assert {stage.name for stage in STAGES} <= set(chinese.stages)
    assert set(chinese.statuses) == STAGE_STATUSES | TASK_STATUSES
    assert set(chinese.reasons) == set(FetchReason)
    assert set(chinese.failures) == set(DeliveryReason)


def test_what_nobody_knows_of_stays_as_it_is() -> None:
    event = sample(Kind.STAGE_FAILED).event
    strange = replace(event, stage=Stage(5, "Quantum {alignment}", "FAILED"))
    assert "阶段 5“Quantum {alignment}”失败" in SHANGHAI.summary(strange)
    assert (SHANGHAI.status("PAUSED"), SHANGHAI.stage("")) == ("PAUSED", "")


def test_spans_are_the_two_largest_units() -> None:
    assert Words().span(timedelta(hours=2, minutes=5, seconds=9)) == "2 h 5 min"
    assert SHANGHAI.span(timedelta(hours=2, minutes=5)) == "2 小时 5 分钟"
    assert (Words().span(timedelta()), SHANGHAI.span(timedelta(seconds=-1))) == ("0 s", "0 秒")


def test_the_body_for_machines_is_english_whatever_a_sink_speaks() -> None:
    for chinese, english in zip(samples(words=SHANGHAI), samples(), strict=True):
        assert payload(chinese.event) == payload(english.event)
        assert payload(chinese.event)["summary"] == english.summary != chinese.summary


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(Kind), st.sampled_from(sorted(LANGUAGES)), st.text(max_size=20), st.text(max_size=20))
def test_no_text_of_a_stranger_is_taken_for_a_template(kind: Kind, language: Language, name: str, message: str) -> None:
    event = sample(kind).event
    task = event.task and replace(event.task, fail_message=f"{{cluster.__class__}}{message}{{0}}", target="{target}")
    said = Words(language).summary(replace(event, node=f"{{{name}}}", task=task, cluster=replace(event.cluster, name=name)))
    assert said


def test_what_is_to_be_known_of_the_telling_is_said_in_the_readers_language() -> None:
    news = sample(Kind.TASK_FAILED)
    assert Words().remarks(news) == Words().earlier(news, 3) == ()
    told = replace(news, late_by=timedelta(hours=2), skipped=3, may_repeat=True, reminder=1)
    assert Words().remarks(told) == (
        "Delivered 2 h late.",
        "3 earlier messages never arrived.",
        "This may be a repeat.",
        "Reminder 1: this still lasts.",
    )
    assert SHANGHAI.remarks(told) == (
        "延迟 2 小时送达。",
        "此前有 3 条消息未能送达。",
        "此消息可能重复。",
        "第 1 次提醒：情况仍在持续。",
    )


def test_what_is_told_along_is_listed_and_what_is_left_out_is_counted() -> None:
    before = tuple(message.event for message in samples()[:3])
    news = replace(sample(Kind.TASK_FAILED), earlier=before)
    first, *rest = Words().earlier(news, 3)
    assert first == "Before this (3):"
    assert rest[0] == f"{Words().moment(before[0].time)} {Words().summary(before[0])}"
    assert SHANGHAI.earlier(news, 1)[:2] == ("此前的消息（3 条）：", "……另有 2 条")
    assert len(SHANGHAI.earlier(news, 1)) == 3


def test_a_configuration_may_say_it_in_its_own_words() -> None:
    event = sample(Kind.TASK_FAILED).event
    words = Words(given=lambda event, slot, words: f"{slot} of {event.kind} in {words.language}" if slot == "title" else None)
    assert words.title(event) == "title of task.failed in en"
    assert words.summary(event) == Words().summary(event)
    whole = Words(given=lambda *_: "so")
    assert whole.summary(event) == "so"


@pytest.mark.parametrize(
    ("basis", "said"),
    [
        ("1 finished node", "已完成的 1 个节点"),
        ("3 finished nodes", "已完成的 3 个节点"),
        ("2 finished batches of 5 nodes", "已完成的 2 批节点（每批 5 个）"),
        ("this cluster's history", "本集群的历史记录"),
        ("something new", "something new"),
    ],
)
def test_what_a_forecast_rests_on_is_said_in_the_language(basis: str, said: str) -> None:
    assert SHANGHAI.basis(basis) == said
    assert Words().basis(basis) == basis


def test_a_window_that_ends_is_told_without_a_forecast_too() -> None:
    event = sample(Kind.TASK_WINDOW_ENDING).event
    assert event.eta is not None
    told, bare = summary(event), summary(replace(event, eta=None))
    assert "expected" in told
    assert "expected" not in bare
    assert bare.startswith(told.partition("; it is")[0])
    assert summary(replace(event, task=None)) == "The change window ends."


def test_why_nobody_was_told_is_shown_as_it_is_where_it_has_no_shape_we_know() -> None:
    assert Words("zh").fate("silenced", "no shape we know") == "no shape we know"
