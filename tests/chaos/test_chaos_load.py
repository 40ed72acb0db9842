"""A flood: the short form of run F."""

from pathlib import Path

import pytest
from chaos_gauges import lag_of
from chaos_load import flood


async def test_a_fleet_that_finishes_at_once_is_told_whole_in_bounded_memory_with_a_loop_that_answers(tmp_path: Path) -> None:
    verdict, gauges, _ = await flood(tmp_path, clusters=20, seed=5, within=3.0, active="300ms", idle="500ms")
    assert verdict.good, verdict
    assert gauges.kept, gauges
    assert gauges.answers, "the status page answered while it went on"


@pytest.mark.parametrize(("late", "lag"), [(0, 0.247), (1, 0.25), (2, float("inf"))])
def test_the_lag_is_what_ninety_nine_of_a_hundred_beats_keep(late: int, lag: float) -> None:
    lines = [f'notifier_loop_lag_seconds_bucket{{le="{le}"}} {count}' for le, count in (("0.1", 50), ("0.25", 100 - late))]
    assert lag_of("\n".join([*lines, 'notifier_loop_lag_seconds_bucket{le="+Inf"} 100.0'])) == pytest.approx(lag)
