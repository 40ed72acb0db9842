"""What a person, a pipe and a program see of the console sink."""
# ruff: noqa: RUF001 - Chinese has punctuation of its own

import asyncio
import io
import json
import os
import pty
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.errors import DeliveryError, Outcome, Scope
from notifier.domain.model import Kind
from notifier.domain.render import payload
from notifier.domain.samples import sample
from notifier.domain.words import Words
from notifier.outbound import open_session
from notifier.sinks.console import Settings, Sink, as_json, as_text
from notifier.sinks.contract import Surroundings

FAILED = sample(Kind.TASK_FAILED, mark=None)
CONTROLS = st.text(st.characters(categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Lu")))


async def say(**settings: str) -> None:
    async with open_session() as session, Sink(Settings.model_validate(settings), Surroundings("screen", session)) as sink:
        await sink.send(FAILED, None)


def test_a_line_says_when_how_bad_where_and_what() -> None:
    assert as_text(sample(Kind.NODE_COMPLETED, mark=None), Words(), colour=False) == (
        "2026-03-01 05:30:00Z  ● info      sample-cluster  Node css-sample-ess-esn-1-1 completed (1 of 3 nodes, 33%)."
    )


def test_a_line_says_what_is_to_be_known_about_the_telling() -> None:
    message = replace(FAILED, mark="DRILL", late_by=timedelta(hours=2, seconds=5.5), skipped=3, may_repeat=True)
    line = as_text(message, Words(), colour=False)
    assert "  [DRILL]  ‼ critical  " in line
    assert line.endswith("(Delivered 2 h 5 s late. 3 earlier messages never arrived. This may be a repeat.)")


@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_severity_is_a_word_and_a_symbol_and_never_colour_alone(kind: Kind) -> None:
    plain = as_text(sample(kind), Words(), colour=False)
    assert kind.severity.word in plain
    assert "\x1b" not in plain
    coloured = as_text(sample(kind), Words(), colour=True)
    assert coloured.count("\x1b[") == 2
    assert kind.severity.word in coloured


@given(name=CONTROLS, summary=CONTROLS)
def test_no_text_of_a_stranger_reaches_the_terminal_as_a_control(name: str, summary: str) -> None:
    event = replace(FAILED.event, cluster=replace(FAILED.event.cluster, name=name))
    message = replace(FAILED, event=event, summary=summary)
    assert len(as_text(message, Words(), colour=False).splitlines()) == 1
    for line in (as_text(message, Words(), colour=False), as_json(message)):
        line.encode()
        assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in line)
        assert not set(line) & set("\u202e\u2066\u2028\u2029")


def test_it_speaks_the_language_and_the_zone_of_its_reader() -> None:
    words = Words("zh", ZoneInfo("Asia/Shanghai"))
    line = as_text(replace(sample(Kind.TASK_FAILED, words=words), late_by=timedelta(hours=2)), words, colour=False)
    assert line.startswith("2026-03-01 14:35:00+08:00  【测试】  ‼ 严重  sample-cluster  升级失败")
    assert line.endswith("（延迟 2 小时送达。）")


def test_json_is_the_payload_and_how_it_was_told() -> None:
    told = json.loads(as_json(replace(FAILED, late_by=timedelta(seconds=7.5), skipped=2)))
    assert told == {**payload(FAILED.event), "mark": None, "late_by": 7.5, "skipped": 2, "may_repeat": False}


async def test_it_writes_to_the_stream_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    await say(stream="stdout")
    out, err = capsys.readouterr()
    assert ("Upgrade FAILED" in out, err) == (True, "")
    await say(stream="stderr", format="json")
    out, err = capsys.readouterr()
    assert (out, json.loads(err)["kind"]) == ("", "task.failed")


@pytest.mark.parametrize(
    ("colour", "no_color", "terminal", "coloured"),
    [
        ("auto", None, True, True),
        ("auto", "1", True, False),
        ("auto", None, False, False),
        ("always", "1", False, True),
        ("never", None, True, False),
    ],
)
async def test_colour_is_for_terminals_unless_refused(
    monkeypatch: pytest.MonkeyPatch, colour: str, no_color: str | None, *, terminal: bool, coloured: bool
) -> None:
    if no_color is None:
        monkeypatch.delenv("NO_COLOR", raising=False)
    else:
        monkeypatch.setenv("NO_COLOR", no_color)
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        await say(colour=colour)
        written = os.read(ours, 4096).decode()
    os.close(ours)
    assert ("\x1b[" in written) is coloured


async def test_a_stream_that_cannot_show_a_sign_shows_another(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    await say()
    assert b"? critical" in raw.getvalue()


async def test_a_pipe_without_a_reader_is_a_failed_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(DeliveryError) as caught:
        await say()
    assert (caught.value.outcome, caught.value.scope) == (Outcome.UNCERTAIN, Scope.SINK)
    assert caught.value.detail == "stdout cannot be written to: Broken pipe"
    stream.detach().close()


async def test_a_closed_or_absent_stream_is_a_failed_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(DeliveryError, match="stdout cannot be written to"):
            await say()


async def test_a_reader_that_stops_reading_does_not_stop_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, bytes(65536)):
            pass
    os.set_blocking(writing, True)
    stream = os.fdopen(writing, "w")
    monkeypatch.setattr(sys, "stdout", stream)
    async with open_session() as session, Sink(Settings(), Surroundings("screen", session)) as sink:
        stuck = [asyncio.create_task(sink.send(FAILED, None)) for _ in range(50)]
        done, _ = await asyncio.wait(stuck, timeout=0.1)
        assert not done
        for task in stuck:
            task.cancel()
        await asyncio.wait(stuck)
        async with asyncio.timeout(60):  # the threads that names are resolved in are free
            assert await asyncio.to_thread(lambda: "free") == "free"
    os.close(reading)  # the writer's thread ends with a broken pipe
    monkeypatch.undo()
    with pytest.raises(BrokenPipeError):
        stream.close()
