"""The calendar work that forgets: what is told and old, and what is too old to say anything of the future."""

from datetime import UTC, datetime

from notifier import telemetry
from notifier.store.errors import StoreError
from notifier.store.store import Store

RETENTION = 30 * 86400.0
"""Seconds for which delivered events are kept."""

MEMORY = 400 * 86400.0
"""Seconds for which it is remembered how long things took: clusters are upgraded once or twice a year."""


class Tidying:
    """Deletes what is old, a little at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def tidy(self) -> None:
        """Delete what is old now. A store that fails is tidied the next time."""
        now = datetime.now(UTC).timestamp()
        try:
            await self._store.transact(lambda tx: tx.forget_history(now - MEMORY))
            while await self._store.transact(lambda tx: tx.forget(now - RETENTION)):
                pass  # A batch a transaction, so that nobody waits long behind it.
        except StoreError as error:
            telemetry.store_failed("tidy", str(error))
