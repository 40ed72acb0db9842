"""The desk: where a sink that people can answer asks what the program knows, and hands in what they told it.

It speaks the words of the domain only, so that a sink needs to know nothing of the store behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from notifier.domain.model import Action, Cluster, Event, Outage, TaskFacts
from notifier.domain.silences import Silence


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a cluster stands: its newest task of each action, newest first, each with its progress; why it cannot be watched."""

    cluster: Cluster
    tasks: tuple[tuple[Action, TaskFacts, float | None], ...]
    outage: Outage | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of an event at one sink.

    Attributes:
        state: ``pending``, ``sending``, ``delivered``, ``dead`` or ``silenced``.
        at: When that was settled; None while it is open.
        tries: How often it was tried.
        detail: Why, where it did not arrive.
    """

    sink: str
    state: str
    at: datetime | None
    tries: int
    detail: str | None


class Desk(Protocol):
    """What a sink may ask and hand in. Each raises `DeskClosed` where the store does not answer."""

    async def standings(self) -> Sequence[Standing]:
        """Every cluster that is known, by name."""

    async def event(self, event_id: str) -> Event | None:
        """An event; None if it is not known, or not any more."""

    async def newest(self, *, like: Event | None = None, cluster: str | None = None) -> Event | None:
        """The newest event of the same task (or cluster, for ``cluster.*``) as ``like``, or of a cluster by name or id."""

    async def course(self, event: Event, most: int) -> Sequence[Event]:
        """What has happened to the same task or cluster, the newest ``most`` events, in their order."""

    async def silences(self, event: Event) -> Sequence[Silence]:
        """The silences that hold for what the event is about, reminders included."""

    async def acknowledge(self, event: Event, author: str) -> None:
        """Somebody takes care of it: no reminders for a day. Once more is the same again."""

    async def mute(self, event: Event, author: str, seconds: float) -> datetime:
        """Nobody wants to hear of it for a while: neither progress nor reminders. Failures and ends are told all the same.

        Returns when that ends.
        """

    async def fates(self, event: Event) -> Sequence[Fate]:
        """Who was told of it and who was not, by sink."""

    async def recall(self, sink: str, name: str) -> str | None:
        """What a sink has asked to keep under a name."""

    async def keep(self, sink: str, name: str, value: str) -> None:
        """Keep a short text for a sink, over restarts."""


class DeskClosed(Exception):
    """The store does not answer; in words for a log."""
