"""The chaos suite in full: ``python tests/chaos/chaos.py [--seed N] [--runs ABCDEFGHIJKTM] [--scale 1.0] [--out DIR]``.

Every run has a world of its own. Prints a verdict a run as it comes, then the table for ``docs/reliability.md``, and ends with 1
if a promise was broken or a mutant survived. Runs of which nothing can be known here (no strace, say) are counted as skipped.
"""

import argparse
import asyncio
import json
import platform
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent))
from chaos_audit import Verdict, as_table
from chaos_disk import DAMAGED, doubled, failing, full, restored, unusable
from chaos_hostile import hostile
from chaos_kills import SYSCALLS, can_trace, kills, swept, terms
from chaos_load import flood
from chaos_model import play
from chaos_mutants import MUTANTS, caught
from chaos_mutants import as_table as mutants_table
from chaos_outage import outage
from chaos_power import cut
from chaos_replicas import storm, tide
from chaos_time import LATEST, stalled, stepped
from chaos_weather import weather

SIDE_BY_SIDE = 4
"""Sweeps at once: they mostly wait."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a run came to. ``good`` is None where it could not be had."""

    name: str
    good: bool | None
    verdict: Verdict | None = None
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """How much of everything, and by which lot."""

    seed: int
    scale: float

    def some(self, count: float) -> int:
        return max(int(count * self.scale), 1)


async def killed(asked: Asked, folder: Path) -> AsyncIterator[Said]:
    some, seed = asked.some, asked.seed
    verdict, notes = await kills(folder / "a", count=some(100), clusters=some(340), seed=seed)
    soon = notes["slowest recovery s"] <= 10
    yield Said("A: SIGKILL at random, 2 % of all answers bad", verdict.good and soon, verdict, notes)
    verdict, notes = await kills(folder / "b", count=some(30), clusters=some(40), seed=seed, rough=True)
    soon = notes["slowest recovery s"] <= 10
    yield Said("A: SIGKILL at random, 25 % of all answers bad", verdict.good and soon, verdict, notes)


async def ended(asked: Asked, folder: Path) -> AsyncIterator[Said]:
    verdict, notes = await terms(folder, count=asked.some(100), clusters=asked.some(60), seed=asked.seed)
    yield Said("J: SIGTERM at random", verdict.good and not verdict.repeats and notes["slowest stop s"] <= 8, verdict, notes)


async def down(asked: Asked, folder: Path) -> AsyncIterator[Said]:
    found = await outage(folder, clusters=asked.some(20), seed=asked.seed, down_for=max(120.0 * asked.scale, 10.0), hurry=10.0)
    notes = {**found.notes, "wrong": found.wrong}
    for name, verdict in found.verdicts.items():
        yield Said(name, verdict.good and not found.wrong, verdict, notes)
        notes = {}


async def flooded(asked: Asked, folder: Path) -> AsyncIterator[Said]:
    verdict, gauges, notes = await flood(folder, clusters=asked.some(500), seed=asked.seed)
    yield Said("F: a fleet finishes within a minute", verdict.good and gauges.kept, verdict, notes)


async def shared(asked: Asked, folder: Path) -> AsyncIterator[Said]:
    some, seed = asked.some, asked.seed
    blows: dict[str, Any] = {"kills": some(100), "zombies": some(40), "crashes": some(10), "cuts": some(40)}
    verdict, notes = await storm(folder / "a", clusters=some(80), seed=seed, window=3e4, **blows)
    yield Said("B: three replicas, SIGKILLs, zombies, crashes of the database, cuts at COMMIT", verdict.good, verdict, notes)
    blows = {"kills": some(10), "zombies": some(5), "crashes": some(20), "cuts": some(10)}
    verdict, notes = await storm(folder / "c", clusters=some(40), seed=seed, window=1e4, standby=True, **blows)
    yield Said("B: three replicas, failovers of the database to its standby", verdict.good, verdict, notes)
    verdict, notes = await tide(folder / "b", most=5, clusters=max(some(40), 5), seed=seed)
    yield Said("B: one to five replicas and back, clocks an hour apart", verdict.good, verdict, notes)


async def swept_through(asked: Asked, folder: Path) -> AsyncIterator[Said]:
    """Every system call that matters, one kill a run."""
    name = "D: SIGKILL at each system call"
    if not can_trace():
        yield Said(name, None, notes={"skipped": "strace is not installed"})
        return
    room, bad = asyncio.Semaphore(SIDE_BY_SIDE), list[str]()
    points = [(syscall, when) for syscall in SYSCALLS for when in range(1, asked.some(40) + 1)]

    async def point(syscall: str, when: int) -> None:
        here = folder / f"{syscall}-{when}"
        here.mkdir()
        async with room:
            verdict = await swept(here, syscall, when, asked.seed)
        if not verdict.good:
            bad.append(f"{syscall} {when}: {verdict}")

    await asyncio.gather(*(point(*each) for each in points))
    yield Said(name, not bad, notes={"points": len(points), "broken": bad})


async def cut_off(asked: Asked, folder: Path) -> AsyncIterator[Said]:
    found = await cut(folder, prefixes=asked.some(500), seed=asked.seed)
    yield Said("E: power cuts", not (found.broken or found.strangers or found.lost), notes={"found": str(found)})


async def weathered(asked: Asked, folder: Path) -> AsyncIterator[Said]:
    """An hour, or a share of it, which says nothing of what grows."""
    verdict, growth, notes = await weather(folder, clusters=asked.some(120), seconds=3600 * asked.scale, seed=asked.seed)
    calm = asked.scale < 1 or growth.bounded
    yield Said("G: everything at once", verdict.good and calm and not notes["wrong"], verdict, notes)


async def modelled(asked: Asked, folder: Path) -> AsyncIterator[Said]:
    def played() -> str | None:
        try:
            play(folder, examples=asked.some(2000), steps=50, seed=asked.seed)
        except AssertionError as error:
            return "".join(traceback.format_exception(error))  # With the shortest story among its notes.
        return None

    broken = await asyncio.to_thread(played)
    yield Said("H: in whatever order things happen", broken is None, notes={"examples": asked.some(2000), "broken": broken})


async def attacked(asked: Asked, folder: Path) -> AsyncIterator[Said]:
    verdict, gauges, notes = await hostile(folder, clusters=4, seed=asked.seed, rounds=asked.some(5))
    good = verdict.good and gauges.kept and not notes["harm"] and not notes["trapped"]
    yield Said("I: a hostile cloud, a hostile receiver, hostile names", good, verdict, notes)


async def out_of_disk(asked: Asked, folder: Path) -> AsyncIterator[Said]:
    names = ("K: a full disk", "K: a disk that fails")
    if can_trace():
        verdict, notes = await full(folder / "a", seed=asked.seed)
        yield Said(names[0], verdict.good and not verdict.repeats and bool(notes["said"] and notes["mended"]), verdict, notes)
        verdict, notes = await failing(folder / "b", seed=asked.seed)
        yield Said(names[1], verdict.good and notes["exit code"] == DAMAGED and bool(notes["said"]), verdict, notes)
    else:
        for name in names:
            yield Said(name, None, notes={"skipped": "strace is not installed"})
    verdict, notes = await doubled(folder / "c", seed=asked.seed)
    refused = notes["exit code"] == 1 and notes["named"] and notes["refused after s"] <= 10
    yield Said("K: a second instance", verdict.good and bool(refused), verdict, notes)
    verdict, notes = await restored(folder / "d", seed=asked.seed)
    yield Said(
        "K: an old copy restored", not (verdict.lost or verdict.phantoms or verdict.two_ids or verdict.invariants), notes=notes
    )
    found = await unusable(folder / "e", seed=asked.seed)
    codes = {"newer schema": 1, "flipped bytes": DAMAGED, "no database": DAMAGED, "read-only": 1}
    good = all(said.startswith(f"{codes[name]}, left as it was: notifier: ") for name, said in found.items())
    yield Said("K: files that must not be used", good, notes=dict(found))


async def out_of_time(asked: Asked, folder: Path) -> AsyncIterator[Said]:
    verdict, notes = await stalled(folder / "a", clusters=asked.some(20), seed=asked.seed)
    yield Said("T: the program stands still for 5 s", verdict.good and notes["polls after"] > 0, verdict, notes)
    verdict, notes = await stepped(folder / "b", clusters=asked.some(10), seed=asked.seed)
    good = verdict.good and notes["fewest polls a second"] >= 1 and notes["longest silence s"] <= LATEST
    yield Said("T: the wall clock is set by an hour and a day", good, verdict, notes)


async def mutated(_asked: Asked, folder: Path) -> AsyncIterator[Said]:
    by: dict[str, str | None] = {}
    for mutant in MUTANTS:
        by[mutant.name] = found = await asyncio.to_thread(caught, mutant, folder, surely=True)
        yield Said(mutant.name, found is not None, notes={"caught by": found or "NOBODY"})
    say("\n" + mutants_table(by) + "\n")


RUNS = {
    "A": killed,
    "B": shared,
    "C": down,
    "D": swept_through,
    "E": cut_off,
    "F": flooded,
    "G": weathered,
    "H": modelled,
    "I": attacked,
    "J": ended,
    "K": out_of_disk,
    "T": out_of_time,
    "M": mutated,
}


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def main() -> int:
    """Run what was asked for; 0 if all is well."""
    parser = argparse.ArgumentParser(description="The chaos suite.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", default="".join(RUNS).replace("G", ""), help="which, by letter; G takes an hour")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of everything: 1 is the whole")
    parser.add_argument("--out", type=Path, help="a folder for chaos.json")
    options = parser.parse_args()
    asked, told = Asked(options.seed, options.scale), list[Said]()
    for letter in options.runs:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            for part in "abcde":
                (Path(folder) / part).mkdir()
            async for said in _contained(letter, asked, Path(folder)):
                told.append(said)
                seconds = round(time.monotonic() - began)
                fate = {None: "skipped", True: "kept", False: "BROKEN"}[said.good]
                say(f"{said.name}: {fate}, {seconds} s, {said.notes}" + (f", {said.verdict}" if said.verdict else ""))
                began = time.monotonic()
    if table := [(said.name, said.verdict) for said in told if said.verdict is not None]:
        say("\n" + as_table(table) + "\n")
    if options.out:
        versions = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "kernel": platform.release()}
        runs = [{"run": said.name, "good": said.good, **said.notes, **dict(_numbers(said))} for said in told]
        report = {"seed": asked.seed, "scale": asked.scale, "versions": versions, "runs": runs}
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "chaos.json").write_text(json.dumps(report, indent=2))
    broken = [said.name for said in told if said.good is False]
    skipped = sum(said.good is None for said in told)
    say(
        f"{len(told) - len(broken) - skipped} kept, {len(broken)} broken, {skipped} skipped"
        + "".join(f"\n  {each}" for each in broken)
    )
    return 1 if broken else 0


async def _contained(letter: str, asked: Asked, folder: Path) -> AsyncIterator[Said]:
    """A run; one that cannot be played to its end is broken, and the others go on."""
    try:
        async for said in RUNS[letter](asked, folder):
            yield said
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a verdict
        place = traceback.extract_tb(error.__traceback__)[-1]
        yield Said(
            f"{letter}: broke off", good=False, notes={"error": repr(error)[:2000], "where": f"{place.name}:{place.lineno}"}
        )


def _numbers(said: Said) -> dict[str, int | bool]:
    return said.verdict.as_dict() if said.verdict else {}


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
