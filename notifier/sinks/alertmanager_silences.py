"""Silences in Alertmanager for exactly the nodes that are being worked on: they are expected to be down.

A silence lasts an hour and is prolonged while its node is in flight, so that it ends by itself should we fall silent.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Status
from notifier.domain.plain_text import json_line, one_line
from notifier.domain.render import iso
from notifier.sinks.contract import KEEP, SinkSettings
from notifier.sinks.posting import Answer

SILENCED = "silences"
"""The field of a receipt that holds the silences by node."""

LASTS = timedelta(hours=1)

AUTHOR = "css-upgrade-notifier"

Request = Callable[[str, str, bytes], Awaitable[Answer]]


class SilenceNodes(SinkSettings):
    """Which alerts are a node's.

    Attributes:
        label: Of those alerts, whose value is the node's name, with or without a port behind it.
        also: More labels, and the value each must have.
    """

    label: str = Field(pattern="^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=100)
    also: Mapping[str, str] = {}


class Silencer:
    """Keeps the silences of a task's nodes in step with what is in flight."""

    def __init__(self, settings: SilenceNodes, request: Request) -> None:
        self._settings = settings
        self._request = request

    async def follow(self, message: Message, last: Receipt | None, fields: Mapping[str, str]) -> Receipt:
        """Silence the nodes that are in flight now, lift the silences of the others.

        Args:
            message: Which says what is in flight.
            last: The receipt that holds the silences there are.
            fields: What else the receipt is to hold.

        Raises:
            DeliveryError: Not all of it was done; its receipt holds what was.
        """
        task = message.event.task
        wanted = task.nodes.in_flight if task and task.status == Status.RUNNING else ()
        silences = silences_of(last)
        try:
            for node in [node for node in silences if node not in wanted]:
                await self._lift(silences[node])
                del silences[node]
            for node in wanted:
                if node not in silences:
                    silences[node] = await self._silence(node, message)
        except DeliveryError as error:
            error.receipt = _receipt(fields, silences)
            raise
        return _receipt(fields, silences)

    async def keep(self, receipts: Sequence[Receipt]) -> None:
        """Prolong what is in force.

        Raises:
            DeliveryError: One could not be prolonged; the others were.
        """
        failed: DeliveryError | None = None
        for receipt in receipts:
            for node, silence in silences_of(receipt).items():
                try:
                    await self._put(node, "", silence)
                except DeliveryError as error:
                    failed = error
        if failed is not None:
            raise failed

    async def _silence(self, node: str, message: Message) -> str:
        event = message.event
        task = event.task.id if event.task else ""
        return await self._put(node, f" of {event.cluster.name} (task {task})", None)

    async def _put(self, node: str, of: str, silence: str | None) -> str:
        now = datetime.now(UTC)
        matchers = [{"name": self._settings.label, "value": f"{re.escape(node)}(:[0-9]+)?", "isRegex": True, "isEqual": True}]
        matchers += [
            {"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in self._settings.also.items()
        ]
        body: dict[str, Any] = {
            "matchers": matchers,
            "startsAt": iso(now),
            "endsAt": iso(now + LASTS),
            "createdBy": AUTHOR,
            "comment": one_line(f"node {node}{of} is being upgraded", 500),
        }
        if silence is not None:
            body["id"] = silence
        answer = await self._request("POST", "/api/v2/silences", json_line(body).encode())
        said = answer.json
        found = said.get("silenceID") if isinstance(said, dict) else None
        if not isinstance(found, str) or not re.fullmatch("[0-9a-fA-F-]{1,64}", found):
            raise DeliveryError(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, answer.words)
        return found

    async def _lift(self, silence: str) -> None:
        try:
            await self._request("DELETE", f"/api/v2/silence/{silence}", b"")
        except DeliveryError as error:
            # Gone, or ended by itself; up to 0.25 that is a 500 with these words, later a 404.
            if error.reason is not DeliveryReason.MISSING and not re.search("not found|already expired", error.detail):
                raise


def silences_of(receipt: Receipt | None) -> dict[str, str]:
    """The silences that a receipt holds, by node; none where it is not one of ours."""
    try:
        found = json.loads(receipt.fields.get(SILENCED, "{}")) if receipt else {}
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        node: silence for node, silence in found.items() if isinstance(silence, str) and re.fullmatch("[0-9a-fA-F-]+", silence)
    }


def _receipt(fields: Mapping[str, str], silences: Mapping[str, str]) -> Receipt:
    if not silences:
        return Receipt(fields)
    # With silences alone the receipt is kept all the same, since they have to be prolonged.
    return Receipt({KEEP: "{}", **fields, SILENCED: json_line(silences)})
