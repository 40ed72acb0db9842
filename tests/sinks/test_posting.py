"""What is read of an answer: to be parsed, to be shown, or nothing at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from sink_receivers import Handler, hook
from yarl import URL

from notifier.outbound import open_session
from notifier.sinks import posting
from notifier.sinks.posting import QUOTED, READ_AT_MOST, Answer, Mask, post


@asynccontextmanager
async def answered(handler: Handler) -> AsyncIterator[Answer]:
    async with hook(handler) as receiver, open_session(total=60.0) as session:
        headers = {"Content-Type": "application/json"}
        yield await post(session, URL(receiver.url), b"{}", headers, mask=Mask(["canary-key"]))


async def test_a_body_is_parsed_whole_and_shown_masked_and_short() -> None:
    said = '{"key": "canary-key", "message": "' + "x" * 2 * QUOTED + '"}'

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=said)

    async with answered(answer) as found:
        assert found.body == said
        assert found.json == {"key": "canary-key", "message": "x" * 2 * QUOTED}
        assert found.excerpt.startswith('{"key": "***", "message": "xxx')
        assert len(found.excerpt) <= QUOTED
        assert "canary" not in repr(found) + found.words


async def test_a_body_that_is_empty_was_read() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    async with answered(answer) as found:
        assert (found.body, found.excerpt, found.json) == ("", "", None)


async def test_a_body_that_is_too_long_was_not_read() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()  # without a length: it has to be counted
        await response.prepare(request)
        await response.write(b"[" * (READ_AT_MOST + 1))
        return response

    async with answered(answer) as found:
        assert (found.status, found.body, found.excerpt, found.json) == (200, None, "", None)


async def test_a_body_that_does_not_end_in_time_was_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "READ_FOR", 0.05)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{}")
        await asyncio.Event().wait()
        return response

    async with answered(answer) as found:
        assert (found.status, found.body, found.json) == (200, None, None)


@pytest.mark.parametrize("body", ["<html>", "[" * READ_AT_MOST, "1" * READ_AT_MOST, None])
def test_what_is_no_json_says_nothing(body: str | None) -> None:
    assert Answer(200, "", None, None, body).json is None
