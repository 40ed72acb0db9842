"""Tells a dead man's switch that all is well, for as long as that is proved; when nothing comes any more, it raises the alarm.

Every ping waits for a proof: all loops have gone around once more, and the store has taken a write. What cannot be proved in time
is not said. Whether the switch can be reached is nobody's concern here: a failed ping is counted, and the next one is tried.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
from yarl import URL

from notifier import telemetry
from notifier.outbound import cause
from notifier.store.errors import StoreError

PATIENCE = 10.0
"""Seconds that a proof may take, and as many a ping."""


class Heartbeat:
    """Pings every so many seconds, the first time after one interval: a program that only ever starts is not well.

    Args:
        session: From ``outbound.open_session``.
        url: Of the switch; a secret.
        every: Seconds.
        method: ``GET`` or ``POST``.
        prove: Comes back when all goes on; what it raises, and that it does not come back, is no proof.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, every: float, method: str, prove: Callable[[], Awaitable[None]]
    ) -> None:
        self._session = session
        self._url = URL(url)
        self._every = every
        self._method = method
        self._prove = prove
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.create_task(self._run(), name="heartbeat")

    async def stop(self) -> None:
        """Say nothing more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        due = time.monotonic() + self._every
        while True:
            await asyncio.sleep(due - time.monotonic())
            await self._turn()
            due = max(due + self._every, time.monotonic())

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._prove()
        except TimeoutError:
            telemetry.heartbeat("withheld", "not every loop went around in time")
        except StoreError as error:
            telemetry.heartbeat("withheld", str(error))
        except Exception as error:  # noqa: BLE001 - no fault of a proof may end the pings for good
            telemetry.fault("heartbeat", error)
            telemetry.heartbeat("withheld", type(error).__name__)
        else:
            await self._ping()

    async def _ping(self) -> None:
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self._session.request(self._method, self._url, allow_redirects=False) as response,
            ):
                status = response.status
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # `cause` knows hosts, and neither paths nor queries: those of a switch are as good as a password.
            telemetry.heartbeat("failed", cause(error))
        else:
            good = status // 100 == 2  # noqa: PLR2004 - HTTP's own number
            telemetry.heartbeat("sent" if good else "failed", f"HTTP {status}")
