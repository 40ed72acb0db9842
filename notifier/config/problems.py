"""What is wrong with a configuration, as values and as text for a person."""

from collections.abc import Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and indexes from the root of the document."""

SHOWN = 50
"""More problems than these are counted, not printed: nobody reads further before mending some."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or at least doubtful.

    Attributes:
        file: The file, as the caller named it.
        what: What is wrong, in a few words, without any value that may be secret.
        path: Where in the document, such as ``sinks.hook.url``; empty for the file as a whole.
        remedy: What to do about it; may be empty.
        line: Counted from 1; None where the problem is in no line.
        column: Likewise, in characters.
        source: The line, with all that may be secret masked; may be empty.
        caret: The place in ``source`` that is meant, from 0.
    """

    file: str
    what: str
    path: str = ""
    remedy: str = ""
    line: int | None = None
    column: int | None = None
    source: str = ""
    caret: int = 0

    # typing.override needs Python 3.12.
    def __str__(self) -> str:  # type: ignore[explicit-override]
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        words = ": ".join(filter(None, (place, self.path, self.what)))
        if self.remedy:
            words += f"; {self.remedy}"
        if not self.source:
            return words
        number = str(self.line)
        return f"{words}\n  {number} | {self.source}\n  {' ' * len(number)} | {' ' * self.caret}^"

    def as_dict(self) -> dict[str, str | int | None]:
        """The problem for machines; ``line`` and ``column`` are null where there is none."""
        names = ("file", "line", "column", "path", "what", "remedy")
        return {name: getattr(self, name) for name in names}


class ConfigError(Exception):
    """The configuration cannot be used. Its text is one readable block that names every problem and shows no secret.

    Attributes:
        problems: All of them, in the order of the file.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = tuple(sorted(problems, key=lambda each: (each.line or 0, each.column or 0)))

    def __str__(self) -> str:  # type: ignore[explicit-override]
        count = len(self.problems)
        blocks = [str(problem) for problem in self.problems[:SHOWN]]
        unshown = f" ({count - SHOWN} of them not shown)" if count > SHOWN else ""
        return "\n".join([*blocks, f"{count} problem{'' if count == 1 else 's'} in the configuration{unshown}"])
