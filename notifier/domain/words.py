"""The words of one language and time zone, for every sink that speaks to people.

A sink never makes up words of its own: it asks for a title, a summary, facts, or a phrase by its key, so that all sinks of a
language say the same thing, and one sink may speak Chinese while another speaks English.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from notifier.domain import render
from notifier.domain.model import Event

ENGLISH: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Words:
    """A language, a time zone, and what an operator says in other words.

    Attributes:
        language: ``en`` or ``zh``.
        zone: In which moments are shown, beside UTC.
        overrides: Phrases by key that replace ours.
    """

    language: str = "en"
    zone: tzinfo = UTC
    overrides: Mapping[str, str] = field(default_factory=dict)

    def title(self, event: Event) -> str:
        """The cluster and what happened, in a few words."""
        return render.title(event)

    def summary(self, event: Event) -> str:
        """One line for a person, without the cluster's name in front."""
        return render.summary(event)

    def facts(self, event: Event) -> tuple[tuple[str, str], ...]:
        """Label and value pairs, in the order they should be shown."""
        return render.facts(event)

    def say(self, key: str, /, **values: object) -> str:
        """The phrase of a key, with its ``{names}`` filled in.

        Raises:
            KeyError: There is no such phrase: a fault of ours.
        """
        return (self.overrides.get(key) or ENGLISH[key]).format(**values)

    def status(self, status: str) -> str:
        """A task's or a stage's status; one that nobody knows as it is."""
        return status

    def stage(self, name: str) -> str:
        """A stage's name, by the dictionary where it holds it."""
        return name

    def moment(self, at: datetime) -> str:
        """A moment in the reader's zone, with the zone's name."""
        return at.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S %Z")

    def span(self, length: timedelta) -> str:
        """A length of time as a person says it: the two largest units."""
        return render.span(length)
