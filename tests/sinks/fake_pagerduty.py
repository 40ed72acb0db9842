"""PagerDuty's Events API v2 as far as its documentation says what it does: who is paged, and what it takes."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jsonschema
from aiohttp import web
from sink_receivers import Hook, hook

from notifier.outbound import open_session
from notifier.sinks.contract import Surroundings
from notifier.sinks.pagerduty import Settings, Sink

KEY = "0123456789abcdef0123456789abcdef"
MOST = 512 * 1024

# developer.pagerduty.com/docs: "Send an alert event", "Send a change event", "Events API v2 overview" (limits), and the OpenAPI
# document of the API (github.com/PagerDuty/api-schema, events-v2), as of 2026. What they do not name is forbidden here.
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$"}
_URL = {"type": "string", "pattern": r"^https?://[^\s]+$"}
_WORDS = {"type": "string", "minLength": 1}
_CHANGED = {
    "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
    "source": _WORDS,
    "timestamp": _TIME,
    "custom_details": {"type": "object"},
}
_TRIGGERED = {
    **_CHANGED,
    "severity": {"enum": ["critical", "error", "warning", "info"]},
    "component": _WORDS,
    "group": _WORDS,
    "class": _WORDS,
}


def _strict(required: list[str], properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": dict(properties), **more}


_LINKS = {"type": "array", "items": _strict(["href"], {"href": _URL, "text": _WORDS})}
_ROUTED = {"routing_key": {"type": "string", "minLength": 32, "maxLength": 32}}
_KEYED = {**_ROUTED, "dedup_key": {"type": "string", "minLength": 1, "maxLength": 255}}
TRIGGER = _strict(
    ["routing_key", "event_action", "payload"],
    {
        **_KEYED,
        "event_action": {"const": "trigger"},
        "payload": _strict(["summary", "source", "severity"], _TRIGGERED),
        "client": _WORDS,
        "client_url": _URL,
        "links": _LINKS,
        "images": {"type": "array", "items": _strict(["src"], {"src": {"pattern": "^https://"}, "href": _URL, "alt": _WORDS})},
    },
)
FOLLOW_UP = _strict(
    ["routing_key", "event_action", "dedup_key"], {**_KEYED, "event_action": {"enum": ["acknowledge", "resolve"]}}
)
CHANGE = _strict(["routing_key", "payload"], {**_ROUTED, "payload": _strict(["summary"], _CHANGED), "links": _LINKS})


def checked(path: str, content: bytes) -> dict[str, Any]:
    """The body of a request, which is what PagerDuty's documentation allows on that path."""
    assert len(content) <= MOST
    body = json.loads(content)
    assert isinstance(body, dict)
    follow_up = body.get("event_action") in {"acknowledge", "resolve"}
    schema = {"/v2/enqueue": FOLLOW_UP if follow_up else TRIGGER, "/v2/change/enqueue": CHANGE}[path]
    jsonschema.validate(body, schema)
    return body


def said(receiver: Hook) -> list[tuple[str, str]]:
    """What each request asked for, with the condition it is about; each is what PagerDuty would take."""
    found = []
    for each in receiver.posts:
        body = checked(each.path, each.body)
        change = each.path == "/v2/change/enqueue"
        found.append(("change", "") if change else (body["event_action"], body["dedup_key"].rpartition("-")[2]))
    return found


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class PagerDuty:
    """What a service knows, and whom it has paged.

    Attributes:
        incidents: Open ones, by key: ``triggered`` or ``acknowledged``.
        pages: The summary of each incident that was opened: only a trigger that opens one wakes anybody.
        refuse: Answers instead of it, by path; gone through before anything is taken.
    """

    incidents: dict[str, str] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)
    refuse: dict[str, Answer] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Take an event, as a handler of `hook`."""
        if request.path in self.refuse:
            return await self.refuse[request.path](request)
        body = checked(request.path, await request.read())
        self.take(body)
        said = {"status": "success", "message": "Event processed", "dedup_key": body.get("dedup_key", "")}
        return web.json_response(said, status=202)

    def take(self, body: Mapping[str, Any]) -> None:
        """What an event does to the incidents."""
        key = body.get("dedup_key", "")
        match body.get("event_action"):
            case "trigger" if key not in self.incidents:
                self.incidents[key] = "triggered"
                self.pages.append(body["payload"]["summary"])
            case "acknowledge" if key in self.incidents:
                self.incidents[key] = "acknowledged"
            case "resolve":
                self.incidents.pop(key, None)


@asynccontextmanager
async def duty(answer: Answer | None = None, page: str | None = "http://page", **lent: Any) -> AsyncIterator[tuple[Sink, Hook]]:
    """A sink, opened, that talks to what answers so, or to a PagerDuty of no interest; ``lent``: see `Surroundings`."""
    async with (
        hook(answer or PagerDuty().answer) as receiver,
        open_session(total=60.0) as session,
        Sink(settings_for(receiver), Surroundings("oncall", session, page=page, **lent)) as sink,
    ):
        yield sink, receiver


def settings_for(receiver: Hook) -> Settings:
    return Settings.model_validate({"routing_key": KEY, "base_url": receiver.url.removesuffix("/hook")})
