"""Keeps sinks listening that people can answer: what goes wrong there is said, and tried again after ever longer pauses."""

import asyncio
import time

from notifier import telemetry
from notifier.domain.errors import DeliveryError
from notifier.domain.plain_text import one_line
from notifier.engine.attempt import DETAIL, Hide, culprit, shown, within
from notifier.sinks.contract import Listening
from notifier.sinks.desk import DeskClosed

FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0
"""Seconds between two tries to listen; doubled each time."""

STEADY = 60.0
"""Whoever listened for so many seconds is given the first, short wait again."""


class Listeners:
    """All sinks that listen, started and stopped together."""

    def __init__(self) -> None:
        self._sinks: dict[str, tuple[Listening, Hide]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, name: str, sink: Listening, hide: Hide = one_line) -> None:
        """Have this one listen from `start` on; ``hide``: see `shown`."""
        self._sinks[name] = (sink, hide)

    def start(self) -> None:
        """Start listening, on the running loop."""
        self._tasks = [asyncio.create_task(_keep(name, *found), name=f"listen {name}") for name, found in self._sinks.items()]

    async def stop(self) -> None:
        """Hear nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _keep(name: str, sink: Listening, hide: Hide) -> None:
    wait = FIRST_WAIT
    while True:
        began = time.monotonic()
        try:
            await within(sink.listen, None)
        except DeliveryError as error:
            detail = shown(error, hide).detail
        except DeskClosed as error:
            detail = hide(str(error), DETAIL)
        except Exception as error:  # noqa: BLE001 - a sink that cannot hear must still be able to speak
            telemetry.sink_crashed(name, culprit(error))
            detail = type(culprit(error)).__name__
        else:
            return
        if time.monotonic() - began >= STEADY:
            wait = FIRST_WAIT
        telemetry.listening_failed(name, detail, wait)
        await asyncio.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT)
