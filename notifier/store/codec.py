"""Documents to JSON text and back: the domain's dataclasses, read and written by pydantic at this edge."""

from collections.abc import Mapping
from functools import cache
from typing import TypeVar

from pydantic import TypeAdapter

from notifier.domain.discovery import Roll
from notifier.domain.dossier import Dossier
from notifier.domain.evidence import AnswerFacts, Evidence
from notifier.domain.known import KnownTask
from notifier.domain.model import Action, Cluster, Event, Outage
from notifier.domain.silences import Silence

T = TypeVar("T")

known_task = TypeAdapter(KnownTask)
event = TypeAdapter(Event)
cluster = TypeAdapter(Cluster)
outage = TypeAdapter(Outage)
silence = TypeAdapter(Silence)
actions = TypeAdapter(frozenset[Action])
answers = TypeAdapter(Mapping[Action, AnswerFacts])
roll = TypeAdapter(Roll)
dossier = TypeAdapter(Dossier)
receipt = TypeAdapter(Mapping[str, str])


def dump(adapter: TypeAdapter[T], value: T) -> str:
    """JSON text."""
    return adapter.dump_json(value).decode()


@cache
def dump_actions(value: frozenset[Action]) -> str:
    """The same for a set of actions, of which there are four."""
    return dump(actions, value)


def dump_answers(value: Mapping[Action, Evidence]) -> str:
    """The newest answer of each action. The one before it is of use only to what is just being confirmed."""
    return answers.dump_json({action: each.later for action, each in value.items()}, exclude_none=True).decode()


def read_answers(text: str) -> dict[Action, Evidence]:
    """The same, read."""
    return {action: Evidence(later) for action, later in answers.validate_json(text).items()}
