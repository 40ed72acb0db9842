"""The suite can fail: each sink here has one fault, and the test that is there for it finds it."""
# ruff: noqa: ARG002 - most of these ignore what they are given

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import ClassVar, Self

import pytest
from pydantic import BaseModel, SecretStr

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Kind
from notifier.domain.plain_text import json_line
from notifier.domain.render import payload
from notifier.sinks.conformance import HOSTILE, Behaviour, Received, Receiver, SinkConformance
from notifier.sinks.contract import SinkSettings, Surroundings

SECRET = "canary-token"
HUNG = asyncio.Event  # a fresh one is never set


class Settings(SinkSettings):
    token: SecretStr


class Good:
    """Writes lines into its receiver's memory; what a faulty one does differently is its one method."""

    settings_class: ClassVar[type[BaseModel]] = Settings
    receiver: ClassVar[Receiver]

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
        if self.receiver.behaviour is Behaviour.FAILS:
            raise DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "busy")
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
            sink.receiver = Receiver({"token": SECRET})
            yield sink.receiver

    return Suite()


Check = Callable[[SinkConformance, pytest.LogCaptureFixture], Awaitable[None]]
CHECKS: dict[str, Check] = {
    "failure": lambda checked, _: checked.test_a_failure_is_raised_and_the_next_message_is_delivered(),
    "mark": lambda checked, _: checked.test_what_is_no_news_says_so("DRILL"),
    "kinds": lambda checked, _: checked.test_delivers_every_kind(Kind.STAGE_FAILED),
    "lines": lambda checked, _: checked.test_hostile_text_is_delivered_as_one_message_or_refused(HOSTILE["CRLF"]),
    "controls": lambda checked, _: checked.test_hostile_text_is_delivered_as_one_message_or_refused(HOSTILE["ANSI"]),
    "surrogates": lambda checked, _: checked.test_hostile_text_is_delivered_as_one_message_or_refused(HOSTILE["lone surrogates"]),
    "identity": lambda checked, _: checked.test_a_repeat_has_the_identity_of_the_first(),
    "receipt": lambda checked, _: checked.test_a_strange_receipt_of_the_message_before_is_survived(),
    "cancel": lambda checked, _: checked.test_cancelling_leaves_nothing_running(),
    "at once": lambda checked, _: checked.test_messages_may_be_sent_at_once(),
    "secrets": lambda checked, caplog: checked.test_secrets_are_never_shown(caplog),
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
    (TakesAnySetting, "settings"),
    (EchoesSettings, "settings"),
]


@pytest.mark.parametrize("check", CHECKS)
async def test_a_good_sink_passes(check: str, caplog: pytest.LogCaptureFixture) -> None:
    await CHECKS[check](suite(Good), caplog)


async def test_a_sink_may_refuse_what_it_cannot_say() -> None:
    await suite(RefusesOddText).test_hostile_text_is_delivered_as_one_message_or_refused(HOSTILE["ANSI"])


@pytest.mark.parametrize(("faulty", "check"), FAULTS, ids=[f"{faulty.__name__}-{check}" for faulty, check in FAULTS])
async def test_each_fault_is_found(faulty: type[Good], check: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception, DeliveryError, RuntimeError, KeyError, UnicodeEncodeError)):
        await CHECKS[check](suite(faulty), caplog)
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()  # what the faulty ones left behind


def test_every_check_finds_a_fault() -> None:
    assert {check for _, check in FAULTS} == set(CHECKS)
    written = {name for name in vars(SinkConformance) if name.startswith("test_")}
    called = {name for check in CHECKS.values() for name in check.__code__.co_names if name.startswith("test_")}
    assert called == written
