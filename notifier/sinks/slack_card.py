"""What a Slack message says: the living card of a task, the lines of its thread, the one message about a cluster."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from notifier.domain.links import console, task_page
from notifier.domain.message import Message
from notifier.domain.model import FAILURES, TERMINAL, Event, Kind, Severity, Stage, Status, TaskFacts
from notifier.domain.phrases import Around
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

    @property
    def _say(self) -> Around:
        return self.words.phrases.around

    def root(
        self, message: Message, *, note: str | None = None, silences: Sequence[Silence] = (), native: bool = True
    ) -> list[Block]:
        """The living message of a task, or the one message about a cluster.

        Args:
            message: What there is to say.
            note: Something about the message itself.
            silences: Those that concern it: who has acknowledged or muted it is shown.
            native: Stages as Slack draws them itself; a section where the workspace does not take that.
        """
        event, task = message.event, message.event.task
        if task is None:
            blocks = [kit.section(self._line(message))]
        else:
            blocks = [kit.header(self.words.mark(message) + self.heading(event)), kit.section(self._standing(event, task))]
            if task.fail_message and task.status in FAILURES:
                blocks.append(kit.quoted(task.fail_message, FAILURE))
            blocks.append(self._nodes(task))
            if task.stages and task.status != Status.SUCCESS:
                blocks.append(self._plan(task) if native else self._list(task))
        buttons = self._buttons(message)
        return [
            *blocks,
            *self._notes(message, note, silences, card=task is not None),
            kit.context(self._foot(message)),
            *([kit.actions(buttons)] if buttons else []),
        ]

    def heading(self, event: Event) -> str:
        """The cluster and what is done to it."""
        return f"{cluster_name(event)} · {self.words.task(event.task)}"

    def reply(self, message: Message, *, note: str | None = None) -> list[Block]:
        """What is said in the thread."""
        return [kit.section(self._line(message)), *self._notes(message, note, ())]

    def fallback(self, message: Message) -> str:
        """The text of a notification, and of whoever is read the message aloud."""
        return escaped(self.words.line(message), FALLBACK)

    def bar(self, task: TaskFacts, share: float | None) -> str:
        """How far it is, drawn and as numbers."""
        nodes = self.words.of_nodes(task)
        if share is None:
            return nodes
        full = min(max(round(share * CELLS), 0), CELLS)
        return f"`{'▓' * full}{'░' * (CELLS - full)}` *{share:.0%}* · {nodes}"

    def state(self, task: TaskFacts, *, brief: bool = False) -> str:
        """The task's status, as a sign and in words; ``brief``: as a sign, if there is one."""
        if brief and task.status in SIGNS:
            return SIGNS[task.status]
        word = escaped(_begin(self.words.status(task.status)), NAME)
        choice = f" · {self._say.choice}" if task.status in FAILURES else ""
        return f"{SIGNS.get(task.status, ':grey_question:')} *{word}*{choice}"

    def _line(self, message: Message) -> str:
        sign = SEVERE.get(message.event.severity, ":information_source:")
        return f"{sign} *{escaped(self.words.marked(message))}*\n{escaped(message.summary, NEWS)}"

    def _standing(self, event: Event, task: TaskFacts) -> str:
        first = self.state(task)
        if task.attempt > 1:
            first += f" · {self._say.attempt.format(number=task.attempt)}"
        lines = [first, self.bar(task, event.progress)]
        if task.started_at is not None:
            over = task.status in TERMINAL and task.ended_at is not None
            until = task.ended_at if over and task.ended_at else event.observed_at
            lasted = self._say.lasted if over else self._say.elapsed
            lines[-1] += " · " + lasted.format(span=self.words.span(until - task.started_at))
        if event.eta is not None and task.status == Status.RUNNING:
            bounds = {"earliest": kit.date(event.eta.earliest), "latest": kit.date(event.eta.latest)}
            basis = escaped(self.words.basis(event.eta.basis), NAME)
            lines.append(":dart: " + self.words.phrases.time.forecast.format(**bounds, basis=basis))
        return "\n".join(lines)

    def _nodes(self, task: TaskFacts) -> Block:
        done, at_work = task.nodes.completed, task.nodes.in_flight
        left = max(task.nodes.total - len(done) - len(at_work), 0)
        columns = [
            self._named(self._say.done, done, f"{len(done)}/{task.nodes.total}"),
            self._named(self._say.working, at_work, str(len(at_work))),
        ]
        return kit.columns([*columns, f"*{_begin(self._say.to_come)}* {left}"])

    def _named(self, what: str, names: tuple[str, ...], count: str) -> str:
        shown = [escaped(name, NAME) for name in names[-LISTED:]]
        if len(names) > LISTED:
            shown.append(self.words.phrases.more.format(count=len(names) - LISTED))
        return "\n".join([f"*{_begin(what)}* {count}", *shown])

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
            lines.append(self.words.phrases.more.format(count=len(task.stages) - LINES))
        return kit.section("\n".join(lines))

    def _stages(self, task: TaskFacts) -> str:
        done = sum(stage.status == Status.SUCCESS for stage in task.stages)
        return self._say.stages.format(node=one_line(task.current_node or "-", NAME), done=done, total=len(task.stages))

    def _step(self, stage: Stage) -> str:
        name = one_line(self.words.stage(stage.name), NAME)
        if stage.status not in STEPS:
            return name + self._say.aside.format(text=one_line(stage.status, 20))
        if stage.began_at is None or stage.ended_at is None or stage.ended_at <= stage.began_at:
            return name
        return f"{name} · {self.words.span(stage.ended_at - stage.began_at)}"

    def _notes(self, message: Message, note: str | None, silences: Sequence[Silence], *, card: bool = False) -> list[Block]:
        lines = [note] if note else []
        if told := self.words.no_news(message):
            lines.append(told)
        if card and _speaks_up(message.event):
            lines.append(f"{SEVERE[message.event.severity]} {escaped(message.summary, NEWS // 2)}")
        if message.earlier:
            lines.append(self.words.pair(self.words.before(message), "").rstrip())
            lines += [
                f"• {self.words.moment(event.time)} {escaped(self.words.summary(event), 120)}"
                for event in message.earlier[-LISTED:]
            ]
        # Whether it may be a repeat is looked for here, and said in the note where it could not be.
        lines += self.words.remarks(replace(message, may_repeat=False))
        lines += self.silenced(silences)
        return [kit.section("\n".join(lines))] if lines else []

    def silenced(self, silences: Iterable[Silence]) -> list[str]:
        """Who has acknowledged it, who has muted it and until when; the newest three."""
        held = sorted(silences, key=lambda silence: silence.starts_at)
        # Who mutes wants no reminders either, see `desk`: one line is enough for both.
        muted = {(silence.author, silence.ends_at) for silence in held if not silence.reminders_only}
        lines, say = [], self.words.phrases.talk
        for silence in [each for each in held if not (each.reminders_only and (each.author, each.ends_at) in muted)][-3:]:
            sign, what = (":eyes:", say.acknowledged) if silence.reminders_only else (":mute:", say.muted)
            said = {"who": escaped(silence.author, NAME), "until": kit.date(silence.ends_at)}
            lines.append(f"{sign} {what.format(**said, why=escaped(self.words.wish(silence.reason), 80))}")
        return lines

    def _foot(self, message: Message) -> str:
        event = message.event
        parts = [escaped(" · ".join(filter(None, (event.cluster.region, event.cluster.project))), 150)]
        if event.task is not None:
            parts.append(self._say.task.format(id=escaped(event.task.id, NAME)))
            if not _said_above(event) and not _speaks_up(event):
                parts.insert(0, escaped(message.summary, 160))
        parts.append(self._say.as_of.format(time=kit.date(event.observed_at)))
        return " · ".join(filter(None, parts))

    def _buttons(self, message: Message) -> list[Block]:
        event = message.event
        buttons = []
        if self.listens:
            over = event.task is not None and event.task.status == Status.SUCCESS
            failed = event.task is not None and event.task.status in FAILURES
            wanted: list[Button] = ["explain"] if over else ["mute", "explain"]
            if failed or (not over and event.severity >= Severity.WARNING):
                wanted.insert(0, "acknowledge")
            talk = self.words.phrases.talk
            called: Mapping[Button, str] = {"acknowledge": talk.acknowledge, "mute": talk.mute, "explain": talk.explain}
            for key in wanted:
                style = "primary" if failed and key == "acknowledge" else None
                buttons.append(kit.button(called[key], key, event.id, style=style))
        if (address := console(event)) is not None:
            buttons.append(kit.link(self._say.console, address))
        if self.page is not None:
            buttons.append(kit.link(self._say.page, task_page(self.page, event, message.mark)))
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


def _begin(text: str) -> str:
    """The text as it begins a line."""
    return text[:1].upper() + text[1:]
