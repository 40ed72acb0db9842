"""Has a sink say again what lasts, where the receiver would forget it otherwise."""

import asyncio

from notifier import telemetry
from notifier.domain.errors import DeliveryError
from notifier.sinks.contract import KEEP, Lasting
from notifier.store.store import Store

KEEP_EVERY = 60.0
"""Seconds between two sayings."""


async def keep(sink: Lasting, name: str, store: Store, owner: str, *, lease: float, patience: float) -> None:
    """Let the sink say it within ``patience`` seconds, with the lanes held: nothing may end on the way what is said to last.

    Raises:
        StoreError: The lanes could not be had, or not be let go of; they are free when the lease is over.
    """
    now = store.now().timestamp()
    held = await store.transact(lambda tx: tx.hold(name, owner, KEEP, lease=lease, now=now))
    if not held:
        return
    try:
        async with asyncio.timeout(patience):
            await sink.keep([each.receipt for each in held])
    except (DeliveryError, TimeoutError) as error:
        telemetry.keep_failed(name, str(error) or "no answer in time")
    except Exception as error:  # noqa: BLE001 - a stranger's sink may raise anything
        telemetry.sink_crashed(name, error)
    finally:
        await store.transact(lambda tx: tx.let_go(held))
