"""Reads a YAML file into a tree that remembers where everything stands.

The tree is built from the parser's events, because a finished ruamel node has forgotten which tags were written and reads a
recursive or exploding alias without complaint. Scalars mean what the core schema of YAML 1.2 says: ``on`` is a text, ``012`` is
twelve. The text that was written is kept beside the value, so that a version label ``7.10`` does not become 7.1.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, Protocol

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from notifier.config.tree import START, Entry, Flaw, MappingNode, Node, ScalarNode, SequenceNode, Span, Value

MAX_NODES = 200_000
"""After the expansion of aliases: 2,000 clusters with ten labels each are some 60,000."""

MAX_DEPTH = 32

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,4000}")
_OTHER_INTEGER = re.compile(r"0o([0-7]{1,4000})|0x([0-9a-fA-F]{1,3000})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN = frozenset({".nan", ".NaN", ".NAN"})
_MERGE = "<<"


class Unreadable(Exception):
    """The text is not one YAML document that can be read to its end. ``flaw`` says why."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.what)
        self.flaw = flaw


def parse(text: str) -> tuple[Node, list[Flaw]]:
    """Read a document.

    Returns:
        Its root, and what is wrong with it that did not keep it from being read: duplicate keys, tags.

    Raises:
        Unreadable: It cannot be read.
    """
    builder = _Builder(_events(text))
    return builder.document(), builder.flaws


def meaning(text: str) -> Value:
    """What a plain scalar means (YAML 1.2, core schema)."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if other := _OTHER_INTEGER.fullmatch(text):
        return int(other[1], 8) if other[1] else int(other[2], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinity := _INFINITY.fullmatch(text):
        return -math.inf if infinity[1] == "-" else math.inf
    return math.nan if text in _NAN else text


class _Mark(Protocol):
    index: int
    line: int
    column: int


def _span(start: _Mark, end: _Mark) -> Span:
    return Span(start.index, end.index, start.line + 1, start.column + 1)


def _events(text: str) -> Iterator[Event]:
    """The parser's events.

    Raises:
        Unreadable: The text is not YAML.
    """
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        raise Unreadable(_syntax(error, text)) from None
    except ReaderError as error:
        raise Unreadable(_character(error.position, text)) from None
    except (OverflowError, ValueError):
        # What Python's `chr` says to it, which differs between its versions.
        raise Unreadable(Flaw(START, (), "is not YAML: a number behind \\U that is no character's")) from None
    except Exception as error:  # noqa: BLE001 - ruamel lets an AssertionError of its own through
        raise Unreadable(Flaw(START, (), f"is not YAML that can be read ({type(error).__name__})")) from None


def _syntax(error: MarkedYAMLError, text: str) -> Flaw:
    mark: Any = error.problem_mark or error.context_mark
    span = START if mark is None else _span(mark, mark)
    what = error.problem or "cannot be parsed"
    if "tag" in what:  # the only texts of the parser that quote more of the file than a character
        return Flaw(span, (), "is not YAML: tags (!…) are not allowed", "put a text that begins with ! in quotes")
    begin = max(text.rfind("\n", 0, span.start), 0)
    placeholder = "${" in text[begin : span.start + 2]
    remedy = "put ${…} in quotes inside { } and [ ]" if placeholder and "{" in what else ""
    return Flaw(span, (), f"is not YAML: {what}", remedy)


def _character(position: int, text: str) -> Flaw:
    line = text.count("\n", 0, position) + 1
    span = Span(position, position, line, position - (text.rfind("\n", 0, position) + 1) + 1)
    return Flaw(span, (), "is not YAML: a control character", "remove it, or write it as an escape in double quotes")


class _Builder:
    """Builds the tree, one event at a time."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._anchors: dict[str, Node] = {}
        self._path: list[str | int] = []
        self.flaws: list[Flaw] = []

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent) and root is not None:
                raise self._unreadable(event, "is a second document", "keep one: remove the --- and all below it")
            if isinstance(event, NodeEvent):
                root = self._node(event)
        if root is None:
            raise Unreadable(Flaw(START, (), "the file is empty", "write at least `projects`"))
        return root

    def _node(self, event: Any) -> Node:
        if isinstance(event, AliasEvent):
            return self._aliased(event)
        if getattr(event, "tag", None) is not None:
            self._flaw(
                _span(event.start_mark, event.end_mark), "tags (!…) are not allowed", "put a text that begins with ! in quotes"
            )
        if isinstance(event, ScalarEvent):
            node: Node = self._scalar(event)
        elif len(self._path) >= MAX_DEPTH:
            raise self._unreadable(event, f"is nested more than {MAX_DEPTH} deep")
        else:
            node = self._mapping(event) if isinstance(event, MappingStartEvent) else self._sequence(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _scalar(self, event: Any) -> ScalarNode:
        value = event.value if event.style else meaning(event.value)
        return ScalarNode(event.value, value, _span(event.start_mark, event.end_mark))

    def _aliased(self, event: Any) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:  # also an alias inside of what it stands for: the anchor is known only after it
            raise self._unreadable(
                event, "an alias (*…) to nothing that stands above it", "put a text that begins with * in quotes"
            )
        return node

    def _sequence(self, start: SequenceStartEvent) -> SequenceNode:
        node = SequenceNode(_span(start.start_mark, start.end_mark))
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            self._path.append(len(node.items))
            item = self._node(event)
            self._path.pop()
            node.items.append(item)
            node.size = self._grown(node.size, item, event)
        return node

    def _mapping(self, start: MappingStartEvent) -> MappingNode:
        node = MappingNode(_span(start.start_mark, start.end_mark))
        event: Any
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            key = self._key(event)
            self._path.append(key)
            value = self._node(next(self._events))
            if key == _MERGE and not event.style:
                self._merge(node, value, _span(event.start_mark, event.end_mark))
            else:
                self._enter(node, key, Entry(_span(event.start_mark, event.end_mark), value))
            self._path.pop()
            node.size = self._grown(node.size, value, event)
        return node

    def _key(self, event: Any) -> str:
        if not isinstance(event, ScalarEvent):
            raise self._unreadable(event, "a key must be a text", "put ${…} and texts that begin with {, [ or * in quotes")
        if event.tag is not None:
            self._flaw(_span(event.start_mark, event.end_mark), "tags (!…) are not allowed")
        return str(event.value)

    def _enter(self, node: MappingNode, key: str, entry: Entry) -> None:
        known = node.entries.get(key)
        if known is not None and not known.merged:
            self._flaw(entry.key, "the key is there twice", f"keep one; the first is in line {known.key.line}")
        else:
            node.entries[key] = entry

    def _merge(self, node: MappingNode, value: Node, span: Span) -> None:
        for source in value.items if isinstance(value, SequenceNode) else [value]:
            if not isinstance(source, MappingNode):
                self._flaw(span, "<< takes a mapping or a list of them", "write <<: *name")
                continue
            for key, entry in source.entries.items():
                node.entries.setdefault(key, Entry(entry.key, entry.node, merged=True))

    def _grown(self, size: int, by: Node, event: Event) -> int:
        if size + by.size > MAX_NODES:
            raise self._unreadable(event, f"aliases expand to more than {MAX_NODES} values")
        return size + by.size

    def _flaw(self, span: Span, what: str, remedy: str = "") -> None:
        self.flaws.append(Flaw(span, tuple(self._path), what, remedy))

    def _unreadable(self, event: Any, what: str, remedy: str = "") -> Unreadable:
        return Unreadable(Flaw(_span(event.start_mark, event.end_mark), tuple(self._path), what, remedy))
