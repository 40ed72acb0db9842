"""Writes down what became of a message, though the store may fail just then."""

import asyncio
import time
from collections.abc import Callable

from notifier.store.errors import Fenced, StoreError
from notifier.store.rows import Claim
from notifier.store.store import Store
from notifier.store.transaction import Transaction

AGAIN = 0.5
"""Seconds until an outcome that the store refused is handed in again."""


async def record(store: Store, claim: Claim, work: Callable[[Transaction], None], until: float) -> None:
    """Commit an outcome; try again up to ``until`` (monotonic) if the store fails, for what is forgotten is told twice.

    A commit that failed may have been kept all the same, if the connection broke before its answer came: that is looked up first.

    Raises:
        Fenced: Somebody else took over.
        StoreError: It could not be committed in time.
    """

    def unless_recorded(tx: Transaction) -> None:
        if not tx.recorded(claim):
            work(tx)

    attempt = work
    while True:
        try:
            await store.transact(attempt)
        except Fenced:
            raise
        except StoreError:
            if time.monotonic() + AGAIN >= until:
                raise
            attempt = unless_recorded
            await asyncio.sleep(AGAIN)
        else:
            return
