"""Has a sink say again what lasts, where the receiver would forget it otherwise, and end what no message will end."""

from dataclasses import replace

from notifier import telemetry
from notifier.domain.errors import DeliveryError
from notifier.domain.model import Kind
from notifier.domain.plain_text import one_line
from notifier.domain.reminders import lasts
from notifier.engine.attempt import Hide, checked, culprit, shown, within
from notifier.sinks.contract import KEEP, Ending, Lasting
from notifier.store.rows import Held
from notifier.store.store import Store
from notifier.store.transaction import Transaction

KEEP_EVERY = 60.0
"""Seconds between two looks."""


async def keep(
    sink: Lasting | Ending,
    name: str,
    store: Store,
    owner: str,
    *,
    lease: float,
    patience: float,
    hide: Hide = one_line,
) -> None:
    """Let the sink do it within ``patience`` seconds, with the lanes held: nothing may end on the way what is said to last.

    ``hide``: see `shown`.

    Raises:
        StoreError: The lanes could not be had, or not be let go of; they are free when the lease is over.
    """
    now = store.now().timestamp()

    def hold(tx: Transaction) -> list[tuple[Held, bool]]:
        return [(each, over(tx, each.lane)) for each in tx.hold(name, owner, KEEP, lease=lease, now=now)]

    held = await store.transact(hold)
    if not held:
        return
    after = {each.lane: each for each, _ in held}

    async def look_after() -> None:
        if isinstance(sink, Ending):
            for each in [each for each, is_over in held if is_over]:
                after[each.lane] = replace(each, receipt=checked(await sink.end(each.receipt)))
        lasting = [each.receipt for each in after.values() if KEEP in each.receipt.fields]
        if isinstance(sink, Lasting) and lasting:
            await sink.keep(lasting)

    try:
        await within(look_after, patience)
    except TimeoutError:
        telemetry.keep_failed(name, "no answer in time")
    except DeliveryError as error:
        telemetry.keep_failed(name, str(shown(error, hide)))
    except Exception as error:  # noqa: BLE001 - a stranger's sink may raise anything
        telemetry.sink_crashed(name, culprit(error))
    finally:
        await store.transact(lambda tx: tx.let_go(list(after.values())))


def over(tx: Transaction, lane: str) -> bool:
    """Whether nothing that was opened in a lane lasts, as far as is known of its cluster.

    That a sink failed is told to be over by an event, whatever happens.
    """
    opening = tx.opening(lane.partition("|")[2])
    if not opening or opening[0].kind is Kind.SINK_FAILING:
        return False
    cluster = opening[0].cluster
    if not tx.watches(cluster.key):
        return True
    known, _ = tx.known(cluster)
    return not any(lasts(event, known) for event in opening)
