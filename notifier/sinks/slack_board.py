"""The board: one message of a channel with one line for each cluster that moves, edited in place.

It is one message for good: its ``ts`` is kept in the store, and where that is lost it is found by its metadata.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256

from notifier.domain.errors import DeliveryError, Outcome
from notifier.domain.model import FAILURES, Kind, Status
from notifier.domain.plain_text import json_line, one_line
from notifier.sinks import slack_blocks as kit
from notifier.sinks.desk import Desk, Standing
from notifier.sinks.pace import Pace
from notifier.sinks.slack_blocks import Block, escaped
from notifier.sinks.slack_calls import MessageGone
from notifier.sinks.slack_card import NAME, Card
from notifier.sinks.slack_channel import CannotLook, Channel

LONGEST = 30
"""Clusters on the board; Huawei upgrades twenty of an account at once."""

KEEPSAKE = "board"
"""The ``ts`` of the message, and after a blank what tells whether it says what it should."""

ALMOST = 0.9
"""Of the time between two looks: so long a replica's look keeps the others from looking, and not itself from looking again."""

MOVING = FAILURES | {Status.RUNNING}


class Board:
    """Keeps one message up to date. ``name`` is its sink's.

    What it says and where it is lies in the store, so that of several replicas any may keep it; ``looks`` has them take turns.
    """

    def __init__(self, name: str, card: Card, desk: Desk, channel: Channel, looks: Pace) -> None:
        self._name = name
        self._card = card
        self._desk = desk
        self._channel = channel
        self._looks = looks

    async def keep(self, every: float) -> None:
        """Look every so many seconds, unless another has, and edit the message when a line has changed.

        Raises:
            DeliveryError: Slack will never have it. What fails for now is done by the next look.
        """
        gap = every * ALMOST
        while True:
            if await self._looks.take(gap, within=0.0) <= 0.0:
                try:
                    await self.refresh()
                except DeliveryError as error:
                    if error.outcome is Outcome.REJECTED:
                        raise
            await asyncio.sleep(every)

    async def refresh(self) -> None:
        """Bring the message up to date, if it is not. Raises `DeliveryError`."""
        lines = lines_of(await self._desk.standings(), self._card)
        blocks = blocks_of(lines, self._card)
        mark = sha256(json_line(blocks).encode()).hexdigest()
        ts, _, shown = (await self._desk.recall(self._name, KEEPSAKE) or "").partition(" ")
        if shown == mark:
            return
        if ts:  # Whoever is killed between the edit and the note of it must not leave a note of what was there before.
            await self._desk.keep(self._name, KEEPSAKE, ts)
        ts = await self._show(ts, self._card.words.pair(self._card.words.phrases.talk.board, str(len(lines))), blocks)
        await self._desk.keep(self._name, KEEPSAKE, f"{ts} {mark}")

    async def _show(self, known: str, text: str, blocks: list[Block]) -> str:
        """Edit the message, or post it; its ``ts``."""
        delivery = f"board {self._name}"
        ts: str | None = known or None
        if ts is None:
            with suppress(CannotLook):
                ts = await self._channel.find(delivery)
        if ts is not None:
            with suppress(MessageGone):
                await self._channel.edit(ts, text, [blocks], extra=True)
                return ts
        return await self._channel.post(text, [blocks], {"event_type": "css_board", "event_payload": {"delivery": delivery}})


def lines_of(standings: Sequence[Standing], card: Card) -> list[str]:
    """One line for each task that runs or has failed and was not retried, and for each cluster that cannot be watched."""
    words = card.words
    unseen = words.phrases.tellings[Kind.CLUSTER_UNREACHABLE].headline
    lines = []
    for standing in standings:
        name = f"*{escaped(one_line(standing.cluster.name, NAME), 90)}*"
        if standing.outage is not None:
            lines.append(f":no_entry: {name} {words.pair(unseen, escaped(words.reason(standing.outage), 30))}")
        for _, task, share in standing.tasks:
            if task.status in MOVING:
                lines.append(f"{card.state(task, brief=True)} {name} {card.bar(task, share)} · {words.work(task)}")
    return lines


def blocks_of(lines: Sequence[str], card: Card) -> list[Block]:
    """The board with these lines."""
    phrases = card.words.phrases
    shown = [*lines[:LONGEST]] or [phrases.talk.quiet]
    if len(lines) > LONGEST:
        shown.append(phrases.more.format(count=len(lines) - LONGEST))
    return [kit.header(phrases.talk.board), *(kit.section("\n".join(shown[at : at + 10])) for at in range(0, len(shown), 10))]
