"""The calendar work that forgets: what is told and old, what is too old to say anything of the future, what nobody serves."""

from collections.abc import Callable
from datetime import datetime

from notifier import telemetry
from notifier.domain.plan import Audience
from notifier.domain.standing import REMOVED
from notifier.engine.fallback import Told, handed_on, nothing, removed
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
    """Deletes what is old, a little at a time.

    Args:
        store: Where from.
        sinks: The names of those that this replica serves.
        audience: Who hears that a sink that failed is gone.
        wake: Called with the sinks that are owed news.
    """

    def __init__(
        self, store: Store, sinks: frozenset[str], audience: Audience, wake: Callable[[frozenset[str]], None] = nothing
    ) -> None:
        self._store = store
        self._sinks = sinks
        self._audience = audience
        self._wake = wake

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
        now = self._store.now()
        said, sinks = await self._store.transact(lambda tx: self._retire(tx, now))
        for told in said:
            told.said()
        if sinks:
            self._wake(sinks)

    def _retire(self, tx: Transaction, at: datetime) -> tuple[list[Told], frozenset[str]]:
        now, sinks = at.timestamp(), set[str]()
        names = self._sinks | tx.served(now)
        for name in {sink for sink, _ in tx.counts()} - names:
            while tx.expire(name, now + 1, now, reason=REMOVED.reason, detail=REMOVED.detail, abandoned=True):
                pass
            # Whoever stands in its place now is to tell of others what it has not told.
            sinks |= {each.sink for each in handed_on(tx, name, self._audience, at)}
        said = [told for name in sorted(tx.failing() - names) if (told := removed(tx, name, self._audience, at))]
        return said, frozenset(sinks.union(*(told.sinks for told in said)))
