"""What a sink is: its settings, its one method, and how it is found.

A sink is a module with two names: ``Settings`` (a `SinkSettings`) and ``Sink`` (a class that satisfies `Sink`). The module's
name is the configuration's ``type``. See ``docs/how-to/write-a-sink.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import aiohttp
from pydantic import BaseModel, ConfigDict

from notifier.domain.message import Message, Receipt
from notifier.domain.model import Event
from notifier.domain.words import Words


class SinkSettings(BaseModel):
    """What every sink's settings share: strict, frozen, and silent about values when they are wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the program lends a sink.

    Attributes:
        name: The sink's name in the configuration, for its own words only.
        session: The one HTTP session: no redirects, TLS verified, addresses guarded. A sink opens no other.
        timeout: Seconds that one ``send`` may take; the engine cancels it afterwards.
        words: In which language and time zone the sink speaks to people.
        page: The address of the status page as people reach it, without a slash at its end; None where there is none.
    """

    name: str
    session: aiohttp.ClientSession
    timeout: float = 10.0
    words: Words = field(default_factory=Words)
    page: str | None = None


class Sink(Protocol):
    """A door out."""

    def __init__(self, settings: SinkSettings, surroundings: Surroundings) -> None:
        """Build without any I/O; what a sink needs to open, it opens in ``__aenter__``."""

    async def __aenter__(self) -> Self:
        """Open what is kept open between messages."""

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""

    async def send(self, message: Message, last: Receipt | None) -> Receipt:
        """Deliver; return what identifies it there.

        ``last`` is the receipt of the lane's previous message: a live sink edits it, an on-call sink resolves it, others
        ignore it.

        Raises:
            DeliveryError: It was not confirmed; says whether it surely was not accepted, never will be, or may have been.
        """


@runtime_checkable
class Patient(Protocol):
    """What a sink offers besides if not all of its messages must go out one by one, such as one that edits a living message."""

    def patience(self, event: Event) -> float | None:
        """Seconds that an event may wait to be told along with a later one of its lane; None: at once, and by itself.

        What waits is merged: the lane's next message carries it in ``message.earlier``.
        """


KEEP = "keep"
"""The field of a receipt that a `Lasting` sink is given again and again, until a later receipt of the lane is without it."""


@runtime_checkable
class Lasting(Protocol):
    """What a sink offers besides if its receiver forgets what is not said again."""

    async def keep(self, receipts: Sequence[Receipt]) -> None:
        """Say again what lasts: the newest receipts, of all lanes of the sink, that have a field `KEEP`.

        Called at start and every minute. The lanes are held meanwhile, so that nothing of theirs is sent beside it, by no
        replica.

        Raises:
            DeliveryError: It could not be said; it is tried again in a minute.
        """


@runtime_checkable
class Checkable(Protocol):
    """What a sink offers besides if it can find out whether it would work without telling anybody anything."""

    async def check(self) -> list[str]:
        """What is wrong, in words and with a remedy where there is one; an empty list if nothing is."""
