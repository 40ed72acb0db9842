"""A drill: a failure that did not happen, told through the real routes and sinks, to see who hears of it and how soon."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from secrets import token_hex

from notifier.config import Settings
from notifier.direct import Line, Told, lines
from notifier.domain.holding import Holding
from notifier.domain.model import Cluster, Event, Kind
from notifier.domain.rehearsal import set_apart
from notifier.domain.routing import sinks_of
from notifier.domain.samples import samples
from notifier.domain.silences import Silence, silenced_by
from notifier.outlets import page_of
from notifier.replay import message

MARK = "DRILL"
STORY = (
    Kind.TASK_STARTED,
    Kind.NODE_STARTED,
    Kind.STAGE_FAILED,
    Kind.NODE_FAILED,
    Kind.TASK_FAILED,
    Kind.TASK_RETRIED,
    Kind.TASK_SUCCEEDED,
)
"""What happens. It ends well, so that an on-call service closes the incident that it opened."""

FAILURE = Kind.TASK_FAILED
"""What must be heard."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One message of the drill: after how many seconds from its beginning it had arrived, or why it did not."""

    kind: Kind
    sink: str
    after: float
    tries: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Drill:
    """What came of it.

    Attributes:
        cluster: Whose failure was played.
        told: Every message, in the order in which they were done with.
        untold: The sinks that did not hear of the failure, and why.
    """

    cluster: Cluster
    told: tuple[Telling, ...]
    untold: Mapping[str, str]

    @property
    def heard(self) -> Mapping[str, Telling]:
        """By sink, how it heard of the failure."""
        return {each.sink: each for each in self.told if each.kind is FAILURE and each.problem is None}


@dataclass
class _Play:
    """A drill under way."""

    settings: Settings
    now: datetime
    silences: Sequence[Silence]
    run: str = field(default_factory=lambda: token_hex(3))
    told: list[Telling] = field(default_factory=list)
    untold: dict[str, str] = field(default_factory=dict)

    def owed(self, events: Sequence[Event]) -> dict[str, list[Event]]:
        """What each sink is told; of the failure also why it is not."""
        owed: dict[str, list[Event]] = {entry.name: [] for entry in self.settings.sinks}
        holdings = {entry.name: Holding(digest=entry.digest, quiet=entry.quiet) for entry in self.settings.sinks}
        for event in events:
            silence = silenced_by(event, self.silences, self.now)
            routed = sinks_of(event, self.settings.routes)
            for sink, queue in owed.items():
                ready_at = holdings[sink].hold(event, self.now).ready_at
                if sink not in routed:
                    why = "no route that names it matches"
                elif silence is not None:
                    why = f"silenced by {silence.words}"
                elif ready_at > self.now:
                    why = f"held until {ready_at:%Y-%m-%d %H:%M %Z}"
                else:
                    queue.append(event)
                    continue
                if event.kind is FAILURE:
                    self.untold[sink] = why
        return owed

    async def tell(self, line: Line, events: Sequence[Event], began: float) -> None:
        """Tell one sink, in order."""
        for event in events:
            told: Told = await line.tell(message(set_apart(event, MARK, self.run), line.name, MARK, line.words))
            problem = None if told.problem is None else str(told.problem)
            self.told.append(Telling(event.kind, line.name, time.monotonic() - began, told.tries, problem))
            if problem is not None and event.kind is FAILURE:
                self.untold[line.name] = problem


def cluster_of(settings: Settings, name: str | None) -> Cluster:
    """The cluster whose failure is played: the named one, else the first.

    Raises:
        LookupError: There is no such cluster.
    """
    watched = [each for project in settings.projects for each in project.watched]
    chosen = next((each for each in watched if name is None or name in {each.name, each.id}), None)
    if chosen is None:
        raise LookupError(f"there is no cluster {name!r}; there is {', '.join(each.name for each in watched)}")
    return chosen


async def drill(settings: Settings, cluster: Cluster, silences: Sequence[Silence], now: datetime) -> Drill:
    """Play a failure of a cluster, to every sink side by side.

    Args:
        settings: With the routes and sinks.
        cluster: One of theirs.
        silences: Those that hold.
        now: UTC.
    """
    play = _Play(settings, now, silences)
    story = {each.event.kind: each.event for each in samples(now, run=play.run, mark=MARK)}
    events = [replace(story[kind], cluster=cluster, time=now, observed_at=now) for kind in STORY]
    owed = play.owed(events)
    async with lines((entry for entry in settings.sinks if owed[entry.name]), page_of(settings)) as open_lines:
        began = time.monotonic()
        await asyncio.gather(*(play.tell(line, owed[name], began) for name, line in open_lines.items()))
    return Drill(cluster, tuple(play.told), play.untold)
