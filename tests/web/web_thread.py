"""A world in a thread of its own, for clients that block: schemathesis, a browser."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from web_world import World, a_world

T = TypeVar("T")


class Elsewhere:
    """The world, and a way to do something in it."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        self.world = world
        self.url = world.web.url
        self._loop = loop

    def do(self, work: Callable[[World], Awaitable[T]]) -> T:
        async def done() -> T:
            return await work(self.world)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(30)


@contextmanager
def elsewhere(**facts: Any) -> Iterator[Elsewhere]:
    begun, over = threading.Event(), threading.Event()
    found: list[Elsewhere] = []

    async def live() -> None:
        async with a_world(**facts) as world:
            found.append(Elsewhere(world, asyncio.get_running_loop()))
            begun.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    try:
        assert begun.wait(30)
        yield found[0]
    finally:
        over.set()
        thread.join(30)
