"""Notes which answers led to an event, so that it can be explained; an answer that is the same costs nothing here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from notifier.domain.errors import FetchError
from notifier.domain.evidence import AnswerFacts, Evidence, again, followed
from notifier.domain.known import Known
from notifier.domain.model import Action, Snapshot

Good = Mapping[Action, datetime | None]
"""The actions that have just given a good answer, each with the moment of the one before."""


class Asked(NamedTuple):
    """What a poll was answered, and when: what is new, the failure if any, who answered well, what to know new answers by."""

    snapshots: Sequence[Snapshot]
    failure: FetchError | None
    good: Good
    fresh: Mapping[Action, AnswerFacts]
    at: datetime


def evidence(
    known: Known,
    remembered: Mapping[Action, Evidence],
    fresh: Mapping[Action, AnswerFacts],
    good: Good,
    now: datetime,
) -> Mapping[Action, Evidence]:
    """What each action that gave a good answer rests on now.

    Args:
        known: What the store holds.
        remembered: What this process knows better: answers that brought nothing to be stored.
        fresh: The answers that were read, since their bytes were new or had to be confirmed.
        good: The actions that answered well, each with the good answer before as this process remembers it.
        now: When they did.
    """
    found = {}
    for action, last in good.items():
        before = remembered.get(action) or known.answers.get(action)
        if (answer := fresh.get(action)) is not None:
            found[action] = followed(before, answer, last)
        elif before is not None:
            found[action] = again(before, now)
    return found


def unwritten(known: Known, found: Mapping[Action, Evidence]) -> dict[Action, Evidence]:
    """What the store does not say as well, so that it has to be remembered until it does."""
    return {action: each for action, each in found.items() if _digest(known.answers.get(action)) != each.later.digest}


def _digest(held: Evidence | None) -> str | None:
    return None if held is None else held.later.digest
