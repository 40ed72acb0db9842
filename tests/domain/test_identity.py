"""The same fact has the same id, and no other fact has it."""

from dataclasses import replace
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.identity import of_cluster, of_delivery, of_task, of_wish
from notifier.domain.model import Action, Cluster, Kind

CLUSTER = Cluster("c-1", "search-prod", "cn-north-4", "prod", "p-1", {"env": "prod"})
LAWS = settings(max_examples=150, deadline=None)
IDS = [
    "74c79c34-4857-5cc8-8f39-6ff0c8548bda",
    "dd205b5f-a6f2-59ee-a12e-97442ac799cb",
    "e5d05bb3-c88f-5cd3-9707-ac99da82e621",
    "745a81af-1e84-5dea-a35f-d9bf518bd24a",
]
# Few letters, digits and the separator make collisions likely if there are any.
parts = st.text(alphabet="a1:", max_size=4)

TaskFact = tuple[str, str, Action, str, Kind, int, str, int | None]
task_facts: st.SearchStrategy[TaskFact] = st.tuples(
    parts,
    parts,
    st.sampled_from(Action),
    parts,
    st.sampled_from(Kind),
    st.integers(0, 12),
    parts,
    st.none() | st.integers(0, 12),
)


def id_of(fact: TaskFact) -> str:
    project, cluster, action, task, kind, attempt, node, order = fact
    where = replace(CLUSTER, project_id=project, id=cluster)
    return of_task(where, action, task, kind, attempt=attempt, node=node, order=order)


@LAWS
@given(task_facts, task_facts)
def test_facts_have_the_same_id_if_and_only_if_they_are_the_same(one: TaskFact, other: TaskFact) -> None:
    assert (id_of(one) == id_of(other)) == (one == other)


@LAWS
@given(task_facts, st.data())
def test_moving_a_letter_from_one_part_to_the_next_makes_another_id(fact: TaskFact, data: st.DataObject) -> None:
    both = fact[0] + fact[1]
    cut = data.draw(st.integers(0, len(both)))
    moved = (both[:cut], both[cut:], *fact[2:])
    assert (id_of(moved) == id_of(fact)) == (moved == fact)


@LAWS
@given(st.tuples(parts, parts), st.tuples(parts, parts))
def test_deliveries_do_not_collide(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (of_delivery(*one) == of_delivery(*other)) == (one == other)


def test_what_may_change_is_no_part_of_an_identity() -> None:
    renamed = replace(CLUSTER, name="other", labels={}, project="renamed", region="elsewhere")
    fact = (Action.UPGRADING, "t", Kind.STAGE_FAILED)
    assert of_task(CLUSTER, *fact, attempt=2, node="n", order=3) == of_task(renamed, *fact, attempt=2, node="n", order=3)
    since = "2026-03-01T00:00:00+00:00"
    assert of_cluster(CLUSTER, Kind.CLUSTER_UNREACHABLE, since) == of_cluster(renamed, Kind.CLUSTER_UNREACHABLE, since)


def test_no_order_is_not_order_zero_and_an_outage_has_two_ends() -> None:
    fact = (CLUSTER, Action.UPGRADING, "t", Kind.NODE_STARTED)
    assert of_task(*fact, order=0) != of_task(*fact)
    since = "2026-03-01T00:00:00+00:00"
    assert of_cluster(CLUSTER, Kind.CLUSTER_UNREACHABLE, since) != of_cluster(CLUSTER, Kind.CLUSTER_RECOVERED, since)


def test_ids_are_a_promise_and_never_change() -> None:
    """Written down once: if this fails, every receiver would be told everything again."""
    ids = [
        of_task(CLUSTER, Action.UPGRADING, "t", Kind.STAGE_FAILED, attempt=2, node="n", order=3),
        of_cluster(CLUSTER, Kind.CLUSTER_UNREACHABLE, "2026-03-01T00:00:00+00:00"),
        of_delivery("event", "sink"),
        of_wish("thread", "board"),
    ]
    assert ids == IDS
    assert {UUID(each).version for each in ids} == {5}
