"""The report of a task comes into its Slack thread, and never costs the message that brought it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from fake_slack import Unhurried
from pydantic import SecretStr

from notifier.domain.message import Message, Report
from notifier.domain.model import Kind
from notifier.domain.samples import sample
from notifier.domain.words import Words
from notifier.outbound import open_session
from notifier.sinks import slack_files
from notifier.sinks.contract import Surroundings
from notifier.sinks.slack import Settings, Sink
from notifier.sinks.slack_calls import Calls
from notifier.sinks.slack_files import share

REPORT = Report("search-prod · upgrade", "<svg/>", "<!doctype html>", b"\x89PNG")
TOLD = replace(sample(Kind.TASK_FAILED, mark=None), report=REPORT)


@dataclass
class Files:
    """The part of Slack that takes files; ``fault`` is what it answers to a method, or to the bytes."""

    fault: dict[str, Any] = field(default_factory=dict)
    uploaded: dict[str, bytes] = field(default_factory=dict)
    tokens: list[str | None] = field(default_factory=list)
    shared: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    async def api(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        if method in self.fault:
            return web.json_response(self.fault[method])
        if method == "files.getUploadURLExternal":
            number = len(self.uploaded)
            assert int(request.query["length"]) > 0
            return web.json_response(
                {"ok": True, "upload_url": f"{self.url}/upload/{request.query['filename']}?key=a%2Fb", "file_id": f"F{number}"}
            )
        if method == "chat.postMessage":
            return web.json_response({"ok": True, "ts": "1700000000.000002"})
        self.shared.append(await request.json())
        return web.json_response({"ok": True})

    async def bytes(self, request: web.Request) -> web.Response:
        if self.fault.get("bytes") == "hang":
            await asyncio.Event().wait()
        self.tokens.append(request.headers.get("Authorization"))
        self.uploaded[request.match_info["name"]] = await request.read()
        return web.Response(status=self.fault.get("bytes", 200))


@asynccontextmanager
async def slack(**fault: Any) -> AsyncIterator[Files]:
    files = Files({name.replace("_", "."): answer for name, answer in fault.items()})
    app = web.Application()
    app.add_routes([web.route("*", "/api/{method}", files.api), web.post("/upload/{name}", files.bytes)])
    async with TestServer(app) as server:
        files.url = str(server.make_url("")).rstrip("/")
        yield files


async def shared(files: Files, message: Message) -> bool:
    async with open_session() as session:
        calls = Calls(SecretStr("xoxb-canary"), f"{files.url}/api/", session)
        return await share(calls, session, message, Words(), {"channel": "C0123456789", "ts": "1700000000.000001"})


async def test_the_timeline_and_the_page_come_into_the_thread_as_one_message() -> None:
    async with slack() as files:
        assert await shared(files, TOLD)
    assert files.uploaded == {"timeline.png": REPORT.png, "report.html": REPORT.html.encode()}
    (said,) = files.shared
    assert [file["title"] for file in said["files"]] == ["search-prod · upgrade", "search-prod · upgrade: report"]
    assert (said["channel_id"], said["thread_ts"]) == ("C0123456789", "1700000000.000001")
    assert files.tokens == [None, None], "the bytes go without the token"


async def test_the_sink_brings_the_report_into_the_thread_of_its_message() -> None:
    async with slack() as files, open_session() as session:
        given = Settings.model_validate({"token": "xoxb-canary", "channel": "C0123456789", "base_url": f"{files.url}/api"})
        async with Sink(given, Surroundings("team", session, paces=Unhurried())) as sink:
            receipt = await sink.send(TOLD, None)
    (said,) = files.shared
    assert (said["channel_id"], said["thread_ts"]) == (receipt.fields["channel"], receipt.fields["ts"])


async def test_without_a_picture_the_page_comes_alone_and_a_drill_says_so() -> None:
    async with slack() as files:
        assert await shared(files, replace(TOLD, mark="DRILL", report=replace(REPORT, png=None)))
    assert list(files.uploaded) == ["report.html"]
    assert files.shared[0]["initial_comment"] == "[DRILL] search-prod · upgrade"


@pytest.mark.parametrize("message", [replace(TOLD, report=None), replace(TOLD, may_repeat=True)], ids=["none", "a repeat"])
async def test_what_has_no_report_or_may_have_brought_it_shares_nothing(message: Message) -> None:
    async with slack() as files:
        assert not await shared(files, message)
    assert not files.uploaded


@pytest.mark.parametrize(
    "fault",
    [
        {"files_getUploadURLExternal": {"ok": False, "error": "missing_scope", "needed": "files:write"}},
        {"files_getUploadURLExternal": {"ok": True}},
        {"files_getUploadURLExternal": {"ok": True, "upload_url": "no url", "file_id": "F1"}},
        {"files_getUploadURLExternal": {"ok": True, "upload_url": "http://127.0.0.1:9/closed", "file_id": "F1"}},
        {"files_completeUploadExternal": {"ok": False, "error": "thread_not_found"}},
        {"files_completeUploadExternal": {"ok": False, "error": "internal_error"}},
        {"bytes": 500},
    ],
    ids=["no scope", "no address", "nonsense", "closed", "thread gone", "internal", "bytes refused"],
)
async def test_whatever_goes_wrong_is_no_failure_of_the_message(fault: dict[str, Any]) -> None:
    async with slack(**fault) as files:
        assert not await shared(files, TOLD)
    assert not files.shared


async def test_a_slack_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack_files, "LONGEST", 0.1)
    async with slack(bytes="hang") as files:
        assert not await shared(files, TOLD)
