"""Drills and replays tell sinks without the engine: they try again, give up, and touch nothing real."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from notifier import direct
from notifier.direct import Line
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Kind
from notifier.domain.rehearsal import set_apart
from notifier.domain.samples import sample
from notifier.replay import console, message

sys.path.append(str(Path(__file__).parents[1] / "engine"))

from engine_scripts import Sink


def line(*answers: Receipt | Exception, **facts: Any) -> tuple[Line, Sink]:
    waiting = list(answers)
    sink = Sink(lambda _: waiting.pop(0))
    entry = replace(console(as_json=False), policy=replace(console(as_json=False).policy, first_retry=0.001), **facts)
    return Line(entry, sink), sink


def news() -> Message:
    return message(set_apart(sample(Kind.TASK_FAILED).event, "DRILL", "r1"), "console", "DRILL")


RETRY = DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "HTTP 503")


async def test_what_may_work_later_is_tried_again() -> None:
    spoken, sink = line(RETRY, Receipt({"ts": "1"}), Receipt({"ts": "2"}))
    told = await spoken.tell(news())
    assert (told.tries, told.problem) == (2, None)
    await spoken.tell(news())
    assert sink.lasts == [None, None, Receipt({"ts": "1"})]


async def test_another_try_goes_on_from_where_the_one_before_got_to() -> None:
    half = Receipt({"ann": "has it"})
    spoken, sink = line(DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "bob: 450", receipt=half), RETRY, Receipt({}))
    await spoken.tell(news())
    assert [message.progress for message in sink.heard] == [None, half, half]


async def test_it_is_given_up_after_some_tries() -> None:
    spoken, sink = line(RETRY, RETRY, RETRY, RETRY)
    told = await spoken.tell(news())
    assert (told.tries, str(told.problem)) == (direct.TRIES, str(RETRY))
    assert len(sink.heard) == direct.TRIES


async def test_a_sink_that_refuses_everything_is_not_asked_again() -> None:
    refused = DeliveryError(Outcome.REJECTED, DeliveryReason.REFUSED, "401", scope=Scope.SINK)
    spoken, sink = line(refused)
    assert str((await spoken.tell(news())).problem) == str(refused)
    again = await spoken.tell(news())
    assert (again.tries, str(again.problem)) == (0, str(refused))
    assert len(sink.heard) == 1


async def test_a_sink_that_refuses_one_message_hears_the_next() -> None:
    refused = DeliveryError(Outcome.REJECTED, DeliveryReason.REFUSED, "too long", scope=Scope.EVENT)
    spoken, _ = line(refused, Receipt())
    assert str((await spoken.tell(news())).problem) == str(refused)
    assert (await spoken.tell(news())).problem is None


@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError("no"), DeliveryReason.CRASHED), (TimeoutError(), DeliveryReason.TIMEOUT)]
)
async def test_whatever_a_sink_raises_is_its_problem(error: Exception, reason: DeliveryReason) -> None:
    spoken, _ = line(error)
    told = await spoken.tell(news())
    assert told.problem is not None
    assert told.problem.reason is reason


async def test_a_sink_that_cannot_be_opened_is_told_nothing_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "closed_door.py").write_text(
        "from notifier.sinks.contract import SinkSettings\n\n\n"
        "class Settings(SinkSettings):\n    pass\n\n\n"
        "class Sink:\n"
        "    def __init__(self, settings, surroundings):\n        pass\n\n"
        "    async def __aenter__(self):\n        raise OSError('down at https://user:canary@broker')\n\n"
        "    async def __aexit__(self, *_):\n        pass\n\n"
        "    async def send(self, message, last):\n        raise AssertionError\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    good = console(as_json=False)
    async with direct.lines([replace(good, name="bad", type="strange.closed_door"), good], None) as opened:
        told = await opened["bad"].tell(news())
        assert (told.tries, str(told.problem)) == (0, "retry: network: the sink cannot be opened: the sink raised OSError")
        assert (await opened["console"].tell(news())).problem is None
