"""Durations as a configuration writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.duration import seconds, spelled


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100ms", 0.1), ("15s", 15), ("5m", 300), ("2h", 7200), ("3d", 259200), ("1h30m", 5400), ("1m500ms", 60.5), ("1.5h", 5400)],
)
def test_a_duration_is_read(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "15", "s", "15 s", "1s1m", "1m1m", "-1s", "1w", "1e3s", "15S", "\u0661s5"])
def test_what_is_no_duration_is_not_read(text: str) -> None:
    assert seconds(text) is None


@given(st.integers(0, 365 * 86400 * 1000))
def test_a_duration_survives_being_spelled(milliseconds: int) -> None:
    assert seconds(spelled(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)
