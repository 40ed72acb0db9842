"""What tells the running program to stop or to read its configuration again, one after another."""

import asyncio
import signal
from contextlib import suppress

from notifier.store.errors import StoreDamaged


class Signals:
    """The signals that concern us, and the one thing that ends the program without any: a store that was damaged."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[signal.Signals | StoreDamaged] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._queue.put_nowait, number)

    def damaged(self, error: StoreDamaged) -> None:
        """The store can be used no more; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, error)

    async def next(self) -> signal.Signals:
        """Wait for one.

        Raises:
            StoreDamaged: There is nothing left to wait for.
        """
        found = await self._queue.get()
        if isinstance(found, StoreDamaged):
            raise found
        return found

    async def stopped(self, seconds: float | None) -> None:
        """Wait until somebody wants us to stop, or for so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await self.next() == signal.SIGHUP:
                    pass
