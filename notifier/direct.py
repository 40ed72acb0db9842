"""Tells sinks at once, without the store: for drills and replays, which leave nothing behind."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp

from notifier.config import SinkEntry
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.engine.attempt import attempt, raised
from notifier.engine.door import Door, unopened
from notifier.outbound import open_session
from notifier.outlets import alone, hidden
from notifier.sinks.contract import Sink

TRIES = 3
LONGEST_WAIT = 30.0
"""Seconds between two tries, at the most."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one message: after how many seconds and tries, and the problem if it did not arrive."""

    after: float
    tries: int
    problem: DeliveryError | None = None


class Line:
    """One sink, spoken to without the engine. It keeps the receipts of what it told, so that a living message is edited."""

    def __init__(self, entry: SinkEntry, sink: Sink | DeliveryError) -> None:
        self.name = entry.name
        self.words = entry.words
        self.closed = sink if isinstance(sink, DeliveryError) else None
        """Why nothing more is tried: the sink refuses everything, or could not be opened."""
        self._entry = entry
        self._sink = sink
        self._hide = hidden(entry)
        self._last: dict[str, Receipt] = {}

    async def tell(self, message: Message) -> Told:
        """Tell it; what may work later is tried again, up to `TRIES` times."""
        began = time.monotonic()
        if self.closed is not None or isinstance(self._sink, DeliveryError):
            return Told(0.0, 0, self.closed)
        tries = 1
        while isinstance(found := await self._attempt(self._sink, message), DeliveryError):
            if found.outcome is not Outcome.RETRY or tries == TRIES:
                break
            tries += 1
            message = replace(message, progress=found.receipt or message.progress)
            await asyncio.sleep(min(found.retry_after or self._entry.policy.first_retry, LONGEST_WAIT))
        after = time.monotonic() - began
        if isinstance(found, Receipt):
            self._last[message.event.thread] = found
            return Told(after, tries)
        if found.outcome is Outcome.REJECTED and found.scope is Scope.SINK:
            self.closed = found
        return Told(after, tries, found)

    async def _attempt(self, sink: Sink, message: Message) -> Receipt | DeliveryError:
        last = self._last.get(message.event.thread)
        return await attempt(sink, message, last, self._entry.timeout, hide=self._hide)


@asynccontextmanager
async def lines(entries: Iterable[SinkEntry], page: str | None) -> AsyncIterator[dict[str, Line]]:
    """The sinks, open, by name; their messages link to ``page``."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(total=LONGEST_WAIT))
        found: dict[str, Line] = {}
        for entry in entries:
            found[entry.name] = Line(entry, await stack.enter_async_context(opened(entry, session, page)))
        yield found


@asynccontextmanager
async def opened(
    entry: SinkEntry, session: aiohttp.ClientSession, page: str | None, troubled: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Sink | DeliveryError]:
    """A sink with no program around it, open; or why it cannot be opened. Its code is a stranger's, and may do anything.

    Args:
        entry: The sink.
        session: What it is lent.
        page: What its messages link to.
        troubled: Is told in words if it cannot be closed, which takes nothing back of what it has sent.
    """
    try:
        sink = alone(entry, session, page)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's sink may raise anything
        yield unopened(DeliveryReason.CRASHED, raised(error))
        return
    closing = False

    def crashed(error: BaseException) -> None:
        if closing:
            troubled(f"the sink could not be closed: {raised(error)}")

    async with Door(sink, entry.timeout, crashed=crashed, hide=hidden(entry)) as door:
        problem = await door.shut()
        yield sink if problem is None else problem
        closing = True
