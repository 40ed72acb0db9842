"""The history of a replay: what it has shown so far, as the store would have kept it of a run."""

import math
from datetime import UTC, datetime, timedelta

from notifier.domain.course import Length
from notifier.domain.expectation import NOTHING, OF_A_KIND
from notifier.domain.known import TaskKey
from notifier.domain.model import Action
from notifier.domain.shown import Shown

START = datetime(2026, 3, 1, tzinfo=UTC)
KIND = "1/Node brought offline"
FILED = "ess:" + KIND


def took(seconds: float, task: str = "t", number: int = 0) -> tuple[TaskKey, Length]:
    return (Action.UPGRADING, task), Length(KIND, "css-test-ess-esn-1-1", START + timedelta(hours=number), seconds)


def seconds(middle: float) -> float:
    return round(math.exp(middle), 3)


def test_at_first_nothing_is_known() -> None:
    assert Shown().history("c", Action.UPGRADING, ()) == NOTHING


def test_a_cluster_s_own_lengths_and_those_of_others_are_kept_apart_and_so_are_actions() -> None:
    shown = Shown()
    shown.add("mine", [took(100.0)])
    shown.add("other", [took(300.0)])
    found = shown.history("mine", Action.UPGRADING, ())
    assert seconds(found.cluster[FILED].middle) == 100
    assert seconds(found.fleet[FILED].middle) == 300
    assert shown.history("mine", Action.AZ_MIGRATION, ()) == NOTHING


def test_tasks_at_work_do_not_count_for_themselves() -> None:
    shown = Shown()
    shown.add("mine", [took(100.0, "old"), took(900.0, "now")])
    found = shown.history("mine", Action.UPGRADING, ["now"])
    assert (found.cluster[FILED].count, seconds(found.cluster[FILED].middle)) == (1, 100)
    assert shown.history("another", Action.UPGRADING, ["now"]).fleet[FILED].count == 2


def test_the_same_span_counts_once_however_often_it_is_told() -> None:
    shown = Shown()
    shown.add("mine", [took(100.0), took(100.0)])
    shown.add("mine", [took(100.0)])
    assert shown.history("mine", Action.UPGRADING, ()).cluster[FILED].count == 1


def test_the_newest_of_a_kind_count() -> None:
    shown = Shown()
    shown.add("mine", [took(10.0, number=number) for number in range(100)])
    shown.add("mine", [took(500.0, number=100 + number) for number in range(OF_A_KIND)])
    found = shown.history("mine", Action.UPGRADING, ()).cluster[FILED]
    assert (found.count, seconds(found.middle), found.spread) == (OF_A_KIND, 500, 0)
