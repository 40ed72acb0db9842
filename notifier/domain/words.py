"""Puts events into words: in the language and the time zone of whoever is spoken to.

What is said stands in the tables ``phrases_en`` and ``phrases_zh``; here they are filled in. No sink has words of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

from notifier.domain import details, time_words
from notifier.domain.message import Message
from notifier.domain.model import Action, Eta, Event, Kind, Outage, Severity, SinkFacts, Stage, TaskFacts
from notifier.domain.phrases import Phrases, Telling
from notifier.domain.phrases_en import ENGLISH
from notifier.domain.phrases_zh import CHINESE

Language = Literal["en", "zh"]
Slot = Literal["title", "summary"]

LANGUAGES: Mapping[Language, Phrases] = {"en": ENGLISH, "zh": CHINESE}


@dataclass(frozen=True, slots=True)
class Words:
    """A language and a time zone.

    Attributes:
        language: See `LANGUAGES`.
        zone: In which moments are shown.
        given: Says what a configuration wants said of an event instead of our title or summary; None: our own words.
        called: What a configuration calls stages, by the API's names for them.
    """

    language: Language = "en"
    zone: tzinfo = UTC
    given: "Callable[[Event, Slot, Words], str | None] | None" = None
    called: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def phrases(self) -> Phrases:
        """What the language has to say."""
        return LANGUAGES[self.language]

    def title(self, event: Event) -> str:
        """The cluster and what happened, in a few words."""
        if self.given and (said := self.given(event, "title", self)):
            return said
        headline = self._telling(event).headline.format(**self._parts(event))
        return self.phrases.title.format(cluster=event.cluster.name, headline=headline)

    def summary(self, event: Event) -> str:
        """One line for a person, without the cluster's name in front."""
        if self.given and (said := self.given(event, "summary", self)):
            return said
        return self._telling(event).summary.format(**self._parts(event))

    def facts(self, event: Event) -> tuple[tuple[str, str], ...]:
        """Label and value pairs that a sink may show below the summary."""
        phrases = self.phrases
        labels = phrases.labels
        rows: list[tuple[str, str | None]] = [(labels.sink, event.sink.name)] if event.sink else []
        if event.sink is None:
            rows = [
                (labels.cluster, event.cluster.name + phrases.around.aside.format(text=event.cluster.id)),
                (labels.region, event.cluster.region),
            ]
        if task := event.task:
            completed = phrases.completed.format(done=len(task.nodes.completed), total=task.nodes.total)
            rows += [
                (labels.action, self.work(task)),
                (labels.target, task.target),
                (labels.status, self.status(task.status)),
                (labels.attempt, str(task.attempt)),
                (labels.nodes, completed),
                (labels.in_flight, phrases.listing.join(task.nodes.in_flight)),
                (labels.message, task.fail_message),
                (labels.task, task.id),
            ]
        rows += [
            (labels.remedy, time_words.advice(phrases, event)),
            (labels.node, event.node),
            (labels.stage, self.stage(event.stage.name) if event.stage else None),
            (labels.seen, self.moment(event.observed_at)),
        ]
        return tuple((label, value) for label, value in rows if value)

    def remarks(self, message: Message) -> tuple[str, ...]:
        """What is to be known of the telling, a sentence each: that it is late, that others got lost, that it may be a repeat."""
        phrases = self.phrases
        said = [
            phrases.late.format(span=self.span(message.late_by)) if message.late_by else "",
            phrases.skipped.format(count=message.skipped) if message.skipped else "",
            phrases.repeat if message.may_repeat else "",
            phrases.reminder.format(count=message.reminder) if message.reminder else "",
        ]
        return tuple(filter(None, said))

    def earlier(self, message: Message, most: int) -> tuple[str, ...]:
        """What is told along, a line each: the newest ``most``, below a word that says what they are."""
        if not message.earlier:
            return ()
        left = len(message.earlier) - most
        more = (self.phrases.more_told.format(count=left),) if left > 0 else ()
        lines = (f"{self.moment(event.time)} {self.summary(event)}" for event in message.earlier[-most:])
        return (self.pair(self.before(message), "").rstrip(), *more, *lines)

    def before(self, message: Message) -> str:
        """What stands above that."""
        return self.phrases.before.format(count=len(message.earlier))

    def marked(self, message: Message) -> str:
        """The title, with its mark in front of it where it is no news."""
        return self.mark(message) + message.title

    def mark(self, message: Message) -> str:
        """What stands in front of a title if it is no news."""
        around, mark = self.phrases.around, message.mark
        return around.mark.format(mark=around.marks.get(mark, mark)) if mark else ""

    def no_news(self, message: Message) -> str:
        """The same as a sentence; nothing in earnest."""
        return self.phrases.around.no_news.get(message.mark or "", "")

    def line(self, message: Message) -> str:
        """Mark, title and summary on one line."""
        return self.phrases.around.line.format(title=self.marked(message), summary=message.summary)

    def together(self, *sentences: str) -> str:
        """Sentences one behind the other."""
        return self.phrases.around.gap.join(filter(None, sentences))

    def pair(self, label: str, value: str) -> str:
        """A label and what it is of."""
        return self.phrases.around.pair.format(label=label, value=value)

    def severity(self, severity: Severity) -> str:
        """What a severity is called."""
        return self.phrases.around.severities[severity]

    def task(self, task: TaskFacts | None) -> str:
        """What is done to the cluster and with which target, as a heading."""
        work = self.work(task)
        return self.phrases.to.format(work=work, target=task.target) if task and task.target else work

    def of_nodes(self, task: TaskFacts) -> str:
        """How many of its nodes are done."""
        return self.phrases.of_nodes.format(done=len(task.nodes.completed), total=task.nodes.total)

    def forecast(self, eta: Eta) -> str:
        """When it will end, as a sentence."""
        return time_words.forecast(self, eta, self.phrases.time.forecast)

    def detail(self, detail: str) -> str:
        """Why something failed: what of it is ours in this language, the rest as a quotation."""
        return details.said(self.phrases.details, self.span, detail)

    def fate(self, state: str, detail: str) -> str:
        """Why somebody was not told, by what became of the delivery."""
        if state != "silenced":
            return self.phrases.failures.get(detail) or self.detail(detail)
        who, colon, rest = detail.partition(": ")  # As `Silence.words` has it.
        why, bracket, silence = rest.rpartition(" (")
        if not (colon and bracket):
            return detail
        return self.pair(who, self.wish(why)) + self.phrases.around.aside.format(text=silence.removesuffix(")"))

    def wish(self, reason: str) -> str:
        """Why somebody wants to hear nothing: our words for a button in this language, a person's as they are."""
        return details.ours(self.phrases.details, self.span, reason) or reason

    def work(self, task: TaskFacts | None) -> str:
        """What is done to the cluster, as it stands in the middle of a sentence."""
        if task is None:
            return self.phrases.work
        return self.phrases.migration if task.action is Action.AZ_MIGRATION else self.phrases.upgrade

    def stage(self, name: str) -> str:
        """A stage's name as people call it; the API's own where it is not known."""
        return self.called.get(name) or self.phrases.stages.get(name, name)

    def numbered(self, order: int | None, name: str) -> str:
        """The same with its number."""
        return f"{order} {self.stage(name)}"

    def status(self, status: str) -> str:
        """A status of a task or a stage as people call it; the API's own where it is not known."""
        return self.phrases.statuses.get(status, status)

    def reason(self, outage: Outage) -> str:
        """Why a cluster cannot be watched, in a word."""
        return self.phrases.reasons.get(outage.reason, outage.reason)

    def outage(self, said: str) -> str:
        """The reason and the detail of an outage, where they stand together as `timeline.Span` has them."""
        reason, _, detail = said.partition(": ")
        called = self.phrases.reasons.get(reason)
        return said if called is None else self.pair(called, self.detail(detail))

    def moment(self, at: datetime) -> str:
        """A moment in the reader's zone, with the zone's name.

        >>> Words().moment(datetime(2026, 3, 1, 8, tzinfo=UTC))
        '2026-03-01 08:00:00 UTC'
        """
        return at.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S %Z")

    def minute(self, at: datetime) -> str:
        """A moment to the minute: a forecast knows no seconds."""
        return at.astimezone(self.zone).strftime("%Y-%m-%d %H:%M %Z")

    def basis(self, said: str) -> str:
        """What a forecast rests on: `model.Eta.basis` in this language."""
        return time_words.basis(self.phrases, said)

    def span(self, length: timedelta) -> str:
        """A length of time as a person says it: the two largest units.

        >>> Words().span(timedelta(hours=2, minutes=5, seconds=7))
        '2 h 5 min'
        """
        seconds = max(int(length.total_seconds()), 0)
        days, rest = divmod(seconds, 86400)
        hours, rest = divmod(rest, 3600)
        minutes, seconds = divmod(rest, 60)
        units = self.phrases.units
        spoken = [f"{count} {unit}" for count, unit in zip((days, hours, minutes, seconds), units, strict=True) if count][:2]
        return " ".join(spoken) or f"0 {units[-1]}"

    def _telling(self, event: Event) -> Telling:
        if event.kind is Kind.SINK_RECOVERED and event.sink is not None and event.sink.reason is not None:
            return self.phrases.removed
        return self.phrases.found if event.catch_up else self.phrases.tellings[event.kind]

    def _parts(self, event: Event) -> dict[str, str]:
        """What a `Telling` may name; what is absent is nothing."""
        phrases, task = self.phrases, event.task
        work = self.work(task)
        return {
            "work": work,
            "Work": work[:1].upper() + work[1:],
            "towards": phrases.towards.format(target=task.target) if task and task.target else "",
            "attempt": str(task.attempt) if task else "?",
            "standing": self._standing(event),
            "cause": phrases.cause.format(message=task.fail_message) if task and task.fail_message else "",
            "node": event.node or "?",
            "project": event.cluster.project,
            "stage": self._stage(event.stage),
            "took": self._took(event.stage),
            **time_words.parts(self, event),
            **self._outage(event.outage, event.time),
            **(self._sink(event.sink, event.time) if event.sink else {}),
        }

    def _standing(self, event: Event) -> str:
        if event.task is None or not event.task.nodes.total:
            return ""
        share = "" if event.progress is None else self.phrases.share.format(percent=f"{event.progress:.0%}")
        return self.phrases.standing.format(nodes=self.of_nodes(event.task), share=share)

    def _stage(self, stage: Stage | None) -> str:
        if stage is None:
            return self.phrases.a_stage
        return self.phrases.stage.format(order=stage.order, name=self.stage(stage.name))

    def _took(self, stage: Stage | None) -> str:
        if stage is None or stage.began_at is None or stage.ended_at is None or stage.ended_at < stage.began_at:
            return ""
        return self.phrases.took.format(span=self.span(stage.ended_at - stage.began_at))

    def _outage(self, outage: Outage | None, now: datetime) -> dict[str, str]:
        if outage is None:
            return {"sink": "?", **dict.fromkeys(("since", "blame", "without", "after", "waiting", "lost"), "")}
        phrases = self.phrases
        return {
            "since": phrases.since.format(moment=self.moment(outage.since)),
            "blame": phrases.blame.format(reason=self.reason(outage), detail=self.detail(outage.detail)),
            "without": phrases.without.format(span=self.span(now - outage.since)),
        }

    def _sink(self, sink: SinkFacts, now: datetime) -> dict[str, str]:
        phrases, reason = self.phrases, sink.reason or ""
        waiting = phrases.waiting if reason else phrases.followed
        merged = phrases.merged.format(count=sink.merged) if sink.merged and not reason else ""
        why = self.detail(sink.detail or "")
        blame = phrases.blame.format(reason=phrases.failures.get(reason, reason), detail=why) if reason else ""
        return {
            "sink": sink.name,
            "since": phrases.since.format(moment=self.moment(sink.since)),
            "blame": blame,
            "after": phrases.after.format(span=self.span(now - sink.since)),
            "waiting": (waiting.format(count=sink.waiting) if sink.waiting else "") + merged,
            "lost": phrases.lost.format(count=sink.lost) if sink.lost else "",
        }
