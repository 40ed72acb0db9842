"""Keeps a sink open as long as the program tells through it: its code is a stranger's, and its receiver may be down just then.

A sink that cannot be opened keeps neither the program from starting nor the others from telling. Its own messages wait, and it is
tried again after ever longer pauses.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.plain_text import one_line
from notifier.engine.attempt import Hide, Unusable, break_off, checked_error, contained, culprit, raised, unheard
from notifier.sinks.contract import Listening, Sink

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds between two tries to open a sink; doubled each time."""

CLOSING = 1.0
"""Seconds that a sink may take to close; the program is about to end, or a new configuration waits."""

OPEN = "a sink that is open"


class Door:
    """One sink's.

    Whatever a sink opens belongs to a task of its own, from its ``__aenter__`` to its ``__aexit__``: some of it can only be left
    in the task that entered it.

    Args:
        sink: Not open yet.
        patience: Seconds that it may take to open.
        failed: Is told why it could not be opened, and in how many seconds it is tried again.
        crashed: Is told what it raised that is a fault in its code.
        hide: For what the sink says of a failure.
    """

    def __init__(
        self,
        sink: Sink,
        patience: float,
        failed: Callable[[str, float], None] = lambda _why, _wait: None,
        crashed: Callable[[BaseException], None] = unheard,
        hide: Hide = one_line,
    ) -> None:
        self.sink = sink
        self.problem: DeliveryError | None = None
        """Why it is not open; None before the first try has come to its end, too."""
        self._patience = patience
        self._failed = failed
        self._crashed = crashed
        self._hide = hide
        self._tried = asyncio.Event()
        self._closing = asyncio.Event()
        self._again_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to open it, which goes on beside: the first message waits for it."""
        self._task = asyncio.create_task(self._keep_open(), name="door of a sink")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it, in time, whatever it does."""
        self._closing.set()
        if self._task is None:
            return
        # One that is still opening has nothing to close.
        done, _ = await asyncio.wait({self._task}, timeout=CLOSING if self._tried.is_set() else 0)
        if not done and self._tried.is_set() and self.problem is None:
            self._crashed(Unusable(f"it took longer than {CLOSING:g} s"))
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def shut(self) -> DeliveryError | None:
        """Why nothing can be sent yet; None: it is open."""
        await self._tried.wait()
        if self.problem is None:
            return None
        wait = max(self._again_at - time.monotonic(), FIRST_WAIT)
        return DeliveryError(Outcome.RETRY, self.problem.reason, self.problem.detail, scope=Scope.SINK, retry_after=wait)

    async def listen(self) -> None:
        """Hear what people say, as a sink that listens offers, once it is open.

        Raises:
            DeliveryError: It is not.
        """
        if (problem := await self.shut()) is not None:
            raise problem
        if isinstance(self.sink, Listening):
            await self.sink.listen()

    async def _keep_open(self) -> None:
        wait = FIRST_WAIT
        while not self._closing.is_set():
            opened = asyncio.get_running_loop().create_future()
            inside = asyncio.create_task(contained(partial(self._inside, opened)), name=OPEN)
            try:
                await asyncio.wait({inside, opened}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
                self.problem = None if opened.done() else await self._why(inside)
                self._tried.set()
                if self.problem is None:
                    await asyncio.wait({inside})
                    self._left(inside)
                    return
            except asyncio.CancelledError:
                await break_off(inside)
                raise
            self._again_at = time.monotonic() + wait
            self._failed(self.problem.detail, wait)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._closing.wait()
            wait = min(wait * 2, LONGEST_WAIT)

    async def _inside(self, opened: "asyncio.Future[None]") -> None:
        await self.sink.__aenter__()
        opened.set_result(None)
        await self._closing.wait()
        await self.sink.__aexit__(None, None, None)

    async def _why(self, inside: "asyncio.Task[None]") -> DeliveryError:
        """Why it could not be opened, as a failure of whatever is to be sent."""
        if not inside.done():
            await break_off(inside)
            return unopened(DeliveryReason.TIMEOUT, f"it took longer than {self._patience:g} s")
        error = _end(inside)
        if isinstance(error, DeliveryError):
            with suppress(Exception):
                said = checked_error(error, self._hide)
                return unopened(said.reason, said.detail)
        if isinstance(error, OSError):  # The receiver is down: no fault of the code.
            return unopened(DeliveryReason.NETWORK, raised(error))
        self._crashed(culprit(error))
        return unopened(DeliveryReason.CRASHED, raised(error))

    def _left(self, inside: "asyncio.Task[None]") -> None:
        if inside.cancelled() or inside.exception() is not None:
            self._crashed(culprit(_end(inside)))


def _end(task: "asyncio.Task[None]") -> BaseException:
    """What ended a task that did not come to its end."""
    return asyncio.CancelledError() if task.cancelled() else task.exception() or Unusable("the sink came to no end")


def unopened(reason: DeliveryReason, why: str) -> DeliveryError:
    """That a sink cannot be opened, as a failure of whatever is to be sent."""
    return DeliveryError(Outcome.RETRY, reason, f"the sink cannot be opened: {why}", scope=Scope.SINK)
