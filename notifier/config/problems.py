"""What is wrong with a configuration, as values and as text for a person. No value of the file is ever shown."""

from collections.abc import Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and indexes from the root of the document."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        what: What is wrong and what to do about it.
        path: Where in the document, such as ``sinks.hook.url``; empty for the file as a whole.
        line: Counted from 1; None where the problem is in no line.
        column: Likewise.
    """

    what: str
    path: str = ""
    line: int | None = None
    column: int | None = None


class ConfigError(Exception):
    """The configuration cannot be used. Its text is one block that names every problem.

    Attributes:
        file: The file, as the caller named it.
        problems: All of them, in the order of the file.
    """

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__(file, problems)
        self.file = file
        self.problems = tuple(sorted(problems, key=lambda each: (each.line or 0, each.column or 0)))

    # typing.override needs Python 3.12.
    def __str__(self) -> str:  # type: ignore[explicit-override]
        return "\n".join(self._line(problem) for problem in self.problems)

    def _line(self, problem: Problem) -> str:
        place = self.file if problem.line is None else f"{self.file}:{problem.line}:{problem.column}"
        return ": ".join(filter(None, (place, problem.path, problem.what)))
