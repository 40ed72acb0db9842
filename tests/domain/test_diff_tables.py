"""The rules of the diff one by one, each as a short story of polls. What holds for all stories is in the laws.

Long, because it is a catalogue: each rule stands beside its exceptions, and one small language of polls serves them all.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.domain.diff import CONFIRMATIONS, Remark, Step, diff
from notifier.domain.known import Known
from notifier.domain.model import Action, Cluster, Event, Kind, Outage, Snapshot, Stage, Status, Task
from notifier.domain.outage import reachable, unreachable

CLUSTER = Cluster("c-1", "search-prod", "cn-north-4", "prod", "p-1")
RUNNING, SUCCESS, FAILED, PARTIAL, WAITING = (
    Status.RUNNING,
    Status.SUCCESS,
    Status.FAILED,
    Status.PARTIAL_FAILED,
    Status.WAITING,
)


def at(minute: float) -> datetime:
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minute)


def stage(order: int, status: str, began: float | None = None, ended: float | None = None) -> Stage:
    times = [None if time is None else at(time) for time in (began, ended)]
    return Stage(order, f"stage {order}", status, "", *times)


def task(status: str = RUNNING, *stages: Stage, **facts: Any) -> Task:
    usual = {"id": "t", "executions": 1, "total": ("a", "b", "c"), "started_at": at(0)}
    if status == RUNNING:
        usual |= {"in_flight": ("a",), "current_node": "a"}
    return Task(**{**usual, "status": status, "stages": stages, **facts})


class Watch:
    """Polls one cluster, a minute each; told in words."""

    def __init__(self, *first: Task, action: Action = Action.UPGRADING) -> None:
        self.known = Known()
        self.action = action
        self.minute = 100
        self.events: tuple[Event, ...] = ()
        self.remarks: tuple[Remark, ...] = ()
        self.at_first = self.poll(*first)

    def poll(self, *tasks: Task, partial: bool = False) -> list[str]:
        self.minute += 1
        step = diff(self.known, Snapshot(CLUSTER, self.action, tasks, partial), at(self.minute))
        self.known, self.events, self.remarks = step.known, step.events, step.remarks
        return [words(event) for event in step.events]

    @property
    def doubts(self) -> list[str]:
        assert {remark.what for remark in self.remarks} <= {"stale"}
        return [remark.detail for remark in self.remarks]


def words(event: Event) -> str:
    stage_order = None if event.stage is None else str(event.stage.order)
    return " ".join(filter(None, (event.kind, event.node, stage_order)))


# The baseline


@pytest.mark.parametrize("status", [SUCCESS, FAILED, PARTIAL])
def test_what_was_over_before_we_looked_is_not_told(status: str) -> None:
    watch = Watch(over := task(status, stage(0, FAILED, 1, 2), completed=("a",), current_node="b"))
    assert watch.at_first == []
    assert watch.poll(over) == []
    assert not watch.known.running(Action.UPGRADING)


def test_what_runs_when_we_first_look_is_told_in_one_line() -> None:
    watch = Watch(seen := task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, RUNNING, 3), completed=("c",), executions=2))
    assert watch.at_first == ["task.started"]
    (event,) = watch.events
    assert (event.catch_up, event.time, event.sequence) == (True, at(0), 1)
    assert event.task is not None
    assert (event.task.attempt, event.task.nodes.completed, event.progress) == (2, ("c",), 0.5)
    assert watch.known.running(Action.UPGRADING)
    later = replace(seen, stages=(stage(0, SUCCESS, 1, 2), stage(1, SUCCESS, 3, 4)))
    assert watch.poll(later) == ["stage.succeeded a 1"]


def test_a_running_task_without_a_start_is_dated_when_it_was_seen() -> None:
    watch = Watch(task(started_at=None, current_node=None, in_flight=()))
    assert watch.events[0].time == at(watch.minute)


def test_a_task_of_unknown_status_is_told_when_its_status_is_understood() -> None:
    watch = Watch(task("INITIALIZING"))
    assert watch.at_first == []
    assert watch.remarks == (Remark("unknown_status", "t", "INITIALIZING"),)
    assert watch.poll(task(RUNNING)) == ["task.started", "node.started a"]
    assert not watch.events[0].catch_up


def test_an_unknown_status_in_the_middle_is_remarked_and_no_event() -> None:
    watch = Watch()
    watch.poll(task(RUNNING))
    assert watch.poll(task("PAUSED", current_node="a", in_flight=("a",))) == []
    assert watch.remarks == (Remark("unknown_status", "t", "PAUSED"),)
    assert watch.poll(task(RUNNING)) == []


def test_each_action_has_its_own_baseline() -> None:
    watch = Watch()
    assert watch.known.unsettled(Action.AZ_MIGRATION)
    assert not watch.known.unsettled(Action.UPGRADING)
    watch.action = Action.AZ_MIGRATION
    assert watch.poll(task(FAILED)) == []
    watch.action = Action.UPGRADING
    assert watch.poll(task(FAILED))[0] == "task.started", "an upgrade of the same id is another task"
    assert len(watch.known.tasks) == 2


def test_a_failure_from_before_we_looked_is_news_once_it_is_retried() -> None:
    watch = Watch(task(FAILED, ended_at=at(50)))
    assert watch.poll(task(RUNNING, executions=2)) == ["task.retried", "node.started a"]
    assert watch.poll(task(FAILED, executions=2, ended_at=at(90))) == ["node.failed a", "task.failed"]


# Polls miss things


def test_a_task_that_came_and_went_between_two_polls_is_told_whole() -> None:
    watch = Watch()
    done = task(SUCCESS, stage(0, SUCCESS, 5, 9), completed=("b", "a", "c"), current_node="c", ended_at=at(10))
    assert watch.poll(done) == [
        "task.started",
        "node.completed b",
        "node.completed a",
        "node.completed c",
        "stage.started c 0",
        "stage.succeeded c 0",
        "task.succeeded",
    ]
    assert [event.observed for event in watch.events] == [False, True, True, True, False, True, True]
    assert [event.time for event in watch.events] == [at(0), at(10), at(10), at(9), at(5), at(9), at(10)]
    assert [event.progress for event in watch.events] == [1.0] * 7


def test_a_task_first_seen_at_its_second_attempt_was_started_and_retried() -> None:
    watch = Watch()
    assert watch.poll(task(executions=2)) == ["task.started", "task.retried", "node.started a"]


def test_a_stage_that_was_missed_is_started_and_succeeded_with_the_times_of_the_answer() -> None:
    watch = Watch()
    watch.poll(task(RUNNING, stage(0, WAITING)))
    assert watch.poll(task(RUNNING, stage(0, SUCCESS, 1, 4))) == ["stage.started a 0", "stage.succeeded a 0"]
    assert [(event.time, event.observed) for event in watch.events] == [(at(1), False), (at(4), True)]


def test_stages_are_told_by_their_order_whatever_the_list_says() -> None:
    watch = Watch()
    watch.poll(task())
    told = watch.poll(task(RUNNING, stage(12, RUNNING, 5), stage(0, FAILED, 1, 2), stage(3, SUCCESS, 3, 4)))
    assert told == ["stage.started a 0", "stage.failed a 0", "stage.started a 3", "stage.succeeded a 3", "stage.started a 12"]


def test_executions_that_jump_prove_the_attempts_between() -> None:
    watch = Watch()
    watch.poll(task(RUNNING, stage(0, RUNNING, 1)))
    assert watch.poll(task(RUNNING, stage(0, RUNNING, 70), executions=3)) == [
        "task.retried",
        "task.retried",
        "node.started a",
        "stage.started a 0",
    ]
    assert [(event.task.attempt, event.observed) for event in watch.events if event.task] == [
        (2, False),
        (3, True),
        (3, True),
        (3, True),
    ]


def test_two_nodes_completed_in_one_poll_come_in_the_order_of_the_list() -> None:
    watch = Watch()
    watch.poll(task(in_flight=("a", "b")))
    told = watch.poll(task(completed=("b", "a"), in_flight=("c",), current_node="c"))
    assert told == ["node.completed b", "node.completed a", "node.started c"]


def test_a_batch_starts_and_fails_together() -> None:
    watch = Watch()
    assert watch.poll(task(in_flight=("a", "b"))) == ["task.started", "node.started a", "node.started b"]
    failed = task(FAILED, in_flight=("b", "a"), current_node="a", ended_at=at(9))
    assert watch.poll(failed) == ["node.failed b", "node.failed a", "task.failed"]


def test_a_failure_that_forgets_its_node_is_of_the_node_last_seen_in_flight() -> None:
    watch = Watch()
    watch.poll(task(in_flight=("a", "b")))
    assert watch.poll(task(FAILED, completed=("a",))) == ["node.completed a", "node.failed b", "task.failed"]
    assert watch.events[-1].time == at(watch.minute), "without endTime it is dated when it was seen"


def test_a_failure_that_forgets_its_node_is_not_of_a_node_that_was_in_flight_before_the_retry_began_anew() -> None:
    watch = Watch(task())
    watch.poll(task(completed=("a", "b"), in_flight=("c",), current_node="c"))
    assert watch.poll(task(FAILED, executions=2)) == ["task.retried", "task.failed"]
    kept = Watch(task())
    kept.poll(task(completed=("a",), in_flight=("b",), current_node="b"))
    assert kept.poll(task(FAILED, executions=2, completed=("a",))) == ["task.retried", "node.failed b", "task.failed"]


def test_a_completed_node_is_not_dated_by_stages_that_were_not_its_last() -> None:
    watch = Watch()
    watch.poll(task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, RUNNING, 3)))
    watch.poll(task(FAILED, completed=("a",), ended_at=at(50)))
    assert words(watch.events[0]) == "node.completed a"
    assert watch.events[0].time == at(50), "at the latest when the task ended"


def test_stages_left_over_from_a_node_told_as_completed_are_no_news() -> None:
    watch = Watch()
    watch.poll(task(completed=("a",), in_flight=("b",), current_node=None))
    left_over = task(RUNNING, stage(0, SUCCESS, 1, 2), completed=("a",), in_flight=("b",), current_node="a")
    assert watch.poll(left_over) == []


def test_unknown_stage_statuses_are_remarked_and_told_once_they_are_understood() -> None:
    watch = Watch()
    watch.poll(task(RUNNING, stage(0, WAITING)))
    assert watch.poll(task(RUNNING, stage(0, "PREPARING"))) == []
    assert watch.remarks == (Remark("unknown_stage_status", "t", "PREPARING"),)
    assert watch.poll(task(RUNNING, stage(0, RUNNING, 3))) == ["stage.started a 0"]


def test_several_tasks_are_told_by_their_start_whatever_the_list_says() -> None:
    watch = Watch()
    watch.poll(task(id="new", started_at=at(9)), task(id="unstarted", started_at=None), task(id="old", started_at=at(1)))
    told = [event.task.id for event in watch.events if event.task and event.kind is Kind.TASK_STARTED]
    assert told == ["old", "new", "unstarted"]
    assert [event.sequence for event in watch.events] == [1, 2] * 3


# Retries


def failed_at_stage_1(**facts: Any) -> Task:
    return task(
        FAILED,
        stage(0, SUCCESS, 1, 2),
        stage(1, FAILED, 3, 4),
        **{"in_flight": ("a",), "current_node": "a", "ended_at": at(5), **facts},
    )


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ((stage(0, WAITING), stage(1, WAITING)), []),
        ((stage(0, RUNNING, 9), stage(1, WAITING)), ["stage.started a 0"]),
        ((stage(0, SUCCESS, 1, 2), stage(1, RUNNING, 9)), ["stage.started a 1"]),
        ((stage(0, SUCCESS, 1, 2), stage(1, WAITING)), []),
        ((stage(0, SUCCESS, 1, 2), stage(1, FAILED, 3, 4)), []),
    ],
    ids=["zero, waiting", "zero, at work", "failed stage, at work", "failed stage, waiting", "nothing changed yet"],
)
def test_a_retry_begins_at_stage_0_or_at_the_failed_one_and_what_was_kept_is_no_news(
    first: tuple[Stage, ...], told: list[str]
) -> None:
    watch = Watch()
    assert watch.poll(failed_at_stage_1())[-3:] == ["stage.failed a 1", "node.failed a", "task.failed"]
    assert watch.poll(task(RUNNING, *first, executions=2)) == ["task.retried", "node.started a", *told]
    began = {stage.began_at for stage in first} & {at(9)}
    assert {event.time for event in watch.events} == (began or {at(watch.minute)}), "never dated before the failure"


@pytest.mark.parametrize("gone", [{"stages": (), "current_node": None, "in_flight": ()}, {"stages": ()}])
def test_stages_that_a_failed_answer_forgot_are_still_known_to_the_retry(gone: dict[str, Any]) -> None:
    watch = Watch()
    watch.poll(task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, RUNNING, 3)))
    watch.poll(replace(failed_at_stage_1(), **gone))
    retried = task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, RUNNING, 9), executions=2)
    assert watch.poll(retried) == ["task.retried", "node.started a", "stage.started a 1"]


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ((stage(0, SUCCESS, 1, 2), stage(1, SUCCESS, 3, 4), stage(2, RUNNING, 9)), ["stage.started a 2"]),
        (
            (stage(0, SUCCESS, 9, 10), stage(1, RUNNING, 11), stage(2, WAITING)),
            ["stage.started a 0", "stage.succeeded a 0", "stage.started a 1"],
        ),
    ],
    ids=["at the failed stage", "anew"],
)
def test_what_a_retry_keeps_is_no_news_though_old_answers_had_made_it_forgotten(
    first: tuple[Stage, ...], told: list[str]
) -> None:
    watch = Watch()
    watch.poll(task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, RUNNING, 3), stage(2, WAITING)))
    watch.poll(task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, SUCCESS, 3, 4), stage(2, FAILED, 5, 6)))
    for _ in range(CONFIRMATIONS):
        watch.poll(task(RUNNING, stage(0, RUNNING, 1), stage(1, WAITING), stage(2, WAITING)))
    assert watch.poll(task(RUNNING, *first, executions=2)) == ["task.retried", "node.started a", *told]


def test_a_stage_without_times_is_kept_as_long_as_its_status_is() -> None:
    watch = Watch()
    watch.poll(task(FAILED, stage(0, SUCCESS), stage(1, FAILED), in_flight=("a",), current_node="a"))
    told = watch.poll(task(RUNNING, stage(0, SUCCESS), stage(1, RUNNING), executions=2))
    assert told == ["task.retried", "node.started a", "stage.started a 1"]


def test_a_retry_that_shows_the_old_stages_for_a_while_loses_none_of_the_new_ones() -> None:
    watch = Watch()
    watch.poll(task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, RUNNING, 3)))
    watch.poll(task(FAILED, stage(0, SUCCESS, 1, 2), stage(1, FAILED, 3, 4), in_flight=("a",), current_node="a", ended_at=at(5)))
    old = task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, FAILED, 3, 4), executions=2)
    assert watch.poll(old) == ["task.retried", "node.started a"]
    assert watch.poll(task(RUNNING, stage(0, WAITING), stage(1, WAITING), executions=2)) == []
    assert watch.doubts == []
    assert watch.poll(task(RUNNING, stage(0, RUNNING, 7), stage(1, WAITING), executions=2)) == ["stage.started a 0"]
    begun = task(RUNNING, stage(0, SUCCESS, 7, 8), stage(1, RUNNING, 9), executions=2)
    assert watch.poll(begun) == ["stage.succeeded a 0", "stage.started a 1"]


def test_what_was_told_of_a_kept_stage_in_the_new_attempt_is_not_told_again_when_it_begins_anew() -> None:
    watch = Watch()
    watch.poll(task(RUNNING, stage(0, RUNNING, 1), stage(1, WAITING)))
    late = task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, WAITING), executions=2)
    assert watch.poll(late) == ["task.retried", "node.started a", "stage.succeeded a 0"]
    assert watch.poll(task(RUNNING, stage(0, SUCCESS, 7, 8), stage(1, WAITING), executions=2)) == ["stage.started a 0"]


def test_a_retry_that_does_completed_nodes_again_tells_their_stages_and_doubts_nothing() -> None:
    watch = Watch()
    watch.poll(task(RUNNING, completed=("a",), in_flight=("b",), current_node="b"))
    watch.poll(task(FAILED, completed=("a",), in_flight=("b",), current_node="b", ended_at=at(5)))
    again = task(RUNNING, stage(0, RUNNING, 7), executions=2)
    assert watch.poll(again) == ["task.retried", "node.started a", "stage.started a 0"]
    assert watch.poll(task(RUNNING, stage(0, SUCCESS, 7, 8), executions=2)) == ["stage.succeeded a 0"]
    assert watch.doubts == []
    done = task(RUNNING, stage(0, SUCCESS, 7, 8), executions=2, completed=("a",), in_flight=("b",), current_node="b")
    assert watch.poll(done) == ["node.started b", "stage.started b 0", "stage.succeeded b 0"]
    assert watch.known.tasks[Action.UPGRADING, "t"].again == frozenset()


def test_a_list_that_shrank_for_good_is_doubted_once() -> None:
    watch = Watch()
    watch.poll(task(completed=("a", "b"), in_flight=("c",), current_node="c"))
    for _ in range(CONFIRMATIONS):
        watch.poll(task(completed=("b",), in_flight=("c",), current_node="c"))
    assert watch.poll(task(RUNNING, stage(0, RUNNING, 9), completed=("b",), in_flight=("c",), current_node="c")) == [
        "stage.started c 0"
    ]


def test_executions_that_are_counted_from_0_are_attempts_from_1() -> None:
    watch = Watch()
    assert watch.poll(task(executions=0)) == ["task.started", "node.started a"]
    assert watch.poll(task(FAILED, executions=0, in_flight=("a",), ended_at=at(5))) == ["node.failed a", "task.failed"]
    assert watch.poll(task(executions=1)) == ["task.retried", "node.started a"]
    assert [event.task.attempt for event in watch.events if event.task] == [2, 2]
    watch.poll(task(FAILED, executions=1, in_flight=("a",), ended_at=at(8)))
    assert watch.poll(task(executions=0)) == []
    assert watch.doubts == ["fewer executions than known"]


def test_the_baseline_knows_executions_that_are_counted_from_0() -> None:
    watch = Watch(task(executions=0))
    assert watch.poll(task(executions=1)) == ["task.retried", "node.started a"]


def test_the_marks_of_another_node_are_not_the_retrys() -> None:
    watch = Watch()
    watch.poll(failed_at_stage_1())
    told = watch.poll(task(RUNNING, stage(0, SUCCESS, 1, 2), current_node="b", in_flight=("b",), executions=2))
    assert told == ["task.retried", "node.started b", "stage.started b 0", "stage.succeeded b 0"]


def test_a_stage_that_was_not_listed_before_the_retry_is_new() -> None:
    watch = Watch()
    watch.poll(failed_at_stage_1())
    watch.poll(replace(failed_at_stage_1(), stages=(stage(0, SUCCESS, 1, 2),)))
    told = watch.poll(task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, RUNNING, 9), executions=2))
    assert told == ["task.retried", "node.started a", "stage.started a 1"]


@pytest.mark.parametrize(
    "again",
    [
        task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, RUNNING, 9)),
        task(RUNNING, stage(0, RUNNING, 9), stage(1, WAITING)),
        task(RUNNING, stage(2, RUNNING, 9)),
        task(RUNNING, stage(0, RUNNING, 9), current_node="b", in_flight=("b",)),
        task(RUNNING, started_at=at(9)),
        task(RUNNING, completed=("c",)),
    ],
    ids=["stage 1 again", "stage 0 again", "a new stage", "another node", "a new start", "more completed"],
)
def test_a_failed_task_that_shows_something_newer_was_retried_though_no_count_rose(again: Task) -> None:
    watch = Watch()
    watch.poll(failed_at_stage_1(executions=None))
    assert "task.retried" in watch.poll(replace(again, executions=None))
    assert watch.events[-1].task is not None
    assert watch.events[-1].task.attempt == 2


def test_without_the_time_of_the_failure_a_stage_that_began_anew_is_newer() -> None:
    watch = Watch()
    watch.poll(failed_at_stage_1(ended_at=None))
    assert "task.retried" in watch.poll(task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, RUNNING, 9)))


@pytest.mark.parametrize(
    "again",
    [
        task(RUNNING, stage(0, WAITING), stage(1, WAITING)),
        task(RUNNING, stage(0, SUCCESS, 1, 2), stage(1, RUNNING, 3)),
        task(RUNNING, stage(0, SUCCESS, 1, 2), stage(2, RUNNING, 4)),
        task(RUNNING, stage(0, RUNNING, 0)),
    ],
    ids=["nothing begun", "the failed stage before it failed", "before the failure", "another beginning, before the failure"],
)
def test_a_failed_task_that_shows_nothing_newer_is_believed_to_run_after_three_answers(again: Task) -> None:
    watch = Watch()
    watch.poll(failed_at_stage_1())
    for _ in range(CONFIRMATIONS - 1):
        assert watch.poll(again) == []
        assert watch.doubts == ["running, with nothing newer than its failure"]
        assert watch.known.unsettled(Action.UPGRADING)
    assert watch.poll(again)[0] == "task.retried"
    assert not watch.known.unsettled(Action.UPGRADING)


def test_a_count_that_rises_late_is_the_retry_that_was_told_already() -> None:
    watch = Watch()
    watch.poll(failed_at_stage_1())
    assert "task.retried" in watch.poll(task(RUNNING, stage(1, RUNNING, 9)))
    assert watch.poll(task(RUNNING, stage(1, RUNNING, 9), executions=2)) == []


def test_a_count_that_stays_behind_does_not_hide_a_retry() -> None:
    watch = Watch()
    watch.poll(failed_at_stage_1())
    assert "task.retried" in watch.poll(task(RUNNING, stage(1, RUNNING, 9)))
    assert watch.poll(failed_at_stage_1(ended_at=at(20)))[-1] == "task.failed"
    assert "task.retried" in watch.poll(task(RUNNING, stage(1, RUNNING, 30), executions=2))
    assert watch.events[0].task is not None
    assert watch.events[0].task.attempt == 3


@pytest.mark.parametrize(
    ("again", "end"),
    [
        (task(FAILED, stage(1, FAILED, 12, 29), executions=None, in_flight=("a",), current_node="a"), "task.failed"),
        (task(SUCCESS, executions=None, completed=("a", "b", "c"), ended_at=at(30)), "task.succeeded"),
        (task(FAILED, executions=None, completed=("a",), ended_at=at(30)), "task.failed"),
    ],
)
def test_an_uncounted_attempt_that_nobody_saw_run_is_told_by_its_end(again: Task, end: str) -> None:
    watch = Watch()
    watch.poll(failed_at_stage_1(executions=None))
    told = watch.poll(replace(again, ended_at=at(30)))
    assert told[0] == "task.retried"
    assert told[-1] == end
    assert watch.poll(replace(again, ended_at=at(30))) == []


def test_the_end_of_an_uncounted_failure_that_is_only_dated_anew_is_no_other_attempt() -> None:
    watch = Watch()
    watch.poll(failed_at_stage_1(executions=None))
    assert watch.poll(failed_at_stage_1(executions=None, ended_at=at(30))) == []


def test_a_retry_of_another_node_of_the_batch_begins_afresh() -> None:
    watch = Watch()
    batch = ("a", "b")
    watch.poll(task(RUNNING, stage(0, RUNNING, 1), in_flight=batch))
    watch.poll(task(FAILED, stage(0, FAILED, 2, 3), in_flight=batch, current_node="b", ended_at=at(4)))
    told = watch.poll(task(RUNNING, stage(0, RUNNING, 9), in_flight=batch, executions=2))
    assert told == ["task.retried", "node.started a", "node.started b", "stage.started a 0"]


def test_a_retry_after_success_is_believed_if_it_was_counted() -> None:
    watch = Watch()
    watch.poll(task(SUCCESS, completed=("a", "b", "c"), ended_at=at(9)))
    assert watch.poll(task(RUNNING, completed=("a", "b", "c"), in_flight=(), executions=2)) == ["task.retried"]


def test_executions_that_fall_silent_keep_what_was_counted() -> None:
    watch = Watch()
    watch.poll(task(executions=2))
    assert watch.poll(task(executions=None)) == []
    assert watch.poll(task(executions=2)) == []
    assert watch.poll(task(executions=3))[0] == "task.retried"


# Endings


def test_a_failure_that_becomes_a_partial_one_is_told_too_but_its_node_only_once() -> None:
    watch = Watch()
    watch.poll(task())
    assert watch.poll(task(FAILED, in_flight=("a",), ended_at=at(9))) == ["node.failed a", "task.failed"]
    assert watch.poll(task(PARTIAL, in_flight=("a",), ended_at=at(9))) == ["task.partially_failed"]
    assert watch.poll(task(FAILED, in_flight=("a",), ended_at=at(9))) == []


def test_a_stage_that_succeeded_and_then_failed_is_told_as_both() -> None:
    watch = Watch()
    watch.poll(task(RUNNING, stage(0, SUCCESS, 1, 2)))
    assert watch.poll(task(RUNNING, stage(0, FAILED, 1, 3))) == ["stage.failed a 0"]
    assert watch.poll(task(RUNNING, stage(0, SUCCESS, 1, 4))) == []


# Answers that cannot be true


def test_a_task_that_succeeded_never_runs_again_in_the_same_attempt() -> None:
    watch = Watch()
    watch.poll(task(SUCCESS, completed=("a", "b", "c"), ended_at=at(9)))
    before = watch.known
    for _ in range(CONFIRMATIONS + 2):
        assert watch.poll(task(RUNNING, stage(0, RUNNING, 20), completed=("a", "b", "c"))) == []
        assert watch.doubts == ["not over, after its success"]
    assert watch.known is before


def test_fewer_executions_than_known_are_never_believed() -> None:
    watch = Watch()
    watch.poll(task(executions=2))
    before = watch.known
    for _ in range(CONFIRMATIONS + 2):
        assert watch.poll(task(FAILED, executions=1, ended_at=at(9))) == []
        assert watch.doubts == ["fewer executions than known"]
    assert watch.known is before


def uncounted_retry() -> Watch:
    watch = Watch()
    watch.poll(failed_at_stage_1(executions=None))
    watch.poll(task(RUNNING, stage(1, RUNNING, 9), executions=None))
    return watch


def test_the_failure_of_the_attempt_before_is_recognised_by_its_time() -> None:
    watch = uncounted_retry()
    assert watch.poll(failed_at_stage_1(executions=None)) == []
    assert watch.doubts == ["the end of an earlier attempt"]
    assert watch.poll(failed_at_stage_1(executions=None, ended_at=at(20)))[-1] == "task.failed"


@pytest.mark.parametrize(
    ("known", "old", "doubt"),
    [
        (
            task(completed=("a",), in_flight=("b",), current_node="b"),
            task(),
            "fewer completed nodes than known",
        ),
        (
            task(RUNNING, stage(0, WAITING), completed=("a",), in_flight=("b",), current_node="b"),
            task(RUNNING, stage(0, SUCCESS, 1, 2), completed=("a",), in_flight=(), current_node="a"),
            "at a node that was left behind",
        ),
        (task(RUNNING, stage(0, SUCCESS, 1, 2)), task(RUNNING, stage(0, RUNNING, 1)), "a stage went back"),
        (task(RUNNING, stage(0, RUNNING, 1)), task(RUNNING, stage(0, WAITING)), "a stage went back"),
    ],
)
def test_an_older_answer_of_the_same_attempt_changes_nothing(known: Task, old: Task, doubt: str) -> None:
    watch = Watch()
    watch.poll(known)
    for _ in range(CONFIRMATIONS - 1):
        assert watch.poll(old) == []
        assert watch.doubts == [doubt]
    before = watch.known.tasks[Action.UPGRADING, "t"]
    assert watch.poll(known) == []
    assert watch.known.tasks[Action.UPGRADING, "t"] == replace(before, doubts=0), "the doubt is forgotten"


def test_a_stage_that_begins_again_within_an_attempt_is_not_taken_for_an_old_answer() -> None:
    watch = Watch()
    watch.poll(task(RUNNING, stage(0, SUCCESS, 1, 2)))
    assert watch.poll(task(RUNNING, stage(0, RUNNING, 9))) == []
    assert watch.doubts == []
    assert watch.known.tasks[Action.UPGRADING, "t"].task.stages == (stage(0, RUNNING, 9),)


def test_a_shrunken_answer_that_stays_is_believed_and_nothing_is_told_again() -> None:
    watch = Watch()
    watch.poll(task(completed=("a", "b"), in_flight=("c",), current_node="c"))
    shrunk = task(RUNNING, stage(0, RUNNING, 50), completed=("b",), in_flight=("a",), current_node="a")
    for _ in range(CONFIRMATIONS - 1):
        assert watch.poll(shrunk) == []
    assert watch.poll(shrunk) == []
    assert watch.remarks == ()
    known = watch.known.tasks[Action.UPGRADING, "t"].task
    assert known.completed == ("a", "b")
    assert watch.poll(task(completed=("b", "a", "c"), in_flight=(), current_node=None)) == ["node.completed c"]


def test_the_same_completed_nodes_in_another_order_are_nothing_new() -> None:
    watch = Watch()
    watch.poll(task(completed=("a", "b"), in_flight=("c",), current_node="c"))
    before = watch.known
    assert watch.poll(task(completed=("b", "a"), in_flight=("c",), current_node="c")) == []
    assert watch.known is before


# Tasks that are no longer listed


def test_a_running_task_that_stays_away_is_told_once() -> None:
    watch = Watch(seen := task())
    assert [watch.poll() for _ in range(5)] == [[], [], ["task.vanished"], [], []]
    assert watch.poll(seen) == []
    assert [watch.poll() for _ in range(5)] == [[]] * 5, "it vanishes once in an attempt"
    assert watch.poll(replace(seen, executions=2))[0] == "task.retried"
    assert [watch.poll() for _ in range(3)] == [[], [], ["task.vanished"]]
    assert watch.events[0].task is not None
    assert watch.events[0].task.attempt == 2


def test_a_vanished_task_is_watched_at_rest_until_it_is_listed_again() -> None:
    watch = Watch(task())
    for _ in range(CONFIRMATIONS):
        watch.poll()
    assert not watch.known.running(Action.UPGRADING)
    assert watch.poll(task()) == []
    assert watch.known.running(Action.UPGRADING)
    for _ in range(CONFIRMATIONS):
        assert watch.poll() == []
    assert not watch.known.running(Action.UPGRADING)
    assert watch.poll(task(completed=("a",), in_flight=("b",), current_node="b")) == ["node.completed a", "node.started b"]
    assert watch.known.running(Action.UPGRADING)


def test_a_task_that_comes_back_in_time_was_not_gone() -> None:
    watch = Watch(seen := task())
    for _ in range(3):
        assert [watch.poll(), watch.poll()] == [[], []]
        assert watch.poll(seen) == []


def test_an_incomplete_list_says_nothing_of_what_it_lacks() -> None:
    watch = Watch(task())
    before = watch.known
    assert [watch.poll(partial=True) for _ in range(4)] == [[]] * 4
    assert watch.known is before


def test_only_running_tasks_of_the_same_action_can_vanish() -> None:
    watch = Watch(task(SUCCESS))
    assert [watch.poll() for _ in range(4)] == [[]] * 4
    watch.action = Action.AZ_MIGRATION
    watch.poll(task())
    watch.action = Action.UPGRADING
    assert [watch.poll() for _ in range(4)] == [[]] * 4


# No data


def words_of(step: Step) -> list[tuple[str, int]]:
    return [(event.kind, event.sequence) for event in step.events]


def test_an_outage_is_told_after_the_limit_and_again_when_it_is_over() -> None:
    step = unreachable(Known(), CLUSTER, ("timeout", "slow"), at(0), 300)
    assert words_of(step) == []
    assert step.known.outage == Outage(at(0), "timeout", "slow")
    early = unreachable(step.known, CLUSTER, ("server", "HTTP 503"), at(4), 300)
    assert early.known is step.known, "nothing is stored that is not told"
    told = unreachable(step.known, CLUSTER, ("server", "HTTP 503"), at(5), 300)
    assert words_of(told) == [("cluster.unreachable", 1)]
    assert told.events[0].outage == Outage(at(0), "server", "HTTP 503")
    assert told.events[0].subject == ""
    more = unreachable(told.known, CLUSTER, ("network", "reset"), at(9), 300)
    assert more == Step(told.known)
    back = reachable(more.known, CLUSTER, at(10))
    assert words_of(back) == [("cluster.recovered", 2)]
    assert back.events[0].outage == Outage(at(0), "server", "HTTP 503")
    assert (back.known.outage, back.known.outage_told) == (None, False)
    assert reachable(back.known, CLUSTER, at(11)) == Step(back.known)


def test_a_short_outage_is_never_told() -> None:
    known = unreachable(Known(), CLUSTER, ("network", "reset"), at(0), 300).known
    step = reachable(known, CLUSTER, at(1))
    assert step == Step(Known())


def test_without_a_limit_the_first_failure_is_told() -> None:
    assert words_of(unreachable(Known(), CLUSTER, ("gone", "CSS.0015"), at(0), 0)) == [("cluster.unreachable", 1)]


def test_each_outage_has_its_own_identity() -> None:
    first = unreachable(Known(), CLUSTER, ("gone", "x"), at(0), 0)
    again = unreachable(reachable(first.known, CLUSTER, at(1)).known, CLUSTER, ("gone", "x"), at(2), 0)
    assert first.events[0].id != again.events[0].id
    assert words_of(again) == [("cluster.unreachable", 3)]
