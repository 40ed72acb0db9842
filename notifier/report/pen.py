"""What a picture is drawn with: SVG elements, colours by class, the width of a text.

Every element carries its class and, as presentation attributes, the colours of a light page: it is right by itself, a sheet of
styles may change it (styles beat presentation attributes), and nothing in it is refused by ``style-src 'self'``. Text is escaped
by the XML writer, so that a hostile name stays a name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from unicodedata import east_asian_width
from xml.etree.ElementTree import Element, SubElement, tostring

from notifier.domain.node_rows import Outcome
from notifier.domain.plain_text import one_line

NAMESPACE = "http://www.w3.org/2000/svg"
SANS = "Seravek, Ubuntu, Calibri, 'DejaVu Sans', 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
PREFIX = "tl-"
"""Before each class, so that a page's own classes are not meant."""


@dataclass(frozen=True, slots=True)
class Ink:
    """How a class is painted, on a light and on a dark page; ``fill`` and ``stroke`` are (light, dark)."""

    fill: tuple[str, str] | None = None
    stroke: tuple[str, str] | None = None
    more: Mapping[str, str] = field(default_factory=dict)


PAPER, INK, QUIET, RULE = ("#ffffff", "#172120"), ("#16211f", "#e6edea"), ("#56635f", "#9baaa5"), ("#d6dedb", "#2b3836")
GOOD, GOOD_TOO = ("#2c6b3f", "#7cc593"), ("#4c8d60", "#5aa373")
LIVE, BAD, WARN = ("#0b6770", "#5cc4cd"), ("#b3261e", "#ff8f85"), ("#8a5a00", "#e5b04d")
BAD_WASH, WARN_WASH, DARK_WASH = ("#f6d5d1", "#55302c"), ("#f5e5c3", "#4a3a17"), ("#e3e9e7", "#273331")

INKS: Mapping[str, Ink] = {
    "paper": Ink(PAPER),
    "band": Ink(("#f4f6f5", "#1c2726")),
    "title": Ink(INK, more={"font-size": "18", "font-weight": "600"}),
    "text": Ink(INK, more={"font-size": "12"}),
    "quiet": Ink(QUIET, more={"font-size": "12"}),
    "small": Ink(QUIET, more={"font-size": "10.5"}),
    "warning": Ink(WARN, more={"font-size": "10.5", "font-weight": "600"}),
    "rule": Ink(stroke=RULE, more={"stroke-width": "1"}),
    "now": Ink(stroke=INK, more={"stroke-width": "1.5"}),
    "retry": Ink(stroke=WARN, more={"stroke-width": "1.5", "stroke-dasharray": "5 3"}),
    "succeeded": Ink(GOOD),
    "succeeded-too": Ink(GOOD_TOO),
    "failed": Ink(BAD_WASH, BAD, {"stroke-width": "1.5"}),
    "hatch": Ink(stroke=BAD, more={"stroke-width": "2"}),
    "running": Ink(LIVE),
    "unseen": Ink(PAPER, QUIET, {"stroke-width": "1", "stroke-dasharray": "3 2.5"}),
    "stall": Ink(WARN_WASH, WARN, {"stroke-width": "1"}),
    "outage": Ink(DARK_WASH),
    "outage-line": Ink(stroke=QUIET, more={"stroke-width": "1", "stroke-dasharray": "1.5 4"}),
    "eta": Ink(DARK_WASH, LIVE, {"stroke-width": "1", "stroke-dasharray": "6 3"}),
    "on-bar": Ink(PAPER, more={"font-size": "11"}),
    "on-failed": Ink(BAD, more={"font-size": "11", "font-weight": "600"}),
    "sign-good": Ink(stroke=GOOD, more={"stroke-width": "2", "stroke-linecap": "round"}),
    "sign-bad": Ink(stroke=BAD, more={"stroke-width": "2", "stroke-linecap": "round"}),
    "sign-live": Ink(LIVE),
    "sign-quiet": Ink(stroke=QUIET, more={"stroke-width": "1.5", "stroke-dasharray": "2 2"}),
}


def stylesheet() -> str:
    """The colours of a picture on a dark page, for a page that holds pictures and for a picture that is a file."""
    dark = []
    for name, ink in INKS.items():
        parts = [f"{what}:{pair[1]}" for what, pair in (("fill", ink.fill), ("stroke", ink.stroke)) if pair]
        dark.append(f".{PREFIX}{name}{{{';'.join(parts)}}}")
    return f"@media (prefers-color-scheme: dark){{{''.join(dark)}}}"


def draw(parent: Element, tag: str, ink: str | None = None, text: str | None = None, **attributes: object) -> Element:
    """Add an element. ``ink`` is one of `INKS`; an underscore in an attribute's name is a hyphen."""
    given = {name.rstrip("_").replace("_", "-"): _number(value) for name, value in attributes.items() if value is not None}
    if ink is not None:
        paint = INKS[ink]
        given |= {"class": PREFIX + ink, "fill": paint.fill[0] if paint.fill else "none", **paint.more}
        if paint.stroke:
            given["stroke"] = paint.stroke[0]
    element = SubElement(parent, tag, given)
    if text is not None:
        element.text = clean(text)
    return element


def sign(parent: Element, outcome: Outcome, x: float, y: float) -> None:
    """The outcome without colour, as lines, for not every font has the signs; ``x`` and ``y`` are its middle."""
    match outcome:
        case Outcome.SUCCEEDED:
            draw(parent, "path", "sign-good", d=f"M{x - 5:g} {y:g}l3.5 4 6-8")
        case Outcome.FAILED:
            cross(parent, x, y)
        case Outcome.RUNNING:
            draw(parent, "path", "sign-live", d=f"M{x - 4:g} {y - 5:g}l9 5-9 5z")
        case Outcome.UNSEEN:
            draw(parent, "circle", "sign-quiet", cx=x, cy=y, r=4.5)


def cross(parent: Element, x: float, y: float) -> None:
    """The sign of a failure."""
    draw(parent, "path", "sign-bad", d=f"M{x - 4:g} {y - 4:g}l8 8m0-8l-8 8")


def canvas(width: float, height: float, **attributes: str) -> Element:
    """An empty picture."""
    size = {"width": _number(width), "height": _number(height), "viewBox": f"0 0 {_number(width)} {_number(height)}"}
    return Element("svg", {"xmlns": NAMESPACE, **size, "role": "img", "font-family": SANS, **attributes})


def written(picture: Element) -> str:
    """The picture as text."""
    return tostring(picture, encoding="unicode")


def clean(text: str) -> str:
    """The text on one line, without what XML cannot hold (XML 1.0, 2.2): U+FFFE and U+FFFF."""
    return one_line(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


def wide(text: str, size: float) -> float:
    """About how wide a text is, on the safe side for the usual sans-serif fonts."""
    return size * sum(1.0 if east_asian_width(letter) in "WF" else 0.58 for letter in text)


def fitted(text: str, size: float, width: float) -> str:
    """The text, without its middle where it is too long: the ends of names are what tells them apart."""
    text = clean(text)
    if wide(text, size) <= width:
        return text
    keep = len(text)
    while keep > 1 and wide(_cut(text, keep), size) > width:
        keep -= 1
    return _cut(text, keep)


def _cut(text: str, keep: int) -> str:
    front = keep // 3
    return f"{text[:front]}…{text[len(text) - (keep - front) :]}"


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
