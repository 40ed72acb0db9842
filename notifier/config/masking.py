"""What of a configuration may be shown in an error: keys, and values where no secret belongs. All else becomes ``***``.

Whatever is not known to be harmless is masked, because a token also ends up in the wrong line, under a misspelt key, in a comment
or in a file that is no YAML. What of the settings is secret is known here too, for whoever hides it in the words of others.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping

from pydantic import BaseModel, SecretStr

from notifier.config.problems import Path
from notifier.config.tree import MappingNode, Node, ScalarNode, walk

MASK = "***"
WIDTH = 100
"""Characters of a line that are shown."""

PUBLIC: tuple[tuple[str, ...], ...] = (
    ("projects", "*", "name"),
    ("projects", "*", "region"),
    ("projects", "*", "clusters", "*", "name"),
    ("projects", "*", "clusters", "*", "labels"),
    ("projects", "*", "credentials", "from"),
    ("projects", "*", "discover"),
    ("poll",),
    ("sinks", "*", "type"),
    ("sinks", "*", "timeout"),
    ("sinks", "*", "rate"),
    ("sinks", "*", "concurrency"),
    ("sinks", "*", "delivery"),
    ("sinks", "*", "fallback"),
    ("routes",),
    ("delivery",),
    ("log",),
    ("metrics",),
    ("heartbeat", "every"),
    ("heartbeat", "method"),
)
"""Where no secret belongs; what lies below counts too."""

_SECRETIVE = re.compile(r"secret|token|passw|pwd|key|auth|cred|sign", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\$\{[A-Za-z_]\w{0,40}\}|\$\{file:[^{}]{1,100}\}")
_PLAIN = re.compile(r"[\w .,:*?|<>=/@-]{0,40}", re.ASCII)
_MANY_DIGITS = 6
_LONG_ENOUGH = 4
"""A shorter value is no secret, and to mask it would mask half of every word."""

_BREAK = re.compile(r"\r\n|\n|\r")
_STRUCTURE = frozenset(" {}[],:-")
_LEADING_KEY = re.compile(r"[ -]*([A-Za-z_][\w-]{0,40})(?=\s*:(\s|$))")


def secrets_in(value: object) -> Iterator[str]:
    """All that is secret in settings, however deep."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        yield from secrets_in(dict(value))
    elif isinstance(value, Mapping):
        yield from secrets_in(tuple(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from secrets_in(item)


def harmless(text: str) -> bool:
    """Whether the text looks like a name, a duration or a pattern, rather than like a token or a key."""
    return _PLAIN.fullmatch(text) is not None and sum(char.isdigit() for char in text) <= _MANY_DIGITS


def may_show(path: Path, node: ScalarNode) -> bool:
    """Whether the value that stands at a path may be shown."""
    last = next((step for step in reversed(path) if isinstance(step, str)), "")
    if node.interpolated or _SECRETIVE.search(last) or not harmless(node.text):
        return False
    return any(
        len(path) >= len(pattern) and all(want in {"*", step} for want, step in zip(pattern, path, strict=False))
        for pattern in PUBLIC
    )


def dotted(path: Path) -> str:
    """The path for a person; a key that looks like a secret is masked."""
    return ".".join(str(step) if harmless(str(step)) else MASK for step in path)


def scrub(words: str, path: Path, node: Node | None) -> str:
    """Somebody else's words about a node, without any of the values in it that may not be shown."""
    if node is None:
        return words
    hidden: set[str] = set()
    for place, below in walk(node, path):
        if isinstance(below, ScalarNode) and not may_show(place, below):
            hidden |= {below.text, str(below.value)}
        elif isinstance(below, MappingNode):
            hidden |= {key for key in below.entries if not harmless(key)}
    for value in sorted(hidden, key=len, reverse=True):
        if len(value) >= _LONG_ENOUGH:
            words = words.replace(value, MASK)
    return words


class Lines:
    """The lines of a file, fit to be shown.

    Args:
        text: The file.
        root: Its tree; without one nothing but the key of a line is shown.
    """

    def __init__(self, text: str, root: Node | None) -> None:
        self._text = text
        self._breaks = list(_BREAK.finditer(text))
        self._ends = [found.end() for found in self._breaks]
        self._spans = defaultdict[tuple[int, int], bool](lambda: True)
        for path, node in walk(root) if root is not None else ():
            if isinstance(node, MappingNode):
                for key, entry in node.entries.items():
                    self._spans[entry.key.start, entry.key.end] &= harmless(key)
            elif isinstance(node, ScalarNode):
                shown = may_show(path, node) or _PLACEHOLDER.fullmatch(node.text) is not None
                self._spans[node.span.start, node.span.end] &= shown
        self._sorted = sorted(self._spans)
        self._read = root is not None

    def shown(self, place: int) -> tuple[str, int]:
        """The line in which the character ``place`` of the file stands, masked, and where that character is in it."""
        number = bisect_right(self._ends, place)
        begin = self._ends[number - 1] if number else 0
        end = self._breaks[number].start() if number < len(self._breaks) else len(self._text)
        parts: list[str] = []
        length, caret = 0, None
        for index, char in self._characters(begin, end):
            if caret is None and index >= place:
                caret = length - (char == "" and bool(parts))
            parts.append(char)
            length += len(char)
        line = "".join(parts).rstrip()
        return _window(line, min(length if caret is None else caret, len(line)))

    def _characters(self, begin: int, end: int) -> list[tuple[int, str]]:
        """Each character of a stretch with what is shown for it: itself, the mask, or nothing more of the same mask."""
        states = self._states(begin, end)
        found: list[tuple[int, str]] = []
        masked = False
        for index in range(begin, end):
            char, state = self._text[index], states[index - begin]
            if state is None and char == "#" and (index == begin or self._text[index - 1].isspace()):
                break  # a comment may hold last month's token
            if state or (state is None and (char in _STRUCTURE or char == "\t")):
                found.append((index, char if char.isprintable() else " "))
                masked = False
            else:
                found.append((index, "" if masked else MASK))
                masked = True
        return found

    def _states(self, begin: int, end: int) -> list[bool | None]:
        """For each character: whether it may be shown; None where it belongs to no key and no value."""
        states: list[bool | None] = [None] * (end - begin)
        if not self._read:
            key = _LEADING_KEY.match(self._text, begin, end)
            if key and harmless(key[1]):
                states[key.start(1) - begin : key.end(1) - begin] = [True] * len(key[1])
            return states
        for start, stop in self._sorted[: bisect_right(self._sorted, (end, 0))]:
            if stop > begin:
                first, last = max(start, begin), min(stop, end)
                states[first - begin : last - begin] = [self._spans[start, stop]] * (last - first)
        return states


def _window(line: str, caret: int) -> tuple[str, int]:
    """The part of a long line around the caret."""
    if len(line) <= WIDTH:
        return line, caret
    first = max(0, min(caret - WIDTH // 2, len(line) - WIDTH))
    part = line[first : first + WIDTH]
    return ("…" if first else "") + part + ("…" if first + WIDTH < len(line) else ""), caret - first + bool(first)
