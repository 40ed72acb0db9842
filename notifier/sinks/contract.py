"""What a sink is: its settings, its one method, and how it is found.

A sink is a module with two names: ``Settings`` (a `SinkSettings`) and ``Sink`` (a class that satisfies `Sink`). The module's
name is the configuration's ``type``. See ``docs/how-to/write-a-sink.md``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Annotated, ClassVar, Protocol, Self, runtime_checkable

import aiohttp
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from notifier.domain import duration
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Event
from notifier.domain.words import Words
from notifier.sinks.desk import Desk
from notifier.sinks.pace import Pace, Paces


def _seconds(value: object) -> float:
    found = duration.seconds(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("not a duration: write it as 100ms, 15s, 5m or 1h30m")
    return found


Duration = Annotated[
    float,
    BeforeValidator(_seconds),
    PlainSerializer(duration.spelled, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{duration.DURATION}$", "examples": ["15s", "1h30m"]}),
]
"""Seconds in a sink's settings, spelled as everywhere in the configuration; a default is given in seconds."""


TAKEN = frozenset(
    {
        *("type", "timeout", "rate", "concurrency", "delivery", "digest", "quiet", "language", "zone", "words"),
        *("stages", "fallback", "fallback_after", "report"),
    }
)
"""What the configuration says of any sink. A setting of one of these names would never reach its sink."""


LARGEST_RECEIPT = 64 * 1024
"""Bytes of a receipt, at the most: it is stored with each message, and read with the next. To give back more is a fault."""


class SinkSettings(BaseModel):
    """What every sink's settings share: strict, frozen, and silent about values when they are wrong.

    ``speaks``: whether people read what it says. To a sink that says no, ``language``, ``words`` and ``stages`` are
    not given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    speaks: ClassVar[bool] = True


def utc_now() -> datetime:
    """The wall clock of this machine."""
    return datetime.now(UTC)


def _passed_over(_what: str, _why: str) -> None:
    """What nobody counts, as while a sink is only being tried."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the program lends a sink.

    Attributes:
        name: The sink's name in the configuration, for its own words only.
        session: The one HTTP session: no redirects, TLS verified, addresses guarded. A sink opens no other.
        timeout: Seconds that one ``send`` may take; the engine cancels it afterwards.
        words: In which language and time zone the sink speaks to people.
        page: The address of the status page as people reach it, without a slash at its end; None where there is none.
        paces: How fast receivers may be told, shared by all sinks of the program.
        desk: Where a sink asks what the program knows and hands in what people tell it; None where no program is running, as
            while a sink is only being tried.
        clock: Gives the aware time by which messages are dated and signed: that of all replicas together.
        report: Whether messages about the end of a task may bring a report, as the configuration asks.
        went_without: To be called with one word and a reason when a sink cannot do a part of its work and tells its message all
            the same; it is logged, and counted by sink and word.
    """

    name: str
    session: aiohttp.ClientSession
    timeout: float = 10.0
    words: Words = field(default_factory=Words)
    page: str | None = None
    paces: Paces = field(default_factory=Paces)
    desk: Desk | None = None
    clock: Callable[[], datetime] = utc_now
    report: bool = False
    went_without: Callable[[str, str], None] = _passed_over


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
"""The field of a receipt that is looked after, by a `Lasting` or an `Ending` sink, until a later receipt is without it."""


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
class Ending(Protocol):
    """What a sink offers besides if its receiver keeps open what nobody ends."""

    async def end(self, receipt: Receipt) -> Receipt:
        """End all that was opened in a lane; the receipt that the lane has from now on, without a field `KEEP` if all is done.

        Called within a minute when nothing of it lasts any more and no message will come that says so: another task has begun
        after one that had failed, or nobody watches the cluster any more. The lane is held meanwhile, as in `Lasting`.

        Raises:
            DeliveryError: It could not be done; it is tried again in a minute.
        """


@runtime_checkable
class Paced(Protocol):
    """What a sink offers besides if its receiver counts the messages of several sinks together."""

    pace: Pace
    """By which its messages go out, at its ``rate``; from ``surroundings.paces``."""


@runtime_checkable
class Listening(Protocol):
    """What a sink offers besides if people can answer it: press a button, give a command."""

    async def listen(self) -> None:
        """Hear what people say and act on it, at the surroundings' desk, until cancelled; return if there is nobody to hear.

        It is started again, after ever longer pauses, when it raises. Several replicas may listen at once, and hear of the same
        thing: what it does must be the same however often it is done.
        """


@runtime_checkable
class Checkable(Protocol):
    """What a sink offers besides if it can find out whether it would work without telling anybody anything."""

    async def check(self) -> list[str]:
        """What is wrong, in words and with a remedy where there is one; an empty list if nothing is."""
