"""A window that opens over Slack for one person: what does not fit, or would be overlooked, as a line in the channel.

Limits: docs.slack.dev, views: a title has 24 characters, a view 100 blocks, a text 3,000.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from notifier.sinks import slack_blocks as kit
from notifier.sinks.slack_blocks import SECTION, Block

View = dict[str, Any]

TITLE = 24
BLOCKS = 100


def window(title: str, close: str, blocks: Sequence[Block]) -> View:
    """A view to open, or to fill one that is open with. ``close``: what its only button says."""
    return {"type": "modal", "title": kit.plain(title, TITLE), "close": kit.plain(close, TITLE), "blocks": [*blocks[:BLOCKS]]}


def paragraphs(lines: Iterable[str]) -> list[Block]:
    """Lines of ``mrkdwn``, as many to a section as Slack takes."""
    return [kit.section(text) for text in _packed(lines)]


def _packed(lines: Iterable[str]) -> Iterator[str]:
    together = ""
    for line in lines:
        if together and kit.units(together) + 1 + kit.units(line) > SECTION:
            yield together
            together = ""
        together = f"{together}\n{line}" if together else line
    if together:
        yield together
