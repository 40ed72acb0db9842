"""What a Slack message looks like: blocks within Slack's limits, with nothing in them that Slack could take for an instruction.

Text from the API stands in ``plain_text`` objects, or escaped where a line is ``mrkdwn``. Limits: docs.slack.dev, reference of
the Block Kit (header 150, section 3,000, context 10 elements, button URL 3,000 characters).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from notifier.domain.message import Message
from notifier.domain.model import FAILURES, Event, Severity, Status, TaskFacts
from notifier.domain.plain_text import one_line
from notifier.domain.words import Words

HEADER, LINE, SECTION, FALLBACK = 150, 300, 2900, 2900
LISTED = 8
"""Nodes named one by one; of more, the number is given."""

CELLS = 12
"""Of the progress bar."""

SIGNS: Mapping[str, str] = {
    Status.RUNNING: ":hourglass_flowing_sand:",
    Status.SUCCESS: ":white_check_mark:",
    Status.FAILED: ":x:",
    Status.PARTIAL_FAILED: ":warning:",
}
SEVERE: Mapping[Severity, str] = {
    Severity.WARNING: ":warning:",
    Severity.ERROR: ":x:",
    Severity.CRITICAL: ":rotating_light:",
}

PHRASES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "done": "Done",
        "in_flight": "At work",
        "to_come": "To come",
        "more": "and {count} more",
        "attempt": "attempt {number}",
        "as_of": "data as of {time}",
        "task": "task {id}",
        "console": "Huawei console",
        "page": "Status page",
        "merged": "{count} more since the last message:",
        "skipped": "{count} messages before this could not be delivered",
        "late": "said {span} late",
        "deleted": "the earlier message was deleted",
        "RUNNING": "Running",
        "SUCCESS": "Succeeded",
        "FAILED": "FAILED: someone must choose, retry or terminate",
        "PARTIAL_FAILED": "PARTIALLY FAILED: someone must choose, retry or terminate",
    },
    "zh": {
        "done": "已完成",
        "in_flight": "进行中",
        "to_come": "待处理",
        "more": "另有 {count} 个",
        "attempt": "第 {number} 次执行",
        "as_of": "数据时间 {time}",
        "task": "任务 {id}",
        "console": "华为云控制台",
        "page": "状态页",
        "merged": "自上一条消息以来还有 {count} 条：",
        "skipped": "此前有 {count} 条消息未能送达",
        "late": "延迟 {span} 送达",
        "deleted": "之前的消息已被删除",
        "RUNNING": "进行中",
        "SUCCESS": "成功",
        "FAILED": "失败：需要人工选择重试或终止",
        "PARTIAL_FAILED": "部分失败：需要人工选择重试或终止",
    },
}


def escaped(text: str, longest: int = LINE) -> str:
    """One line that Slack shows as it is: ``&``, ``<`` and ``>`` are its only control characters (docs.slack.dev, formatting).

    What ``*``, ``_``, ``~`` and backticks could do is taken from them by a zero-width space in front.
    """
    plain = one_line(text, longest).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\u200b{character}" if character in "*_~`" else character for character in plain)


@dataclass(frozen=True, slots=True)
class Card:
    """Puts messages into blocks, in the words and with the links of one sink."""

    words: Words
    page: str | None = None

    def say(self, key: str, **values: object) -> str:
        """A phrase of ours in the sink's language."""
        return PHRASES.get(self.words.language, PHRASES["en"])[key].format(**values)

    def root(self, message: Message, *, note: str | None = None) -> list[dict[str, Any]]:
        """The living message of a task, or the one message about a cluster."""
        event = message.event
        if event.task is None:
            return [self._section(self._line(message)), *self._notes(message, note), self._context(event), self._links(event)]
        blocks = [
            {"type": "header", "text": _plain(f"{_mark(message)}{message.title}", HEADER)},
            self._section(self._standing(event, event.task)),
            *self._nodes(event.task),
        ]
        if event.task.fail_message and event.task.status in FAILURES:
            blocks.append({"type": "section", "text": _plain(event.task.fail_message, SECTION)})
        return [*blocks, *self._notes(message, note), self._context(event), self._links(event)]

    def reply(self, message: Message) -> list[dict[str, Any]]:
        """What is said in the thread."""
        return [self._section(self._line(message)), *self._notes(message, None)]

    def fallback(self, message: Message) -> str:
        """The text of a notification, and of whoever is read the message aloud."""
        return escaped(f"{_mark(message)}{message.title}: {message.summary}", FALLBACK)

    def _line(self, message: Message) -> str:
        sign = SEVERE.get(message.event.severity, ":information_source:")
        return f"{sign} *{escaped(_mark(message) + message.title)}*\n{escaped(message.summary, 1500)}"

    def _standing(self, event: Event, task: TaskFacts) -> str:
        state = self.say(task.status) if task.status in SIGNS else escaped(task.status, 60)
        share = event.progress if event.progress is not None else 0.0
        full = round(share * CELLS)
        bar = "▓" * full + "░" * (CELLS - full)
        line = f"{SIGNS.get(task.status, ':grey_question:')} *{state}*\n`{bar}` {share:.0%}"
        if event.eta is not None and task.status == Status.RUNNING:
            line += f" · {self._date(event.eta.earliest.timestamp())} to {self._date(event.eta.latest.timestamp())}"
        return line

    def _nodes(self, task: TaskFacts) -> list[dict[str, Any]]:
        done, at_work = task.nodes.completed, task.nodes.in_flight
        left = max(task.nodes.total - len(done) - len(at_work), 0)
        fields = [
            self._named("done", done, f"{len(done)}/{task.nodes.total}"),
            self._named("in_flight", at_work, str(len(at_work))),
            {"type": "mrkdwn", "text": f"*{self.say('to_come')}* {left}"},
        ]
        return [{"type": "section", "fields": fields}]

    def _named(self, key: str, names: tuple[str, ...], count: str) -> dict[str, Any]:
        shown = [escaped(name, 80) for name in names[-LISTED:]]
        if len(names) > LISTED:
            shown.append(self.say("more", count=len(names) - LISTED))
        return {"type": "mrkdwn", "text": "\n".join([f"*{self.say(key)}* {count}", *shown])}

    def _notes(self, message: Message, note: str | None) -> list[dict[str, Any]]:
        lines = [self.say(note)] if note else []
        if message.earlier:
            lines.append(self.say("merged", count=len(message.earlier)))
            lines += [f"• {escaped(self.words.summary(event))}" for event in message.earlier[-LISTED:]]
        if message.skipped:
            lines.append(self.say("skipped", count=message.skipped))
        if message.late_by:
            lines.append(self.say("late", span=self.words.span(message.late_by)))
        return [self._section("\n".join(lines))] if lines else []

    def _context(self, event: Event) -> dict[str, Any]:
        cluster = event.cluster
        parts = [escaped(" · ".join(filter(None, (cluster.name, cluster.region, cluster.project))), 200)]
        if event.task is not None:
            parts.append(self.say("attempt", number=event.task.attempt))
            parts.append(self.say("task", id=escaped(event.task.id, 80)))
        parts.append(self.say("as_of", time=self._date(event.observed_at.timestamp())))
        return {"type": "context", "elements": [{"type": "mrkdwn", "text": " · ".join(parts)}]}

    def _links(self, event: Event) -> dict[str, Any]:
        region = quote(one_line(event.cluster.region, 60), safe="-")
        buttons = [_button(self.say("console"), f"https://console.huaweicloud.com/css/?region={region}")]
        if self.page is not None:
            buttons.append(_button(self.say("page"), self.page))
        return {"type": "actions", "elements": buttons}

    def _section(self, text: str) -> dict[str, Any]:
        return {"type": "section", "text": {"type": "mrkdwn", "text": text[:SECTION], "verbatim": True}}

    def _date(self, seconds: float) -> str:
        """A moment in the zone of whoever reads it; the fallback is for old clients."""
        fallback = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"<!date^{int(seconds)}^{{date_num}} {{time}}|{fallback}>"


def _plain(text: str, longest: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": one_line(text, longest).strip() or "-", "emoji": False}


def _button(text: str, url: str) -> dict[str, Any]:
    return {"type": "button", "text": _plain(text, 70), "url": url[:3000]}


def _mark(message: Message) -> str:
    return f"[{message.mark}] " if message.mark else ""
