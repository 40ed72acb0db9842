"""The chaos suite in full: ``python tests/chaos/chaos.py [--seed N] [--runs ABCDEFJM] [--scale 1.0] [--out DIR]``.

Every run has a world of its own. Prints a verdict a run as it comes, then the tables for ``docs/reliability.md``, and ends with 1
if a promise was broken or a mutant survived. At scale 1 it takes about an hour on two cores.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from chaos_audit import Verdict, as_table
from chaos_mutants import MUTANTS, caught
from chaos_power import cut
from chaos_replicas import storm, tide
from chaos_runs import can_trace, flood, kills, outage, swept, terms

SYSCALLS = ("fdatasync", "sendto", "pwrite64", "recvfrom", "connect")
Run = Callable[[Path], Awaitable[tuple[Verdict, dict[str, float]]]]


def runs(letters: str, seed: int, scale: float) -> Iterator[tuple[str, Run]]:
    """The runs that were asked for, each with its name."""

    def some(count: float) -> int:
        return max(int(count * scale), 1)

    known: dict[str, Run] = {
        "A": lambda folder: kills(folder, count=some(100), clusters=some(250), seed=seed),
        "a": lambda folder: kills(folder, count=some(30), clusters=some(40), seed=seed, rough=True),
        "B": lambda folder: storm(
            folder, kills=some(100), zombies=some(40), crashes=some(10), cuts=some(40), clusters=some(80), seed=seed, window=3e4
        ),
        "b": lambda folder: tide(folder, most=5, clusters=max(some(40), 5), seed=seed),
        "C": lambda folder: outage(folder, clusters=some(20), seed=seed, down_for=max(120.0 * scale, 32.0)),
        "F": lambda folder: flood(folder, clusters=some(500), seed=seed),
        "J": lambda folder: terms(folder, count=some(100), clusters=some(60), seed=seed),
    }
    names = {
        "A": "A: SIGKILLs",
        "a": "A: SIGKILLs, a fifth of all answers bad",
        "B": "B: three replicas, SIGKILLs, zombies, crashes of the database, cuts at COMMIT",
        "b": "B: one to five replicas and back, clocks an hour apart",
        "C": "C: a receiver down",
        "F": "F: a flood",
        "J": "J: SIGTERMs",
    }
    for letter in letters.replace("A", "Aa").replace("B", "Bb"):
        if letter in known:
            yield names[letter], known[letter]


async def sweep(seed: int, scale: float) -> dict[str, Any]:
    """Run D: every system call that matters, one kill a run."""
    if not can_trace():
        return {"skipped": "strace is not installed"}
    points = [(syscall, when) for syscall in SYSCALLS for when in range(1, max(int(40 * scale), 1) + 1)]
    bad = []
    for syscall, when in points:
        with tempfile.TemporaryDirectory() as folder:
            verdict = await swept(Path(folder), syscall, when, seed)
        if not verdict.good:
            bad.append(f"{syscall} {when}: {verdict}")
            say(f"D: {bad[-1]}")
    return {"points": len(points), "broken": len(bad), "good": not bad}


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def main() -> int:
    """Run what was asked for; 0 if all is well."""
    parser = argparse.ArgumentParser(description="The chaos suite.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", default="ABCDEFJM")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    table: list[tuple[str, dict[str, Any]]] = []
    more: dict[str, Any] = {}
    good = True
    for name, run in runs(asked.runs, asked.seed, asked.scale):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            verdict, notes = await run(Path(folder))
        good &= verdict.good
        table.append((name, verdict.as_dict()))
        more[name] = {**notes, "seconds": round(time.monotonic() - began)}
        say(f"{name}: {verdict.as_dict()} {more[name]}")
    if "D" in asked.runs:
        more["D: a kill at each system call"] = found = await sweep(asked.seed, asked.scale)
        good &= bool(found.get("good", True))
        say(f"D: {found}")
    if "E" in asked.runs:
        with tempfile.TemporaryDirectory() as folder:
            power = await cut(Path(folder), prefixes=max(int(500 * asked.scale), 1), seed=asked.seed)
        good &= not (power.broken or power.strangers or power.lost)
        more["E: power cuts"] = str(power)
        say(f"E: {power}")
    if "M" in asked.runs:
        with tempfile.TemporaryDirectory() as folder:
            for mutant in MUTANTS:
                by = caught(mutant, Path(folder))
                good &= by is not None
                more[mutant.name] = by or "SURVIVED"
                say(f"{mutant.name}: {more[mutant.name]}")
    if table:
        say("\n" + as_table(table))
    if asked.out:
        (asked.out / "chaos.json").write_text(json.dumps({"seed": asked.seed, "runs": dict(table), "more": more}, indent=2))
    say("kept" if good else "BROKEN")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
