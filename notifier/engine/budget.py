"""How often a project may be asked: one budget for all its clusters, and the manners that the API asks for.

``429`` and ``Retry-After`` hold back the whole project. Refused keys are not hammered: five failures lock an access key for five
minutes (Huawei: API gateway FAQ), so until keys have proved good, requests of a project go one at a time, and after a refusal
the project is left alone for ever longer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from notifier.domain.errors import FetchError, FetchReason

THROTTLED_FOR = 5.0
"""Seconds of the first pause after a 429 without ``Retry-After``; doubles."""

REFUSED_FOR = 60.0
"""Seconds of the first pause after refused keys; doubles."""

LONGEST_PAUSE = 900.0


class Budget:
    """``rate`` requests a second, evenly spread, for one project."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._gap = 1.0 / rate
        self._clock = clock
        self._next = 0.0
        self._proved = False
        self._single = asyncio.Lock()
        self._blocked_until = 0.0
        self._blocked_by: FetchError | None = None
        self._blocks = 0
        self._heard = False

    @property
    def standstill(self) -> tuple[float, FetchError] | None:
        """For how many seconds the project is to be left alone still, and why, if we have found that out ourselves."""
        left = self._blocked_until - self._clock()
        return None if self._heard or self._blocked_by is None or left <= 0 else (left, self._blocked_by)

    def hear(self, seconds: float, error: FetchError) -> None:
        """Leave the project alone for so many seconds, since another replica was told to."""
        until = self._clock() + seconds
        if until > self._blocked_until:
            self._blocked_until, self._blocked_by, self._heard = until, error, True
            self._proved = self._proved and error.reason is not FetchReason.REFUSED

    def share(self, part: float) -> None:
        """Take only ``part`` (above 0, up to 1) of the rate from now on: other replicas take the rest."""
        self._gap = 1.0 / (self._rate * part)

    def turn(self) -> "Turn":
        """Wait for a turn to ask; hear of what came of it.

        Raises:
            FetchError: The project is to be left alone; the failure that said so, without asking again.
        """
        return Turn(self)

    async def begin(self, turn: "Turn") -> None:
        """Wait until a turn has come; `end` has to follow."""
        turn.alone = alone = not self._proved
        if alone:
            await self._single.acquire()
        try:
            self._refuse_if_blocked()
            now = self._clock()
            start = max(now, self._next)
            self._next = start + self._gap
            if start > now:
                await asyncio.sleep(start - now)
                # Those who asked meanwhile may have been refused; whoever still stands in the queue must not ask after them.
                self._refuse_if_blocked()
        except BaseException:
            if alone:
                self._single.release()
            raise

    def end(self, turn: "Turn", error: BaseException | None) -> None:
        """Hear of what came of a turn."""
        if turn.alone:
            self._single.release()
        if error is not None:
            if isinstance(error, FetchError) and error.reason.of_project:
                self._block(error)
            return
        self._proved = self._proved or turn.alone
        if self._blocked_by is not None and self._clock() >= self._blocked_until:
            # An answer that was on its way when the project was blocked does not unblock it.
            self._blocks = 0
            self._blocked_by = None

    def _refuse_if_blocked(self) -> None:
        if self._blocked_by is not None and (left := self._blocked_until - self._clock()) > 0:
            raise FetchError(self._blocked_by.reason, self._blocked_by.detail, retry_after=left)

    def _block(self, error: FetchError) -> None:
        now = self._clock()
        if now < self._blocked_until:
            return  # One of several requests that were on their way together.
        first = REFUSED_FOR if error.reason is FetchReason.REFUSED else THROTTLED_FOR
        seconds = min(first * 2**self._blocks, LONGEST_PAUSE)
        if error.retry_after is not None:
            seconds = min(max(error.retry_after, self._gap), LONGEST_PAUSE)
        self._blocks += 1
        self._blocked_until = now + seconds
        self._blocked_by = error
        self._heard = False
        self._proved = self._proved and error.reason is not FetchReason.REFUSED


class Turn:
    """One turn to ask: an ``async with``. Not made by ``asynccontextmanager``, whose generator costs as much as a signature."""

    __slots__ = ("_budget", "alone")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.alone = False
        """Whether nobody else asks meanwhile, since nothing is known of the keys yet."""

    def __aenter__(self) -> Awaitable[None]:
        return self._budget.begin(self)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._budget.end(self, error)
