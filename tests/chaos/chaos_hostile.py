"""Run I: a hostile cloud and a hostile receiver, beside honest ones that must not notice; names that must arrive harmless."""

import itertools
import json
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from chaos_audit import Verdict, audit
from chaos_bot import SLOTS, configuration, page_at
from chaos_gauges import Gauges, gauged
from chaos_hostile_answers import NAMES, Answer, Server, named_tasks, of_a_receiver, of_the_cloud, relayed, whole
from chaos_ledger import SECRET, Ledger
from chaos_world import PATIENCE, contents, eventually, world
from ports import free_port

from notifier.sources.faults import Faults
from notifier.sources.scenarios import ClusterPlan, fleet

HOSTILE, NAMED = "hostile-cluster", "named-cluster"
NOTHING = whole(b'{"totalSize": 0, "detailList": []}')
GOOD = whole(b"", "204 No Content")
QUIET = 4
"""Answers without tasks before the named ones come: a baseline of both lists, and a look at each after it."""

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


async def hostile(folder: Path, *, clusters: int, seed: int, rounds: int = 1) -> tuple[Verdict, Gauges, dict[str, Any]]:
    """Everything hostile at least ``rounds`` times at both ends; the verdict is that of the honest cluster and receiver."""
    scenario = fleet(clusters, seed=seed, window=600.0)
    port = free_port()
    async with Server(lambda _: GOOD) as trap:
        cloud, receiver = _Turns(of_the_cloud(trap.url)), _Turns(of_a_receiver(f"{trap.url}/{SECRET}"), between=GOOD)
        looks = itertools.count()

        def front(head: bytes) -> Answer:
            if f"/{HOSTILE}/".encode() in head:
                return cloud.next()
            if f"/{NAMED}/".encode() in head:
                upgrades = b"AZ_MIGRATION" not in head
                return whole(named_tasks()) if next(looks) >= QUIET and upgrades else NOTHING
            return relayed(head, here.cloud.host, here.cloud.port)

        async with (
            Server(front) as gate,
            Server(lambda _: receiver.next()) as odd,
            world(folder, scenario, ledger=Ledger(), faults=Faults(), speed=400.0) as here,
        ):
            strangers = [ClusterPlan(each, each, ("n",), ()) for each in (HOSTILE, NAMED)]
            wider = replace(scenario, clusters=(*scenario.clusters, *strangers))
            hooks = {"hook": here.ledger.url, "odd": odd.url}
            http = page_at(port)
            configuration(folder, wider, gate.url, hooks, http=http, more=", timeout: 2s")
            await here.bot.start()
            async with gauged(here.bot.pid, port) as gauges:
                await here.all_told(PATIENCE)
                await eventually(
                    lambda: min(cloud.rounds, receiver.rounds) >= rounds and len(_named(here.ledger)) == len(NAMES), PATIENCE
                )
                shown = await _shown(port)
            await here.bot.leave()
        stored = await contents(folder / "notifier.db")
    ours = {plan.id for plan in scenario.clusters}
    honest = [receipt for receipt in here.ledger.receipts if receipt.event["cluster"]["id"] in ours]
    verdict = audit(scenario, honest, here.bot.blows, slots=SLOTS, stored=stored)
    harm = [*_harmful(here.ledger), *_forged(here.bot.log), *_leaks(folder, here.bot.log, shown), *_live(shown)]
    notes = {
        **gauges.as_notes(),
        "answers": sum(cloud.given.values()) + sum(receiver.given.values()),
        "trapped": trap.seen,
        "harm": harm,
    }
    return verdict, gauges, notes


class _Turns:
    """Each answer in its turn, with an honest one in between where a sink would be left alone otherwise."""

    def __init__(self, answers: Mapping[str, Answer], between: Answer | None = None) -> None:
        self._answers = answers
        self._between = between
        self._turns = self._order()
        self.given: Counter[str] = Counter()

    def _order(self) -> Iterator[Answer]:
        for name in itertools.cycle(self._answers):
            self.given[name] += 1
            yield self._answers[name]
            if self._between is not None:
                yield self._between

    def next(self) -> Answer:
        return next(self._turns)

    @property
    def rounds(self) -> int:
        """How often each was given at the least."""
        return min(self.given[name] for name in self._answers)


def _named(ledger: Ledger) -> set[str]:
    """The tasks of hostile names that were told to have failed."""
    failed = (receipt.event for receipt in ledger.receipts if receipt.event["kind"] == "task.failed")
    return {event["task"]["id"] for event in failed if event["task"]["id"].startswith("named-")}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _harmful(ledger: Ledger) -> list[str]:
    """Texts that reached the honest receiver and could do something there."""
    texts = {text for receipt in ledger.receipts for text in _texts(receipt.event)}
    return [
        repr(text[:80])
        for text in texts
        if len(text) > 5000 or any(unicodedata.category(mark) in {"Cc", "Cs"} or mark in BIDI for mark in text)
    ]


def _forged(log: str) -> list[str]:
    """Lines of the log that are not one record each, or drive a terminal."""
    wrong = []
    for line in log.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            wrong.append(f"not a record: {line[:200]}")
            continue
        if record.get("action") in {None, "fault", "sink.crashed"}:
            wrong.append(f"not contained: {line[:600]}")
    return wrong + [f"in the log: {mark!r}" for mark in ("\x1b", "\u202e", "\x00") if mark in log]


def _leaks(folder: Path, log: str, shown: Sequence[str]) -> list[str]:
    """Where the secret of the hooks is to be found, besides in the configuration."""
    with closing(sqlite3.connect(folder / "notifier.db")) as database:
        stored = "\n".join(database.iterdump())
    places = {"log": log, "store": stored, "pages": "\n".join(shown)}
    return [f"the secret is in the {place}" for place, text in places.items() if SECRET in text or SECRET[6:] in text]


def _live(shown: Sequence[str]) -> list[str]:
    """Markup of the hostile names that a browser would obey."""
    page = shown[0].lower()
    return [f"in the page: {tag}" for tag in ("<img src=x", "<script>alert", "</script><script>") if tag in page]


async def _shown(port: int) -> list[str]:
    """The status page, the metrics and what the API says."""
    async with aiohttp.ClientSession() as session:
        pages = []
        for path in ("/", "/metrics", "/readyz", "/api/v1/events", "/api/v1/deliveries"):
            async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                pages.append(await answer.text())
    return pages
