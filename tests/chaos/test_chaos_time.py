"""Time goes wrong: the short form of run T."""

from pathlib import Path

from chaos_time import DAY, HOUR, LATEST, stalled, stepped


async def test_a_program_that_stood_still_for_five_seconds_polls_on_and_says_so(tmp_path: Path) -> None:
    verdict, notes = await stalled(tmp_path, clusters=3, seed=4)
    assert verdict.good, verdict
    assert notes["polls after"] > 0
    assert notes["lag seen s"] >= 5.0


async def test_a_wall_clock_that_is_set_stops_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    verdict, notes = await stepped(tmp_path, clusters=2, seed=3, steps=(DAY, -HOUR), between=1.5)
    assert verdict.good, verdict
    assert notes["fewest polls a second"] >= 1
    assert notes["longest silence s"] <= LATEST
