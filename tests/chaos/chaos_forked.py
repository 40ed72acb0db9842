"""The program as a fork of a process that has read its modules: what that saves, hundreds of starts over, is the reading.

It is the same program with the same arguments in a process of its own, which can be killed like any other. `Bot` starts some from
nothing all the same.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Self

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["notifier.cli", "notifier.app", "alembic.command", "sqlalchemy.dialects.postgresql", "time_machine"]
)

Main = Callable[[list[str]], object]


class Forked:
    """What `asyncio.subprocess.Process` is to a program that was executed."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @classmethod
    async def start(cls, main: Main, arguments: list[str], log: Path, environ: Mapping[str, str]) -> Self:
        """Run ``main`` with these arguments in a process that writes to ``log``."""
        process = SERVER.Process(target=_become, args=(main, arguments, str(log), dict(environ)), daemon=True)
        await asyncio.to_thread(_start, process)  # The first one has to wait for the modules to be read.
        return cls(process)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    async def wait(self) -> int:
        await asyncio.to_thread(self._process.join)
        assert self._process.exitcode is not None
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _start(process: ForkServerProcess) -> None:
    """Start without our main module, which each child would read anew otherwise."""
    ours = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        process.start()
    finally:
        sys.modules["__main__"] = ours


def _become(main: Main, arguments: list[str], log: str, environ: dict[str, str]) -> None:
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environ)
    main(arguments)
