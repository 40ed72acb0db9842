"""A replay tells what the run told, and when: what the answers say, what time says, and the forecasts."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine

from notifier.domain.errors import FetchError, FetchReason
from notifier.domain.model import Action, Cluster, Event, Kind
from notifier.domain.plan import Audience
from notifier.domain.stall import StallRule
from notifier.domain.timekeeping import MIGRATION_LIMIT, Limits
from notifier.domain.window import Window
from notifier.engine import poller
from notifier.engine.budget import Budget
from notifier.engine.poller import Cadence, Poller
from notifier.engine.watch import Watch
from notifier.rebuilding import Rebuilding, Rules
from notifier.sources.contract import Answer
from notifier.sources.recorder import Recordings
from notifier.sources.recording import Entry, Reading, files_of
from notifier.sources.scenarios import EPOCH, PROJECT_ID, SCENARIOS, Scenario
from notifier.store.store import Store

sys.path.append(str(Path(__file__).parents[1] / "recordings"))

from make_recordings import FOLDER, Played

STEP = 45.0
"""Seconds; less than four polls of the default cadence, so that nothing between two answers is a gap."""

TIME = {Kind.TASK_STALLED, Kind.TASK_RESUMED, Kind.TASK_DEADLINE_NEAR, Kind.TASK_WINDOW_ENDING}


class Failing(Played):
    """A played scenario whose API fails for a while, in scenario seconds."""

    def __init__(self, scenario: Scenario, began: float, ended: float) -> None:
        super().__init__(scenario)
        self._outage = (began, ended)

    async def fetch(self, cluster: Cluster, action: Action, last: bytes | None = None) -> Answer:  # type: ignore[explicit-override]  # Python 3.12 has it
        if self._outage[0] <= self.at < self._outage[1]:
            raise FetchError(FetchReason.SERVER, "HTTP 503")
        return await super().fetch(cluster, action, last)


async def run(played: Played, folder: Path, limits: Limits, unreachable_after: float) -> list[Event]:
    """What a poller with a real store tells of a scenario while it is recorded."""
    store = Store("sqlite://").open()
    try:
        with Recordings(folder, clock=played.now) as kept:
            source, budget = kept.around(played), Budget(10_000.0)
            watches = [Watch(cluster, source, budget, limits=limits) for cluster in played.clusters]
            poller = Poller(watches, store, Audience([]), Cadence(15.0, 0.0, unreachable_after), lambda _: None)
            while played.at <= played.end:
                with time_machine.travel(played.now(), tick=False):
                    for watch in watches:
                        await poller.poll(watch)
                played.at += STEP
        return [event for _, event in await store.transact(lambda tx: tx.events(limit=10_000))]
    finally:
        store.close()


def replayed(folder: Path, rules: Rules) -> list[Event]:
    reading, rebuilding = Reading(files_of([folder])), Rebuilding(rules)
    events = list(rebuilding.events(reading.entries()))
    assert reading.trouble == rebuilding.trouble == []
    return events


@pytest.mark.parametrize(
    ("name", "outage", "limits"),
    [
        # Twenty minutes without data in the middle of the hang: they do not count, and it is told all the same.
        ("hang", (1700.0, 2900.0), Limits(StallRule(), Window(ends=EPOCH + timedelta(hours=2.5)))),
        # Three clusters at once, of which the later ones learn from the earlier ones; a rule so tight that it tells much.
        ("demo", (0.0, 0.0), Limits(StallRule(floor=30.0, factor=1.2, unknown=100.0))),
    ],
)
async def test_a_replay_tells_what_the_run_told_with_every_forecast(
    name: str, outage: tuple[float, float], limits: Limits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Failing(SCENARIOS[name], *outage)
    monkeypatch.setattr(poller, "time", SimpleNamespace(monotonic=lambda: played.at))
    told = await run(played, tmp_path, limits, 300.0)
    again = replayed(tmp_path, Rules(300.0, usual=limits))
    assert again == [replace(event, evidence=None) for event in told]
    assert {event.kind for event in again} >= {Kind.TASK_STALLED, Kind.TASK_RESUMED}
    assert all(event.eta for event in again if event.task and event.task.status == "RUNNING")
    if name == "hang":
        (stalled,) = [event for event in again if event.kind is Kind.TASK_STALLED]
        assert stalled.timing is not None
        assert (round(stalled.timing.lasted), stalled.timing.unseen > 1000) == (900, True)
        assert {Kind.CLUSTER_UNREACHABLE, Kind.TASK_WINDOW_ENDING} <= {event.kind for event in again}


def migrating(step: timedelta) -> Iterator[Entry]:
    """Data that is moved off one node, for ever."""
    cluster = Cluster("c", "search", "r", "p", PROJECT_ID)
    stage = {"order": 0, "name": "Data migration", "status": "RUNNING", "beginTime": f"{EPOCH:%Y-%m-%dT%H:%M:%S}"}
    nodes = {"totalNodes": "n1,n2", "completedNodes": "", "currentNodeName": "n1", "currentNodeDetail": [stage]}
    body: dict[str, Any] = {"totalSize": 1, "detailList": [{"id": "t", "status": "RUNNING", "executeTimes": "1", **nodes}]}
    pages = (body,)
    at = EPOCH
    while at - EPOCH < MIGRATION_LIMIT:
        yield Entry(at, cluster, Action.UPGRADING, pages)
        at += step


def at_hour(events: list[Event], kind: Kind) -> list[float]:
    return [(event.time - EPOCH) / timedelta(hours=1) for event in events if event.kind is kind]


def test_the_limit_of_data_migration_is_warned_of_where_a_run_would_have_warned() -> None:
    rules = Rules(usual=Limits(patience=1200.0))
    events = list(Rebuilding(rules).events(migrating(timedelta(minutes=10))))
    assert at_hour(events, Kind.TASK_DEADLINE_NEAR) == pytest.approx([24, 36, 43.2], abs=0.17)
    assert at_hour(events, Kind.TASK_STALLED) == [3]  # Nothing is known of its like: four times 45 minutes.


def test_what_was_not_recorded_is_no_data_and_therefore_no_stall() -> None:
    events = list(Rebuilding().events(migrating(timedelta(minutes=10))))
    assert at_hour(events, Kind.TASK_STALLED) == []
    assert at_hour(events, Kind.TASK_DEADLINE_NEAR)  # Huawei's clock goes on all the same.


def test_a_cluster_is_replayed_by_its_own_rules_and_others_by_the_usual_ones() -> None:
    entries = list(Reading([FOLDER / "hang.jsonl.gz"]).entries())
    key = entries[0].cluster.key
    told = {
        name: [event.kind for event in Rebuilding(rules).events(entries) if event.kind in TIME]
        for name, rules in (
            ("own", Rules(limits={key: Limits(None, Window(ends=EPOCH + timedelta(hours=2)))})),
            ("another's", Rules(limits={"x": Limits(None)})),
        )
    }
    assert told == {"own": [Kind.TASK_WINDOW_ENDING], "another's": [Kind.TASK_STALLED, Kind.TASK_RESUMED]}


def test_a_recording_of_the_recorder_carries_the_digest_of_each_answer() -> None:
    entries = list(Reading([FOLDER / "hang.jsonl.gz"]).entries())
    assert all(entry.digest and len(entry.digest) == 64 for entry in entries)
    assert len({entry.digest for entry in entries}) == len({json.dumps(entry.pages) for entry in entries})
    assert (entries[0].file, entries[0].line) == (FOLDER / "hang.jsonl.gz", 3)


def moments(events: list[Event]) -> list[datetime]:
    return [event.observed_at for event in events]


def test_a_replay_is_a_function_of_the_recording_and_the_rules() -> None:
    entries = list(Reading([FOLDER / "hang.jsonl.gz"]).entries())
    once, twice = (list(Rebuilding().events(entries)) for _ in range(2))
    assert once == twice
    assert moments(once) == sorted(moments(once))
