"""What people say to us in Slack, and what we answer: presses of a card's buttons, and the slash command."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from notifier.domain import duration
from notifier.domain.errors import DeliveryError
from notifier.domain.model import FAILURES, Event
from notifier.domain.phrases import TalkPhrases
from notifier.domain.plain_text import one_line
from notifier.sinks import slack_blocks as kit
from notifier.sinks import slack_modal as modal
from notifier.sinks.desk import Desk, DeskClosed, Fate
from notifier.sinks.slack_blocks import Block, escaped
from notifier.sinks.slack_board import lines_of
from notifier.sinks.slack_card import Card
from notifier.sinks.slack_modal import View
from notifier.sinks.slack_socket import Envelope, Reply

MUTED_FOR = 3600.0
LONGEST_MUTE = 86400.0

MOST, LONGEST = 40, 2900
"""Lines and characters of an answer in the channel."""

COURSE = 30
"""Events of a task that a window lists; of more, the newest."""

DETAIL = 400
"""Characters of why somebody was not told."""


class Voice(Protocol):
    """How we speak up by ourselves; raises `DeliveryError`."""

    async def whisper(self, channel: str, user: str, text: str) -> None:
        """Say something that only one person sees."""

    async def open(self, trigger: str, view: View) -> str | None:
        """Open a window for whoever has just pressed or commanded; its id. None: it does not open any more."""

    async def fill(self, window: str, view: View) -> None:
        """Change what a window shows, if it is still open."""

    async def redraw(self, event: Event, channel: str, ts: str) -> None:
        """Bring a card up to date."""


class Talk:
    """Answers people, at the program's desk, in the words of one sink."""

    def __init__(self, desk: Desk, card: Card, voice: Voice) -> None:
        self._desk = desk
        self._card = card
        self._voice = voice

    @property
    def _say(self) -> TalkPhrases:
        return self._card.words.phrases.talk

    async def hear(self, kind: Envelope, payload: Mapping[str, Any]) -> Reply:
        """Act on what came over the socket; the answer to a command."""
        if kind == "press":
            await self._press(payload)
            return None
        try:
            lines = await self._command(payload)
        except DeskClosed as error:
            lines = [self._closed(error)]
        return {"response_type": "ephemeral", "text": self._cut(lines)}

    async def _press(self, payload: Mapping[str, Any]) -> None:
        action = next((each for each in _list(payload.get("actions")) if isinstance(each, dict)), {})
        wish, value = action.get("action_id"), str(action.get("value", ""))
        if wish not in {"acknowledge", "mute", "explain"}:
            return  # A button that only opens a page is reported as well.
        user, where = _dict(payload.get("user")), _dict(payload.get("container"))
        channel, ts = str(where.get("channel_id", "")), str(where.get("message_ts", ""))
        person = str(user.get("id", ""))
        try:
            if wish == "explain":
                await self._explain(value, str(payload.get("trigger_id", "")), channel, person)
                return
            event = await self._desk.event(value)
            if event is None:
                await self._voice.whisper(channel, person, self._say.unknown)
                return
            who = one_line(str(user.get("name") or user.get("username") or person or "?"), 80)
            if wish == "acknowledge":
                await self._desk.acknowledge(event, who)
            else:
                await self._desk.mute(event, who, MUTED_FOR)
            await self._voice.redraw(event, channel, ts)
        except DeskClosed as error:
            with suppress(DeliveryError):
                await self._voice.whisper(channel, person, self._closed(error))
        except DeliveryError:
            # What was wished for is kept; the card shows it with its next edit. Speaking up failed, so there is no way to say so.
            return

    async def _explain(self, event_id: str, trigger: str, channel: str, person: str) -> None:
        """Tell the story of an event to who pressed: in a window, since the card may be hours above the channel's end.

        The window is opened before anything is looked up: the trigger lasts three seconds, and the store may be slow.
        """
        window = await self._voice.open(trigger, self._window([kit.section(self._say.looking)]))
        try:
            event = await self._desk.event(event_id)
            lines = [self._say.unknown] if event is None else await self._explained(event)
            blocks = modal.paragraphs(lines) if event is None or window is None else await self._story(event, lines)
        except DeskClosed as error:
            lines = [self._closed(error)]
            blocks = modal.paragraphs(lines)
        if window is not None:
            with suppress(DeliveryError):
                await self._voice.fill(window, self._window(blocks))
                return
        await self._voice.whisper(channel, person, self._cut(lines))

    def _window(self, blocks: Sequence[Block]) -> View:
        return modal.window(self._say.explain, self._say.close, blocks)

    def _cut(self, lines: Sequence[str]) -> str:
        """As many of the lines as an answer in the channel may have."""
        kept = list(lines)
        while len(kept) > MOST or sum(map(kit.units, kept)) + len(kept) > LONGEST:
            kept.pop()
        return "\n".join(
            kept if len(kept) == len(lines) else [*kept, self._card.words.phrases.more_told.format(count=len(lines) - len(kept))]
        )

    async def _command(self, payload: Mapping[str, Any]) -> Sequence[str]:
        words = one_line(str(payload.get("text", "")), 200).split()
        who = one_line(str(payload.get("user_name") or payload.get("user_id") or "?"), 80)
        match words:
            case ["status"]:
                return await self._status()
            case ["mute", cluster]:
                return await self._mute(cluster, who, MUTED_FOR)
            case ["mute", cluster, lasting]:
                found = duration.seconds(lasting)
                if found is None or not 60.0 <= found <= LONGEST_MUTE:  # noqa: PLR2004 - a minute
                    return [self._say.mute_length]
                return await self._mute(cluster, who, found)
            case ["explain", subject]:
                event = await self._desk.event(subject) or await self._desk.newest(cluster=subject)
                if event is None:
                    return [self._say.no_cluster.format(name=escaped(subject, 80))]
                return await self._explained_here(event, str(payload.get("trigger_id", "")))
        return [self._say.help]

    async def _status(self) -> Sequence[str]:
        standings = await self._desk.standings()
        lines = lines_of(standings, self._card)
        if not lines:
            return [self._card.words.together(self._say.quiet, self._say.clusters.format(count=len(standings)))]
        return [*lines[: MOST - 1], self._say.clusters.format(count=len(standings))]

    async def _mute(self, cluster: str, who: str, seconds: float) -> Sequence[str]:
        event = await self._desk.newest(cluster=cluster)
        if event is None:
            return [self._say.no_cluster.format(name=escaped(cluster, 80))]
        return [self._say.mute_holds.format(until=kit.date(await self._desk.mute(event, who, seconds)))]

    async def _explained_here(self, event: Event, trigger: str) -> Sequence[str]:
        """The answer to a command: where it was given if it fits, else in a window."""
        lines = await self._explained(event)
        if self._cut(lines) == "\n".join(lines):
            return lines
        window = await self._voice.open(trigger, self._window(await self._story(event, lines)))
        return lines if window is None else [self._say.opened]

    async def _explained(self, event: Event) -> Sequence[str]:
        """What is known of an event, in lines."""
        lines = [
            f"*{escaped(event.cluster.name, 80)}* {escaped(self._card.words.summary(event))}",
            self._say.happened.format(time=kit.date(event.time), seen=kit.date(event.observed_at), number=event.sequence),
        ]
        if not event.observed:
            lines.append(self._say.inferred)
        lines += self._card.silenced(await self._desk.silences(event))
        fates = await self._desk.fates(event)
        return [
            *lines,
            f"*{self._say.told}*",
            *([f"• {self._card.words.pair(escaped(fate.sink, 40), self._fate(fate))}" for fate in fates] or [self._say.nobody]),
        ]

    async def _story(self, event: Event, lines: Sequence[str]) -> Sequence[Block]:
        """What a window has room for besides: the cloud's own words in full, and what happened before and after."""
        course = await self._desk.course(event, COURSE)
        happened = [f"{kit.date(each.time)} {escaped(self._card.words.summary(each))}" for each in course]
        failed = event.task.fail_message if event.task is not None and event.task.status in FAILURES else None
        quoted = [kit.quoted(failed, kit.SECTION)] if failed else []
        return [*modal.paragraphs(lines[:1]), *quoted, *modal.paragraphs([*lines[1:], f"*{self._say.course}*", *happened])]

    def _fate(self, fate: Fate) -> str:
        time = kit.date(fate.at) if fate.at else "-"
        why = self._card.words.fate(fate.state, fate.detail or "") or "-"
        said = {"time": time, "tries": self._say.tries.format(count=fate.tries), "why": escaped(why, DETAIL)}
        return self._say.fates.get(fate.state, fate.state).format(**said)

    def _closed(self, error: DeskClosed) -> str:
        return self._say.closed.format(why=escaped(self._card.words.detail(str(error))))


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []
