"""What the system asks of the program: to stop, or to read its configuration again."""

import asyncio
import signal
from contextlib import suppress


class Signals:
    """The signals that concern us, one after another."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[signal.Signals] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._queue.put_nowait, number)

    async def next(self) -> signal.Signals:
        """Wait for one."""
        return await self._queue.get()

    async def stopped(self, seconds: float | None) -> None:
        """Wait until somebody wants us to stop, or for so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await self.next() == signal.SIGHUP:
                    pass
