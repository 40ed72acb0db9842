"""The calendar work that forgets: what is told and old, what is too old to say anything of the future, what nobody serves."""

from notifier import telemetry
from notifier.domain.errors import DeliveryReason
from notifier.store.errors import StoreError
from notifier.store.store import Store
from notifier.store.transaction import Transaction

RETENTION = 30 * 86400.0
"""Seconds for which delivered events are kept."""

MEMORY = 400 * 86400.0
"""Seconds for which it is remembered how long things took: clusters are upgraded once or twice a year."""

LONG_PAST = 86400.0
"""Seconds after which a turn that came is of no interest to anybody; gaps are minutes at the most."""


class Tidying:
    """Deletes what is old, a little at a time. ``sinks``: the names of those that this replica serves."""

    def __init__(self, store: Store, sinks: frozenset[str]) -> None:
        self._store = store
        self._sinks = sinks

    async def tidy(self) -> None:
        """Delete what is old now. A store that fails is tidied the next time."""
        now = self._store.now().timestamp()
        try:
            await self.retire()
            await self._store.transact(lambda tx: tx.forget_history(now - MEMORY))
            await self._store.transact(lambda tx: tx.forget_turns(now - LONG_PAST))
            while await self._store.transact(lambda tx: tx.forget(now - RETENTION)):
                pass  # A batch a transaction, so that nobody waits long behind it.
        except StoreError as error:
            telemetry.store_failed("tidy", str(error))

    async def retire(self) -> None:
        """Give up what is owed to sinks that no replica serves any more; it can be sent again once they are back.

        Raises:
            StoreError: It could not be.
        """
        now = self._store.now().timestamp()
        await self._store.transact(lambda tx: _retire(tx, self._sinks | tx.served(now), now))


def _retire(tx: Transaction, names: frozenset[str], now: float) -> None:
    for name in {sink for sink, _ in tx.counts()} - names:
        while tx.expire(name, now + 1, now, reason=DeliveryReason.REMOVED, detail="the sink is no longer in the configuration"):
            pass
