"""The whole program against a simulated cloud in which a stage hangs: it is told, told again while it lasts, told to be over."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from engine_scripts import eventually

from notifier import app
from notifier.domain import identity
from notifier.domain.model import Event, Kind
from notifier.sources.scenarios import CLUSTER_ID, PROJECT_ID, SCENARIOS, ClusterPlan, Scenario
from notifier.sources.simulator import Simulator
from notifier.sources.story_clock import StoryClock
from notifier.sources.upgrades import Hang
from notifier.store.rows import DeliveryRow, State
from notifier.store.store import Store

SPEED = 400.0
CONFIGURATION = """\
projects:
  - name: prod
    region: cn-north-4
    project_id: {project}
    endpoint: {endpoint}
    credentials: {{access_key: AK, secret_key: a-secret-key}}
    clusters:
      - {{id: {cluster}, name: search, stall: {{floor: 1s, factor: 3, unknown: 1500ms}}}}
poll: {{active: 250ms, idle: 250ms, rate: 100}}   # A gap begins at a second: a busy machine may be that late.
store: sqlite:///{folder}/notifier.db
sinks: {{console: {{type: console}}, boss: {{type: console}}}}
routes:
  - {{match: {{kind: "task.*"}}, sinks: [console], repeat: 500ms, escalate: {{after: 700ms, to: [boss]}}}}
http: off
"""


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{folder}/notifier.db").open()
    try:
        yield store
    finally:
        store.close()


def hanging() -> Scenario:
    """One node whose second stage hangs for half an hour, which is five of our seconds."""
    scenario = SCENARIOS["success"]
    cluster: ClusterPlan = scenario.clusters[0]
    task = replace(cluster.tasks[0], start=1.0, nodes=cluster.nodes[:1], hangs=(Hang(0, 1, 2000.0),))
    return replace(scenario, clusters=(replace(cluster, tasks=(task,)),))


async def test_a_hang_is_told_repeated_escalated_and_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notifier.yaml"
    with opened(tmp_path) as store:
        async with Simulator(hanging(), speed=SPEED, monotonic=StoryClock(longest=0.25)) as cloud:
            path.write_text(CONFIGURATION.format(project=PROJECT_ID, endpoint=cloud.url, cluster=CLUSTER_ID, folder=tmp_path))
            async with app.Crew(app.load(path), store):

                async def told(kind: Kind) -> bool:
                    return kind in {event.kind for _, event in await store.transact(lambda tx: tx.events(limit=500))}

                await eventually(lambda: told(Kind.TASK_RESUMED), within=180)
        events: list[Event] = [event for _, event in await store.transact(lambda tx: tx.events(limit=500))]
        rows: list[DeliveryRow] = await store.transact(lambda tx: tx.deliveries(limit=500))
    (stalled,) = [event for event in events if event.kind is Kind.TASK_STALLED]
    (resumed,) = [event for event in events if event.kind is Kind.TASK_RESUMED]
    assert stalled.stage is not None
    assert stalled.stage.name == "Node brought offline"
    assert stalled.timing is not None
    assert stalled.timing.lasted >= 1.5
    assert stalled.eta is not None
    assert resumed.timing is not None
    assert resumed.timing.lasted >= stalled.timing.lasted
    assert [event.sequence for event in events if event.task] == list(range(1, len(events) + 1))
    assert "Upgrade makes no progress" in capsys.readouterr().out
    about = [row for row in rows if row.event == stalled.id]
    reminders = [row for row in about if row.id != identity.of_delivery(stalled.id, "console")]
    assert {row.sink for row in reminders} == {"console", "boss"}
    assert {row.state for row in about} <= {State.DELIVERED, State.OVER}
    late = [row for row in about if row.settled_at and row.settled_at > resumed.observed_at and row.state is State.DELIVERED]
    assert len(late) == len({row.sink for row in late}), "one to each may have been on its way when it ended"
