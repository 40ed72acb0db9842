"""Recordings: what the API answered, as JSON lines in gzip, and how they are read again.

One line an entry. The first names the format; ``{"cluster": …}`` introduces a cluster under a number; every other is what one
request was answered: ``pages`` (the bodies, redacted), ``same`` (byte for byte what the last one was) or ``failure``. A file that
ends in the middle, since the machine went down, is good up to there.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from notifier.domain.errors import FetchReason
from notifier.domain.model import Action, Cluster, Snapshot
from notifier.domain.render import iso
from notifier.sources.wire import UnreadableError, WireTask, read_page, to_task

FORMAT = "css-upgrade-notifier recording"
VERSION = 1
SUFFIX = ".jsonl.gz"
LONGEST_LINE = 16 * 1024 * 1024

_cluster = TypeAdapter(Cluster)


class RecordingError(Exception):
    """What cannot be read as a recording; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that was not answered well: one of `FetchReason`, and its detail."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What one request was answered.

    Attributes:
        at: When.
        cluster: Of which cluster.
        action: For which action.
        pages: The bodies as JSON-able data.
        partial: As in `Snapshot`.
        failure: Why there was no good answer.
        digest: Of the bytes as they came, see `contract.digest`; None where a secret could be guessed by it.
        file: Which recording it was read from, None where it was not.
        line: Which line of that.
    """

    at: datetime
    cluster: Cluster
    action: Action
    pages: tuple[Any, ...] = ()
    partial: bool = False
    failure: Failed | None = None
    digest: str | None = None
    file: Path | None = field(default=None, compare=False)
    line: int = field(default=0, compare=False)

    def snapshot(self) -> Snapshot:
        """What the answer says.

        Raises:
            RecordingError: It is not what the API promises.
        """
        found: dict[str, WireTask] = {}
        try:
            for page in self.pages:
                found |= {str(item.id): item for item in read_page(json.dumps(page).encode()).items}
        except UnreadableError as error:
            raise RecordingError(f"the answer of {self.at.isoformat()} cannot be read: {error}") from None
        return Snapshot(self.cluster, self.action, tuple(to_task(item) for item in found.values()), self.partial)


class Script:
    """Turns entries into lines. A cluster is introduced once a file, and an answer that is the same is only said to be."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._last: dict[tuple[int, Action], tuple[Any, bool, str | None]] = {}

    @staticmethod
    def first_line(redacted: Sequence[str]) -> str:
        """What a file begins with."""
        return _line({"recording": FORMAT, "version": VERSION, "redacted": list(redacted)})

    def lines(self, entry: Entry) -> Iterator[str]:
        """The lines of one entry."""
        who = repr(entry.cluster)  # Whatever changes of it, a label too, makes it another one.
        number = self._numbers.get(who)
        if number is None:
            number = self._numbers[who] = len(self._numbers) + 1
            yield _line({"cluster": number, "is": _cluster.dump_python(entry.cluster, mode="json")})
        said: dict[str, Any] = {"at": iso(entry.at), "of": number, "action": entry.action.value}
        key, answer = (number, entry.action), (entry.pages, entry.partial, entry.digest)
        if entry.failure is not None:
            self._last.pop(key, None)
            said["failure"] = {"reason": entry.failure.reason, "detail": entry.failure.detail}
        elif self._last.get(key) == answer:
            said["same"] = True
        else:
            self._last[key] = answer
            said |= {"pages": list(entry.pages), **({"partial": True} if entry.partial else {})}
            said |= {} if entry.digest is None else {"sha256": entry.digest}
        yield _line(said)


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n"


@dataclass
class Reading:
    """Reads recordings one after another, each entry as it stands. ``trouble`` has what could not be read, and where."""

    paths: Sequence[Path]

    def __post_init__(self) -> None:
        self.trouble: list[str] = []

    def entries(self) -> Iterator[Entry]:
        """Every entry that can be read.

        Raises:
            RecordingError: A file is no recording at all, or of a newer program.
            OSError: A file cannot be opened.
        """
        for path in self.paths:
            yield from _File(path, self.trouble).entries()


class _File:
    """One file of a recording."""

    def __init__(self, path: Path, trouble: list[str]) -> None:
        self._path = path
        self._trouble = trouble
        self._clusters: dict[int, Cluster] = {}
        self._last: dict[tuple[int, Action], tuple[tuple[Any, ...], bool, str | None]] = {}

    def entries(self) -> Iterator[Entry]:
        with gzip.open(self._path, "rb") if _compressed(self._path) else self._path.open("rb") as file:
            number = 0
            try:
                while line := file.readline(LONGEST_LINE):
                    number += 1
                    if number == 1:
                        self._check_first(line)
                    elif (entry := self._entry(line, number)) is not None:
                        yield replace(entry, file=self._path, line=number)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                if number == 0:
                    raise RecordingError(f"{self._path}: no recording can be read of it: {error}") from None
                self._remark(number, f"the file ends in the middle, or is damaged behind this ({error})")
        if number == 0:
            raise RecordingError(f"{self._path} is empty")

    def _check_first(self, line: bytes) -> None:
        try:
            first = json.loads(line)
        except ValueError:
            first = None
        if not isinstance(first, dict) or first.get("recording") != FORMAT:
            raise RecordingError(f"{self._path} is no recording: `notifier record` and `notifier run --record` make them")
        if first.get("version") != VERSION:
            raise RecordingError(f"{self._path} is a recording of version {first.get('version')}; this program reads {VERSION}")

    def _entry(self, line: bytes, number: int) -> Entry | None:
        """What a line says; None where it introduces a cluster or cannot be read, which is noted."""
        try:
            said = json.loads(line)
            if "is" in said:
                self._clusters[int(said["cluster"])] = _cluster.validate_python(said["is"])
                return None
            return self._answered(said)
        except RecordingError as error:
            self._remark(number, str(error))
        except (ValueError, KeyError, TypeError, AttributeError, ValidationError, RecursionError) as error:
            self._remark(number, f"not a line of a recording ({type(error).__name__})")
        return None

    def _answered(self, said: Mapping[str, Any]) -> Entry:
        of, action = int(said["of"]), Action(said["action"])
        at = datetime.fromisoformat(said["at"])
        if at.tzinfo is None:
            raise RecordingError("a time without its zone")
        cluster, key = self._clusters[of], (of, action)
        if "failure" in said:
            failure = said["failure"]
            self._last.pop(key, None)
            return Entry(at, cluster, action, failure=Failed(FetchReason(failure["reason"]).value, str(failure["detail"])))
        if said.get("same"):
            if key not in self._last:
                raise RecordingError("the same as before, but what was before cannot be read")
            pages, partial, digest = self._last[key]
        else:
            digest = None if said.get("sha256") is None else str(said["sha256"])
            pages, partial = tuple(said["pages"]), bool(said.get("partial", False))
            self._last[key] = pages, partial, digest
        return Entry(at, cluster, action, pages, partial, digest=digest)

    def _remark(self, number: int, what: str) -> None:
        self._trouble.append(f"{self._path}: line {number}: {what}")


def _compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files that are meant: a folder stands for every recording in it, oldest first.

    Raises:
        RecordingError: There is none.
    """
    found: list[Path] = []
    for path in paths:
        found += sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not found:
        raise RecordingError(f"there is no recording (*{SUFFIX}) in {', '.join(map(str, paths))}")
    return found
