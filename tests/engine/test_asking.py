"""What check --online hears of a sink, whatever the sink's check does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

import pytest
from engine_scripts import Sink, fails

from notifier.domain.errors import DeliveryError
from notifier.engine import asking, attempt
from notifier.engine.asking import asked


class Checked(Sink):
    """Answers by a script."""

    answer: Callable[[], Awaitable[object]]

    async def check(self) -> object:
        return await self.answer()


def giving(answer: object) -> Callable[[], Awaitable[object]]:
    async def give() -> object:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return give


async def heedless() -> object:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LONGEST", 0.1)
    monkeypatch.setattr(attempt, "STUBBORN", 0.05)


async def said(answer: Callable[[], Awaitable[object]]) -> list[str] | None:
    sink = Checked()
    sink.answer = answer
    return await asked(lambda: sink, 5.0)


@pytest.mark.parametrize(
    ("answer", "problems"),
    [
        ([], []),
        (["the key is \x1b[31m wrong\nreally"], ["the key is \ufffd[31m wrong really"]),
        (["x" * 10_000], ["x" * 499 + "…"]),
        (None, ["its check gave back no list of texts"]),
        ("wrong", ["its check gave back no list of texts"]),
        ([1], ["its check gave back no list of texts"]),
        (KeyError("canary"), ["its check failed: the sink raised KeyError"]),
        (SystemExit("canary"), ["its check failed: the sink raised SystemExit"]),
        (fails(), ["its check failed: as the script says"]),
        (
            DeliveryError("later", "server", "canary"),  # type: ignore[arg-type]
            ["its check failed: the sink raised a DeliveryError whose outcome is none of Outcome"],
        ),
    ],
)
async def test_whatever_a_check_does_is_a_line_or_none(answer: object, problems: list[str]) -> None:
    assert await said(giving(answer)) == problems


async def test_a_check_that_hangs_has_a_deadline() -> None:
    assert await said(heedless) == ["its check gave no answer within 0.1 s"]


async def test_a_sink_that_cannot_be_built_or_opened_says_so_and_one_without_a_check_says_nothing() -> None:
    def unbuilt() -> Sink:
        raise RuntimeError("canary")

    class Shut(Sink):
        async def __aenter__(self) -> Self:  # type: ignore[explicit-override]  # Python 3.12 has it
            raise ConnectionRefusedError("canary")

    assert await asked(unbuilt, 5.0) == ["cannot be built: the sink raised RuntimeError"]
    assert await asked(Shut, 5.0) == ["the sink cannot be opened: the sink raised ConnectionRefusedError"]
    assert await asked(Sink, 5.0) is None
