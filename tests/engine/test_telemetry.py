"""What the program says about itself: one line a fact, harmless to terminals, and metrics with bounded labels."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from notifier import app, telemetry

Say = Callable[[], None]
FACTS: dict[str, tuple[Say, dict[str, object]]] = {
    "poll.failed": (lambda: telemetry.poll_failed("c", "server", "HTTP 503"), {"reason": "server", "level": "warning"}),
    "answer.odd": (lambda: telemetry.answer_odd("c", "stale", "t1: older"), {"what": "stale", "level": "info"}),
    "event": (
        lambda: telemetry.event_told("task.started", "c", "id-1", "It began."),
        {"event": "It began.", "kind": "task.started"},
    ),
    "delivery.delivered": (lambda: telemetry.delivered("s", "d", -1.0), {"level": "debug"}),
    "sink.paused": (
        lambda: telemetry.sink_paused("s", "someone acts", "gone", "410"),
        {"until": "someone acts", "level": "error"},
    ),
    "sink.recovered": (lambda: telemetry.sink_recovered("s"), {"level": "info"}),
    "store.failed": (lambda: telemetry.store_failed("poll", "full"), {"detail": "full", "level": "error"}),
    "config.reloaded": (lambda: telemetry.reloaded(None), {"level": "info"}),
    "config.kept": (lambda: telemetry.reloaded("line 3"), {"problem": "line 3", "level": "error"}),
    "starting": (lambda: telemetry.phase("starting", "Here we go", clusters=3), {"clusters": 3, "event": "Here we go"}),
}


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, ours = root.handlers, root.level, structlog.get_config()
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**ours)


def _lines(say: Say, style: Any = "json", level: str = "debug") -> list[str]:
    stream = io.StringIO()
    telemetry.configure(style, level, stream)
    say()
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("action", FACTS)
def test_each_fact_is_one_line_that_machines_can_read(action: str) -> None:
    say, expected = FACTS[action]
    [line] = _lines(say)
    fields = json.loads(line)
    assert fields["action"] == action
    assert fields["timestamp"].endswith("Z")
    assert expected.items() <= fields.items()


@pytest.mark.parametrize(("verdict", "level"), [("dead", "error"), ("again at noon", "warning")])
def test_a_failed_delivery_is_an_error_only_when_it_is_given_up(verdict: str, level: str) -> None:
    def say() -> None:
        telemetry.delivery_failed("s", "d", outcome="retry", reason="server", detail="503", verdict=verdict)

    [line] = _lines(say)
    assert json.loads(line)["level"] == level


@pytest.mark.parametrize("style", ["json", "console", "auto"])
def test_a_hostile_name_cannot_forge_a_line_or_drive_a_terminal(style: str) -> None:
    hostile = "search\n2026 forged \x1b[31m\u202etxt\x9b" + "x" * 5000
    lines = _lines(lambda: telemetry.poll_failed(hostile, "server", "d"), style)
    assert len(lines) == 1
    assert not set(lines[0]) & {"\x1b", "\u202e", "\x9b"}
    assert len(lines[0]) < 3000


def test_a_crash_of_a_sink_names_the_place_and_not_what_it_said() -> None:
    def say() -> None:
        try:
            int("token=sesame")
        except ValueError as error:
            telemetry.sink_crashed("s", error)

    [line] = _lines(say)
    assert "sesame" not in line
    assert json.loads(line)["where"].startswith(__file__)
    [bare] = _lines(lambda: telemetry.sink_crashed("s", ValueError("never raised")))
    assert json.loads(bare)["where"] == "?"


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_fault_of_ours_comes_with_its_traceback(style: str) -> None:
    def say() -> None:
        try:
            _ = 1 // 0
        except ZeroDivisionError as error:
            telemetry.fault("poll", error)

    text = "\n".join(_lines(say, style))
    assert "ZeroDivisionError" in text
    assert "test_telemetry.py" in text


def test_third_parties_log_the_same_way_and_their_debug_stays_shut() -> None:
    def say() -> None:
        logging.getLogger("aiohttp.client").debug("Authorization: Bearer sesame")
        logging.getLogger("aiohttp.client").warning("strange\nanswer")
        logging.getLogger("elsewhere").info("hello")

    warning, hello = (json.loads(line) for line in _lines(say))
    assert (warning["event"], warning["level"]) == ("strange\\x0aanswer", "warning")
    assert hello["event"] == "hello"


def test_the_level_is_obeyed() -> None:
    assert _lines(lambda: telemetry.sink_recovered("s"), level="error") == []


def test_metrics_move_and_no_cluster_is_a_label() -> None:
    def value(name: str, **labels: str) -> float:
        return telemetry.registry.get_sample_value(name, labels) or 0.0

    before = value("notifier_polls_total", outcome="unchanged"), value("notifier_store_failures_total")
    telemetry.polled("unchanged")
    _lines(lambda: telemetry.store_failed("poll", "full"))
    _lines(lambda: telemetry.sink_paused("metric-sink", "noon", "gone", ""))
    _lines(lambda: telemetry.event_told("task.started", "a-cluster-by-name", "id", "text"))
    assert (value("notifier_polls_total", outcome="unchanged"), value("notifier_store_failures_total")) == (
        before[0] + 1,
        before[1] + 1,
    )
    assert value("notifier_sink_paused", sink="metric-sink") == 1
    _lines(lambda: telemetry.sink_recovered("metric-sink"))
    text = telemetry.metrics().decode()
    assert 'notifier_sink_paused{sink="metric-sink"} 0.0' in text
    assert "a-cluster-by-name" not in text


def test_a_fault_on_a_terminal_shows_where_it_is_and_nothing_that_lay_around() -> None:
    stream = io.StringIO()
    telemetry.configure("console", "info", stream)

    def fails() -> None:
        token = "s3cret"
        raise RuntimeError(f"{len(token)} letters")

    try:
        fails()
    except RuntimeError as error:
        telemetry.fault("web", error)
    said = stream.getvalue()
    assert "6 letters" in said
    assert "in fails" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("style", ["json", "console"])
def test_neither_a_traceback_nor_a_stranger_says_a_secret_of_the_configuration(
    style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "notifier.yaml"
    path.write_text(
        "projects: [{name: p, region: cn-north-4, project_id: abc, credentials: {access_key: AK-s3cr3t, secret_key: SK-s3cr3t},"
        f" clusters: [{{id: c-1}}]}}]\nlog: {{format: {style}}}\nstore: postgresql://bot:pw-s3cr3t@db/notifier\n"
    )
    app.speak(app.load(path))
    try:
        int("SK-s3cr3t and pw-s3cr3t")
    except ValueError as error:
        telemetry.fault("poll", error)
    logging.getLogger("elsewhere").warning("signed with %s", "AK-s3cr3t")
    logging.getLogger("elsewhere").error("and %s", ValueError("SK-s3cr3t"), exc_info=ValueError("of pw-s3cr3t"))
    said = capsys.readouterr().err
    assert "s3cr3t" not in said
    assert all(
        words in said for words in ("'*** and ***'", "and ***", "signed with ***", "ValueError: of ***", "test_telemetry.py")
    )


def test_a_fault_before_logging_is_set_up_shows_nothing_that_lay_around_either() -> None:
    # A process of its own: in this one another test may have set logging up.
    program = """
from notifier import telemetry

def fails(token):
    raise RuntimeError(len(token))

try:
    fails("hunter" + "2hunter2")
except RuntimeError as error:
    telemetry.fault("a command", error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    said = run.stdout + run.stderr
    assert "RuntimeError: 14" in said
    assert "hunter2hunter2" not in said
