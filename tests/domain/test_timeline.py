"""What is drawn of a task follows from its events, and never says more than they do."""

import sys
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from test_diff_laws import by_task, events_of, tell
from upgrade_histories import History, watched

from notifier.domain.model import Event, Kind
from notifier.domain.node_rows import Outcome, Row
from notifier.domain.timeline import Timeline, timeline

sys.path.append(str(Path(__file__).parents[1] / "report"))  # Its stories are told here too.

from timeline_stories import Story, at, failed_and_retried, under_way

LAWS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
NOW = at(300)


def laid_out(story: Story, minute: float = 300) -> Timeline:
    line = timeline(story.events, at(minute))
    assert line is not None
    return line


def said(row: Row) -> list[str]:
    """The bars of a row: stage, minutes, outcome."""
    lines = []
    for bar in row.bars:
        times = [moment and (moment - at(0)) / timedelta(minutes=1) for moment in (bar.began, bar.ended)]
        began, ended = ("" if minute is None else f"{minute:g}" for minute in times)
        lines.append(f"{'-' if bar.order is None else bar.order} {began}-{ended} {bar.outcome}")
    return lines


def test_a_failed_and_retried_upgrade_is_laid_out_whole() -> None:
    line = laid_out(failed_and_retried())
    first, second, third = line.rows
    assert said(first) == ["0 1-6 succeeded", "2 6-11 succeeded", "4 11-16 succeeded", "12 16-21 succeeded"]
    assert said(second) == [
        "0 21-31 succeeded",
        "2 31-34 succeeded",
        "4 34-40 failed",
        "4 60-84 succeeded",
        "12 84-86 succeeded",
    ]
    assert said(third) == ["0 86-90 succeeded", "- 90-110 unseen"]
    assert [(attempt.number, attempt.began, attempt.ended, attempt.outcome) for attempt in line.attempts] == [
        (1, at(0), at(41), Outcome.FAILED),
        (2, at(60), at(110), Outcome.SUCCEEDED),
    ]
    assert [(failure.at, failure.node, failure.message) for failure in line.failures] == [(at(40), "node-b", "the port is taken")]
    assert [(span.began, span.ended) for span in line.stalls] == [(at(70), at(82))]
    assert [(span.began, span.ended, span.detail) for span in line.outages] == [(at(92), at(104), "server: HTTP 503")]
    assert (line.outcome, line.began, line.ended, line.until) == (Outcome.SUCCEEDED, at(0), at(110), at(110))
    assert line.unwatched is None
    assert {row.outcome for row in line.rows} == {Outcome.SUCCEEDED}


def test_what_was_over_before_anybody_looked_is_said_to_be_unseen() -> None:
    line = laid_out(under_way(), 40)
    finished, listed, beside = line.rows
    assert said(finished) == ["- 0-30 unseen"]
    assert said(listed)[-2:] == ["0 22-34 succeeded", "1 35- running"]
    assert said(beside) == ["- 0- unseen"]
    assert [row.outcome for row in line.rows] == [Outcome.SUCCEEDED, Outcome.RUNNING, Outcome.RUNNING]
    assert line.unwatched is not None
    assert (line.unwatched.began, line.unwatched.ended) == (at(0), at(30))
    assert line.eta is not None
    assert (line.outcome, line.ended, line.until) == (Outcome.RUNNING, None, at(40))


def test_a_task_that_is_followed_from_its_start_has_nothing_unwatched() -> None:
    story = Story().tell(Kind.TASK_STARTED, 0, catch_up=True)
    assert laid_out(story).unwatched is None


def test_events_of_a_cluster_alone_make_no_timeline() -> None:
    assert timeline([], NOW) is None
    assert timeline(Story().outage(1, 2, 1).events, NOW) is None


def test_now_is_never_before_what_has_happened() -> None:
    assert laid_out(Story().begin().tell(Kind.NODE_STARTED, 9, "node-a"), minute=3).now == at(9)


def test_the_end_of_a_stage_that_nobody_saw_is_where_the_next_begins() -> None:
    story = Story().begin().tell(Kind.NODE_STARTED, 1, "node-a")
    story.tell(Kind.STAGE_STARTED, 1, "node-a", stage=(0, 1, None))
    story.tell(Kind.STAGE_STARTED, 9, "node-a", stage=(1, 9, None))
    assert said(laid_out(story).rows[0]) == ["0 1-9 unseen", "1 9- running"]
    story.tell(Kind.NODE_COMPLETED, 12, "node-a")
    assert said(laid_out(story).rows[0]) == ["0 1-9 unseen", "1 9-12 unseen"]


def test_a_stall_of_a_stage_is_no_end_of_it() -> None:
    story = Story().begin().tell(Kind.STAGE_STARTED, 1, "node-a", stage=(0, 1, None))
    story.tell(Kind.TASK_STALLED, 60, "node-a", stage=(0, 1, None)).tell(Kind.TASK_STALLED, 70, "node-b", stage=(0, 1, None))
    line = laid_out(story)
    assert [said(row) for row in line.rows] == [["0 1- running"]]
    assert [(span.began, span.detail) for span in line.stalls] == [(at(60), "stage 0")]


def test_a_stage_without_times_lies_where_it_was_seen() -> None:
    story = Story().begin().tell(Kind.NODE_STARTED, 1, "node-a")
    story.tell(Kind.STAGE_STARTED, 2, "node-a", stage=(0, None, None))
    story.tell(Kind.STAGE_SUCCEEDED, 5, "node-a", stage=(0, None, None))
    assert said(laid_out(story).rows[0]) == ["0 2-5 succeeded"]


def test_a_clock_that_goes_backwards_makes_no_bar_of_negative_length() -> None:
    story = Story().begin().tell(Kind.STAGE_SUCCEEDED, 5, "node-a", stage=(0, 5, 3))
    assert said(laid_out(story).rows[0]) == ["0 5-5 succeeded"]


def test_stages_that_other_nodes_show_and_this_one_does_not_are_unseen() -> None:
    story = Story().begin().node("node-a", 0, 30, (0, 1, 2))
    story.tell(Kind.NODE_STARTED, 30, "node-b")
    story.tell(Kind.STAGE_SUCCEEDED, 50, "node-b", stage=(1, 40, 50)).tell(Kind.NODE_COMPLETED, 60, "node-b")
    assert said(laid_out(story).rows[1]) == ["- 30-40 unseen", "1 40-50 succeeded", "- 50-60 unseen"]


def test_a_retry_that_keeps_stages_has_no_gap_before_the_first_of_its_own() -> None:
    second = laid_out(failed_and_retried()).rows[1]
    assert [bar.order for bar in second.bars if bar.attempt == 2] == [4, 12]


def test_a_node_that_nobody_saw_at_work_was_at_work_after_the_one_before() -> None:
    story = Story().begin().node("node-a", 1, 10).tell(Kind.NODE_COMPLETED, 30, "node-b")
    assert said(laid_out(story).rows[1]) == ["- 10-30 unseen"]
    alone = Story().begin().tell(Kind.NODE_COMPLETED, 30, "node-b")
    assert said(laid_out(alone).rows[0]) == ["- 0-30 unseen"]


def test_a_node_completed_in_an_attempt_that_nobody_saw_it_begin_is_unseen_from_there() -> None:
    story = Story().begin().tell(Kind.NODE_STARTED, 1, "node-a").tell(Kind.NODE_FAILED, 5, "node-a").tell(Kind.TASK_FAILED, 5)
    story.tell(Kind.TASK_RETRIED, 20).tell(Kind.NODE_COMPLETED, 40, "node-a")
    (row,) = laid_out(story).rows
    assert said(row) == ["- 1-5 unseen", "- 20-40 unseen"]
    assert row.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(("kind", "outcome"), [(Kind.TASK_FAILED, Outcome.FAILED), (Kind.TASK_PARTIALLY_FAILED, Outcome.FAILED)])
def test_a_failure_without_a_failed_stage_is_said_of_the_node_or_the_task(kind: Kind, outcome: Outcome) -> None:
    story = Story().begin().tell(Kind.NODE_STARTED, 1, "node-a").tell(Kind.STAGE_SUCCEEDED, 5, "node-a", stage=(0, 1, 5))
    of_task = laid_out(Story(list(story.events)).tell(kind, 9, message="quota"))
    assert [(failure.node, failure.message) for failure in of_task.failures] == [(None, "quota")]
    assert of_task.rows[0].outcome is Outcome.UNSEEN
    of_node = laid_out(story.tell(Kind.NODE_FAILED, 9, "node-a").tell(kind, 9))
    assert [failure.node for failure in of_node.failures] == ["node-a"]
    assert of_node.rows[0].outcome is outcome
    assert of_node.outcome is outcome


def test_a_reason_that_is_given_only_once_the_task_has_failed_is_told_of_the_stage() -> None:
    story = Story().begin().tell(Kind.STAGE_FAILED, 5, "node-a", stage=(0, 1, 5)).tell(Kind.TASK_FAILED, 6, message="quota")
    story.tell(Kind.TASK_RETRIED, 10).tell(Kind.TASK_FAILED, 20, message="another")
    assert [(failure.node, failure.message) for failure in laid_out(story).failures] == [("node-a", "quota"), (None, "another")]


def test_two_nodes_of_a_batch_fail_each_for_itself() -> None:
    story = Story().begin().tell(Kind.NODE_STARTED, 1, "node-a").tell(Kind.NODE_STARTED, 1, "node-b")
    story.tell(Kind.NODE_FAILED, 9, "node-a").tell(Kind.NODE_FAILED, 9, "node-b").tell(Kind.TASK_FAILED, 9)
    assert [failure.node for failure in laid_out(story).failures] == ["node-a", "node-b"]


def test_a_task_that_vanished_is_over_until_it_is_listed_again() -> None:
    story = Story().begin().tell(Kind.NODE_STARTED, 1, "node-a").tell(Kind.TASK_VANISHED, 20)
    gone = laid_out(story)
    assert (gone.outcome, gone.ended, gone.rows[0].outcome) == (Outcome.UNSEEN, at(20), Outcome.UNSEEN)
    back = laid_out(story.tell(Kind.NODE_COMPLETED, 40, "node-a"))
    assert (back.outcome, back.ended) == (Outcome.RUNNING, None)
    assert said(back.rows[0]) == ["- 1-40 unseen"]


def test_an_attempt_that_nobody_saw_end_is_over_when_the_next_begins() -> None:
    line = laid_out(Story().begin().tell(Kind.TASK_RETRIED, 30))
    assert [(attempt.ended, attempt.outcome) for attempt in line.attempts] == [
        (at(30), Outcome.UNSEEN),
        (None, Outcome.RUNNING),
    ]
    assert line.ended is None


def test_a_stall_ends_with_the_task_and_is_told_once_while_it_lasts() -> None:
    open_ended = laid_out(Story().begin().tell(Kind.TASK_STALLED, 10).tell(Kind.TASK_STALLED, 20))
    assert [(span.began, span.ended) for span in open_ended.stalls] == [(at(10), None)]
    story = Story().begin().tell(Kind.TASK_STALLED, 10).tell(Kind.TASK_FAILED, 30).tell(Kind.TASK_RETRIED, 40)
    story.tell(Kind.TASK_STALLED, 50).tell(Kind.TASK_RESUMED, 55)
    assert [(span.began, span.ended) for span in laid_out(story).stalls] == [(at(10), at(30)), (at(50), at(55))]


def test_only_outages_that_touch_the_task_are_laid_over_it() -> None:
    over_before = Story().begin().tell(Kind.NODE_STARTED, 1, "node-a").outage(-30, -10, -25)
    assert laid_out(over_before).outages == ()
    later = Story().begin().tell(Kind.TASK_SUCCEEDED, 10).outage(20, None, 25)
    assert laid_out(later).outages == ()
    lasting = Story().begin().outage(5, None, 10)
    assert [(span.began, span.ended) for span in laid_out(lasting).outages] == [(at(5), None)]


def test_what_happens_to_a_cluster_without_an_outage_lies_over_nothing() -> None:
    story = Story().begin().outage(5, None, 10)
    events = [replace(event, outage=None) for event in story.events]
    line = timeline(events, NOW)
    assert line is not None
    assert line.outages == ()


def test_events_may_come_in_any_order() -> None:
    events = failed_and_retried().events
    assert timeline(reversed(events), NOW) == timeline(events, NOW)


@LAWS
@given(watched(("counts", "absent", "stuck")))
def test_whatever_is_seen_every_bar_is_in_order_and_every_told_stage_has_one(met: tuple[History, list[int]]) -> None:
    history, indices = met
    for events in by_task(events_of(tell(history, indices))).values():
        line = timeline(events, events[-1].time)
        assert line is not None
        check_order(line)
        check_stages(line, events)


def check_order(line: Timeline) -> None:
    for row in line.rows:
        for bar in row.bars:
            assert line.began <= bar.began <= (bar.ended or line.until) <= line.until
        drawn = [bar for bar in row.bars if bar.order is not None]
        assert all(one.ended is not None for one, _ in pairwise(drawn)), "only the last may be open"
    for one, other in pairwise(line.attempts):
        assert one.ended is not None
        assert one.ended <= other.began
    if line.ended is not None:
        assert all(bar.ended is not None for row in line.rows for bar in row.bars), "nothing runs in a task that is over"


def check_stages(line: Timeline, events: list[Event]) -> None:
    ends = {Kind.STAGE_SUCCEEDED: Outcome.SUCCEEDED, Kind.STAGE_FAILED: Outcome.FAILED}
    told = {
        (event.node, event.task.attempt, event.stage.order): ends[event.kind]
        for event in events
        if event.kind in ends and event.stage is not None and event.task is not None
    }
    drawn = {
        (row.node, bar.attempt, bar.order): bar.outcome
        for row in line.rows
        for bar in row.bars
        if bar.order is not None and bar.outcome in ends.values()
    }
    assert drawn == told
    completed = {event.node for event in events if event.kind is Kind.NODE_COMPLETED}
    shown = {row.node for row in line.rows if row.outcome is Outcome.SUCCEEDED}
    assert completed <= shown
