"""URLs of stores, which hide their password, and time zones."""

from pathlib import Path

import pytest
from config_files import MINIMAL, refused, told
from pydantic import TypeAdapter, ValidationError

from notifier.config.fields import StoreUrl, redacted


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


@pytest.mark.parametrize(
    ("zone", "remedy"),
    [
        ("CST", "did you mean Asia/Shanghai or America/Chicago?"),
        ("BST", "did you mean Europe/London?"),
        ("Beijing", "did you mean Asia/Shanghai?"),
        ("Asia/Beijing", "did you mean Asia/Shanghai?"),
        ("Shanghai", "did you mean Asia/Shanghai?"),
        ("asia/shangai", "did you mean Asia/Shanghai?"),
        ("America/NewYork", "did you mean America/New_York?"),
        ("AEST", "write a place, such as Asia/Shanghai"),
        ("GMT+8", "write a place, such as Asia/Shanghai"),
        ("UTC+08:00", "write a place, such as Asia/Shanghai"),
        ("'+08:00'", "write a place, such as Asia/Shanghai"),
        ("8", "write a place, such as Asia/Shanghai"),
    ],
)
def test_a_zone_that_is_none_is_refused_with_what_may_be_meant(tmp_path: Path, zone: str, remedy: str) -> None:
    text = MINIMAL + f"sinks: {{a: {{type: plain, zone: {zone}}}}}\n"
    assert [each.partition(": ")[2] for each in told(refused(tmp_path, text))] == [f"sinks.a.zone: no such time zone; {remedy}"]
