"""`notifier accuracy`, on a store of its own and through a running instance."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from notifier.cli import main
from notifier.domain.known import Known
from notifier.domain.model import Action, Cluster, Eta
from notifier.domain.timekeeping import Ended, Forecast, Timed
from notifier.store.store import Store
from notifier.web.health import Health
from notifier.web.server import Web

CONFIG = """\
projects:
  - name: beijing
    region: cn-north-4
    project_id: p1
    endpoint: http://127.0.0.1:9
    credentials: {{access_key: AK, secret_key: SK}}
    clusters: [{{id: c1}}]
store: sqlite:///{folder}/notifier.db
http: {{listen: "127.0.0.1:{port}"}}
"""
SEARCH = Cluster("c1", "c1", "cn-north-4", "beijing", "p1")
NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "notifier.yaml"
    path.write_text(CONFIG.format(folder=tmp_path, port=9))
    return path


async def fill(store: Store) -> None:
    """Two forecasts of an upgrade that took two hours: one that held, and one of the last minutes that did not."""
    eta = Eta(NOW + timedelta(minutes=90), NOW + timedelta(minutes=130), "1 finished node")
    late = Eta(NOW + timedelta(minutes=111), NOW + timedelta(minutes=115), "2 finished nodes")
    forecasts = (
        Forecast(Action.UPGRADING, "t", 1, NOW, 0.3, eta),
        Forecast(Action.UPGRADING, "t", 1, NOW + timedelta(minutes=110), 0.9, late),
    )
    end = Ended(Action.UPGRADING, "t", 1, NOW + timedelta(minutes=120))
    await store.transact(lambda tx: tx.remember(SEARCH, Timed(Known(), forecasts=forecasts, ended=(end,)), NOW.timestamp()))


def ask(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["accuracy", "-c", str(config), *words], catch_exceptions=False)


def test_it_says_how_wrong_the_forecasts_were_by_what_was_left(config: Path, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/notifier.db").open()
    asyncio.run(fill(store))
    store.close()
    found = ask(config)
    assert found.exit_code == 0
    first, last = found.output.splitlines()
    assert first.split("  ")[0] == "1 h to 3 h left"
    assert "100% of the ranges held  off by 10 min (8% of what was left)  ended 10 min later than its middle on average" in first
    assert last.startswith("0 s to 15 min left")
    assert "0% of the ranges held  off by 7 min (70% of what was left)" in last
    rows = [json.loads(line) for line in ask(config, "--json").output.splitlines()]
    assert rows[0] == {
        "left": {"least": 3600.0, "below": 10800.0},
        "forecasts": 1,
        "held": 1.0,
        "error": 600.0,
        "bias": 600.0,
        "share": 0.0833,
    }


def test_before_anything_was_forecast_it_says_so(config: Path) -> None:
    assert ask(config).output == "No task that was forecast has succeeded yet.\n"
    assert ask(config, "--json").output == ""


async def test_a_running_notifier_is_asked_over_http(config: Path, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/notifier.db").open()
    try:
        await fill(store)
        web = Web(store, host="127.0.0.1", port=0, token=None, health=lambda: Health(alive=True), retried=lambda _: None)
        async with web:
            config.write_text(CONFIG.format(folder=tmp_path, port=web.url.rpartition(":")[2].strip("/")))
            found = await asyncio.to_thread(ask, config)
    finally:
        store.close()
    assert "1 h to 3 h left" in found.output
