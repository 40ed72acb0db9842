"""The report that goes along with the end of a task. It is drawn beside the loop, and never delays or loses a message."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from notifier import telemetry
from notifier.domain.message import Report
from notifier.domain.model import Event
from notifier.domain.timeline import ENDS
from notifier.domain.words import Words
from notifier.report.page import report
from notifier.report.png import NoPictureError, png
from notifier.store.dossiers import Gathered
from notifier.store.store import Store

LONGEST = 8.0
"""Seconds that a message waits for its report; then it goes without. What is left of half a lease is enough to send it."""

Draw = Callable[[Event], Awaitable[Report | None]]


class Reports:
    """Draws the reports of one sink.

    Args:
        store: Where everything is kept.
        words: In which language and zone the sink speaks.
    """

    def __init__(self, store: Store, words: Words) -> None:
        self._store = store
        self._words = words

    async def __call__(self, event: Event) -> Report | None:
        """The report of an event's task; None where the event is no end, or where it cannot be made in time."""
        if event.kind not in ENDS or event.task is None:
            return None
        cluster, task = event.cluster.key, event.task
        try:
            async with asyncio.timeout(LONGEST):
                gathered = await self._store.transact(lambda tx: tx.gathered(cluster, task.action.value, task.id))
                return await asyncio.to_thread(_drawn, gathered, self._words, event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the message goes out without
            telemetry.fault(f"report of {event.id}", error)
            return None


def _drawn(gathered: Gathered, words: Words, event: Event) -> Report | None:
    """The report as of the moment when the event was seen.

    A repeat, and the copy of somebody who was put off, must bring the very same report. Who is told of it is only being found
    out, and is nobody else's business.
    """
    made = report(gathered.dossier(event), words, event.observed_at, brought=True)
    if made is None:
        return None
    try:
        return replace(made, png=png(made.svg))
    except NoPictureError as error:
        telemetry.report_incomplete(str(error))
        return made
