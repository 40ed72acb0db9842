"""Who came and who went, by the lists that a project gives: tables, and laws over any sequence of lists."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.discovery import ABSENCES, REMEMBERED, Call, Roll, Wanted, call, discovered, forgotten, under
from notifier.domain.known import Known
from notifier.domain.model import Cluster, Kind, Outage

START = datetime(2026, 3, 1, 2, tzinfo=UTC)
ALL = Wanted()


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def cluster(name: str, **tags: str) -> Cluster:
    return Cluster(f"id-{name}", name, "cn-north-4", "prod", "p1", tags)


A, B, C = (cluster(name) for name in "abc")


def names(calls: Call) -> tuple[list[str], list[str]]:
    """Who came and who went."""
    return [member.cluster.name for member in calls.came], [member.cluster.name for member in calls.went]


def story(*lists: tuple[Cluster, ...]) -> tuple[Roll, list[tuple[list[str], list[str]]]]:
    """One list every ten minutes; what each of them tells."""
    roll, told = Roll(), []
    for number, listed in enumerate(lists):
        step = call(roll, listed, ALL, at(10 * number))
        roll = step.roll
        told.append(names(step))
    return roll, told


QUIET: tuple[list[str], list[str]] = ([], [])


def test_the_first_list_is_the_baseline_and_tells_nothing() -> None:
    roll, told = story((A, B))
    assert told == [QUIET]
    assert roll.watched == (A, B)


def test_an_empty_first_list_is_a_baseline_too() -> None:
    assert story((), (A,))[1] == [QUIET, (["a"], [])]


def test_who_comes_later_is_told_once() -> None:
    roll, told = story((A,), (A, B), (B, A))
    assert told == [QUIET, (["b"], []), QUIET]
    assert roll.watched == (A, B)


def test_who_is_missing_is_gone_after_three_lists_and_not_before() -> None:
    assert ABSENCES == 3
    roll, told = story((A, B), (A,), (A,), (A,), (A,))
    assert told == [QUIET, QUIET, QUIET, ([], ["b"]), QUIET]
    assert roll.watched == (A,)


def test_absences_must_follow_each_other() -> None:
    roll, told = story((A, B), (A,), (A,), (A, B), (A,), (A,))
    assert told == [QUIET] * 6
    assert roll.watched == (A, B)


def test_who_comes_back_is_told_and_counted() -> None:
    roll, told = story((A,), (), (), (), (A,))
    assert told == [QUIET, QUIET, QUIET, ([], ["a"]), (["a"], [])]
    assert roll.members["id-a"].times == 2


def test_an_incomplete_list_brings_news_but_takes_nobody_away() -> None:
    roll = call(Roll(), (A,), ALL, at(0)).roll
    for number in range(5):
        step = call(roll, (B,), ALL, at(number + 1), complete=False)
        roll = step.roll
        assert names(step) == (([], []) if number else (["b"], []))
    assert roll.watched == (A, B)


def test_a_baseline_that_was_not_complete_is_none() -> None:
    roll = call(Roll(), (A,), ALL, at(0), complete=False).roll
    step = call(roll, (A, B), ALL, at(10))
    assert (names(step), step.roll.watched) == (QUIET, (A, B))
    assert names(call(step.roll, (A, B, C), ALL, at(20))) == (["c"], [])


def test_lists_that_follow_close_upon_each_other_count_one_absence() -> None:
    roll = call(Roll(), (A,), ALL, at(0)).roll
    for number in range(1, 10):
        roll = call(roll, (), ALL, at(number / 10), apart=300.0).roll
    assert roll.members["id-a"].absences == 0
    roll = call(roll, (), ALL, at(6), apart=300.0).roll
    assert roll.members["id-a"].absences == 1
    assert call(roll, (), ALL, at(7), apart=300.0).roll.members["id-a"].absences == 1


def test_a_cluster_of_the_configuration_is_none_of_our_business() -> None:
    explicit = frozenset({"id-b"})
    roll = call(Roll(), (A, B), ALL, at(0), explicit=explicit).roll
    assert roll.watched == (A,)
    found = call(story((A, B))[0], (A,), ALL, at(0), explicit=explicit)
    assert (names(found), found.roll.watched) == (QUIET, (A,))


def test_a_cluster_that_the_store_knows_is_watched_but_no_news() -> None:
    roll = call(Roll(), (A,), ALL, at(0)).roll
    step = call(roll, (A, B), ALL, at(10), met=frozenset({"id-b"}))
    assert (names(step), step.roll.watched) == (QUIET, (A, B))


def test_a_wider_filter_lets_in_without_a_word_and_a_narrower_one_leaves_out_likewise() -> None:
    narrow = Wanted(name=("a",))
    roll = call(Roll(), (A, B), narrow, at(0)).roll
    assert roll.watched == (A,)
    wide = call(roll, (A, B), ALL, at(10))
    assert (names(wide), wide.roll.watched) == (QUIET, (A, B))
    back = call(wide.roll, (A, B), narrow, at(20))
    assert (names(back), back.roll.watched) == (QUIET, (A,))
    assert under(wide.roll, narrow, frozenset()).watched == (A,)
    assert under(roll, narrow, frozenset()) is roll


def test_a_new_name_is_taken_over_and_one_that_is_not_wanted_is_as_good_as_gone() -> None:
    wanted = Wanted(name=("search-*",))
    old = cluster("search-a")
    new = replace(old, name="search-b")
    lost = replace(old, name="logs")
    roll = call(Roll(), (old,), wanted, at(0)).roll
    roll = call(roll, (new,), wanted, at(10)).roll
    assert roll.watched == (new,)
    told = []
    for number in range(ABSENCES):
        step = call(roll, (lost,), wanted, at(20 + number))
        roll = step.roll
        told.append(names(step))
    assert told == [QUIET, QUIET, ([], ["search-b"])]


def test_who_is_gone_for_long_is_forgotten_for_good() -> None:
    roll = story((A,), (), (), ())[0]
    later = at(30) + REMEMBERED
    assert call(roll, (), ALL, later).roll.members
    assert not call(roll, (), ALL, later + timedelta(minutes=1)).roll.members


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Wanted(), True),
        (Wanted(name=("search-*",)), True),
        (Wanted(name=("logs-*", "search-?")), True),
        (Wanted(name=("Search-*",)), False),
        (Wanted(tags={"env": ("prod", "test")}), True),
        (Wanted(tags={"env": ("p*",), "team": ("*",)}), True),
        (Wanted(tags={"env": ("test",)}), False),
        (Wanted(tags={"owner": ("*",)}), False),
        (Wanted(name=("logs-*",), tags={"env": ("prod",)}), False),
    ],
)
def test_the_filter(wanted: Wanted, taken: bool) -> None:
    assert wanted.takes(cluster("search-1", env="prod", team="search")) is taken


def test_events_are_numbered_with_the_clusters_and_their_ids_tell_one_coming_from_the_next() -> None:
    roll = story((), (A,), (), (), ())[0]
    member = roll.members["id-a"]
    known = Known(sequence=4, outage=Outage(START, "gone", "CSS.0015"), outage_told=True)
    came, went = discovered(Known(), member, at(1)), forgotten(known, member, at(2))
    assert [(event.kind, event.sequence, event.time, event.thread) for event in (*came.events, *went.events)] == [
        (Kind.CLUSTER_DISCOVERED, 1, at(1), A.key),
        (Kind.CLUSTER_FORGOTTEN, 5, at(2), A.key),
    ]
    assert (went.known.outage, went.known.outage_told, went.known.sequence) == (None, False, 5)
    again = discovered(known, replace(member, times=2), at(9))
    ids = {event.id for event in (*came.events, *went.events, *again.events)}
    assert len(ids) == 3
    assert discovered(known, member, at(99)).events[0].id == came.events[0].id


EVERYBODY = {"a": A, "b": B, "c": C}
LISTS = st.lists(st.tuples(st.sets(st.sampled_from(sorted(EVERYBODY)), max_size=3), st.booleans()), max_size=12)


@given(LISTS)
def test_comings_and_goings_alternate_whatever_is_listed(lists: list[tuple[set[str], bool]]) -> None:
    roll = Roll()
    there: set[str] = set()
    for number, (listed, complete) in enumerate(lists):
        step = call(roll, [EVERYBODY[name] for name in sorted(listed)], ALL, at(10 * number), complete=complete)
        came, went = names(step)
        assert not set(came) & there
        assert set(went) <= there - listed
        there = {each.name for each in step.roll.watched}
        assert listed <= there
        roll = step.roll
