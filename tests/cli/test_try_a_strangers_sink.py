"""`notifier test` and strangers' sinks that break their word: each fault is told, none ends it, no secret is shown."""

import asyncio
import json
import os
import re
import signal
import sys
import textwrap
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from notifier.cli import main
from notifier.engine import door

ROOT = Path(__file__).parents[2]
CONFIG = """\
projects:
  - name: beijing
    region: cn-north-4
    project_id: p1
    credentials: {{from: env}}
    clusters: [{{id: c1}}]
sinks:
  odd: {{type: {type}, key: canary-0123456789, timeout: {timeout}}}
routes: [{{match: {{kind: "task.*"}}, sinks: [odd]}}]
"""
SINK = """\
import asyncio
import time

from pydantic import SecretStr

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Receipt
from notifier.sinks.contract import SinkSettings


class Settings(SinkSettings):
    key: SecretStr


class Sink:
    sent = 0

    def __init__(self, settings, surroundings):
        self.key = settings.key.get_secret_value()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def send(self, message, last):
        type(self).sent += 1
        return await self.answer(message)

    async def answer(self, message):
        return Receipt({"id": message.id})


class Sink(Sink):
"""
SAMPLES = 10
"""Kinds of ``task.*``."""

numbers = count()


def write(folder: Path, changed: str, timeout: str = "10s") -> Path:
    package = folder / f"strangers_{next(numbers)}"
    package.mkdir()
    (package / "sink.py").write_text(SINK + textwrap.indent(textwrap.dedent(changed), "    "))
    path = folder / "notifier.yaml"
    path.write_text(CONFIG.format(type=f"{package.name}.sink", timeout=timeout))
    return path


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def tried(folder: Path, changed: str, *words: str, timeout: str = "10s") -> Result:
    result = CliRunner().invoke(main, ["test", "odd", "-c", str(write(folder, changed, timeout)), *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), "a traceback"
    assert "canary" not in result.output
    return result


def answering(line: str) -> str:
    return f"async def answer(self, message):\n    {line}\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("return None", "the sink gave back no receipt"),
        ("return False", "the sink gave back no receipt"),
        ('return Receipt({"a": 1})', "the sink gave back a receipt that holds more than text"),
        ("raise KeyError(self.key)", "the sink raised KeyError"),
        ("raise OSError(5, self.key)", "the sink raised OSError"),
        ("raise SystemExit(self.key)", "the sink raised SystemExit"),
        ('raise DeliveryError("later", "because", "x")', "the sink raised a DeliveryError whose outcome is none of Outcome"),
    ],
)
def test_what_is_no_receipt_is_no_delivery(stranger: Path, line: str, words: str) -> None:
    result = tried(stranger, answering(line))
    assert result.exit_code == 1
    assert f"task.failed: nobody knows whether it arrived (crashed): {words}\n" in result.stdout
    assert result.stdout.endswith(f"0 of {SAMPLES} samples arrived.\n")


def test_a_detail_can_give_a_terminal_no_orders(stranger: Path) -> None:
    line = 'raise DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "a\\x1b[2Jb\\r\\nc")'
    result = tried(stranger, answering(line))
    assert all(row.isprintable() for row in result.stdout.splitlines())
    assert "task.failed: not accepted now, it would be tried again (server): a\ufffd[2Jb c" in result.stdout


def test_what_hangs_is_broken_off(stranger: Path) -> None:
    hangs = answering("await asyncio.Event().wait() if message.event.kind == 'task.failed' else None\n    return Receipt()")
    result = tried(stranger, hangs, timeout="100ms")
    assert "task.failed: nobody knows whether it arrived (timeout): no answer within 0.1 s" in result.stdout
    assert f"{SAMPLES - 1} of {SAMPLES} samples arrived." in result.stdout


def test_what_blocks_longer_than_its_timeout_is_said(stranger: Path) -> None:
    blocks = answering("time.sleep(0.3) if message.event.kind == 'task.failed' else None\n    return Receipt()")
    result = tried(stranger, blocks, timeout="100ms")
    said = r"task\.failed: delivered: after \d+\.\d s, though its timeout is 0\.1 s: the sink does not let go"
    assert re.search(said, result.stdout)


@pytest.mark.parametrize("error", ["RuntimeError(settings.key.get_secret_value())", "SystemExit('canary')"])
def test_a_sink_that_cannot_be_built_sends_nothing(stranger: Path, error: str) -> None:
    result = tried(stranger, f"def __init__(self, settings, surroundings):\n    raise {error}\n")
    assert result.exit_code == 1
    assert result.stdout == f"0 of {SAMPLES} samples arrived, {SAMPLES} not sent.\n"
    assert result.stderr == f"notifier: the sink cannot be opened: the sink raised {error.split('(', maxsplit=1)[0]}\n"


RAISES = "raise DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, f'no entry for {self.key}')"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("async def check(self):\n    return [f'{self.key} is refused']\n", "*** is refused"),
        (f"async def check(self):\n    {RAISES}\n", "its check failed: no entry for ***"),
        (f"async def __aenter__(self):\n    {RAISES}\n", "the sink cannot be opened: no entry for ***"),
    ],
    ids=["says it", "raises it", "cannot be opened"],
)
def test_a_check_online_shows_no_secret_of_the_sink(stranger: Path, changed: str, words: str) -> None:
    result = CliRunner().invoke(main, ["check", "--online", "-c", str(write(stranger, changed))])
    assert f"sink odd: {words}\n" in result.output
    assert "canary" not in result.output


HANGS = "async def __aenter__(self):\n    await asyncio.Event().wait()\n"
STUBBORN = """\
async def __aenter__(self):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
"""


@pytest.mark.parametrize("opening", [HANGS, STUBBORN], ids=["hangs", "heeds no cancelling"])
def test_a_sink_that_cannot_be_opened_sends_nothing(stranger: Path, opening: str) -> None:
    result = tried(stranger, opening, timeout="100ms")
    assert (result.exit_code, result.stderr) == (1, "notifier: the sink cannot be opened: it took longer than 0.1 s\n")


@pytest.mark.parametrize(
    ("does", "patience", "words"),
    [
        ("raise ValueError(self.key)", 60.0, "the sink could not be closed: the sink raised ValueError"),
        ("await asyncio.Event().wait()", 0.1, "the sink could not be closed: it took longer than 0.1 s"),
    ],
)
def test_a_sink_that_cannot_be_closed_has_sent_all_the_same(
    stranger: Path, does: str, patience: float, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "CLOSING", patience)
    result = tried(stranger, f"async def __aexit__(self, *_):\n    {does}\n", timeout="100ms")
    assert f"{SAMPLES} of {SAMPLES} samples arrived.\n" in result.stdout
    assert (result.exit_code, result.stderr) == (1, f"notifier: {words}\n")


@pytest.mark.parametrize(
    ("line", "words", "why"),
    [
        (
            'raise DeliveryError(Outcome.REJECTED, DeliveryReason.REFUSED, "HTTP 401", scope=Scope.SINK)',
            "turned down, it would not be tried again (refused): HTTP 401",
            "the sink refuses everything",
        ),
        (
            'raise DeliveryError(Outcome.RETRY, DeliveryReason.THROTTLED, "HTTP 429", scope=Scope.SINK, retry_after=30.0)',
            "not accepted now, it would be tried again (throttled): HTTP 429",
            "the receiver asks for a pause",
        ),
    ],
)
def test_a_sink_that_refuses_everything_is_asked_once(stranger: Path, line: str, words: str, why: str) -> None:
    result = tried(stranger, answering(line))
    assert result.stdout == (f"task.started: {words}\n0 of {SAMPLES} samples arrived, {SAMPLES - 1} not sent: {why}.\n")
    assert result.exit_code == 1


def test_as_json_every_sample_has_its_line_and_people_have_theirs_on_stderr(stranger: Path) -> None:
    line = """if message.event.kind == "task.stalled":
        raise DeliveryError(Outcome.REJECTED, DeliveryReason.GONE, "HTTP 410", scope=Scope.SINK)
    return Receipt()"""
    result = tried(stranger, answering(line), "--json")
    rows = [json.loads(row) for row in result.stdout.splitlines()]
    assert len(rows) == SAMPLES
    first, second, third = rows[:3]
    assert (first["kind"], first["outcome"], first["reason"], first["detail"]) == ("task.started", "delivered", None, None)
    assert (second["kind"], second["outcome"], second["reason"], second["detail"]) == (
        "task.stalled",
        "rejected",
        "gone",
        "HTTP 410",
    )
    assert (third["outcome"], third["detail"]) == ("not_sent", "the sink refuses everything")
    assert len({row["id"] for row in rows}) == SAMPLES
    assert result.stderr == f"1 of {SAMPLES} samples arrived, {SAMPLES - 2} not sent: the sink refuses everything.\n"


def test_the_end_of_a_task_brings_the_report_that_the_sink_asks_for(stranger: Path) -> None:
    line = "print(message.event.kind, message.report is not None, message.report and message.report.title)\n    return Receipt()"
    path = write(stranger, answering(line))
    path.write_text(path.read_text().replace("timeout: 10s", "report: true"))
    result = CliRunner().invoke(main, ["test", "odd", "-c", str(path)])
    assert "task.succeeded True sample-cluster" in result.stdout
    assert "task.failed True sample-cluster" in result.stdout
    assert "task.started False None" in result.stdout


async def test_interrupted_it_leaves_what_was_learnt(tmp_path: Path) -> None:
    hangs = answering("await asyncio.Event().wait() if message.event.kind == 'task.stalled' else None\n    return Receipt()")
    path = write(tmp_path, hangs)
    python_path = f"{tmp_path}{os.pathsep}{ROOT}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "notifier", "test", "odd", "-c", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": python_path},
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"task.started: delivered\n"  # at once, though the next one hangs
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    why = "interrupted, and of the next one nobody knows whether it arrived"
    assert out.decode() == f"1 of {SAMPLES} samples arrived, {SAMPLES - 1} not sent: {why}.\n"
    assert (process.returncode, err) == (130, b"")
