"""What people say to us in Slack, and what we answer: presses of a card's buttons, and the slash command."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from notifier.domain import duration
from notifier.domain.errors import DeliveryError
from notifier.domain.model import FAILURES, Event
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

PHRASES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "unknown": "That is not known any more: events are kept for a month.",
        "closed": "That did not work, please try again: {why}",
        "quiet": "Nothing is under way. Clusters watched: {count}.",
        "clusters": "Clusters watched: {count}.",
        "no_cluster": "No cluster is called {name}, or nothing has happened to it yet.",
        "muted": "Muted until {until}: progress and reminders are not told, failures and the end are.",
        "long": "A mute is 1m to 24h long, as `/css mute search-prod 2h`.",
        "looking": "Looking it up…",
        "close": "Close",
        "opened": "See the window.",
        "course": "*What has happened*",
        "told": "*Who was told of it*",
        "more": "and {count} more",
        "help": "`/css status` · `/css mute CLUSTER [1h]` · `/css explain CLUSTER` or an event's id",
        "happened": "Happened {time}, seen {seen}; number {number} of its task.",
        "inferred": "It follows from what was seen later.",
        "nobody": "No route has told anybody.",
        "delivered": "told {time}, tries: {tries}",
        "pending": "still to be told, tries so far: {tries}",
        "sending": "being told",
        "dead": "given up after {tries} tries: {why}",
        "silenced": "not told: silenced by {why}",
    },
    "zh": {
        "unknown": "该事件已无记录：事件保留一个月。",
        "closed": "操作未成功，请重试：{why}",
        "quiet": "{count} 个集群均无正在进行的任务。",
        "clusters": "共监控 {count} 个集群。",
        "no_cluster": "没有名为 {name} 的集群，或该集群尚无事件。",
        "muted": "已静音至 {until}：不再通知进度与提醒，失败与结束仍会通知。",
        "long": "静音时长为 1m 至 24h，例如 `/css mute search-prod 2h`。",
        "looking": "正在查询…",
        "close": "关闭",
        "opened": "请见弹出窗口。",
        "course": "*经过*",
        "told": "*通知情况*",
        "more": "另有 {count} 条",
        "help": "`/css status` · `/css mute 集群 [1h]` · `/css explain 集群` 或事件 ID",
        "happened": "发生于 {time}，发现于 {seen}；任务的第 {number} 个事件。",
        "inferred": "由之后的观察推断得出。",
        "nobody": "没有路由通知任何人。",
        "delivered": "已于 {time} 送达，尝试 {tries} 次",
        "pending": "待通知，已尝试 {tries} 次",
        "sending": "正在通知",
        "dead": "尝试 {tries} 次后放弃：{why}",
        "silenced": "未通知：{why} 已静音",
    },
}


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

    def say(self, key: str, **values: object) -> str:
        """A phrase in the sink's language."""
        return PHRASES.get(self._card.words.language, PHRASES["en"])[key].format(**values)

    async def hear(self, kind: Envelope, payload: Mapping[str, Any]) -> Reply:
        """Act on what came over the socket; the answer to a command."""
        if kind == "press":
            await self._press(payload)
            return None
        try:
            lines = await self._command(payload)
        except DeskClosed as error:
            lines = [self.say("closed", why=escaped(str(error)))]
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
                await self._voice.whisper(channel, person, self.say("unknown"))
                return
            who = one_line(str(user.get("name") or user.get("username") or person or "?"), 80)
            if wish == "acknowledge":
                await self._desk.acknowledge(event, who)
            else:
                await self._desk.mute(event, who, MUTED_FOR)
            await self._voice.redraw(event, channel, ts)
        except DeskClosed as error:
            with suppress(DeliveryError):
                await self._voice.whisper(channel, person, self.say("closed", why=escaped(str(error))))
        except DeliveryError:
            # What was wished for is kept; the card shows it with its next edit. Speaking up failed, so there is no way to say so.
            return

    async def _explain(self, event_id: str, trigger: str, channel: str, person: str) -> None:
        """Tell the story of an event to who pressed: in a window, since the card may be hours above the channel's end.

        The window is opened before anything is looked up: the trigger lasts three seconds, and the store may be slow.
        """
        window = await self._voice.open(trigger, self._window([kit.section(self.say("looking"))]))
        try:
            event = await self._desk.event(event_id)
            lines = [self.say("unknown")] if event is None else await self._explained(event)
            blocks = modal.paragraphs(lines) if event is None or window is None else await self._story(event, lines)
        except DeskClosed as error:
            lines = [self.say("closed", why=escaped(str(error)))]
            blocks = modal.paragraphs(lines)
        if window is not None:
            with suppress(DeliveryError):
                await self._voice.fill(window, self._window(blocks))
                return
        await self._voice.whisper(channel, person, self._cut(lines))

    def _window(self, blocks: Sequence[Block]) -> View:
        return modal.window(self._card.say("explain"), self.say("close"), blocks)

    def _cut(self, lines: Sequence[str]) -> str:
        """As many of the lines as an answer in the channel may have."""
        kept = list(lines)
        while len(kept) > MOST or sum(map(kit.units, kept)) + len(kept) > LONGEST:
            kept.pop()
        return "\n".join(kept if len(kept) == len(lines) else [*kept, self.say("more", count=len(lines) - len(kept))])

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
                    return [self.say("long")]
                return await self._mute(cluster, who, found)
            case ["explain", subject]:
                event = await self._desk.event(subject) or await self._desk.newest(cluster=subject)
                if event is None:
                    return [self.say("no_cluster", name=escaped(subject, 80))]
                return await self._explained_here(event, str(payload.get("trigger_id", "")))
        return [self.say("help")]

    async def _status(self) -> Sequence[str]:
        standings = await self._desk.standings()
        lines = lines_of(standings, self._card)
        if not lines:
            return [self.say("quiet", count=len(standings))]
        return [*lines[: MOST - 1], self.say("clusters", count=len(standings))]

    async def _mute(self, cluster: str, who: str, seconds: float) -> Sequence[str]:
        event = await self._desk.newest(cluster=cluster)
        if event is None:
            return [self.say("no_cluster", name=escaped(cluster, 80))]
        return [self.say("muted", until=kit.date(await self._desk.mute(event, who, seconds)))]

    async def _explained_here(self, event: Event, trigger: str) -> Sequence[str]:
        """The answer to a command: where it was given if it fits, else in a window."""
        lines = await self._explained(event)
        if self._cut(lines) == "\n".join(lines):
            return lines
        window = await self._voice.open(trigger, self._window(await self._story(event, lines)))
        return lines if window is None else [self.say("opened")]

    async def _explained(self, event: Event) -> Sequence[str]:
        """What is known of an event, in lines."""
        lines = [
            f"*{escaped(event.cluster.name, 80)}* {escaped(self._card.words.summary(event))}",
            self.say("happened", time=kit.date(event.time), seen=kit.date(event.observed_at), number=event.sequence),
        ]
        if not event.observed:
            lines.append(self.say("inferred"))
        lines += self._card.silenced(await self._desk.silences(event))
        fates = await self._desk.fates(event)
        return [
            *lines,
            self.say("told"),
            *([f"• {escaped(fate.sink, 40)}: {self._fate(fate)}" for fate in fates] or [self.say("nobody")]),
        ]

    async def _story(self, event: Event, lines: Sequence[str]) -> Sequence[Block]:
        """What a window has room for besides: the cloud's own words in full, and what happened before and after."""
        course = await self._desk.course(event, COURSE)
        happened = [f"{kit.date(each.time)} {escaped(self._card.words.summary(each))}" for each in course]
        failed = event.task.fail_message if event.task is not None and event.task.status in FAILURES else None
        quoted = [kit.quoted(failed, kit.SECTION)] if failed else []
        return [*modal.paragraphs(lines[:1]), *quoted, *modal.paragraphs([*lines[1:], self.say("course"), *happened])]

    def _fate(self, fate: Fate) -> str:
        time = kit.date(fate.at) if fate.at else "-"
        return self.say(fate.state, time=time, tries=fate.tries, why=escaped(fate.detail or "-", DETAIL))


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []
