"""Who hears of what: matchers and routes.

An event goes to the sinks of *every* route that matches it, to each sink once. A matcher never answers with a bare no: it says
what it refused, so that a person can be told why somebody was not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from notifier.domain.model import OURS, Event, Severity

Globs = tuple[str, ...]
"""Alternatives; each may hold ``*``, ``?`` and ``[…]``. Case counts."""

ANYTHING: Globs = ("*",)

OURS_BEGIN = "sink."
"""What a pattern must begin with to mean the notifier's own troubles; who asks for ``*`` asks about clusters."""


@dataclass(frozen=True, slots=True)
class SeverityRange:
    """The severities a matcher takes, ends included."""

    lowest: Severity = Severity.DEBUG
    highest: Severity = Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class Matcher:
    """What a route listens to. Every condition must hold; one that is not given holds always.

    ``cluster`` is compared with the cluster's name and with its id, ``project`` with the name of the project. ``labels`` must all
    be there, each with one of its alternatives.
    """

    kind: Globs = ANYTHING
    severity: SeverityRange = SeverityRange()
    labels: Mapping[str, Globs] = field(default_factory=dict)
    cluster: Globs = ANYTHING
    project: Globs = ANYTHING
    action: Globs = ANYTHING

    def refusal(self, event: Event) -> str | None:
        """Why the event does not match, in a few words; None if it does."""
        if not _any(self.kind, event.kind):
            return f"kind is {event.kind}"
        if event.kind in OURS and not any(glob.startswith(OURS_BEGIN) for glob in self.kind):
            return f"kind is {event.kind}, which must be named"
        if not self.severity.lowest <= event.severity <= self.severity.highest:
            return f"severity is {event.severity.word}"
        if not (_any(self.cluster, event.cluster.name) or _any(self.cluster, event.cluster.id)):
            return f"cluster is {event.cluster.name}"
        if not _any(self.project, event.cluster.project):
            return f"project is {event.cluster.project}"
        if self.action != ANYTHING and (event.task is None or not _any(self.action, event.task.action)):
            return f"action is {event.task.action}" if event.task else "it is of no task"
        for label, globs in self.labels.items():
            value = event.cluster.labels.get(label)
            if value is None or not _any(globs, value):
                return f"label {label} is {'missing' if value is None else value}"
        return None


def _any(globs: Globs, text: str) -> bool:
    return "*" in globs or any(fnmatchcase(text, glob) for glob in globs)


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who else hears of a condition that has lasted for ``after`` seconds."""

    after: float
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """Events that match go to these sinks. ``repeat``: seconds after which a condition that lasts is told again, and again."""

    match: Matcher
    sinks: tuple[str, ...]
    repeat: float | None = None
    escalate: Escalation | None = None


def sinks_of(event: Event, routes: Sequence[Route]) -> tuple[str, ...]:
    """The sinks that hear of an event, in the order of the routes; one that several matching routes name is told once."""
    return tuple(dict.fromkeys(sink for route in routes if route.match.refusal(event) is None for sink in route.sinks))
