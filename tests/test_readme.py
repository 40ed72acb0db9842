"""The README is true: its commands exist and do what it says, its configuration loads, its links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from notifier import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
FENCES = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
ENVIRONMENT = {
    "HUAWEICLOUD_SDK_AK": "AK",
    "HUAWEICLOUD_SDK_SK": "SK",
    "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "SLACK_BOT_TOKEN": "xoxb-0123456789",
    "PAGERDUTY_ROUTING_KEY": "0123456789abcdef0123456789abcdef",
}
COMMANDS = [line for language, text in FENCES if not language for line in text.splitlines()]


def test_the_configuration_of_the_readme_and_the_example_load(tmp_path: Path) -> None:
    (written,) = [text for language, text in FENCES if language == "yaml"]
    path = tmp_path / "notifier.yaml"
    path.write_text(written)
    settings = app.load(path, ENVIRONMENT)
    assert [entry.name for entry in settings.sinks] == ["console", "hook"]
    assert len(written.splitlines()) <= 10
    app.load(ROOT / "config" / "notifier.example.yaml", ENVIRONMENT)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("notifier ")])
def test_each_command_runs(command: str, tmp_path: Path) -> None:
    """``run`` is followed for as long as it takes to say that it watches; the others end by themselves."""
    (written,) = [text for language, text in FENCES if language == "yaml"]
    # Nothing leaves this machine: the API is a port where nobody answers.
    local = written.replace("    credentials", "    endpoint: http://127.0.0.1:9\n    credentials") + "http: off\n"
    (tmp_path / "notifier.yaml").write_text(local)
    words = [sys.executable, "-m", "notifier", *shlex.split(command)[1:]]
    with subprocess.Popen(
        words, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if command == "notifier run" and "app.started" in line:
                process.terminate()
        code = process.wait(timeout=30)
    # Only the one that asks the cloud cannot succeed here, and says so in words.
    assert code == (1 if command == "notifier poll" else 0), said
    assert "Traceback" not in said


def test_the_two_commands_are_the_ones_that_ci_and_this_test_know() -> None:
    demo, test = (line for line in COMMANDS if line.startswith("python3 -m venv"))
    assert demo.endswith("pip install -q -c constraints.txt . && .venv/bin/notifier demo")
    assert test in (ROOT / ".ci" / "run").read_text()


def test_every_link_leads_to_a_file() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name} links to {target}"
