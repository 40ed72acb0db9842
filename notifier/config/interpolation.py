"""Fills in what the file only names: ``${VAR}``, ``${VAR:-default}`` and ``${file:/run/secrets/x}``; ``$$`` is a ``$``.

It happens after parsing and in values only, so nothing that is filled in can change the structure of the document; the result
is always a text.
"""

import re
import stat
from collections.abc import Mapping
from pathlib import Path

from notifier.config.tree import Flaw, Node, ScalarNode, walk
from notifier.domain.plain_text import one_line

MAX_FILE = 64 * 1024
"""Bytes of a file that is filled in: a secret, not a novel."""

_PLACEHOLDER = re.compile(r"\$(?:\$|\{([^}]*)(\}?))")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class _Missing(Exception):
    """A placeholder that cannot be filled in: what is wrong, and a remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def interpolate(root: Node, environ: Mapping[str, str], folder: Path) -> list[Flaw]:
    """Fill in every value below ``root``, in place; a file's name is taken from ``folder`` unless it is absolute.

    Returns:
        What could not be filled in. Those nodes are marked as failed.
    """
    flaws: list[Flaw] = []
    seen: set[int] = set()
    for path, node in walk(root):
        if not isinstance(node, ScalarNode) or "$" not in node.text or id(node) in seen:
            continue
        seen.add(id(node))
        try:
            node.value = _filled(node.text, environ, folder)
        except _Missing as missing:
            node.failed = True
            flaws.append(Flaw(node.span, path, missing.what, missing.remedy))
        node.interpolated = "${" in node.text
    return flaws


def _filled(text: str, environ: Mapping[str, str], folder: Path) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        if not match[2]:
            raise _Missing("a placeholder ${ without its }", "close it, or write $$ for a $")
        return _named(match[1], environ, folder)

    return _PLACEHOLDER.sub(replacement, text)


def _named(name: str, environ: Mapping[str, str], folder: Path) -> str:
    if name.startswith("file:"):
        return _content(name.removeprefix("file:"), folder)
    match = _VARIABLE.fullmatch(name)
    if match is None:
        raise _Missing("not a placeholder", "write ${NAME}, ${NAME:-default} or ${file:/path}; $$ is a $")
    value = environ.get(match[1])
    if match[2] is not None:
        return value or match[2]
    if value is None:
        raise _Missing(f"environment variable {one_line(match[1], 100)} is not set", f"set it, or write ${{{match[1]}:-default}}")
    return value


def _content(name: str, folder: Path) -> str:
    """The text of a file without the line break at its end.

    Raises:
        _Missing: It cannot be used; names the file.
    """
    shown = f"file {one_line(name, 200)}"
    try:
        path = folder / name
        if not stat.S_ISREG(path.stat().st_mode):
            raise _Missing(f"{shown} is not a regular file", "name a file that holds the value")
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE + 1)
        text = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise _Missing(f"{shown} cannot be read: {error.strerror}", "check its name and its permissions") from None
    except UnicodeDecodeError:
        raise _Missing(f"{shown} is not text in UTF-8", "name a file that holds the value") from None
    except ValueError:  # a NUL in the name
        raise _Missing(f"{shown} cannot be read: not a file name", "name a file that holds the value") from None
    if len(content) > MAX_FILE:
        raise _Missing(f"{shown} is larger than {MAX_FILE // 1024} KiB", "name a file that holds the value only")
    if not text:
        raise _Missing(f"{shown} is empty", "write the value into it")
    return text
