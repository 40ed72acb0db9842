"""Time that is up when a test says so: how far a conversation has come by then is not the machine's to decide."""

import asyncio
from types import ModuleType, SimpleNamespace

import pytest


class Patience:
    """What a module of ours takes for ``asyncio.timeout``: the seconds it asked for, and their end, at once and on demand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
        self.asked: list[float] = []
        self._running: asyncio.Timeout | None = None
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(**{**vars(asyncio), "timeout": self._begin}))

    def _begin(self, seconds: float) -> asyncio.Timeout:
        self.asked.append(seconds)
        self._running = asyncio.timeout(None)
        return self._running

    def is_over(self) -> None:
        """The time that was asked for last is up."""
        assert self._running is not None
        self._running.reschedule(asyncio.get_running_loop().time())


def an_hour_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For everything that waits on the running loop."""
    loop = asyncio.get_running_loop()
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + 3600.0)
