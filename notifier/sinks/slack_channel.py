"""A channel as the bot sees it: messages are posted, edited and looked for, at the pace that Slack allows."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.sinks.pace import Pace
from notifier.sinks.slack_blocks import Block
from notifier.sinks.slack_calls import Calls

RATE = 0.7
"""Messages a second and workspace: ``chat.update`` is Tier 3, 50 a minute (docs.slack.dev/apis/web-api/rate-limits)."""

POST_GAP = 1.05
"""Seconds between two posts to one channel, of which Slack takes about one a second."""

LONGEST_QUEUE = 4.0
"""Seconds that a post waits for its turn in the channel: well within what a send may take, or it would seem to have got lost."""

LOOKED_AT, PAGES = 200, 5
"""Messages of a page, and pages, that are looked through for one that may have got through already: all since it was news, as a
rule. What lies behind more of them in so short a time is not found."""

LONGEST_LOOK = 5.0
"""Seconds after which no further page is asked for: looking must leave time for posting."""

QUIET: Mapping[str, Any] = {"unfurl_links": False, "unfurl_media": False, "link_names": False, "parse": "none"}

Forms = Sequence[list[Block]]
"""The same message in several forms: what not every workspace takes comes before what is plainer."""


class CannotLook(Exception):
    """Whether a message is there cannot be found out, and never will be: a scope is missing, or it lies too far back.

    It is counted by then: who looks does without.
    """


class Channel:
    """One channel. ``pace`` is that of all edits of the workspace, ``posts`` that of all posts to this channel.

    ``went_without``: see `notifier.sinks.contract.Surroundings`.

    Attributes:
        native: False once the workspace has refused blocks that it does not know, and taken plainer ones.
    """

    def __init__(self, calls: Calls, channel: str, pace: Pace, posts: Pace, went_without: Callable[[str, str], None]) -> None:
        self._calls = calls
        self._channel = channel
        self._pace = pace
        self._posts = posts
        self._went_without = went_without
        self.native = True

    async def post(self, text: str, forms: Forms, metadata: Mapping[str, Any], **more: Any) -> str:
        """Post a message; its ``ts``.

        Raises:
            DeliveryError: It was not confirmed, or the channel's next turn is far off.
            MessageGone: The message that it answers is gone.
        """
        wait = await self._posts.take(POST_GAP, within=LONGEST_QUEUE)
        if wait > LONGEST_QUEUE:
            detail = f"others post to this channel for the next {wait:.0f} s"
            raise DeliveryError(Outcome.RETRY, DeliveryReason.THROTTLED, detail, scope=Scope.SINK, retry_after=wait)
        await asyncio.sleep(wait)
        answer = await self._blocked("chat.postMessage", forms, text=text, metadata=metadata, **QUIET, **more)
        ts = answer.get("ts")
        if not isinstance(ts, str) or not ts:
            raise DeliveryError(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, "chat.postMessage: an answer without ts")
        return ts

    async def edit(
        self, ts: str, text: str, forms: Forms, *, metadata: Mapping[str, Any] | None = None, extra: bool = False, **more: Any
    ) -> None:
        """Change a message; its metadata stays unless given. ``extra``: nobody has counted this call yet.

        Raises:
            DeliveryError: It was not confirmed.
            MessageGone: There is no such message any more.
        """
        if extra:
            await self._pace.take(1 / RATE)
        said = {} if metadata is None else {"metadata": metadata}
        await self._blocked("chat.update", forms, ts=ts, text=text, **said, **more)

    async def whisper(self, channel: str, user: str, text: str) -> None:
        """Say something that only one person sees. Raises `DeliveryError`."""
        await self._calls.call("chat.postEphemeral", channel=channel, user=user, text=text, **QUIET)

    async def open(self, trigger: str, view: Mapping[str, Any]) -> str | None:
        """Open a window for whoever has just pressed or commanded; its id. Raises `DeliveryError`."""
        answer = (await self._calls.call("views.open", trigger_id=trigger, view=view)).get("view")
        found = answer.get("id") if isinstance(answer, dict) else None
        return found if isinstance(found, str) and found else None

    async def fill(self, window: str, view: Mapping[str, Any]) -> None:
        """Change what a window shows. Raises `DeliveryError`, or `MessageGone` where it was closed."""
        await self._calls.call("views.update", view_id=window, view=view)

    async def find(self, delivery: str, thread: str | None = None, after: str | None = None) -> str | None:
        """The ``ts`` of a message of the channel, or of a thread, by the delivery in its metadata; None: it is not there.

        ``after``: Only messages behind this ``ts`` are looked at. Threads are listed from their beginning, and may be long.

        Raises:
            DeliveryError: It cannot be found out for now.
            CannotLook: It cannot be found out at all, or among too many messages.
        """
        until = time.monotonic() + LONGEST_LOOK
        where: dict[str, Any] = {} if thread is None else {"ts": thread}
        if after is not None:
            where["oldest"] = after
        method = "conversations.history" if thread is None else "conversations.replies"
        for _ in range(PAGES):
            try:
                answer = await self._calls.ask(method, channel=self._channel, limit=LOOKED_AT, include_all_metadata=True, **where)
            except DeliveryError as error:
                if error.outcome is Outcome.REJECTED:
                    raise self._blind(error.detail) from None
                raise
            for each in answer.get("messages") or ():
                said = (each.get("metadata") or {}).get("event_payload") or {}
                # The first of a thread is the message that is answered.
                if said.get("delivery") == delivery and each.get("ts") not in {None, thread}:
                    return str(each["ts"])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return None
            if time.monotonic() >= until:
                break
            where["cursor"] = cursor
        raise self._blind(f"{method}: too many messages")

    def _blind(self, why: str) -> CannotLook:
        self._went_without("look", why)
        return CannotLook(why)

    async def probe(self) -> None:
        """Look into the channel, to see whether it is there and we are in it. Raises `DeliveryError`."""
        await self._calls.ask("conversations.history", channel=self._channel, limit=1)

    async def _blocked(self, method: str, forms: Forms, **arguments: Any) -> Mapping[str, Any]:
        """A call with blocks, in the first form that the workspace takes; without any where it takes none.

        What it will not have is refused without anything being posted, so it is no failed try.
        """
        arguments = {"channel": self._channel, **arguments}
        for number, form in enumerate(forms):
            try:
                answer = await self._calls.call(method, blocks=form, **arguments)
            except DeliveryError as error:
                if error.reason is DeliveryReason.THROTTLED and method == "chat.update":
                    # It is said of the workspace, so the other channels wait too.
                    await self._pace.take(error.retry_after or 0.0)
                if error.reason not in {DeliveryReason.INVALID, DeliveryReason.TOO_LARGE}:
                    raise
                await self._pace.take(1 / RATE)  # The engine has counted one call.
            else:
                # Only the plainer form has shown that it was the native one that the workspace does not take.
                self.native = self.native and number == 0
                return answer
        return await self._calls.call(method, **arguments)
