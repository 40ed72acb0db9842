"""Sinks that listen are kept listening, and what goes wrong with that is said without secrets."""

import asyncio

import pytest
from engine_scripts import PATIENCE

from notifier import telemetry
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome
from notifier.engine import attempt, listeners
from notifier.engine.listeners import Listeners
from notifier.sinks.desk import DeskClosed


class Ear:
    """Does what the script says, one thing at each try to listen, then listens for good."""

    def __init__(self, *script: Exception | None) -> None:
        self.script = list(script)
        self.tries = 0
        self.steady = asyncio.Event()

    async def listen(self) -> None:
        self.tries += 1
        if self.script:
            step = self.script.pop(0)
            if step is not None:
                raise step
            return
        self.steady.set()
        await asyncio.Event().wait()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, float]]:
    said: list[tuple[str, str, float]] = []
    real = telemetry.listening_failed

    def say(sink: str, detail: str, wait: float) -> None:
        said.append((sink, detail, wait))
        real(sink, detail, wait)

    monkeypatch.setattr(listeners, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(listeners, "LONGEST_WAIT", 0.004)
    monkeypatch.setattr("notifier.telemetry.listening_failed", say)
    return said


async def test_whatever_ends_it_is_said_and_tried_again_after_ever_longer_pauses(waits: list[tuple[str, str, float]]) -> None:
    refused = DeliveryError(Outcome.REJECTED, DeliveryReason.REFUSED, "apps.connections.open: invalid_auth")
    ear = Ear(refused, DeskClosed("the disk is full"), ValueError("xapp-canary"), OSError(), OSError())
    crew = Listeners()
    crew.add("team", ear)
    crew.start()
    await asyncio.wait_for(ear.steady.wait(), PATIENCE)
    await crew.stop()
    assert waits == [
        ("team", "apps.connections.open: invalid_auth", 0.001),
        ("team", "the disk is full", 0.002),
        ("team", "ValueError", 0.004),
        ("team", "OSError", 0.004),
        ("team", "OSError", 0.004),
    ]
    assert b'notifier_sink_listening_failures_total{sink="team"}' in telemetry.metrics()


async def test_who_listened_for_long_is_tried_again_soon(
    waits: list[tuple[str, str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "STEADY", 0.0)
    ear = Ear(OSError(), OSError(), OSError())
    crew = Listeners()
    crew.add("team", ear)
    crew.start()
    await asyncio.wait_for(ear.steady.wait(), PATIENCE)
    await crew.stop()
    assert [wait for _, _, wait in waits] == [0.001] * 3


async def test_a_sink_with_nothing_to_hear_is_left_alone(waits: list[tuple[str, str, float]]) -> None:
    ear = Ear(None)
    crew = Listeners()
    crew.add("team", ear)
    crew.start()
    await asyncio.gather(*crew._tasks)
    await crew.stop()
    assert (ear.tries, waits) == (1, [])


async def test_a_stop_does_not_wait_for_a_sink_that_heeds_no_cancelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "STUBBORN", 0.05)
    begun = asyncio.Event()

    class Deaf:
        async def listen(self) -> None:
            begun.set()
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    continue

    crew = Listeners()
    crew.add("team", Deaf())
    crew.start()
    await begun.wait()
    async with asyncio.timeout(PATIENCE):
        await crew.stop()


async def test_a_failure_that_has_none_of_its_parts_does_not_end_the_listening(waits: list[tuple[str, str, float]]) -> None:
    class Hostile(DeliveryError):
        def __init__(self) -> None:
            pass

    ear = Ear(Hostile())
    crew = Listeners()
    crew.add("team", ear)
    crew.start()
    await asyncio.wait_for(ear.steady.wait(), PATIENCE)
    await crew.stop()
    assert waits == [("team", "the sink raised AttributeError", 0.001)]
