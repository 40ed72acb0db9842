"""The short form of the benchmark of forecasts: what `docs/forecast.md` promises, on few upgrades of few clusters."""

from forecast import result, run


def test_ranges_hold_errors_are_small_and_hangs_are_found_without_false_alarms() -> None:
    found = result(run(60, seed=1, clusters=10))
    # Sixty upgrades know less of each cluster than a thousand do, and one of them is 1.7 per cent.
    assert found.held >= 0.8
    assert found.ratio <= 0.5
    assert found.missed == 0
    assert found.slowest <= 2.1
    assert found.false <= 0.05
