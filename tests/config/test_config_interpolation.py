"""What is filled in from outside the file."""

import os
from pathlib import Path

import pytest

from notifier.config.interpolation import MAX_FILE, interpolate
from notifier.config.reading import parse
from notifier.config.tree import ScalarNode, plain

ENVIRON = {"HOST": "example.com", "EMPTY": "", "PORT": "8080", "TRICK": "${HOST} *a: {b}"}


def filled(text: str, folder: Path) -> str:
    root, _ = parse(f"a: '{text}'")
    assert interpolate(root, ENVIRON, folder) == []
    value = plain(root)["a"]
    assert isinstance(value, str)
    return value


def refusal(text: str, folder: Path) -> str:
    root, _ = parse(f"a: '{text}'")
    flaws = interpolate(root, ENVIRON, folder)
    assert [flaw.path for flaw in flaws] == [("a",)]
    return flaws[0].what


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("https://${HOST}/x", "https://example.com/x"),
        ("${HOST}:${PORT}", "example.com:8080"),
        ("${NONE:-fallback}", "fallback"),
        ("${EMPTY:-fallback}", "fallback"),
        ("${HOST:-fallback}", "example.com"),
        ("${NONE:-}", ""),
        ("${EMPTY}", ""),
        ("a$$b", "a$b"),
        ("$${HOST}", "${HOST}"),
        ("5$ and $x", "5$ and $x"),
        ("${TRICK}", "${HOST} *a: {b}"),
    ],
)
def test_placeholders_are_filled_in_once(text: str, value: str, tmp_path: Path) -> None:
    assert filled(text, tmp_path) == value


def test_a_number_that_is_filled_in_stays_a_text(tmp_path: Path) -> None:
    root, _ = parse("a: ${PORT}")
    interpolate(root, ENVIRON, tmp_path)
    assert plain(root) == {"a": "8080"}


def test_keys_are_left_alone(tmp_path: Path) -> None:
    root, _ = parse("${HOST}: 1")
    assert interpolate(root, ENVIRON, tmp_path) == []
    assert plain(root) == {"${HOST}": 1}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("${NONE}", "environment variable NONE is not set"),
        ("${HOST", "a placeholder ${ without its }"),
        ("${}", "not a placeholder"),
        ("${1A}", "not a placeholder"),
        ("${HOST:?why}", "not a placeholder"),
    ],
)
def test_a_placeholder_that_cannot_be_filled_in_says_why(text: str, what: str, tmp_path: Path) -> None:
    assert refusal(text, tmp_path) == what


def test_a_failing_alias_is_told_once_and_marked(tmp_path: Path) -> None:
    root, _ = parse("a: &a ${NONE}\nb: *a")
    flaws = interpolate(root, {}, tmp_path)
    assert len(flaws) == 1
    node = root.entries["b"].node if not isinstance(root, ScalarNode) and hasattr(root, "entries") else None
    assert isinstance(node, ScalarNode)
    assert node.failed


@pytest.mark.parametrize("content", [b"s3cret", b"s3cret\n", b"s3cret\r\n"])
def test_a_file_is_read_without_the_line_break_at_its_end(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert filled("${file:secret}", tmp_path) == "s3cret"
    assert filled(f"${{file:{tmp_path}/secret}}", Path("/nowhere")) == "s3cret"


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE + 1))
    os.mkfifo(tmp_path / "pipe")
    assert refusal("${file:none}", tmp_path) == "file none cannot be read: No such file or directory"
    assert refusal("${file:empty}", tmp_path) == "file empty is empty"
    assert refusal("${file:binary}", tmp_path) == "file binary is not text in UTF-8"
    assert refusal("${file:large}", tmp_path) == "file large is larger than 64 KiB"
    assert refusal("${file:pipe}", tmp_path) == "file pipe is not a regular file"
    assert refusal("${file:.}", tmp_path) == "file . is not a regular file"


def test_a_file_name_that_no_system_takes_is_refused(tmp_path: Path) -> None:
    root, _ = parse('a: "${file:a\\0b}"')
    assert interpolate(root, {}, tmp_path)[0].what.endswith("cannot be read: not a file name")
