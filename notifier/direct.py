"""Tells sinks at once, without the store: for drills and replays, which leave nothing behind."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from notifier.config import SinkEntry
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.outbound import open_session
from notifier.outlets import alone
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

    def __init__(self, entry: SinkEntry, sink: Sink) -> None:
        self.name = entry.name
        self.words = entry.words
        self.closed: DeliveryError | None = None
        """Why nothing more is tried: the sink refuses everything."""
        self._entry = entry
        self._sink = sink
        self._last: dict[str, Receipt] = {}

    async def tell(self, message: Message) -> Told:
        """Tell it; what may work later is tried again, up to `TRIES` times."""
        began = time.monotonic()
        if self.closed is not None:
            return Told(0.0, 0, self.closed)
        tries = 1
        while isinstance(found := await self._send(message), DeliveryError):
            if found.outcome is not Outcome.RETRY or tries == TRIES:
                break
            tries += 1
            await asyncio.sleep(min(found.retry_after or self._entry.policy.first_retry, LONGEST_WAIT))
        after = time.monotonic() - began
        if isinstance(found, Receipt):
            self._last[message.event.thread] = found
            return Told(after, tries)
        if found.outcome is Outcome.REJECTED and found.scope is Scope.SINK:
            self.closed = found
        return Told(after, tries, found)

    async def _send(self, message: Message) -> Receipt | DeliveryError:
        try:
            async with asyncio.timeout(self._entry.timeout):
                return await self._sink.send(message, self._last.get(message.event.thread))
        except DeliveryError as error:
            return error
        except TimeoutError:
            return DeliveryError(Outcome.UNCERTAIN, DeliveryReason.TIMEOUT, f"no answer within {self._entry.timeout:g} s")
        except Exception as error:  # noqa: BLE001 - a stranger's sink may raise anything
            return DeliveryError(Outcome.UNCERTAIN, DeliveryReason.CRASHED, f"the sink raised {type(error).__name__}")


@asynccontextmanager
async def lines(entries: Iterable[SinkEntry], page: str | None) -> AsyncIterator[dict[str, Line]]:
    """The sinks, open, by name; their messages link to ``page``."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(total=LONGEST_WAIT))
        found: dict[str, Line] = {}
        for entry in entries:
            found[entry.name] = Line(entry, await stack.enter_async_context(alone(entry, session, page)))
        yield found
