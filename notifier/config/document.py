"""The file's data together with where each part of it stands, and everything that is found to be wrong with it."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from notifier.config.interpolation import interpolate
from notifier.config.masking import MASK, Lines, dotted, harmless, scrub
from notifier.config.models_at import keys_at
from notifier.config.problems import Path, Problem
from notifier.config.reading import Unreadable, parse
from notifier.config.refusals import REFUSED, words_for
from notifier.config.tree import START, MappingNode, Node, ScalarNode, SequenceNode, Span, child, plain

M = TypeVar("M", bound=BaseModel)

_WANTS_TEXT = frozenset({"string_type", "literal_error"})


class Document:
    """A configuration file.

    Args:
        file: What to call it.
        text: What is in it.
        environ: What ``${VAR}`` is filled in from.
        folder: Where ``${file:…}`` begins.

    Attributes:
        root: Its tree; None if it cannot be read, which ``problems`` then says.
        problems: What is wrong so far.
    """

    def __init__(self, file: str, text: str, environ: Mapping[str, str], folder: FilePath) -> None:
        self._file = file
        self._text = text
        self.root: Node | None = None
        self.problems: list[Problem] = []
        try:
            self.root, flaws = parse(text)
        except Unreadable as error:
            flaws = [error.flaw]
        else:
            flaws += interpolate(self.root, environ, folder)
        for flaw in flaws:
            self.problems.append(self.describe(flaw.path, flaw.what, flaw.remedy, flaw.span))

    @cached_property
    def _lines(self) -> Lines:
        return Lines(self._text, self.root)

    def at(self, path: Path) -> Node | None:
        """The node at a path, if there is one."""
        node = self.root
        for step in path:
            node = None if node is None else child(node, step)
        return node

    def problem(self, path: Path, what: str, remedy: str = "", *, at_key: bool = False) -> None:
        """Add a problem, unless it only follows from a value that could not be filled in.

        Args:
            path: Where it is; a last step that does not exist is shown, too, and placed at its parent.
            what: What is wrong; shows no value that `may_show` does not allow.
            remedy: What to do about it.
            at_key: Whether the key is wrong, rather than its value.
        """
        span, node = self._place(path, at_key=at_key)
        if not (isinstance(node, ScalarNode) and node.failed):
            self.problems.append(self.describe(path, what, remedy, span))

    def describe(self, path: Path, what: str, remedy: str, span: Span | None = None) -> Problem:
        """The problem, which is not added."""
        span = span or self._place(path, at_key=True)[0]
        source, caret = self._lines.shown(span.start)
        return Problem(self._file, what, dotted(path), remedy, span.line, span.column, source, caret)

    def check(self, model: type[M], path: Path, data: Any, also: Collection[str] = ()) -> M | None:
        """Validate data that came from a path.

        Where a text is wanted, a number or boolean is taken as the text that was written: ``version: 7.10`` is ``"7.10"``.

        Args:
            model: What it has to be.
            path: Where it came from.
            data: The data, fresh from `plain`: it may be changed.
            also: Keys that may stand beside the model's, for suggestions.

        Returns:
            The model, or None where there are problems; they are added.
        """
        try:
            return self._validated(model, path, data, also)
        # A stranger's validator may raise whatever it likes, and only some of it becomes a ValidationError.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            remedy = f"that is a fault in the code of {model.__module__}"
            self.problem(path, f"could not be checked: {type(error).__name__} was raised", remedy, at_key=True)
            return None

    def _validated(self, model: type[M], path: Path, data: Any, also: Collection[str]) -> M | None:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
        if not self._as_written(found, path, data):
            self._refuse(found, model, path, also)
            return None
        try:
            return model.model_validate(data)
        except ValidationError as error:
            self._refuse(error.errors(include_url=False, include_input=False), model, path, also)
            return None

    def _as_written(self, found: Sequence[Any], path: Path, data: Any) -> bool:
        """Put the text that was written wherever a text was wanted; whether there was any such place."""
        changed = False
        for error in found:
            place, node = self._resolved(path, error["loc"])
            guessed = isinstance(node, ScalarNode) and isinstance(node.value, bool | int | float)
            if error["type"] in _WANTS_TEXT and guessed and isinstance(node, ScalarNode) and len(place) > len(path):
                holder = data
                for step in place[len(path) : -1]:
                    holder = holder[step]
                holder[place[-1]] = node.text
                changed = True
        return changed

    def _refuse(self, found: Sequence[Any], model: type[BaseModel], path: Path, also: Collection[str]) -> None:
        for error in found:
            place, node = self._resolved(path, error["loc"])
            if error["type"] == "too_short" and _filled(node):
                continue  # pydantic counts the items that are right; the others are told themselves
            at_key = error["type"] == "extra_forbidden"
            what, remedy = words_for(error)
            if at_key:
                key = str(place[-1])
                what, remedy = unknown_key(key, {*keys_at(model, error["loc"][:-1]), *(also if len(error["loc"]) == 1 else ())})
            if error["type"] == "missing":
                place = (*place, str(error["loc"][-1]))
            if error["type"] not in {REFUSED, "extra_forbidden"}:
                what = scrub(what, place, node)
            self.problem(place, what, remedy, at_key=at_key)

    def _resolved(self, path: Path, loc: Sequence[str | int]) -> tuple[Path, Node | None]:
        """The path of a validation error without the steps that only pydantic knows, such as the branch of a union."""
        node = self.at(path)
        for step in loc:
            below = None if node is None else child(node, step)
            if below is not None:
                path, node = (*path, step), below
        return path, node

    def _place(self, path: Path, *, at_key: bool) -> tuple[Span, Node | None]:
        """Where a path stands: its value, or its key where that is wrong or what it holds is many lines long."""
        node, span = self.root, START
        for step in path:
            below = None if node is None else child(node, step)
            if node is None or below is None:
                return span, None
            stands = isinstance(below, ScalarNode) and below.span.start < below.span.end  # `key:` has a value that stands nowhere
            by_key = isinstance(node, MappingNode) and (at_key or not stands)
            span = node.entries[str(step)].key if by_key and isinstance(node, MappingNode) else below.span
            node = below
        return span, node


def _filled(node: Node | None) -> bool:
    if isinstance(node, ScalarNode):
        return True
    return bool(node.items) if isinstance(node, SequenceNode) else node is not None and bool(node.entries)


def data_of(node: Node | None) -> Any:
    """The data below a node, as a copy."""
    return None if node is None else plain(node)


def unknown_key(key: str, known: Collection[str]) -> tuple[str, str]:
    """What is wrong with a key that is not known, and what is known instead."""
    shown = key if harmless(key) else MASK
    if key in NOT_YET:
        return f"{shown!r} is not supported yet", "leave it out"
    if key in known:
        return f"{shown!r} does not go together with the keys beside it", "leave it out"
    close = get_close_matches(key, sorted(known), n=1)
    return f"unknown key {shown!r}", f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(sorted(known))}"


NOT_YET = frozenset({"egress"})
"""Keys that are planned. To ignore them would be to promise what does not happen."""
