"""The events that recorded answers lead to, as the run would have found them that was recorded.

A pure function of the recording and the configuration: its clock is that of the recorded answers. A run looks at the time
whenever there is a good answer, an unchanged one too; all of these are recorded, so what time has to tell (a stall, its end, a
deadline, the end of a window, forecasts) is told here at the same answer. What a run had learnt before, a recording does not
know: it begins with the defaults of a cold start, and learns from what it shows itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.config import Settings
from notifier.config.timing import TimedCluster
from notifier.domain.diff import Step, diff
from notifier.domain.known import Known
from notifier.domain.model import Action, Event
from notifier.domain.outage import reachable, unreachable
from notifier.domain.shown import Shown
from notifier.domain.timekeeping import Limits, due, keep_time
from notifier.engine.library import Library
from notifier.sources.recording import Entry, Failed, RecordingError

NOBODYS = Limits()


@dataclass(frozen=True, slots=True)
class Rules:
    """What of a configuration decides which events there are.

    Attributes:
        unreachable_after: Seconds for which polls may fail before it is told.
        limits: What is told of time, by cluster (its key).
        usual: The same of all other clusters.
    """

    unreachable_after: float = 300.0
    limits: Mapping[str, Limits] = field(default_factory=dict)
    usual: Limits = NOBODYS

    @classmethod
    def of(cls, settings: Settings | None) -> "Rules":
        """Those of a configuration; the defaults where there is none."""
        if settings is None:
            return cls()
        patience = settings.poll.patience
        limits = {
            f"{project.project_id}/{each.id}": each.limits(patience) for project in settings.projects for each in project.clusters
        }
        return cls(settings.poll.unreachable_after, limits, TimedCluster().limits(patience))


@dataclass(slots=True)
class _Seen:
    """What is remembered of a cluster: what the store would hold, and what a poller's watch would."""

    known: Known = field(default_factory=Known)
    failing: set[Action] = field(default_factory=set)
    pages: dict[Action, tuple[Any, ...]] = field(default_factory=dict)
    good_at: dict[Action, datetime] = field(default_factory=dict)
    check_at: dict[Action, datetime | None] = field(default_factory=dict)


class Rebuilding:
    """Finds the events of recorded answers, one after another."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.trouble: list[str] = []
        """The answers that could not be read."""
        self._rules = rules or Rules()
        self._seen: dict[str, _Seen] = {}
        self._shown = Shown()
        self._library = Library()

    def events(self, entries: Iterable[Entry]) -> Iterator[Event]:
        """Every event, in the order in which it was found."""
        for entry in entries:
            yield from self.step(entry)

    def step(self, entry: Entry) -> tuple[Event, ...]:
        """The events of the next entry."""
        seen = self._seen.setdefault(entry.cluster.key, _Seen())
        try:
            return self._answered(seen, entry) if entry.failure is None else self._failed(seen, entry, entry.failure)
        except RecordingError as error:
            self.trouble.append(str(error))
            return ()

    def known(self, cluster: str) -> Known:
        """What is known of a cluster, by its key, after the entries so far."""
        return self._seen[cluster].known if cluster in self._seen else Known()

    def _failed(self, seen: _Seen, entry: Entry, failure: Failed) -> tuple[Event, ...]:
        seen.failing.add(entry.action)
        why = (failure.reason, failure.detail)
        step = unreachable(seen.known, entry.cluster, why, entry.at, self._rules.unreachable_after)
        seen.known = step.known
        return step.events

    def _answered(self, seen: _Seen, entry: Entry) -> tuple[Event, ...]:
        before, action = seen.known, entry.action
        same = entry.pages is seen.pages.get(action) and not before.unsettled(action)
        step = Step(before) if same else diff(before, entry.snapshot(), entry.at)
        seen.pages[action] = entry.pages
        seen.failing.discard(action)
        if not seen.failing:  # The cluster is reached again when each of its two lists is.
            again = reachable(step.known, entry.cluster, entry.at)
            step = Step(again.known, step.events + again.events)
        last = seen.good_at.get(action)
        seen.good_at[action] = entry.at
        limits = self._rules.limits.get(entry.cluster.key, self._rules.usual)
        if step.known is before and not due([last], seen.check_at.get(action), limits, entry.at):
            return step.events
        now = entry.at.timestamp()
        histories = self._library.histories(self._shown.history, entry.cluster, step.known, [action], now)
        timed = keep_time(before, step.known, step.events, entry.cluster, {action: last}, limits, histories, entry.at)
        self._shown.add(entry.cluster.key, timed.lengths)
        seen.known, seen.check_at[action] = timed.known, timed.check_at
        return timed.events
