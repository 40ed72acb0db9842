"""The desk that sinks are given: what people may ask of the program from a chat, and hand in there, kept in the store."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from notifier.domain.known import KnownTask
from notifier.domain.model import Action, Event
from notifier.domain.progress import progress
from notifier.domain.silences import Silence, acknowledgement, muting
from notifier.sinks.desk import DeskClosed, Fate, Standing
from notifier.store.errors import StoreError
from notifier.store.rows import AttemptRow, ClusterRow, DeliveryRow
from notifier.store.store import Store
from notifier.store.transaction import Transaction

T = TypeVar("T")


class StoreDesk:
    """See `notifier.sinks.desk.Desk`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def _ask(self, work: Callable[[Transaction], T]) -> T:
        try:
            return await self._store.transact(work)
        except StoreError as error:
            raise DeskClosed(str(error)) from None

    async def standings(self) -> Sequence[Standing]:
        """Every cluster that is known, by name."""
        return [_standing(row) for row in await self._ask(lambda tx: tx.clusters())]

    async def event(self, event_id: str) -> Event | None:
        """An event; None if it is not known, or not any more."""
        return await self._ask(lambda tx: tx.event(event_id))

    async def newest(self, *, like: Event | None = None, cluster: str | None = None) -> Event | None:
        """The newest event of the same task or cluster as ``like``, or of a cluster by name or id."""
        if like is not None:
            newest = await self.course(like, 1)
            return newest[0] if newest else None
        found = await self._ask(lambda tx: tx.events(cluster=cluster, limit=1))
        return found[0][1] if found else None

    async def course(self, event: Event, most: int) -> Sequence[Event]:
        """What has happened to the same task or cluster, in its order."""
        return await self._ask(lambda tx: tx.newest_of_thread(event.thread, most))

    async def silences(self, event: Event) -> Sequence[Silence]:
        """The silences that hold for what the event is about, reminders included."""
        now = self._store.now()
        held = await self._ask(lambda tx: tx.silences(now.timestamp()))
        return [silence for silence in held if silence.about(event, now)]

    async def acknowledge(self, event: Event, author: str) -> None:
        """Somebody takes care of it."""
        await self._add(acknowledgement(event, author, self._store.now()))

    async def mute(self, event: Event, author: str, seconds: float) -> datetime:
        """Nobody wants to hear of it for a while; returns when that ends."""
        silences = muting(event, author, self._store.now(), timedelta(seconds=seconds))
        await self._add(*silences)
        return silences[0].ends_at

    async def _add(self, *silences: Silence) -> None:
        def add(tx: Transaction) -> None:
            for silence in silences:
                tx.silence(silence)

        await self._ask(add)

    async def fates(self, event: Event) -> Sequence[Fate]:
        """Who was told of it and who was not, by sink."""
        return [_fate(row, tries) for row, tries in await self._ask(lambda tx: tx.fate(event.id))]

    async def recall(self, sink: str, name: str) -> str | None:
        """What a sink has asked to keep under a name."""
        return await self._ask(lambda tx: tx.recall(sink, name))

    async def keep(self, sink: str, name: str, value: str) -> None:
        """Keep a short text for a sink, over restarts."""
        await self._ask(lambda tx: tx.keep(sink, name, value))


def _standing(row: ClusterRow) -> Standing:
    newest: dict[Action, KnownTask] = {}
    for action, known in row.tasks:
        newest.setdefault(action, known)
    tasks = tuple((action, known.facts(action), progress(known.task)) for action, known in newest.items())
    return Standing(row.cluster, tasks, row.outage, row.changed_at)


def _fate(row: DeliveryRow, tries: Sequence[AttemptRow]) -> Fate:
    return Fate(row.sink, row.state.value, row.settled_at, len(tries), row.detail or row.reason)
