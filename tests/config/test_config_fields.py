"""Durations, and URLs that hide their password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from notifier.config.fields import StoreUrl, redacted
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


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:p@h/d?sslmode=require&password=p", "postgresql://u:***@h/d?***"),
        ("postgresql://u:p@ss@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p@one:5432,two:5433/d", "postgresql://u:***@one:5432,two:5433/d"),
    ],
)
def test_the_store_is_shown_without_its_password(url: str, shown: str) -> None:
    assert redacted(url) == shown


@pytest.mark.parametrize("hosts", ["one", "one:5432", "one:5432,two:5433", "one,two", "[::1]:5432,two"])
def test_a_store_may_have_several_hosts(hosts: str) -> None:
    url = f"postgresql://user:sesame@{hosts}/db?sslmode=require"
    assert TypeAdapter(StoreUrl).validate_python(url).get_secret_value() == url


@pytest.mark.parametrize("hosts", ["one:0", "one:5432,two:port", "one:5432,two:0"])
def test_a_host_of_a_store_with_a_port_that_is_none_is_refused(hosts: str) -> None:
    with pytest.raises(ValidationError, match="not the URL of a store"):
        TypeAdapter(StoreUrl).validate_python(f"postgresql://user@{hosts}/db")
