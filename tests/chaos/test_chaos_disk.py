"""The disk is full, and fails: the short form of run K. What else may happen to the file has its tests in tests/store."""

from pathlib import Path

import pytest
from chaos_disk import DAMAGED, failing, full
from chaos_kills import can_trace

needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not installed")


@needs_strace
async def test_a_full_disk_is_said_and_got_over_without_a_restart_or_a_repeat(tmp_path: Path) -> None:
    verdict, notes = await full(tmp_path, seed=3)
    assert verdict.good, verdict
    assert (notes["said"], notes["mended"]) == (True, True)
    assert verdict.repeats == 0


@needs_strace
async def test_a_disk_that_fails_ends_the_program_and_its_successor_goes_on(tmp_path: Path) -> None:
    verdict, notes = await failing(tmp_path, seed=3)
    assert verdict.good, verdict
    assert (notes["exit code"], notes["said"]) == (DAMAGED, True)
