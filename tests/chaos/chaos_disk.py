"""Run K: what may happen to the file of the store while the program lives on it, each against the real program.

A disk that is full or fails is made by a tracer that lets a system call fail: that needs neither root nor a file system.
"""

import asyncio
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import aiohttp
from chaos_audit import Blow, Verdict
from chaos_bot import Bot, page_at
from chaos_kills import SWEEP_SPEED, can_trace, small, traced
from chaos_ledger import Ledger
from chaos_world import PATIENCE, world
from ports import free_port

from notifier.sources.faults import Faults
from notifier.store.schema import HEAD
from notifier.store.store import Store

DAMAGED = 74
FULL = "the disk under the store is full"
FULL_FROM, FULL_TO = 60, 160
"""The writes that find no room: after the first looks at a store that is there already, and long enough to be noticed."""

LATER = 12
"""The commit whose bytes the disk does not take."""


async def full(folder: Path, *, seed: int) -> tuple[Verdict, dict[str, float]]:
    """The disk is full for a hundred writes, then there is room. The program says so meanwhile, and needs no restart."""
    port = free_port()
    async with world(folder, small(seed), ledger=Ledger(), faults=Faults(), speed=SWEEP_SPEED, http=page_at(port)) as here:
        Store(f"sqlite:///{folder}/notifier.db").open().close()
        here.bot.before = traced("pwrite64", f"error=ENOSPC:when={FULL_FROM}..{FULL_TO}")
        await here.bot.start()
        told = asyncio.create_task(here.all_told(PATIENCE))
        said = await _said(port, FULL, told)
        await told
        mended = await _said(port, None, None)
        assert here.bot.running, here.bot.log[-4000:]
        os.kill(here.bot.pid, signal.SIGTERM)
        assert here.bot.process is not None
        assert await here.bot.process.wait() == 0, here.bot.log[-4000:]
        return await here.verdict(slots=0), {"said": said, "mended": mended}


async def failing(folder: Path, *, seed: int) -> tuple[Verdict, dict[str, float]]:
    """The disk does not take a commit: the program ends with 74 and a word why, and its successor goes on from what is safe."""
    async with world(folder, small(seed), ledger=Ledger(), faults=Faults(), speed=SWEEP_SPEED) as here:
        here.bot.before = traced("fdatasync", f"error=EIO:when={LATER}")
        await here.bot.start()
        assert here.bot.process is not None
        code = await asyncio.wait_for(here.bot.process.wait(), PATIENCE)
        here.bot.blows.append(Blow(time.monotonic(), "EIO", before=10.0))
        said = "disk I/O error" in here.bot.log
        here.bot.before = ()
        await here.bot.start()
        await here.all_told(PATIENCE)
        return await here.verdict(), {"exit code": code, "said": said}


async def doubled(folder: Path, *, seed: int) -> tuple[Verdict, dict[str, float]]:
    """Somebody starts the program twice: the second is refused by name, the first does not notice."""
    async with world(folder, small(seed), ledger=Ledger(), faults=Faults(), speed=SWEEP_SPEED) as here:
        await here.bot.start()
        await here.ledger.until(1, PATIENCE)
        second = Bot(Path(shutil.copy(here.bot.config, folder / "second.yaml")))
        began = time.monotonic()
        code = await _refused(second)
        seconds = time.monotonic() - began
        named = f"is in use by process {here.bot.pid}:" in second.log
        await here.all_told(PATIENCE)
        return await here.verdict(slots=0), {"exit code": code, "named": named, "refused after s": round(seconds, 1)}


async def restored(folder: Path, *, seed: int) -> tuple[Verdict, dict[str, float]]:
    """In the middle of the story an old copy of the file takes its place. All is told, and nothing under another id.

    What was told since the copy is told again, under its old ids; numbers are given anew. Nothing else of the verdict can hold.
    """
    async with world(folder, small(seed), ledger=Ledger(), faults=Faults(), speed=SWEEP_SPEED) as here:
        await here.bot.start()
        await here.ledger.until(5, PATIENCE)
        await here.bot.end(signal.SIGKILL)
        _copy(folder / "notifier.db", folder / "backup.db")
        await here.bot.start()
        await here.ledger.until(30, PATIENCE)
        await here.bot.end(signal.SIGKILL)
        before = len({receipt.id for receipt in here.ledger.receipts})
        _copy(folder / "backup.db", folder / "notifier.db")
        await here.bot.start()
        await here.all_told(PATIENCE)
        return await here.verdict(), {"events before": before}


async def unusable(folder: Path, *, seed: int) -> dict[str, str]:
    """What the program says, and with which code it ends, when it finds a file that it must not or cannot use.

    None may be changed. That one can only be read is something that a tracer makes believe, since root may write to all.
    """
    found = {}
    async with world(folder, small(seed), ledger=Ledger(), faults=Faults()) as here:
        await here.bot.start()
        await here.looked_at()
        await here.bot.leave()
        good = folder / "good.db"
        _copy(folder / "notifier.db", good)
        spoilt: dict[str, Callable[[Path], object]] = {
            "newer schema": _newer,
            "flipped bytes": _flipped,
            "no database": _nonsense,
        }
        if can_trace():
            spoilt["read-only"] = Path.exists
        for name, spoil in spoilt.items():
            _copy(good, folder / "notifier.db")
            spoil(folder / "notifier.db")
            path = ("-P", str(folder / "notifier.db"))
            here.bot.before = (*traced("openat", "error=EROFS"), *path) if name == "read-only" else ()
            before = (folder / "notifier.db").read_bytes()
            here.bot.config.with_suffix(".log").unlink()
            code = await _refused(here.bot)
            kept = "left as it was" if (folder / "notifier.db").read_bytes() == before else "CHANGED"
            found[name] = f"{code}, {kept}: {here.bot.log.strip().replace(str(folder), '')}"
    return found


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    assert HEAD < "9999"


def _flipped(path: Path) -> None:
    body = bytearray(path.read_bytes())
    for start in range(4096, len(body), 4096):
        body[start : start + 8] = bytes(byte ^ 0xFF for byte in body[start : start + 8])
    path.write_bytes(body)


def _nonsense(path: Path) -> None:
    path.write_bytes(b"dear diary, " * 500)


def _copy(database: Path, there: Path) -> None:
    """A copy of a database that nobody holds, with what its log holds."""
    for ending in ("", "-wal"):
        source, target = Path(f"{database}{ending}"), Path(f"{there}{ending}")
        target.unlink(missing_ok=True)
        if source.exists():
            shutil.copy(source, target)


async def _refused(bot: Bot) -> int:
    """The code with which a program ends that must not go on."""
    await bot.start()
    assert bot.process is not None
    return await asyncio.wait_for(bot.process.wait(), PATIENCE)


async def _said(port: int, words: str | None, until: asyncio.Task[None] | None) -> bool:
    """Whether ``/readyz`` came to say this (None: that all is well) before ``until`` was done, or within a minute."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        while until is None or not until.done():
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    body = await answer.json()
            except aiohttp.ClientConnectionError:
                body = None
            if body and (body["ready"] if words is None else any(words in each for each in body["problems"])):
                return True
            await asyncio.sleep(0.02)
    return False
