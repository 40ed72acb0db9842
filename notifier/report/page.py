"""The end report of a task as one HTML file that needs nothing else: no script, no style, no picture from anywhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from notifier import __version__
from notifier.domain.dossier import Dossier, Told, audiences
from notifier.domain.message import Report
from notifier.domain.model import Event
from notifier.domain.plain_text import one_line
from notifier.domain.review import forecasts, slowest
from notifier.domain.timeline import Span, Timeline, timeline
from notifier.domain.words import Words
from notifier.report.pen import stylesheet
from notifier.report.picture import NARROW, WIDTH, headline, picture
from notifier.report.report_words import LANGUAGES, ReportWords

Lines = list[tuple[str, ...]]

MOST_TOLD = 2000
"""Notifications that are listed one by one."""

_templates = Environment(
    loader=PackageLoader("notifier.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def report(dossier: Dossier, words: Words, now: datetime, *, brought: bool = False) -> Report | None:
    """Make the report of a task.

    Args:
        dossier: All that is kept of it.
        words: In which language and zone.
        now: UTC.
        brought: Whether a message brings it along: its picture is narrow, and who was told is only being found out.

    Returns:
        None where nothing is kept of it. There is no PNG in it yet.
    """
    line = timeline(dossier.events, now)
    if line is None:
        return None
    say = LANGUAGES[words.language]
    page = _Page(dossier, line, words, say)
    svg = picture(line, words, width=NARROW if brought else WIDTH)
    title = headline(line, words)
    html = _templates.get_template("report.html").render(
        say=say,
        title=one_line(title),
        # In the page the picture stands on the page's ground; ElementTree wrote it, so it is no string that needs escaping.
        picture=Markup(picture(line, words, alone=False)),  # noqa: S704 - see above
        sheet=Markup(stylesheet()),  # noqa: S704 - ours
        over=line.ended is not None,
        troubles=list(page.troubles()),
        slow=page.slow(),
        forecasts=page.forecasts(),
        tells=not brought,
        audiences=[] if brought else page.audiences(),
        told=[] if brought else page.told(),
        told_count=len(dossier.told),
        silences=page.silences(),
        made=say.made.format(version=__version__, moment=words.moment(now)),
    )
    return Report(title, svg, html)


@dataclass(frozen=True, slots=True)
class _Page:
    """The tables of a report, cell by cell."""

    dossier: Dossier
    line: Timeline
    words: Words
    say: ReportWords

    def troubles(self) -> Iterator[tuple[str, str, str]]:
        """When, what, and more about it, in the order of time."""
        line, say = self.line, self.say
        found: list[tuple[datetime, str, str]] = []
        for failure in line.failures:
            stage = self.words.numbered(failure.stage.order, failure.stage.name) if failure.stage else None
            found.append((failure.at, say.failed, self._joined(failure.node, stage, failure.message)))
        found += [(attempt.began, say.retried.format(number=attempt.number), "") for attempt in line.attempts[1:]]
        found += [self._lasting(span, say.stalled) for span in line.stalls]
        found += [self._lasting(span, say.outage) for span in line.outages]
        if line.unwatched:
            found.append(self._lasting(line.unwatched, say.unwatched))
        for at, what, more in sorted(found, key=lambda trouble: trouble[0]):
            yield self.words.moment(at), what, more

    def _lasting(self, span: Span, text: str) -> tuple[datetime, str, str]:
        length = self.words.span((span.ended or self.line.until) - span.began)
        return (
            span.began,
            text.format(span=length),
            self._joined(self.words.outage(span.detail), None if span.ended else self.say.still),
        )

    def slow(self) -> Lines:
        """See `ReportWords.slow_columns`."""
        lines: Lines = []
        for slow in slowest(self.line, self.dossier.elsewhere):
            usual = self.words.span(slow.usual) if slow.usual is not None else "-"
            ratio = self.say.times.format(times=slow.times) if slow.times is not None else ""
            compared = f"{ratio} (n={slow.samples})" if slow.samples else self.say.first_of_its_kind
            lasts = self.say.still if slow.lasts else None
            lines.append(
                (
                    self.words.numbered(slow.order, slow.name),
                    slow.node,
                    self._joined(self.words.span(slow.took), lasts),
                    usual,
                    compared.strip(),
                )
            )
        return lines

    def forecasts(self) -> Lines:
        """See `ReportWords.forecast_columns`."""
        lines: Lines = []
        for made in forecasts(self.dossier.events, self.line):
            held = self.say.missed.format(span=self.words.span(made.missed_by)) if made.missed_by else self.say.held
            at, earliest, latest = (self.words.moment(moment) for moment in (made.at, made.earliest, made.latest))
            off = (self.say.later if made.late > timedelta() else self.say.earlier).format(span=self.words.span(abs(made.late)))
            lines.append((f"{made.share:.0%}", at, self.words.span(made.left), earliest, latest, held, off))
        return lines

    def audiences(self) -> Lines:
        """See `ReportWords.told_columns`."""
        return [
            (
                each.sink,
                *(str(count) for count in (each.arrived, each.silenced, each.waiting, each.dead, each.tries)),
                self._span(each.usual),
                self._span(each.longest),
            )
            for each in audiences(self.dossier)
        ]

    def told(self) -> Lines:
        """See `ReportWords.every_columns`."""
        events = self.dossier.by_id
        return [self._told(told, events[told.event]) for told in self.dossier.told[:MOST_TOLD] if told.event in events]

    def _told(self, told: Told, event: Event) -> tuple[str, ...]:
        state = self.say.states.get(told.state, told.state)
        along = self.say.along if told.along else None
        why = None if told.state == "delivered" else self.words.fate(told.state, told.detail or told.reason or "")
        return (
            self.words.moment(event.time),
            self.words.summary(event),
            told.sink,
            self._joined(state, along, why),
            str(told.tries),
            self._span(told.latency),
        )

    def silences(self) -> Lines:
        """See `ReportWords.silence_columns`."""
        return [
            (
                silence.author,
                self.say.acknowledged if silence.reminders_only else self.say.silenced,
                self.words.moment(silence.starts_at),
                self.words.moment(silence.ends_at),
                self.words.wish(silence.reason),
            )
            for silence in self.dossier.silences
        ]

    def _span(self, length: timedelta | None) -> str:
        if length is None:
            return "-"
        return (
            f"{length.total_seconds():.1f} {self.words.phrases.units[-1]}"
            if length < timedelta(minutes=1)
            else self.words.span(length)
        )

    @staticmethod
    def _joined(*parts: str | None) -> str:
        return " · ".join(filter(None, parts))
