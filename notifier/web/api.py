"""The REST answers: what may be asked, and what is answered. Errors are ``application/problem+json`` (RFC 9457)."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from notifier.domain.model import Severity
from notifier.store.rows import State
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web import shapes
from notifier.web.stories import story
from notifier.web.wishes import MOST, Expire, Retry, Silencing, said

LARGEST = 2**63 - 1
"""The largest position that both databases hold."""

SEVERITIES = {severity.word: severity for severity in Severity}

T = TypeVar("T")
Retried = Callable[[frozenset[str]], None]


class Api:
    """The handlers below ``/api/v1``.

    Args:
        store: What is asked.
        retried: Called with the sinks that are owed again.
    """

    def __init__(self, store: Store, retried: Retried) -> None:
        self._store = store
        self._retried = retried

    def routes(self) -> list[web.RouteDef]:
        """What is answered where."""
        return [
            web.get("/api/v1/clusters", self.clusters),
            web.get("/api/v1/events", self.events),
            web.get("/api/v1/deliveries", self.deliveries),
            web.post("/api/v1/deliveries/retry", self.retry),
            web.get("/api/v1/events/{id}/story", self.story),
            web.get("/api/v1/tasks/{task}/report", self.report),
            web.get("/api/v1/silences", self.silences),
            web.post("/api/v1/silences", self.silence),
            web.post("/api/v1/silences/expire", self.expire),
        ]

    async def clusters(self, request: web.Request) -> web.Response:
        """Every cluster and its tasks."""
        _Query(request, frozenset())
        rows = await self._store.transact(lambda tx: tx.clusters())
        return web.json_response({"clusters": [shapes.cluster_json(row) for row in rows]})

    async def events(self, request: web.Request) -> web.Response:
        """The newest events that match, oldest first; ``last`` is where to go on from with ``after``."""
        query = _Query(request, frozenset({"cluster", "kind", "severity", "after", "limit"}))
        cluster, kind, after, limit = query.text("cluster"), query.text("kind"), query.number("after", 0), query.limit()
        severity = query.choice("severity", SEVERITIES) or Severity.DEBUG
        rows = await self._store.transact(
            lambda tx: tx.events(cluster=cluster, kind=kind, severity=severity, after=after, limit=limit)
        )
        last = rows[-1][0] if rows else after
        return web.json_response({"events": [shapes.event_json(position, event) for position, event in rows], "last": last})

    async def deliveries(self, request: web.Request) -> web.Response:
        """The newest deliveries that match, oldest first."""
        query = _Query(request, frozenset({"sink", "state", "limit"}))
        sink, limit = query.text("sink"), query.limit()
        state = query.choice("state", {state.value: state for state in State})
        rows = await self._store.transact(lambda tx: tx.deliveries(sink=sink, state=state, limit=limit))
        return web.json_response({"deliveries": [shapes.delivery_json(row) for row in rows]})

    async def retry(self, request: web.Request) -> web.Response:
        """Send dead deliveries again; ``resent`` lists those that were dead."""
        wish = await _wish(request, Retry)
        resent, sinks = await self._store.transact(lambda tx: _resend(tx, wish))
        if sinks:
            self._retried(sinks)
        return web.json_response({"resent": resent})

    async def story(self, request: web.Request) -> web.Response:
        """An event and what became of it."""
        _Query(request, frozenset())
        wanted = request.match_info["id"]
        found = await self._store.transact(lambda tx: story(tx, wanted))
        if found is None:
            raise web.HTTPNotFound(text="There is no such event; what nobody is owed any more is deleted after a month.")
        return web.json_response({"story": [found]})

    async def report(self, request: web.Request) -> web.Response:
        """All that is kept of the tasks that ``task`` may mean: an id, its beginning, or a cluster's name or id."""
        _Query(request, frozenset())
        wanted = request.match_info["task"]
        found = await self._store.transact(lambda tx: tx.gathered_named(wanted))
        # Tens of thousands of events are read and written here: beside the loop.
        text = await asyncio.to_thread(lambda: json.dumps({"report": [shapes.dossier_json(each) for each in found]}))
        return web.json_response(text=text)

    async def silences(self, request: web.Request) -> web.Response:
        """The silences that hold or will; with ``all=true`` those that are over as well."""
        query = _Query(request, frozenset({"all"}))
        now, over = datetime.now(UTC), query.choice("all", {"true": True, "false": False}) or False
        found = await self._store.transact(lambda tx: tx.silences(now.timestamp(), over=over))
        return web.json_response({"silences": [shapes.silence_json(silence, now) for silence in found[-MOST:]]})

    async def silence(self, request: web.Request) -> web.Response:
        """Add a silence; ``silences`` holds it."""
        now = datetime.now(UTC)
        silence = (await _wish(request, Silencing)).silence(now)
        await self._store.transact(lambda tx: tx.silence(silence))
        return web.json_response({"silences": [shapes.silence_json(silence, now)]})

    async def expire(self, request: web.Request) -> web.Response:
        """End silences; ``expired`` lists those that held."""
        wish, now = await _wish(request, Expire), datetime.now(UTC)
        expired = await self._store.transact(lambda tx: tx.expire_silences(wish.ids, now))
        return web.json_response({"expired": expired})


_W = TypeVar("_W", bound=BaseModel)


async def _wish(request: web.Request, kind: type[_W]) -> _W:
    # A form cannot post JSON, so a foreign page cannot either without asking first.
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Send application/json.")
    try:
        return kind.model_validate_json(await request.read())
    except ValidationError as error:
        raise web.HTTPBadRequest(text=said(error)) from None


def _resend(transaction: Transaction, wish: Retry) -> tuple[list[str], frozenset[str]]:
    before = transaction.counts()
    resent = transaction.resend(time.time(), ids=wish.ids, sink=wish.sink)
    after = transaction.counts()
    fewer = {sink for (sink, state), count in before.items() if state is State.DEAD and after.get((sink, state), 0) < count}
    return resent, frozenset(fewer)


class _Query:
    """Reads the query of a URL. Every method raises `web.HTTPBadRequest` for what it cannot read."""

    def __init__(self, request: web.Request, known: frozenset[str]) -> None:
        self._query = request.query
        for name in self._query:
            if name not in known:
                expected = ", ".join(sorted(known)) or "none"
                raise web.HTTPBadRequest(text=f"Unknown parameter {name!r}; known here: {expected}.")

    def text(self, name: str) -> str | None:
        """A text, None if it is not given."""
        value = self._query.get(name)
        # Neither a NUL nor half a surrogate can be asked of a database.
        if value is not None and any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
            raise web.HTTPBadRequest(text=f"{name} holds what is no text.")
        return value

    def number(self, name: str, default: int) -> int:
        """A whole number from 0."""
        value = self._query.get(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdecimal() and len(value) < len(str(LARGEST))):
            raise web.HTTPBadRequest(text=f"{name} must be a whole number from 0, not {value[:40]!r}.")
        return int(value)

    def limit(self) -> int:
        """How many rows: 50 unless told, at least 1 and at most `MOST`."""
        return min(max(self.number("limit", 50), 1), MOST)

    def choice(self, name: str, known: dict[str, T]) -> T | None:
        """One of several words, None if it is not given."""
        value = self._query.get(name)
        if value is not None and value not in known:
            raise web.HTTPBadRequest(text=f"{name} must be one of {', '.join(known)}, not {value[:40]!r}.")
        return None if value is None else known[value]


def problem(status: int, detail: str) -> web.Response:
    """An error as RFC 9457 says it."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")
