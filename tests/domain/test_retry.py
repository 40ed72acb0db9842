"""What follows a failed delivery: verdicts and pauses as tables, schedules as laws."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.errors import DeliveryError, DeliveryReason, FetchError, FetchReason, Outcome, Scope
from notifier.domain.retry import (
    BREAK_AFTER,
    JITTER,
    PROBE_EVERY,
    REFUSED_EVERY,
    Bury,
    Pause,
    Policy,
    TryAgain,
    judge,
    pause,
    wait,
)

OWED = datetime(2026, 3, 1, tzinfo=UTC)
LAWS = settings(max_examples=150, deadline=None)
POLICY = Policy(first_retry=10, max_retry=100, give_up_after=3600)

policies = st.builds(
    lambda first, more, give_up: Policy(first, first + more, give_up),
    st.floats(0.1, 60),
    st.floats(0, 90000),
    st.floats(0, 300000),
)
failures = st.builds(
    DeliveryError,
    st.sampled_from(Outcome),
    st.sampled_from(DeliveryReason),
    st.just("because"),
    scope=st.sampled_from(Scope),
    retry_after=st.none() | st.floats(0, 1e6),
)


def failure(
    outcome: Outcome = Outcome.RETRY,
    reason: DeliveryReason = DeliveryReason.SERVER,
    scope: Scope = Scope.EVENT,
    retry_after: float | None = None,
) -> DeliveryError:
    return DeliveryError(outcome, reason, "because", scope=scope, retry_after=retry_after)


def judged(error: DeliveryError, *, tries: int = 1, after: float = 0, policy: Policy = POLICY) -> TryAgain | Bury:
    return judge(error, policy, delivery_id="d", tries=tries, created_at=OWED, now=OWED + timedelta(seconds=after))


def test_errors_say_what_became_of_the_message_and_why() -> None:
    error = failure(Outcome.UNCERTAIN, DeliveryReason.TIMEOUT, Scope.SINK, 3)
    assert str(error) == "uncertain: timeout: because"
    assert (error.outcome, error.reason, error.detail, error.scope, error.retry_after) == (
        Outcome.UNCERTAIN,
        DeliveryReason.TIMEOUT,
        "because",
        Scope.SINK,
        3,
    )
    unread = FetchError(FetchReason.GONE, "CSS.0015", retry_after=2)
    assert str(unread) == "gone: CSS.0015"
    assert (unread.reason, unread.detail, unread.retry_after) == (FetchReason.GONE, "CSS.0015", 2)


def test_only_refused_keys_and_throttling_concern_the_whole_project() -> None:
    assert {reason for reason in FetchReason if reason.of_project} == {FetchReason.THROTTLED, FetchReason.REFUSED}


@pytest.mark.parametrize(("tries", "usual"), [(1, 10), (2, 20), (3, 40), (4, 80), (5, 100), (60, 100), (10**9, 100)])
def test_waits_double_up_to_the_longest(tries: int, usual: float) -> None:
    assert usual * (1 - JITTER) <= wait(POLICY, "d", tries) <= usual * (1 + JITTER)


def test_what_failed_together_does_not_come_back_together() -> None:
    waits = {wait(POLICY, f"d{number}", 5) for number in range(200)}
    assert len(waits) == 200
    assert min(waits) < 84
    assert max(waits) > 116


@pytest.mark.parametrize("reason", DeliveryReason)
def test_an_event_that_was_rejected_is_buried_with_its_reason(reason: DeliveryReason) -> None:
    assert judged(failure(Outcome.REJECTED, reason)) == Bury(reason)


@pytest.mark.parametrize("outcome", [Outcome.RETRY, Outcome.UNCERTAIN])
@pytest.mark.parametrize("scope", Scope)
def test_what_may_still_arrive_is_tried_until_it_expires(outcome: Outcome, scope: Scope) -> None:
    assert judged(failure(outcome, scope=scope)) == TryAgain(OWED + timedelta(seconds=wait(POLICY, "d", 1)))
    assert judged(failure(outcome, scope=scope), after=3600) == Bury(DeliveryReason.EXPIRED)


def test_a_sink_that_rejects_everything_does_not_bury_the_event() -> None:
    assert isinstance(judged(failure(Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK)), TryAgain)


def test_the_receivers_wish_is_heard_if_it_is_longer_than_ours_but_not_beyond_the_end() -> None:
    assert judged(failure(retry_after=600)) == TryAgain(OWED + timedelta(seconds=600))
    assert judged(failure(retry_after=0.5)) == TryAgain(OWED + timedelta(seconds=wait(POLICY, "d", 1)))
    assert judged(failure(retry_after=1e6)) == TryAgain(OWED + timedelta(seconds=3600)), "one last try before it is given up"


def test_being_throttled_is_no_failure_of_the_message() -> None:
    verdict = judged(failure(reason=DeliveryReason.THROTTLED), tries=0)
    assert verdict == TryAgain(OWED + timedelta(seconds=wait(POLICY, "d", 1)), counted=False)


@LAWS
@given(policies, st.text(max_size=8), st.integers(1, 100))
def test_a_wait_is_the_same_every_time_and_grows_up_to_the_jitter(policy: Policy, delivery: str, tries: int) -> None:
    this, following = wait(policy, delivery, tries), wait(policy, delivery, tries + 1)
    assert this == wait(policy, delivery, tries)
    assert policy.first_retry * (1 - JITTER) <= this * (1 + 1e-9)
    assert this <= policy.max_retry * (1 + JITTER) * (1 + 1e-9)
    assert this * (1 - JITTER) <= following * (1 + JITTER) * (1 + 1e-9)


@LAWS
@given(failures, policies, st.integers(0, 100), st.floats(0, 400000))
def test_no_try_is_in_the_past_or_after_the_end(error: DeliveryError, policy: Policy, tries: int, after: float) -> None:
    now, end = OWED + timedelta(seconds=after), OWED + timedelta(seconds=policy.give_up_after)
    verdict = judged(error, tries=tries, after=after, policy=policy)
    if isinstance(verdict, TryAgain):
        assert now < verdict.at <= end
        assert verdict.counted == (error.reason is not DeliveryReason.THROTTLED)
    else:
        assert now >= end or (error.outcome is Outcome.REJECTED and error.scope is Scope.EVENT)


@LAWS
@given(st.builds(Policy, st.floats(1, 60), st.floats(60, 90000), st.floats(0, 6000)))
def test_a_schedule_comes_to_its_end(policy: Policy) -> None:
    after, tries = 0.0, 0
    while isinstance(verdict := judged(failure(), tries=tries + 1, after=after, policy=policy), TryAgain):
        tries += 1
        after = (verdict.at - OWED).total_seconds()
        assert tries <= 64 + policy.give_up_after / (policy.max_retry * (1 - JITTER))
    assert verdict == Bury(DeliveryReason.EXPIRED)
    assert after == pytest.approx(policy.give_up_after if tries else 0, abs=1e-5)


@pytest.mark.parametrize(
    ("error", "failures_in_a_row", "seconds"),
    [
        (failure(), BREAK_AFTER - 1, None),
        (failure(), BREAK_AFTER, PROBE_EVERY),
        (failure(retry_after=90), BREAK_AFTER, 90),
        (failure(retry_after=90), 1, None),
        (failure(reason=DeliveryReason.THROTTLED, scope=Scope.SINK, retry_after=7), 1, 7),
        (failure(reason=DeliveryReason.THROTTLED, scope=Scope.SINK), 1, None),
        (failure(Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK), 1, REFUSED_EVERY),
        (failure(Outcome.REJECTED, DeliveryReason.INVALID), 1, None),
        (failure(reason=DeliveryReason.GONE), 1, None),
    ],
)
def test_a_sink_is_left_alone_where_that_helps(error: DeliveryError, failures_in_a_row: int, seconds: float | None) -> None:
    expected = None if seconds is None else Pause(OWED + timedelta(seconds=seconds))
    assert pause(error, failures=failures_in_a_row, now=OWED) == expected


@pytest.mark.parametrize("scope", Scope)
def test_a_sink_that_is_gone_waits_for_a_person(scope: Scope) -> None:
    assert pause(failure(Outcome.REJECTED, DeliveryReason.GONE, scope, 5), failures=1, now=OWED) == Pause(None)
