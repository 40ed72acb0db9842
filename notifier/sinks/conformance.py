"""What every sink must do, as tests: ours pass them, and a stranger's sink imports them. Long, because it is one suite.

Derive a class whose name begins with ``Test`` from `SinkConformance`, say what valid settings are, and bring a receiver that can
be told how to behave; pytest does the rest (``pytest`` and ``pytest-asyncio`` must be installed). With
``pytest_plugins = ["notifier.sinks.conformance"]`` in ``conftest.py`` its failures are readable. ``docs/how-to/write-a-sink.md``
shows all of it.
"""
# ruff: noqa: S101 - assert is how a test speaks

import asyncio
import base64
import logging
import re
import socket
import subprocess
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from math import isfinite
from types import ModuleType
from typing import Any, ClassVar, NoReturn
from unittest.mock import patch

import aiohttp
import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt, Report
from notifier.domain.model import Kind
from notifier.domain.render import render
from notifier.domain.samples import sample, samples
from notifier.outbound import open_session
from notifier.sinks import registry
from notifier.sinks.contract import KEEP, Checkable, Ending, Lasting, Patient, Sink, SinkSettings, Surroundings

PATIENCE = 30.0
"""Seconds after which a sink that neither delivers nor fails has failed the test."""

ENDING = 30.0
"""Seconds after which a task that a sink has left behind is taken for one that ends with nobody: a busy machine may be late."""

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")
"""A whole PNG."""

SVG = '<svg xmlns="http://www.w3.org/2000/svg"/>'

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


ALONG: Mapping[str, Mapping[str, Any]] = {
    "earlier": {"earlier": tuple(sample(kind).event for kind in (Kind.TASK_STARTED, Kind.NODE_COMPLETED, Kind.TASK_STALLED))},
    "late": {"late_by": timedelta(hours=7)},
    "progress": {"progress": Receipt({"of": "another version"}), "attempt": 3, "may_repeat": True},
    "reminder": {"reminder": 2},
    "report": {
        "report": Report("sample", '<svg xmlns="http://www.w3.org/2000/svg"/>', "<!doctype html><title>sample</title>", PIXEL)
    },
    "report without a picture": {"report": Report("sample", '<svg xmlns="http://www.w3.org/2000/svg"/>', "<!doctype html>")},
    "skipped": {"skipped": 3},
}
"""What a message has only now and then, so that no sample does."""

DETAIL = 512
"""Bytes of a failure's detail: it stands in a log line, a row and a page."""

RECEIPT = 16 * 1024
"""Bytes of a receipt; it is stored with the lane, and read with every message. The program takes some more, `LARGEST_RECEIPT`."""

STANDSTILL = 0.3
"""Seconds for which a sink may hold up the whole program."""

BEAT = 0.01

BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn text round in front of its reader."""

SECRETIVE = re.compile(r"(?:^|_)(?:api_?key|key|token|secret|password|passphrase|credentials?)$", re.IGNORECASE)
"""What a setting is named whose value is a secret, as a rule."""


class Behaviour(StrEnum):
    """What the receiver does from now on."""

    ACCEPTS = "accepts"
    FAILS = "fails"
    """It answers, and the answer is a failure that may pass (HTTP 503, a stream that cannot be written to)."""
    HANGS = "hangs"
    """It reads and never answers."""
    DROPS = "drops"
    """It reads, and breaks the connection off without an answer; nobody can know whether it took the message."""


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
        offered: How many messages it was offered, whatever it made of them; the adapter counts.
    """

    settings: Mapping[str, object]
    behaviour: Behaviour = Behaviour.ACCEPTS
    offered: int = 0
    received: list[Received] = field(default_factory=list)


@pytest.mark.asyncio
class SinkConformance(ABC):
    """The suite.

    Attributes:
        secrets: The values in the receiver's ``settings``, or parts of them, that nobody may ever see in a log, error or repr.
        no_secrets: Settings that are named like a secret and are none.
        remote: Whether the receiver lies behind a connection, so that nobody hears the sink once it is stopped.
        goes_on: Why a thread of the sink works on after ``send`` was cancelled, if it does.
    """

    sink_class: ClassVar[type[Sink]]
    settings_class: ClassVar[type[SinkSettings]]
    secrets: ClassVar[tuple[str, ...]] = ()
    no_secrets: ClassVar[tuple[str, ...]] = ()
    remote: ClassVar[bool] = True
    goes_on: ClassVar[str] = ""

    @abstractmethod
    def receiver(self) -> AbstractAsyncContextManager[Receiver]:
        """Start a receiver on this machine that accepts; leaving the context stops it, also while a message hangs."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Sink, Receiver]]:
        """The sink, opened, and its receiver."""
        async with self.receiver() as receiver, open_session() as session, self.built(receiver, session) as sink:
            yield sink, receiver

    def built(self, receiver: Receiver, session: aiohttp.ClientSession) -> Sink:
        """A sink that talks to this receiver; it is still to be opened."""
        return self.sink_class(self.settings_class.model_validate(dict(receiver.settings)), self.surroundings(session))

    def surroundings(self, session: aiohttp.ClientSession) -> Surroundings:
        """What the sink is lent; override it to lend more, or paces that do not make a test wait."""
        return Surroundings("conformance", session)

    @pytest.mark.parametrize("kind", list(Kind), ids=str)
    async def test_delivers_every_kind(self, kind: Kind) -> None:
        """Each kind arrives once, and the receipt is what can be stored."""
        async with self.running() as (sink, receiver):
            await _send(sink, sample(kind, mark=None))
            assert len(receiver.received) == 1

    @pytest.mark.parametrize("what", sorted(ALONG))
    async def test_what_may_come_along_is_survived(self, what: str) -> None:
        """What few messages bring: earlier events, a report, a reminder's number, how late it is, how far an earlier try got."""
        # After a failure whose forerunners were given up, a sink may have more than one thing to put right.
        kind = Kind.NODE_STARTED if what == "skipped" else Kind.TASK_FAILED
        async with self.running() as (sink, receiver):
            await _send(sink, replace(sample(kind, mark=None), **ALONG[what]))
            assert len(receiver.received) == 1

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
            assert error.outcome is not Outcome.REJECTED, "a failure that may pass was taken for the last word"
            assert not receiver.received
            receiver.behaviour = Behaviour.ACCEPTS
            await _send(sink, sample(Kind.TASK_FAILED))
            assert receiver.received

    async def test_one_send_is_one_try(self) -> None:
        """Trying again is the engine's work: it alone knows when, and what else has happened meanwhile."""
        async with self.running() as (sink, receiver):
            receiver.behaviour = Behaviour.FAILS
            await _failure(sink, sample(Kind.TASK_FAILED))
            assert receiver.offered, "the receiver must count what it is offered"
            assert receiver.offered == 1

    async def test_an_answer_that_is_lost_leaves_it_uncertain(self) -> None:
        """The receiver may have the message; whoever says that it surely has not has it told twice as news."""
        async with self.running() as (sink, receiver):
            receiver.behaviour = Behaviour.DROPS
            error = await _failure(sink, sample(Kind.TASK_FAILED))
            assert error.outcome is Outcome.UNCERTAIN

    async def test_nobody_there_is_a_failure_like_any_other(self) -> None:
        """The sink opens, fails and closes all the same; the program must start and stop while a receiver is down."""
        if not self.remote:
            pytest.skip("the receiver lies behind no connection")
        async with self.receiver() as receiver:
            pass
        async with open_session() as session, self.built(receiver, session) as sink:
            error = await _failure(sink, sample(Kind.TASK_FAILED))
            assert error.outcome is not Outcome.REJECTED
            await _look_around(sink)

    async def test_what_it_offers_besides_keeps_its_word(self) -> None:
        """``patience`` gives seconds or None, ``check`` texts; ``keep`` and ``end`` raise nothing but `DeliveryError`."""
        async with self.running() as (sink, receiver):
            receipts = [await _send(sink, sample(kind, mark=None)) for kind in (Kind.TASK_FAILED, Kind.TASK_STALLED)]
            strange = Receipt({KEEP: "what another version kept"})
            await _look_around(sink)
            if isinstance(sink, Patient):
                for message in samples():
                    # A stranger's method gives back whatever it likes.
                    wait: object = sink.patience(message.event)
                    assert wait is None or (isinstance(wait, int | float) and isfinite(wait) and wait >= 0)
            if isinstance(sink, Ending):
                for receipt in (*receipts, strange):
                    if KEEP in receipt.fields:
                        assert KEEP not in (await _end(sink, receipt)).fields
            if isinstance(sink, Lasting):
                await _keep(sink, [receipt for receipt in receipts if KEEP in receipt.fields])
                await _keep(sink, [strange])
                receiver.behaviour = Behaviour.FAILS
                await _keep(sink, [*receipts, strange])

    async def test_cancelling_leaves_nothing_running(self) -> None:
        """The engine cancels what takes too long; no task goes on behind its back."""
        async with self.running() as (sink, receiver):
            await _send(sink, sample(Kind.TASK_STARTED))
            receiver.behaviour = Behaviour.HANGS
            threads = _busy_threads()
            sending = asyncio.create_task(sink.send(sample(Kind.TASK_FAILED), None))
            with _descendants(sending) as family:
                done, _ = await asyncio.wait({sending}, timeout=0.2)
                assert not done, "the receiver hangs, yet send ended"
                sending.cancel()
                _, left = await asyncio.wait(family, timeout=ENDING)
            assert sending.cancelled()
            assert not left
            if not self.goes_on:
                assert not _busy_threads() - threads, "a thread works on; if it must, say why in goes_on"

    async def test_closing_leaves_nothing_running(self) -> None:
        """What a sink starts it ends: a reload builds another one, and what is left of this would go on for ever."""
        async with self.receiver() as receiver, open_session() as session:
            life = asyncio.create_task(self._lives(receiver, session))
            with _descendants(life) as family:
                await life
                _, left = await asyncio.wait(family, timeout=ENDING)
            for task in left:
                task.cancel()
            assert not left

    async def test_it_is_built_without_io_and_opens_no_session_of_its_own(self) -> None:
        """Building happens at a check of the configuration, too; the one session is guarded, another would not be."""
        async with self.receiver() as receiver, open_session() as session:
            with _no_io():
                self.built(receiver, session)
            with _sessions() as opened:
                await self._lives(receiver, session)
            assert not opened

    async def test_sending_holds_up_nobody(self) -> None:
        """What blocks, blocks the whole program: polls, other sinks, the status page."""
        async with self.running() as (sink, _):
            await _send(sink, sample(Kind.TASK_STARTED))  # Whatever is loaded at the first use is loaded now.
            with _standstill() as longest:
                await _send(sink, sample(Kind.TASK_FAILED))
            assert longest() < STANDSTILL, "the event loop stood still"

    async def _lives(self, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        async with self.built(receiver, session) as sink:
            await _send(sink, sample(Kind.TASK_FAILED))

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

    async def test_receipts_stay_small(self) -> None:
        """A receipt is for what the receiver knows a message by, not for what was said: that may be of any length."""
        last: Receipt | None = None
        async with self.running() as (sink, _):
            for message in hostile(HOSTILE["long"], mark=None):
                with suppress(DeliveryError):
                    last = await _send(sink, message, last)

    async def test_secrets_are_never_shown(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        """Not by repr or str, not by an error or its traceback, not by ``check``, not in a log at DEBUG, not on the screen."""
        caplog.set_level(logging.DEBUG)
        async with self.running() as (sink, receiver):
            settings = self.settings_class.model_validate(dict(receiver.settings))
            shown = [repr(settings), str(settings), repr(sink), str(sink), settings.model_dump_json()]
            shown.append(repr(await _send(sink, sample(Kind.TASK_STARTED))))
            receiver.behaviour = Behaviour.FAILS
            error = await _failure(sink, sample(Kind.TASK_FAILED))
            shown += [repr(error), str(error), *traceback.format_exception(error)]
            if isinstance(sink, Checkable):
                shown += await sink.check()
        shown += [caplog.text, *(repr(record.__dict__) for record in caplog.records), *capfd.readouterr()]
        for secret in self.secrets:
            assert secret not in "\n".join(shown)

    async def test_every_secret_is_named(self) -> None:
        """What nobody names nobody looks for: a key is a ``SecretStr``, and its value stands in ``secrets``."""
        async with self.receiver() as receiver:
            settings = self.settings_class.model_validate(dict(receiver.settings))
        for value in _secrets(settings):
            assert any(secret in value for secret in self.secrets), (
                "the receiver's settings hold a secret that is not in `secrets`"
            )
        bare = {
            name for name, given in settings if isinstance(given, str) and SECRETIVE.search(name) and name not in self.no_secrets
        }
        assert not bare, "named like secrets: make them SecretStr, or name them in `no_secrets`"

    async def test_the_program_takes_it(self) -> None:
        """What the registry asks of every sink: a module with these two can be named in a configuration."""
        module = ModuleType("conformance")
        vars(module).update(Settings=self.settings_class, Sink=self.sink_class)
        registry._sink_type("conformance", "the suite", lambda: module)  # noqa: SLF001 - what it asks is said in one place

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


def hostile(text: str, mark: str | None = "TEST") -> Iterator[Message]:
    """Each sample with ``text`` wherever a stranger's text can come in."""
    for message in samples(mark=mark):
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
def _descendants(ancestor: asyncio.Task[Any]) -> Iterator[set[asyncio.Task[Any]]]:
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


@contextmanager
def _no_io() -> Iterator[None]:
    """Whoever dials, asks for a name or starts a program meanwhile fails."""

    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("the sink does I/O while it is built; __aenter__ is the place")

    with ExitStack() as stack:
        for owner, name in ((socket.socket, "connect"), (socket, "getaddrinfo"), (subprocess.Popen, "__init__")):
            stack.enter_context(patch.object(owner, name, refuse))
        yield


@contextmanager
def _sessions() -> Iterator[list[aiohttp.ClientSession]]:
    """The sessions that are opened meanwhile."""
    opened: list[aiohttp.ClientSession] = []
    build = aiohttp.ClientSession.__init__

    def note(session: aiohttp.ClientSession, *args: Any, **options: Any) -> None:
        opened.append(session)
        build(session, *args, **options)

    with patch.object(aiohttp.ClientSession, "__init__", note):
        yield opened


def _busy_threads() -> set[int]:
    """The threads that are at work, all but those of a pool that wait for some."""
    return {number for number, frame in sys._current_frames().items() if frame.f_code.co_name != "_worker"}  # noqa: SLF001 - there is no other way to see it


@contextmanager
def _standstill() -> Iterator[Callable[[], float]]:
    """How long the loop has stood still at the most, in seconds that a thread beside it had.

    The thread's own beats are counted, not the clock: on a busy machine both are late, and nobody is to blame.
    """
    beats, longest, since, over = 0, 0, 0, threading.Event()

    def beat() -> None:
        nonlocal beats, longest
        while not over.wait(BEAT):
            beats += 1
            longest = max(longest, beats - since)

    async def answer() -> None:
        nonlocal since
        while True:
            since = beats
            await asyncio.sleep(BEAT / 2)

    thread = threading.Thread(target=beat, daemon=True)
    answering = asyncio.create_task(answer())
    thread.start()
    try:
        yield lambda: longest * BEAT
    finally:
        over.set()
        thread.join()
        answering.cancel()


def _secrets(value: object) -> Iterator[str]:
    """The values of all ``SecretStr`` in settings, however deep."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        yield from _secrets(dict(value))
    elif isinstance(value, Mapping):
        yield from _secrets(tuple(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _secrets(item)


async def _look_around(sink: Sink) -> None:
    if isinstance(sink, Checkable):
        async with asyncio.timeout(PATIENCE):
            problems: object = await sink.check()
        assert isinstance(problems, list)
        assert all(isinstance(problem, str) for problem in problems)


async def _end(sink: Ending, receipt: Receipt) -> Receipt:
    async with asyncio.timeout(PATIENCE):
        after = await sink.end(receipt)
    _assert_kept(after)
    return after


async def _keep(sink: Lasting, receipts: list[Receipt]) -> None:
    with suppress(DeliveryError):
        async with asyncio.timeout(PATIENCE):
            await sink.keep(receipts)


async def _send(sink: Sink, message: Message, last: Receipt | None = None) -> Receipt:
    async with asyncio.timeout(PATIENCE):
        receipt = await sink.send(message, last)
    _assert_kept(receipt)
    return receipt


async def _failure(sink: Sink, message: Message) -> DeliveryError:
    """The failure that the sink raises, which is one that can be stored, shown and computed with."""
    with pytest.raises(DeliveryError) as caught:
        await _send(sink, message)
    error = caught.value
    # A stranger's sink may put anything there.
    wait: object = error.retry_after
    assert isinstance(error.outcome, Outcome)
    assert isinstance(error.reason, DeliveryReason)
    assert isinstance(error.scope, Scope)
    assert isinstance(error.detail, str)
    assert error.detail.isprintable()
    assert len(error.detail.encode()) <= DETAIL
    assert wait is None or (isinstance(wait, int | float) and isfinite(wait))
    if error.receipt is not None:
        _assert_kept(error.receipt)
    return error


def _assert_kept(receipt: Receipt) -> None:
    """A receipt that can be stored."""
    assert isinstance(receipt, Receipt)
    assert all(isinstance(part, str) for pair in receipt.fields.items() for part in pair)
    assert receipt.size <= RECEIPT, "a receipt is kept, and read again every time"


def _assert_harmless(received: list[Received]) -> None:
    for one in received:
        one.text.encode()  # a lone surrogate cannot be encoded
        controls = {character for character in one.text if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0}  # noqa: PLR2004
        assert controls <= {"\n", "\r", "\t"}
        assert not BIDI & set(one.text), "what is read is not what was written"
