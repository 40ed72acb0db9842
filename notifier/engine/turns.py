"""Turns that all replicas of a store take one after another, so that a receiver hears of them together no faster than of one."""

import asyncio

from notifier import telemetry
from notifier.store.errors import StoreError
from notifier.store.rows import Turn
from notifier.store.sinks import TURN
from notifier.store.store import Store


class StoreTurns:
    """See `notifier.sinks.pace.Turns`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def take(self, key: str, gap: float, within: float) -> float:
        """Take the next turn; seconds until it comes.

        While the store does not answer, as if another had just gone: the receiver's own word, a 429, is what stops us then.
        """
        turn = Turn(key, gap)
        wait: float | None = None
        while wait is None:
            try:
                wait = await self._store.transact(lambda tx: tx.take_turn(turn, within, self._store.now().timestamp()))
            except StoreError as error:
                telemetry.store_failed("a shared pace", str(error))
                return gap
            if wait is None:
                await asyncio.sleep(TURN)  # Another replica is taking one just now.
        return wait
