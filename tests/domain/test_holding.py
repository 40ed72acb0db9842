"""What is told at once, what may wait, what may be merged; and what a silence stops."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.holding import NEVER_MERGED, Hold, Holding, Merge, Quiet, by_itself
from notifier.domain.model import Event, Kind, Severity
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.domain.samples import sample
from notifier.domain.silences import Silence, silenced_by

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NIGHT = datetime(2026, 3, 1, 23, tzinfo=UTC)
MORNING = datetime(2026, 3, 2, 7, tzinfo=UTC)
QUIET = Quiet(time(22), time(7), UTC)


def event(kind: Kind) -> Event:
    return sample(kind).event


def ten(_: Event) -> float | None:
    return 10.0


def none(_: Event) -> float | None:
    return 0.0


@pytest.mark.parametrize(
    ("holding", "kind", "now", "ready_at", "merge"),
    [
        (Holding(), Kind.STAGE_STARTED, NOON, NOON, Merge.NEVER),
        (Holding(ten), Kind.STAGE_STARTED, NOON, NOON + timedelta(seconds=10), Merge.ALWAYS),
        (Holding(none), Kind.STAGE_STARTED, NOON, NOON, Merge.WHEN_LATE),
        (Holding(ten), Kind.TASK_FAILED, NOON, NOON, Merge.NEVER),
        (Holding(digest=900), Kind.NODE_COMPLETED, NOON, NOON + timedelta(minutes=15), Merge.NEVER),
        (Holding(lambda _: None, digest=900), Kind.NODE_COMPLETED, NOON, NOON + timedelta(minutes=15), Merge.ALWAYS),
        (Holding(ten, digest=900), Kind.NODE_COMPLETED, NOON, NOON + timedelta(minutes=15), Merge.ALWAYS),
        (Holding(digest=900), Kind.TASK_RETRIED, NOON, NOON, Merge.NEVER),
        (Holding(digest=900), Kind.TASK_SUCCEEDED, NOON, NOON, Merge.NEVER),
        (Holding(quiet=QUIET), Kind.NODE_COMPLETED, NOON, NOON, Merge.NEVER),
        (Holding(quiet=QUIET), Kind.NODE_COMPLETED, NIGHT, MORNING, Merge.NEVER),
        (Holding(none, quiet=QUIET), Kind.NODE_COMPLETED, NIGHT, MORNING, Merge.ALWAYS),
        (Holding(none, quiet=QUIET), Kind.TASK_SUCCEEDED, NIGHT, MORNING, Merge.NEVER),
        (Holding(ten, digest=900, quiet=QUIET), Kind.TASK_FAILED, NIGHT, NIGHT, Merge.NEVER),
    ],
)
def test_what_waits_and_for_how_long(holding: Holding, kind: Kind, now: datetime, ready_at: datetime, merge: Merge) -> None:
    assert holding.hold(event(kind), now) == Hold(ready_at, merge)


@pytest.mark.parametrize(
    ("start", "end", "clock", "until"),
    [
        ("22:00", "07:00", "2026-03-01 21:59", None),
        ("22:00", "07:00", "2026-03-01 22:00", "2026-03-02 07:00"),
        ("22:00", "07:00", "2026-03-02 06:59", "2026-03-02 07:00"),
        ("22:00", "07:00", "2026-03-02 07:00", None),
        ("12:00", "13:00", "2026-03-01 12:30", "2026-03-01 13:00"),
        ("12:00", "13:00", "2026-03-01 13:00", None),
        ("09:00", "09:00", "2026-03-01 12:30", "2026-03-02 09:00"),
        ("09:00", "09:00", "2026-03-01 08:30", "2026-03-01 09:00"),
    ],
)
def test_quiet_hours_end_when_the_clock_of_their_zone_says_so(start: str, end: str, clock: str, until: str | None) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    quiet = Quiet(time.fromisoformat(start), time.fromisoformat(end), zone)
    now = datetime.fromisoformat(clock).replace(tzinfo=zone).astimezone(UTC)
    assert quiet.until(now) == (None if until is None else datetime.fromisoformat(until).replace(tzinfo=zone))


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)), st.times(), st.times())  # noqa: DTZ001 - the zone follows
def test_a_quiet_ends_after_now_and_within_a_day(moment: datetime, start: time, end: time) -> None:
    now = moment.replace(tzinfo=UTC)
    until = Quiet(start, end, UTC).until(now)
    assert until is None or now < until <= now + timedelta(days=1)


@given(st.sampled_from(Kind), st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))  # noqa: DTZ001 - likewise
def test_failures_and_ends_are_never_merged_and_nothing_urgent_waits(kind: Kind, moment: datetime) -> None:
    now = moment.replace(tzinfo=UTC)
    hold = Holding(ten, digest=900, quiet=QUIET).hold(event(kind), now)
    if kind in NEVER_MERGED:
        assert hold.merge is Merge.NEVER
    if event(kind).severity >= Severity.ERROR and kind in NEVER_MERGED:
        assert hold.ready_at == now
    assert hold.ready_at >= now


def silence(**changes: object) -> Silence:
    usual = Silence("s-1", Matcher(kind=("task.*",)), NOON, NOON + timedelta(hours=1), "lin", "planned work")
    return replace(usual, **changes)  # type: ignore[arg-type]  # a test's own


def test_a_silence_stops_what_it_matches_while_it_lasts() -> None:
    failed = event(Kind.TASK_FAILED)
    assert silence().silences(failed, NOON)
    assert not silence().silences(failed, NOON - timedelta(seconds=1))
    assert not silence().silences(failed, NOON + timedelta(hours=1))
    assert not silence().silences(event(Kind.NODE_FAILED), NOON)


def test_a_silence_of_one_task_stops_no_other() -> None:
    failed = event(Kind.TASK_FAILED)
    assert failed.task is not None
    assert silence(task=failed.task.id).silences(failed, NOON)
    assert not silence(task="another").silences(failed, NOON)
    assert not silence(task=failed.task.id, matcher=Matcher()).silences(event(Kind.CLUSTER_UNREACHABLE), NOON)


def test_what_is_acknowledged_is_still_news_but_no_reminder() -> None:
    acknowledged = silence(reminders_only=True)
    assert not acknowledged.silences(event(Kind.TASK_FAILED), NOON)
    assert acknowledged.silences(event(Kind.TASK_FAILED), NOON, reminder=True)


def test_the_first_silence_that_matches_is_named() -> None:
    over, holds = silence(id="s-0", ends_at=NOON), silence(id="s-2")
    assert silenced_by(event(Kind.TASK_FAILED), [over, holds], NOON) is holds
    assert silenced_by(event(Kind.NODE_STARTED), [over, holds], NOON) is None


def test_a_plan_keeps_the_order_of_the_events_and_says_when_to_whom_and_what_is_silenced() -> None:
    failed, outage = event(Kind.TASK_FAILED), event(Kind.CLUSTER_UNREACHABLE)
    audience = Audience([Route(Matcher(), ("team", "hook"))], {"team": Holding(ten)})
    planned = audience.plan([outage, failed], NOON, [silence()])
    assert [(each.event, each.sink, each.silence) for each in planned] == [
        (outage, "team", None),
        (outage, "hook", None),
        (failed, "team", "lin: planned work (s-1)"),
        (failed, "hook", "lin: planned work (s-1)"),
    ]
    assert failed.task is not None
    assert [each.lane for each in planned] == [
        f"team|{outage.cluster.key}",
        f"hook|{outage.cluster.key}",
        f"team|{failed.cluster.key}/UPGRADING/{failed.task.id}",
        f"hook|{failed.cluster.key}/UPGRADING/{failed.task.id}",
    ]


def test_a_sink_without_patience_gets_each_event_at_once() -> None:
    (planned,) = Audience([Route(Matcher(), ("hook",))]).plan([event(Kind.STAGE_STARTED)], NOON)
    assert planned.hold == Hold(NOON, Merge.NEVER)
    assert by_itself(planned.event) is None
