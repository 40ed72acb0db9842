"""Programs that are wrong on purpose: each must be caught by the tests, or the tests prove nothing.

A mutant is a replacement in a copy of the sources. The tests named beside it run on the copy; the first that fails caught it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 240.0


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way to be wrong, and who should notice. ``changes``: file, what stands there, what shall stand there."""

    name: str
    changes: tuple[tuple[str, str, str], ...]
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "M1 marked as told, then sent",
        (
            (
                "engine/outlet.py",
                "                await self._settle(claim, outcome, claimed_at + self.settings.lease)\n",
                "",
            ),
            (
                "engine/outlet.py",
                "                outcome = await self._sender.send(claim, claimed_at)\n",
                """\
                await self._settle(claim, Receipt(), claimed_at + self.settings.lease)
                outcome = await self._sender.send(claim, claimed_at)
""",
            ),
        ),
        ("tests/engine/test_dispatcher.py",),
    ),
    Mutant(
        "M2 what is known is committed before what follows from it",
        (
            (
                "store/knowledge.py",
                "            if rows:\n                self._execute(statement, rows)\n",
                """\
            if rows:
                self._execute(statement, rows)
            if statement is self._upserts.save_task:
                self._execute(__import__("sqlalchemy").text("COMMIT"))
                self._execute(__import__("sqlalchemy").text("BEGIN IMMEDIATE"))
""",
            ),
        ),
        ("tests/chaos/test_chaos_power.py::test_the_power_may_go_at_any_moment",),
    ),
    Mutant(
        "M3 no lanes",
        (("domain/plan.py", 'f"{self.sink}|{self.event.thread}"', 'f"{self.sink}|{self.event.id}"'),),
        ("tests/domain/test_holding.py", "tests/store/test_store_lanes.py"),
    ),
    Mutant(
        "M4 a lease is ignored",
        (("store/lanes.py", "table.c.sink == sink, ready, table.c.lease_until <= instant)", "table.c.sink == sink, ready)"),),
        ("tests/store/test_store_lanes.py",),
    ),
    Mutant(
        "M5 ids by chance",
        (("domain/identity.py", "return str(uuid5(", "return str(__import__('uuid').uuid4()) or str(uuid5("),),
        ("tests/domain/test_identity.py",),
    ),
    Mutant(
        "M6 a library tries again by itself",
        (("sinks/slack_calls.py", "        self._client.retry_handlers = []\n", ""),),
        ("tests/sinks/test_slack_one_call.py",),
    ),
    Mutant(
        "M7 names are judged, addresses are not",
        (("outbound.py", "        self.check(str(address[0]))\n        return", "        return"),),
        ("tests/sources/test_outbound.py",),
    ),
    Mutant(
        "M8 a commit is not waited for",
        (("store/store.py", '"PRAGMA synchronous=FULL"', '"PRAGMA synchronous=OFF"'),),
        ("tests/store/test_sqlite_file.py",),
    ),
    Mutant(
        "M9 a redirect is followed",
        (
            ("sinks/posting.py", ", allow_redirects=False\n", "\n"),
            ("outbound.py", "        if self.status in REDIRECTS:", "        if self.status in ():"),
        ),
        ("tests/sinks/test_webhook_outcomes.py", "tests/sources/test_outbound.py"),
    ),
    Mutant(
        "M10 a secret in an error",
        (("sinks/posting.py", 'text = self._known.sub("***", text)', "pass"),),
        ("tests/sinks/test_webhook_outcomes.py",),
    ),
    Mutant(
        "M11 no fence",
        (
            (
                "store/lanes.py",
                ".where(table.c.id == claim.lane, table.c.epoch == claim.epoch)",
                ".where(table.c.id == claim.lane)",
            ),
        ),
        ("tests/store/test_store_lanes.py",),
    ),
    Mutant(
        "M12 the clock drops what is late",
        (("engine/clock.py", '"misfire_grace_time": None', '"misfire_grace_time": 1'),),
        ("tests/engine/test_clock.py",),
    ),
    Mutant(
        "M13 what cannot be put into words is passed over",
        (
            (
                "engine/sending.py",
                "            return DeliveryError(Outcome.REJECTED, DeliveryReason.RENDER",
                '            raise LookupError("passed over") or DeliveryError(Outcome.REJECTED, DeliveryReason.RENDER',
            ),
        ),
        ("tests/engine/test_dispatcher.py::test_a_message_that_cannot_be_put_into_words_is_buried",),
    ),
    Mutant(
        "M14 fifty at a time are noted as told",
        (
            (
                "engine/outlet.py",
                "                await self._settle(claim, outcome, claimed_at + self.settings.lease)\n",
                """\
                self._late = [*getattr(self, "_late", []), (claim, outcome, claimed_at + self.settings.lease)]
                while len(self._late) >= 50:
                    await self._settle(*self._late.pop(0))
""",
            ),
        ),
        ("tests/engine/test_dispatcher.py",),
    ),
)


def mutant(number: int) -> Mutant:
    """The mutant of that number: ``M6`` is 6."""
    return next(each for each in MUTANTS if each.name.startswith(f"M{number} "))


def as_table(caught_by: Mapping[str, str | None]) -> str:
    """Who caught whom, in Markdown."""
    rows = [f"| {name} | {by or '**nobody**'} |" for name, by in caught_by.items()]
    return "\n".join(["| what is wrong | who noticed |", "|---|---|", *rows])


class Unfit(Exception):
    """A mutant that no longer fits the sources, or tests that fail without it."""


def changed(mutant: Mutant) -> dict[str, str]:
    """The files that it changes, as they are then.

    Raises:
        Unfit: A text of it is not in the sources exactly once.
    """
    found: dict[str, str] = {}
    for file, old, new in mutant.changes:
        source = found.get(file) or (ROOT / "notifier" / file).read_text()
        if source.count(old) != 1:
            raise Unfit(f"{mutant.name}: {file} does not hold its text exactly once")
        found[file] = source.replace(old, new)
    return found


def caught(mutant: Mutant, folder: Path, *, surely: bool = False) -> str | None:
    """The test that caught it; None if it survived.

    ``surely``: the test must pass on the program as it is; otherwise it may have failed because the machine was busy.

    Raises:
        Unfit: Its text is not in the sources exactly once, or its tests cannot be run, or fail without it.
    """
    here = folder / re.sub(r"\W+", "-", mutant.name)
    shutil.copytree(ROOT / "notifier", here / "notifier", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests", "pyproject.toml", "config", "README.md"):
        (here / name).symlink_to(ROOT / name)
    for file, source in changed(mutant).items():
        (here / "notifier" / file).write_text(source)
    try:
        run = _tested(here, mutant.tests)
    except subprocess.TimeoutExpired:
        return f"stood still for {PATIENCE:.0f} s"
    finally:
        shutil.rmtree(here)
    if run.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    if found is None:
        raise Unfit(f"{mutant.name}: {run.stdout[-500:]}{run.stderr[-500:]}")
    if surely and _tested(ROOT, [found[1]]).returncode != 0:
        raise Unfit(f"{mutant.name}: {found[1]} fails without it")
    return found[1]


def _tested(here: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-n0", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests]
    environ = {**os.environ, "PYTHONPATH": str(here), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=here, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
