"""Run C: of four receivers one is well, one is down for long, one for longer than its messages are kept, one asks for patience.

Clocks are compressed: what takes days takes seconds, in the configuration and in `chaos_hurried`.
"""

import asyncio
import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from chaos_audit import Verdict, audit
from chaos_bot import SLOTS, page_at
from chaos_gauges import listening, waiting
from chaos_ledger import Ledger, Receipt
from chaos_world import PATIENCE, contents, eventually, everything, world
from ports import free_port

from notifier.domain.errors import DeliveryReason
from notifier.domain.model import Event, Kind
from notifier.domain.retry import PROBE_EVERY
from notifier.engine.outlet import SWEEP
from notifier.sources.faults import Faults
from notifier.sources.scenarios import fleet
from notifier.store.rows import DeliveryRow, State

SLACK = 5.0
"""Seconds by which a busy machine may be late with what it looks for now and then."""


@dataclass
class Moods:
    """When which receiver does what; nothing begins before `begin`.

    Attributes:
        down_for: Seconds for which two of them refuse everything.
        patience: Seconds for which one asks for patience, as often as it is well for as long.
    """

    down_for: float
    patience: float
    began: float = math.inf
    spells: set[int] = field(default_factory=set)

    def begin(self) -> None:
        self.began = time.monotonic()

    @property
    def down(self) -> bool:
        return time.monotonic() < self.began + self.down_for

    def asks(self) -> float:
        """Seconds for which it wants to be left alone, 0 while it is well."""
        spell, into = divmod(time.monotonic() - self.began, 2 * self.patience) if self.began < math.inf else (0.0, math.inf)
        if into >= self.patience:
            return 0.0
        self.spells.add(int(spell))
        return self.patience - into


@dataclass(frozen=True, slots=True)
class Outage:
    """What run C came to: a verdict a receiver, what must not be, and what is worth knowing."""

    verdicts: dict[str, Verdict]
    wrong: list[str]
    notes: dict[str, Any]

    @property
    def good(self) -> bool:
        return not self.wrong and all(verdict.good for verdict in self.verdicts.values())


async def outage(folder: Path, *, clusters: int, seed: int, down_for: float, hurry: float) -> Outage:
    """Run C. The story goes on for half as long after two of the receivers are up again; one of them was given up by then.

    ``hurry``: how many times shorter the program's own waits are.
    """
    scenario, port = fleet(clusters, seed=seed, window=600.0), free_port()
    moods, keep = Moods(down_for, patience=down_for / 6), round(down_for / 4, 1)  # As the configuration spells it.
    down, gone, throttled = Ledger(down=lambda: moods.down), Ledger(down=lambda: moods.down), Ledger(patience=moods.asks)
    async with (
        down,
        gone,
        throttled,
        world(
            folder,
            scenario,
            ledger=Ledger(),
            faults=Faults(),
            speed=scenario.end / (1.5 * down_for),
            more_hooks={"down": down.url, "gone": gone.url, "throttled": throttled.url},
            each={"gone": f", fallback: hook, fallback_after: 1s, delivery: {{first_retry: 100ms, give_up_after: {keep:.1f}s}}"},
            http=page_at(port),
        ) as here,
    ):
        here.bot.program = (str(Path(__file__).with_name("chaos_hurried.py")), str(hurry))
        await here.bot.start()
        await here.looked_at()
        moods.begin()
        for each in (here.ledger, down, throttled):
            await everything(scenario, each, PATIENCE + down_for)
        while await waiting(port, "gone"):  # noqa: ASYNC110 - it lies in another process
            await asyncio.sleep(0.2)
        refused = {"down": down.refused, "gone": gone.refused, "throttled": throttled.refused}
        await here.bot.leave()
        here.bot.blows.clear()  # It explains nothing: whoever ends cleanly repeats nothing.
        stored = events, deliveries = await contents(folder / "notifier.db")
        owed = [row for row in deliveries if row.sink == "gone"]
        dead = {row.event for row in owed if row.state is State.DEAD}
        missing = [event for event in events if event.id in dead]
        in_time = len(gone.receipts)
        wrong = [
            *_given_up_wrongly(owed, keep + SWEEP / hurry + SLACK, keep),
            *_announced_wrongly(here.ledger.receipts, owed),
            *_impatient(refused, down_for * hurry / PROBE_EVERY, len(moods.spells)),
        ]
        # The dead are still there after a restart, and are sent again as whoever is on call would do it; a busy machine would not
        # be done in the time for which they were kept.
        config = here.bot.config
        config.write_text(config.read_text().replace(f"give_up_after: {keep:.1f}s", "give_up_after: 72h"))
        await here.bot.start()
        sent_again = await _sent_again(config, port)
        await eventually(lambda: len(gone.receipts) >= in_time + len(dead), PATIENCE)
        await here.bot.leave()
        wrong += _told_again_wrongly(gone.receipts[in_time:], missing)
        _, deliveries = await contents(folder / "notifier.db")
        wrong += [f"{row.event} to {row.sink} is {row.state}" for row in deliveries if row.state is not State.DELIVERED]
    verdicts = {
        "C: a receiver that is well beside three that are not": audit(scenario, here.ledger.receipts, slots=0, stored=stored),
        "C: a receiver down for long": audit(scenario, down.receipts, slots=0),
        "C: a receiver down for longer than messages are kept": audit(scenario, gone.receipts[:in_time], slots=0, dead=missing),
        "C: a receiver that asks for patience": audit(scenario, throttled.receipts, slots=0),
    }
    notes = {
        "given up": len(dead),
        "sent again": sent_again,
        "tries in vain": refused,
        "spells of patience": len(moods.spells),
        "slowest message to the one that is well s": round(max(receipt.late for receipt in here.ledger.receipts), 1),
    }
    return Outage(verdicts, wrong, notes)


def _given_up_wrongly(owed: Sequence[DeliveryRow], latest: float, keep: float) -> Iterator[str]:
    """What was given up too early, or told although it was too old, of what was owed to one receiver."""
    for row in owed:
        assert row.settled_at is not None, row
        age = (row.settled_at - row.created_at).total_seconds()
        if row.state is State.DEAD and (age < keep or row.reason != DeliveryReason.EXPIRED):
            yield f"given up after {age:.1f} s, {row.reason}: {row.detail}"
        if row.state is State.DELIVERED and age > latest:
            yield f"told after {age:.1f} s"
    if not 0 < sum(row.state is State.DEAD for row in owed) < len(owed):
        yield "all or nothing was given up: the run shows nothing"


def _announced_wrongly(receipts: Sequence[Receipt], owed: Sequence[DeliveryRow]) -> Iterator[str]:
    """What the neighbour was told of it, unless it is: that it fails, and that it works again with so many given up."""
    told = [receipt.event for receipt in receipts if receipt.event["sink"] is not None]
    if [each["kind"] for each in told] != [Kind.SINK_FAILING, Kind.SINK_RECOVERED]:
        yield f"told of it: {[each['kind'] for each in told]}"
        return
    when, said = datetime.fromisoformat(told[1]["observed_at"]), told[1]["sink"]["lost"]
    settled = [row.settled_at for row in owed if row.state is State.DEAD and row.settled_at is not None]
    # The moment is told in whole milliseconds.
    before, by = (sum(each < when + timedelta(milliseconds=edge) for each in settled) for edge in (-1, 1))
    if not before <= said <= by:
        yield f"told to have lost {said}, it had lost {before} to {by}"


def _impatient(refused: Mapping[str, int], probes: float, spells: int) -> Iterator[str]:
    """Who was asked more often than what was under way already, or was claimed meanwhile, and then a probe at a time."""
    most = {"down": 2 * SLOTS + probes + 2, "gone": 2 * SLOTS + probes + 2, "throttled": 2 * SLOTS * spells}
    for name, count in refused.items():
        if not 0 < count <= most[name]:
            yield f"{name} was asked {count} times in vain, {most[name]:.0f} at most were expected"


def _told_again_wrongly(receipts: Sequence[Receipt], missing: Sequence[Event]) -> Iterator[str]:
    """Whether the given up came once each and, within a task, in their order when they were sent again."""
    if Counter(receipt.id for receipt in receipts) != Counter(event.id for event in missing):
        yield f"{len(receipts)} came of {len(missing)} that were sent again"
    threads: dict[str, list[int]] = defaultdict(list)
    for receipt in receipts:
        threads[receipt.thread].append(receipt.sequence)
    yield from (f"sent again out of order: {numbers}" for numbers in threads.values() if numbers != sorted(numbers))


async def _sent_again(config: Path, port: int) -> int:
    """Send again what was given up, by the command line; how much that was."""
    await listening(port, PATIENCE)
    command = (sys.executable, "-m", "notifier", "deliveries", "retry", "--all", "--sink", "gone", "-c", str(config))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0
    return len(said.splitlines())
