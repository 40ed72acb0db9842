"""How late the loop is, as the metric tells it."""

import asyncio
import time

from engine_scripts import eventually

from notifier import telemetry
from notifier.engine.clock import Clock


def _beats(up_to: str = "+Inf") -> float:
    return telemetry.registry.get_sample_value("notifier_loop_lag_seconds_bucket", {"le": up_to}) or 0.0


def _late() -> float:
    return _beats() - _beats("0.25")


async def test_a_loop_that_stood_still_counts_as_late_for_as_long_as_it_did() -> None:
    clock, before = Clock(), _late()
    clock.start()
    time.sleep(1.0)  # noqa: ASYNC251 - to block the loop is the test
    await eventually(lambda: _late() >= before + 6)
    clock.stop()


async def test_a_clock_that_is_stopped_measures_nothing() -> None:
    clock = Clock()
    clock.start()
    before = _beats()
    await eventually(lambda: _beats() > before)
    clock.stop()
    clock.stop()
    before = _beats()
    await asyncio.sleep(0.15)
    assert _beats() == before
