"""What is learnt from a task: which stages were slow, how good the forecasts were, how each sink was served."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from notifier.domain.dossier import Dossier, StageTimes, Told, audiences
from notifier.domain.model import Eta, Kind
from notifier.domain.review import Slow, forecasts, slowest
from notifier.domain.timeline import Timeline, timeline

sys.path.append(str(Path(__file__).parents[1] / "report"))  # Its stories are told here too.

from timeline_stories import Story, at


def laid_out(story: Story, minute: float = 300) -> Timeline:
    line = timeline(story.events, at(minute))
    assert line is not None
    return line


def minutes(length: float) -> timedelta:
    return timedelta(minutes=length)


def told_of(slow: tuple[Slow, ...]) -> list[tuple[str, int, float, float | None, int]]:
    return [
        (each.node, each.order, each.took / minutes(1), each.usual / minutes(1) if each.usual else None, each.samples)
        for each in slow
    ]


def test_a_stage_is_slow_by_what_it_took_on_other_nodes() -> None:
    story = Story().begin().node("a", 0, 10, (0, 1)).node("b", 10, 20, (0, 1)).tell(Kind.NODE_STARTED, 20, "c")
    story.tell(Kind.STAGE_SUCCEEDED, 50, "c", stage=(0, 20, 50))
    assert told_of(slowest(laid_out(story), ())) == [("c", 0, 30.0, 5.0, 2)]
    (slow,) = slowest(laid_out(story), ())
    assert (slow.times, slow.excess, slow.lasts) == (6.0, minutes(25), False)


def test_other_tasks_say_what_is_usual_too() -> None:
    story = Story().begin().tell(Kind.STAGE_SUCCEEDED, 10, "a", stage=(0, 0, 10))
    like = StageTimes(0, "stage 0", (60.0, 120.0, 180.0))
    assert told_of(slowest(laid_out(story), [like])) == [("a", 0, 10.0, 2.0, 3)]
    assert told_of(slowest(laid_out(story), [replace(like, name="another")])) == [("a", 0, 10.0, None, 0)]


def test_what_is_a_little_slower_or_short_and_unknown_is_not_worth_a_line() -> None:
    a_little = Story().begin().tell(Kind.STAGE_SUCCEEDED, 10, "a", stage=(0, 0, 10))
    assert slowest(laid_out(a_little), [StageTimes(0, "stage 0", (500.0,))]) == ()
    seconds = Story().begin().tell(Kind.STAGE_SUCCEEDED, 0.1, "a", stage=(0, 0, 0.1))
    assert slowest(laid_out(seconds), [StageTimes(0, "stage 0", (2.0,))]) == ()
    assert slowest(laid_out(seconds), ()) == ()


def test_a_stage_that_lasts_counts_and_one_whose_end_nobody_saw_does_not() -> None:
    story = Story().begin().tell(Kind.STAGE_STARTED, 0, "a", stage=(0, 0, None))
    (lasting,) = slowest(laid_out(story, 30), [StageTimes(0, "stage 0", (60.0,))])
    assert (lasting.lasts, lasting.took) == (True, minutes(30))
    story.tell(Kind.STAGE_STARTED, 200, "a", stage=(1, 200, None)).tell(Kind.STAGE_SUCCEEDED, 201, "a", stage=(1, 200, 201))
    assert all(slow.order != 0 for slow in slowest(laid_out(story), [StageTimes(0, "stage 0", (60.0,))]))


def test_a_usual_of_nothing_has_no_ratio() -> None:
    story = Story().begin().tell(Kind.STAGE_SUCCEEDED, 10, "a", stage=(0, 0, 10))
    (slow,) = slowest(laid_out(story), [StageTimes(0, "stage 0", (0.0,))])
    assert slow.times is None


def test_forecasts_are_compared_with_the_end_at_a_quarter_half_and_three_quarters() -> None:
    story = Story().begin()
    story.tell(Kind.NODE_STARTED, 20, "a", eta=Eta(at(90), at(110), "formula"))
    story.tell(Kind.NODE_STARTED, 45, "b", eta=Eta(at(60), at(80), "1 node"))
    story.tell(Kind.NODE_STARTED, 70, "c", eta=Eta(at(130), at(140), "2 nodes")).tell(Kind.TASK_SUCCEEDED, 100)
    line = laid_out(story)
    made = forecasts(story.events, line)
    assert [(each.share, each.at, each.missed_by, each.left, each.late) for each in made] == [
        (0.25, at(20), timedelta(), minutes(80), timedelta()),
        (0.5, at(45), minutes(20), minutes(55), minutes(30)),
        (0.75, at(70), minutes(30), minutes(30), minutes(-35)),
    ]


def test_a_task_that_is_open_or_had_no_forecast_has_none_to_compare() -> None:
    story = Story().begin().tell(Kind.NODE_STARTED, 20, "a", eta=Eta(at(90), at(110), "formula"))
    assert forecasts(story.events, laid_out(story)) == ()
    ended = Story().begin().tell(Kind.TASK_SUCCEEDED, 10)
    assert forecasts(ended.events, laid_out(ended)) == ()


def told(sink: str, state: str, settled: float | None = None) -> Told:
    return Told("e1", sink, state, 1, at(0), None if settled is None else at(settled))


def test_each_sink_is_counted_by_what_became_of_its_notifications() -> None:
    rows = (
        told("mail", "delivered", 9),
        told("mail", "delivered", 1),
        told("mail", "delivered", 2),
        told("mail", "dead", 30),
        told("hook", "pending"),
        told("hook", "sending"),
        told("hook", "silenced"),
    )
    hook, mail = audiences(Dossier((), rows))
    assert (hook.sink, hook.arrived, hook.silenced, hook.waiting, hook.usual, hook.longest) == ("hook", 0, 1, 2, None, None)
    assert (mail.arrived, mail.dead, mail.tries, mail.usual, mail.longest) == (3, 1, 4, minutes(2), minutes(9))


def test_a_clock_that_was_set_back_makes_no_negative_delay() -> None:
    assert told("mail", "delivered", -5).latency == timedelta()
    assert told("mail", "delivered").latency is None


def test_a_dossier_finds_an_event_by_its_id() -> None:
    story = Story().begin()
    assert Dossier(tuple(story.events)).by_id == {"e1": story.events[0]}
