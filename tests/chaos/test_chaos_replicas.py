"""The short form of run B, with real processes on a real PostgreSQL."""

import os
from pathlib import Path

import pytest
from chaos_replicas import binaries, storm, tide


@pytest.fixture(autouse=True)
def _postgres() -> None:
    if binaries() is None:
        reason = "NO POSTGRESQL: no server binaries; several replicas are NOT tested"
        if os.environ.get("NOTIFIER_REQUIRE_POSTGRES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


async def test_replicas_that_are_killed_stopped_and_cut_off_lose_and_confuse_nothing(tmp_path: Path) -> None:
    verdict, notes = await storm(tmp_path, kills=3, zombies=1, crashes=1, cuts=3, clusters=5, seed=5, pace=0.15)
    assert verdict.good, verdict
    assert notes["kills"] == 3
    assert notes["zombies"] == 1
    assert notes["longest nobody's s"] <= 15, "5 s after the lease are promised; a machine under test may be busy"


async def test_replicas_come_and_go_with_clocks_an_hour_apart(tmp_path: Path) -> None:
    verdict, notes = await tide(tmp_path, most=3, clusters=5, seed=6, pace=0.15, active="300ms", idle="600ms")
    assert verdict.good, verdict
    assert notes["earliest s"] > -60
    assert notes["latest s"] < 600, "the clocks are an hour off, the machine may be busy"
