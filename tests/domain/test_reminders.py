"""Conditions that last: which do, who is reminded when, and who is not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.diff import diff
from notifier.domain.holding import Hold, Merge
from notifier.domain.identity import of_delivery
from notifier.domain.known import Known
from notifier.domain.model import Action, Cluster, Event, Kind, Snapshot, Stage, Status, Task
from notifier.domain.outage import reachable, unreachable
from notifier.domain.plan import Planned
from notifier.domain.reminders import LONGEST, MOST, Told, due, lasts, look_every
from notifier.domain.routing import Escalation, Matcher, Route
from notifier.domain.stall import StallRule
from notifier.domain.timekeeping import Limits, keep_time

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
CLUSTER = Cluster("c-1", "search", "cn-north-4", "prod", "p-1")
STAGE = Stage(0, "Data migration", Status.RUNNING, "", NOW)
RUNNING = Task("t", Status.RUNNING, 1, ("n1", "n2"), (), ("n1",), "n1", (STAGE,), NOW)
FAILED = replace(RUNNING, status=Status.FAILED, ended_at=NOW + timedelta(minutes=5))


def see(known: Known, *tasks: Task, at: datetime = NOW) -> tuple[Known, list[Event]]:
    step = diff(known, Snapshot(CLUSTER, Action.UPGRADING, tasks), at)
    rule = Limits(StallRule(60, 3, 60), patience=1e9)
    timed = keep_time(known, step.known, step.events, CLUSTER, {Action.UPGRADING: at}, rule, {}, at)
    return timed.known, list(timed.events)


def only(events: list[Event], kind: Kind) -> Event:
    (found,) = [event for event in events if event.kind is kind]
    return found


def test_a_failure_lasts_until_it_is_retried() -> None:
    known, _ = see(see(Known())[0], RUNNING)
    known, events = see(known, FAILED)
    failed = only(events, Kind.TASK_FAILED)
    assert lasts(failed, known)
    assert not lasts(only(events, Kind.NODE_FAILED), known)
    known, events = see(known, replace(RUNNING, executions=2))
    only(events, Kind.TASK_RETRIED)
    assert not lasts(failed, known)


def test_a_failure_that_becomes_partial_is_one_condition_not_two() -> None:
    known, _ = see(see(Known())[0], RUNNING)
    known, events = see(known, FAILED)
    failed = only(events, Kind.TASK_FAILED)
    known, events = see(known, replace(FAILED, status=Status.PARTIAL_FAILED))
    assert not lasts(failed, known)
    assert lasts(only(events, Kind.TASK_PARTIALLY_FAILED), known)


def test_whoever_starts_another_task_has_seen_that_the_one_before_failed() -> None:
    known, _ = see(see(Known())[0], RUNNING)
    known, events = see(known, FAILED)
    failed = only(events, Kind.TASK_FAILED)
    older = replace(RUNNING, id="older", started_at=NOW - timedelta(days=1))
    assert lasts(failed, see(known, FAILED, older)[0])
    fresh = replace(RUNNING, id="fresh", started_at=NOW + timedelta(hours=1))
    assert not lasts(failed, see(known, FAILED, fresh)[0])
    assert not lasts(failed, Known())


def test_a_stall_lasts_until_it_moves_and_the_second_is_another() -> None:
    known, _ = see(see(Known())[0], RUNNING)
    known, events = see(known, RUNNING, at=NOW + timedelta(minutes=10))
    first = only(events, Kind.TASK_STALLED)
    assert lasts(first, known)
    moved = replace(RUNNING, stages=(replace(STAGE, order=1, name="x"),))
    known, events = see(known, moved, at=NOW + timedelta(minutes=20))
    only(events, Kind.TASK_RESUMED)
    assert not lasts(first, known)
    known, events = see(known, moved, at=NOW + timedelta(minutes=60))
    second = only(events, Kind.TASK_STALLED)
    assert lasts(second, known)
    assert not lasts(first, known)


def test_an_outage_lasts_until_data_come_again() -> None:
    step = unreachable(Known(), CLUSTER, ("server", "HTTP 503"), NOW, 0.0)
    (event,) = step.events
    assert lasts(event, step.known)
    after = reachable(step.known, CLUSTER, NOW + timedelta(hours=1)).known
    assert not lasts(event, after)
    again = unreachable(after, CLUSTER, ("server", "HTTP 503"), NOW + timedelta(hours=2), 0.0)
    assert not lasts(event, again.known)


def failure() -> Event:
    known, _ = see(see(Known())[0], RUNNING)
    return only(see(known, FAILED)[1], Kind.TASK_FAILED)


def told(minutes: float, number: int = 0, *, still: bool = False) -> Told:
    return Told(number, NOW + timedelta(minutes=minutes), still)


HOURLY = Route(Matcher(), ("team",), repeat=3600.0)
ESCALATED = Route(Matcher(), ("team",), escalate=Escalation(1800.0, ("oncall",)))


@pytest.mark.parametrize(
    ("minutes", "so_far", "expected"),
    [
        (59, {"team": [told(0)]}, []),
        (60, {"team": [told(0)]}, [("team", 1)]),
        (61, {"team": [told(0), told(60, 1)]}, []),
        (120, {"team": [told(0), told(60, 1)]}, [("team", 2)]),
        (60 * 7 + 5, {"team": [told(0)]}, [("team", 1)]),  # Down for hours: one reminder says it all.
        (60, {"team": [told(0, still=True)]}, []),  # The news itself has not arrived yet.
        (60, {}, [("team", 1)]),  # It was silenced, or its route is new.
        (60, {"team": [told(0, MOST)]}, []),
    ],
)
def test_a_reminder_is_due_once_an_interval(minutes: int, so_far: dict[str, list[Told]], expected: list[tuple[str, int]]) -> None:
    assert due(failure(), [HOURLY], so_far, NOW + timedelta(minutes=minutes)) == expected


def test_others_hear_of_it_after_a_while_and_from_then_on_as_often() -> None:
    so_far = {"team": [told(0)]}
    assert due(failure(), [ESCALATED], so_far, NOW + timedelta(minutes=29)) == []
    assert due(failure(), [ESCALATED], so_far, NOW + timedelta(minutes=30)) == [("oncall", 1)]
    so_far["oncall"] = [told(30, 1)]
    assert due(failure(), [ESCALATED], so_far, NOW + timedelta(hours=5)) == []
    both = replace(ESCALATED, repeat=3600.0)
    assert due(failure(), [both], so_far, NOW + timedelta(minutes=60)) == [("oncall", 2), ("team", 1)]


def test_the_shortest_interval_of_all_matching_routes_counts() -> None:
    rare, deaf = replace(HOURLY, repeat=86400.0), Route(Matcher(kind=("cluster.*",)), ("team",), repeat=1.0)
    assert due(failure(), [rare, HOURLY, deaf], {"team": [told(0)]}, NOW + timedelta(minutes=60)) == [("team", 1)]
    assert due(failure(), [deaf], {}, NOW + timedelta(hours=9)) == []


def test_nobody_is_reminded_for_ever() -> None:
    assert due(failure(), [HOURLY], {"team": [told(0)]}, NOW + LONGEST + timedelta(minutes=1)) == []


def test_nobody_looks_where_nobody_asked_and_as_often_as_it_takes_elsewhere() -> None:
    assert look_every([Route(Matcher(), ("team",))]) is None
    assert look_every([HOURLY]) == 30.0
    assert look_every([HOURLY, replace(ESCALATED, escalate=Escalation(40.0, ("x",)))]) == 10.0
    assert look_every([replace(HOURLY, repeat=0.1)]) == 0.25


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.integers(5, 120))
def test_whenever_it_is_looked_there_is_one_reminder_an_interval_at_the_most(waits: list[int], every: int) -> None:
    route = Route(Matcher(), ("team",), repeat=every * 60.0)
    so_far, at, event = [told(0)], 0, failure()
    for wait in waits:
        at += wait
        for sink, number in due(event, [route], {"team": so_far}, NOW + timedelta(minutes=at)):
            assert (sink, number) == ("team", len(so_far))
            so_far.append(told(at, number))
    assert len(so_far) - 1 <= at // every
    slots = [(each.created_at - NOW) // timedelta(minutes=every) for each in so_far]
    assert len(set(slots)) == len(slots)


def test_news_and_each_reminder_of_it_are_deliveries_of_their_own() -> None:
    planned = [Planned(failure(), sink, Hold(NOW, Merge.NEVER), reminder=number) for sink in ("a", "b") for number in range(3)]
    assert len({each.id for each in planned}) == 6
    assert planned[0].id == of_delivery(failure().id, "a")
    assert {each.lane for each in planned[:3]} == {f"a|{failure().thread}"}
