"""Which scopes a bot needs for what a sink is set to do, and what each is for."""

from collections.abc import Iterable, Mapping, Sequence

SCOPES: Mapping[str, str] = {"chat:write": "to post and to edit"}
"""What every bot needs."""

COMMANDS: Mapping[str, str] = {"commands": "for the slash command"}
"""With an app token."""

FILES: Mapping[str, str] = {"files:write": "to bring reports along, as `report: true` asks"}
"""With ``report: true``."""

_LOOK = "to find out whether a message got through before posting it again"
HISTORY: Mapping[str, Mapping[str, str]] = {
    "C": {"channels:history": f"{_LOOK}, if the channel is public", "groups:history": f"{_LOOK}, if the channel is private"},
    "G": {"groups:history": f"{_LOOK}, in a private channel", "mpim:history": f"{_LOOK}, in a group conversation"},
    "D": {"im:history": f"{_LOOK}, in a direct conversation"},
}
"""By the first letter of a channel's id. One is enough, the id does not say which (docs.slack.dev, conversations.history)."""


def lacking(held: Iterable[str], *, app_token: bool, report: bool) -> Sequence[str]:
    """What is missing for sure, each with what it is for."""
    return _said({**SCOPES, **(COMMANDS if app_token else {}), **(FILES if report else {})}, held)


def unseen(channel: str, held: Iterable[str]) -> Sequence[str]:
    """What may be missing where Slack does not let us look into a channel."""
    return _said(HISTORY.get(channel[:1], {}), held)


def _said(wanted: Mapping[str, str], held: Iterable[str]) -> Sequence[str]:
    there = frozenset(held)
    return [f"the scope {scope} is missing: {use}" for scope, use in wanted.items() if scope not in there]
