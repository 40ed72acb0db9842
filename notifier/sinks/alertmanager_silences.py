"""Silences in Alertmanager for exactly the nodes that are being worked on: they are expected to be down.

A silence hides what would page somebody, so it never lasts by our silence alone. It ends by itself within `LASTS`, and is
prolonged only while its node is known to be in flight: while its cluster cannot be polled, nobody knows. One that has ended
is left alone, since a person may have ended it.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from pydantic import Field

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Event, Kind, Outage, Status
from notifier.domain.plain_text import json_line, one_line
from notifier.domain.render import iso
from notifier.sinks.contract import KEEP, SinkSettings, Surroundings
from notifier.sinks.desk import DeskClosed
from notifier.sinks.posting import Answer

SILENCED = "silences"
"""The field of a receipt that holds the silences by node."""

FOLLOWS = "silenced"
"""The field of a receipt that says by which event they are set."""

LASTS = timedelta(minutes=20)
"""More than the quarter of an hour for which a sink is paused, so that a silence outlives that."""

TRUSTED = timedelta(hours=12)
"""For how long after the last message about its task a silence is prolonged: what was to lift it may never have arrived."""

TRIES = 3
"""Tries of a message whose silences are waited for. Behind it in its lane there may be a failure, which wakes people."""

LONGEST_NAME = 200
"""Characters of a node's name. What is longer is none, and its silence would be too long to be read back."""

MOST_NODES = 200
"""Nodes that are silenced at once: more than a cluster has. The receipt holds a silence for each."""

AUTHOR = "css-upgrade-notifier"

_ID = re.compile("[0-9a-fA-F-]{1,64}")

Request = Callable[[str, str, bytes], Awaitable[Answer]]

Flights = Mapping[str, tuple[Sequence[str], Outage | None]]
"""The nodes in flight of each task that runs, by its thread, and why its cluster cannot be polled."""


class SilenceNodes(SinkSettings):
    """Which alerts are a node's.

    Attributes:
        label: Of those alerts, whose value is the node's name, with or without a port behind it.
        also: More labels, and the value each must have.
    """

    label: str = Field(pattern="^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=100)
    also: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Held:
    """What a receipt says of silences.

    Attributes:
        nodes: The silences by node.
        thread: The task they belong to, as `Event.thread` has it.
        sequence: Of the event that they follow.
        told_at: When that was told; None where it is not known.
    """

    nodes: Mapping[str, str] = field(default_factory=dict)
    thread: str = ""
    sequence: int = 0
    told_at: datetime | None = None

    @classmethod
    def read(cls, receipt: Receipt | None) -> Self:
        """What is none of ours is nothing."""
        if receipt is None:
            return cls()
        nodes, follows = _object(receipt, SILENCED), _object(receipt, FOLLOWS)
        origin: tuple[str, int, datetime | None]
        try:
            told_at = datetime.fromisoformat(follows["told_at"]).astimezone(UTC)
            origin = (str(follows["thread"]), int(follows["sequence"]), told_at)
        except (KeyError, TypeError, ValueError, OverflowError):
            origin = ("", 0, None)
        good = {node: silence for node, silence in nodes.items() if isinstance(silence, str) and _ID.fullmatch(silence)}
        return cls(good, *origin)

    def receipt(self, fields: Mapping[str, str]) -> Receipt:
        """The receipt that holds this beside other ``fields``."""
        if not self.nodes:
            return Receipt(fields)
        follows = {"thread": self.thread, "sequence": self.sequence, "told_at": iso(self.told_at)}
        # With silences alone the receipt is kept all the same, since they have to be prolonged.
        return Receipt({KEEP: "{}", **fields, SILENCED: json_line(self.nodes), FOLLOWS: json_line(follows)})


class Silencer:
    """Keeps the silences of a task's nodes in step with what is in flight."""

    def __init__(self, settings: SilenceNodes, request: Request, surroundings: Surroundings) -> None:
        self._settings = settings
        self._request = request
        self._surroundings = surroundings

    async def follow(self, message: Message, last: Receipt | None, fields: Mapping[str, str]) -> Receipt:
        """Silence the nodes that are in flight now, lift the silences of the others.

        What Alertmanager refuses is gone without and reported: its alerts are worth more than its silences.

        Args:
            message: Which says what is in flight.
            last: The receipt that holds the silences there are.
            fields: What else the receipt is to hold.

        Raises:
            DeliveryError: Not all of it was done, and may be soon; its receipt holds what was.
        """
        held, event = Held.read(last), message.event
        if event.sequence < held.sequence:
            return held.receipt(fields)  # It was given up, and is sent again behind newer ones.
        wanted, silences = _wanted(event), dict(held.nodes)
        failed: DeliveryError | None = None
        try:
            async with asyncio.timeout(self._surroundings.timeout / 2):
                failed = await self._adapt(silences, wanted, event)
        except DeliveryError as error:
            failed = error
        except TimeoutError:
            failed = DeliveryError(Outcome.UNCERTAIN, DeliveryReason.TIMEOUT, "silences: no answer in time")
        after = Held(silences, event.thread, event.sequence, self._surroundings.clock())
        if failed is None:
            return after.receipt(fields)
        if failed.outcome is not Outcome.REJECTED and message.attempt < TRIES:
            # Of this event alone, whatever it says of the sink: the alerts were taken.
            wait, receipt = failed.retry_after, after.receipt(fields)
            raise DeliveryError(failed.outcome, failed.reason, failed.detail, retry_after=wait, receipt=receipt)
        self._surroundings.went_without("silence", failed.detail)
        # What could not be lifted is prolonged no more, so it ends by itself.
        left = {node: silence for node, silence in silences.items() if node in wanted}
        return Held(left, after.thread, after.sequence, after.told_at).receipt(fields)

    async def keep(self, receipts: Sequence[Receipt]) -> None:
        """Prolong the silences of nodes that are known to be in flight, lift those of nodes that are known not to be.

        Raises:
            DeliveryError: With one of them it could not be done; with the others it was.
        """
        found = [held for held in map(Held.read, receipts) if held.nodes]
        if not found:
            return
        try:
            flights = await self._flights()
        except DeskClosed:
            return  # What is not known is not prolonged.
        failed: DeliveryError | None = None
        for held in found:
            for node, silence in held.nodes.items():
                try:
                    await self._review(held, node, silence, flights)
                except DeliveryError as error:
                    failed = error
        if failed is not None:
            raise failed

    async def _flights(self) -> Flights | None:
        """What is in flight; None where there is no program to ask."""
        desk = self._surroundings.desk
        if desk is None:
            return None
        return {
            f"{each.cluster.key}/{action}/{facts.id}": (facts.nodes.in_flight, each.outage)
            for each in await desk.standings()
            for action, facts, _ in each.tasks
            if facts.status == Status.RUNNING
        }

    async def _review(self, held: Held, node: str, silence: str, flights: Flights | None) -> None:
        if held.told_at is None or self._surroundings.clock() - held.told_at > TRUSTED:
            return
        if flights is not None:
            in_flight, outage = flights.get(held.thread, ((), None))
            if node not in in_flight:
                await self._lift(silence)
                return
            if outage is not None:
                return  # It may be back soon, so that nothing is lifted; if not, the silence ends by itself.
        await self._prolong(silence)

    async def _adapt(self, silences: dict[str, str], wanted: Sequence[str], event: Event) -> DeliveryError | None:
        """Lift and set; what was refused last, if anything was.

        Raises:
            DeliveryError: Alertmanager cannot be asked just now.
        """
        refused: DeliveryError | None = None
        for node in (*[node for node in silences if node not in wanted], *[node for node in wanted if node not in silences]):
            try:
                if node in wanted:
                    silences[node] = await self._silence(node, event)
                else:
                    await self._lift(silences[node])
                    del silences[node]
            except DeliveryError as error:
                if error.outcome is not Outcome.REJECTED:
                    raise
                refused = error
        return refused

    async def _silence(self, node: str, event: Event) -> str:
        """Silence a node. If its answer is lost, it is silenced once more, and the first silence ends by itself."""
        now = self._surroundings.clock()
        matchers = [{"name": self._settings.label, "value": f"{re.escape(node)}(:[0-9]+)?", "isRegex": True, "isEqual": True}]
        matchers += [
            {"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in self._settings.also.items()
        ]
        phrases = self._surroundings.words.phrases
        about = [event.cluster.name, *([phrases.around.task.format(id=event.task.id)] if event.task else [])]
        comment = phrases.talk.at_work.format(node=node) + phrases.around.aside.format(text=phrases.listing.join(about))
        return await self._posted(
            {
                "matchers": matchers,
                "startsAt": iso(now),
                "endsAt": iso(now + LASTS),
                "createdBy": AUTHOR,
                "comment": one_line(comment, 500),
            }
        )

    async def _prolong(self, silence: str) -> None:
        """Move the end of a silence that is in force, and nothing else of it.

        Alertmanager takes one whose start differs, or one that has ended, for a new silence, which nobody would ever lift.
        """
        try:
            answer = await self._request("GET", f"/api/v2/silence/{silence}", b"")
        except DeliveryError as error:
            if error.reason is DeliveryReason.MISSING:
                return
            raise
        said = answer.json
        found = said if isinstance(said, dict) else {}
        try:
            over = found["status"]["state"] == "expired"
            as_it_is = {name: found[name] for name in ("matchers", "startsAt", "createdBy", "comment")}
            ends = max(datetime.fromisoformat(found["endsAt"]), self._surroundings.clock() + LASTS)
        except (KeyError, TypeError, ValueError):
            raise DeliveryError(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, answer.words) from None
        if over:
            return
        again = await self._posted({"id": silence, **as_it_is, "endsAt": iso(ends)})
        if again != silence:  # It ended in between.
            await self._lift(again)

    async def _posted(self, body: Mapping[str, Any]) -> str:
        answer = await self._request("POST", "/api/v2/silences", json_line(body).encode())
        said = answer.json
        found = said.get("silenceID") if isinstance(said, dict) else None
        if not isinstance(found, str) or not _ID.fullmatch(found):
            raise DeliveryError(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, answer.words)
        return found

    async def _lift(self, silence: str) -> None:
        try:
            await self._request("DELETE", f"/api/v2/silence/{silence}", b"")
        except DeliveryError as error:
            # Gone, or ended by itself; up to 0.25 that is a 500 with these words, later a 404.
            if error.reason is not DeliveryReason.MISSING and not re.search("not found|already expired", error.detail):
                raise


def _wanted(event: Event) -> tuple[str, ...]:
    """The nodes that an event says are being worked on. A task that is not listed any more is not known to do anything."""
    task = event.task
    if task is None or task.status != Status.RUNNING or event.kind is Kind.TASK_VANISHED:
        return ()
    # A matcher for the empty name would fit every alert without the label, which Alertmanager refuses.
    return tuple(node for node in task.nodes.in_flight if node and len(node) <= LONGEST_NAME)[:MOST_NODES]


def _object(receipt: Receipt, name: str) -> dict[str, Any]:
    try:
        found = json.loads(receipt.fields.get(name, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
