"""Reads the store, or asks the running notifier that holds it.

SQLite is for one process: while ``notifier run`` is at work its file is its own, so the command line asks it over HTTP, at the
address and with the token of the same configuration.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from notifier import app
from notifier.domain.accuracy import accuracy
from notifier.store.errors import StoreBusy
from notifier.store.rows import State
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web import shapes, stories
from notifier.web.client import Remote, Rows
from notifier.web.wishes import Silencing

T = TypeVar("T")


class Ledger(Protocol):
    """What can be asked; rows are as the REST API gives them."""

    async def clusters(self) -> Rows:
        """Every cluster with its tasks, by name."""

    async def events(self, *, cluster: str | None = None, kind: str | None = None, limit: int = 50) -> Rows:
        """The newest events that match, oldest first."""

    async def deliveries(self, *, sink: str | None = None, state: str | None = None, limit: int = 50) -> Rows:
        """The newest deliveries that match, oldest first."""

    async def retry(self, ids: Sequence[str] | None = None, *, sink: str | None = None) -> list[str]:
        """Send again what was given up: these, or all (to a sink); their ids."""

    async def story(self, event: str) -> Rows:
        """An event and what became of it; nothing if there is no such event."""

    async def accuracy(self) -> Rows:
        """How far off the forecasts were, by how much was left."""

    async def report(self, task: str) -> Rows:
        """All that is kept of the tasks that a person may mean by a word, as `dossier.Dossier`; one if it is clear which."""

    async def silences(self, *, over: bool = False) -> Rows:
        """The silences that hold or will, with ``over`` all."""

    async def silence(self, wish: Mapping[str, object]) -> Rows:
        """Add a silence, spelled as `wishes.Silencing`; the one that was added."""

    async def expire(self, ids: Sequence[str]) -> list[str]:
        """End silences now; the ids of those that held."""

    async def replicas(self) -> Rows:
        """Who is at work, and who polls which cluster."""


class Local:
    """The store itself."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def clusters(self) -> Rows:
        """See `Ledger`."""

        def look(tx: Transaction) -> Rows:
            rows = tx.clusters()
            etas = tx.etas(each for row in rows for each in row.threads)
            return [dict(shapes.cluster_json(row, etas)) for row in rows]

        return await self._store.transact(look)

    async def events(self, *, cluster: str | None = None, kind: str | None = None, limit: int = 50) -> Rows:
        """See `Ledger`."""
        rows = await self._store.transact(lambda tx: tx.events(cluster=cluster, kind=kind, limit=limit))
        return [dict(shapes.event_json(position, event)) for position, event in rows]

    async def deliveries(self, *, sink: str | None = None, state: str | None = None, limit: int = 50) -> Rows:
        """See `Ledger`."""
        wanted = None if state is None else State(state)
        rows = await self._store.transact(lambda tx: tx.deliveries(sink=sink, state=wanted, limit=limit))
        return [dict(shapes.delivery_json(row)) for row in rows]

    async def retry(self, ids: Sequence[str] | None = None, *, sink: str | None = None) -> list[str]:
        """See `Ledger`."""
        now = self._store.now().timestamp()
        return await self._store.transact(lambda tx: tx.resend(now, ids=ids, sink=sink))

    async def story(self, event: str) -> Rows:
        """See `Ledger`."""
        found = await self._store.transact(lambda tx: stories.story(tx, event))
        return [] if found is None else [found.model_dump(mode="json")]

    async def report(self, task: str) -> Rows:
        """See `Ledger`."""
        return [shapes.dossier_json(each) for each in await self._store.transact(lambda tx: tx.gathered_named(task))]

    async def accuracy(self) -> Rows:
        """See `Ledger`."""
        judged = await self._store.transact(lambda tx: tx.judged())
        return [dict(shapes.accuracy_json(each)) for each in accuracy(judged)]

    async def silences(self, *, over: bool = False) -> Rows:
        """See `Ledger`."""
        now = self._store.now()
        found = await self._store.transact(lambda tx: tx.silences(now.timestamp(), over=over))
        return [dict(shapes.silence_json(silence, now)) for silence in found]

    async def silence(self, wish: Mapping[str, object]) -> Rows:
        """See `Ledger`."""
        now = self._store.now()
        silence = Silencing.model_validate_json(json.dumps(wish)).silence(now)
        await self._store.transact(lambda tx: tx.silence(silence))
        return [dict(shapes.silence_json(silence, now))]

    async def expire(self, ids: Sequence[str]) -> list[str]:
        """See `Ledger`."""
        now = self._store.now()
        return await self._store.transact(lambda tx: tx.expire_silences(ids, now))

    async def replicas(self) -> Rows:
        """See `Ledger`."""
        now = self._store.now().timestamp()
        found = await self._store.transact(lambda tx: tx.replicas(now))
        return [shapes.ReplicaShape.of(row).model_dump(mode="json") for row in found]


async def read(path: Path, question: Callable[[Ledger], Awaitable[T]]) -> T:
    """Ask the store of a configuration, or the notifier that holds it.

    Raises:
        ConfigError, StoreError, RemoteError: The question could not be asked.
    """
    settings = app.load(path)
    try:
        store = Store(settings.store).open()
    except StoreBusy:
        if settings.http is None:
            raise
    else:
        try:
            return await question(Local(store))
        finally:
            store.close()
    token = None if settings.http.token is None else settings.http.token.get_secret_value()
    async with Remote(f"http://{settings.http.listen}", token) as remote:
        return await question(remote)
