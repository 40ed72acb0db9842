"""The two example answers of Huawei's page, each continued to its end, give the events one would write down by hand."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from notifier.domain.diff import diff
from notifier.domain.known import Known
from notifier.domain.model import Action, Cluster, Event, Snapshot
from notifier.sources.wire import read_page, to_task

DATA = Path(__file__).parent.parent / "data"
CLUSTER = Cluster("ea244205-d641-45d9-9dcb-ab2236bcd07e", "css-test", "cn-north-4", "prod", "6204a5bd270343b5885144cf9c8c158d")
NOW = datetime(2023, 1, 5, 3, tzinfo=UTC)

Change = Callable[[dict[str, Any]], None]


def story(seed: str, action: Action, *changes: Change, before: bool) -> list[list[Event]]:
    """What each answer tells: the seed, then the seed after each change in turn. ``before``: an empty answer came first."""
    answer = json.loads((DATA / seed).read_text())
    known = Known()
    if before:
        known = diff(known, Snapshot(CLUSTER, action, ()), NOW).known
    told = []
    for minute, change in enumerate([lambda _: None, *changes]):
        change(answer["detailList"][0])
        tasks = tuple(to_task(item) for item in read_page(json.dumps(answer).encode()).items)
        step = diff(known, Snapshot(CLUSTER, action, tasks), NOW + timedelta(minutes=minute))
        assert not step.remarks
        known = step.known
        told.append(list(step.events))
    return told


def words(events: list[Event]) -> list[str]:
    told = [(event.kind.value, event.node or "", event.stage.name if event.stage else "") for event in events]
    return [" ".join(filter(None, parts)) for parts in told]


def last_stage(status: str, began: str, ended: str = "") -> Change:
    def change(task: dict[str, Any]) -> None:
        task["currentNodeDetail"][1].update(status=status, beginTime=began, endTime=ended)

    return change


def next_node(done: str, node: str, began: str) -> Change:
    def change(task: dict[str, Any]) -> None:
        first, last = task["currentNodeDetail"]
        task.update(completedNodes=done, currentNodeName=node)
        first.update(status="RUNNING", beginTime=began, endTime="")
        last.update(status="WAITING", beginTime="", endTime="")

    return change


def success(task: dict[str, Any]) -> None:
    task.update(status="SUCCESS", endTime="2023-01-05T09:00:00", completedNodes=task["totalNodes"])
    for stage in task["currentNodeDetail"]:
        stage.update(status="SUCCESS", endTime="2023-01-05T08:59:50")


def failure(task: dict[str, Any]) -> None:
    task.update(status="FAILED", endTime="2023-01-05T07:00:00", failMessage="[402c6c3]RdsBindExistPortToInstanceTask-fail:null")


def test_the_upgrade_from_its_first_sight_to_its_success() -> None:
    told = story(
        "seed_upgrade.json",
        Action.UPGRADING,
        last_stage("RUNNING", "2023-01-05T02:40:00"),
        next_node("css-test-ess-esn-1-1", "css-test-ess-esn-2-1", "2023-01-05T02:40:30"),
        success,
        before=True,
    )
    one, two, three = (f"css-test-ess-esn-{number}-1" for number in (1, 2, 3))
    assert [words(events) for events in told] == [
        [
            "task.started",
            f"node.started {one}",
            f"stage.started {one} Data migration",
            f"stage.succeeded {one} Data migration",
        ],
        [f"stage.started {one} Task status update"],
        [f"node.completed {one}", f"node.started {two}", f"stage.started {two} Data migration"],
        [
            f"node.completed {two}",
            f"node.completed {three}",
            f"stage.succeeded {two} Data migration",
            f"stage.started {two} Task status update",
            f"stage.succeeded {two} Task status update",
            "task.succeeded",
        ],
    ]
    events = [event for step in told for event in step]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert len({event.id for event in events}) == len(events)
    assert events[0].time == datetime(2023, 1, 5, 2, 23, 39, tzinfo=UTC)
    assert events[-1].time == datetime(2023, 1, 5, 9, tzinfo=UTC)
    assert events[-1].progress == 1.0
    # The migration was over when it was first seen: that it began is inferred, and dated by the API.
    assert [(event.observed, event.time.minute) for event in events[2:4]] == [(False, 23), (True, 29)]
    assert events[0].task is not None
    assert events[0].task.target == "7.10.2_22.5.1_1230"


def test_the_az_migration_found_in_its_middle_to_its_failure() -> None:
    told = story(
        "seed_az.json",
        Action.AZ_MIGRATION,
        next_node("css-test-ess-esn-2-1,css-test-ess-esn-1-1", "css-test-ess-esn-3-1", "2023-01-05T06:55:00"),
        failure,
        before=False,
    )
    assert [words(events) for events in told] == [
        ["task.started"],
        [
            "node.completed css-test-ess-esn-1-1",
            "node.started css-test-ess-esn-3-1",
            "stage.started css-test-ess-esn-3-1 Data migration",
        ],
        ["node.failed css-test-ess-esn-3-1", "task.failed"],
    ]
    (caught_up,) = told[0]
    assert caught_up.catch_up
    assert caught_up.task is not None
    assert (caught_up.task.nodes.completed, caught_up.task.nodes.total) == (("css-test-ess-esn-2-1",), 3)
    assert caught_up.task.target == "cn-north-4c"
    failed = told[2][-1]
    assert failed.task is not None
    assert failed.task.fail_message == "[402c6c3]RdsBindExistPortToInstanceTask-fail:null"
