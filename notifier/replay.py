"""Plays recordings again: the events that follow from them, the messages they make, and who would be told with other routes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex

from notifier.config import Settings, SinkEntry
from notifier.direct import lines
from notifier.domain.holding import Holding
from notifier.domain.identity import of_delivery
from notifier.domain.message import Message
from notifier.domain.model import Event, Severity
from notifier.domain.rehearsal import set_apart
from notifier.domain.reminders import CONDITIONS, ENDS, Told, due, lasts
from notifier.domain.render import ENGLISH, render
from notifier.domain.retry import Policy
from notifier.domain.routing import Matcher, Route, SeverityRange, sinks_of
from notifier.domain.words import Words
from notifier.outlets import page_of
from notifier.rebuilding import Rebuilding, Rules
from notifier.sinks import registry
from notifier.sources.recording import Entry

CONSOLE = "console"
MARK = "REPLAY"


@dataclass(frozen=True, slots=True)
class Hearing:
    """One event and who would be told of it, at a moment: by sink, when. ``reminder``: 0 for news, n for the n-th of it."""

    event: Event
    at: datetime
    told: Mapping[str, datetime]
    reminder: int = 0


class Hearsay:
    """Who would have been told with these routes, digests and quiet hours, and reminded. Silences are not of a recording.

    Args:
        settings: The routes and sinks to try.
        rebuilding: Finds the events.
    """

    def __init__(self, settings: Settings, rebuilding: Rebuilding) -> None:
        self._routes = settings.routes
        self._holdings = {entry.name: Holding(digest=entry.digest, quiet=entry.quiet) for entry in settings.sinks}
        self._rebuilding = rebuilding
        self._lasting: dict[str, tuple[Event, dict[str, list[Told]]]] = {}
        """The conditions that last, each with what was told of it."""
        self._reminded: dict[str, set[str]] = {}
        """Who was reminded though no route told him, by what the events are numbered by."""

    def heard(self, entries: Iterable[Entry]) -> Iterator[Hearing]:
        """Everything, in the order in which it was told. Reminders fall due at the recorded answers."""
        for entry in entries:
            yield from self._reminders(entry.at)
            for event in self._rebuilding.step(entry):
                yield self._news(event)

    def _news(self, event: Event) -> Hearing:
        sinks = [*sinks_of(event, self._routes)]
        if event.kind in ENDS:  # Whoever heard of a condition late hears how it ends.
            sinks += sorted(self._reminded.pop(event.thread, set()).difference(sinks))
        at = event.observed_at
        if event.kind in CONDITIONS:
            self._lasting[event.id] = (event, {sink: [Told(0, at, open=False)] for sink in sinks})
        return Hearing(event, at, {sink: self._holdings[sink].hold(event, at).ready_at for sink in sinks})

    def _reminders(self, at: datetime) -> Iterator[Hearing]:
        for name, (event, told) in list(self._lasting.items()):
            if not lasts(event, self._rebuilding.known(event.cluster.key)):
                del self._lasting[name]
                continue
            for sink, number in sorted(due(event, self._routes, told, at)):
                if sink not in told:
                    self._reminded.setdefault(event.thread, set()).add(sink)
                told.setdefault(sink, []).append(Told(number, at, open=False))
                yield Hearing(event, at, {sink: self._holdings[sink].hold(event, at).ready_at}, number)


class Playing:
    """Tells sinks what follows from recorded answers, all of it marked.

    Args:
        settings: Where the sinks and routes are configured; None: the console is told.
        sinks: Which of them are told what their routes say; none: the console.
        speed: How many times faster than it was; None: as fast as possible.
        everything: The console is told of what matters least as well.
        as_json: In which form.
    """

    def __init__(
        self, settings: Settings | None, sinks: Sequence[str], *, speed: float | None, everything: bool, as_json: bool
    ) -> None:
        lowest = Severity.DEBUG if everything else Severity.INFO
        self._routes: Sequence[Route] = (Route(Matcher(severity=SeverityRange(lowest)), (CONSOLE,)),)
        self._sinks = [console(as_json=as_json)]
        if settings is not None and sinks:
            self._routes, self._sinks = settings.routes, [entry for entry in settings.sinks if entry.name in sinks]
        self._page = None if settings is None else page_of(settings)
        self._speed = speed
        self._rebuilding = Rebuilding(Rules.of(settings))

    @property
    def trouble(self) -> list[str]:
        """The answers that could not be read."""
        return self._rebuilding.trouble

    async def play(self, entries: Iterable[Entry]) -> AsyncIterator[tuple[Event, str, str | None]]:
        """Tell; each message with its event, its sink, and the problem if it did not arrive."""
        pace, run = _Pace(self._speed), token_hex(4)
        async with lines(self._sinks, self._page) as open_lines:
            for event in self._rebuilding.events(pace.watched(entries)):
                await pace.wait()
                for name in sinks_of(event, self._routes):
                    if (line := open_lines.get(name)) is not None:
                        told = await line.tell(message(set_apart(event, MARK, run), name, MARK, line.words))
                        yield event, name, None if told.problem is None else str(told.problem)


def console(*, as_json: bool) -> SinkEntry:
    """The sink of a replay that names none."""
    settings = registry.load(CONSOLE).settings.model_validate({"format": "json" if as_json else "text"})
    return SinkEntry(CONSOLE, CONSOLE, settings, 10.0, None, 1, Policy())


def message(event: Event, sink: str, mark: str, words: Words = ENGLISH) -> Message:
    """The message of an event that is no news. It is as fresh as it was then."""
    return render(
        event,
        delivery_id=of_delivery(event.id, sink),
        attempt=1,
        may_repeat=False,
        skipped=0,
        now=event.observed_at,
        mark=mark,
        words=words,
    )


class _Pace:
    """Makes time pass as it passed then, so many times faster."""

    def __init__(self, speed: float | None, clock: Callable[[], float] | None = None) -> None:
        self._speed = speed
        self._clock = clock or asyncio.get_running_loop().time
        self._began: tuple[datetime, float] | None = None
        self._at: datetime | None = None

    def watched(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries, noting the time of each."""
        for entry in entries:
            self._began = self._began or (entry.at, self._clock())
            self._at = entry.at
            yield entry

    async def wait(self) -> None:
        """Wait until the newest entry is due."""
        if self._speed is None or self._began is None or self._at is None:
            return
        then, start = self._began
        due = start + (self._at - then).total_seconds() / self._speed
        await asyncio.sleep(max(due - self._clock(), 0.0))
