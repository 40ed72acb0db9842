"""Who is at work: asked of a store that stands, and of an instance that holds it."""

import asyncio
import json
import time
from pathlib import Path

from test_cli_people import CONFIG, SEARCH, config, fill, run

from notifier.store.replicas import Presence
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web.health import Health
from notifier.web.server import Web

__all__ = ["config"]  # a fixture, found by its name


def at_work(tx: Transaction) -> None:
    """Two replicas, one of which is in trouble, and one that is gone."""
    now = time.time()
    keys = frozenset({SEARCH.key, *(f"p1/c{number}" for number in range(2, 8))})
    first = Presence("pod-a/1/x", "all", ("team",), "9.9", 0.0)
    tx.attend(first, lease=60.0, now=now)
    tx.enlist(keys)
    tx.share(first, keys, now)
    tx.attend(Presence("pod-b/1/y", "all", ("team",), "9.9", 0.0, well=False), lease=60.0, now=now)
    tx.attend(Presence("pod-c/1/z", "all", ("team",), "9.9", 0.0), lease=-1.0, now=now)


def test_where_nobody_is_at_work_that_is_said(config: Path) -> None:
    fill(config)
    found = run(config, "replicas")
    assert found.exit_code == 1
    assert "no replica is at work" in found.output


def test_a_running_instance_says_who_is_at_work_with_what(config: Path, tmp_path: Path) -> None:
    fill(config)

    async def story() -> None:
        store = Store(f"sqlite:///{tmp_path}/notifier.db").open()
        try:
            await store.transact(at_work)
            async with Web(
                store, host="127.0.0.1", port=0, token=None, health=lambda: Health(alive=True), retried=lambda _: None
            ) as web:
                config.write_text(CONFIG.format(folder=tmp_path, port=web.port))
                said = await asyncio.to_thread(run, config, "replicas")
                asked = await asyncio.to_thread(run, config, "replicas", "--json")
        finally:
            store.close()
        assert said.exit_code == asked.exit_code == 0, said.output
        first, second, third = said.output.splitlines()
        assert first.startswith("pod-a/1/x  well        9.9  seen ")
        assert "7 clusters: p1/c2, p1/c3, p1/c4, p1/c5, p1/c6" in first
        assert first.endswith(", …")
        assert "in trouble" in second
        assert "0 clusters" in second
        assert "gone" in third
        rows = [json.loads(line) for line in asked.output.splitlines()]
        assert [(row["name"], row["alive"], row["well"], len(row["clusters"])) for row in rows] == [
            ("pod-a/1/x", True, True, 7),
            ("pod-b/1/y", True, False, 0),
            ("pod-c/1/z", False, False, 0),
        ]
        assert "search" in rows[0]["clusters"], "by name, where it is known"

    asyncio.run(story())
