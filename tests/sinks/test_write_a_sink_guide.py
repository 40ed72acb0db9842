"""The guide for authors of sinks does what it says: its code is put where it says, and run as a stranger would."""

import os
import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-sink.md"
CODE = re.compile(r"^```python\n# (?P<path>\S+)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_guides_sink_is_found_and_passes_the_guides_tests(tmp_path: Path) -> None:
    files = {found["path"]: found["code"] for found in CODE.finditer(GUIDE.read_text("utf-8"))}
    assert set(files) == {"acme_pager/sink.py", "test_acme_pager.py"}
    for path, code in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(code, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{GUIDE.parents[2]}", "PYTHONDONTWRITEBYTECODE": "1"}

    found = run(tmp_path, environment, "-c", "from notifier.sinks.registry import load; print(load('acme_pager.sink').origin)")
    assert (found.stdout.strip(), found.stderr) == ("module acme_pager.sink", "")

    ran = run(tmp_path, environment, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_acme_pager.py")
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"^4\d passed in", ran.stdout, re.MULTILINE), ran.stdout


def run(where: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=where, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
