"""Slack: one living message per task, edited in place, with what matters in its thread and what is urgent in the channel.

Guarantee, as a bot: a message is seen once. Edits say the same however often they are made; before a message whose first try may
have got through is posted again, it is looked for by its metadata. Where it cannot be looked for (a scope is missing, Slack
throttles) it is posted again. Through an incoming webhook, which can neither edit nor look: at least once.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from yarl import URL

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Event, Kind
from notifier.domain.plain_text import json_line
from notifier.sinks.contract import SinkSettings, Surroundings
from notifier.sinks.posting import Mask, failure, post, secrets_of
from notifier.sinks.slack_calls import Calls, MessageGone
from notifier.sinks.slack_card import Card

Place = Literal["root", "thread", "channel"]

PLACES: Mapping[Kind, Place] = {
    Kind.TASK_RETRIED: "thread",
    Kind.TASK_RESUMED: "thread",
    Kind.NODE_COMPLETED: "thread",
    Kind.NODE_FAILED: "thread",
    Kind.STAGE_FAILED: "thread",
    Kind.TASK_SUCCEEDED: "channel",
    Kind.TASK_FAILED: "channel",
    Kind.TASK_PARTIALLY_FAILED: "channel",
    Kind.TASK_STALLED: "channel",
    Kind.TASK_VANISHED: "channel",
    Kind.CLUSTER_UNREACHABLE: "channel",
    Kind.CLUSTER_RECOVERED: "channel",
    Kind.CLUSTER_DISCOVERED: "channel",
    Kind.CLUSTER_FORGOTTEN: "channel",
}
"""Where a kind is told besides the living message; what is not listed changes only that. A quiet channel by default."""

EVENT_TYPE = "css_upgrade"
LOOKED_BACK = 100
"""Messages that are looked through for one that may have got through already."""

SCOPES: Mapping[str, str] = {
    "chat:write": "to post and to edit",
    "channels:history": "to find out whether a message got through before posting it again, in public channels",
    "groups:history": "the same in private channels",
}


def _secret_url(value: SecretStr) -> SecretStr:
    try:
        url = URL(value.get_secret_value())
    except ValueError:
        raise ValueError("is no URL") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("must begin with https://")
    return value


class Settings(SinkSettings):
    """A bot's ``token`` and a ``channel``, or the ``url`` of an incoming webhook.

    Attributes:
        token: ``xoxb-…``; ``docs/slack.md`` has the manifest of an app to make.
        channel: Its id, as ``C0123456789``: names can change.
        url: Of an incoming webhook: no edits, no threads.
        base_url: Of the Web API.
        places: Kinds and where they are told, instead of the defaults: ``root``, ``thread`` or ``channel``.
        every: Seconds between two edits of one message, unless something urgent happens.
    """

    default_rate: ClassVar[float] = 0.7
    """Messages a second: ``chat.update`` is Tier 3, 50 a minute and workspace, a channel takes about one post a second
    (docs.slack.dev/apis/web-api/rate-limits)."""

    token: Annotated[SecretStr, Field(min_length=1, max_length=500)] | None = None
    channel: Annotated[str, Field(pattern=r"^[CGD][A-Z0-9]{5,20}$")] | None = None
    url: Annotated[SecretStr, AfterValidator(_secret_url)] | None = None
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$", max_length=300)] = "https://slack.com/api/"
    places: Mapping[Kind, Place] = {}
    every: Annotated[float, Field(ge=0.0, le=600.0)] = 10.0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.token is None) == (self.url is None):
            raise ValueError("give a bot's token and channel, or the url of an incoming webhook")
        if (self.token is None) != (self.channel is None):
            raise ValueError("a token needs a channel (its id, as C0123456789), and a webhook has one already")
        return self


class Sink:
    """Serves one channel."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._session = surroundings.session
        self._card = Card(surroundings.words, surroundings.page)
        self._calls: Calls | None = None
        if settings.token is not None:
            self._calls = Calls(settings.token, settings.base_url.rstrip("/") + "/", surroundings.session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass  # the session is lent

    def patience(self, event: Event) -> float | None:
        """See `Patient`: what only changes the living message may wait to be merged."""
        if self._calls is None:
            return 0.0
        return self._settings.every if self._place(event) == "root" and event.kind is not Kind.TASK_STARTED else 0.0

    async def check(self) -> list[str]:
        """What the bot's token lacks, in words."""
        if self._calls is None:
            return []
        try:
            held = await self._calls.scopes()
        except DeliveryError as error:
            return [error.detail]
        return [f"the scope {scope} is missing: {use}" for scope, use in SCOPES.items() if scope not in held]

    async def send(self, message: Message, last: Receipt | None) -> Receipt:
        """Edit the living message, and say in its thread what deserves it.

        Raises:
            DeliveryError: Not all of it was confirmed.
        """
        if self._calls is None:
            return await self._hook(message)
        fields = {} if last is None else dict(last.fields)
        root = fields.get("ts") if fields.get("channel") == self._settings.channel and not message.mark else None
        if root is None:
            return await self._post_root(message, None)
        if message.event.task is not None:
            try:
                await self._update(message, root)
            except MessageGone:
                return await self._post_root(message, "deleted")
        # The message that made the root, told again: it has been said.
        if self._place(message.event) != "root" and fields.get("delivery") != message.id:
            await self._reply(message, root)
        return self._receipt(message, root)

    def _place(self, event: Event) -> Place:
        return self._settings.places.get(event.kind) or PLACES.get(event.kind, "root")

    def _receipt(self, message: Message, root: str) -> Receipt:
        return Receipt({"channel": self._settings.channel or "", "ts": root, "delivery": message.id})

    async def _post_root(self, message: Message, note: str | None) -> Receipt:
        if message.may_repeat and (found := await self._found("conversations.history", message, {})):
            return self._receipt(message, found)
        blocks = self._card.root(message, note=note)
        return self._receipt(message, await self._post(message, blocks))

    async def _update(self, message: Message, root: str) -> None:
        content: dict[str, Any] = {"text": self._card.fallback(message), "blocks": self._card.root(message)}
        await self._blocked("chat.update", ts=root, metadata=_metadata(message), **content)

    async def _reply(self, message: Message, root: str) -> None:
        try:
            if message.may_repeat and await self._found("conversations.replies", message, {"ts": root}):
                return
            more = {"thread_ts": root, "reply_broadcast": self._place(message.event) == "channel"}
            await self._post(message, self._card.reply(message), **more)
        except MessageGone:
            # Deleted between the edit and the reply. The next try finds no root to edit and posts a new one.
            detail = "the message to be answered was deleted"
            raise DeliveryError(Outcome.RETRY, DeliveryReason.MISSING, detail) from None

    async def _post(self, message: Message, blocks: list[dict[str, Any]], **more: Any) -> str:
        quiet = {"unfurl_links": False, "unfurl_media": False, "link_names": False, "parse": "none"}
        content: dict[str, Any] = {"text": self._card.fallback(message), "blocks": blocks, "metadata": _metadata(message)}
        answer = await self._blocked("chat.postMessage", **content, **quiet, **more)
        ts = answer.get("ts")
        if not isinstance(ts, str) or not ts:
            raise DeliveryError(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, "chat.postMessage: an answer without ts")
        return ts

    async def _blocked(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """A call with blocks; without them where Slack will not have these."""
        if self._calls is None:
            raise RuntimeError("There is no bot.")
        try:
            return await self._calls.call(method, channel=self._settings.channel, **arguments)
        except DeliveryError as error:
            if error.reason not in {DeliveryReason.INVALID, DeliveryReason.TOO_LARGE}:
                raise
            del arguments["blocks"]
            return await self._calls.call(method, channel=self._settings.channel, **arguments)

    async def _found(self, method: str, message: Message, where: Mapping[str, Any]) -> str | None:
        """The ``ts`` of the message if an earlier try got through; None if it did not, or if that cannot be found out."""
        if self._calls is None:
            return None
        try:
            answer = await self._calls.ask(
                method, channel=self._settings.channel, limit=LOOKED_BACK, include_all_metadata=True, **where
            )
        except DeliveryError as error:
            if error.outcome is Outcome.REJECTED or error.reason is DeliveryReason.THROTTLED:
                return None  # Better twice than never.
            raise
        for each in answer.get("messages") or ():
            said = (each.get("metadata") or {}).get("event_payload") or {}
            # The first of a thread is the message that is answered.
            if said.get("delivery") == message.id and each.get("ts") not in {None, where.get("ts")}:
                return str(each["ts"])
        return None

    async def _hook(self, message: Message) -> Receipt:
        url = self._settings.url
        if url is None:
            raise RuntimeError("There is neither a bot nor a webhook.")
        address = URL(url.get_secret_value())
        body = json_line({"text": self._card.fallback(message), "blocks": self._card.root(message)}).encode()
        answer = await post(self._session, address, body, {"Content-Type": "application/json"}, mask=Mask(secrets_of(address)))
        if error := failure(answer):
            raise error
        if answer.excerpt != "ok":
            raise DeliveryError(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, f"no 'ok': {answer.words}", scope=Scope.SINK)
        return Receipt()


def _metadata(message: Message) -> dict[str, Any]:
    """What a message is found by; visible to every app of the workspace, so no more than ids."""
    return {"event_type": EVENT_TYPE, "event_payload": {"delivery": message.id, "event": message.event.id}}
