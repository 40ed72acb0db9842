"""Whether the house is in order: lint, format, types, and imports that fall one way."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOP_LEVEL = {
    "pyproject.toml",
    "README.md",
    "notifier",
    "config",
    "tests",
    "Dockerfile",
    "Makefile",
    "LICENSE",
    "CHANGELOG.md",
    "docs",
    "constraints.txt",
}
LONGEST_FILE = 350


@pytest.mark.parametrize(
    "tool",
    [
        ["ruff", "check", "--no-cache", "notifier", "tests"],
        ["ruff", "format", "--no-cache", "--check", "notifier", "tests"],
        ["mypy"],
        ["importlinter.cli", "lint"],
    ],
    ids=lambda tool: " ".join(tool[:2]),
)
def test_the_tool_finds_nothing(tool: list[str]) -> None:
    command = (
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
        if tool[0].startswith("importlinter")
        else [
            sys.executable,
            "-m",
            *tool,
        ]
    )
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_nothing_else_stands_at_the_top() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: nothing says which files are the project's")
    tops = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {top for top in tops if not top.startswith(".")} <= TOP_LEVEL


def test_a_long_file_says_why() -> None:
    for file in (ROOT / "notifier").rglob("*.py"):
        text = file.read_text()
        if text.count("\n") > LONGEST_FILE:
            assert "Long, because" in text.split('"""')[1], f"{file} has more than {LONGEST_FILE} lines and does not say why"
