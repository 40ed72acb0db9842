"""Tells browsers that something changed: one look at the store a second, however many of them watch, and none if nobody does."""

import asyncio
import time
from collections.abc import Hashable
from contextlib import suppress

from aiohttp import web

from notifier import telemetry
from notifier.store.errors import StoreError
from notifier.store.store import Store
from notifier.store.transaction import Transaction

MOST = 50
"""Streams at a time; a browser without one looks again by itself."""

REFRESH = 10.0
"""Seconds after which a page is taken to have changed: what it says of ages has, that of the data first of all."""

KEEP_ALIVE = 15.0
"""Seconds; proxies commonly cut a connection that is silent for 60."""


class Changes:
    """Counts changes of the store.

    Args:
        store: What is looked at.
        every: Seconds between looks.
        keep_alive: Seconds after which a silent stream gets a comment.
    """

    def __init__(self, store: Store, *, every: float = 1.0, keep_alive: float = KEEP_ALIVE) -> None:
        self._store = store
        self._every = every
        self._keep_alive = keep_alive
        self._version = 0
        self._print: Hashable = None
        self._turn = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self.streams = 0

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._watch(), name="web changes")

    async def close(self) -> None:
        """End every stream and stop looking."""
        self._closed = True
        self._turn.set()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: one ``change`` at once, then one per change, and comments that keep the connection.

        Raises:
            web.HTTPServiceUnavailable: Too many watch.
        """
        if self.streams >= MOST:
            raise web.HTTPServiceUnavailable(text=f"{MOST} browsers are watching already.", headers={"Retry-After": "30"})
        self.streams += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        try:
            with suppress(ConnectionResetError):  # The browser went away: nobody is left to tell.
                await response.prepare(request)
                await self._feed(response)
        finally:
            self.streams -= 1
        return response

    async def _feed(self, response: web.StreamResponse) -> None:
        await response.write(b"retry: 3000\n\n")
        told = -1
        while not self._closed:
            if self._version != told:
                told = self._version
                # What changed between the page and this stream would be missed, hence one at the beginning too.
                await response.write(b"event: change\ndata: %d\n\n" % told)
                continue
            try:
                await asyncio.wait_for(self._turn.wait(), self._keep_alive)
            except TimeoutError:
                await response.write(b": still here\n\n")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            if not self.streams:
                continue
            try:
                found = await self._store.transact(_fingerprint)
            except StoreError as error:
                telemetry.store_failed("watching for the status page", str(error))
                continue
            # Monotonic, so that a clock that is set back cannot hold a page still.
            found = (found, time.monotonic() // REFRESH)
            if found != self._print:
                self._print = found
                self._version += 1
                self._turn.set()
                self._turn = asyncio.Event()


def _fingerprint(transaction: Transaction) -> Hashable:
    """What a page would show differently: the newest event, what is owed, how sinks and clusters stand, what is silenced."""
    newest = [position for position, _ in transaction.events(limit=1)]
    silences = frozenset((silence.id, silence.ends_at) for silence in transaction.silences(time.time()))
    deliveries, sinks = frozenset(transaction.counts().items()), frozenset(transaction.sinks().items())
    return tuple(newest), deliveries, sinks, silences, transaction.cluster_counts()
