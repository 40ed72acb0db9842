"""Which types of sink there are, and what became of a test."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from notifier import app
from notifier.cli import main
from notifier.sinks import registry
from notifier.sinks.registry import Broken
from notifier.tryout import tryout

EXAMPLE = Path(__file__).parents[2] / "config" / "notifier.example.yaml"

CONFIG = """\
projects:
  - name: beijing
    region: cn-north-4
    project_id: p1
    credentials: {from: env}
    clusters: [{id: c1}]
sinks:
  hook: {type: webhook, url: "http://127.0.0.1:9/", fallback: screen}
  screen: {type: console}
routes: [{match: {kind: task.failed}, sinks: [hook]}]
"""


def test_sinks_lists_what_there_is_whence_and_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = registry.available()
    broken = Broken("acme", "acme-pager 1.2", "cannot be imported: ModuleNotFoundError: No module named 'acme_sdk'")
    monkeypatch.setattr(registry, "available", lambda: [*ours, broken])
    lines = CliRunner().invoke(main, ["sinks"]).output.splitlines()
    found = {line.split()[0]: line for line in lines}
    assert {"alertmanager", "apprise", "console", "email", "pagerduty", "slack", "webhook"} < set(found)
    assert found["email"].split()[1:] == ["built", "in", "merges,", "checks"]
    assert found["alertmanager"].endswith("checks, keeps, ends")
    assert found["acme"].endswith(
        "acme-pager 1.2  cannot be used: cannot be imported: ModuleNotFoundError: No module named 'acme_sdk'"
    )
    rows = [json.loads(line) for line in CliRunner().invoke(main, ["sinks", "--json"]).output.splitlines()]
    assert rows[-1] == {"type": "acme", "origin": "acme-pager 1.2", "usable": False, "why_not": broken.why, "offers": []}
    assert {row["origin"] for row in rows[:-1]} == {"built in"}


def config(folder: Path, text: str = CONFIG) -> str:
    path = folder / "notifier.yaml"
    path.write_text(text)
    return str(path)


def tried(folder: Path, sink: str, *words: str, text: str = CONFIG) -> Result:
    return CliRunner().invoke(main, ["test", sink, "-c", config(folder, text), *words])


def kinds(result: Result) -> set[str]:
    return {row["kind"] for row in map(json.loads, result.stdout.splitlines())}


def test_a_test_says_in_words_what_became_of_each_sample(tmp_path: Path) -> None:
    result = tried(tmp_path, "hook")
    assert result.exit_code == 1
    assert "task.failed: not accepted now, it would be tried again (network): " in result.stdout
    assert result.stdout.endswith("0 of 1 samples arrived.\n")
    screen = tried(tmp_path, "screen")
    assert screen.exit_code == 0
    assert "sink.failing: delivered" in screen.stdout  # it stands in for another
    assert "2 of 2 samples arrived." in screen.stdout
    assert screen.stderr == ""


ROADS = """\
projects:
  - name: beijing
    region: cn-north-4
    project_id: p1
    credentials: {from: env}
    clusters: [{id: c1, name: search-prod, labels: {env: prod}}]
  - name: paris
    region: eu-west-101
    project_id: p2
    credentials: {from: env}
    discover: {name: "*"}
sinks:
  labels: {type: console, stream: stderr}
  cluster: {type: console, stream: stderr}
  project: {type: console, stream: stderr}
  listed: {type: console, stream: stderr}
  moved: {type: console, stream: stderr}
  later: {type: console, stream: stderr}
  outage: {type: console, stream: stderr}
  nobody: {type: console, stream: stderr}
  unmatched: {type: console, stream: stderr}
routes:
  - {match: {kind: task.failed, labels: {env: prod}}, sinks: [labels]}
  - {match: {kind: cluster.recovered, cluster: c1, project: beijing}, sinks: [cluster]}
  - {match: {kind: task.started, project: par*}, sinks: [project]}
  - {match: {kind: task.retried, project: paris, labels: {team: any}, cluster: "logs-*"}, sinks: [listed]}
  - {match: {kind: task.vanished, project: beijing, action: AZ_MIGRATION}, sinks: [moved]}
  - match: {kind: [task.stalled, node.failed], labels: {env: prod}}
    sinks: [labels]
    escalate: {after: 30m, to: [later]}
  - {match: {kind: "cluster.*", cluster: search-prod}, sinks: [cluster], escalate: {after: 30m, to: [outage]}}
  - {match: {kind: task.failed, project: beijing, labels: {env: stage}}, sinks: [unmatched]}
"""


@pytest.mark.parametrize(
    ("sink", "heard"),
    [
        ("labels", {"task.failed", "task.stalled", "node.failed"}),
        ("cluster", {"cluster.recovered", "cluster.unreachable", "cluster.discovered", "cluster.forgotten"}),
        ("project", {"task.started"}),
        ("listed", {"task.retried"}),
        ("moved", {"task.vanished"}),
        # Who hears of a stall by escalation also hears how it ends.
        (
            "later",
            {
                *("task.stalled", "task.resumed", "task.retried", "task.started", "task.succeeded"),
                *("task.failed", "task.partially_failed"),
            },
        ),
        ("outage", {"cluster.unreachable", "cluster.recovered"}),
    ],
)
def test_a_test_sends_what_the_routes_would_of_any_cluster_that_is_watched(tmp_path: Path, sink: str, heard: set[str]) -> None:
    result = tried(tmp_path, sink, "--json", text=ROADS)
    assert result.exit_code == 0, result.output
    assert kinds(result) == heard


def test_a_test_that_sends_nothing_says_why_and_is_no_success(tmp_path: Path) -> None:
    nobody = tried(tmp_path, "nobody", text=ROADS)
    assert (nobody.exit_code, nobody.stdout) == (1, "")
    why = "no route names it, and it stands in for no other sink"
    assert nobody.stderr == f"notifier: nothing was sent to nobody: {why}\n"
    unmatched = tried(tmp_path, "unmatched", text=ROADS)
    assert (unmatched.exit_code, unmatched.stdout) == (1, "")
    assert "route 8 would send it something, but never of a cluster that is watched" in unmatched.stderr


def test_every_sink_of_the_shipped_example_can_be_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$\{([A-Z_]+)\}", EXAMPLE.read_text()):
        monkeypatch.setenv(
            name, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" if name == "WEBHOOK_SECRET" else "xoxb-0123456789abcdef"
        )
    settings = app.load(EXAMPLE)
    assert {entry.name for entry in settings.sinks if not tryout(settings, entry.name).messages} == set()
