"""How often a project is asked. The clock is a number that the tests move; only the short gaps between requests are slept."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from notifier.domain.errors import FetchError, FetchReason
from notifier.engine import budget as engine
from notifier.engine.budget import LONGEST_PAUSE, REFUSED_FOR, THROTTLED_FOR, Budget

FAST = 10_000.0
"""Requests a second where the rate is not what is tested."""


class Api:
    """Says what it is told to say, and counts who came through."""

    def __init__(self, rate: float = FAST) -> None:
        self.now = 1000.0
        self.budget = Budget(rate, lambda: self.now)
        self.failure: FetchError | None = None
        self.asked: list[float] = []
        self.at_once = self.most_at_once = 0

    async def ask(self) -> FetchReason | None:
        try:
            async with self.budget.turn():
                self.asked.append(self.now)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                await asyncio.sleep(0)
                self.at_once -= 1
                if self.failure is not None:
                    raise self.failure
        except FetchError as error:
            return error.reason
        return None

    async def fails(self, reason: FetchReason, retry_after: float | None = None) -> None:
        self.failure = FetchError(reason, "as the script says", retry_after=retry_after)
        assert await self.ask() is reason
        self.failure = None

    async def pause(self, most: float = 2000.0) -> float:
        """Seconds until the project may be asked again, found by trying."""
        began, count = self.now, len(self.asked)
        while self.now - began < most:
            self.failure = FetchError(FetchReason.SERVER, "only looking")
            await self.ask()
            self.failure = None
            if len(self.asked) > count:
                return self.now - began
            self.now += 1.0
        raise AssertionError("never asked again")


async def test_requests_are_spread_evenly() -> None:
    budget, times = Budget(50.0), list[float]()

    async def ask() -> None:
        async with budget.turn():
            times.append(time.monotonic())

    began = time.monotonic()
    await ask()
    await asyncio.gather(*(ask() for _ in range(5)))
    # Whoever is woken late by a busy machine is followed by whoever is on time: only the earliest moment is promised.
    assert [at - began > number * 0.02 - 0.005 for number, at in enumerate(times)] == [True] * 6


@pytest.mark.parametrize(("retry_after", "expected"), [(None, THROTTLED_FOR), (42.0, 42.0), (99999.0, LONGEST_PAUSE)])
async def test_a_throttled_project_is_left_alone_for_as_long_as_it_asks(retry_after: float | None, expected: float) -> None:
    api = Api()
    await api.ask()
    await api.fails(FetchReason.THROTTLED, retry_after)
    assert await api.pause() == pytest.approx(expected, abs=1.0)


async def test_whoever_is_turned_away_hears_why_and_for_how_long() -> None:
    api = Api()
    await api.fails(FetchReason.THROTTLED, 30.0)
    api.now += 10
    with pytest.raises(FetchError, match="as the script says") as turned_away:
        async with api.budget.turn():
            pytest.fail("was let through")
    assert turned_away.value.retry_after == pytest.approx(20.0)


async def test_pauses_double_up_to_a_limit_and_start_anew_after_a_success() -> None:
    api = Api()
    for expected in (60.0, 120.0, 240.0, 480.0, 900.0, 900.0):
        await api.fails(FetchReason.REFUSED)
        assert await api.pause() == pytest.approx(expected, abs=1.0)
    assert await api.ask() is None
    await api.fails(FetchReason.REFUSED)
    assert await api.pause() == pytest.approx(REFUSED_FOR, abs=1.0)


async def test_a_failure_of_one_cluster_holds_nobody_back() -> None:
    api = Api()
    await api.fails(FetchReason.GONE)
    assert await api.ask() is None


async def test_refused_keys_of_fifty_clusters_are_tried_less_than_five_times_in_five_minutes() -> None:
    api = Api()
    api.failure = FetchError(FetchReason.REFUSED, "401")
    for _ in range(300):
        await asyncio.gather(*(api.ask() for _ in range(50)))
        api.now += 1.0
    assert len(api.asked) <= 4
    assert api.most_at_once == 1


async def test_until_the_keys_have_proved_good_requests_go_one_at_a_time() -> None:
    api = Api()
    await asyncio.gather(*(api.ask() for _ in range(10)))
    assert api.most_at_once == 1


async def test_a_request_that_waits_in_the_queue_is_not_sent_after_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rounds(seconds: float) -> None:
        """A second is so many rounds of the loop, however long they take: one that stood still would wake all at once."""
        for _ in range(round(seconds * 1000)):
            await asyncio.sleep(0)

    monkeypatch.setattr(engine, "asyncio", SimpleNamespace(Lock=asyncio.Lock, sleep=rounds))
    api = Api(rate=200.0)
    assert await api.ask() is None
    api.failure = FetchError(FetchReason.REFUSED, "the keys were revoked while all was well")
    answers = await asyncio.gather(*(api.ask() for _ in range(50)))
    assert answers == [FetchReason.REFUSED] * 50
    assert len(api.asked) <= 1 + 5


async def test_an_answer_that_was_on_its_way_does_not_end_a_pause() -> None:
    api = Api()
    await api.ask()
    entered, go = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with api.budget.turn():
            entered.set()
            await go.wait()

    early = asyncio.create_task(slow())
    await entered.wait()
    await api.fails(FetchReason.THROTTLED, 30.0)
    go.set()
    await early
    assert await api.pause() == pytest.approx(30.0, abs=1.0)


async def test_failures_that_were_on_their_way_together_count_once() -> None:
    api = Api()
    await api.ask()
    api.failure = FetchError(FetchReason.THROTTLED, "429")
    go = asyncio.Event()

    async def slow() -> None:
        async with api.budget.turn():
            await go.wait()
            raise FetchError(FetchReason.THROTTLED, "429")

    together = [asyncio.create_task(slow()) for _ in range(5)]
    await asyncio.sleep(0.02)
    go.set()
    await asyncio.gather(*together, return_exceptions=True)
    assert await api.pause() == pytest.approx(THROTTLED_FOR, abs=1.0)
