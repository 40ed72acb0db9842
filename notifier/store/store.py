"""One thread, one connection, whole transactions: the door to the database.

``await store.transact(work)`` runs ``work(transaction)`` on the store's own thread. Work that piles up meanwhile shares one
commit, because on a disk that keeps its promises the commit is what costs. If any of it fails, each is run again alone, so that
nobody pays for another's failure; ``work`` must therefore not touch anything but the transaction.
"""

import asyncio
import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from notifier.store import postgres
from notifier.store.errors import Fenced, StoreBusy, StoreDamaged, StoreError, StoreFull
from notifier.store.migrate import migrate
from notifier.store.transaction import Transaction

T = TypeVar("T")
Work = Callable[[Transaction], T]

BATCH = 100
"""The most work that shares a commit: bounds how long the first waits for the last."""

ASK_AGAIN = 0.05
"""Seconds between two looks whether a file is free."""

COMPARE = 2.0
"""Seconds after which the database's clock is looked at again."""

OLDEST_SQLITE = (3, 35)
"""RETURNING came with SQLite 3.35."""

PRAGMAS = (
    "PRAGMA busy_timeout=1000",
    "PRAGMA locking_mode=EXCLUSIVE",
    "PRAGMA journal_mode=WAL",
    # NORMAL may lose the newest transactions at a power cut (sqlite.org/pragma.html#pragma_synchronous).
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    done: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


def _settle(jobs: Sequence[_Job], results: Sequence[object], error: BaseException | None = None) -> None:
    """Give back what came of work that shared a commit, with one call to each loop that waits for some of it."""
    for loop in {job.loop for job in jobs}:
        theirs = [(job.done, result) for job, result in zip(jobs, results, strict=True) if job.loop is loop]
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            loop.call_soon_threadsafe(_give_back, theirs, error)


def _give_back(results: Sequence[tuple[asyncio.Future[Any], object]], error: BaseException | None) -> None:
    for done, result in results:
        if done.done():
            continue
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)


@dataclass
class Store:
    """The database behind a URL: ``sqlite:///path``, ``sqlite://`` (memory) or ``postgresql://…``.

    Raises on ``open``: `StoreBusy` for a SQLite file that another process holds, `StoreDamaged`, `StoreError`.

    Attributes:
        on_damage: Called once, on the store's thread, when the disk turns out to fail or the file to be unsound. From then on
            nothing is written: what a disk says after it failed to write cannot be believed (the "fsync gate").
        refusal: Why the database last refused work; None once somebody has seen it take a write again, and said so here.
    """

    url: str = field(repr=False)  # It may hold a password.
    _queue: queue.SimpleQueue[_Job | None] = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None
    _engine: Engine | None = None
    _lock: int | None = None
    _damage: StoreDamaged | None = None
    schema_before: str | None = None
    doubts: int = 0
    """How often work has failed: of what was claimed then it is not known whether it was."""
    connections: int = 0
    """How many there have been. After a failover the next may lead to a server that lacks what the one before had confirmed."""
    on_damage: Callable[[StoreDamaged], None] | None = None
    refusal: StoreError | None = None
    _ahead: float | None = None
    _compare_at: float = float("-inf")

    def open(self, patience: float = 0.0) -> Self:
        """Take the database, migrate it if it is older, start the thread.

        Args:
            patience: Seconds to wait for a SQLite file that another process holds: a command that only asks lets go of it soon.
        """
        try:
            self._engine = self._sqlite(patience) if self._sqlite_file else postgres.engine(self.url)
            event.listen(self._engine, "connect", self._connected)
            if self._sqlite_file:
                self._check(self._engine)
            with _readable(self), self._engine.begin() as connection:
                self.schema_before, _ = migrate(connection)
                if self._sqlite_file:
                    # Nobody else can be alive on this file, so whatever is leased is leased by the dead.
                    Transaction(connection).release_lanes()
                    Transaction(connection).leave_all()
                else:
                    self._tell_time(connection)
        except BaseException:
            self.close()
            raise
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Finish the work that was handed in, then let go of the database. May be called twice."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def transact(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction and return its result once it is committed.

        Raises:
            StoreError: The database refused; nothing of ``work`` was kept (on PostgreSQL: or its fate is unknown).
        """
        if self._thread is None:
            raise StoreError("The store is closed.")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Job(work, done, loop))
        return await done

    @property
    def alone(self) -> bool:
        """Whether no other process can use this database, and time is told by our own clock."""
        return self._sqlite_file

    @property
    def where(self) -> str:
        """Which database this is, for people; no password in it."""
        return self.url if self._sqlite_file else postgres.shown(self.url)

    def now(self) -> datetime:
        """The moment, UTC, by the clock that all who use this database share: the database's own, or on SQLite ours.

        A replica whose clock is wrong neither dates what happened wrongly nor tells anything too early or too late.
        """
        if self._ahead is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(time.monotonic() + self._ahead, UTC)

    def _tell_time(self, connection: Connection) -> None:
        """Compare the database's clock with the monotonic one, which no step of our wall clock can move."""
        began = time.monotonic()
        if began >= self._compare_at:
            instant = Transaction(connection).now(0.0)
            ended = time.monotonic()
            self._ahead, self._compare_at = instant - (began + ended) / 2, ended + COMPARE

    @property
    def _sqlite_file(self) -> bool:
        return self.url.startswith("sqlite:")

    def _sqlite(self, patience: float) -> Engine:
        import sqlite3  # noqa: PLC0415 - only where it is used

        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed.")
        path = make_url(self.url).database
        if path and path != ":memory:":
            self._take(Path(path), patience)
        engine = create_engine(
            self.url,
            poolclass=StaticPool,
            hide_parameters=True,  # an error quotes them, and is logged
            connect_args={"check_same_thread": False, "isolation_level": None, "timeout": 1.0},
        )

        @event.listens_for(engine, "connect")
        def configure(connection: Any, _record: object) -> None:
            for pragma in PRAGMAS:
                connection.execute(pragma)

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine

    def _connected(self, *_: object) -> None:
        self.connections += 1

    def _check(self, engine: Engine) -> None:
        with _readable(self), engine.connect() as connection:
            if connection.execute(text("PRAGMA quick_check(1)")).scalar() != "ok":
                raise StoreDamaged(
                    f"{engine.url.database} is damaged (quick_check). Restore a backup; the file was left as it is."
                )

    def _take(self, path: Path, patience: float) -> None:
        """Hold a lock beside the file, which says who holds it, and goes with the process however it ends."""
        if not path.parent.is_dir():
            raise StoreError(f"The folder of the store does not exist: {path.parent.absolute()}. Create it or change `store:`.")
        beside = path.with_name(path.name + ".lock")
        try:
            self._lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # The database is made with the same rights: what people call their clusters is nobody else's business.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreError(f"The store cannot be written: {path.absolute()}: {error.strerror} (uid {os.getuid()}).") from None
        until = time.monotonic() + patience
        while not _locked(self._lock):
            if time.monotonic() < until:
                time.sleep(ASK_AGAIN)
                continue
            owner = os.read(self._lock, 32).decode(errors="replace").strip() or "unknown"
            raise StoreBusy(
                f"{path.absolute()} is in use by process {owner}: SQLite is for one notifier at a time. "
                "Stop that one, give this one another `store:`, or use PostgreSQL for several."
            )
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            batch: list[_Job] = []
            job = self._queue.get()
            while job is not None:
                batch.append(job)
                if len(batch) >= BATCH:
                    break
                try:
                    job = self._queue.get_nowait()
                except queue.Empty:
                    break
            stopping = job is None
            if batch:
                self._commit(batch)

    def _commit(self, batch: list[_Job]) -> None:
        if self._engine is None:
            raise RuntimeError("The store's thread outlived its engine.")
        try:
            if self._damage is not None:
                raise self._damage  # noqa: TRY301 - told like the first time
            with _readable(self), self._engine.begin() as connection:
                if self._ahead is not None:
                    self._tell_time(connection)
                transaction = Transaction(connection)
                results = [job.work(transaction) for job in batch]
                transaction.flush()
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the work
            self.doubts += 1
            self._note(error)
            if len(batch) > 1:
                # Even a commit that failed may have been kept, where the connection broke before its answer came. Work reads
                # what is there before it writes, so it may run again.
                for job in batch:
                    self._commit([job])
            else:
                _settle(batch, [None], error)
        else:
            _settle(batch, results)

    def _note(self, error: Exception) -> None:
        if isinstance(error, StoreError) and not isinstance(error, Fenced):
            self.refusal = error
        if isinstance(error, StoreDamaged) and self._damage is None:
            self._damage = error
            if self.on_damage is not None:
                self.on_damage(error)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _readable(store: Store) -> Iterator[None]:
    """Turn the database's errors into ours, which carry no statement, no parameters and no password."""
    try:
        yield
    except DBAPIError as error:
        where = store.where
        cause = str(error.orig).strip().splitlines()[0] if error.orig and str(error.orig).strip() else type(error).__name__
        if "database is locked" in cause:
            raise StoreBusy(f"{where} is in use by another process: SQLite is for one notifier at a time.") from None
        if "malformed" in cause or "not a database" in cause:
            raise StoreDamaged(f"{where} is damaged: {cause}. Restore a backup; the file was left as it is.") from None
        if "disk is full" in cause or "No space left" in cause:  # SQLite's words, and the operating system's through PostgreSQL
            raise StoreFull(f"The disk under {where} is full. Nothing is lost; it goes on once there is room.") from None
        if "disk I/O error" in cause:
            # Which of SQLite's calls it was: a write, a read, an fsync (sqlite.org/rescode.html).
            name = getattr(error.orig, "sqlite_errorname", "no name")
            raise StoreDamaged(f"The disk under {where} fails: {cause} ({name}).") from None
        raise StoreError(f"{where}: {cause}") from None
    except SQLAlchemyError as error:
        raise StoreError(f"{store.where}: {type(error).__name__}") from error
