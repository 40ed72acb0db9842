"""Keeps what sources answer, beside the work and never in its way: bounded files in a folder, written by a thread of their own.

Whatever goes wrong with a recording (a full disk, a folder that is gone) is said once, and the watch goes on.
"""

import gzip
import json
import os
import secrets
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from notifier.domain.errors import FetchError
from notifier.domain.model import Action, Cluster
from notifier.sources.contract import Answer, Source, digest
from notifier.sources.recording import SUFFIX, Entry, Failed, Script
from notifier.sources.redaction import Redaction

MOST_WAITING = 2000
"""Entries that may wait for the disk; more are dropped, and counted."""

FLUSHED = 2.0
"""Seconds after which what is written is on its way to the disk, so that little is lost if the program is killed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes (compressed): after which a new file is begun, and that all files of the folder may take together."""

    file: int = 8 * 1024 * 1024
    folder: int = 256 * 1024 * 1024


class Recordings:
    """A folder that recordings are written to, while it is entered.

    Args:
        folder: Made if it is not there, for its owner only.
        names: Whether names are replaced by pseudonyms, see `Redaction`.
        limits: Of sizes; the oldest files are deleted where they would be exceeded.
        trouble: Called, from any thread, with what goes wrong, once each.
        clock: Gives the time.

    Raises:
        OSError: On entering, if nothing can be written there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        names: bool = False,
        limits: Limits | None = None,
        trouble: Callable[[str], None] = lambda _: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.folder = folder
        self.written = 0
        """Entries so far."""
        self._limits = limits or Limits()
        self._redaction = Redaction(names=names, key=secrets.token_bytes(32))
        self._trouble, self._said = trouble, set[str]()
        self._clock = clock
        self._redacted: dict[tuple[str, Action], tuple[tuple[bytes, ...], tuple[Any, ...], str | None]] = {}
        self._waiting, self._lock = 0, Lock()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recording")
        self._file: _Open | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._writer.shutdown(wait=True)
        if self._file is not None:
            try:
                self._file.close()
            except OSError as failure:
                self._complain(failure)
            self._file = None

    def around(self, source: Source) -> "Recorder":
        """The source, with everything that it answers kept here."""
        return Recorder(source, self)

    def keep(self, cluster: Cluster, action: Action, pages: Sequence[bytes], *, partial: bool) -> None:
        """Keep an answer."""
        self._later(self._answered, self._clock(), cluster, action, tuple(pages), partial)

    def keep_failure(self, cluster: Cluster, action: Action, error: FetchError) -> None:
        """Keep why there was none."""
        self._later(self._failed, self._clock(), cluster, action, error.reason.value, error.detail)

    def _later(self, work: Callable[..., Entry], *facts: Any) -> None:
        with self._lock:
            if self._waiting >= MOST_WAITING:
                self._once(f"the disk under {self.folder} is too slow: some answers are not recorded")
                return
            self._waiting += 1
        self._writer.submit(self._write, work, *facts)

    def _answered(self, at: datetime, cluster: Cluster, action: Action, pages: tuple[bytes, ...], partial: bool) -> Entry:
        # Most answers are the same as the one before: what it was redacted to is kept, which costs nothing.
        raw, bodies, known_by = self._redacted.get((cluster.key, action), ((), (), None))
        if raw != pages:
            hidden = self._redaction.hidden
            bodies = tuple(self._redaction.body(json.loads(page)) for page in pages)
            # With all the rest of an answer at hand, its digest would tell whether a guess of what is hidden in it is right.
            known_by = None if self._redaction.names or self._redaction.hidden > hidden else digest(pages)
            self._redacted[cluster.key, action] = (pages, bodies, known_by)
        return Entry(at, self._redaction.cluster(cluster), action, bodies, partial, digest=known_by)

    def _failed(self, at: datetime, cluster: Cluster, action: Action, reason: str, detail: str) -> Entry:
        return Entry(at, self._redaction.cluster(cluster), action, failure=Failed(reason, self._redaction.text(detail)))

    def _write(self, work: Callable[..., Entry], *facts: Any) -> None:
        """On the writer's thread."""
        try:
            if self._file is None or self._file.size >= self._limits.file:
                if self._file is not None:
                    self._file.close()
                    self._file = None
                self._file = self._begin()
            self._file.write(work(*facts))
            self.written += 1
        except OSError as error:
            # The next entry tries a fresh file: the disk may have room again.
            self._file = None
            self._complain(error)
        except (ValueError, RecursionError) as error:
            self._once(f"an answer could not be recorded: {type(error).__name__}")
        finally:
            with self._lock:
                self._waiting -= 1

    def _begin(self) -> "_Open":
        self._make_room()
        stamp = f"{self._clock():%Y%m%dT%H%M%S.%fZ}"
        return _Open(self.folder / f"{stamp}-{secrets.token_hex(2)}{SUFFIX}", ["names"] if self._redaction.names else [])

    def _make_room(self) -> None:
        files = sorted(self.folder.glob(f"*{SUFFIX}"))
        sizes = {file: file.stat().st_size for file in files}
        room = self._limits.folder - self._limits.file
        while files and sum(sizes[file] for file in files) > room:
            files.pop(0).unlink(missing_ok=True)

    def _complain(self, error: OSError) -> None:
        self._once(f"nothing is recorded to {self.folder}: {error.strerror or error}")

    def _once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._trouble(text)


class _Open:
    """A file that is being written."""

    def __init__(self, path: Path, redacted: Sequence[str]) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._raw = os.fdopen(descriptor, "wb")
        self._gzip = gzip.GzipFile(fileobj=self._raw, mode="wb", filename="", compresslevel=6)
        self._script = Script()
        self._flushed_at: datetime | None = None
        self._gzip.write(Script.first_line(redacted).encode())

    @property
    def size(self) -> int:
        """Bytes on the disk, or nearly there."""
        return self._raw.tell()

    def write(self, entry: Entry) -> None:
        for line in self._script.lines(entry):
            self._gzip.write(line.encode())
        if self._flushed_at is None or (entry.at - self._flushed_at).total_seconds() >= FLUSHED:
            self._flushed_at = entry.at
            self._gzip.flush(zlib.Z_SYNC_FLUSH)
            self._raw.flush()

    def close(self) -> None:
        try:
            self._gzip.close()
        finally:
            self._raw.close()


class Recorder:
    """A source whose answers are kept."""

    def __init__(self, source: Source, recordings: Recordings) -> None:
        self._source = source
        self._recordings = recordings

    async def fetch(self, cluster: Cluster, action: Action, last: bytes | None = None) -> Answer:
        """See `Source.fetch`.

        Raises:
            FetchError: The source's own.
        """
        try:
            answer = await self._source.fetch(cluster, action, last)
        except FetchError as error:
            self._recordings.keep_failure(cluster, action, error)
            raise
        partial = answer.snapshot is not None and answer.snapshot.partial
        self._recordings.keep(cluster, action, answer.whole, partial=partial)
        return answer
