"""Run G: everything at once, for as long as one likes, while people look: what grows, what is lost, what is told twice?

Two kinds of weather, each at random: what is done to the program (killed, ended, frozen, told to read its configuration again,
its clock set, its disk filled), and what goes on around it (the cloud, a webhook's receiver, Slack, a mail server). It is killed
and ended in the first quarter only: what grows can only be seen in a process that lives.
"""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import aiohttp
from chaos_audit import Verdict, audit
from chaos_bot import SLOTS, page_at
from chaos_gauges import Reading, listening, waiting
from chaos_kills import can_trace, struck
from chaos_ledger import Ledger
from chaos_world import MIX, PATIENCE, World, contents, world
from ports import free_port

sys.path.append(str(Path(__file__).parent.parent / "sinks"))
from block_limits import problems
from fake_slack import CHANNEL, TOKEN, Slack, slack
from smtp_servers import PostOffice, post_office

from notifier.domain.model import Event, Kind
from notifier.sinks.slack import PLACES
from notifier.sources.faults import Fault, Faults
from notifier.sources.scenarios import fleet
from notifier.store.rows import DeliveryRow

ROUGH = 0.25
"""The share of the time in which it is killed and ended, too."""

WARM = 0.5
"""From here on it is looked at what grows: caches are full, and every code has been run."""

USUAL = Faults(rate=0.02, mix=MIX, slow_for=1.0)

SLACK_FAULTS = ("service_unavailable", "ratelimited", "reset before", "reset after", "html", "internal_error")

REST = ("/api/v1/clusters", "/api/v1/tasks", "/api/v1/events", "/api/v1/deliveries")
PAGES = ("/", "/events", "/letters", "/silences", "/stream", "/metrics", "/readyz", *REST)

MOST_MIB_AN_HOUR = 1.0
MORE_FILES, MORE_THREADS = 30, 2
"""More or less than these are nothing but the moment that was looked at: as many polls were under way."""

BYTES_AN_EVENT = 24_000
"""What a stored event may take of the disk with all that belongs to it: its deliveries to three, their tries, indexes."""


@dataclass
class Sky:
    """What is bad at the moment, by the monotonic clock; what was done."""

    draw: Random
    down: float = 0.0
    patience: float = 0.0
    slack: float = 0.0
    done: Counter[str] = field(default_factory=Counter)

    def slack_fault(self, _method: str, _arguments: dict[str, Any]) -> str | None:
        bad = time.monotonic() < self.slack or self.draw.random() < 0.02
        return self.draw.choice(SLACK_FAULTS) if bad else None

    def clear(self) -> None:
        self.down = self.patience = self.slack = 0.0


@dataclass
class Weather:
    """What may be done, each by the name of a method."""

    here: World
    sky: Sky
    office: PostOffice
    clock: Path
    port: int
    hurry: float
    readings: list[Reading] = field(default_factory=list)
    wrong_by: float = 0.0

    async def killed(self) -> None:
        await self.here.bot.end(signal.SIGKILL)
        await self.started()

    async def ended(self) -> None:
        assert await self.here.bot.end(signal.SIGTERM) == 0, self.here.bot.log[-4000:]
        await self.started()

    async def started(self) -> None:
        """Start it and wait until it listens: a signal that it does not know yet would end it."""
        await self.here.bot.start()
        await listening(self.port, PATIENCE)

    async def frozen(self) -> None:
        self.here.bot.send(signal.SIGSTOP)
        await asyncio.sleep(self.sky.draw.uniform(0.5, 4.0))
        self.here.bot.send(signal.SIGCONT)

    async def reloaded(self) -> None:
        """Another cadence, and one that cannot be: it goes on with what it has."""
        text = self.here.bot.config.read_text()
        good = text.replace("idle: 1s", "idle: 1100ms") if "idle: 1s" in text else text.replace("idle: 1100ms", "idle: 1s")
        for said in (good.replace("first_retry: 100ms", "first_retry: soon"), good):
            self.here.bot.config.write_text(said)
            os.kill(self.here.bot.pid, signal.SIGHUP)
            await asyncio.sleep(self.sky.draw.uniform(0.2, 1.0))

    async def clock_set(self) -> None:
        """By up to an hour; never more than two from the truth."""
        step = self.sky.draw.uniform(-3600, 3600)
        self.wrong_by = max(min(self.wrong_by + step, 7200.0), -7200.0)
        self.clock.write_text(str(self.wrong_by))
        os.kill(self.here.bot.pid, signal.SIGUSR1)

    async def disk_filled(self) -> None:
        async with struck(self.here.bot.pid, "pwrite64", "error=ENOSPC"):
            await asyncio.sleep(self.sky.draw.uniform(0.2, 2.0))

    async def cloud_bad(self) -> None:
        seed = self.sky.draw.randrange(1000)
        mix = dict.fromkeys((Fault.THROTTLED,), 1.0) if self.sky.draw.random() < 0.05 else MIX
        self.here.cloud.faults = replace(USUAL, rate=self.sky.draw.choice((0.2, 1.0)), mix=mix, seed=seed)
        await asyncio.sleep(self.sky.draw.uniform(1.0, 6.0))
        self.here.cloud.faults = replace(USUAL, seed=seed)

    async def receiver_down(self) -> None:
        self.sky.down = time.monotonic() + self.sky.draw.uniform(0.5, 8.0)

    async def receiver_asks_for_patience(self) -> None:
        self.sky.patience = time.monotonic() + self.sky.draw.uniform(1.0, 4.0)

    async def slack_bad(self) -> None:
        self.sky.slack = time.monotonic() + self.sky.draw.uniform(0.5, 8.0)

    async def mail_refused(self) -> None:
        # Whoever is put off as a recipient is left alone for a minute, which nothing makes shorter.
        at = ("MAIL", "DATA") if self.hurry > 1 else ("MAIL", "RCPT", "DATA")
        self.office.on = {self.sky.draw.choice(at): "451 4.3.0 later"}
        await asyncio.sleep(self.sky.draw.uniform(0.5, 6.0))
        self.office.on = {}

    async def blow(self, kinds: Sequence[Callable[[], Awaitable[None]]], until: float, pause: float) -> None:
        """One kind after another, with up to ``pause`` seconds between."""
        while time.monotonic() < until:
            await asyncio.sleep(self.sky.draw.uniform(0.0, pause))
            kind = self.sky.draw.choice(kinds)
            await kind()
            self.sky.done[kind.__name__] += 1

    async def visited(self, answers: Counter[str]) -> None:
        """Somebody looks at the pages, or listens to the stream for a while, until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            while True:
                path = self.sky.draw.choice(PAGES)
                try:
                    async with session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
                        answers[f"{answer.status}"] += 1
                        if path == "/stream":
                            await asyncio.sleep(self.sky.draw.uniform(0.0, 3.0))
                        else:
                            await answer.read()
                except (aiohttp.ClientError, TimeoutError):
                    answers["no answer"] += 1
                await asyncio.sleep(0.3)

    async def read(self, every: float) -> None:
        """Note what the program holds, until cancelled."""
        while True:
            await asyncio.sleep(every)
            with suppress(FileNotFoundError, ProcessLookupError, AssertionError):  # It has just died.
                self.readings.append(Reading.of(self.here.bot.pid))


@dataclass(frozen=True, slots=True)
class Growth:
    """What grew in the last life of the program, once it was warm: memory in MiB an hour; open files and threads at all."""

    memory: float
    files: int
    threads: int

    @property
    def bounded(self) -> bool:
        """Whether it would go on for months."""
        return self.memory <= MOST_MIB_AN_HOUR and self.files <= MORE_FILES and self.threads <= MORE_THREADS

    @classmethod
    def over(cls, readings: Sequence[Reading], since: float) -> "Growth":
        """By the medians of the first and the last third of what was read ``since`` then."""
        life = [each for each in readings if each.pid == readings[-1].pid and each.at >= since]
        third = max(len(life) // 3, 1)
        first, last = life[:third], life[-third:]
        hours = (median(each.at for each in last) - median(each.at for each in first)) / 3600

        def grown(held: Callable[[Reading], float]) -> float:
            return median(map(held, last)) - median(map(held, first))

        memory = grown(lambda each: each.memory)
        files, threads = grown(lambda each: each.files), grown(lambda each: each.threads)
        return cls(memory / hours if hours else 0.0, round(files), round(threads))


async def weather(
    folder: Path, *, clusters: int, seconds: float, seed: int, hurry: float = 1.0
) -> tuple[Verdict, Growth, dict[str, Any]]:
    """Run G. ``hurry``: how many times shorter the program's own waits are."""
    draw, port = Random(seed), free_port()
    sky = Sky(draw)
    scenario = fleet(clusters, seed=seed, window=seconds * 50)
    ledger = Ledger(
        failing=0.02,
        resetting=0.01,
        down=lambda: time.monotonic() < sky.down,
        patience=lambda: max(min(sky.patience - time.monotonic(), 2.0), 0.0),
        any_time=True,
        seed=seed,
    )
    async with slack(sky.slack_fault) as workspace, post_office() as office:
        rate = 100 if hurry > 1 else 1
        sender = f"host: 127.0.0.1, port: {office.port}, tls: none, from: css@example.com, to: [ops@example.com]"
        account = f'token: {TOKEN}, channel: {CHANNEL}, base_url: "{workspace.url}", every: {10 / hurry:.0f}s'
        others = {"team": f"{{type: slack, {account}, rate: {rate}}}", "mail": f"{{type: email, {sender}, rate: 100}}"}
        async with world(
            folder,
            scenario,
            ledger=ledger,
            faults=USUAL,
            speed=scenario.end / seconds,
            others=others,
            http=page_at(port),
            active="300ms",
            idle="1s",
            timeout="2s",
            unreachable_after="4s",
        ) as here:
            clock = folder / "clock"
            beside = Path(__file__).with_name
            here.bot.program = (str(beside("chaos_hurried.py")), str(hurry), str(beside("chaos_wall.py")), str(clock))
            now = Weather(here, sky, office, clock, port, hurry)
            await now.started()
            await here.looked_at()
            answers = await _played(now, seconds)
            await here.all_told(PATIENCE)
            async with asyncio.timeout(PATIENCE + seconds / 2):  # Slack takes a message a second.
                while [sink for sink in ("hook", "team", "mail") if await waiting(port, sink)]:  # noqa: ASYNC110 - it lies in another process
                    await asyncio.sleep(0.5)
            peak = max(each.memory for each in now.readings)
            await here.bot.leave()
            stored = await contents(folder / "notifier.db")
            size = (folder / "notifier.db").stat().st_size
    growth = Growth.over(now.readings, now.readings[0].at + WARM * seconds)
    verdict = audit(scenario, ledger.receipts, here.bot.blows, slots=SLOTS, stored=stored, clock_is_set=True)
    notes: dict[str, Any] = {
        **sky.done,
        "visits": dict(answers),
        "peak MiB": round(peak),
        "MiB an hour": round(growth.memory, 1),
        "files": growth.files,
        "threads": growth.threads,
        "bytes an event": round(size / len(stored[0])),
        "mails": len(office.mails),
        "wrong": [*_of_slack(workspace, _heads(*stored, "team")), *_of_mail(office, _heads(*stored, "mail"))],
    }
    if notes["bytes an event"] > BYTES_AN_EVENT:
        notes["wrong"].append("the store grows too fast")
    return verdict, growth, notes


async def _played(now: Weather, seconds: float) -> Counter[str]:
    """The weather, for so long; how often the pages answered what."""
    began, pause, answers = time.monotonic(), min(6.0, seconds / 50), Counter[str]()
    process = [now.frozen, now.reloaded, now.clock_set, *([now.disk_filled] if can_trace() else [])]
    around = (now.cloud_bad, now.receiver_down, now.receiver_asks_for_patience, now.slack_bad, now.mail_refused)
    async with asyncio.TaskGroup() as group:
        always = [
            group.create_task(each) for each in (now.read(min(5.0, seconds / 40)), now.visited(answers), now.visited(answers))
        ]
        outside = group.create_task(now.blow(around, began + seconds, pause))
        await now.blow([now.killed, now.ended, *process], began + ROUGH * seconds, pause)
        await now.blow(process, began + seconds, pause)
        await outside
        for each in always:
            each.cancel()
    now.sky.clear()
    now.here.cloud.faults = Faults()
    return answers


def _heads(events: Sequence[Event], deliveries: Sequence[DeliveryRow], sink: str) -> list[Event]:
    """What a sink was told in messages of their own, in order.

    Where the clock says that something has waited for long, it is told along with what came after it.
    """
    along = {row.event for row in deliveries if row.sink == sink and row.along is not None}
    heads = [event for event in events if event.sink is None and event.id not in along]
    return sorted(heads, key=lambda event: event.sequence)


def _of_slack(workspace: Slack, heads: Sequence[Event]) -> list[str]:
    """What is wrong with what people see there: each task and outage has one card, its thread has what belongs there, once."""
    firsts = {event.thread: event.id for event in reversed(heads)}
    begin = {*firsts.values(), *(event.id for event in heads if event.kind is Kind.CLUSTER_UNREACHABLE)}
    told = Counter(each.metadata["event_payload"]["event"] for each in workspace.messages if each.thread is not None)
    owed = {event.id: event for event in heads if event.kind in PLACES and event.id not in begin}
    return [
        *([] if len(workspace.roots) == len(begin) else [f"{len(workspace.roots)} cards instead of {len(begin)}"]),
        *(f"{event} told {times} times" for event, times in told.items() if times > 1),
        *(f"{owed[event].kind} {event} not told" for event in owed.keys() - told.keys()),
        *(problem for message in workspace.messages for problem in problems(message.blocks)),
    ]


def _of_mail(office: PostOffice, heads: Sequence[Event]) -> list[str]:
    """Each has come, in one mail or in several that are the same."""
    come = {each.parsed["Message-ID"] for each in office.mails}
    return [] if len(come) == len(heads) else [f"{len(come)} different mails instead of {len(heads)}"]
