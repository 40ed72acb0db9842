"""When a task will end: by which source, for which nodes, and what is said where nothing can be."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier.domain.course import NODE, PAUSE, Course, key
from notifier.domain.expectation import FORMULA, History, Outlook, Sample, formula, sample
from notifier.domain.forecast import forecast
from notifier.domain.known import KnownTask
from notifier.domain.model import Eta, Stage, Status, Task

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
NODES = tuple(f"css-test-ess-esn-{number}-1" for number in range(1, 7))
NAMES = ("Data migration", "Node brought offline", "Node creation", "Connectivity test", "Port binding", "Task status update")


def stages(done: int = 0, *, at_work: bool = True) -> tuple[Stage, ...]:
    said = [Status.SUCCESS] * done + [Status.RUNNING] * at_work + [Status.WAITING] * len(NAMES)
    return tuple(Stage(order, name, said[order]) for order, name in enumerate(NAMES))


def known(task: Task, course: Course | None = None) -> KnownTask:
    return KnownTask(task, course=course or Course(moved_at=NOW, began_at=NOW, round_at=NOW))


def upgrade(done: int = 0, nodes: int = 3, **facts: object) -> Task:
    left = NODES[done:nodes]
    said: dict[str, object] = {"current_node": left[0] if left else None, "in_flight": left[:1], "stages": stages()}
    return Task("t", Status.RUNNING, 1, NODES[:nodes], NODES[:done], **(said | facts))  # type: ignore[arg-type]


def cold(task: KnownTask) -> Eta | None:
    """What is said where no other task was ever seen."""
    return forecast(task, History(), NOW)


def minutes(eta: Eta | None, now: datetime = NOW) -> tuple[float, float]:
    assert eta is not None
    return ((eta.earliest - now) / timedelta(minutes=1), (eta.latest - now) / timedelta(minutes=1))


def history(seconds: float, count: int = 5) -> dict[str, Sample]:
    return {key(NODES[0], f"{order}/{name}"): sample([seconds] * count) for order, name in enumerate(NAMES)}


def test_cold_it_is_huaweis_formula_with_room_for_doubt() -> None:
    eta = cold(known(upgrade()))
    earliest, latest = minutes(eta)
    assert earliest < 3 * 15 < 3 * 15 * 1.3 < latest
    assert eta is not None
    assert eta.basis == "Huawei's formula"


@pytest.mark.parametrize(
    ("found", "basis"),
    [
        (History(fleet=history(60, 40)), "the history of other clusters"),
        (History(cluster=history(60), fleet=history(300)), "this cluster's history"),
    ],
)
def test_what_is_nearer_counts_for_more(found: History, basis: str) -> None:
    eta = forecast(known(upgrade()), found, NOW)
    earliest, latest = minutes(eta)
    assert earliest < 3 * 6 * (60 + 5) / 60 < latest
    assert eta is not None
    assert eta.basis == basis
    assert latest - earliest < minutes(cold(known(upgrade())))[1]


def test_the_tasks_own_finished_nodes_outweigh_what_others_took() -> None:
    spans = {key(NODES[0], f"{order}/{name}"): (30.0, 30.0) for order, name in enumerate(NAMES)} | {key(NODES[0], PAUSE): (4.0,)}
    course = Course(moved_at=NOW, began_at=NOW, round_at=NOW, spans=spans, rounds=2)
    eta = forecast(known(upgrade(2), course), History(fleet=history(300)), NOW)
    earliest, latest = minutes(eta)
    assert earliest < 6 * 34 / 60 * 1.3 < latest < 15
    assert eta is not None
    assert eta.basis == "2 finished nodes"
    one = replace(course, rounds=1)
    assert getattr(cold(known(upgrade(1), one)), "basis", None) == "1 finished node"


def test_a_batch_is_one_round() -> None:
    spans = {key(NODES[0], f"{order}/{name}"): (60.0, 60.0) for order, name in enumerate(NAMES)}
    course = Course(moved_at=NOW, began_at=NOW, round_at=NOW, spans=spans, rounds=1, batch=2)
    batch = upgrade(2, 6, in_flight=NODES[2:4])
    together, alone = (
        forecast(known(batch, course), History(), NOW),
        forecast(known(batch, replace(course, batch=1)), History(), NOW),
    )
    assert minutes(together)[1] < minutes(alone)[1]
    assert together is not None
    assert together.basis == "1 finished batch of 2 nodes"
    assert (
        getattr(forecast(known(batch, replace(course, rounds=2)), History(), NOW), "basis", "") == "2 finished batches of 2 nodes"
    )


def test_what_is_done_of_a_node_is_not_to_come() -> None:
    whole, half = minutes(cold(known(upgrade()))), minutes(cold(known(upgrade(stages=stages(3)))))
    assert half[0] < whole[0]
    assert half[1] < whole[1]
    last = minutes(cold(known(upgrade(2, stages=stages(6, at_work=False)))))
    assert 0 < last[0] < last[1] < 1  # Only the wait until it is shown as completed.


def test_a_node_that_is_slower_than_its_like_is_expected_to_stay_so() -> None:
    told = History(cluster=history(60))
    here = {f"{order}/{name}": 120.0 for order, name in enumerate(NAMES[:4])}
    course = Course(moved_at=NOW, began_at=NOW, round_at=NOW)
    even = minutes(forecast(known(upgrade(2, stages=stages(4)), course), told, NOW))
    slow = minutes(forecast(known(upgrade(2, stages=stages(4)), replace(course, here=here)), told, NOW))
    assert slow[0] > even[0] * 1.2


def test_the_longer_a_stage_lasts_the_later_it_ends_but_never_in_the_past() -> None:
    told = History(cluster=history(60))
    seen = known(upgrade(2))
    ends = []
    for lasted in (60, 120, 600, 6000):
        eta = forecast(seen, told, NOW + timedelta(seconds=lasted))
        assert eta is not None
        assert NOW + timedelta(seconds=lasted) < eta.earliest < eta.latest
        ends.append(eta.latest)
    assert ends == sorted(ends)


def test_without_stages_a_node_is_one_piece() -> None:
    bare = upgrade(1, stages=())
    course = Course(moved_at=NOW, began_at=NOW, round_at=NOW, spans={key(NODES[0], NODE): (300.0, 300.0, 300.0)}, rounds=1)
    earliest, latest = minutes(forecast(known(bare, course), History(), NOW))
    assert earliest < 10 < latest < 25
    later = minutes(forecast(known(bare, course), History(), NOW + timedelta(minutes=4)), NOW)
    assert later[1] < latest + 4
    assert minutes(forecast(known(bare, replace(course, round_at=None)), History(), NOW))[0] > 0


def test_between_two_nodes_only_the_nodes_to_come_count() -> None:
    between = upgrade(1, current_node=None, in_flight=(), stages=())
    assert minutes(cold(known(between)))[1] > 15


def test_where_nothing_can_be_said_nothing_is() -> None:
    assert cold(known(replace(upgrade(), status=Status.FAILED))) is None
    assert cold(known(Task("t", Status.RUNNING))) is None
    assert cold(replace(known(upgrade()), vanished=True)) is None
    done = cold(known(upgrade(3)))
    assert done == Eta(NOW, NOW + timedelta(minutes=2), "all nodes are completed")


def test_the_formula_is_shared_among_stages_whose_lengths_nobody_published() -> None:
    found = formula(stages())
    assert found["0/Data migration"] == FORMULA["Data migration"]
    assert sum(seconds for kind, seconds in found.items() if kind not in {NODE, PAUSE}) == pytest.approx(found[NODE] - 6 * 5)
    many = formula([Stage(order, f"s{order}", Status.WAITING) for order in range(100)])
    assert min(many.values()) == found[PAUSE] == 5.0
    assert many["7/s7"] == 20.0


def test_one_hung_stage_does_not_spoil_what_is_known() -> None:
    plain, hung = sample([60, 61, 62, 63, 64]), sample([60, 61, 62, 63, 7200])
    assert plain.middle == hung.middle == math.log(62)
    assert hung.spread < 0.05
    assert sample([0.0]) == Sample(1, 0.0, 0.0)


def test_what_one_stage_shows_is_expected_of_the_others_too_but_not_of_the_data() -> None:
    slow = {key(NODES[0], f"{order}/{name}"): (600.0,) for order, name in enumerate(NAMES) if order in {1, 2}}
    alone, seen = Outlook(Course(), History(), stages()), Outlook(Course(spans=slow), History(), stages())
    other, data = "3/Connectivity test", "0/Data migration"
    assert seen.of(NODES[0], other).mean > 1.5 * alone.of(NODES[0], other).mean
    assert seen.of(NODES[0], data) == alone.of(NODES[0], data)
