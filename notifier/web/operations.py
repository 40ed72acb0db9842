"""An operation of the REST API: asked with one model, answered with another; its route and its place in the document follow."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Generic, Literal, TypeVar

from aiohttp import ETag, web
from pydantic import BaseModel, ValidationError

from notifier.web.questions import complaint
from notifier.web.wishes import said

PATIENCE = 10.0
"""Seconds that a body may take to arrive."""

Q = TypeVar("Q", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Operation(Generic[Q]):
    """What is answered at one address.

    Attributes:
        method: GET reads and may be asked with the read token; POST changes something.
        path: Its variable parts in braces are fields of ``ask``.
        ask: What may be said: the path and the query for GET, the body for POST.
        answer: What comes back.
        act: Answers.
    """

    method: Literal["GET", "POST"]
    path: str
    ask: type[Q]
    answer: type[BaseModel]
    act: Callable[[Q], Awaitable[BaseModel]]

    @property
    def name(self) -> str:
        """What it is called in the document."""
        return self.act.__name__

    @property
    def words(self) -> str:
        """What it does, in a sentence or two."""
        return " ".join((self.act.__doc__ or "").split())

    @property
    def places(self) -> frozenset[str]:
        """The variable parts of the path."""
        return frozenset(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def route(self) -> web.RouteDef:
        """Where it is answered."""
        return web.get(self.path, self._read) if self.method == "GET" else web.post(self.path, self._change)

    async def _read(self, request: web.Request) -> web.Response:
        response = await asyncio.to_thread(_response, await self.act(self._question(request)))
        response.etag = ETag(sha256(response.body if isinstance(response.body, bytes) else b"").hexdigest()[:32])
        same = request.if_none_match or ()
        # https://www.rfc-editor.org/rfc/rfc9110#name-if-none-match: compared weakly, and * is whatever there is.
        if any(each.value in {"*", response.etag.value} for each in same):
            return web.Response(status=304, headers={"ETag": response.headers["ETag"]})
        return response

    def _question(self, request: web.Request) -> Q:
        known = frozenset(self.ask.model_fields) - self.places
        asked = dict(request.query)
        if len(asked) < len(request.query):
            raise web.HTTPBadRequest(text="A parameter is given twice.")
        for name in asked:
            if name not in known:
                # A part of the path is not to be had by a parameter.
                expected = ", ".join(sorted(known)) or "none"
                raise web.HTTPBadRequest(text=f"Unknown parameter {name[:40]!r}; known here: {expected}.")
        try:
            return self.ask.model_validate({**asked, **request.match_info})
        except ValidationError as error:
            raise web.HTTPBadRequest(text=complaint(error)) from None

    async def _change(self, request: web.Request) -> web.Response:
        # A form cannot post JSON, so a foreign page cannot either without asking first.
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="Send application/json.")
        if request.query:
            raise web.HTTPBadRequest(text="What is wished for stands in the body; there are no parameters.")
        try:
            async with asyncio.timeout(PATIENCE):
                body = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text=f"The body did not arrive within {PATIENCE:.0f} seconds.") from None
        try:
            wish = self.ask.model_validate_json(body)
        except ValidationError as error:
            raise web.HTTPBadRequest(text=said(error)) from None
        return _response(await self.act(wish))


def _response(answer: BaseModel) -> web.Response:
    return web.Response(body=answer.model_dump_json().encode(), content_type="application/json", charset="utf-8")
