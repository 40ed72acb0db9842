"""The picture of a timeline: well-formed whatever the names are, readable without colour, and never too large."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timeline_stories import Story, at, failed_and_retried, under_way

from notifier.domain.model import Cluster, Kind
from notifier.domain.node_rows import Bar, Outcome, Row
from notifier.domain.timeline import Timeline, timeline
from notifier.domain.words import Words
from notifier.report.axis import Axis
from notifier.report.choice import MOST_ROWS, chosen
from notifier.report.pen import INKS, fitted, stylesheet, wide
from notifier.report.picture import NARROW, WIDTH, picture

SVG = "{http://www.w3.org/2000/svg}"


def laid_out(story: Story, minute: float = 130) -> Timeline:
    line = timeline(story.events, at(minute))
    assert line is not None
    return line


def read(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - we made it ourselves a moment ago


def drawn(line: Timeline, words: Words | None = None, **options: Any) -> ET.Element:
    return read(picture(line, words or Words(), **options))


def texts(svg: ET.Element, tag: str = "text") -> list[str]:
    return [element.text or "" for element in svg.iter(SVG + tag)]


def inks(svg: ET.Element) -> set[str]:
    return {element.get("class", "") for element in svg.iter()} - {""}


def many(nodes: int, stages: int) -> Timeline:
    story, minute = Story().begin(), 0.0
    for number in range(nodes):
        story.node(f"css-prod-ess-esn-{number + 1}-1", minute, minute + 15, tuple(range(stages)))
        minute += 15
    return laid_out(story, minute)


def test_a_failed_and_retried_upgrade_shows_all_that_happened() -> None:
    svg = drawn(laid_out(failed_and_retried()))
    said = texts(svg)
    assert said[0] == "search-prod · upgrade to 7.10.2"
    assert "succeeded after 1 h 50 min · 3 of 3 nodes · 2 attempts" in said[1]
    assert {"node-a", "node-b", "node-c", "attempt 1 · failed", "attempt 2 · succeeded", "12 min"} <= set(said)
    assert any("node-b · 4 stage 4 · the port is taken" in text for text in said)
    assert {"tl-failed", "tl-unseen", "tl-stall", "tl-outage", "tl-retry"} <= inks(svg)
    tips = texts(svg, "title")
    assert "no progress 12 min" in tips
    assert any("4 stage 4 · failed · 6 min · 2026-03-01 08:34:00 UTC" in tip for tip in tips)
    assert any(tip.startswith("no data 12 min · server: HTTP 503") for tip in tips)


def test_a_task_under_way_shows_now_what_is_expected_and_what_nobody_saw() -> None:
    svg = drawn(laid_out(under_way(), 40))
    assert {"now", "before the watch began", "stages not seen"} <= set(texts(svg))
    assert "30 min" not in texts(svg), "how long the node took that was done before nobody knows"
    assert {"tl-now", "tl-eta", "tl-running"} <= inks(svg)
    assert not {"tl-failed", "tl-retry"} & inks(svg)


def test_what_vanished_is_no_success_and_no_failure() -> None:
    svg = drawn(laid_out(Story().begin().tell(Kind.NODE_STARTED, 1, "node-a").tell(Kind.TASK_VANISHED, 50)))
    assert "no longer listed after 50 min" in texts(svg)[1]
    assert "tl-sign-quiet" in inks(svg)
    assert not {"tl-sign-good", "tl-sign-bad"} & inks(svg)


def test_what_failed_is_hatched_so_that_no_colour_is_needed() -> None:
    text = picture(laid_out(failed_and_retried()), Words())
    svg = read(text)
    (pattern,) = svg.iter(SVG + "pattern")
    hatched = [element for element in svg.iter(SVG + "rect") if element.get("fill") == f"url(#{pattern.get('id')})"]
    failed = [element for element in svg.iter(SVG + "rect") if element.get("class") == "tl-failed"]
    assert len(hatched) == len(failed) >= 3
    assert all("stroke-dasharray" in INKS[name].more for name in ("unseen", "eta", "retry"))


def test_a_part_of_a_page_needs_nothing_that_a_strict_page_refuses() -> None:
    text = picture(laid_out(failed_and_retried()), Words(), alone=False)
    assert "style=" not in text
    assert "<style" not in text
    assert "<script" not in text
    assert "href" not in text
    assert "tl-paper" not in text
    assert "<style" in picture(laid_out(failed_and_retried()), Words())


def test_two_pictures_on_one_page_keep_their_patterns_apart() -> None:
    line = laid_out(failed_and_retried())
    other = replace(line, task=replace(line.task, id="another"))
    names = {next(drawn(each).iter(SVG + "pattern")).get("id") for each in (line, other)}
    assert len(names) == 2


def test_the_sheet_of_styles_colours_every_class_for_the_dark() -> None:
    sheet = stylesheet()
    assert "prefers-color-scheme: dark" in sheet
    assert all(f".tl-{name}{{" in sheet for name in INKS)


def test_it_speaks_chinese_in_the_readers_zone() -> None:
    said = texts(drawn(laid_out(failed_and_retried()), Words("zh", ZoneInfo("Asia/Shanghai"))))
    assert said[0] == "search-prod · 升级到 7.10.2"
    assert {"CST", "整个任务", "第 1 次执行 · 失败", "失败", "未观测到阶段"} <= set(said)
    assert "16:00" in said


def test_stages_have_their_names_in_the_bars_the_failures_and_the_legend() -> None:
    story = failed_and_retried()
    named = {0: "Data migration", 12: "Node information update"}
    for place, event in enumerate(story.events):
        if event.stage is not None:
            story.events[place] = replace(event, stage=replace(event.stage, name=named.get(event.stage.order, "Node creation")))
    svg = drawn(laid_out(story), Words("zh"))
    said = " ".join(texts(svg) + texts(svg, "title"))
    assert "数据迁移" in said
    assert not [name for name in (*named.values(), "Node creation") if name in said]


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=400), st.text(max_size=60))
def test_a_hostile_name_stays_text(name: str, prose: str) -> None:
    story = Story().begin().tell(Kind.NODE_STARTED, 1, name)
    story.tell(Kind.STAGE_FAILED, 5, name, stage=(0, 1, 5), message=prose)
    story.tell(Kind.NODE_FAILED, 5, name, message=prose).tell(Kind.TASK_FAILED, 5, message=prose)
    line = laid_out(story)
    cluster = Cluster("c", f"{name}<script>alert(1)</script>", "r", prose, "p")
    svg = drawn(replace(line, cluster=cluster, task=replace(line.task, id=name, target=prose)))
    assert not list(svg.iter(SVG + "script"))
    assert {element.tag.removeprefix(SVG) for element in svg.iter()} <= {
        *("svg", "title", "desc", "style", "defs", "pattern", "path", "rect", "text", "circle")
    }


@pytest.mark.parametrize("width", [WIDTH, NARROW])
@pytest.mark.parametrize(("nodes", "stages"), [(1, 1), (1, 40), (24, 13), (30, 40), (300, 9)])
def test_from_one_node_to_hundreds_it_stays_small_and_on_the_page(nodes: int, stages: int, width: float) -> None:
    text = picture(many(nodes, stages), Words(), width=width)
    assert len(text) < 200_000
    svg = read(text)
    height = float(svg.get("height", 0))
    assert height < 1800
    assert svg.get("viewBox") == f"0 0 {width:g} {height:g}"
    for box in svg.iter(SVG + "rect"):
        x, y, broad, tall = (float(box.get(name, 0)) for name in ("x", "y", "width", "height"))
        assert x >= 0 <= y
        assert x + broad <= width
        assert y + tall <= height
    assert max(float(text.get("y", 0)) for text in svg.iter(SVG + "text")) < height
    rows = [text for text in texts(svg) if text.startswith("css-") and text.endswith("-1")]
    assert len(rows) == min(nodes, MOST_ROWS)
    assert any(text.startswith(f"and {nodes - MOST_ROWS} more nodes: ") for text in texts(svg)) == (nodes > MOST_ROWS)


@pytest.mark.parametrize("words", [Words("en"), Words("zh")], ids=["en", "zh"])
def test_in_a_mail_nothing_is_written_over_the_edge_or_cut_that_matters(words: Words) -> None:
    """It is shown 590 pixels wide: twice as wide as that, and nobody could read the legend."""
    story, message = failed_and_retried(), "NodeReplaceTask-fail: the node did not join the cluster within an hour"
    for place, event in enumerate(story.events):
        if event.task is not None and event.task.fail_message:
            story.events[place] = replace(event, task=replace(event.task, fail_message=message))
    svg = drawn(laid_out(story), words, width=NARROW)
    sizes = {"title": 18.0, "text": 12.0, "quiet": 12.0}
    for text in svg.iter(SVG + "text"):
        if text.get("text-anchor") is None:
            size = sizes.get(text.get("class", "").removeprefix("tl-"), 10.5)
            assert float(text.get("x", 0)) + wide(text.text or "", size) <= NARROW, text.text
    said = texts(svg)
    assert any(text.endswith("node-b · 4 stage 4") for text in said), "what failed"
    assert any(text.startswith("NodeReplaceTask-fail: the node") for text in said)
    assert any(text.startswith("2026-03-01 08:00:00 UTC → ") for text in said)
    assert 10.5 * 590 / NARROW > 9


def test_slim_stages_are_drawn_as_one_that_says_how_far_it_goes() -> None:
    tips = texts(drawn(many(30, 40)), "title")
    assert any(tip.startswith("0 stage 0 to 39 stage 39 · succeeded · 15 min") for tip in tips)
    text = picture(laid_out(Story().begin().node("a", 0, 1, (0, 1)).tell(Kind.NODE_STARTED, 1, "b"), 50_000), Words())
    assert "0 stage 0 to 1 stage 1" in text


def test_a_stall_is_named_where_there_is_room_for_it() -> None:
    story = Story().begin().tell(Kind.TASK_STALLED, 40).tell(Kind.TASK_RESUMED, 41).tell(Kind.TASK_STALLED, 129)
    said = texts(drawn(laid_out(story)))
    assert "no progress 1 min" in said
    assert "no progress 1 min 0 s" not in said


def test_a_retry_of_a_few_seconds_is_still_seen() -> None:
    story = Story().begin().tell(Kind.TASK_FAILED, 600).tell(Kind.TASK_RETRIED, 600.1).tell(Kind.TASK_SUCCEEDED, 600.2)
    widths = [float(box.get("width", 0)) for box in drawn(laid_out(story)).iter(SVG + "rect")]
    assert min(widths) > 1


def rows(outcomes: Iterable[tuple[Outcome, float | None]]) -> list[Row]:
    found = []
    for number, (outcome, length) in enumerate(outcomes):
        ended = None if length is None else at(length)
        bar = Bar("", None, at(0), ended, outcome, 1)
        found.append(Row(f"n{number}", (bar,), at(0), ended, outcome))
    return found


def test_of_too_many_nodes_those_in_trouble_and_the_slowest_are_drawn_in_their_order() -> None:
    usual: list[tuple[Outcome, float | None]] = [(Outcome.SUCCEEDED, 10.0)] * (MOST_ROWS + 9)
    usual[3], usual[50], usual[68] = (Outcome.SUCCEEDED, 90.0), (Outcome.FAILED, 5.0), (Outcome.RUNNING, None)
    shown, hidden = chosen(rows(usual))
    assert [row.node for row in shown if row.node in {"n3", "n50", "n68"}] == ["n3", "n50", "n68"]
    assert (len(shown), len(hidden)) == (MOST_ROWS, 9)
    assert chosen(shown) == (shown, [])


@pytest.mark.parametrize(
    ("minutes", "marks"),
    [
        (0, ["08:00", "08:01"]),
        (8, ["08:00", "08:01", "08:02", "08:03", "08:04", "08:05", "08:06", "08:07", "08:08"]),
        (100, ["08:00", "08:15", "08:30", "08:45", "09:00", "09:15", "09:30"]),
        (60 * 24 * 3, ["12:00", "00:00", "12:00", "00:00", "12:00", "00:00"]),
    ],
)
def test_marks_stand_at_round_times(minutes: float, marks: list[str]) -> None:
    axis = Axis(at(0), at(minutes), 0, 860)
    assert [tick.clock for tick in axis.ticks(UTC, 92)] == marks


def test_the_date_stands_where_it_is_a_new_one() -> None:
    ticks = list(Axis(at(0), at(60 * 24), 0, 860).ticks(UTC, 92))
    assert [(tick.clock, tick.date) for tick in ticks if tick.date] == [("09:00", "2026-03-01"), ("00:00", "2026-03-02")]


def test_hours_are_round_in_a_zone_of_half_hours_and_over_a_change_to_summer_time() -> None:
    kolkata = [tick.clock for tick in Axis(at(0), at(300), 0, 860).ticks(ZoneInfo("Asia/Kolkata"), 92)]
    assert kolkata[0] == "14:00"
    night = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)
    berlin = [tick.clock for tick in Axis(night, night + timedelta(hours=4), 0, 460).ticks(ZoneInfo("Europe/Berlin"), 92)]
    assert berlin == ["01:00", "03:00", "04:00", "05:00"]


def test_a_task_longer_than_any_step_still_has_a_mark() -> None:
    assert list(Axis(at(0), at(60 * 24 * 4000), 0, 100).ticks(UTC, 92))


@given(st.text(max_size=80), st.floats(20, 300))
def test_a_text_that_is_cut_fits_and_keeps_its_end(text: str, width: float) -> None:
    cut = fitted(text, 12, width)
    assert wide(cut, 12) <= width or len(cut) <= 2
    assert cut == fitted(cut, 12, max(width, wide(cut, 12)))
