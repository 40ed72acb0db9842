"""The commands for people who ask why, on a store of their own and through a running instance."""

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from notifier.cli import main
from notifier.domain.diff import diff
from notifier.domain.message import Receipt
from notifier.domain.model import Action, Cluster, Event, Snapshot, Task
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.outbound import open_session
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web.health import Health
from notifier.web.server import Web

CONFIG = """\
projects:
  - name: beijing
    region: cn-north-4
    project_id: p1
    endpoint: http://127.0.0.1:9
    credentials: {{access_key: AK, secret_key: SK}}
    clusters:
      - {{id: c1, name: search, labels: {{env: prod}}}}
      - {{id: c2, name: logs}}
store: sqlite:///{folder}/notifier.db
sinks:
  team: {{type: console}}
  oncall: {{type: console}}
  nobody: {{type: console}}
routes:
  - {{match: {{kind: "*"}}, sinks: [team]}}
  - {{match: {{kind: "task.failed", labels: {{env: prod}}}}, sinks: [oncall]}}
http: {{listen: "127.0.0.1:{port}"}}
"""
SEARCH = Cluster("c1", "search", "cn-north-4", "beijing", "p1", {"env": "prod"})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "notifier.yaml"
    path.write_text(CONFIG.format(folder=tmp_path, port=9))
    return path


def upgrade(tx: Transaction) -> list[Event]:
    """An upgrade that starts and fails; the first message arrived, the second failed once."""
    told: list[Event] = []
    for tasks in ((), (Task("t1", "RUNNING", 1, ("n1",), (), ("n1",), "n1"),), (Task("t1", "FAILED", 1, ("n1",), ()),)):
        before = tx.known(SEARCH)
        now = datetime.now(UTC)
        step = diff(before[0], Snapshot(SEARCH, Action.UPGRADING, tasks), now)
        planned = Audience([Route(Matcher(), ("team",))]).plan(step.events, now, tx.silences(now.timestamp()))
        tx.save(SEARCH, before, step.known, (step.events, planned), now.timestamp())
        told += step.events
    claims = tx.claim("team", "me", 1, lease=30, now=time.time())
    if claims:
        tx.delivered(claims[0], Receipt(), time.time())
        (second,) = tx.claim("team", "me", 1, lease=30, now=time.time())
        failure: dict[str, Any] = {"outcome": "retry", "reason": "server", "detail": "HTTP 503"}
        tx.postponed(second, time.time() + 60, time.time(), uncertain=False, counted=True, **failure)
    return told


def fill(config: Path) -> list[Event]:
    """Let the upgrade happen in the store of a configuration."""
    store = Store(f"sqlite:///{config.parent}/notifier.db").open()
    try:
        return asyncio.run(store.transact(upgrade))
    finally:
        store.close()


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "-c", str(config)])


def test_explain_tells_the_whole_story(config: Path) -> None:
    started, node, *_ = fill(config)
    found = run(config, "explain", started.id)
    assert found.exit_code == 0, found.output
    assert "search  Upgrade started" in found.output
    assert "number 1 of its task." in found.output
    assert "team: delivered at" in found.output
    assert "try 1 at" in found.output
    assert "oncall: not told: route 2: kind is task.started" in found.output
    assert "nobody: not told: no route names it" in found.output
    waiting = run(config, "explain", node.id)
    assert "team: pending, due at" in waiting.output
    assert ": retry: server HTTP 503" in waiting.output


def test_explain_as_json_names_every_route(config: Path) -> None:
    *_, failed = fill(config)
    found = json.loads(run(config, "explain", failed.id, "--json").output)
    assert [row["sink"] for row in found["deliveries"]] == ["team"]
    assert found["routes"] == [
        {"route": 1, "sinks": ["team"], "refusal": None},
        {"route": 2, "sinks": ["oncall"], "refusal": None},
    ]
    assert found["not_told"] == {"oncall": None, "nobody": "no route names it"}
    words = run(config, "explain", failed.id).output
    assert "oncall: not told: its route came later than the event" in words


def test_explain_says_so_if_there_is_no_such_event(config: Path) -> None:
    fill(config)
    found = run(config, "explain", "nothing")
    assert found.exit_code == 1
    assert "there is no event nothing" in found.output


def test_a_silence_is_added_listed_holds_is_explained_and_ends(config: Path) -> None:
    add = ("silence", "add", "--for", "2h", "--reason", "planned", "--author", "lin", "--kind", "task.*", "--cluster", "search")
    added = run(config, *add, "--label", "env=prod", "--severity", "<=critical", "--task", "t1")
    assert added.exit_code == 0, added.output
    assert "kind=task.* cluster=search env=prod task=t1  by lin: planned" in added.output
    started, node, *_ = fill(config)
    told = run(config, "explain", started.id).output
    assert "team: not told: silenced by lin: planned (" in told
    assert "team: delivered" in run(config, "explain", node.id).output
    (silence,) = [json.loads(line) for line in run(config, "silence", "list", "--json").output.splitlines()]
    assert silence["active"] is True
    ended = run(config, "silence", "expire", silence["id"])
    assert (ended.exit_code, ended.output.strip()) == (0, silence["id"])
    assert run(config, "silence", "list").output == ""
    assert silence["id"] in run(config, "silence", "list", "--all").output
    again = run(config, "silence", "expire", silence["id"])
    assert again.exit_code == 1
    assert "has ended" in again.output


def test_a_silence_of_everything_and_an_acknowledgement_are_called_what_they_are(config: Path) -> None:
    found = run(config, "silence", "add", "--for", "30m", "--reason", "seen", "--reminders-only", "--severity", "warning")
    assert "severity=warning..warning, reminders only  by" in found.output
    assert "everything  by" in run(config, "silence", "add", "--for", "30m", "--reason", "drill").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--for", "soon", "--reason", "x"), "for: not a duration"),
        (("--for", "200d", "--reason", "x"), "for: Value error, must be 90d at the most"),
        (("--for", "1h", "--reason", "\n"), "reason: Value error, must not be empty"),
        (("--for", "1h", "--reason", "x", "--kind", "task.faild"), "no kind of event is called that"),
        (("--for", "1h", "--reason", "x", "--label", "prod"), "a label is name=value, not 'prod'"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(config: Path, words: tuple[str, ...], said: str) -> None:
    found = run(config, "silence", "add", *words)
    assert found.exit_code == 2
    assert said in found.output


def test_routes_say_who_would_be_told_and_why_others_not(config: Path) -> None:
    found = run(config, "routes", "test", "--kind", "task.failed", "--cluster", "logs", "--action", "AZ_MIGRATION")
    assert found.exit_code == 0
    assert "route 2 (oncall): does not match: label env is missing" in found.output
    assert "task.failed of logs is told to: team" in found.output
    prod = json.loads(run(config, "routes", "test", "--kind", "task.failed", "--json").output)
    assert prod == {
        "kind": "task.failed",
        "cluster": "search",
        "told": ["team", "oncall"],
        "not_told": {"nobody": "no route names it"},
    }
    outage = run(config, "routes", "test", "--kind", "cluster.unreachable", "--action", "UPGRADING")
    assert "is told to: team" in outage.output


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--kind", "task.faild"), "there is no kind"), (("--kind", "task.failed", "--cluster", "x"), "there is search, logs")],
)
def test_routes_refuse_what_they_do_not_know(config: Path, words: tuple[str, ...], said: str) -> None:
    found = run(config, "routes", "test", *words)
    assert found.exit_code == 2
    assert said in found.output


def test_a_running_instance_is_asked_and_told_over_http(config: Path, tmp_path: Path) -> None:
    *_, failed = fill(config)

    async def story() -> None:
        store = Store(f"sqlite:///{tmp_path}/notifier.db").open()
        try:
            async with Web(
                store, host="127.0.0.1", port=0, token=None, health=lambda: Health(alive=True), retried=lambda _: None
            ) as web:
                config.write_text(CONFIG.format(folder=tmp_path, port=web.url.rpartition(":")[2].strip("/")))

                async def ask(*words: str) -> Result:
                    return await asyncio.to_thread(run, config, *words)

                assert "not told" in (await ask("explain", failed.id)).output
                assert "There is no such event" in (await ask("explain", "nothing")).output
                added = await ask("silence", "add", "--for", "1h", "--reason", "x", "--json")
                silence = json.loads(added.output)["id"]
                assert silence in (await ask("silence", "list")).output
                assert (await ask("silence", "expire", silence)).output.strip() == silence
                assert silence in (await ask("silence", "list", "--all")).output
        finally:
            store.close()

    asyncio.run(story())


async def test_the_api_refuses_a_silence_that_is_none(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/api.db").open()
    try:
        async with (
            Web(store, host="127.0.0.1", port=0, token=None, health=lambda: Health(alive=True), retried=lambda _: None) as web,
            open_session() as session,
        ):
            url = web.url.rstrip("/") + "/api/v1/silences"
            async with session.post(url, json={"for": "1h", "author": "lin"}) as answer:
                assert (answer.status, (await answer.json())["detail"]) == (400, "reason: Field required")
            async with session.post(url, data={"for": "1h"}) as answer:
                assert answer.status == 415
            async with session.post(url + "/expire", json={"ids": []}) as answer:
                assert answer.status == 400
    finally:
        store.close()
