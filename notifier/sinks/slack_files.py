"""Puts the report of a task into its Slack thread: the timeline, and the page it is from.

Slack takes files in three steps (docs.slack.dev/messaging/working-with-files): it is asked where to, the bytes are posted there
without a token, then the files are shared. The scope is ``files:write``.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp
from yarl import URL

from notifier.domain.errors import DeliveryError
from notifier.domain.message import Message, Report
from notifier.domain.words import Words
from notifier.sinks.slack_calls import MessageGone

SCOPE = "files:write"

LONGEST = 4.0
"""Seconds for all three steps: less than the engine gives a send, or the message would be told again for its picture's sake."""


class Calling(Protocol):
    """What is needed of `slack_calls.Calls`."""

    async def call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """Write."""

    async def ask(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """Read."""


async def share(calls: Calling, session: aiohttp.ClientSession, message: Message, words: Words, place: Mapping[str, str]) -> bool:
    """Share a message's report in the thread of the message that has been told.

    A report is worth less than its message, which has arrived: whatever goes wrong here is no failure of the delivery. What may
    have been shared by an earlier try is not shared again.

    Args:
        calls: The workspace.
        session: For the bytes.
        message: That brings a report, or none.
        words: In which it is told.
        place: Where it was told: the ``channel``, and the ``ts`` of the thread's first message.

    Returns:
        Whether it is there.
    """
    if message.report is None or message.may_repeat:
        return False
    said = {
        "channel_id": place["channel"],
        "thread_ts": place["ts"],
        "initial_comment": words.mark(message) + message.report.title,
    }
    try:
        async with asyncio.timeout(LONGEST):
            uploaded = [await _upload(calls, session, *each) for each in _files(message.report, words)]
            files = [file for file in uploaded if file is not None]
            if files:
                await calls.call("files.completeUploadExternal", files=files, **said)
    except (DeliveryError, MessageGone, aiohttp.ClientError, OSError, ValueError):
        return False
    return bool(files)


def _files(report: Report, words: Words) -> list[tuple[str, str, bytes]]:
    """Name, title and bytes of each file."""
    page = ("report.html", words.pair(report.title, words.phrases.around.report), report.html.encode("utf-8", "replace"))
    return [page] if report.png is None else [("timeline.png", report.title, report.png), page]


async def _upload(calls: Calling, session: aiohttp.ClientSession, name: str, title: str, content: bytes) -> dict[str, str] | None:
    answer = await calls.ask("files.getUploadURLExternal", filename=name, length=len(content))
    url, file = answer.get("upload_url"), answer.get("file_id")
    if not isinstance(url, str) or not isinstance(file, str):
        return None
    async with session.post(URL(url, encoded=True), data=content, allow_redirects=False) as response:
        return {"id": file, "title": title} if response.status == HTTPStatus.OK else None
