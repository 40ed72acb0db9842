"""The SQLite file: one owner at a time, its rights, and what is said when it cannot be used."""

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from store_scenes import LEASE, NOW, Scene, arrived, claim, cluster, put_off

from notifier import app
from notifier.store.errors import StoreBusy, StoreDamaged, StoreError, StoreFull
from notifier.store.store import PRAGMAS, Store
from notifier.store.transaction import Transaction

OPEN = """
import os, sqlite3, sys
from notifier.store.errors import StoreError
from notifier.store.store import Store
if len(sys.argv) > 2:
    os.setuid(int(sys.argv[2]))  # Once all is imported, since the interpreter may be out of that user's reach.
try:
    store = Store(sys.argv[1]).open()
except StoreError as error:
    print(type(error).__name__, error)
else:
    print("open", flush=True)
    sys.stdin.read()
    store.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notifier.db"


def _another(path: Path, user: int | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPEN, f"sqlite:///{path}", *([] if user is None else [str(user)])]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _said(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=60)
    return said.strip()


def test_a_second_owner_in_the_same_process_is_refused_by_name(path: Path) -> None:
    first = Store(f"sqlite:///{path}").open()
    began = time.monotonic()
    with pytest.raises(StoreBusy, match=rf"notifier\.db is in use by process {os.getpid()}\b"):
        Store(f"sqlite:///{path}").open(app.PATIENCE)
    assert app.PATIENCE <= time.monotonic() - began < 60
    first.close()
    Store(f"sqlite:///{path}").open().close()


def test_a_second_process_is_refused_and_told_the_pid_of_the_first(path: Path) -> None:
    first = Store(f"sqlite:///{path}").open()
    assert _said(_another(path)).startswith(f"StoreBusy {path} is in use by process {os.getpid()}:")
    first.close()


def test_who_has_patience_waits_for_a_command_that_only_asks(path: Path) -> None:
    asking = Store(f"sqlite:///{path}").open()
    leaving = threading.Timer(0.2, asking.close)
    leaving.start()
    Store(f"sqlite:///{path}").open(30.0).close()
    leaving.join()


async def test_an_owner_that_was_killed_leaves_nothing_to_clear_away(path: Path) -> None:
    store = Store(f"sqlite:///{path}").open()
    await store.transact(Scene().three_events())
    [lost] = await store.transact(claim())
    store.close()
    owner = _another(path)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "open\n"
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    store = Store(f"sqlite:///{path}").open()
    [again] = await store.transact(claim())
    store.close()
    assert again.delivery == lost.delivery, "what the dead had leased is free"
    assert again.uncertain


def test_somebody_who_has_the_file_itself_open_is_noticed(path: Path) -> None:
    Store(f"sqlite:///{path}").open().close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreBusy, match="in use by another process"):
        Store(f"sqlite:///{path}").open()
    other.close()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"folder of the store does not exist: .*/nowhere\."):
        Store(f"sqlite:///{tmp_path}/nowhere/notifier.db").open()


def test_a_folder_in_the_place_of_the_file_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreError, match=r"cannot be written: .*notifier\.db: Is a directory"):
        Store(f"sqlite:///{path}").open()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that any user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.parametrize("locked", ["file", "folder"])
def test_a_file_that_may_only_be_read_is_refused_with_the_user_who_tried(public_folder: Path, locked: str) -> None:
    path = public_folder / "notifier.db"
    if locked == "file":
        path.touch()
        path.chmod(0o444)
        public_folder.chmod(0o777)
    else:
        public_folder.chmod(0o555)
    # Rights do not stop root, so as root somebody else tries.
    user = 65534 if os.getuid() == 0 else os.getuid()
    said = _said(_another(path, user if os.getuid() == 0 else None))
    public_folder.chmod(0o755)
    assert said == f"StoreError The store cannot be written: {path}: Permission denied (uid {user})."


def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(path: Path) -> None:
    path.write_bytes(b"dear diary, " * 500)
    with pytest.raises(StoreDamaged, match=r"file is not a database\. Restore a backup"):
        Store(f"sqlite:///{path}").open()
    assert path.read_bytes() == b"dear diary, " * 500


async def _fill(store: Store) -> None:
    for number in range(10):
        await store.transact(Scene(cluster(f"c{number}")).three_events())


def test_a_database_with_flipped_bytes_is_refused_and_left_as_it_was(path: Path) -> None:
    store = Store(f"sqlite:///{path}").open()
    asyncio.run(_fill(store))
    store.close()
    body = bytearray(path.read_bytes())
    for start in range(4096, len(body), 4096):
        body[start : start + 8] = bytes(byte ^ 0xFF for byte in body[start : start + 8])
    path.write_bytes(body)
    with pytest.raises(StoreDamaged, match="Restore a backup"):
        Store(f"sqlite:///{path}").open()
    assert path.read_bytes() == bytes(body)


def test_a_subtly_damaged_database_is_refused(path: Path) -> None:
    Store(f"sqlite:///{path}").open().close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA writable_schema=ON")
    raw.execute(
        "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sink') WHERE name = 'lane'"
    )
    raw.commit()
    raw.close()
    with pytest.raises(StoreDamaged, match="damaged"):
        Store(f"sqlite:///{path}").open()


def test_an_empty_file_is_a_new_store(path: Path) -> None:
    path.touch()
    store = Store(f"sqlite:///{path}").open()
    store.close()
    assert store.schema_before is None


def test_nobody_else_may_read_the_store(path: Path) -> None:
    store = Store(f"sqlite:///{path}").open()
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    store.close()
    assert set(modes) >= {"notifier.db", "notifier.db.lock", "notifier.db-wal"}
    assert set(modes.values()) == {0o600}


async def test_the_promises_of_the_disk_are_asked_for(path: Path) -> None:
    store = Store(f"sqlite:///{path}").open()

    def pragmas(tx: Transaction) -> dict[str, object]:
        names = ("synchronous", "locking_mode", "journal_mode", "foreign_keys")
        return {name: tx._run(text(f"PRAGMA {name}")).scalar() for name in names}

    assert len(PRAGMAS) == 5
    assert await store.transact(pragmas) == {
        "synchronous": 2,
        "locking_mode": "exclusive",
        "journal_mode": "wal",
        "foreign_keys": 1,
    }
    store.close()


async def test_a_full_disk_refuses_whole_transactions_loses_nothing_and_is_got_over(path: Path) -> None:
    store = Store(f"sqlite:///{path}").open()
    await store.transact(Scene(cluster("before")).three_events())
    await store.transact(lambda tx: tx._run(text("PRAGMA max_page_count=1")).scalar())  # As many as there are.
    stored = 0
    with suppress(StoreFull):
        while stored < 200:
            await store.transact(Scene(cluster(f"c{stored}")).three_events())
            stored += 1
    assert stored < 200
    assert store.refusal is not None
    assert str(store.refusal) == f"The disk under sqlite:///{path} is full. Nothing is lost; it goes on once there is room."
    assert len(await store.transact(lambda tx: tx.clusters())) == 1 + stored, "what was refused is not there in part"
    await store.transact(lambda tx: tx._run(text("PRAGMA max_page_count=100000")).scalar())
    await store.transact(Scene(cluster(f"c{stored}")).three_events())
    assert len(await store.transact(lambda tx: tx.clusters())) == 2 + stored
    store.close()


@pytest.mark.parametrize(("step", "due"), [(-3600.0, 600.0 - 3600.0), (3600.0, 600.0)])
async def test_what_waits_and_what_is_leased_follow_a_wall_clock_that_is_set(path: Path, step: float, due: float) -> None:
    store = Store(f"sqlite:///{path}").open()
    for name in ("waits", "leased"):
        await store.transact(Scene(cluster(name)).three_events())
    waits, leased = await store.transact(claim(2))
    await store.transact(put_off(waits, NOW + 600))
    await store.transact(lambda tx: tx.shift("team", step))
    assert await store.transact(lambda tx: tx.next_due("team")) == pytest.approx(min(NOW + due, NOW + LEASE + step))
    free = await store.transact(claim(2, now=NOW + step + LEASE - 1))
    assert leased.lane not in {taken.lane for taken in free}, "the lease lasts as long as before"
    await store.transact(arrived(leased))
    store.close()


FAILING = """
import asyncio, resource, sys
sys.path.insert(0, sys.argv[2])
from store_scenes import Scene, cluster
from notifier.store.errors import StoreDamaged
from notifier.store.store import Store

async def main():
    store = Store(sys.argv[1]).open()
    told = []
    store.on_damage = told.append
    await store.transact(Scene(cluster("before")).three_events())
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))  # A write beyond it fails, and not with ENOSPC.
    for name in ("one", "two"):
        try:
            await store.transact(Scene(cluster(name)).three_events())
        except StoreDamaged as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    try:
        await store.transact(Scene(cluster("three")).three_events())
    except StoreDamaged as error:
        print("still", len(told))
    store.close()

asyncio.run(main())
"""


def test_after_a_write_that_failed_not_a_byte_is_written_any_more(path: Path) -> None:
    command = [sys.executable, "-c", FAILING, f"sqlite:///{path}", str(Path(__file__).parent)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    fails = f"The disk under sqlite:///{path} fails: disk I/O error (SQLITE_IOERR_WRITE)."
    assert found.stdout.splitlines() == [fails, fails, "still 1"]
    with closing(sqlite3.connect(path)) as left:
        assert left.execute("SELECT count(*) FROM cluster").fetchone() == (1,)


async def test_a_store_in_memory_needs_no_file() -> None:
    store = Store("sqlite://").open()
    await store.transact(Scene().three_events())
    assert len(await store.transact(lambda tx: tx.clusters())) == 1
    store.close()


def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    with pytest.raises(StoreError, match=r"SQLite 3\.34\.1 is too old"):
        Store(f"sqlite:///{path}").open()


def test_postgresql_without_its_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'css-upgrade-notifier\[postgres\]'"):
        Store("postgresql://127.0.0.1/none").open()
