"""The clock: late is better than never, and a wall clock that jumps stops nothing."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from engine_scripts import PATIENCE, eventually

from notifier.engine.clock import Clock


class Counter:
    """A clock whose tick counts."""

    def __init__(self, delay: float = 0.0) -> None:
        self.ticks = 0
        self.clock = Clock()
        self.clock.tick(self.tick, lambda: delay)

    async def tick(self) -> None:
        self.ticks += 1


async def test_a_loop_that_was_busy_ticks_on_afterwards() -> None:
    counter = Counter()
    counter.clock.start()
    await eventually(lambda: counter.ticks > 2)
    time.sleep(1.0)  # noqa: ASYNC251 - to block the loop is the test
    before = counter.ticks
    await eventually(lambda: counter.ticks > before + 5)
    counter.clock.stop()


async def test_a_long_delay_is_cut_so_that_what_becomes_due_out_of_turn_is_noticed() -> None:
    counter = Counter(delay=3600.0)
    counter.clock.start()
    await eventually(lambda: counter.ticks >= 2)
    counter.clock.stop()


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_wall_clock_that_jumps_does_not_stop_the_ticks(hours: int) -> None:
    counter = Counter()
    counter.clock.start()
    await eventually(lambda: counter.ticks > 2)
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=hours), tick=True):
        await asyncio.sleep(0.05)  # What was armed before the jump may still fire.
        before = counter.ticks
        await eventually(lambda: counter.ticks > before + 5)
        counter.clock.stop()


async def test_a_job_of_the_calendar_comes_at_its_interval() -> None:
    clock, times, rests = Clock(), list[float](), list[float]()

    async def work() -> None:
        times.append(time.monotonic())
        rests.append((job.next_run_time - datetime.now(UTC)).total_seconds())

    clock.every(0.1, work)
    [(job, _)] = clock._jobs
    began = time.monotonic()
    clock.start()
    await eventually(lambda: len(times) >= 3)
    clock.stop()
    # A busy machine may come late to each: only the earliest moment is promised, and when the next is due.
    assert [at - began > number * 0.1 - 0.01 for number, at in enumerate(times, start=1)] == [True] * len(times)
    assert max(rests) <= 0.1


async def test_a_stop_ends_the_ticks_but_not_the_work_that_runs() -> None:
    clock, begun, go, done = Clock(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    counter = Counter()

    async def work() -> None:
        begun.set()
        await go.wait()
        done.set()

    clock.tick(work, lambda: 0.0)
    for each in (clock, counter.clock):
        each.start()
    await begun.wait()
    for each in (clock, counter.clock):
        each.stop()
        each.stop()
    await asyncio.sleep(0.05)
    before = counter.ticks
    await asyncio.sleep(0.1)
    assert counter.ticks == before
    go.set()
    async with asyncio.timeout(PATIENCE):
        await done.wait()


async def test_calendar_work_that_became_due_while_the_loop_was_busy_is_done_afterwards() -> None:
    counter = Counter()
    clock = Clock()
    clock.every(3600.0, counter.tick)
    [(job, _)] = clock._jobs
    clock.start()
    job.modify(next_run_time=datetime.now(UTC) + timedelta(seconds=0.1))
    time.sleep(1.5)  # noqa: ASYNC251 - more than a second too long for what is due by then; the next is due in an hour
    await eventually(lambda: counter.ticks == 1)
    clock.stop()
