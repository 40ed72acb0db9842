"""What a receipt of Alertmanager's remembers: what fires, what has ended without everybody knowing, what was last heard."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from notifier.domain.message import Receipt
from notifier.domain.plain_text import json_line
from notifier.sinks.contract import KEEP

Alert = dict[str, Any]

HEARD = "heard"
"""The field of a receipt that remembers what was last said of each condition, so that nothing fires behind its end."""

ENDED = "ended"
"""The field of a receipt that holds the alerts that have ended, while one of several Alertmanagers may not know of it; and until
when it would let them fire."""


LOST = "lost"
"""The field of a receipt that says that messages were given up: what they would have fired may fire, though nothing holds it."""


def field(receipt: Receipt | None, name: str) -> str:
    """A field, empty where there is none."""
    return receipt.fields.get(name, "") if receipt else ""


def _read(receipt: Receipt | None, name: str) -> dict[str, dict[str, Any]]:
    """What a field of a receipt says, by condition; nothing where it is not one of ours."""
    try:
        found = json.loads(field(receipt, name) or "{}")
    except ValueError:
        return {}
    return {name: said for name, said in found.items() if isinstance(said, dict)} if isinstance(found, dict) else {}


def firing_of(receipt: Receipt | None) -> dict[str, Alert]:
    """The alerts that fire, by condition."""
    return {name: alert for name, alert in _read(receipt, KEEP).items() if moment(alert, "startsAt") is not None}


def unheard_of(receipt: Receipt | None, now: datetime) -> dict[str, Alert]:
    """The alerts of whose end one of several Alertmanagers may not know, though it lets them fire still."""
    found = {name: said for name, said in _read(receipt, ENDED).items() if (until := moment(said, "until")) and now < until}
    return {name: said["alert"] for name, said in found.items() if isinstance(said.get("alert"), dict)}


def remembered(fires: Mapping[str, Alert], ended: Mapping[str, Any], heard: str, *, lost: bool) -> dict[str, str]:
    """The fields that say so."""
    fields = {
        KEEP: json_line(fires) if fires or ended else "",
        ENDED: json_line(ended) if ended else "",
        HEARD: heard,
        LOST: "yes" if lost else "",
    }
    return {name: text for name, text in fields.items() if text}


def moment(said: Mapping[str, Any], name: str) -> datetime | None:
    """A moment that an alert, or what is said of one, names; None where it names none."""
    try:
        return datetime.fromisoformat(said[name]).astimezone(UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
