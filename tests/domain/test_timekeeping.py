"""What time has to tell: stalls, deadlines, windows, and what is left alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier.domain.course import PAUSE, Course, key
from notifier.domain.diff import diff
from notifier.domain.evidence import AnswerFacts, Evidence
from notifier.domain.expectation import History, Outlook, sample
from notifier.domain.known import Known
from notifier.domain.model import Action, Cluster, Event, Kind, Snapshot, Stage, Status, Task
from notifier.domain.outage import unreachable
from notifier.domain.render import payload, summary
from notifier.domain.stall import StallRule, usual
from notifier.domain.timekeeping import Ended, Limits, Timed, due, keep_time
from notifier.domain.window import Window
from notifier.domain.words import Words

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
CLUSTER = Cluster("c-1", "search-prod", "cn-north-4", "prod", "p-1")
NODES = ("css-test-ess-esn-1-1", "css-test-ess-esn-2-1")
MINUTE = timedelta(minutes=1)


def stage(order: int, began: float | None = None, ended: float | None = None, name: str = "") -> Stage:
    said = Status.WAITING if began is None else Status.RUNNING if ended is None else Status.SUCCESS
    times = [None if each is None else NOW + MINUTE * each for each in (began, ended)]
    return Stage(order, name or f"stage {order}", said, "", *times)


MIGRATING = Task("t", Status.RUNNING, 1, NODES, (), NODES[:1], NODES[0], (stage(0, 0, name="Data migration"), stage(1)), NOW)
OFFLINE = replace(MIGRATING, stages=(stage(0, 0, 5, name="Data migration"), stage(1, 5)))
WAITING = replace(MIGRATING, stages=(stage(0, 0, 5, name="Data migration"), stage(1)))


class Keeper:
    """One cluster that is looked at by hand, as the poller does."""

    def __init__(self, limits: Limits | None = None, history: History | None = None) -> None:
        self.limits = limits or Limits()
        self.histories = {} if history is None else {Action.UPGRADING: history}
        self.known, self.good = Known(), {Action.UPGRADING: None}
        self.timed = Timed(Known())
        self.look(-1)

    def look(self, minute: float, *tasks: Task, last: float | None = None) -> list[Event]:
        """``last``: the minute of the good answer before, where it is not the one just seen (a quarter of a minute ago)."""
        now = NOW + MINUTE * minute
        step = diff(self.known, Snapshot(CLUSTER, Action.UPGRADING, tasks), now)
        good = now - timedelta(seconds=15) if last is None else NOW + MINUTE * last
        self.timed = keep_time(
            self.known, step.known, step.events, CLUSTER, {Action.UPGRADING: good}, self.limits, self.histories, now
        )
        self.known = self.timed.known
        return list(self.timed.events)

    @property
    def due(self) -> float:
        assert self.timed.check_at is not None
        return (self.timed.check_at - NOW) / MINUTE

    @property
    def course(self) -> Course:
        return self.known.tasks[Action.UPGRADING, "t"].course


def kinds(events: list[Event]) -> list[Kind]:
    return [event.kind for event in events]


def test_where_nothing_is_known_a_stage_may_take_long_and_data_migration_longer() -> None:
    keeper = Keeper()
    keeper.look(0, MIGRATING)
    assert keeper.look(179, MIGRATING) == []
    (stalled,) = keeper.look(180, MIGRATING)
    assert stalled.kind is Kind.TASK_STALLED
    assert stalled.timing is not None
    assert (stalled.timing.lasted, stalled.timing.usual) == (180 * 60.0, None)
    assert "nothing is known of its like yet" in summary(stalled)
    assert "indices.recovery.max_bytes_per_sec" in dict(Words().facts(stalled))["What can be done"]
    keeper = Keeper()
    keeper.look(0, OFFLINE)
    assert keeper.look(44, OFFLINE) == []
    (stalled,) = keeper.look(45, OFFLINE)
    assert "Jobs, View Progress" in dict(Words().facts(stalled))["What can be done"]


def test_what_others_took_says_what_is_usual() -> None:
    told = {key(NODES[0], "1/stage 1"): sample([600, 620, 640, 660, 700])}
    keeper = Keeper(history=History(cluster=told))
    keeper.look(0, OFFLINE)
    assert keeper.look(30, OFFLINE) == []
    events = keeper.look(36, OFFLINE)
    assert kinds(events) == [Kind.TASK_STALLED]
    assert events[0].timing is not None
    assert events[0].timing.basis == "this cluster's history"
    assert events[0].timing.usual is not None
    assert 640 < events[0].timing.usual < 36 * 60 / 1.7
    assert "stage 1 “stage 1” of node css-test-ess-esn-1-1, without progress for 36 min; it usually takes at most" in summary(
        events[0]
    )


def test_the_wait_between_two_stages_can_stall_too() -> None:
    keeper = Keeper(history=History(cluster={key(NODES[0], PAUSE): sample([4, 5, 5, 6])}))
    keeper.look(0, WAITING)
    assert keeper.look(14.9, WAITING) == []
    (stalled,) = keeper.look(15, WAITING)
    assert "between two stages" in summary(stalled)
    assert stalled.node == NODES[0]


def test_a_stall_is_told_once_and_ends_when_it_moves() -> None:
    keeper = Keeper(Limits(StallRule(60, 3, 60)))
    keeper.look(0, OFFLINE)
    first = keeper.look(5, OFFLINE)
    assert kinds(first) == [Kind.TASK_STALLED]
    assert keeper.look(50, OFFLINE) == []
    events = keeper.look(51, replace(OFFLINE, stages=(*OFFLINE.stages[:1], stage(1, 5, 51))))
    assert kinds(events) == [Kind.STAGE_SUCCEEDED, Kind.TASK_RESUMED]
    assert [event.sequence - first[0].sequence for event in (*first, *events)] == [0, 1, 2]
    assert "after 51 min without progress" in summary(events[1])


@pytest.mark.parametrize(
    ("after", "end"),
    [
        (replace(OFFLINE, status=Status.FAILED, ended_at=NOW), Kind.TASK_FAILED),
        (replace(OFFLINE, status=Status.SUCCESS, completed=NODES, ended_at=NOW), Kind.TASK_SUCCEEDED),
        (replace(OFFLINE, executions=2), Kind.TASK_RETRIED),
    ],
)
def test_an_end_or_a_retry_ends_a_stall_by_itself(after: Task, end: Kind) -> None:
    keeper = Keeper(Limits(StallRule(60, 3, 60)))
    keeper.look(0, OFFLINE)
    assert kinds(keeper.look(5, OFFLINE)) == [Kind.TASK_STALLED]
    events = keeper.look(6, after)
    assert end in kinds(events)
    assert Kind.TASK_RESUMED not in kinds(events)
    assert not keeper.course.stalled


def test_the_second_stall_of_an_attempt_is_another_fact() -> None:
    keeper = Keeper(Limits(StallRule(60, 3, 60)))
    keeper.look(0, OFFLINE)
    (first,) = keeper.look(5, OFFLINE)
    last = replace(OFFLINE, stages=(*OFFLINE.stages[:1], stage(1, 5, 51), stage(2)))
    assert Kind.TASK_RESUMED in kinds(keeper.look(51, last))
    (second,) = keeper.look(90, last)
    assert second.kind is first.kind
    assert second.id != first.id
    again = replace(last, executions=2, stages=(stage(0, 100), stage(1), stage(2)))
    keeper.look(100, again)
    (third,) = keeper.look(200, again)
    assert len({first.id, second.id, third.id}) == 3


def test_an_outage_is_no_stall_and_afterwards_the_count_goes_on() -> None:
    keeper = Keeper(Limits(StallRule(1200, 3, 1200)))
    keeper.look(0, OFFLINE)
    assert keeper.look(100, OFFLINE, last=10) == []
    assert keeper.course.unseen == 90 * 60.0
    assert keeper.due == pytest.approx(105)  # Ten minutes are counted, ten are left; it is written down before that.
    assert keeper.look(109, OFFLINE) == []
    (stalled,) = keeper.look(110, OFFLINE)
    assert stalled.timing is not None
    assert (stalled.timing.lasted, stalled.timing.unseen) == (1200.0, 5400.0)
    assert "without progress for 20 min (and 1 h 30 min without data)" in summary(stalled)


def test_a_restart_forgets_five_minutes_at_the_most() -> None:
    keeper = Keeper(Limits(StallRule(1200, 3, 1200)))
    keeper.look(0, OFFLINE)
    assert keeper.due == 5.0
    keeper.look(5, OFFLINE)
    keeper.known = replace(keeper.known)
    now = NOW + 60 * MINUTE
    timed = keep_time(keeper.known, keeper.known, (), CLUSTER, {Action.UPGRADING: None}, keeper.limits, {}, now)
    assert timed.known.tasks[Action.UPGRADING, "t"].course.unseen == 55 * 60.0
    assert timed.events == ()


def test_stalls_can_be_switched_off_and_doubtful_or_vanished_tasks_do_not_stall() -> None:
    keeper = Keeper(Limits(None))
    keeper.look(0, OFFLINE)
    assert keeper.look(10_000, OFFLINE) == []
    keeper = Keeper(Limits(StallRule(60, 3, 60)))
    keeper.look(0, OFFLINE)
    assert keeper.look(90) == []
    assert keeper.look(91) == []
    assert kinds(keeper.look(92)) == [Kind.TASK_VANISHED]
    assert keeper.look(900) == []
    assert keeper.timed.check_at is None


def test_unchanged_answers_that_are_not_due_change_nothing() -> None:
    keeper = Keeper()
    keeper.look(0, OFFLINE)
    before = keeper.known
    assert keeper.look(0.25, OFFLINE) == []
    assert keeper.known is before


def test_what_time_tells_rests_on_the_last_answer_and_what_an_answer_tells_on_two() -> None:
    known = diff(Known(), Snapshot(CLUSTER, Action.UPGRADING, (MIGRATING,)), NOW).known
    later = NOW + MINUTE * 200
    step = diff(known, Snapshot(CLUSTER, Action.UPGRADING, (OFFLINE,)), later)
    two = Evidence(AnswerFacts(later, 9, "b"), AnswerFacts(NOW, 8, "a"))
    timed = keep_time(
        known,
        step.known,
        step.events,
        CLUSTER,
        {Action.UPGRADING: later - MINUTE / 4},
        Limits(None, Window(ends=NOW + MINUTE * 210, warn=MINUTE * 30)),
        {},
        later,
        {Action.UPGRADING: two},
    )
    assert {event.kind: event.evidence for event in timed.events} == {
        Kind.STAGE_SUCCEEDED: two,
        Kind.STAGE_STARTED: two,
        Kind.TASK_WINDOW_ENDING: Evidence(two.later),
    }


def test_the_limit_of_data_migration_is_warned_of_three_times() -> None:
    keeper = Keeper(Limits(None))
    keeper.look(0, MIGRATING)
    told: list[Event] = []
    for hour in range(1, 49):
        told += keeper.look(hour * 60, MIGRATING)
    assert kinds(told) == [Kind.TASK_DEADLINE_NEAR] * 3
    assert [event.timing and event.timing.share for event in told] == [50, 75, 90]
    assert [(event.time - NOW) / timedelta(hours=1) for event in told] == [24, 36, 44]
    said = (
        f"its limit of 48 h: moving the data off node {NODES[0]} has used 50% of it; "
        "at 2026-03-03 08:00 UTC Huawei gives up and the upgrade fails"
    )
    assert said in summary(told[0])
    late = Keeper(Limits(None))
    late.look(46 * 60, MIGRATING)  # Found under way: only the mark that counts is told.
    assert [event.timing.share for event in late.timed.events if event.timing] == [90]


def test_the_end_of_a_window_is_told_once_with_what_is_left() -> None:
    keeper = Keeper(Limits(None, Window(ends=NOW + 120 * MINUTE, warn=30 * MINUTE)))
    keeper.look(0, OFFLINE)
    assert keeper.look(89, OFFLINE) == []
    assert keeper.due == 90.0
    (ending,) = keeper.look(90, OFFLINE)
    assert ending.kind is Kind.TASK_WINDOW_ENDING
    assert ending.timing is not None
    assert summary(ending).startswith("The change window ends at 2026-03-01 10:00 UTC; ")
    assert summary(ending).endswith("(0 of 2 nodes, 25%).")
    assert keeper.look(119, OFFLINE) == []
    assert keeper.look(121, OFFLINE) == []


@pytest.mark.parametrize(
    ("minutes", "fits", "words"),
    [(600, True, "the upgrade will be done in time"), (31, None, "is open"), (1, False, "the upgrade will NOT be done in time")],
)
def test_whether_the_end_fits_the_window_is_said(minutes: int, fits: bool | None, words: str) -> None:
    keeper = Keeper(Limits(None, Window(ends=NOW + minutes * MINUTE, warn=600 * MINUTE)))
    events = keeper.look(0, MIGRATING)
    (ending,) = [event for event in events if event.kind is Kind.TASK_WINDOW_ENDING]
    assert ending.timing is not None
    assert ending.timing.fits is fits
    assert words in summary(ending)
    body = payload(ending)["timing"]
    assert isinstance(body, dict)
    assert body["until"] == payload(ending)["timing"]["until"]  # type: ignore[index]  # JSON
    assert body["fits"] is fits


def test_of_a_task_without_nodes_nothing_is_forecast_and_nothing_is_known_to_fit() -> None:
    keeper = Keeper(Limits(None, Window(ends=NOW + 10 * MINUTE)))
    events = keeper.look(0, Task("t", Status.RUNNING, 1))
    (ending,) = [event for event in events if event.kind is Kind.TASK_WINDOW_ENDING]
    assert (ending.eta, ending.progress) == (None, None)
    assert keeper.timed.forecasts == ()


def test_forecasts_are_recorded_now_and_then_and_judged_by_success() -> None:
    keeper = Keeper()
    keeper.look(0, MIGRATING)
    assert [(made.attempt, made.made_at) for made in keeper.timed.forecasts] == [(1, NOW)]
    keeper.look(1, OFFLINE)
    counts = [len(keeper.timed.forecasts)]
    keeper.look(6, OFFLINE)
    assert [*counts, len(keeper.timed.forecasts)] == [0, 1]
    over = replace(OFFLINE, status=Status.SUCCESS, completed=NODES, in_flight=(), ended_at=NOW + 9 * MINUTE)
    keeper.look(10, over)
    assert list(keeper.timed.ended) == [Ended(Action.UPGRADING, "t", 1, NOW + 9 * MINUTE)]
    keeper.look(11, over)
    assert list(keeper.timed.ended) == []


def test_events_of_a_cluster_pass_and_actions_that_did_not_answer_wait() -> None:
    keeper = Keeper(Limits(StallRule(60, 3, 60)))
    keeper.look(0, OFFLINE)
    step = unreachable(keeper.known, CLUSTER, ("server", "HTTP 503"), NOW + 90 * MINUTE, 0.0)
    timed = keep_time(keeper.known, step.known, step.events, CLUSTER, {}, keeper.limits, {}, NOW + 90 * MINUTE)
    assert kinds(list(timed.events)) == [Kind.CLUSTER_UNREACHABLE]
    assert (timed.known, timed.check_at) == (step.known, None)


def test_progress_never_falls_where_a_nodes_end_is_shown_late() -> None:
    keeper = Keeper()
    done = replace(MIGRATING, stages=(stage(0, 0, 5), stage(1, 6, 7)))
    keeper.look(8, done)
    assert keeper.course.progress == 0.5
    following = replace(MIGRATING, current_node=NODES[1], in_flight=NODES[1:], stages=(stage(0), stage(1)))
    assert {event.progress for event in keeper.look(9, following)} == {0.5}


def test_a_stage_that_varies_little_is_given_room_and_one_that_varies_much_is_not_waited_for_for_ever() -> None:
    rule = StallRule(floor=1.0)
    for spread in (0.0, 3.0):
        lengths = [600 * 2.0**each for each in (-spread, -spread, 0, spread, spread)]
        outlook = Outlook(Course(), History(fleet={key(NODES[0], "1/stage 1"): sample(lengths)}), OFFLINE.stages)
        found = usual(OFFLINE, Course(), outlook, rule)
        assert found.longest is not None
        assert found.longest < found.limit <= 2.05 * found.longest
    bare = replace(OFFLINE, stages=())
    assert usual(bare, Course(), Outlook(Course(), History(), ()), rule).longest is None


@pytest.mark.parametrize(
    ("lasts", "check_at", "expected"),
    [
        ([], None, False),
        ([None], None, False),
        ([-60.0], None, False),
        ([None, -60.1], None, True),
        ([-1.0], 0.1, False),
        ([-1.0], 0.0, True),
    ],
)
def test_time_is_looked_at_after_a_gap_and_when_something_falls_due(
    lasts: list[float | None], check_at: float | None, *, expected: bool
) -> None:
    seen = [None if each is None else NOW + timedelta(seconds=each) for each in lasts]
    when = None if check_at is None else NOW + timedelta(seconds=check_at)
    assert due(seen, when, Limits(patience=60.0), NOW) is expected
