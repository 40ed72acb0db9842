"""The file's data together with where each part of it stands, and everything that is found to be wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from notifier.config.interpolation import interpolate
from notifier.config.problems import Path, Problem
from notifier.config.tree import START, MappingNode, Node, ScalarNode, Span, Unreadable, child, parse, plain, walk


@dataclass
class Document:
    """A configuration file that was read.

    Attributes:
        data: Its values, filled in; None where it could not be read.
        problems: What is wrong so far.
        literal: The paths of the texts that stand in the file itself, rather than being filled in.
    """

    data: Any = None
    problems: list[Problem] = field(default_factory=list)
    literal: set[Path] = field(default_factory=set)
    root: Node | None = None

    def problem(self, path: Path, what: str) -> None:
        """Add a problem at a path; one that follows from a value that could not be filled in is left out."""
        span, node = self._place(path)
        if not (isinstance(node, ScalarNode) and node.failed):
            self._add(path, what, span)

    def flaw(self, path: Path, what: str, remedy: str, span: Span) -> None:
        """Add a problem whose place is known."""
        self._add(path, f"{what}; {remedy}" if remedy else what, span)

    def _add(self, path: Path, what: str, span: Span | None) -> None:
        line, column = (span.line, span.column) if span else (None, None)
        self.problems.append(Problem(what, ".".join(map(str, path)), line, column))

    def _place(self, path: Path) -> tuple[Span | None, Node | None]:
        """Where the nearest there is to a path stands: its key if it has one, and its node."""
        node, span = self.root, None if self.root is None else START
        for step in path:
            below = None if node is None else child(node, step)
            if node is None or below is None:
                continue  # a step that pydantic put in, or a key that is missing
            span = node.entries[str(step)].key if isinstance(node, MappingNode) else below.span
            node = below
        return span, node


def read(text: str, environ: Mapping[str, str]) -> Document:
    """Read a document and fill in its placeholders; what is wrong is in its ``problems``."""
    document = Document()
    try:
        document.root, flaws = parse(text)
    except Unreadable as error:
        document.flaw(error.flaw.path, error.flaw.what, error.flaw.remedy, error.flaw.span)
        return document
    for flaw in [*flaws, *interpolate(document.root, environ, FilePath())]:
        document.flaw(flaw.path, flaw.what, flaw.remedy, flaw.span)
    document.data = plain(document.root)
    document.literal = {path for path, node in walk(document.root) if _literal(node)}
    return document


def _literal(node: Node) -> bool:
    return isinstance(node, ScalarNode) and isinstance(node.value, str) and not node.interpolated
