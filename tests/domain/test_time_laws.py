"""Laws of time, judged by an oracle that counts for itself: whatever the history, the polls and the outages."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from upgrade_histories import CLUSTER, EPOCH, History, Plan, histories, history_of

from notifier.domain.course import position
from notifier.domain.diff import diff
from notifier.domain.known import Known, KnownTask
from notifier.domain.model import Action, Event, Kind, Status
from notifier.domain.stall import StallRule
from notifier.domain.timekeeping import Limits, keep_time

LAWS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
OVER = {Kind.TASK_RESUMED, Kind.TASK_RETRIED, Kind.TASK_SUCCEEDED, Kind.TASK_FAILED, Kind.TASK_PARTIALLY_FAILED}
KNOWN_TASK = TypeAdapter(KnownTask)
POLLS = 120


@dataclass(frozen=True)
class Observed:
    """A history, how often it is looked at, which looks fail, and what counts as a stall."""

    history: History
    step: int
    outages: tuple[tuple[int, int], ...]
    rule: StallRule
    restarts: bool

    @property
    def limits(self) -> Limits:
        return Limits(self.rule, patience=2.5 * self.step)

    def down(self, number: int) -> bool:
        return any(first <= number < first + length for first, length in self.outages)


def first(history: History) -> int:
    return history.answers[0][0].time


@st.composite
def observed(draw: st.DrawFn) -> Observed:
    history = draw(histories())
    length = history.answers[-1][-1].time - first(history) + 1
    step = max(draw(st.integers(5, 60)), length // POLLS + 1)
    outages = st.tuples(st.integers(0, min(length // step, POLLS)), st.integers(1, 3) | st.integers(3, 20))
    rule = st.builds(StallRule, st.integers(10, 300), st.floats(1.2, 3.0), st.integers(10, 600))
    return Observed(history, step, tuple(draw(st.lists(outages, min_size=1, max_size=6))), draw(rule), draw(st.booleans()))


@dataclass
class Told:
    """What one look told, and what was known afterwards."""

    at: datetime
    known: Known
    events: tuple[Event, ...]


def look(watched: Observed) -> Iterator[Told]:
    """Look as the poller does: unchanged answers are taken up again only when they are due, or after a gap."""
    history, limits = watched.history, watched.limits
    times = [max(state.time for state in answer) - first(history) for answer in history.answers]
    known, check, last = Known(), EPOCH, -2
    good: datetime | None = None
    for number in range(times[-1] // watched.step + 3):
        at = EPOCH + timedelta(seconds=number * watched.step)
        if watched.down(number):
            continue
        seen = sum(time <= number * watched.step for time in times) - 1
        gap = good is not None and (at - good).total_seconds() > limits.patience
        if seen >= 0 and (seen != last or at >= check or gap):
            step = diff(known, history.snapshot(seen), at)
            remembered = None if watched.restarts and gap else good
            timed = keep_time(known, step.known, step.events, CLUSTER, {Action.UPGRADING: remembered}, limits, {}, at)
            known, check, last = timed.known, timed.check_at or EPOCH + timedelta(days=10_000), seen
            yield Told(at, known, timed.events)
        good = at


@LAWS
@given(observed())
def test_progress_never_falls_within_an_attempt_and_no_forecast_lies_in_the_past(watched: Observed) -> None:
    highest: dict[tuple[str, int], float] = defaultdict(float)
    for told in look(watched):
        for event in told.events:
            assert event.task is not None
            if event.progress is not None:
                assert event.progress >= highest[event.task.id, event.task.attempt]
                highest[event.task.id, event.task.attempt] = event.progress
            running = event.task.status == Status.RUNNING and bool(event.task.nodes.total)
            assert (event.eta is not None) == running
            if event.eta is not None:
                assert event.observed_at <= event.eta.earliest <= event.eta.latest


@LAWS
@given(observed())
def test_a_stall_is_told_once_and_ended_once_and_the_count_has_no_holes(watched: Observed) -> None:
    stalled: dict[str, bool] = defaultdict(bool)
    sequence: dict[str, int] = defaultdict(int)
    ids: set[str] = set()
    for told in look(watched):
        for event in told.events:
            assert event.task is not None
            task = event.task.id
            sequence[task] += 1
            assert event.sequence == sequence[task]
            assert event.id not in ids
            ids.add(event.id)
            if event.kind is Kind.TASK_STALLED:
                assert not stalled[task]
                stalled[task] = True
            elif event.kind in OVER:
                assert stalled[task] or event.kind is not Kind.TASK_RESUMED
                stalled[task] = False
        for (_, task), state in told.known.tasks.items():
            assert state.course.stalled == stalled[task]


@LAWS
@given(observed())
@example(Observed(history_of(Plan("a", nodes=2, lengths=(300,))), 20, ((16, 8),), StallRule(240, 3, 60), restarts=False))
@example(Observed(history_of(Plan("a", nodes=2, lengths=(300,))), 20, ((16, 8),), StallRule(240, 3, 60), restarts=True))
def test_there_is_no_stall_without_data(watched: Observed) -> None:
    counted: dict[str, float] = defaultdict(float)
    places: dict[str, object] = {}
    looks = {told.at: told for told in look(watched)}
    last, number = None, 0
    while looks:
        at = EPOCH + timedelta(seconds=number * watched.step)
        down, number = watched.down(number), number + 1
        if down:
            continue
        passed = 0.0 if last is None else (at - last).total_seconds()
        last = at
        told = looks.pop(at, None)
        for task in places:
            counted[task] += passed if passed <= watched.limits.patience else 0.0
        if told is None:
            continue
        for (_, task), state in told.known.tasks.items():
            if places.get(task) != (place := (position(state.task), state.attempt)):
                places[task], counted[task] = place, 0.0
        for event in told.events:
            if event.kind is Kind.TASK_STALLED and event.task is not None:
                assert counted[event.task.id] >= watched.rule.floor


@LAWS
@given(observed())
def test_what_is_remembered_is_bounded_and_survives_being_stored(watched: Observed) -> None:
    for told in look(watched):
        for state in told.known.tasks.values():
            assert KNOWN_TASK.validate_json(KNOWN_TASK.dump_json(state)) == state
            assert all(len(lengths) <= 12 and min(lengths) >= 0 for lengths in state.course.spans.values())
            assert state.course.unseen >= 0
