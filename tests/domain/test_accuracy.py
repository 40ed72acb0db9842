"""How wrong forecasts were, by how much was left."""

from datetime import UTC, datetime, timedelta

from notifier.domain.accuracy import Class, Judged, accuracy

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def judged(left: float, earliest: float, latest: float) -> Judged:
    """Minutes from now: until it ended, and the range that was said."""
    return Judged(NOW, *(NOW + timedelta(minutes=each) for each in (earliest, latest, left)))


def test_forecasts_are_judged_by_what_was_left_the_most_first() -> None:
    found = accuracy([judged(10, 5, 9), judged(10, 10, 12), judged(120, 100, 160), judged(1000, 500, 1100)])
    assert [(each.least, each.below, each.count) for each in found] == [
        (12 * 3600.0, None, 1),
        (3600.0, 3 * 3600.0, 1),
        (0.0, 900.0, 2),
    ]
    assert found[1] == Class(3600.0, 10800.0, 1, 1.0, 600.0, -600.0, 600 / 7200)
    soon = found[2]
    assert (soon.held, soon.error, soon.bias, soon.share) == (0.5, 120.0, 60.0, 0.2)


def test_without_forecasts_there_is_nothing_to_say() -> None:
    assert accuracy([]) == []


def test_a_forecast_made_at_the_very_end_has_no_share_of_nothing() -> None:
    assert accuracy([judged(0, 0, 2)])[0].share == 60.0
