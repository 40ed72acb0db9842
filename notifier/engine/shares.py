"""The beat by which a replica says that it is at work, and learns which clusters are its own to poll.

On SQLite there is nobody to share with: the same beat then holds everything.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from notifier import __version__, telemetry
from notifier.domain.errors import FetchError, FetchReason
from notifier.engine.poller import Poller
from notifier.store.errors import StoreError
from notifier.store.replicas import Presence, Standstill
from notifier.store.store import Store
from notifier.store.transaction import Transaction

LEASE = 30.0
"""Seconds after which what a silent replica holds is free for the others."""

BEAT = 2.5
"""Seconds between beats, at the most: how soon a free cluster is seen."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What does not change while a replica is at work: its name, the sinks it serves, seconds that its lease lasts."""

    name: str
    sinks: tuple[str, ...] = ()
    lease: float = LEASE

    @property
    def beat(self) -> float:
        """Seconds between beats: several to a lease, so that one that fails costs nothing."""
        return min(BEAT, self.lease / 6)


class Shares:
    """Keeps a replica's place among the others. ``well`` says whether it makes progress."""

    def __init__(self, seat: Seat, store: Store, poller: Poller, well: Callable[[], bool] = lambda: True) -> None:
        self.seat = seat
        self._store = store
        self._poller = poller
        self._well = well
        self._keys: frozenset[str] | None = None
        self._fleet = ""
        self._held: Mapping[str, int] | None = None
        self._since: float | None = None
        self._until = float("inf")

    @property
    def lapsed(self) -> bool:
        """Whether nothing is held any more, since the store has not been reached for the length of the lease."""
        return time.monotonic() >= self._until

    async def beat(self) -> None:
        """Renew the lease, and poll from now on what is ours. What the store refuses is tried again at the next beat."""
        try:
            await self.attend()
        except StoreError as error:
            telemetry.store_failed("shares", str(error))

    async def attend(self) -> None:
        """As `beat`, for the start.

        Raises:
            StoreError: The store refused; what was held is held as long as the lease lasts.
        """
        watches = self._poller.watches
        keys = frozenset(watch.cluster.key for watch in watches)
        now, began = self._store.now().timestamp(), time.monotonic()
        self._since = self._since or now
        last, fresh = self._held, keys != self._keys
        if fresh:
            last, self._fleet = None, blake2b("\n".join(sorted(keys)).encode(), digest_size=8).hexdigest()
        presence = Presence(self.seat.name, self._fleet, self.seat.sinks, __version__, self._since, self._well())
        budgets = {watch.cluster.project_id: watch.budget for watch in watches}
        found = [Standstill(key, *_why(*stands)) for key, budget in budgets.items() if (stands := budget.standstill)]

        def work(tx: Transaction) -> tuple[Mapping[str, int], list[Standstill]]:
            tx.attend(presence, lease=self.seat.lease, now=now)
            if fresh:
                tx.enlist(keys)
            return tx.share(presence, keys, now, last), tx.standstills(self.seat.name, found, now)

        self._held = None  # Unless it is committed: what was claimed in doubt is read again.
        held, heard = await self._store.transact(work)
        self._held, self._keys = held, keys
        # Counted from before the transaction began: ours must never last longer than the store's.
        self._until = began + self.seat.lease
        self._poller.hold(held, self._until)
        if held is not last:
            telemetry.holding(len(held), len(keys))
            self._divide(held)
        for each in heard:
            if budget := budgets.get(each.project):
                # Whoever was refused asks again first; the others wait to hear what came of it.
                budget.hear(each.seconds + 2 * self.seat.beat, FetchError(FetchReason(each.reason), each.detail))

    def _divide(self, held: Mapping[str, int]) -> None:
        """Take of each project's rate what one holds of its clusters: the shares of all replicas add up to the whole."""
        watched, ours = Counter[int](), Counter[int]()
        budgets = {}
        for watch in self._poller.watches:
            budgets[id(watch.budget)] = watch.budget
            watched[id(watch.budget)] += 1
            ours[id(watch.budget)] += watch.cluster.key in held
        for key, budget in budgets.items():
            if ours[key]:
                budget.share(ours[key] / watched[key])

    async def leave(self) -> None:
        """Let go of everything, so that nobody has to wait for the lease to end. May be called twice."""
        if self._held is None and self.lapsed:
            return
        self._held, self._until = None, float("-inf")
        self._poller.hold({}, 0.0)
        try:
            await self._store.transact(lambda tx: tx.leave(self.seat.name))
        except StoreError as error:
            telemetry.store_failed("shares", str(error))


def _why(seconds: float, error: FetchError) -> tuple[float, str, str]:
    return seconds, error.reason.value, error.detail
