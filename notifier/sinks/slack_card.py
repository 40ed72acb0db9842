"""What a Slack message says: the living card of a task, the lines of its thread, the one message about a cluster."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from notifier.domain.message import Message
from notifier.domain.model import FAILURES, TERMINAL, Action, Event, Kind, Severity, Stage, Status, TaskFacts
from notifier.domain.plain_text import one_line
from notifier.domain.silences import Silence
from notifier.domain.words import Words
from notifier.sinks import slack_blocks as kit
from notifier.sinks.slack_blocks import Block, escaped

LISTED = 8
"""Nodes, and facts told along, that are named one by one; of more, the number is given."""

LINES = 20
"""Stages that are listed where Slack does not draw them itself."""

CELLS = 12
"""Of the progress bar."""

FALLBACK, FAILURE, NEWS, NAME = 2900, 1200, 1200, 60

Button = Literal["acknowledge", "mute", "explain"]

SIGNS: Mapping[str, str] = {
    Status.RUNNING: ":hourglass_flowing_sand:",
    Status.SUCCESS: ":white_check_mark:",
    Status.FAILED: ":x:",
    Status.PARTIAL_FAILED: ":warning:",
}
STEPS: Mapping[str, tuple[str, str]] = {
    Status.WAITING: ("pending", ":white_small_square:"),
    Status.RUNNING: ("in_progress", ":hourglass_flowing_sand:"),
    Status.SUCCESS: ("complete", ":white_check_mark:"),
    Status.FAILED: ("error", ":x:"),
}
"""A stage's status as Slack's own word, and as a sign."""

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
        "repeated": "this may have been said before: it could not be looked for",
        "reminder": "reminder {number}: this still lasts",
        "RUNNING": "Running",
        "SUCCESS": "Succeeded",
        "FAILED": "FAILED: someone must choose, retry or terminate",
        "PARTIAL_FAILED": "PARTIALLY FAILED: someone must choose, retry or terminate",
        "UPGRADING": "upgrade",
        "AZ_MIGRATION": "AZ migration",
        "target": "{work} to {target}",
        "nodes": "{done}/{total} nodes",
        "elapsed": "{span} so far",
        "took": "took {span}",
        "eta": "ends between {earliest} and {latest}, judging by {basis}",
        "stages": "{node}: {done} of {total} stages",
        "acknowledged": "acknowledged by {who}: no reminders until {until}",
        "muted": "muted by {who} until {until}: {why}",
        "acknowledge": "Acknowledge",
        "mute": "Mute 1 h",
        "explain": "Explain",
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
        "repeated": "此消息可能重复：无法查找之前的消息",
        "reminder": "第 {number} 次提醒：情况仍在持续",
        "RUNNING": "进行中",
        "SUCCESS": "成功",
        "FAILED": "失败：需要人工选择重试或终止",
        "PARTIAL_FAILED": "部分失败：需要人工选择重试或终止",
        "UPGRADING": "升级",
        "AZ_MIGRATION": "可用区迁移",
        "target": "{work}至 {target}",
        "nodes": "{done}/{total} 个节点",
        "elapsed": "已用 {span}",
        "took": "共用 {span}",
        "eta": "预计 {earliest} 至 {latest} 完成，依据 {basis}",
        "stages": "{node}：{total} 个阶段已完成 {done} 个",
        "acknowledged": "{who} 已确认，{until} 前不再提醒",
        "muted": "{who} 已静音至 {until}：{why}",
        "acknowledge": "确认",
        "mute": "静音 1 小时",
        "explain": "说明",
    },
}


@dataclass(frozen=True, slots=True)
class Card:
    """Puts messages into blocks, in the words and with the links of one sink.

    Attributes:
        page: The status page's address.
        listens: Whether a press of a button would be heard.
    """

    words: Words
    page: str | None = None
    listens: bool = False

    def say(self, key: str, **values: object) -> str:
        """A phrase of ours in the sink's language."""
        return PHRASES.get(self.words.language, PHRASES["en"])[key].format(**values)

    def root(
        self, message: Message, *, note: str | None = None, silences: Sequence[Silence] = (), native: bool = True
    ) -> list[Block]:
        """The living message of a task, or the one message about a cluster.

        Args:
            message: What there is to say.
            note: A phrase's key: something about the message itself.
            silences: Those that concern it: who has acknowledged or muted it is shown.
            native: Stages as Slack draws them itself; a section where the workspace does not take that.
        """
        event, task = message.event, message.event.task
        if task is None:
            blocks = [kit.section(self._line(message))]
        else:
            blocks = [kit.header(_mark(message) + self.heading(event)), kit.section(self._standing(event, task))]
            if task.fail_message and task.status in FAILURES:
                blocks.append(kit.quoted(task.fail_message, FAILURE))
            blocks.append(self._nodes(task))
            if task.stages and task.status != Status.SUCCESS:
                blocks.append(self._plan(task) if native else self._list(task))
        return [
            *blocks,
            *self._notes(message, note, silences, card=task is not None),
            kit.context(self._foot(message)),
            kit.actions(self._buttons(event)),
        ]

    def heading(self, event: Event) -> str:
        """The cluster and what is done to it."""
        task = event.task
        work = self.say(task.action if task else Action.UPGRADING)
        what = self.say("target", work=work, target=task.target) if task and task.target else work
        return f"{cluster_name(event)} · {what}"

    def reply(self, message: Message, *, note: str | None = None) -> list[Block]:
        """What is said in the thread."""
        return [kit.section(self._line(message)), *self._notes(message, note, ())]

    def fallback(self, message: Message) -> str:
        """The text of a notification, and of whoever is read the message aloud."""
        return escaped(f"{_mark(message)}{message.title}: {message.summary}", FALLBACK)

    def bar(self, task: TaskFacts, share: float | None) -> str:
        """How far it is, drawn and as numbers."""
        nodes = self.say("nodes", done=len(task.nodes.completed), total=task.nodes.total)
        if share is None:
            return nodes
        full = min(max(round(share * CELLS), 0), CELLS)
        return f"`{'▓' * full}{'░' * (CELLS - full)}` *{share:.0%}* · {nodes}"

    def state(self, task: TaskFacts, *, brief: bool = False) -> str:
        """The task's status, as a sign and in words; ``brief``: as a sign, if there is one."""
        if brief and task.status in SIGNS:
            return SIGNS[task.status]
        word = self.say(task.status) if task.status in SIGNS else escaped(task.status, NAME)
        return f"{SIGNS.get(task.status, ':grey_question:')} *{word}*"

    def _line(self, message: Message) -> str:
        sign = SEVERE.get(message.event.severity, ":information_source:")
        return f"{sign} *{escaped(_mark(message) + message.title)}*\n{escaped(message.summary, NEWS)}"

    def _standing(self, event: Event, task: TaskFacts) -> str:
        first = self.state(task)
        if task.attempt > 1:
            first += f" · {self.say('attempt', number=task.attempt)}"
        lines = [first, self.bar(task, event.progress)]
        if task.started_at is not None:
            over = task.status in TERMINAL and task.ended_at is not None
            until = task.ended_at if over and task.ended_at else event.observed_at
            lines[-1] += " · " + self.say("took" if over else "elapsed", span=self.words.span(until - task.started_at))
        if event.eta is not None and task.status == Status.RUNNING:
            earliest, latest = kit.date(event.eta.earliest), kit.date(event.eta.latest)
            lines.append(
                ":dart: "
                + self.say("eta", earliest=earliest, latest=latest, basis=escaped(self.words.basis(event.eta.basis), NAME))
            )
        return "\n".join(lines)

    def _nodes(self, task: TaskFacts) -> Block:
        done, at_work = task.nodes.completed, task.nodes.in_flight
        left = max(task.nodes.total - len(done) - len(at_work), 0)
        columns = [
            self._named("done", done, f"{len(done)}/{task.nodes.total}"),
            self._named("in_flight", at_work, str(len(at_work))),
        ]
        return kit.columns([*columns, f"*{self.say('to_come')}* {left}"])

    def _named(self, key: str, names: tuple[str, ...], count: str) -> str:
        shown = [escaped(name, NAME) for name in names[-LISTED:]]
        if len(names) > LISTED:
            shown.append(self.say("more", count=len(names) - LISTED))
        return "\n".join([f"*{self.say(key)}* {count}", *shown])

    def _plan(self, task: TaskFacts) -> Block:
        # One step is told in full, the one that matters: forty would be more than Slack takes.
        order = (Status.FAILED, Status.RUNNING)
        matters = min(task.stages, key=lambda stage: order.index(stage.status) if stage.status in order else len(order))
        steps = [
            kit.task_card(
                number,
                self._step(stage),
                STEPS.get(stage.status, STEPS[Status.WAITING])[0],
                stage.description if stage is matters else "",
            )
            for number, stage in enumerate(task.stages)
        ]
        return kit.plan(self._stages(task), steps)

    def _list(self, task: TaskFacts) -> Block:
        begun = [number for number, stage in enumerate(task.stages) if stage.status != Status.WAITING]
        first = max(min((begun[-1] if begun else 0) - LINES // 2, len(task.stages) - LINES), 0)
        lines = [f"*{escaped(self._stages(task), 120)}*"]
        for stage in task.stages[first : first + LINES]:
            _, sign = STEPS.get(stage.status, ("", ":grey_question:"))
            lines.append(f"{sign} {escaped(self._step(stage), 90)}")
        if len(task.stages) > LINES:
            lines.append(self.say("more", count=len(task.stages) - LINES))
        return kit.section("\n".join(lines))

    def _stages(self, task: TaskFacts) -> str:
        done = sum(stage.status == Status.SUCCESS for stage in task.stages)
        return self.say("stages", node=one_line(task.current_node or "-", NAME), done=done, total=len(task.stages))

    def _step(self, stage: Stage) -> str:
        name = one_line(self.words.stage(stage.name), NAME)
        if stage.status not in STEPS:
            return f"{name} ({one_line(self.words.status(stage.status), 20)})"
        if stage.began_at is None or stage.ended_at is None or stage.ended_at <= stage.began_at:
            return name
        return f"{name} · {self.words.span(stage.ended_at - stage.began_at)}"

    def _notes(self, message: Message, note: str | None, silences: Sequence[Silence], *, card: bool = False) -> list[Block]:
        lines = [self.say(note)] if note else []
        if card and _speaks_up(message.event):
            lines.append(f"{SEVERE[message.event.severity]} {escaped(message.summary, NEWS // 2)}")
        if message.reminder:
            lines.append(self.say("reminder", number=message.reminder))
        if message.earlier:
            lines.append(self.say("merged", count=len(message.earlier)))
            lines += [f"• {escaped(self.words.summary(event), 120)}" for event in message.earlier[-LISTED:]]
        if message.skipped:
            lines.append(self.say("skipped", count=message.skipped))
        if message.late_by:
            lines.append(self.say("late", span=self.words.span(message.late_by)))
        lines += self.silenced(silences)
        return [kit.section("\n".join(lines))] if lines else []

    def silenced(self, silences: Iterable[Silence]) -> list[str]:
        """Who has acknowledged it, who has muted it and until when; the newest three."""
        held = sorted(silences, key=lambda silence: silence.starts_at)
        # Who mutes wants no reminders either, see `desk`: one line is enough for both.
        muted = {(silence.author, silence.ends_at) for silence in held if not silence.reminders_only}
        lines = []
        for silence in [each for each in held if not (each.reminders_only and (each.author, each.ends_at) in muted)][-3:]:
            said = {"who": escaped(silence.author, NAME), "until": kit.date(silence.ends_at), "why": escaped(silence.reason, 80)}
            lines.append(
                f":eyes: {self.say('acknowledged', **said)}" if silence.reminders_only else f":mute: {self.say('muted', **said)}"
            )
        return lines

    def _foot(self, message: Message) -> str:
        event = message.event
        parts = [escaped(" · ".join(filter(None, (event.cluster.region, event.cluster.project))), 150)]
        if event.task is not None:
            parts.append(self.say("task", id=escaped(event.task.id, NAME)))
            if not _said_above(event) and not _speaks_up(event):
                parts.insert(0, escaped(message.summary, 160))
        parts.append(self.say("as_of", time=kit.date(event.observed_at)))
        return " · ".join(parts)

    def _buttons(self, event: Event) -> list[Block]:
        buttons = []
        if self.listens:
            over = event.task is not None and event.task.status == Status.SUCCESS
            failed = event.task is not None and event.task.status in FAILURES
            wanted: list[Button] = ["explain"] if over else ["mute", "explain"]
            if failed or (not over and event.severity >= Severity.WARNING):
                wanted.insert(0, "acknowledge")
            for key in wanted:
                style = "primary" if failed and key == "acknowledge" else None
                buttons.append(kit.button(self.say(key), key, event.id, style=style))
        region = quote(one_line(event.cluster.region, NAME), safe="-")
        buttons.append(kit.link(self.say("console"), f"https://console.huaweicloud.com/css/?region={region}"))
        if self.page is not None:
            buttons.append(kit.link(self.say("page"), self.page))
        return buttons


def cluster_name(event: Event) -> str:
    """The cluster's name on one line."""
    return one_line(event.cluster.name, NAME)


def _said_above(event: Event) -> bool:
    """Whether the state that a card begins with says what has happened."""
    return event.kind in {Kind.TASK_STARTED, Kind.TASK_SUCCEEDED, Kind.TASK_FAILED, Kind.TASK_PARTIALLY_FAILED}


def _speaks_up(event: Event) -> bool:
    """Whether a card says what has happened in a line of its own: a stall, say, during which the task is running all the same."""
    return event.severity >= Severity.WARNING and not _said_above(event)


def _mark(message: Message) -> str:
    return f"[{message.mark}] " if message.mark else ""
