"""The guide for authors of sinks does what it says: its package is built, installed and tested as a stranger would."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "how-to" / "write-a-sink.md"
STRANGER = ROOT / "tests" / "stranger"
CODE = re.compile(r"^```(?:python|toml)\n# (?P<path>\S+)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_guide_shows_the_package_to_the_letter() -> None:
    shown = {found["path"]: found["code"] for found in CODE.finditer(GUIDE.read_text("utf-8"))}
    files = [
        file for file in STRANGER.rglob("*") if file.is_file() and file.suffix in {".py", ".toml"} and "build" not in file.parts
    ]
    there = {str(file.relative_to(STRANGER)): file.read_text("utf-8") for file in files}
    assert shown == there


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the stranger's wheel is installed, without any network."""
    pytest.importorskip("hatchling", reason="the wheel cannot be built without hatchling")
    pytest.importorskip("pip", reason="the wheel cannot be installed without pip")
    folder = tmp_path_factory.mktemp("stranger")
    source = shutil.copytree(STRANGER, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    built = run(source, os.environ.copy(), "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist"))
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check", "--no-compile", "--target", str(folder / "site")]
    installed = run(folder, os.environ.copy(), "-m", "pip", "install", "-q", *offline, str(wheel))
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return folder / "site"


def surroundings(site: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}


def test_an_installed_package_is_listed_with_its_version_and_found_by_both_names(site: Path) -> None:
    listed = run(site, surroundings(site), "-m", "notifier", "sinks", "--json")
    rows = {row["type"]: row for row in map(json.loads, listed.stdout.splitlines())}
    assert rows["acme"] == {"type": "acme", "origin": "acme-pager 1.0", "usable": True, "why_not": None, "offers": []}
    asked = "from notifier.sinks.registry import load; print(load('acme_pager.sink').origin)"
    found = run(site, surroundings(site), "-c", asked)
    assert (found.stdout.strip(), found.stderr) == ("module acme_pager.sink", "")


def test_an_installed_package_passes_the_suite(site: Path, tmp_path: Path) -> None:
    for name in ("test_acme_pager.py", "conftest.py"):
        shutil.copy(STRANGER / name, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n")
    ran = run(tmp_path, surroundings(site), "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert ran.returncode == 0, ran.stdout
    passed = re.search(r"^(\d+) passed in", ran.stdout, re.MULTILINE)
    assert passed, ran.stdout
    assert int(passed[1]) > 40


def test_a_sink_that_breaks_a_promise_is_told_which_and_shown_what(site: Path, tmp_path: Path) -> None:
    for name in ("test_acme_pager.py", "conftest.py"):
        shutil.copy(STRANGER / name, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    spoilt = (
        (tmp_path / "test_acme_pager.py")
        .read_text()
        .replace("class TestAcme", "Sink.send = unmarked(Sink.send)\n\n\nclass TestAcme")
    )
    helper = (
        "from dataclasses import replace\n\n\n"
        "def unmarked(send):\n"
        "    async def wrong(self, message, last):\n"
        "        return await send(self, replace(message, mark=None), last)\n"
        "    return wrong\n\n\n"
    )
    (tmp_path / "test_acme_pager.py").write_text(spoilt.replace("Sink.send = ", helper + "Sink.send = "))
    ran = run(tmp_path, surroundings(site), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "no_news")
    assert ran.returncode == 1, ran.stdout
    assert "assert 'DRILL' in 'sample-cluster: upgrade FAILED" in ran.stdout  # rewritten, so that one sees both sides


def test_a_sink_that_quotes_its_receiver_unmasked_is_found_out_by_the_guides_own_receiver(site: Path, tmp_path: Path) -> None:
    shutil.copy(STRANGER / "conftest.py", tmp_path)
    unmasked = "import acme_pager.sink\n\nacme_pager.sink.Mask = lambda secrets: lambda text, longest: text\n\n"
    (tmp_path / "test_acme_pager.py").write_text(unmasked + (STRANGER / "test_acme_pager.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    ran = run(tmp_path, surroundings(site), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "never_shown")
    assert ran.returncode == 1, ran.stdout
    assert "test_secrets_are_never_shown" in ran.stdout


def run(where: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=where, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
