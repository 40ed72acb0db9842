"""How late the event loop is: the one measure that grows with whatever blocks it.

Everything the program does waits for the loop; if the loop is late, so are polls, deliveries and the answers of the status page.
"""

import asyncio

from notifier import telemetry

BEAT = 0.1
"""Seconds between two looks."""


class Lag:
    """Notes every tenth of a second how late the loop is, in ``notifier_loop_lag_seconds``."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start, on the running loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(loop.time() + BEAT, self._beat, loop.time() + BEAT)

    def stop(self) -> None:
        """Stop. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        late = loop.time() - due
        # While the loop stood still no beat was noted, though whoever came then had to wait: a stall of five seconds is fifty
        # late beats, not one.
        while late >= 0:
            telemetry.loop_lagged(late)
            late -= BEAT
            due += BEAT
        self._timer = loop.call_at(due, self._beat, due)
