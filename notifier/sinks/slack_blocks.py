"""The pieces that Slack messages are made of: within Slack's limits, and with nothing that Slack could take for an instruction.

Text from the API stands in ``plain_text`` objects, or escaped where a line is ``mrkdwn``. Limits: docs.slack.dev, reference of
the Block Kit. Lengths are counted as Slack's clients count them, in UTF-16 units: an emoji is two.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from notifier.domain.plain_text import one_line

Block = dict[str, Any]

HEADER, SECTION, FIELD, BUTTON, URL = 150, 2900, 900, 70, 3000
LINE = 300
"""Of a name or a sentence where nobody says otherwise."""

_ESCAPES: Mapping[str, str] = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    **{character: f"\u200b{character}" for character in "*_~`"},
}
"""``&``, ``<`` and ``>`` are Slack's only control characters (docs.slack.dev, formatting). What the others could do, a zero-width
space takes from them."""


def cut(text: str, longest: int, escapes: Mapping[str, str] = {}) -> str:
    """One line of at most ``longest`` units, escapes counted; where something is cut off, an ellipsis says so."""
    # What is far behind the end is not looked at, however long it is.
    line, more = one_line(text[: 4 * longest]), len(text) > 4 * longest
    pieces: list[str] = []
    so_far = 0
    for place, character in enumerate(line):
        piece = escapes.get(character, character)
        so_far += units(piece)
        # The last unit is the ellipsis's, unless all that is left fits.
        if so_far >= longest and (so_far > longest or more or place + 1 < len(line)):
            return "".join(pieces) + "…"
        pieces.append(piece)
    return "".join(pieces) + ("…" if more else "")


def units(text: str) -> int:
    """How long Slack's clients take a text to be."""
    return len(text) + sum(character > "\uffff" for character in text)


def escaped(text: str, longest: int = LINE) -> str:
    """One line that Slack shows as it is in a ``mrkdwn`` text."""
    return cut(text, longest, _ESCAPES)


def plain(text: str, longest: int) -> Block:
    """A text in which Slack sees nothing but text; never empty, which Slack would refuse."""
    return {"type": "plain_text", "text": _some(text, longest), "emoji": False}


def _some(text: str, longest: int) -> str:
    return cut(text, longest).strip() or "-"


def header(text: str) -> Block:
    """The first line of a message."""
    return {"type": "header", "text": plain(text, HEADER)}


def section(text: str) -> Block:
    """Lines of ``mrkdwn`` whose foreign parts are escaped. ``verbatim``: Slack makes no links of what looks like one."""
    return {"type": "section", "text": _mrkdwn(text)}


def quoted(text: str, longest: int) -> Block:
    """What somebody else wrote, as it is."""
    return {"type": "section", "text": plain(text, longest)}


def columns(texts: Iterable[str]) -> Block:
    """Short texts side by side."""
    return {"type": "section", "fields": [_mrkdwn(text) for text in texts]}


def context(text: str) -> Block:
    """What is small and grey."""
    return {"type": "context", "elements": [_mrkdwn(text)]}


def _mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text[:SECTION], "verbatim": True}


def link(text: str, url: str) -> Block:
    """A button that opens a page."""
    return {"type": "button", "text": plain(text, BUTTON), "url": url[:URL]}


def button(text: str, action: str, value: str, *, style: str | None = None) -> Block:
    """A button that tells us ``action`` and ``value``."""
    asked = {"type": "button", "text": plain(text, BUTTON), "action_id": action, "value": value[:2000]}
    return asked if style is None else {**asked, "style": style}


def actions(buttons: list[Block]) -> Block:
    """A row of buttons."""
    return {"type": "actions", "elements": buttons}


def task_card(number: int, title: str, status: str, details: str = "") -> Block:
    """One step of a `plan`. ``status``: pending, in_progress, complete or error."""
    card: Block = {"type": "task_card", "task_id": f"stage-{number}", "title": _some(title, 90), "status": status}
    if details:
        words = {"type": "rich_text_section", "elements": [{"type": "text", "text": cut(details, 200)}]}
        card["details"] = {"type": "rich_text", "elements": [words]}
    return card


def plan(title: str, tasks: list[Block]) -> Block:
    """Steps with their states, as Slack draws them itself; not every workspace takes it. Titles are plain text."""
    return {"type": "plan", "title": _some(title, HEADER), "tasks": tasks}


def date(at: datetime) -> str:
    """A moment in the zone of whoever reads it; the fallback is for old clients."""
    fallback = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(at.timestamp())}^{{date_num}} {{time}}|{fallback}>"
