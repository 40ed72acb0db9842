"""What every sink must do, as tests: ours pass them, and a stranger's sink imports them.

Derive a class whose name begins with ``Test`` from `SinkConformance`, say what valid settings are, and bring a receiver that can
be told how to behave; pytest does the rest (``pytest`` and ``pytest-asyncio`` must be installed). With
``pytest_plugins = ["notifier.sinks.conformance"]`` in ``conftest.py`` its failures are readable. ``docs/how-to/write-a-sink.md``
shows all of it.
"""
# ruff: noqa: S101 - assert is how a test speaks

import asyncio
import logging
import traceback
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar

import aiohttp
import pytest
from pydantic import ValidationError

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Kind
from notifier.domain.render import render
from notifier.domain.samples import sample, samples
from notifier.outbound import open_session
from notifier.sinks.contract import Sink, SinkSettings, Surroundings

PATIENCE = 30.0
"""Seconds after which a sink that neither delivers nor fails has failed the test."""

AT_ONCE = 8
"""Messages that are sent side by side."""

HOSTILE: Mapping[str, str] = {
    "NUL": "a\x00b",
    "ANSI": "\x1b[2J\x1b]0;owned\x07",
    "C1 controls": "\x9b31m\x85",
    "bidi": "\u202egnp.exe\u2066",
    "CRLF": "a\r\nX-Injected: 1\r\n\r\nb",
    "line separators": "a\u2028b\u2029c\x0bd\x0ce",
    "Slack mention": "<!channel> <@U1> <https://evil.test|ok>",
    "HTML": '"><img src=x onerror=alert(1)>',
    "templates": "{{7*7}} ${HOME} %s {0}",
    "lone surrogates": "\ud800 and \udfff",
    "long": "x" * 10_000,
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "emoji": "\U0001f469\u200d\U0001f692\U0001f3fd",
    "only spaces": " \t ",
    "empty": "",
}
"""Text that has broken a format, a terminal or a parser before; it comes as names, labels and messages."""


class Behaviour(StrEnum):
    """What the receiver does from now on."""

    ACCEPTS = "accepts"
    FAILS = "fails"
    """It answers, and the answer is a failure that may pass (HTTP 503, a stream that cannot be written to)."""
    HANGS = "hangs"
    """It reads and never answers."""


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it arrived.

    Attributes:
        text: All that a person or a program would read of it, decoded.
        identity: What the receiver tells a repeat by; None where the format has nothing of the kind.
    """

    text: str
    identity: str | None = None


@dataclass(slots=True)
class Receiver:
    """A receiver that runs: the author's adapter appends to ``received`` what was accepted, and obeys ``behaviour``.

    Attributes:
        settings: Settings of the sink that make it talk to this receiver, as a configuration would give them.
        received: One entry a message, cut as the receiver's own framing cuts them.
    """

    settings: Mapping[str, object]
    behaviour: Behaviour = Behaviour.ACCEPTS
    received: list[Received] = field(default_factory=list)


@pytest.mark.asyncio
class SinkConformance(ABC):
    """The suite. ``secrets`` are the values in the receiver's ``settings`` that nobody may ever see in a log, error or repr."""

    sink_class: ClassVar[type[Sink]]
    settings_class: ClassVar[type[SinkSettings]]
    secrets: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def receiver(self) -> AbstractAsyncContextManager[Receiver]:
        """Start a receiver on this machine that accepts; leaving the context stops it, also while a message hangs."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Sink, Receiver]]:
        """The sink, opened, and its receiver."""
        async with self.receiver() as receiver, open_session() as session:
            settings = self.settings_class.model_validate(dict(receiver.settings))
            async with self.sink_class(settings, self.surroundings(session)) as sink:
                yield sink, receiver

    def surroundings(self, session: aiohttp.ClientSession) -> Surroundings:
        """What the sink is lent; override it to lend more, or paces that do not make a test wait."""
        return Surroundings("conformance", session)

    @pytest.mark.parametrize("kind", list(Kind), ids=str)
    async def test_delivers_every_kind(self, kind: Kind) -> None:
        """Each kind arrives once, and the receipt is what can be stored."""
        async with self.running() as (sink, receiver):
            receipt = await _send(sink, sample(kind, mark=None))
            assert len(receiver.received) == 1
            assert all(isinstance(part, str) for pair in receipt.fields.items() for part in pair)

    async def test_a_repeat_has_the_identity_of_the_first(self) -> None:
        """A second try is told by the same identity, another event by another."""
        first, other = sample(Kind.TASK_FAILED, mark=None), sample(Kind.TASK_STARTED, mark=None)
        async with self.running() as (sink, receiver):
            receipt = await _send(sink, first)
            await _send(sink, replace(first, attempt=2, may_repeat=True), receipt)
            await _send(sink, other, receipt)
        identities = [received.identity for received in receiver.received]
        if identities[0] is None:
            pytest.skip("the format has no identity")
        assert identities[0] == identities[1] != identities[2]

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
    async def test_hostile_text_is_delivered_as_one_message_or_refused(self, text: str) -> None:
        """Nothing a name or message may hold breaks the framing, reaches a terminal, or raises anything but `DeliveryError`."""
        async with self.running() as (sink, receiver):
            accepted, refusals = 0, []
            for message in hostile(text):
                try:
                    await _send(sink, message)
                    accepted += 1
                except DeliveryError as error:
                    refusals.append(error)
                assert len(receiver.received) == accepted
            assert {error.outcome for error in refusals} <= {Outcome.REJECTED}
            _assert_harmless(receiver.received)

    @pytest.mark.parametrize("mark", ["TEST", "DRILL", "REPLAY"])
    async def test_what_is_no_news_says_so(self, mark: str) -> None:
        """The mark is in what arrives; in earnest there is none."""
        async with self.running() as (sink, receiver):
            await _send(sink, sample(Kind.TASK_FAILED, mark=mark))
            await _send(sink, sample(Kind.TASK_FAILED, mark=None))
        marked, earnest = receiver.received
        assert mark in marked.text
        assert mark not in earnest.text

    async def test_a_failure_is_raised_and_the_next_message_is_delivered(self) -> None:
        """A refusal is never a receipt and never another exception; it leaves the sink fit for work."""
        async with self.running() as (sink, receiver):
            receiver.behaviour = Behaviour.FAILS
            error = await _failure(sink, sample(Kind.TASK_FAILED))
            assert isinstance(error.outcome, Outcome)
            assert isinstance(error.reason, DeliveryReason)
            assert isinstance(error.scope, Scope)
            assert error.detail.isprintable()
            assert not receiver.received
            receiver.behaviour = Behaviour.ACCEPTS
            await _send(sink, sample(Kind.TASK_FAILED))
            assert receiver.received

    async def test_cancelling_leaves_nothing_running(self) -> None:
        """The engine cancels what takes too long; no task goes on behind its back."""
        async with self.running() as (sink, receiver):
            await _send(sink, sample(Kind.TASK_STARTED))
            receiver.behaviour = Behaviour.HANGS
            sending = asyncio.create_task(sink.send(sample(Kind.TASK_FAILED), None))
            with _descendants(sending) as family:
                done, _ = await asyncio.wait({sending}, timeout=0.2)
                assert not done, "the receiver hangs, yet send ended"
                sending.cancel()
                _, left = await asyncio.wait(family, timeout=1)
            assert sending.cancelled()
            assert not left

    async def test_messages_may_be_sent_at_once(self) -> None:
        """Lanes of one sink run side by side."""
        messages = samples(mark=None)[:AT_ONCE]
        async with self.running() as (sink, receiver):
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(sink.send(message, None) for message in messages))
            assert len(receiver.received) == len(messages)

    async def test_a_strange_receipt_of_the_message_before_is_survived(self) -> None:
        """An older version of the sink may have written it."""
        async with self.running() as (sink, receiver):
            await _send(sink, sample(Kind.TASK_FAILED), Receipt({"of": "another version"}))
            assert len(receiver.received) == 1

    async def test_secrets_are_never_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        """Not by repr or str, not by an error or its traceback, not in a log at DEBUG."""
        caplog.set_level(logging.DEBUG)
        async with self.running() as (sink, receiver):
            settings = self.settings_class.model_validate(dict(receiver.settings))
            shown = [repr(settings), str(settings), repr(sink), str(sink), settings.model_dump_json()]
            shown.append(repr(await _send(sink, sample(Kind.TASK_STARTED))))
            receiver.behaviour = Behaviour.FAILS
            error = await _failure(sink, sample(Kind.TASK_FAILED))
            shown += [repr(error), str(error), *traceback.format_exception(error)]
        shown += [caplog.text, *(repr(record.__dict__) for record in caplog.records)]
        for secret in self.secrets:
            assert secret not in "\n".join(shown)

    async def test_settings_refuse_what_they_do_not_know_and_repeat_no_value(self) -> None:
        """A typing error in a key is an error; no value is echoed, for it may be a secret in the wrong place."""
        async with self.receiver() as receiver:
            settings = dict(receiver.settings)
        with pytest.raises(ValidationError) as unknown:
            self.settings_class.model_validate({**settings, "no_such_setting": "canary-value"})
        assert "no_such_setting" in str(unknown.value)
        assert "canary-value" not in str(unknown.value)
        for key in settings:
            with pytest.raises(ValidationError) as wrong:
                self.settings_class.model_validate({**settings, key: {"canary-key": ["canary-value"]}})
            assert "canary-value" not in str(wrong.value)


def hostile(text: str) -> Iterator[Message]:
    """Each sample with ``text`` wherever a stranger's text can come in."""
    for message in samples():
        event = message.event
        cluster = replace(event.cluster, name=text, labels={"team": text, text: "x"}, project=text)
        task = event.task and replace(
            event.task, target=text, fail_message=text, nodes=replace(event.task.nodes, completed=(text,), in_flight=(text, text))
        )
        stage = event.stage and replace(event.stage, name=text, description=text)
        outage = event.outage and replace(event.outage, detail=text)
        node = None if event.node is None else text
        spoilt = replace(event, cluster=cluster, task=task, stage=stage, outage=outage, node=node)
        yield render(
            spoilt, delivery_id=message.id, attempt=1, may_repeat=False, skipped=0, now=event.observed_at, mark=message.mark
        )


@contextmanager
def _descendants(ancestor: asyncio.Task[Receipt]) -> Iterator[set[asyncio.Task[Any]]]:
    """The task and all that it and its descendants start while the context lasts."""
    family: set[asyncio.Task[Any]] = {ancestor}

    def remember(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=loop, **options)
        if asyncio.current_task() in family:
            family.add(task)
        return task

    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(remember)
    try:
        yield family
    finally:
        loop.set_task_factory(before)


async def _send(sink: Sink, message: Message, last: Receipt | None = None) -> Receipt:
    async with asyncio.timeout(PATIENCE):
        receipt = await sink.send(message, last)
    assert isinstance(receipt, Receipt)
    return receipt


async def _failure(sink: Sink, message: Message) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await _send(sink, message)
    return caught.value


def _assert_harmless(received: list[Received]) -> None:
    for one in received:
        one.text.encode()  # a lone surrogate cannot be encoded
        controls = {character for character in one.text if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0}  # noqa: PLR2004
        assert controls <= {"\n", "\r", "\t"}
