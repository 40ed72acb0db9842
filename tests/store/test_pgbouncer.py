"""PostgreSQL behind a real PgBouncer in session mode, as it is installed: with no setting for our sake."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from ports import free_port
from sqlalchemy import make_url
from store_postgres import await_answer
from store_scenes import Scene
from test_postgres import limits

from notifier.store import postgres
from notifier.store.errors import StoreError
from notifier.store.store import Store

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no PgBouncer here (Debian: pgbouncer)")


class Pooler:
    """``url`` leads to the database through it."""

    def __init__(self, folder: Path, database: str) -> None:
        parts = make_url(database)
        port = free_port()
        self.url = parts.set(port=port).render_as_string(hide_password=False)
        users, settings = folder / "users", folder / "pgbouncer.ini"
        users.write_text(f'"{parts.username}" ""\n')
        settings.write_text(
            f"[databases]\n* = host={parts.host} port={parts.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\npool_mode = session\n"
        )
        # It refuses to run as root.
        self._command = [str(PROGRAM), "-q", *(["-u", "nobody"] if os.getuid() == 0 else []), str(settings)]
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._command, cwd="/", stdout=output, stderr=output)
        await_answer(self.url, self._process, self._log)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@pytest.fixture
def pooler(postgres_url: str) -> Iterator[Pooler]:
    with tempfile.TemporaryDirectory(prefix="notifier-pgbouncer-") as folder:
        Path(folder).chmod(0o755)  # For whoever it runs as.
        made = Pooler(Path(folder), postgres_url)
        made.start()
        try:
            yield made
        finally:
            made.kill()


async def test_a_pooler_in_session_mode_needs_no_setting_and_may_be_restarted(pooler: Pooler) -> None:
    store = Store(pooler.url).open()
    try:
        assert await store.transact(limits) == list(postgres.LIMITS.values())
        told = await store.transact(Scene().three_events())
        await asyncio.to_thread(pooler.kill)
        with pytest.raises(StoreError):
            await store.transact(lambda tx: tx.events())
        await asyncio.to_thread(pooler.start)
        assert [event.id for _, event in await store.transact(lambda tx: tx.events())] == [event.id for event in told]
        assert await store.transact(limits) == list(postgres.LIMITS.values())
    finally:
        store.close()


async def test_hints_pass_a_pooler_in_session_mode(pooler: Pooler, postgres_url: str) -> None:
    heard: asyncio.Queue[frozenset[str]] = asyncio.Queue()
    listening = asyncio.create_task(postgres.listen(pooler.url, heard.put_nowait))
    try:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            async with asyncio.timeout(60):
                while heard.empty():  # What is said before it listens is not heard.
                    connection.execute("SELECT pg_notify(%s, 'team')", [postgres.CHANNEL])
                    await asyncio.sleep(0.02)
    finally:
        listening.cancel()
    assert heard.get_nowait() == {"team"}
