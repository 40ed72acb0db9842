"""Which two answers of the API an event follows from: enough of each to know it again, though it is not kept itself.

The digest is what a recording names an answer by as well (``notifier run --record``); the request id is what Huawei's support
asks for.
"""

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """What is remembered of an answer.

    Attributes:
        received_at: When it came. UTC.
        size: Bytes of its body, of all pages together.
        digest: SHA-256 of these bytes, in hexadecimal digits.
        request_id: What the API called the request (``X-Request-Id``), None where it did not say.
        same_until: When the very same bytes came last. None where they did not come again, or where nobody knows: unchanged
            answers are not written down, so a restart forgets it.
    """

    received_at: datetime
    size: int
    digest: str
    request_id: str | None = None
    same_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """An answer and the different one before it, None where there was none or it is not known any more."""

    later: AnswerFacts
    earlier: AnswerFacts | None = None


def followed(before: Evidence | None, answer: AnswerFacts, seen_at: datetime | None) -> Evidence:
    """The evidence after one more answer.

    Args:
        before: The newest so far.
        answer: The one that came.
        seen_at: When there was a good answer before it, None where that is not known. It said what ``before`` says last.
    """
    if before is None:
        return Evidence(answer)
    last = before.later
    if last.digest == answer.digest:
        return again(before, answer.received_at)
    return Evidence(answer, last if seen_at is None or seen_at <= last.received_at else replace(last, same_until=seen_at))


def again(before: Evidence, at: datetime) -> Evidence:
    """The evidence after the very same answer came once more."""
    return replace(before, later=replace(before.later, same_until=at))


SHOWN = 16
"""Digits of a digest that people are shown; two answers of one cluster never share so many."""

CLOCK = "%Y-%m-%d %H:%M:%SZ"


def in_words(answer: AnswerFacts) -> str:
    """What is remembered of an answer, for a person."""
    same = "" if answer.same_until is None else f", the same again until {answer.same_until:{CLOCK}}"
    name = "" if answer.request_id is None else f", request id {answer.request_id}"
    return f"received at {answer.received_at:{CLOCK}}{same}; {answer.size} bytes, SHA-256 {answer.digest[:SHOWN]}…{name}"
