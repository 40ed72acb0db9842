"""How far a task is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.model import Stage, Status, Task
from notifier.domain.progress import progress


def stages(*statuses: str) -> tuple[Stage, ...]:
    return tuple(Stage(order, "", status) for order, status in enumerate(statuses))


HALF = stages(Status.SUCCESS, Status.RUNNING)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (Task("t", Status.RUNNING), None),
        (Task("t", Status.SUCCESS), 1.0),
        (Task("t", Status.SUCCESS, total=("a", "b"), completed=("a",)), 1.0),
        (Task("t", Status.RUNNING, total=("a", "b")), 0.0),
        (Task("t", Status.RUNNING, total=("a", "b"), completed=("a",)), 0.5),
        (Task("t", Status.RUNNING, total=("a", "b"), current_node="a", stages=HALF), 0.25),
        (Task("t", Status.RUNNING, total=("a", "b", "c"), completed=("a",), current_node="b", stages=HALF), 0.5),
        (Task("t", Status.FAILED, total=("a", "b"), current_node="a", stages=stages(Status.SUCCESS, Status.FAILED)), 0.25),
        (Task("t", Status.RUNNING, total=("a", "b"), completed=("a",), current_node="a", stages=HALF), 0.5),
        (Task("t", Status.RUNNING, total=("a", "b"), stages=HALF), 0.0),
        (Task("t", Status.RUNNING, total=("a",), completed=("a", "x"), current_node="y", stages=HALF), 1.0),
        (Task("t", Status.RUNNING, total=("a", "b", "c", "d"), in_flight=("a", "b"), current_node="a", stages=HALF), 0.25),
        (
            Task("t", Status.RUNNING, total=("a", "b"), completed=("b",), in_flight=("a", "b"), current_node="a", stages=HALF),
            0.75,
        ),
        (Task("t", Status.RUNNING, total=("a", "b"), in_flight=("b",), current_node="a", stages=HALF), 0.25),
        (Task("t", Status.RUNNING, completed=("x",)), 1.0),
        (Task("t", Status.RUNNING, total=("a", "b", "c"), completed=("a",)), 0.3333),
    ],
)
def test_progress_counts_completed_nodes_and_the_listed_stages(task: Task, expected: float | None) -> None:
    assert progress(task) == expected


nodes = st.lists(st.sampled_from("abcdef"), max_size=6).map(tuple)
statuses = st.sampled_from([*(Status.RUNNING, Status.WAITING, Status.SUCCESS, Status.FAILED), "NEW"])
tasks = st.builds(
    Task,
    id=st.just("t"),
    status=statuses,
    total=nodes,
    completed=nodes,
    current_node=st.none() | st.sampled_from("abcdef"),
    stages=st.lists(statuses, max_size=5).map(lambda drawn: stages(*drawn)),
)


@settings(max_examples=150, deadline=None)
@given(tasks)
def test_progress_is_a_share_and_unknown_only_without_nodes(task: Task) -> None:
    share = progress(task)
    if share is None:
        assert not task.total
        assert not task.completed
    else:
        assert 0 <= share <= 1
