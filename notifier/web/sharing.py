"""One answer for all who ask the same within a moment: fifty browsers that are told of a change cost one page, not fifty."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

MOMENT = 0.5
"""Seconds for which an answer is given again; less than the time between two changes that a stream tells of."""

T = TypeVar("T")


class Sharing(Generic[T]):
    """Answers that are being made, and those of a moment ago."""

    def __init__(self) -> None:
        self._made: dict[Hashable, tuple[float, asyncio.Task[T]]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]], *, anew: bool = False) -> T:
        """The answer to a question; ``anew``: whoever asks has changed something and must see it."""
        now = time.monotonic()
        self._made = {each: found for each, found in self._made.items() if now - found[0] < MOMENT or not found[1].done()}
        found = self._made.get(key)
        if found is None or anew or now - found[0] >= MOMENT:
            # Of itself, not of who asked first: he may leave while the others wait.
            found = self._made[key] = (now, asyncio.create_task(_made(make), name="page"))
        return await asyncio.shield(found[1])


async def _made(make: Callable[[], Awaitable[T]]) -> T:
    return await make()
