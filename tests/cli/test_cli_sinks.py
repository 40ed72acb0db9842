"""Which types of sink there are, and what became of a test."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from notifier.cli import main
from notifier.sinks import registry
from notifier.sinks.registry import Broken

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
    assert found["email"].split()[1:] == ["built", "in", "merges"]
    assert found["alertmanager"].endswith("checks, keeps")
    assert found["acme"].endswith(
        "acme-pager 1.2  cannot be used: cannot be imported: ModuleNotFoundError: No module named 'acme_sdk'"
    )
    rows = [json.loads(line) for line in CliRunner().invoke(main, ["sinks", "--json"]).output.splitlines()]
    assert rows[-1] == {"type": "acme", "origin": "acme-pager 1.2", "usable": False, "why_not": broken.why, "offers": []}
    assert {row["origin"] for row in rows[:-1]} == {"built in"}


def test_a_test_says_in_words_what_became_of_each_sample(tmp_path: Path) -> None:
    path = tmp_path / "notifier.yaml"
    path.write_text(CONFIG)
    result = CliRunner().invoke(main, ["test", "hook", "-c", str(path)])
    assert result.exit_code == 1
    assert "task.failed: not accepted now, it would be tried again (network): " in result.output
    assert result.output.endswith("0 of 1 samples arrived.\n")
    screen = CliRunner().invoke(main, ["test", "screen", "-c", str(path)])
    assert screen.exit_code == 0
    assert "sink.failing: delivered" in screen.output  # it stands in for another
    assert "2 of 2 samples arrived." in screen.output
