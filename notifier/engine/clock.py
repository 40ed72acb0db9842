"""APScheduler as the clock: one tick for all that is due within seconds, one job for each thing of the calendar.

APScheduler lives on the wall clock, and stops for the length of a step backwards (and for ever late after a step forwards it is
not). So a watch that lives on the event loop's monotonic clock looks every second whether the wall has jumped, and re-arms what
was set by the old one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from notifier.engine.lag import Lag

SHORTEST = 0.005
"""Seconds between ticks at the least: how late a poll may be."""

LONGEST = 0.25
"""Seconds between ticks at the most: how soon something that became due out of turn is noticed."""

JUMP = 2.0
"""Seconds by which the wall clock may drift from the monotonic one between two looks before it is called a step."""


class Wall:
    """Notices when the wall clock is set, since then it parts from the monotonic one."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def step(self) -> float:
        """Seconds by which the wall clock was set since the last call; 0 where it was not."""
        offset = time.time() - time.monotonic()
        step, self._offset = offset - self._offset, offset
        return step if abs(step) > JUMP else 0.0


class _Due(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 has no types
    """Fires when the next thing is due, by asking how long that is."""

    def __init__(self, delay: Callable[[], float]) -> None:
        self._delay = delay

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        return now + timedelta(seconds=min(max(self._delay(), SHORTEST), LONGEST))


class _Executor(AsyncIOExecutor):  # type: ignore[misc]  # likewise
    """Leaves what runs alone at a stop; APScheduler's own would cancel it, whatever ``wait`` says."""

    def shutdown(self, wait: bool = True) -> None:
        """Do nothing: there is no thread to end, and work that began is to be finished."""


class Clock:
    """Calls ``tick`` whenever ``delay()`` seconds have passed, and the jobs given to `every` at their interval."""

    def __init__(self) -> None:
        # Late is better than never: no run is dropped because the loop was busy, and what was missed is done once.
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            executors={"default": _Executor()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._jobs: list[tuple[Job, float]] = []
        self._watch: asyncio.TimerHandle | None = None
        self._wall = Wall()
        self._lag = Lag()

    def tick(self, work: Callable[[], Awaitable[None]], delay: Callable[[], float]) -> None:
        """Run ``work`` whenever ``delay()`` seconds (between `SHORTEST` and `LONGEST`) are over."""
        self._jobs.append((self._scheduler.add_job(work, _Due(delay)), LONGEST))

    def every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work`` every so many seconds, first after one interval."""
        self._jobs.append((self._scheduler.add_job(work, IntervalTrigger(seconds=seconds, timezone=UTC)), seconds))

    def start(self) -> None:
        """Start, on the running loop."""
        self._scheduler.start()
        self._lag.start()
        self._wall = Wall()
        self._watch = asyncio.get_running_loop().call_later(1.0, self._look)

    def stop(self) -> None:
        """Stop; what is running goes on."""
        self._lag.stop()
        if self._watch is not None:
            self._watch.cancel()
            self._scheduler.pause()
            self._scheduler.remove_all_jobs()
            self._scheduler.shutdown(wait=False)
            self._watch = None

    def _look(self) -> None:
        if self._wall.step():
            now = datetime.now(UTC)
            for job, seconds in self._jobs:
                job.modify(next_run_time=now + timedelta(seconds=min(seconds, LONGEST)))
        self._watch = asyncio.get_running_loop().call_later(1.0, self._look)
