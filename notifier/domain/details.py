"""Says why something failed in a reader's language.

The detail of a failure is kept in one language, English: logs, the store and the API show it. What of it is ours is said here as
the language's `phrases.DetailPhrases` have it; what a server or a stranger's sink wrote stays as it is and is shown as a
quotation.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache

from notifier.domain.phrases import DetailPhrases

DEEPEST = 4
"""A detail may hold another, as an answer that came through a proxy does; no deeper than this is looked."""

LONGEST = 1000
"""Characters; nothing of ours is longer."""

Span = Callable[[timedelta], str]


def said(phrases: DetailPhrases | None, span: Span, detail: str) -> str:
    """A detail in the language of the phrases.

    Groups of a pattern are filled into what is said instead. ``seconds`` becomes a length of time, ``step`` what the step of a
    conversation is called, ``inner`` a detail of its own; all others stay. ``all`` is the whole.
    """
    if phrases is None or not detail:
        return detail
    return ours(phrases, span, detail) or phrases.quoted.format(text=detail)


def ours(phrases: DetailPhrases | None, span: Span, detail: str, depth: int = 0) -> str | None:
    """The same where we have said it; None where somebody else has, or the language has no words for it."""
    if phrases is None or depth > DEEPEST or len(detail) > LONGEST:
        return None
    for pattern, template in phrases.said.items():
        if found := _compiled(pattern).fullmatch(detail):
            parts = {"all": detail, **{name: text or "" for name, text in found.groupdict().items()}}
            if "seconds" in parts:
                parts["seconds"] = span(timedelta(seconds=float(parts["seconds"])))
            if "step" in parts:
                parts["step"] = phrases.steps.get(parts["step"], parts["step"])
            if "inner" in parts:
                inner = parts["inner"]
                parts["inner"] = ours(phrases, span, inner, depth + 1) or phrases.quoted.format(text=inner)
            return template.format(**parts)
    return None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
