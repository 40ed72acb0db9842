"""The timeline of a task as one self-contained SVG: nodes below each other, time from left to right.

Nothing is said by colour alone: what failed is hatched and crossed, what nobody saw is dashed, what runs ends in an arrow.

Long, because all of it shares one set of measures.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any
from xml.etree.ElementTree import Element

from notifier.domain.node_rows import Bar, Outcome, Row
from notifier.domain.timeline import Span, Timeline
from notifier.domain.words import Words
from notifier.report.axis import Axis
from notifier.report.choice import chosen
from notifier.report.pen import canvas, cross, draw, fitted, sign, stylesheet, wide, written
from notifier.report.picture_words import LANGUAGES, PictureWords

WIDTH = 1200.0
NARROW = 680.0
"""For a mail, which is 590 pixels wide: writing is smaller there by an eighth, and not by half."""

MARGIN = 24.0
NAMES = 46.0
LENGTHS = 108.0
"""Where names begin, and how much room lengths have at the right; the chart lies between."""

MOST_FAILURES = 4
TOP = 112.0
LANE = 26.0
FEW = 24
"""Up to so many rows are tall."""

SEAM = 0.8
"""Between one bar and the next."""

TICKS_APART = 92.0
SLIMMEST = 1.6
"""The least width of a bar, so that seconds in a day are seen."""


def picture(timeline: Timeline, words: Words, *, alone: bool = True, width: float = WIDTH) -> str:
    """Draw a timeline.

    Args:
        timeline: Of one task.
        words: In which language and zone.
        alone: True for a file: it has a ground, and colours for dark surroundings. False for a part of a page, which brings its
            own ground and links `pen.stylesheet`.
        width: At its own size.

    Returns:
        SVG, well-formed whatever the names are.
    """
    return written(_Picture(timeline, words, LANGUAGES[words.language], width).drawn(alone=alone))


def headline(line: Timeline, words: Words) -> str:
    """The cluster and what is done to it."""
    say = LANGUAGES[words.language]
    action = say.actions[line.task.action]
    work = say.towards.format(action=action, target=line.task.target) if line.task.target else action
    return f"{line.cluster.name} · {work}"


@dataclass
class _Picture:
    """One picture under way."""

    line: Timeline
    words: Words
    say: PictureWords
    width: float
    used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        line = self.line
        edge = max(line.until, line.eta.latest) if line.eta else line.until
        self.title = headline(line, self.words)
        self.left, self.right = (236.0 if self.width > NARROW else 190.0), self.width - LENGTHS
        self.axis = Axis(line.began, edge, self.left, self.right)
        self.shown, self.hidden = chosen(line.rows)
        self.height = LANE if len(self.shown) <= FEW else 19.0
        self.notes = sorted([*line.stalls, *line.outages, *filter(None, [line.unwatched])], key=lambda span: span.began)
        self.rows_top = TOP + LANE * (2 if self.notes else 1) + 6
        self.rows_end = self.rows_top + self.height * max(len(self.shown), 1)
        self.hatch = f"tl-{sha256(line.task.id.encode(errors='replace')).hexdigest()[:10]}"

    def drawn(self, *, alone: bool) -> Element:
        """The whole of it. The height is known once everything is placed, so it is put in last."""
        svg = canvas(self.width, 0.0)
        draw(svg, "title", text=self.title)
        draw(svg, "desc", text=self._subtitle())
        if alone:
            draw(svg, "style", text=stylesheet())
        self._pattern(svg)
        ground = draw(svg, "rect", "paper", width=self.width) if alone else None
        draw(svg, "text", "title", fitted(self.title, 18, self.width - 2 * MARGIN), x=MARGIN, y=36.0)
        for y, text in self._below():
            draw(svg, "text", "quiet", fitted(text, 12, self.width - 2 * MARGIN), x=MARGIN, y=y)
        for place in range(1, len(self.shown), 2):
            y = self.rows_top + place * self.height
            draw(svg, "rect", "band", x=MARGIN, y=y, width=self.width - 2 * MARGIN, height=self.height)
        self._ticks(svg)
        self._spans(svg)
        self._attempts(svg)
        for place, row in enumerate(self.shown):
            self._row(svg, row, self.rows_top + place * self.height)
        self._moments(svg)
        bottom = self._foot(svg, self.rows_end)
        svg.set("height", f"{bottom:g}")
        svg.set("viewBox", f"0 0 {self.width:g} {bottom:g}")
        if ground is not None:
            ground.set("height", f"{bottom:g}")
        return svg

    def _below(self) -> list[tuple[float, str]]:
        """What stands below the title: in one line, or its times in a second."""
        whole = self._subtitle()
        if wide(whole, 12) <= self.width - 2 * MARGIN:
            return [(57.0, whole)]
        first, _, times = whole.rpartition(" · ")
        return [(54.0, first), (70.0, times)]

    def _subtitle(self) -> str:
        line, task = self.line, self.line.task
        parts = [
            self.say.task_outcomes[line.outcome].format(span=self.words.span(line.until - line.began)),
            self.say.nodes.format(done=len(task.nodes.completed), total=task.nodes.total),
            self.say.attempts.format(count=line.attempts[-1].number) if line.attempts[-1].number > 1 else "",
            f"{self.words.moment(line.began)} → {self.words.moment(line.ended) if line.ended else self.say.now}",
        ]
        return " · ".join(filter(None, parts))

    def _pattern(self, svg: Element) -> None:
        shape: dict[str, Any] = {"width": 6.0, "height": 6.0, "patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)"}
        pattern = draw(draw(svg, "defs"), "pattern", id=self.hatch, **shape)
        draw(pattern, "path", "hatch", d="M0 0V6", stroke_opacity="0.45")

    def _ticks(self, svg: Element) -> None:
        zone = self.words.zone
        name = self.line.began.astimezone(zone).tzname() or ""
        draw(svg, "text", "small", name, x=NAMES, y=TOP - 14)
        for tick in self.axis.ticks(zone, TICKS_APART):
            draw(svg, "path", "rule", d=f"M{tick.x:g} {TOP - 8:g}V{self.rows_end:g}")
            draw(svg, "text", "small", tick.clock, x=tick.x, y=TOP - 14, text_anchor="middle")
            if tick.date:
                draw(svg, "text", "small", tick.date, x=tick.x, y=TOP - 28, text_anchor="middle")
            if len(self.shown) > FEW:
                draw(svg, "text", "small", tick.clock, x=tick.x, y=self.rows_end + 16, text_anchor="middle")

    def _spans(self, svg: Element) -> None:
        """What lay across the rows: outages over all of them; stalls and the time before the watch in a lane of their own."""
        y = TOP + LANE
        for span in self.line.outages:
            x, width = self._place(span.began, span.ended)
            draw(svg, "rect", "outage", x=x, y=y + 3, width=width, height=self.rows_end - y - 3)
            draw(svg, "path", "outage-line", d=f"M{x:g} {y:g}V{self.rows_end:g}M{x + width:g} {y:g}V{self.rows_end:g}")
            self.used.add("outage")
        if (eta := self.line.eta) is not None:
            x, width = self._place(eta.earliest, eta.latest)
            drawn = draw(svg, "rect", "eta", x=x, y=TOP + 3, width=width, height=LANE - 6)
            draw(
                drawn,
                "title",
                text=self.words.pair(self.say.eta, f"{self.words.moment(eta.earliest)} → {self.words.moment(eta.latest)}"),
            )
            self.used.add("eta")
        edges = [*(self.axis.x(span.began) for span in self.notes[1:]), self.right]
        for span, edge in zip(self.notes, edges, strict=False):
            self._note(svg, span, y, edge)

    def _note(self, svg: Element, span: Span, y: float, edge: float) -> None:
        """What lay across the rows, in words: in its box or right of it, as far as ``edge``; else where one points at it."""
        line = self.line
        x, width = self._place(span.began, span.ended)
        length = self.words.span((span.ended or line.until) - span.began)
        if span in line.stalls:
            drawn = draw(svg, "rect", "stall", x=x, y=y + 5, width=width, height=LANE - 10, rx=2)
            text = self.say.no_progress.format(span=length)
            self.used.add("stall")
        elif span is line.unwatched:
            drawn = draw(svg, "rect", "unseen", x=x, y=y + 5, width=width, height=LANE - 10, rx=2)
            text = self.say.unwatched
        else:
            drawn = draw(svg, "rect", "outage", x=x, y=y + 5, width=width, height=LANE - 10)
            text = self.say.no_data.format(span=length)
        draw(drawn, "title", text=" · ".join(filter(None, [text, self.words.outage(span.detail)])))
        ink = "warning" if span in line.stalls else "small"
        for said in (text, length):
            needed = wide(said, 10.5)
            start = x + 5 if needed < min(width, edge - x) - 8 else x + width + 5
            if start + needed < edge:
                draw(svg, "text", ink, said, x=start, y=y + 17)
                break

    def _attempts(self, svg: Element) -> None:
        draw(svg, "text", "text", self.say.whole, x=NAMES, y=TOP + 17, font_weight="600")
        sign(svg, self.line.outcome, MARGIN + 11, TOP + LANE / 2)
        self._length(svg, self.line.began, self.line.ended, TOP + 17)
        for attempt in self.line.attempts:
            x, width = self._place(attempt.began, attempt.ended)
            text = f"{self.say.attempt.format(number=attempt.number)} · {self.say.outcomes[attempt.outcome]}"
            drawn = self._box(svg, attempt.outcome, (x, TOP + 4, width, LANE - 8), running=attempt.ended is None)
            draw(drawn, "title", text=text)
            self._label(svg, [text, str(attempt.number)], attempt.outcome, (x, TOP + 17, width))

    def _row(self, svg: Element, row: Row, y: float) -> None:
        middle = y + self.height / 2
        draw(svg, "text", "text", fitted(row.node, 12, self.left - NAMES - 14), x=NAMES, y=middle + 4)
        sign(svg, row.outcome, MARGIN + 11, middle)
        over_before = self.line.unwatched is not None and row.ended == self.line.unwatched.ended
        if not over_before:  # How long that took nobody knows.
            self._length(svg, row.began, row.ended, middle + 4)
        for bars in self._together(row.bars):
            self._bar(svg, bars, y)

    def _together(self, bars: Sequence[Bar]) -> Iterator[list[Bar]]:
        """The bars one by one, but those that succeeded in a row and are too slim to be seen as one."""
        slim: list[Bar] = []
        for bar in bars:
            if bar.outcome is Outcome.SUCCEEDED and self._place(bar.began, bar.ended)[1] <= SLIMMEST:
                slim.append(bar)
                continue
            if slim:
                yield slim
                slim = []
            yield [bar]
        if slim:
            yield slim

    def _bar(self, svg: Element, bars: Sequence[Bar], y: float) -> None:
        """One bar; of several that are drawn as one, from the first to the last."""
        bar, ended = bars[0], bars[-1].ended
        x, width = self._place(bar.began, ended)
        pad = self.height / 7
        box = (x, y + pad, width - SEAM if width > 4 * SEAM else width, self.height - 2 * pad)
        running = ended is None and bar.outcome is Outcome.RUNNING
        drawn = self._box(svg, bar.outcome, box, running=running, odd=(bar.order or 0) % 2 == 1)
        name = self.words.numbered(bar.order, bar.name) if bar.order is not None else self.say.unseen_stages
        names = [name, self.words.stage(bar.name), str(bar.order)] if bar.order is not None else [name]
        if len(bars) > 1:
            name = self.say.together.format(first=name, last=self.words.numbered(bars[-1].order, bars[-1].name))
            names = [f"{bar.order}-{bars[-1].order}"]
        outcome = (
            self.say.end_unseen if bar.order is not None and bar.outcome is Outcome.UNSEEN else self.say.outcomes[bar.outcome]
        )
        length = self.words.span((ended or self.line.until) - bar.began)
        times = f"{self.words.moment(bar.began)} → {self.words.moment(ended) if ended else self.say.now}"
        parts = [name, outcome if bar.order is not None else "", length, times, self.say.attempt.format(number=bar.attempt)]
        draw(drawn, "title", text=" · ".join(filter(None, parts)))
        self._label(svg, names, bar.outcome, (x, y + self.height / 2 + 4, width))

    def _box(
        self, svg: Element, outcome: Outcome, at: tuple[float, float, float, float], *, running: bool, odd: bool = False
    ) -> Element:
        """A bar as its outcome is drawn; ``at`` is x, y, width and height."""
        x, y, width, height = at
        self.used.add(outcome.value)
        shape: dict[str, Any] = {"x": x, "y": y, "width": width, "height": height}
        ink = "succeeded-too" if odd and outcome is Outcome.SUCCEEDED else outcome.value
        if running and width > 2 * height:
            half = height / 2
            d = f"M{x:g} {y:g}H{x + width - half:g}L{x + width:g} {y + half:g}L{x + width - half:g} {y + height:g}H{x:g}Z"
            return draw(svg, "path", ink, d=d)
        drawn = draw(svg, "rect", ink, **shape)
        if outcome is Outcome.FAILED:
            return draw(svg, "rect", None, fill=f"url(#{self.hatch})", **shape)
        return drawn

    def _label(self, svg: Element, texts: Sequence[str], outcome: Outcome, at: tuple[float, float, float]) -> None:
        """The first of the texts that fits into a bar; ``at`` is x, baseline and width."""
        x, y, width = at
        text = next((text for text in texts if wide(text, 11) <= width - 6), None)
        if text is not None:
            ink = {Outcome.FAILED: "on-failed", Outcome.UNSEEN: "small"}.get(outcome, "on-bar")
            draw(svg, "text", ink, text, x=x + width / 2, y=y, text_anchor="middle", pointer_events="none")

    def _length(self, svg: Element, began: datetime, ended: datetime | None, y: float) -> None:
        text = self.words.span((ended or self.line.until) - began)
        draw(svg, "text", "quiet", text, x=self.width - MARGIN, y=y, text_anchor="end")

    def _moments(self, svg: Element) -> None:
        for attempt in self.line.attempts[1:]:
            x = self.axis.x(attempt.began)
            draw(svg, "path", "retry", d=f"M{x:g} {TOP:g}V{self.rows_end:g}")
            self.used.add("retry")
        if self.line.ended is None:
            x = self.axis.x(self.line.now)
            draw(svg, "path", "now", d=f"M{x:g} {TOP - 8:g}V{self.rows_end + 4:g}")
            draw(svg, "text", "small", self.say.now, x=x, y=self.rows_end + 16, text_anchor="middle")

    def _foot(self, svg: Element, y: float) -> float:
        """What stands below the rows; where it ends."""
        y += 34
        if self.hidden:
            counts = Counter(row.outcome for row in self.hidden)
            what = ", ".join(f"{count} {self.say.outcomes[outcome]}" for outcome, count in counts.items())
            draw(svg, "text", "text", self.say.more.format(count=len(self.hidden), what=what), x=NAMES, y=y)
            y += 22
        left = self.line.task.nodes.total - len(self.line.rows)
        if left > 0:
            draw(svg, "text", "quiet", self.say.to_come.format(count=left), x=NAMES, y=y)
            y += 22
        for failure in self.line.failures[:MOST_FAILURES]:
            stage = self.words.numbered(failure.stage.order, failure.stage.name) if failure.stage else None
            said = [self.words.moment(failure.at), failure.node, stage, failure.message]
            cross(svg, MARGIN + 11, y - 4)
            for text in self._folded([part for part in said if part]):
                draw(svg, "text", "text", fitted(text, 12, self.width - MARGIN - NAMES), x=NAMES, y=y)
                y += 17
            y += 3
        y = self._stages(svg, y + 4)
        return self._legend(svg, y + 8)

    def _folded(self, parts: Sequence[str]) -> list[str]:
        """What belongs together, in one line, or the last of it, which may be long, in a second."""
        whole = " · ".join(parts)
        return [whole] if wide(whole, 12) <= self.width - MARGIN - NAMES else [" · ".join(parts[:-1]), parts[-1]]

    def _stages(self, svg: Element, y: float) -> float:
        """What the numbers in the bars mean."""
        names = {bar.order: bar.name for row in self.line.rows for bar in row.bars if bar.order is not None}
        lines: list[str] = []
        for order, name in sorted(names.items()):
            each = f"{order} {fitted(self.words.stage(name), 10.5, 260)}"
            joined = f"{lines[-1]} · {each}" if lines else self.words.pair(self.say.stages, each)
            if lines and wide(joined, 10.5) > self.width - NAMES - MARGIN:
                lines.append(each)
            else:
                lines[-1:] = [joined]
        for number, text in enumerate(lines):
            draw(svg, "text", "small", text, x=NAMES, y=y + 16 * number)
        return y + 16 * len(lines)

    def _legend(self, svg: Element, y: float) -> float:
        x = NAMES
        entries = [(outcome.value, self.say.outcomes[outcome]) for outcome in Outcome]
        entries += [("stall", self.say.legend_stall), ("outage", self.say.legend_outage)]
        entries += [("eta", self.say.eta), ("retry", self.say.legend_retry)]
        for ink, text in entries:
            if ink not in self.used:
                continue
            if x > NAMES and x + 29 + wide(text, 10.5) > self.width - MARGIN:
                x, y = NAMES, y + 18
            if ink == "retry":
                draw(svg, "path", ink, d=f"M{x + 11:g} {y - 10:g}v14")
            else:
                drawn: dict[str, Any] = {"x": x, "y": y - 9, "width": 22.0, "height": 12.0}
                draw(svg, "rect", ink, **drawn)
                if ink == Outcome.FAILED:
                    draw(svg, "rect", None, fill=f"url(#{self.hatch})", **drawn)
            draw(svg, "text", "small", text, x=x + 29, y=y + 1)
            x += 29 + wide(text, 10.5) + 22
        return y + 22

    def _place(self, began: datetime, ended: datetime | None) -> tuple[float, float]:
        """Left edge and width of a stretch of time."""
        x = self.axis.x(began)
        return x, max(round(self.axis.x(ended or self.line.until) - x, 2), SLIMMEST)
