"""Laws of the diff, judged by an oracle that knows the whole history and never calls the diff."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from upgrade_histories import CLUSTER, EPOCH, Failure, History, Plan, State, histories, play, polls, watched

from notifier.domain.diff import CONFIRMATIONS, Step, diff
from notifier.domain.known import Known, KnownTask
from notifier.domain.model import Action, Event, Kind, Snapshot, Status

LAWS = settings(
    max_examples=60,
    phases=[__import__("hypothesis").Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Fact = tuple[Kind, int, str, int]
"""Kind, attempt (0: once in the life of a task), node, order of the stage (-1: of no stage)."""

Execution = tuple[Kind, str, int, datetime | None]
"""What a stage did in one execution of it, whatever the attempt: kind, node, order, when it began."""

TERMINAL = {
    Status.SUCCESS: Kind.TASK_SUCCEEDED,
    Status.FAILED: Kind.TASK_FAILED,
    Status.PARTIAL_FAILED: Kind.TASK_PARTIALLY_FAILED,
}
STAGE_KINDS = {Kind.STAGE_STARTED, Kind.STAGE_SUCCEEDED, Kind.STAGE_FAILED}
RANK = {
    Kind.TASK_STARTED: 0,
    Kind.TASK_RETRIED: 1,
    Kind.NODE_COMPLETED: 2,
    Kind.NODE_STARTED: 3,
    **dict.fromkeys(STAGE_KINDS, 4),
    Kind.NODE_FAILED: 5,
    **dict.fromkeys(TERMINAL.values(), 6),
}
KNOWN_TASK = TypeAdapter(KnownTask)


def empty_baseline() -> Known:
    return diff(Known(), Snapshot(CLUSTER, Action.UPGRADING, ()), EPOCH).known


def tell(history: History, indices: Iterable[int], known: Known | None = None, start: datetime = EPOCH) -> list[Step]:
    known = empty_baseline() if known is None else known
    steps: list[Step] = []
    for number, index in enumerate(indices):
        step = diff(known, history.snapshot(index, turned=bool(number % 2)), start + timedelta(days=30, seconds=number))
        known = step.known
        steps.append(step)
    return steps


def events_of(steps: Iterable[Step]) -> list[Event]:
    return [event for step in steps for event in step.events]


def fact_of(event: Event) -> Fact:
    assert event.task is not None
    attempt = 0 if event.kind in {Kind.TASK_STARTED, Kind.NODE_COMPLETED} else event.task.attempt
    return event.kind, attempt, event.node or "", -1 if event.stage is None else event.stage.order


def by_task(events: Iterable[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        assert event.task is not None
        found[event.task.id].append(event)
    return found


def facts_in(states: Iterable[State]) -> set[Fact]:
    """What these answers say of the task and its nodes, stages and failed nodes apart."""
    facts: set[Fact] = set()
    for state in states:
        task, attempt = state.task, state.attempt
        facts.add((Kind.TASK_STARTED, 0, "", -1))
        facts |= {(Kind.TASK_RETRIED, number, "", -1) for number in range(2, attempt + 1)}
        facts |= {(Kind.NODE_COMPLETED, 0, node, -1) for node in task.completed}
        facts |= {(Kind.NODE_STARTED, attempt, node, -1) for node in task.in_flight}
        if task.status in TERMINAL:
            facts.add((TERMINAL[task.status], attempt, "", -1))
    return facts


def stage_facts_in(states: Iterable[State]) -> set[Fact]:
    """What these answers say of stages, of each attempt by itself; that a stage over must have begun is said too."""
    facts: set[Fact] = set()
    for state in states:
        for stage in state.task.stages:
            where = (state.attempt, state.task.current_node or "", stage.order)
            if stage.status != Status.WAITING:
                facts.add((Kind.STAGE_STARTED, *where))
            if stage.status == Status.SUCCESS:
                facts.add((Kind.STAGE_SUCCEEDED, *where))
            if stage.status == Status.FAILED:
                facts.add((Kind.STAGE_FAILED, *where))
    return facts


def stages_owed(states: Iterable[State]) -> Iterable[tuple[Execution, set[Fact]]]:
    """Each stage seen RUNNING and each seen FAILED, as an execution, and the facts that stand for it and for another as well.

    A stage that a retry kept is still the same execution. One that runs twice in an attempt has one identity in it.
    """
    kinds = {Status.RUNNING: Kind.STAGE_STARTED, Status.FAILED: Kind.STAGE_FAILED}
    owed: set[Execution] = set()
    shown: dict[tuple[str, int, datetime | None], set[int]] = defaultdict(set)
    runs: dict[tuple[int, str, int], set[datetime | None]] = defaultdict(set)
    for state in states:
        node = state.task.current_node or ""
        for stage in state.task.stages:
            if stage.status != Status.WAITING:
                runs[state.attempt, node, stage.order].add(stage.began_at)
                shown[node, stage.order, stage.began_at].add(state.attempt)
            if kind := kinds.get(stage.status):
                owed.add((kind, node, stage.order, stage.began_at))
    for kind, node, order, began in owed:
        attempts = [each for each in shown[node, order, began] if len(runs[each, node, order]) > 1]
        yield (kind, node, order, began), {(kind, each, node, order) for each in attempts}


def failing(states: Iterable[State]) -> dict[int, set[str]]:
    """The nodes in flight when each attempt failed, or, where that answer names none, when it was last at work."""
    nodes: dict[int, set[str]] = {}
    for state in states:
        if state.task.in_flight:
            nodes[state.attempt] = set(state.task.in_flight)
        elif state.task.status == Status.RUNNING:
            nodes[state.attempt] = set()
    return nodes


def stages_told(events: Iterable[Event]) -> list[Execution]:
    return [
        (event.kind, event.node or "", event.stage.order, event.stage.began_at) for event in events if event.stage is not None
    ]


def assert_said_once(events: Sequence[Event]) -> None:
    for told in by_task(events).values():
        assert [event.sequence for event in told] == list(range(1, len(told) + 1))
        repeated = [fact for fact, times in Counter(map(fact_of, told)).items() if times > 1]
        assert not repeated
        twice = [execution for execution, times in Counter(stages_told(told)).items() if times > 1]
        assert not twice, "a stage that was kept is no news"
    assert len({event.id for event in events}) == len(events)


def assert_no_phantom(history: History, events: Sequence[Event], *, late: bool = False) -> None:
    """``late``: A retry first names the node that the failed attempt was at. If it fails unseen, that one is taken to have."""
    for task_id, told in by_task(events).items():
        life = history.states(task_id, history.all_indices)
        true = facts_in(life) | stage_facts_in(life)
        if late:
            true |= {(Kind.NODE_FAILED, state.attempt, node, -1) for state in life for node in state.task.in_flight}
        true |= {(Kind.NODE_FAILED, attempt, node, -1) for attempt, nodes in failing(life).items() for node in nodes}
        assert {fact_of(event) for event in told} <= true


def assert_all_owed(history: History, indices: Sequence[int], events: Sequence[Event]) -> None:
    told = by_task(events)
    for plan in history.plans:
        seen = history.states(plan.id, indices)
        mine = told.get(plan.id, [])
        assert facts_in(seen) <= {fact_of(event) for event in mine}
        heard, facts = set(stages_told(mine)), {fact_of(event) for event in mine}
        assert all(execution in heard or shared & facts for execution, shared in stages_owed(seen))


@LAWS
@given(watched())
def test_from_any_subsequence_each_fact_is_told_once_and_no_other(case: tuple[History, list[int]]) -> None:
    history, indices = case
    steps = tell(history, indices)
    events = events_of(steps)
    assert_said_once(events)
    assert_all_owed(history, indices, events)
    assert_no_phantom(history, events)
    for plan in history.plans:
        seen = history.states(plan.id, indices)
        told = {fact_of(event) for event in by_task(events).get(plan.id, [])}
        of_nodes_and_task = {fact for fact in told if fact[0] not in STAGE_KINDS | {Kind.NODE_FAILED}}
        assert of_nodes_and_task == facts_in(seen)
        assert {fact for fact in told if fact[0] in STAGE_KINDS} <= stage_facts_in(seen)
    assert [remark for step in steps for remark in step.remarks] == [], "answers in their order are never doubted"


@LAWS
@given(watched(restarts=("late",)))
def test_a_retry_that_first_shows_the_stages_of_the_failed_attempt_is_told_whole(case: tuple[History, list[int]]) -> None:
    """Such answers may be doubted for a while: the stage that failed goes back to waiting. Nothing is lost or told twice."""
    history, indices = case
    events = events_of(tell(history, [index for index in indices for _ in range(CONFIRMATIONS)]))
    assert_said_once(events)
    assert_no_phantom(history, events, late=True)
    assert_all_owed(history, indices, events)


def test_histories_are_what_they_claim_to_be() -> None:
    plan = Plan("t", nodes=3, batch=2, failures=(Failure(after_rounds=1, stage=1, restart="stage"),))
    life = play(plan)
    assert [state.time for state in life] == sorted(state.time for state in life)
    assert {state.attempt for state in life} == {1, 2}
    assert all(set(a.task.completed) <= set(b.task.completed) for a, b in pairwise(life))
    assert life[-1].task.status == Status.SUCCESS
    assert set(life[-1].task.completed) == {"n0", "n1", "n2"}


@LAWS
@given(watched())
def test_a_failure_names_the_nodes_that_were_in_flight(case: tuple[History, list[int]]) -> None:
    history, indices = case
    events = by_task(events_of(tell(history, indices)))
    for plan in history.plans:
        seen = history.states(plan.id, indices)
        at_work = failing(seen)
        failed = {state.attempt for state in seen if state.task.status in {Status.FAILED, Status.PARTIAL_FAILED}}
        owed = {(Kind.NODE_FAILED, attempt, node, -1) for attempt in failed for node in at_work.get(attempt, ())}
        told = {fact_of(event) for event in events.get(plan.id, []) if event.kind is Kind.NODE_FAILED}
        done = {node for state in seen for node in state.task.completed}
        assert {fact for fact in owed if fact[2] not in done} <= told


@LAWS
@given(watched())
def test_within_one_poll_the_order_is_the_agreed_one(case: tuple[History, list[int]]) -> None:
    history, indices = case
    for step, index in zip(tell(history, indices), indices, strict=True):
        listed = {state.task.id: state.task for state in history.answers[index]}
        for task_id, events in by_task(step.events).items():
            ranks = [RANK[event.kind] for event in events]
            assert ranks == sorted(ranks)
            orders = [event.stage.order for event in events if event.stage]
            assert orders == sorted(orders)
            completed = [event.node for event in events if event.kind is Kind.NODE_COMPLETED]
            assert completed == [node for node in listed[task_id].completed if node in completed]
            attempts = [fact_of(event)[1] for event in events if event.kind is Kind.TASK_RETRIED]
            assert attempts == sorted(attempts)


@LAWS
@given(watched())
def test_events_are_dated_by_the_api_and_within_their_attempt(case: tuple[History, list[int]]) -> None:
    history, indices = case
    for task_id, events in by_task(events_of(tell(history, indices))).items():
        failed = {state.attempt: state.task.ended_at for state in history.states(task_id, indices) if state.task.ended_at}
        whole = node_ends(history.states(task_id, history.all_indices))
        for event in events:
            assert event.task is not None
            assert EPOCH <= event.time <= (event.task.ended_at or event.observed_at)
            kind, attempt, node, _ = fact_of(event)
            if kind in {Kind.TASK_RETRIED, Kind.NODE_STARTED, Kind.NODE_FAILED, *TERMINAL.values()}:
                assert event.time >= failed.get(attempt - 1, EPOCH)
            if kind is Kind.NODE_COMPLETED:
                assert event.time >= whole.get(node, EPOCH)
            if event.stage:
                assert event.time == (event.stage.began_at if kind is Kind.STAGE_STARTED else event.stage.ended_at)


def node_ends(life: Iterable[State]) -> dict[str, datetime]:
    """When the last stage of each node truly ended before it was first shown as completed; a retry may do it all again."""
    ends: dict[str, datetime] = {}
    done: set[str] = set()
    for state in life:
        node = state.task.current_node or ""
        done |= set(state.task.completed)
        over = [stage.ended_at for stage in state.task.stages if stage.ended_at]
        if over and node not in done:
            ends[node] = over[-1]
    return ends


@LAWS
@given(watched())
def test_the_same_answer_again_says_nothing_and_changes_nothing(case: tuple[History, list[int]]) -> None:
    history, indices = case
    for number, (step, index) in enumerate(zip(tell(history, indices), indices, strict=True)):
        again = diff(step.known, history.snapshot(index, turned=not number % 2), EPOCH + timedelta(days=90))
        assert again.events == ()
        assert again.known is step.known


@LAWS
@given(histories(), st.data())
def test_the_same_fact_has_the_same_id_whoever_saw_it_and_when(history: History, data: st.DataObject) -> None:
    first = events_of(tell(history, data.draw(polls(len(history.answers)))))
    second = events_of(tell(history, data.draw(polls(len(history.answers))), start=EPOCH + timedelta(days=400)))
    for task_id, told in by_task(first).items():
        ids = {fact_of(event): event.id for event in told}
        others = {fact_of(event): event.id for event in by_task(second).get(task_id, [])}
        assert all(others[fact] == ids[fact] for fact in ids.keys() & others.keys())


def with_old_answers(draw: st.DrawFn, history: History, indices: list[int]) -> list[int]:
    """The polls, with one or two answers of before put between some of them."""
    told: list[int] = []
    for index in indices:
        told.append(index)
        if index and draw(st.booleans()):
            told += draw(st.lists(st.integers(0, index), min_size=1, max_size=2))
    assert max(told) < len(history.answers)
    return told


@st.composite
def disturbed(draw: st.DrawFn) -> tuple[History, list[int], list[int]]:
    history, indices = draw(watched())
    return history, indices, with_old_answers(draw, history, indices)


@LAWS
@given(disturbed())
def test_old_answers_in_between_tell_nothing_again_and_nothing_false(case: tuple[History, list[int], list[int]]) -> None:
    history, indices, polled = case
    events = events_of(tell(history, polled))
    assert_said_once(events)
    assert_no_phantom(history, events)
    assert_all_owed(history, indices, events)


@LAWS
@given(watched())
def test_an_incomplete_list_is_never_taken_for_a_missing_task(case: tuple[History, list[int]]) -> None:
    history, indices = case
    known = empty_baseline()
    holes = Snapshot(CLUSTER, Action.UPGRADING, (), partial=True)
    for number, index in enumerate(indices):
        now = EPOCH + timedelta(days=30, seconds=number)
        known = diff(known, history.snapshot(index), now).known
        for _ in range(4):
            step = diff(known, holes, now)
            assert step.known is known
            assert step.events == ()


@LAWS
@given(disturbed())
def test_what_is_known_survives_being_stored(case: tuple[History, list[int], list[int]]) -> None:
    history, _, polled = case
    kept = stored = empty_baseline()
    for number, index in enumerate(polled):
        now = EPOCH + timedelta(days=30, seconds=number)
        plain, restored = diff(kept, history.snapshot(index), now), diff(stored, history.snapshot(index), now)
        assert restored.events == plain.events
        assert restored.known == plain.known
        kept = plain.known
        tasks = {key: KNOWN_TASK.validate_json(KNOWN_TASK.dump_json(task)) for key, task in restored.known.tasks.items()}
        stored = replace(restored.known, tasks=tasks)


@LAWS
@given(watched(("absent", "stuck", "from zero")))
def test_without_a_count_of_executions_nothing_is_told_twice_or_invented(case: tuple[History, list[int]]) -> None:
    history, indices = case
    last = len(history.answers) - 1
    events = by_task(events_of(tell(history, [*indices, last, last, last])))
    assert_said_once([event for told in events.values() for event in told])
    for plan in history.plans:
        life = history.states(plan.id, history.all_indices)
        told = {fact_of(event) for event in events[plan.id]}
        # Attempts may be fewer than there were, never more; everything else is true of some attempt.
        assert max(event.task.attempt for event in events[plan.id] if event.task) <= life[-1].attempt
        true = {(kind, node, order) for kind, _, node, order in facts_in(life) | stage_facts_in(life)}
        assert {(kind, node, order) for kind, _, node, order in told if kind is not Kind.NODE_FAILED} <= true
        end = life[-1].task
        assert set(end.completed) <= {fact[2] for fact in told if fact[0] is Kind.NODE_COMPLETED}
        assert TERMINAL[end.status] in {fact[0] for fact in told}
