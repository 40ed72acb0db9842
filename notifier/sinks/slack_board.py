"""The board: one message of a channel with one line for each cluster that moves, edited in place.

It is one message for good: its ``ts`` is kept in the store, and where that is lost it is found by its metadata.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from notifier.domain.errors import DeliveryError, Outcome
from notifier.domain.model import FAILURES, Status
from notifier.domain.plain_text import one_line
from notifier.sinks import slack_blocks as kit
from notifier.sinks.desk import Desk, Standing
from notifier.sinks.slack_blocks import Block, escaped
from notifier.sinks.slack_calls import MessageGone
from notifier.sinks.slack_card import NAME, Card
from notifier.sinks.slack_channel import CannotLook, Channel

LONGEST = 30
"""Clusters on the board; Huawei upgrades twenty of an account at once."""

KEEPSAKE = "board"

MOVING = FAILURES | {Status.RUNNING}

PHRASES = {
    "en": {
        "title": "Upgrades under way",
        "quiet": "Nothing is under way.",
        "more": "and {count} more",
        "unseen": "cannot be watched",
    },
    "zh": {"title": "正在进行的升级", "quiet": "当前没有正在进行的升级。", "more": "另有 {count} 个", "unseen": "无法监控"},
}


class Board:
    """Keeps one message up to date. ``name`` is its sink's."""

    def __init__(self, name: str, card: Card, desk: Desk, channel: Channel) -> None:
        self._name = name
        self._card = card
        self._desk = desk
        self._channel = channel
        self._shown: list[str] | None = None
        self._ts: str | None = None

    async def keep(self, every: float) -> None:
        """Look every so many seconds, and edit the message when a line has changed.

        Raises:
            DeliveryError: Slack will never have it. What fails for now is done by the next look.
        """
        while True:
            try:
                await self.refresh()
            except DeliveryError as error:
                if error.outcome is Outcome.REJECTED:
                    raise
            await asyncio.sleep(every)

    async def refresh(self) -> None:
        """Bring the message up to date, if it is not. Raises `DeliveryError`."""
        lines = lines_of(await self._desk.standings(), self._card)
        if lines == self._shown:
            return
        blocks = blocks_of(lines, self._card)
        await self._show(f"{blocks[0]['text']['text']}: {len(lines)}", blocks)
        self._shown = lines

    async def _show(self, text: str, blocks: list[Block]) -> None:
        delivery = f"board {self._name}"
        ts = self._ts or await self._desk.recall(self._name, KEEPSAKE)
        if ts is None:
            with suppress(CannotLook):
                ts = await self._channel.find(delivery)
        if ts is not None:
            try:
                await self._channel.edit(ts, text, [blocks], extra=True)
            except MessageGone:
                ts = None
        if ts is None:
            ts = await self._channel.post(text, [blocks], {"event_type": "css_board", "event_payload": {"delivery": delivery}})
        if ts != self._ts:
            await self._desk.keep(self._name, KEEPSAKE, ts)
        self._ts = ts


def lines_of(standings: Sequence[Standing], card: Card) -> list[str]:
    """One line for each task that runs or has failed and was not retried, and for each cluster that cannot be watched."""
    unseen = PHRASES.get(card.words.language, PHRASES["en"])["unseen"]
    lines = []
    for standing in standings:
        name = f"*{escaped(one_line(standing.cluster.name, NAME), 90)}*"
        if standing.outage is not None:
            lines.append(f":no_entry: {name} {unseen}: {escaped(standing.outage.reason, 30)}")
        for _, task, share in standing.tasks:
            if task.status in MOVING:
                lines.append(f"{card.state(task, brief=True)} {name} {card.bar(task, share)} · {card.say(task.action)}")
    return lines


def blocks_of(lines: Sequence[str], card: Card) -> list[Block]:
    """The board with these lines."""
    title, quiet, more = (PHRASES.get(card.words.language, PHRASES["en"])[key] for key in ("title", "quiet", "more"))
    shown = [*lines[:LONGEST]] or [quiet]
    if len(lines) > LONGEST:
        shown.append(more.format(count=len(lines) - LONGEST))
    return [kit.header(title), *(kit.section("\n".join(shown[at : at + 10])) for at in range(0, len(shown), 10))]
