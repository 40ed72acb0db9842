"""One try of a sink, whatever its code does: always a receipt that can be stored or a failure that can, and in time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from secrets import token_hex

import pytest
from engine_scripts import PATIENCE, Sink, eventually, fails

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.samples import samples
from notifier.engine import attempt as engine
from notifier.engine.attempt import attempt
from notifier.sinks.contract import LARGEST_RECEIPT

MESSAGE = samples(datetime.now(UTC), run=token_hex(4))[0]


async def tried(script: Callable[[Message], Awaitable[Receipt]], seconds: float = 5.0) -> Receipt | DeliveryError:
    return await attempt(Sink(script), MESSAGE, None, seconds)


async def failed(script: Callable[[Message], Awaitable[Receipt]], seconds: float = 5.0) -> DeliveryError:
    found = await tried(script, seconds)
    assert isinstance(found, DeliveryError)
    return found


def raising(error: BaseException) -> Callable[[Message], Awaitable[Receipt]]:
    async def raise_it(_: Message) -> Receipt:
        raise error

    return raise_it


def giving(answer: object) -> Callable[[Message], Awaitable[Receipt]]:
    async def give(_: Message) -> Receipt:
        return answer  # type: ignore[return-value]  # wrong on purpose

    return give


async def test_a_receipt_is_given_back() -> None:
    assert await tried(giving(Receipt({"n": "1"}))) == Receipt({"n": "1"})


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (KeyError("xoxb-secret"), "KeyError"),
        (OSError(13, "xoxb-secret"), "PermissionError"),
        (SystemExit("xoxb-secret"), "SystemExit"),
        (BaseException("xoxb-secret"), "BaseException"),
        (asyncio.CancelledError("xoxb-secret"), "CancelledError"),
        (type("A\nB\x1b", (Exception,), {})("xoxb-secret"), "A B\ufffd"),
    ],
)
async def test_what_it_raises_is_told_by_its_name_alone(error: BaseException, name: str) -> None:
    crashes: list[BaseException] = []
    found = await attempt(Sink(raising(error)), MESSAGE, None, 5.0, crashed=crashes.append)
    assert isinstance(found, DeliveryError)
    assert (found.outcome, found.reason, found.detail) == (
        Outcome.UNCERTAIN,
        DeliveryReason.CRASHED,
        f"the sink raised {name}",
    )
    assert [type(crash) for crash in crashes] == [type(error)]


class Hostile(DeliveryError):
    """Has none of its parts."""

    def __init__(self) -> None:
        pass


class Unspeakable:
    spoken = False

    def __str__(self) -> str:  # type: ignore[explicit-override]  # Python 3.12 has it
        if self.spoken:
            raise ValueError("no words")
        self.spoken = True  # The error's own words are made when it is.
        return ""


@pytest.mark.parametrize(
    "wrong",
    [
        DeliveryError("later", DeliveryReason.SERVER, "x"),  # type: ignore[arg-type]
        DeliveryError(Outcome.RETRY, "because", "x"),  # type: ignore[arg-type]
        DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "x", scope="world"),  # type: ignore[arg-type]
        DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "x", retry_after="30"),  # type: ignore[arg-type]
        fails(retry_after=float("inf")),
        fails(retry_after=float("nan")),
        fails(receipt=Receipt({"n": 1})),  # type: ignore[dict-item]
        DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, Unspeakable()),  # type: ignore[arg-type]
        Hostile(),
    ],
)
async def test_a_failure_that_cannot_be_used_is_a_fault_of_the_sink(wrong: DeliveryError) -> None:
    found = await failed(raising(wrong))
    assert (found.outcome, found.reason, found.retry_after) == (Outcome.UNCERTAIN, DeliveryReason.CRASHED, None)


async def test_a_failure_is_made_fit_to_be_kept() -> None:
    loose = DeliveryError("retry", "server", ValueError("two\nlines \x1b[31m \ud800"), scope="sink", retry_after=10**40)  # type: ignore[arg-type]
    found = await failed(raising(loose))
    assert isinstance(found.outcome, Outcome)
    assert isinstance(found.reason, DeliveryReason)
    assert found.scope is Scope.SINK
    assert found.detail == "two lines \ufffd[31m \ufffd"
    assert found.retry_after == engine.LONGEST_PAUSE
    assert (await failed(raising(fails(retry_after=-5)))).retry_after == 0.0


@pytest.mark.parametrize("text", ["x" * 1_000_000, "é" * 1_000_000, "\U0001f600" * 1_000_000])
async def test_a_long_detail_is_cut(text: str) -> None:
    found = await failed(raising(DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, text)))
    assert engine.DETAIL - 8 < len(found.detail.encode()) <= engine.DETAIL
    assert found.detail.endswith("…")


@pytest.mark.parametrize("wrong", [None, True, "thanks", Receipt({"n": 1}), Receipt({"n": "\ud800"}), Receipt(None)])  # type: ignore[dict-item,arg-type]
async def test_what_is_no_receipt_is_not_taken_for_one(wrong: object) -> None:
    assert (await failed(giving(wrong))).reason is DeliveryReason.CRASHED


@pytest.mark.parametrize("fields", [{"a": "x" * LARGEST_RECEIPT}, {"a": "é" * (LARGEST_RECEIPT // 2)}, {"x" * 10**8: ""}])
async def test_a_receipt_that_would_fill_the_store_is_a_fault_of_the_sink(fields: dict[str, str]) -> None:
    words = "the sink gave back a receipt of more than 64 KiB"
    found = await failed(giving(Receipt(fields)))
    assert (found.outcome, found.reason, found.detail) == (Outcome.UNCERTAIN, DeliveryReason.CRASHED, words)
    assert (await failed(raising(fails(receipt=Receipt(fields))))).detail == words


async def test_a_receipt_may_be_of_some_size() -> None:
    receipt = Receipt({"a": "x" * (LARGEST_RECEIPT - 1)})
    assert await tried(giving(receipt)) == receipt


async def test_a_send_that_is_no_coroutine_is_a_fault_of_the_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink()
    monkeypatch.setattr(sink, "send", lambda _message, _last: Receipt())
    found = await attempt(sink, MESSAGE, None, 5.0)
    assert isinstance(found, DeliveryError)
    assert found.reason is DeliveryReason.CRASHED


async def test_a_sink_that_hangs_is_cancelled_and_uncertain() -> None:
    cleaned = asyncio.Event()

    async def hang(_: Message) -> Receipt:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()
        return Receipt()

    found = await failed(hang, seconds=0.05)
    assert (found.outcome, found.reason, found.detail) == (
        Outcome.UNCERTAIN,
        DeliveryReason.TIMEOUT,
        "no answer within 0.05 s",
    )
    assert cleaned.is_set(), "it may clean up"


async def test_a_receipt_that_comes_when_it_is_told_to_stop_counts() -> None:
    async def late(_: Message) -> Receipt:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Receipt({"n": "late"})
        return Receipt()

    assert await tried(late, seconds=0.05) == Receipt({"n": "late"})


async def heedless(_: Message) -> Receipt:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:  # a fault on purpose
            continue


async def deaf(_: Message) -> Receipt:
    for _time in range(5):
        try:
            await asyncio.sleep(3600)
        except BaseException:  # noqa: BLE001, S112 - a fault on purpose
            continue
    return Receipt()


# Python says by itself that a coroutine would not even be closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("stubborn", [heedless, deaf])
async def test_a_sink_that_heeds_no_cancelling_is_closed(
    stubborn: Callable[[Message], Awaitable[Receipt]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "STUBBORN", 0.05)
    found = await failed(stubborn, seconds=0.05)
    assert found.reason is DeliveryReason.TIMEOUT
    await eventually(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == engine.WORK])


# Python says by itself that a coroutine would not even be closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("stubborn", [heedless, deaf])
async def test_whoever_asks_may_be_stopped_whatever_the_sink_does(
    stubborn: Callable[[Message], Awaitable[Receipt]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "STUBBORN", 0.05)
    asking = asyncio.create_task(tried(stubborn, seconds=3600))
    await asyncio.sleep(0.01)
    began = time.monotonic()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert time.monotonic() - began < PATIENCE
    await eventually(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == engine.WORK])
