"""Change windows: which one a moment lies in, and when it ends."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from notifier.domain.window import Weekly, Window

SHANGHAI = ZoneInfo("Asia/Shanghai")
NIGHTS = Window(weekly=Weekly(frozenset({4, 5}), time(22), time(6), SHANGHAI))  # Friday and Saturday
NOONS = Window(weekly=Weekly(frozenset({6}), time(10), time(14), UTC))


def utc(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)  # The 1st is a Sunday.


@pytest.mark.parametrize(
    ("window", "now", "end"),
    [
        (Window(ends=utc(1, 6)), utc(1, 5), utc(1, 6)),
        (Window(ends=utc(1, 6)), utc(1, 6), None),
        (Window(), utc(1, 6), None),
        (NIGHTS, utc(6, 13), None),  # Friday, 21:00 in Shanghai
        (NIGHTS, utc(6, 14), utc(6, 22)),
        (NIGHTS, utc(6, 17), utc(6, 22)),  # Saturday there by then
        (NIGHTS, utc(7, 21, 59), utc(7, 22)),
        (NIGHTS, utc(7, 22), None),
        (NIGHTS, utc(8, 15), None),  # Sunday night
        (NOONS, utc(1, 10), utc(1, 14)),
        (NOONS, utc(1, 9), None),
        (NOONS, utc(2, 11), None),
    ],
)
def test_the_end_of_the_window_that_a_moment_lies_in(window: Window, now: datetime, end: datetime | None) -> None:
    assert window.end(now) == end


def test_when_the_clocks_change_the_window_still_ends_by_the_clock() -> None:
    berlin = Window(weekly=Weekly(frozenset({5}), time(22), time(6), ZoneInfo("Europe/Berlin")))
    assert berlin.end(utc(28, 22)) == utc(29, 4)  # 06:00 is an hour earlier that morning.
