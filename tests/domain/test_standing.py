"""When it is told that a sink fails, and that it works again: once each."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.model import NOTIFIER, Event, Kind
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route, SeverityRange
from notifier.domain.samples import sample
from notifier.domain.standing import REMOVED, Backlog, Failure, Standing, failed, news, worked
from notifier.domain.words import Words

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
AFTER = 600.0
DOWN = Failure.of(DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "HTTP 503"), lost=False)
REFUSED = Failure.of(DeliveryError(Outcome.REJECTED, DeliveryReason.REFUSED, "HTTP 401", scope=Scope.SINK), lost=False)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_sink_that_fails_for_a_while_is_not_news_and_then_it_is_once() -> None:
    standing = failed(Standing(), DOWN, NOON, after=AFTER)
    assert standing == Standing(NOON)
    assert failed(standing, DOWN, later(599), after=AFTER) == standing
    told = failed(standing, DOWN, later(600), after=AFTER)
    assert told == Standing(NOON, told=True, sequence=1)
    assert failed(told, REFUSED, later(9999), after=AFTER) == told


def test_a_clock_that_was_ahead_when_a_sink_began_to_fail_does_not_put_off_the_news() -> None:
    standing = failed(Standing(later(86400)), DOWN, NOON, after=AFTER)
    assert standing == Standing(NOON)
    assert failed(standing, DOWN, later(600), after=AFTER).told
    told = Standing(later(86400), told=True, sequence=1)
    assert failed(told, DOWN, NOON, after=AFTER) == told, "what was told is known by its beginning"


@pytest.mark.parametrize("reason", [DeliveryReason.REFUSED, DeliveryReason.GONE, DeliveryReason.MISSING])
def test_a_sink_that_refuses_us_or_is_gone_is_news_at_once(reason: DeliveryReason) -> None:
    failure = Failure.of(DeliveryError(Outcome.REJECTED, reason, "no", scope=Scope.SINK), lost=False)
    assert failed(Standing(), failure, NOON, after=AFTER) == Standing(NOON, told=True, sequence=1)


def test_news_that_is_lost_is_news_at_once() -> None:
    failure = Failure.of(DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "HTTP 503"), lost=True)
    assert failed(Standing(NOON), failure, later(1), after=AFTER) == Standing(NOON, told=True, sequence=1)


def test_one_message_that_is_refused_is_no_news_of_its_sink_and_nothing_but_refusals_for_long_are() -> None:
    failure = Failure.of(DeliveryError(Outcome.REJECTED, DeliveryReason.INVALID, "HTTP 400"), lost=False)
    standing = failed(Standing(), failure, NOON, after=AFTER)
    assert standing == Standing(NOON)
    assert worked(standing) == Standing()
    assert failed(standing, failure, later(600), after=AFTER) == Standing(NOON, told=True, sequence=1)


def test_what_was_told_of_a_sink_that_is_gone_is_over() -> None:
    told = Standing(NOON, told=True, sequence=1)
    over = news(told, worked(told), "team", failure=REMOVED, backlog=Backlog(0, 3), now=later(800))
    assert (over.kind, over.sequence) == (Kind.SINK_RECOVERED, 2)
    assert Words().title(over) == "notifier: sink team was removed"
    assert "no longer in the configuration; it had been failing since" in Words().summary(over)
    assert Words().summary(over).endswith(" 3 were given up.")


def test_the_next_of_the_chain_hears_of_a_sink_whose_fallback_fails() -> None:
    event = news(Standing(), Standing(NOON, told=True, sequence=1), "a", failure=DOWN, backlog=Backlog(0, 0), now=NOON)
    audience = Audience([], fallbacks={"a": "b", "b": "c", "c": "d"})
    assert audience.sinks(event) == ("b",)
    assert audience.sinks(event, {"b"}) == ("b", "c")
    assert audience.sinks(event, {"b", "c"}) == ("b", "c", "d")
    assert audience.sinks(event, {"c"}) == ("b",)
    assert Audience([], fallbacks={"a": "b", "b": "a"}).sinks(event, {"a", "b"}) == ("b",)
    assert [each.sink for each in audience.plan([event], NOON, also=["z", "b"])] == ["b", "z"]


def test_a_short_failure_leaves_no_trace_and_a_told_one_is_told_to_be_over() -> None:
    assert worked(Standing(NOON, sequence=4)) == Standing(sequence=4)
    assert worked(Standing(NOON, told=True, sequence=5)) == Standing(sequence=6)


def test_the_news_say_what_was_known_and_have_the_same_id_whoever_tells_them() -> None:
    told = failed(Standing(NOON), REFUSED, later(700), after=AFTER)
    event = news(Standing(NOON), told, "team", failure=REFUSED, backlog=Backlog(7, 1), now=later(700))
    again = news(Standing(NOON), told, "team", failure=DOWN, backlog=Backlog(8, 1), now=later(701))
    assert (event.kind, event.sequence, event.cluster, event.thread) == (Kind.SINK_FAILING, 1, NOTIFIER, "sinks/team")
    assert event.sink is not None
    assert (event.sink.since, event.sink.reason, event.sink.waiting, event.sink.lost) == (NOON, "refused", 7, 1)
    assert event.id == again.id
    over = news(told, worked(told), "team", failure=None, backlog=Backlog(0, 0), now=later(800))
    assert (over.kind, over.sequence) == (Kind.SINK_RECOVERED, 2)
    assert over.sink is not None
    assert (over.sink.since, over.sink.reason) == (NOON, None)
    assert over.id != event.id


tries = st.lists(st.tuples(st.floats(0.1, 400), st.sampled_from([DOWN, REFUSED, None])), max_size=40)


@settings(max_examples=200, deadline=None)
@given(tries)
def test_failing_and_recovered_take_turns_without_a_gap(story: list[tuple[float, Failure | None]]) -> None:
    standing, now, events = Standing(), NOON, list[Event]()
    for wait, failure in story:
        now += timedelta(seconds=wait)
        before = standing
        standing = worked(before) if failure is None else failed(before, failure, now, after=AFTER)
        if standing.sequence != before.sequence:
            events.append(news(before, standing, "team", failure=failure, backlog=Backlog(0, 0), now=now))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    turns = [Kind.SINK_FAILING, Kind.SINK_RECOVERED] * len(events)
    assert [event.kind for event in events] == turns[: len(events)]
    assert len({event.id for event in events}) == len(events)


def test_it_is_told_through_the_fallback_and_to_whoever_asks_for_it_by_name() -> None:
    event = sample(Kind.SINK_FAILING).event
    assert event.sink is not None
    everything = Route(Matcher(), ("hook",))
    all_news = Route(Matcher(severity=SeverityRange()), ("team",))
    named, pattern = Route(Matcher(kind=("sink.failing",)), ("pager",)), Route(Matcher(kind=("x", "sink.*")), ("console",))
    itself = Route(Matcher(kind=("sink.*",)), (event.sink.name,))
    audience = Audience([everything, all_news, named, pattern, itself], fallbacks={event.sink.name: "mail", "hook": "team"})
    assert audience.sinks(event) == ("mail", "pager", "console")
    assert audience.plan([event], NOON)[0].lane == "mail|sinks/sample-sink"
    assert everything.match.refusal(event) == "kind is sink.failing, which must be named"
    assert Audience([everything]).sinks(event) == ()
    assert audience.sinks(sample(Kind.TASK_FAILED).event) == ("hook", "team")
