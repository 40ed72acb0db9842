"""The short form of run B, with real processes on a real PostgreSQL."""

import os
from pathlib import Path

import pytest
from chaos_ledger import Receipt
from chaos_replicas import binaries, let_go, storm, tide


@pytest.fixture
def _postgres() -> None:
    if binaries() is None:
        reason = "NO POSTGRESQL: no server binaries; several replicas are NOT tested"
        if os.environ.get("NOTIFIER_REQUIRE_POSTGRES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.mark.parametrize(("again", "fenced", "explained"), [(3.2, {"e"}, True), (1.5, {"e"}, False), (3.2, {"f"}, False)])
def test_a_repeat_is_explained_by_a_lease_that_was_over_and_by_none_that_was_given_away(
    again: float, fenced: set[str], explained: bool
) -> None:
    first, second = (Receipt(at, "e", "t", 1, "d", {}) for at in (10.0, 10.0 + again))
    let_go([first, second], fenced, 4.0)
    assert (first.answered, second.answered) == (not explained, True)


@pytest.mark.usefixtures("_postgres")
async def test_replicas_that_are_killed_stopped_and_cut_off_lose_and_confuse_nothing(tmp_path: Path) -> None:
    verdict, notes = await storm(tmp_path, kills=3, zombies=1, crashes=1, cuts=3, clusters=5, seed=5, pace=0.15)
    assert verdict.good, verdict
    assert notes["kills"] == 3
    assert notes["zombies"] == 1
    assert notes["longest nobody's s"] <= 15, "5 s after the lease are promised; a machine under test may be busy"


@pytest.mark.usefixtures("_postgres")
async def test_a_database_that_fails_over_to_its_standby_and_back_is_followed(tmp_path: Path) -> None:
    verdict, notes = await storm(tmp_path, kills=1, zombies=0, crashes=2, cuts=1, clusters=5, seed=7, pace=0.15, standby=True)
    assert verdict.good, verdict
    assert notes["crashs"] == 2


@pytest.mark.usefixtures("_postgres")
async def test_replicas_come_and_go_with_clocks_an_hour_apart(tmp_path: Path) -> None:
    verdict, notes = await tide(tmp_path, most=3, clusters=5, seed=6, pace=0.15, active="300ms", idle="600ms")
    assert verdict.good, verdict
    assert notes["earliest s"] > -60
    assert notes["latest s"] < 600, "the clocks are an hour off, the machine may be busy"
