"""The pages for people: each asks the store once, is shown in the frame that all share, and is whole without scripts."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError

from notifier.domain.render import iso
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web import event_page, feed, letter_page, overview, silence_page, task_page
from notifier.web.access import Role
from notifier.web.health import Health
from notifier.web.questions import AboutEvent, AboutSilences, Question, complaint
from notifier.web.sharing import Sharing
from notifier.web.standing import Standing, problems, standing, vital_signs

ROLE = web.RequestKey("role", Role)
"""Where a request keeps what whoever asks may do."""

NAVIGATION = (("", "Overview"), ("events", "Events"), ("letters", "Dead letters"), ("silences", "Silences"))

T = TypeVar("T")
Q = TypeVar("Q", bound=Question)

templates = Environment(
    loader=PackageLoader("notifier.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


class Pages:
    """The handlers of the pages.

    Args:
        store: What is shown.
        health: How the program is.
    """

    def __init__(self, store: Store, health: Callable[[], Health]) -> None:
        self._store = store
        self._health = health
        self._sharing = Sharing[str]()

    def routes(self) -> list[web.RouteDef]:
        """What is shown where."""
        return [
            web.get(path, self._shared(page))
            for path, page in (
                ("/", self.overview),
                ("/tasks/{cluster}/{action}/{id}", self.task),
                ("/events", self.events),
                ("/events/{id}", self.event),
                ("/letters", self.letters),
                ("/silences", self.silences),
            )
        ]

    def _shared(self, page: Callable[[web.Request], Awaitable[str]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            # A browser says so when it is reloaded, and our script when something was done.
            anew = "Cache-Control" in request.headers
            # Those who were told of a change by the stream say of which: they must not be given what was before it.
            key = (request.raw_path, request.get(ROLE), request.headers.get("Last-Event-ID"))
            response = web.Response(text=await self._sharing.get(key, lambda: page(request), anew=anew), content_type="text/html")
            response.enable_compression()
            return response

        return handler

    async def overview(self, request: web.Request) -> str:
        """Every cluster."""
        seen, frame = await self._look(request, overview.look)
        return await _text("overview", frame, lambda: overview.view(seen, frame.seen, frame.health, frame.now))

    async def task(self, request: web.Request) -> str:
        """One task."""
        question = _question(request, task_page.TaskQuestion)
        seen, frame = await self._look(request, lambda tx: task_page.look(tx, question))
        if seen is None:
            raise web.HTTPNotFound(text="There is no such task.")
        return await _text("task", frame, lambda: task_page.view(seen, question, frame.health, frame.now))

    async def events(self, request: web.Request) -> str:
        """What happened."""
        question = _question(request, feed.FeedQuestion)
        seen, frame = await self._look(request, lambda tx: feed.look(tx, question))
        return await _text("events", frame, lambda: feed.view(seen, question, frame.now))

    async def event(self, request: web.Request) -> str:
        """One event."""
        question = _question(request, AboutEvent)
        seen, frame = await self._look(request, lambda tx: event_page.look(tx, question))
        if seen is None:
            raise web.HTTPNotFound(text="There is no such event; what nobody is owed any more is deleted after a month.")
        return await _text("event", frame, lambda: event_page.view(seen, frame.now))

    async def letters(self, request: web.Request) -> str:
        """What was given up."""
        question = _question(request, letter_page.LettersQuestion)
        seen, frame = await self._look(request, lambda tx: letter_page.look(tx, question))
        return await _text("letters", frame, lambda: letter_page.view(seen, question, frame.seen, frame.now))

    async def silences(self, request: web.Request) -> str:
        """What nobody hears of."""
        question = _question(request, AboutSilences)
        seen, frame = await self._look(request, lambda tx: silence_page.look(tx, question, frame_now()))
        return await _text("silences", frame, lambda: silence_page.view(seen, question, frame.now))

    async def _look(self, request: web.Request, look: Callable[[Transaction], T]) -> tuple[T, "Frame"]:
        now, began = frame_now(), time.monotonic()
        seen, found = await self._store.transact(lambda tx: (standing(tx, now), look(tx)))
        return found, Frame(request, seen, self._health(), now, time.monotonic() - began)


def frame_now() -> datetime:
    """The moment that a page speaks of."""
    return datetime.now(UTC)


class Frame:
    """What is around every page."""

    def __init__(self, request: web.Request, seen: Standing, health: Health, now: datetime, took: float) -> None:
        self.seen = seen
        self.health = health
        self.now = now
        self.words = {
            "root": root(request),
            "here": request.path.strip("/").partition("/")[0],
            "query": request.query_string,
            "navigation": [(path, words, _count(path, seen)) for path, words in NAVIGATION],
            "signs": vital_signs(seen, took),
            "problems": problems(seen, health),
            "operates": request.get(ROLE, Role.READ) is Role.OPERATE,
            "now": iso(now.replace(microsecond=0)),
        }


def root(request: web.Request) -> str:
    """The way to the first page, relative, so that a proxy may put all of it below a path of its own."""
    return "../" * (request.path.count("/") - 1) or "./"


def _count(path: str, seen: Standing) -> int:
    return {"letters": seen.dead, "silences": len(seen.silences)}.get(path, 0)


def _question(request: web.Request, kind: type[Q]) -> Q:
    try:
        return kind.model_validate({**request.query, **request.match_info})
    except ValidationError as error:
        raise web.HTTPBadRequest(text=complaint(error)) from None


async def _text(name: str, frame: Frame, view: Callable[[], dict[str, Any]]) -> str:
    # Thousands of clusters take longer than other requests should wait.
    return await asyncio.to_thread(lambda: templates.get_template(f"{name}.html").render(**frame.words, **view()))


def apology(request: web.Request, status: int, title: str, detail: str) -> web.Response:
    """An error for people."""
    text = templates.get_template("error.html").render(root=root(request), status=status, title=title, detail=detail)
    return web.Response(text=text, status=status, content_type="text/html")
