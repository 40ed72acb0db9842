"""Writes down what became of a message, though the store may fail just then."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from notifier import telemetry
from notifier.store.errors import Fenced, StoreDamaged, StoreError
from notifier.store.rows import Claim
from notifier.store.store import Store
from notifier.store.transaction import Transaction

AGAIN = 0.5
"""Seconds until an outcome that the store refused is handed in again."""


T = TypeVar("T")


async def record(store: Store, claim: Claim, work: Callable[[Transaction], T], until: float) -> T | None:
    """Commit an outcome; try again up to ``until`` (monotonic) if the store fails, for what is forgotten is told twice.

    A commit that failed may have been kept all the same, if the connection broke before its answer came: that is looked up first.

    Returns:
        What ``work`` does; None where it turns out to have been kept already.

    Raises:
        Fenced: Somebody else took over.
        StoreError: It could not be committed in time.
    """

    def unless_recorded(tx: Transaction) -> T | None:
        return None if tx.recorded(claim) else work(tx)

    attempt: Callable[[Transaction], T | None] = work
    while True:
        try:
            return await store.transact(attempt)
        except (Fenced, StoreDamaged):
            raise
        except StoreError as error:
            if time.monotonic() + AGAIN >= until:
                raise
            telemetry.store_failed("outcome", str(error))
            attempt = unless_recorded
            await asyncio.sleep(AGAIN)
