"""What is remembered of a task's course: lengths by the API where they can be believed, ours where not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier.domain.course import NODE, PAUSE, REMEMBERED, Course, elapsed, key, moved, running, sort_of, watched
from notifier.domain.model import Stage, Status, Task

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
N1, N2, N3 = (f"css-test-ess-esn-{number}-1" for number in (1, 2, 3))


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def stage(order: int, began: float | None = None, ended: float | None = None, status: str | None = None) -> Stage:
    said = status or (Status.WAITING if began is None else Status.RUNNING if ended is None else Status.SUCCESS)
    return Stage(order, f"s{order}", said, "", None if began is None else at(began), None if ended is None else at(ended))


def task(*stages: Stage, node: str = N1, completed: tuple[str, ...] = (), batch: tuple[str, ...] | None = None) -> Task:
    flight = (node,) if batch is None else batch
    return Task("t", Status.RUNNING, 1, (N1, N2, N3), completed, flight, node, stages, NOW)


def follow(*looks: tuple[float, Task], gap: float | None = 15.0) -> Course:
    course, old = Course(), None
    for seconds, seen in looks:
        course, _ = moved(course, old, seen, None if old is None else gap, at(seconds))
        old = seen
    return course


@pytest.mark.parametrize(
    ("name", "sort"),
    [
        (N1, "ess"),
        ("css-e668-ess-cold-esn-1-1", "ess-cold"),
        ("a_b-ess-master-esn-2-1", "ess-master"),
        ("node-1", ""),
        (None, ""),
    ],
)
def test_the_sort_of_a_node_is_in_its_name(name: str | None, sort: str) -> None:
    assert sort_of(name) == sort


def test_a_length_is_the_apis_where_it_agrees_with_what_was_seen() -> None:
    course = follow((0, task(stage(0), stage(1))), (15, task(stage(0, 10), stage(1))), (135, task(stage(0, 10, 131), stage(1))))
    assert course.spans == {"ess:0/s0": (121.0,)}
    assert course.here == {"0/s0": 121.0}


def test_a_clock_that_runs_wild_is_not_believed() -> None:
    course = follow(
        (0, task(stage(0), stage(1))), (15, task(stage(0, 400), stage(1))), (135, task(stage(0, 400, 9000), stage(1)))
    )
    assert course.spans == {"ess:0/s0": (120.0,)}


def test_stages_that_came_and_went_between_two_looks_share_the_time() -> None:
    before, after = task(stage(0), stage(1), stage(2)), task(stage(0, 1, 5), stage(1, 7, 12), stage(2))
    assert follow((0, before), (15, after)).spans == {"ess:0/s0": (4.0,), "ess:1/s1": (5.0,), key(N1, PAUSE): (2.0,)}
    wild = task(stage(0, 0, 900), stage(1, 901, 1900), stage(2))
    assert follow((0, before), (15, wild)).spans == {"ess:0/s0": (7.5,), "ess:1/s1": (7.5,), key(N1, PAUSE): (1.0,)}


def test_what_was_over_before_we_looked_has_the_apis_length_and_odd_times_have_none() -> None:
    found = follow((900, task(stage(0, 10, 300), stage(1, 305), stage(2))))
    assert found.spans == {"ess:0/s0": (290.0,)}
    assert (found.began_at, found.witnessed, found.round_at) == (at(305), False, at(10))
    odd = task(stage(0, 300, 10), replace(stage(1, 305, 400), ended_at=None), stage(2))
    assert follow((900, odd)).spans == {}
    assert follow((900, replace(task(), current_node=None))).spans == {}


def test_a_pause_is_measured_and_a_kept_stage_is_not_measured_twice() -> None:
    first = task(stage(0, 10, 20), stage(1))
    course = follow((30, first), (45, task(stage(0, 10, 20), stage(1, 40))), (60, task(stage(0, 10, 20), stage(1, 40, 55))))
    assert course.spans == {"ess:0/s0": (10.0,), key(N1, PAUSE): (20.0,), "ess:1/s1": (15.0,)}


def test_a_node_ends_when_its_batch_does() -> None:
    both, rest = (N1, N2), (N3,)
    looks = [
        (0.0, task(stage(0, 0), batch=both)),
        (300.0, task(stage(0, 0, 290), completed=(N1,), batch=(N2,))),  # The other is still at work.
        (330.0, task(stage(0), node=N3, completed=both, batch=rest)),
    ]
    course = follow(*looks)
    assert course.spans[key(N2, NODE)] == (330.0,)
    assert (course.rounds, course.batch, course.round_at) == (1, 2, at(330))
    assert course.here == {}


def test_a_round_whose_end_was_not_seen_is_not_counted() -> None:
    looks = [(0.0, task(stage(0, 0))), (3000.0, task(stage(0), node=N2, completed=(N1,)))]
    assert follow(*looks, gap=None).rounds == 0


def test_the_history_gets_one_pause_a_node() -> None:
    course = follow((0, task(stage(0), stage(1))), (10, task(stage(0, 1, 5), stage(1, 9))))
    old = task(stage(0, 1, 5), stage(1, 9))
    _, finished = moved(course, old, task(stage(0), node=N2, completed=(N1,)), 15.0, at(40))
    assert [(each.kind, each.node, each.seconds) for each in finished] == [(NODE, N1, 40.0), (PAUSE, N1, 4.0)]


def test_a_stage_goes_on_though_another_node_of_the_batch_is_finished() -> None:
    both = (N1, N2)
    course = follow(
        (0.0, task(stage(0), batch=both)), (15.0, task(stage(0, 1), batch=both)), (900.0, task(stage(0, 1), completed=(N2,)))
    )
    assert (course.began_at, course.moved_at, course.witnessed) == (at(15), at(900), True)
    assert elapsed(course, at(915)) == 900.0


def test_only_the_newest_lengths_are_kept() -> None:
    course, old = Course(), task(stage(0))
    for number in range(REMEMBERED + 5):
        seen = task(stage(0, number * 100, number * 100 + number + 1))
        course, _ = moved(course, old, seen, 1e9, at(number * 100 + 50))
        old = seen
    assert len(course.spans["ess:0/s0"]) == REMEMBERED


def test_time_that_was_not_seen_does_not_count_as_watched() -> None:
    course = replace(follow((0, task(stage(0, 0)))), unseen=100.0)
    assert watched(course, at(300)) == 200.0
    assert elapsed(course, at(300)) == 300.0
    assert (watched(Course(), NOW), elapsed(Course(), NOW)) == (0.0, 0.0)
    assert elapsed(course, at(-50)) == 0.0  # The API's clock is ahead of ours.


def test_the_stage_at_work_is_the_first_that_runs() -> None:
    assert running(task(stage(3, 10), stage(2, 5, 9))) == stage(3, 10)
    assert running(task(stage(0))) is None
    assert running(task(stage(3, 10), stage(2, 5))) == stage(2, 5)
