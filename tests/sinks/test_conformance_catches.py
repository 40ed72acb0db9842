"""The suite can fail: each sink here has one fault, and the test that is there for it finds it."""
# ruff: noqa: ARG002 - most of these ignore what they are given

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Self

import aiohttp
import pytest
from pydantic import BaseModel, SecretStr

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Event, Kind
from notifier.domain.plain_text import json_line
from notifier.domain.render import payload
from notifier.sinks import conformance, registry
from notifier.sinks.conformance import ALONG, HOSTILE, Behaviour, Received, Receiver, SinkConformance
from notifier.sinks.contract import SinkSettings, Surroundings

SECRET = "canary-token"
HUNG = asyncio.Event  # a fresh one is never set
OVER = threading.Event()
"""Frees the thread that a faulty sink left at work."""

Captures = tuple[pytest.LogCaptureFixture, pytest.CaptureFixture[str]]
FOUND = (
    *(AssertionError, pytest.fail.Exception, DeliveryError, RuntimeError, KeyError, UnicodeEncodeError, TypeError),
    *(OSError, aiohttp.ClientError, registry._Unusable),
)
"""What a test of the suite fails with: its own words, or what the sink raised."""


class Settings(SinkSettings):
    token: SecretStr


class Good:
    """Writes lines into its receiver's memory; what a faulty one does differently is its one method."""

    settings_class: ClassVar[type[BaseModel]] = Settings
    receiver: ClassVar[Receiver]
    gone: ClassVar[bool] = False
    """Whether the receiver is stopped."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self.settings = settings
        self.name = surroundings.name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    async def send(self, message: Message, last: Receipt | None) -> Receipt:
        return await self.deliver(message, json_line({**payload(message.event), "mark": message.mark}), message.event.id)

    async def deliver(self, message: Message, line: str, identity: str) -> Receipt:
        await asyncio.sleep(0)
        if self.gone:
            raise DeliveryError(Outcome.RETRY, DeliveryReason.NETWORK, "nobody listens")
        self.receiver.offered += 1
        if self.receiver.behaviour is Behaviour.FAILS:
            raise DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "busy")
        if self.receiver.behaviour is Behaviour.DROPS:
            raise DeliveryError(Outcome.UNCERTAIN, DeliveryReason.NETWORK, "the connection broke")
        if self.receiver.behaviour is Behaviour.HANGS:
            await HUNG().wait()
        self.receiver.received += [Received(part, identity) for part in line.splitlines()]
        return Receipt()


class Swallows(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        try:
            return await super().send(message, last)
        except DeliveryError:
            return Receipt()


class Crashes(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        try:
            return await super().send(message, last)
        except DeliveryError:
            raise RuntimeError("busy") from None


class Sulks(Good):
    failed = False

    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        if self.failed:
            raise DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "still busy")
        self.failed = self.receiver.behaviour is Behaviour.FAILS
        return await super().send(message, last)


class ForgetsTheMark(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        return await self.deliver(message, json_line(payload(message.event)), message.event.id)


class ForgetsStages(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        return Receipt() if message.event.stage else await super().send(message, last)


class TrustsText(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        return await self.deliver(message, f"{message.mark}: {message.title}: {message.summary}", message.event.id)


class RefusesOddText(Good):
    outcome = Outcome.REJECTED

    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        if not message.event.cluster.name.isprintable():
            raise DeliveryError(self.outcome, DeliveryReason.INVALID, "odd text")
        return await super().send(message, last)


class RetriesOddText(RefusesOddText):
    outcome = Outcome.RETRY


class NewIdentities(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        return await self.deliver(message, message.title, f"{message.id}/{message.attempt}")


class TrustsTheReceipt(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        if last:
            return Receipt({"ts": last.fields["ts"]})
        return await super().send(message, last)


class CannotBeCancelled(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        return await asyncio.shield(asyncio.ensure_future(super().send(message, last)))


class OneAtATime(Good):
    busy = False

    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        if self.busy:
            raise DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "one at a time")
        self.busy = True
        try:
            return await super().send(message, last)
        finally:
            self.busy = False


class Logs(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        logging.getLogger("acme").debug("token %s", self.settings.token.get_secret_value())
        return await super().send(message, last)


class ShowsItself(Good):
    def __repr__(self) -> str:  # type: ignore[explicit-override]
        return f"ShowsItself({self.settings.token.get_secret_value()})"


class ChainsItsCause(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        try:
            return await super().send(message, last)
        except DeliveryError as error:
            cause = OSError(f"https://example.test/{self.settings.token.get_secret_value()}")
            raise error from cause


class Prints(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        print(self.settings.token.get_secret_value())  # noqa: T201 - this is the fault
        return await super().send(message, last)


class QuotesTheReceiver(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        try:
            return await super().send(message, last)
        except DeliveryError as error:
            echoed = f"503: unknown token {self.settings.token.get_secret_value()}"
            raise DeliveryError(error.outcome, error.reason, echoed) from None


class ChecksAloud(Good):
    async def check(self) -> list[str]:
        return [f"{self.settings.token.get_secret_value()} is refused"]


class GivesUpAtOnce(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        try:
            return await super().send(message, last)
        except DeliveryError as error:
            raise DeliveryError(Outcome.REJECTED, DeliveryReason.INVALID, error.detail) from None


class TriesThrice(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        for _ in range(2):
            with suppress(DeliveryError):
                return await super().send(message, last)
        return await super().send(message, last)


class MeansSurelyNot(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        try:
            return await super().send(message, last)
        except DeliveryError as error:
            raise DeliveryError(Outcome.RETRY, error.reason, error.detail) from None


class CatchesNothing(Good):
    """As who posts without a try."""

    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        try:
            return await super().send(message, last)
        except DeliveryError as error:
            if error.reason is DeliveryReason.NETWORK:
                raise aiohttp.ClientConnectionError from None
            raise


class OpensAConnection(Good):
    async def __aenter__(self) -> Self:  # type: ignore[explicit-override]
        if self.gone:
            raise ConnectionRefusedError
        return self


class ChecksNobody(Good):
    async def check(self) -> list[str]:
        if self.gone:
            raise DeliveryError(Outcome.RETRY, DeliveryReason.NETWORK, "nobody listens")
        return []


class SleepsInTheLoop(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        for _ in range(50):  # Bit by bit, so that a machine that is held up does not take it for over.
            time.sleep(0.01)  # noqa: ASYNC251 - this is the fault
        return await super().send(message, last)


class GoesOnInAThread(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        if self.receiver.behaviour is Behaviour.HANGS:
            await asyncio.to_thread(OVER.wait, 60)
        return await super().send(message, last)


class PlainSettings(SinkSettings):
    token: str


class TakesAPlainKey(Good):
    settings_class = PlainSettings

    def __init__(self, settings: Any, surroundings: Surroundings) -> None:
        super().__init__(Settings(token=SecretStr(settings.token)), surroundings)


class TwoSecrets(Settings):
    other: SecretStr = SecretStr("never-named")


class HasASecretNobodyNames(Good):
    settings_class = TwoSecrets


def stumbling(over: str) -> type[Good]:
    class Stumbles(Good):
        async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
            if getattr(message, over):
                raise KeyError(over)
            return await super().send(message, last)

    return Stumbles


class Broods(Good):
    def patience(self, event: Event) -> float | None:
        raise KeyError(event.kind)


class BroodsInText(Good):
    def patience(self, event: Event) -> Any:
        return "10s"


class BroodsForLater(Good):
    async def patience(self, event: Event) -> float | None:
        return None


class ChecksInText(Good):
    async def check(self) -> Any:
        return "all is well"


class KeepsNothing(Good):
    async def keep(self, receipts: Sequence[Receipt]) -> None:
        raise KeyError("keep")


class DialsAtOnce(Good):
    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        socket.getaddrinfo("localhost", 80)


class OpensItsOwnSession(Good):
    async def __aenter__(self) -> Self:  # type: ignore[explicit-override]
        self.session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:  # type: ignore[explicit-override]
        await self.session.close()


class LeavesATask(Good):
    async def __aenter__(self) -> Self:  # type: ignore[explicit-override]
        self.beating = asyncio.create_task(HUNG().wait())
        return self


class ReturnsAnArchive(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        await super().send(message, last)
        return Receipt({"all": "x" * 10_000_000})


class RemembersWhatItSaid(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        await super().send(message, last)
        return Receipt({"said": message.summary, "before": (last or Receipt()).fields.get("said", "")})


class AchievesAnArchive(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        try:
            return await super().send(message, last)
        except DeliveryError as error:
            raise DeliveryError(error.outcome, error.reason, error.detail, receipt=Receipt({"all": "x" * 100_000})) from None


class ReturnsNumbers(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        await super().send(message, last)
        return Receipt({"ts": 17})  # type: ignore[dict-item]


class LosesItself(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        try:
            return await super().send(message, last)
        except DeliveryError as error:
            raise DeliveryError(error.outcome, error.reason, "x" * 1_000_000, retry_after=float("inf")) from None


class TurnsTextRound(Good):
    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # type: ignore[explicit-override]
        line = json.dumps({"name": message.event.cluster.name}, ensure_ascii=False)
        return await self.deliver(message, line, message.event.id)


class NoCoroutine(Good):
    def send(self, message: Message, last: Receipt | None) -> Any:  # type: ignore[explicit-override]
        return super().send(message, last)


class LooseSettings(BaseModel):
    token: SecretStr


class TakesAnySetting(Good):
    settings_class = LooseSettings


class EchoingSettings(BaseModel, extra="forbid"):
    token: SecretStr


class EchoesSettings(Good):
    settings_class = EchoingSettings


def suite(sink: type[Good]) -> SinkConformance:
    class Suite(SinkConformance):
        sink_class = sink
        settings_class = sink.settings_class  # type: ignore[assignment]
        secrets = (SECRET,)

        @asynccontextmanager
        async def receiver(self) -> AsyncIterator[Receiver]:  # type: ignore[explicit-override]
            sink.receiver, sink.gone = Receiver({"token": SECRET}), False
            yield sink.receiver
            sink.gone = True

    return Suite()


Check = Callable[[SinkConformance, Captures], Awaitable[None]]
CHECKS: dict[str, Check] = {
    "failure": lambda checked, _: checked.test_a_failure_is_raised_and_the_next_message_is_delivered(),
    "mark": lambda checked, _: checked.test_what_is_no_news_says_so("DRILL"),
    "kinds": lambda checked, _: checked.test_delivers_every_kind(Kind.STAGE_FAILED),
    "lines": lambda checked, _: checked.test_hostile_text_is_delivered_as_one_message_or_refused(HOSTILE["CRLF"]),
    "controls": lambda checked, _: checked.test_hostile_text_is_delivered_as_one_message_or_refused(HOSTILE["ANSI"]),
    "surrogates": lambda checked, _: checked.test_hostile_text_is_delivered_as_one_message_or_refused(HOSTILE["lone surrogates"]),
    "identity": lambda checked, _: checked.test_a_repeat_has_the_identity_of_the_first(),
    "receipt": lambda checked, _: checked.test_a_strange_receipt_of_the_message_before_is_survived(),
    "small receipts": lambda checked, _: checked.test_receipts_stay_small(),
    "cancel": lambda checked, _: checked.test_cancelling_leaves_nothing_running(),
    "at once": lambda checked, _: checked.test_messages_may_be_sent_at_once(),
    "secrets": lambda checked, captures: checked.test_secrets_are_never_shown(*captures),
    **{
        f"along: {what}": partial(lambda what, checked, _: checked.test_what_may_come_along_is_survived(what), what)
        for what in ALONG
    },
    "one try": lambda checked, _: checked.test_one_send_is_one_try(),
    "lost answer": lambda checked, _: checked.test_an_answer_that_is_lost_leaves_it_uncertain(),
    "nobody there": lambda checked, _: checked.test_nobody_there_is_a_failure_like_any_other(),
    "besides": lambda checked, _: checked.test_what_it_offers_besides_keeps_its_word(),
    "closing": lambda checked, _: checked.test_closing_leaves_nothing_running(),
    "building": lambda checked, _: checked.test_it_is_built_without_io_and_opens_no_session_of_its_own(),
    "standstill": lambda checked, _: checked.test_sending_holds_up_nobody(),
    "named secrets": lambda checked, _: checked.test_every_secret_is_named(),
    "registry": lambda checked, _: checked.test_the_program_takes_it(),
    "bidi": lambda checked, _: checked.test_hostile_text_is_delivered_as_one_message_or_refused(HOSTILE["bidi"]),
    "settings": lambda checked, _: checked.test_settings_refuse_what_they_do_not_know_and_repeat_no_value(),
}
FAULTS = [
    (Swallows, "failure"),
    (Crashes, "failure"),
    (Sulks, "failure"),
    (ForgetsTheMark, "mark"),
    (ForgetsStages, "kinds"),
    (TrustsText, "lines"),
    (TrustsText, "controls"),
    (TrustsText, "surrogates"),
    (RetriesOddText, "controls"),
    (NewIdentities, "identity"),
    (TrustsTheReceipt, "receipt"),
    (CannotBeCancelled, "cancel"),
    (OneAtATime, "at once"),
    (Logs, "secrets"),
    (ShowsItself, "secrets"),
    (ChainsItsCause, "secrets"),
    (Prints, "secrets"),
    (QuotesTheReceiver, "secrets"),
    (ChecksAloud, "secrets"),
    (GivesUpAtOnce, "failure"),
    (LosesItself, "failure"),
    (TriesThrice, "one try"),
    (MeansSurelyNot, "lost answer"),
    (CatchesNothing, "lost answer"),
    (CatchesNothing, "nobody there"),
    (OpensAConnection, "nobody there"),
    (ChecksNobody, "nobody there"),
    (SleepsInTheLoop, "standstill"),
    (GoesOnInAThread, "cancel"),
    (TakesAPlainKey, "named secrets"),
    (HasASecretNobodyNames, "named secrets"),
    (stumbling("earlier"), "along: earlier"),
    (stumbling("late_by"), "along: late"),
    (stumbling("progress"), "along: progress"),
    (stumbling("reminder"), "along: reminder"),
    (stumbling("report"), "along: report"),
    (stumbling("report"), "along: report without a picture"),
    (stumbling("skipped"), "along: skipped"),
    (Broods, "besides"),
    (BroodsInText, "besides"),
    (BroodsForLater, "besides"),
    (ChecksInText, "besides"),
    (KeepsNothing, "besides"),
    (DialsAtOnce, "building"),
    (OpensItsOwnSession, "building"),
    (LeavesATask, "closing"),
    (ReturnsAnArchive, "kinds"),
    (ReturnsNumbers, "kinds"),
    (RemembersWhatItSaid, "small receipts"),
    (AchievesAnArchive, "failure"),
    (TurnsTextRound, "bidi"),
    (NoCoroutine, "registry"),
    (TakesAnySetting, "registry"),
    (TakesAnySetting, "settings"),
    (EchoesSettings, "settings"),
]


@pytest.fixture
def captures(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Captures:
    return caplog, capfd


@pytest.mark.parametrize("check", CHECKS)
async def test_a_good_sink_passes(check: str, captures: Captures) -> None:
    await CHECKS[check](suite(Good), captures)


async def test_a_sink_may_refuse_what_it_cannot_say() -> None:
    await suite(RefusesOddText).test_hostile_text_is_delivered_as_one_message_or_refused(HOSTILE["ANSI"])


async def test_a_sink_may_say_why_a_thread_of_it_goes_on() -> None:
    checked = suite(GoesOnInAThread)
    checked.goes_on = "what it calls cannot be broken off"  # type: ignore[misc]
    await checked.test_cancelling_leaves_nothing_running()
    OVER.set()


@pytest.mark.parametrize(("faulty", "check"), FAULTS, ids=[f"{faulty.__name__}-{check}" for faulty, check in FAULTS])
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")  # the fault of one of them
async def test_each_fault_is_found(faulty: type[Good], check: str, captures: Captures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "ENDING", 0.2)
    monkeypatch.setattr(conformance, "STANDSTILL", 0.1)  # A thread on a busy machine beats less often than it would.
    OVER.clear()
    with pytest.raises(FOUND):
        await CHECKS[check](suite(faulty), captures)
    OVER.set()
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()  # what the faulty ones left behind


def test_every_check_finds_a_fault() -> None:
    assert {check for _, check in FAULTS} == set(CHECKS)
    written = {name for name in vars(SinkConformance) if name.startswith("test_")}
    codes = [(check.func if isinstance(check, partial) else check).__code__ for check in CHECKS.values()]
    called = {name for code in codes for name in code.co_names if name.startswith("test_")}
    assert called == written
