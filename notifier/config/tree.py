"""A YAML document as a tree that remembers where everything stands, and what was written where it stands."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]
"""Keys and indexes from the root to a node."""

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the file: characters ``start`` to ``end`` of the text, which begins in ``line`` and ``column`` (from 1)."""

    start: int
    end: int
    line: int
    column: int


START = Span(0, 0, 1, 1)


@dataclass(slots=True, eq=False)
class ScalarNode:
    """A single value.

    Attributes:
        text: As it was written, without quotes.
        value: What it means; the text of an interpolated one is never what it means.
        span: Where it stands, quotes included.
        interpolated: Whether part of the value came from outside the file; such a value is never shown.
        failed: Whether it could not be interpolated, so that nothing more can be said of it.
    """

    text: str
    value: Value
    span: Span
    interpolated: bool = False
    failed: bool = False
    size: int = 1


@dataclass(slots=True, eq=False)
class SequenceNode:
    """A list. ``size`` counts the nodes in it and below, aliases expanded."""

    span: Span
    items: list["Node"] = field(default_factory=list)
    size: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's place and its value. ``merged`` says that it came through ``<<``, so that a written key may replace it."""

    key: Span
    node: "Node"
    merged: bool = False


@dataclass(slots=True, eq=False)
class MappingNode:
    """Keys, as they were written, with their values."""

    span: Span
    entries: dict[str, Entry] = field(default_factory=dict)
    size: int = 1


Node = ScalarNode | SequenceNode | MappingNode


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong at a place in the file. ``what`` and ``remedy`` show no value."""

    span: Span
    path: Path
    what: str
    remedy: str = ""


def plain(node: Node) -> Any:
    """The document's data: dicts, lists and scalars. An alias gives a copy each time."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.items]
    return {key: plain(entry.node) for key, entry in node.entries.items()}


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """The node and all below it, with their paths; what is aliased comes once for each of its places."""
    yield path, node
    if isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            yield from walk(item, (*path, index))
    elif isinstance(node, MappingNode):
        for key, entry in node.entries.items():
            yield from walk(entry.node, (*path, key))


def child(node: Node, step: str | int) -> Node | None:
    """The node one step below, if there is one."""
    if isinstance(node, MappingNode):
        entry = node.entries.get(str(step))
        return entry.node if entry else None
    if isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step]
    return None


def entries(node: Node | None) -> Mapping[str, Node]:
    """The values of a mapping by key; nothing for what is none."""
    return {key: entry.node for key, entry in node.entries.items()} if isinstance(node, MappingNode) else {}


def items(node: Node | None) -> list[Node]:
    """The items of a list; a single scalar stands for a list of one, as it does wherever several are allowed."""
    if isinstance(node, SequenceNode):
        return node.items
    return [node] if isinstance(node, ScalarNode) else []
