"""Killed, ended, killed at a system call: the short form of runs A, J and D."""

from pathlib import Path

import pytest
from chaos_audit import Blow, audit
from chaos_kills import can_trace, kills, swept, terms
from chaos_ledger import Receipt

from notifier.sources.scenarios import Scenario


@pytest.mark.parametrize(
    ("at", "answered", "unexplained"), [(9.0, True, 0), (10.5, True, 0), (5.0, True, 1), (12.0, True, 1), (5.0, False, 0)]
)
def test_the_auditor_explains_a_repeat_by_a_blow_or_by_an_answer_that_was_not_given(
    at: float, answered: bool, unexplained: int
) -> None:
    event = {"kind": "task.started", "task": {"id": "t", "attempt": 1}, "node": None, "stage": None}
    receipts = [Receipt(at, "e", "t", 1, "d", event, answered), Receipt(20.0, "e", "t", 1, "d", event)]
    found = audit(Scenario("none", "nothing happens", ()), receipts, [Blow(10.0, "SIGKILL")], slots=1)
    assert (found.repeats, found.unexplained) == (1, unexplained)


async def test_nothing_is_lost_repeated_or_out_of_order_under_sigkill(tmp_path: Path) -> None:
    verdict, notes = await kills(tmp_path, count=10, clusters=12, seed=10, rough=True)
    assert verdict.good, verdict
    assert notes["kills"] == 10
    assert notes["slowest recovery s"] <= 10


async def test_sigterm_neither_loses_nor_repeats(tmp_path: Path) -> None:
    verdict, notes = await terms(tmp_path, count=5, clusters=4, seed=2)
    assert verdict.good, verdict
    assert verdict.repeats == 0
    assert notes["slowest stop s"] <= 8


@pytest.mark.skipif(not can_trace(), reason="strace is not installed")
@pytest.mark.parametrize(("syscall", "when"), [("fdatasync", 1), ("fdatasync", 9), ("sendto", 9)])
async def test_a_kill_at_a_system_call_loses_nothing(tmp_path: Path, syscall: str, when: int) -> None:
    verdict = await swept(tmp_path, syscall, when, seed=3)
    assert verdict.good, verdict
