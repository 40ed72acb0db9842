"""Which two answers an event follows from: what is remembered of them as answers come, repeat and change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier.domain.evidence import AnswerFacts, Evidence, again, followed, in_words
from notifier.domain.model import Kind
from notifier.domain.rules import BASELINE, BY_TIME, FORGOTTEN, NOT_KEPT, answers, ground
from notifier.domain.samples import sample

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


def answer(letter: str, minute: int = 0) -> AnswerFacts:
    return AnswerFacts(NOW + timedelta(minutes=minute), 1234, letter * 64, f"request-{letter}")


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


def test_the_first_answer_has_none_before_it() -> None:
    assert followed(None, answer("a"), None) == Evidence(answer("a"))


def test_an_answer_that_differs_follows_the_one_before_which_was_the_same_until_it_was_seen_last() -> None:
    found = followed(Evidence(answer("a")), answer("b", 5), at(4))
    assert found == Evidence(answer("b", 5), replace(answer("a"), same_until=at(4)))


def test_after_a_restart_nobody_knows_how_long_the_one_before_was_the_same() -> None:
    found = followed(Evidence(answer("a")), answer("b", 5), None)
    assert found.earlier == answer("a")


def test_what_was_seen_once_only_was_the_same_for_no_time() -> None:
    found = followed(Evidence(answer("a")), answer("b", 1), at(0))
    assert found.earlier == answer("a")


def test_the_same_answer_again_keeps_the_two_and_says_until_when() -> None:
    """What several answers have to confirm follows from the one that changed, however often it was given."""
    two = followed(Evidence(answer("a")), answer("b", 5), at(4))
    confirmed = followed(two, answer("b", 7), at(6))
    assert confirmed == again(two, at(7))
    assert confirmed.later == replace(answer("b", 5), same_until=at(7))
    assert confirmed.earlier == two.earlier


def test_an_answer_in_words_says_what_is_known_of_it_and_no_more() -> None:
    assert in_words(answer("a")) == f"received at 2026-03-01 02:00:00Z; 1234 bytes, SHA-256 {'a' * 16}…, request id request-a"
    told = in_words(AnswerFacts(NOW, 9, "b" * 64, None, at(3)))
    assert told == f"received at 2026-03-01 02:00:00Z, the same again until 2026-03-01 02:03:00Z; 9 bytes, SHA-256 {'b' * 16}…"


def test_the_answers_of_an_event_are_named_and_what_is_not_known_is_said() -> None:
    both = Evidence(answer("b"), answer("a"))
    assert [(which, each) for which, each, _ in answers(Kind.TASK_FAILED, both, catch_up=False)] == [
        ("The earlier answer", answer("a")),
        ("The later answer", answer("b")),
    ]
    assert answers(Kind.TASK_STARTED, Evidence(answer("b")), catch_up=True)[0][2] == BASELINE
    assert answers(Kind.TASK_FAILED, Evidence(answer("b")), catch_up=False)[0][2] == FORGOTTEN
    assert answers(Kind.TASK_FAILED, None, catch_up=False) == []
    ((which, newest, _),) = answers(Kind.TASK_STALLED, both, catch_up=False)
    assert (which, newest) == ("The newest answer then", answer("b"))


@pytest.mark.parametrize("kind", Kind, ids=str)
def test_every_kind_follows_from_two_answers_or_says_from_what_else(kind: Kind) -> None:
    event = replace(sample(kind).event, evidence=Evidence(answer("b"), answer("a")))
    of_answers = event.task is not None and kind not in BY_TIME
    assert (ground(event) is None) == of_answers
    assert ground(replace(event, evidence=None)) == (NOT_KEPT if of_answers else ground(event))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            Kind.TASK_STALLED,
            "time: since 2026-03-01 05:30:00Z good answers had shown the same for 2700 s; usual are 720 s",
        ),
        (Kind.TASK_DEADLINE_NEAR, "time: 50 % of the limit of what began at"),
        (Kind.TASK_WINDOW_ENDING, "time: the window ends at 2026-03-01 07:55:00Z"),
        (Kind.CLUSTER_UNREACHABLE, "no good answer since 2026-03-01 07:25:00Z; the last failure was server: HTTP 503"),
        (Kind.CLUSTER_RECOVERED, "a good answer to everything that was asked, for the first time since"),
        (Kind.SINK_FAILING, "what sample-sink answered to what it was told: refused: HTTP 401"),
        (Kind.SINK_RECOVERED, "what sample-sink answered to what it was told"),
        (Kind.CLUSTER_DISCOVERED, "the project's list of clusters"),
    ],
)
def test_what_does_not_follow_from_an_answer_says_what_it_follows_from(kind: Kind, said: str) -> None:
    assert (ground(sample(kind).event) or "").startswith(said)


def test_a_stall_of_unknown_length_with_gaps_says_so_and_a_window_without_its_end_too() -> None:
    stalled = sample(Kind.TASK_STALLED).event
    assert stalled.timing is not None
    told = ground(replace(stalled, timing=replace(stalled.timing, usual=None, unseen=90.0))) or ""
    assert told.endswith("without the 90 s in which there was no data; nothing is known of its like")
    ending = sample(Kind.TASK_WINDOW_ENDING).event
    assert ending.timing is not None
    assert "a time that was not kept" in (ground(replace(ending, timing=replace(ending.timing, until=None))) or "")
