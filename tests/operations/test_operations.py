"""What operators are given: the metrics that the page promises, the dashboard, the alert rules."""

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from notifier import telemetry

ROOT = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "config" / "grafana-dashboard.json").read_text())
RULES = ROOT / "config" / "prometheus-rules.yaml"
UNIT = Path(__file__).with_name("prometheus-rules.test.yaml")
PAGE = (ROOT / "docs" / "operations.md").read_text()
PROMTOOL = shutil.which("promtool")
NAME = re.compile(r"\b((?:notifier|process)_[a-z0-9_]+)")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: the package prometheus)")


def scraped() -> dict[str, str]:
    """Every metric of ours as a scrape names it, with its type."""
    return {family.name + ("_total" if family.type == "counter" else ""): family.type for family in telemetry.registry.collect()}


def samples() -> set[str]:
    """Every name that an expression may ask for."""
    found = set()
    for name, kind in scraped().items():
        found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return found


def expressions() -> list[str]:
    rules = YAML(typ="safe", pure=True).load(RULES)
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    variables = [each["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    return [*alerts, *panels, *variables]


def test_every_metric_that_is_asked_for_exists() -> None:
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert len(asked) > 15
    assert asked - samples() == set()


def test_the_page_lists_every_metric_with_its_type_and_no_other() -> None:
    listed = dict(re.findall(r"^\| `(notifier_[a-z0-9_]+)(?:\{[a-z, ]*\})?` \| (\w+) \|", PAGE, re.MULTILINE))
    assert listed == {name: kind for name, kind in scraped().items() if name.startswith("notifier_")}


def test_the_page_says_what_to_do_about_every_alert() -> None:
    rules = YAML(typ="safe", pure=True).load(RULES)
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    assert re.findall(r"^\| `(Css\w+)` \|", PAGE, re.MULTILINE) == alerts


def test_every_alert_has_a_test() -> None:
    rules, tests = YAML(typ="safe", pure=True).load(RULES), YAML(typ="safe", pure=True).load(UNIT)
    fired = {each["alertname"] for test in tests["tests"] for each in test.get("alert_rule_test", []) if each["exp_alerts"]}
    assert {rule["alert"] for group in rules["groups"] for rule in group["rules"]} == fired


def test_the_dashboard_can_be_imported_anywhere_and_its_panels_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"} == {"${datasource}"}
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *words], capture_output=True, text=True, check=False)


@needs_promtool
def test_the_rules_fire_when_they_should_and_not_before() -> None:
    checked = promtool("check", "rules", str(RULES))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", str(UNIT))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@needs_promtool
def test_a_rule_that_is_wrong_is_caught(tmp_path: Path) -> None:
    right, wrong = "notifier_dead_letters > 0", "notifier_dead_letters >= 0"
    text = RULES.read_text()
    assert right in text
    (tmp_path / RULES.name).write_text(text.replace(right, wrong))
    (tmp_path / "t.yaml").write_text(UNIT.read_text().replace(f"../../config/{RULES.name}", RULES.name))
    assert promtool("test", "rules", str(tmp_path / "t.yaml")).returncode != 0


@needs_promtool
def test_the_dashboards_expressions_can_be_read(tmp_path: Path) -> None:
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    readable = [each.replace("$__rate_interval", "5m").replace("$instance", ".*") for each in asked]
    rules = [{"record": f"r{number}", "expr": each} for number, each in enumerate(readable)]
    (tmp_path / "r.yaml").write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))
    checked = promtool("check", "rules", str(tmp_path / "r.yaml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr
