"""Slack: one living message per task, edited in place, with what matters in its thread and what is urgent in the channel.

Guarantee, as a bot: a message is seen once. Edits say the same however often they are made; before a message whose first try may
have got through is posted again, it is looked for by its metadata. Where it cannot be looked for, since a scope is missing, it is
posted again and says so. Through an incoming webhook, which can neither edit nor look: at least once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from yarl import URL

from notifier.domain.duration import spelled
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Event, Kind, Severity
from notifier.domain.plain_text import json_line
from notifier.domain.render import render
from notifier.domain.silences import Silence
from notifier.sinks.contract import Duration, SinkSettings, Surroundings
from notifier.sinks.desk import DeskClosed
from notifier.sinks.posting import Mask, failure, post, secrets_of
from notifier.sinks.slack_board import Board
from notifier.sinks.slack_calls import Calls, MessageGone
from notifier.sinks.slack_card import Card
from notifier.sinks.slack_channel import RATE, CannotLook, Channel, Forms
from notifier.sinks.slack_files import share
from notifier.sinks.slack_modal import View
from notifier.sinks.slack_scopes import lacking, unseen
from notifier.sinks.slack_socket import Socket, together
from notifier.sinks.slack_talk import Talk

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
"""Where a kind is told besides the living message. Of the others, what is a warning or worse is told in the channel, and the rest
changes only the message: a quiet channel by default."""

EVENT_TYPE = "css_upgrade"

MOST_BETWEEN = 600.0
"""Seconds; a card that is edited more seldom is not a living one."""

LEAST_OF_BOARD = 5.0
"""Seconds between two looks at what the board should say."""

TRIGGERED = 3.0
"""Seconds within which a press opens a window; after that its trigger has expired (docs.slack.dev, modals)."""

CLOCKS_APART = timedelta(hours=2)
"""By which ours and Slack's may differ: what was posted since something was news is looked through for it."""

REDRAWS = 3
"""How often a card is drawn again because its task moved on meanwhile; its next edit is due then anyway."""


def _secret_url(value: SecretStr) -> SecretStr:
    try:
        url = URL(value.get_secret_value())
    except ValueError:
        raise ValueError("is no URL") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("must begin with https://")
    return value


def _soon(seconds: float) -> float:
    if seconds > MOST_BETWEEN:
        raise ValueError(f"must be {spelled(MOST_BETWEEN)} at the most")
    return seconds


class Settings(SinkSettings):
    """A bot's ``token`` and a ``channel``, or the ``url`` of an incoming webhook.

    Attributes:
        token: ``xoxb-…``; ``docs/slack.md`` has the manifest of an app to make.
        channel: Its id, as ``C0123456789``: names can change.
        url: Of an incoming webhook: no edits, no threads.
        base_url: Of the Web API.
        places: Kinds and where they are told, instead of the defaults: ``root``, ``thread`` or ``channel``.
        every: Between two edits of one message, unless something urgent happens.
        app_token: ``xapp-…``: buttons and the slash command, over a connection that we open (Socket Mode).
        board: Keep one message with a line for each cluster that moves.
    """

    default_rate: ClassVar[float] = RATE

    token: Annotated[SecretStr, Field(min_length=1, max_length=500)] | None = None
    channel: Annotated[str, Field(pattern=r"^[CGD][A-Z0-9]{5,20}$")] | None = None
    url: Annotated[SecretStr, AfterValidator(_secret_url)] | None = None
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$", max_length=300)] = "https://slack.com/api/"
    places: Mapping[Kind, Place] = {}
    every: Annotated[Duration, AfterValidator(_soon)] = 10.0
    app_token: Annotated[SecretStr, Field(min_length=1, max_length=500)] | None = None
    board: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.token is None) == (self.url is None):
            raise ValueError("give a bot's token and channel, or the url of an incoming webhook")
        if (self.token is None) != (self.channel is None):
            raise ValueError("a token needs a channel (its id, as C0123456789), and a webhook has one already")
        if self.url is not None and (self.app_token is not None or self.board):
            raise ValueError("an incoming webhook has no buttons and no board: give a bot's token and channel")
        return self


class Sink:
    """Serves one channel."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._session = surroundings.session
        self._desk = surroundings.desk
        self._name = surroundings.name
        self._report = surroundings.report
        interactive = settings.app_token is not None and surroundings.desk is not None
        self._card = Card(surroundings.words, surroundings.page, listens=interactive)
        self._calls: Calls | None = None
        self._channel: Channel | None = None
        # A token has one allowance for its whole workspace, whichever channel and sink it is used for.
        account = (settings.token or settings.url or SecretStr("")).get_secret_value()
        self.pace = surroundings.paces.of("slack", settings.base_url, account)
        self._looks = surroundings.paces.of("slack board", surroundings.name)
        if settings.token is not None and settings.channel is not None:
            posts = surroundings.paces.of("slack", settings.base_url, account, settings.channel)
            self._calls = self._speaking_as(settings.token)
            self._channel = Channel(self._calls, settings.channel, self.pace, posts, surroundings.went_without)

    def _speaking_as(self, token: SecretStr) -> Calls:
        return Calls(token, self._settings.base_url.rstrip("/") + "/", self._session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass  # the session is lent

    def patience(self, event: Event) -> float | None:
        """See `Patient`: what only changes the living message may wait to be merged."""
        if self._channel is None:
            return 0.0
        return self._settings.every if self._place(event) == "root" and event.kind is not Kind.TASK_STARTED else 0.0

    async def check(self) -> list[str]:
        """What the tokens lack and whether the channel can be reached, in words."""
        if self._calls is None or self._channel is None:
            return []
        channel, interactive = self._settings.channel or "", self._settings.app_token is not None
        try:
            held = await self._calls.scopes()
        except DeliveryError as error:
            return [error.detail]
        problems = [*lacking(held, app_token=interactive, report=self._report)]
        try:
            await self._channel.probe()
        except DeliveryError as error:
            scopes = unseen(channel, held) if error.reason is DeliveryReason.REFUSED else ()
            problems += scopes or [f"channel {channel}: {error.detail}; give the channel's id and invite the bot to it"]
        if self._settings.app_token is not None:
            try:
                await Socket(self._speaking_as(self._settings.app_token), self._session).address()
            except DeliveryError as error:
                needed = "buttons need one that begins with xapp- and has the scope connections:write"
                problems.append(f"app_token: {error.detail}; {needed}")
        return problems

    async def listen(self) -> None:
        """See `Listening`: hear presses and commands with an app token, keep the board if there is one."""
        if self._desk is None or self._channel is None:
            return
        work = []
        if self._settings.app_token is not None:
            socket = Socket(self._speaking_as(self._settings.app_token), self._session)
            work.append(socket.listen(Talk(self._desk, self._card, self).hear))
        if self._settings.board:
            board = Board(self._name, self._card, self._desk, self._channel, self._looks)
            work.append(board.keep(max(self._settings.every, LEAST_OF_BOARD)))
        await together(*work)

    async def whisper(self, channel: str, user: str, text: str) -> None:
        """See `Voice`."""
        await _there(self._channel).whisper(channel, user, text)

    async def open(self, trigger: str, view: View) -> str | None:
        """See `Voice`."""
        try:
            async with asyncio.timeout(TRIGGERED):
                return await _there(self._channel).open(trigger, view)
        except (DeliveryError, TimeoutError):
            return None

    async def fill(self, window: str, view: View) -> None:
        """See `Voice`."""
        with suppress(MessageGone):  # Whoever has closed it does not want to know any more.
            await _there(self._channel).fill(window, view)

    async def redraw(self, event: Event, channel: str, ts: str) -> None:
        """See `Voice`: with the newest state, even if that changes while we draw."""
        drawn: Event | None = None
        for _ in range(REDRAWS):
            # A card about a cluster is one message for one event; a task's shows what is newest.
            newest = None if event.task is None or self._desk is None else await self._desk.newest(like=event)
            newest = newest or event
            if drawn is not None and drawn.id == newest.id:
                return
            drawn = newest
            message = render(drawn, delivery_id="", attempt=1, may_repeat=False, skipped=0, now=drawn.observed_at)
            forms = await self._forms(message, None)
            try:
                await _there(self._channel).edit(ts, self._card.fallback(message), forms, extra=True, channel=channel)
            except MessageGone:
                return

    async def send(self, message: Message, last: Receipt | None) -> Receipt:
        """Edit the living message, and say in its thread what deserves it.

        Raises:
            DeliveryError: Not all of it was confirmed.
        """
        if self._channel is None or self._calls is None:
            return await self._hook(message)
        receipt = await self._living(message, last)
        await share(self._calls, self._session, message, self._card.words, receipt.fields)
        return receipt

    async def _living(self, message: Message, last: Receipt | None) -> Receipt:
        fields = {} if last is None else dict(last.fields)
        root = fields.get("ts") if fields.get("channel") == self._settings.channel and not message.mark else None
        told = fields.get("delivery") == message.id  # The message that made the root, told again.
        if root is None or (_begins_anew(message.event, self._place(message.event)) and not told):
            return await self._post_root(message, None)
        if message.event.task is not None:
            forms = await self._forms(message, None)
            try:
                await _there(self._channel).edit(root, self._card.fallback(message), forms, metadata=_metadata(message))
            except MessageGone:
                return await self._post_root(message, self._card.words.phrases.around.deleted)
        newest = fields.get("newest", root)
        # What is old may be merged into a message that only changes the card, and the next edit would take it away again.
        speaks = any(self._place(event) != "root" for event in (message.event, *message.earlier))
        if (speaks or message.reminder) and not told:
            newest = await self._reply(message, root, newest)
        return self._receipt(message, root, newest)

    def _place(self, event: Event) -> Place:
        usual: Place = "channel" if event.severity >= Severity.WARNING else "root"
        return self._settings.places.get(event.kind) or PLACES.get(event.kind, usual)

    def _receipt(self, message: Message, root: str, newest: str) -> Receipt:
        """``newest``: the last message of the thread that is known; what is looked for lies behind it."""
        return Receipt({"channel": self._settings.channel or "", "ts": root, "newest": newest, "delivery": message.id})

    async def _post_root(self, message: Message, note: str | None) -> Receipt:
        news = message.event.observed_at - CLOCKS_APART
        found, note = await self._found(message, note, after=f"{news.timestamp():.6f}")
        if found is None:
            forms = await self._forms(message, note)
            found = await _there(self._channel).post(self._card.fallback(message), forms, _metadata(message))
        return self._receipt(message, found, found)

    async def _forms(self, message: Message, note: str | None) -> Forms:
        silences: Sequence[Silence] = ()
        if self._desk is not None:
            with suppress(DeskClosed):  # A card that does not say who acknowledged is better than none.
                silences = await self._desk.silences(message.event)
        plainer = self._card.root(message, note=note, silences=silences, native=False)
        native = self._card.root(message, note=note, silences=silences) if _there(self._channel).native else plainer
        return [plainer] if native == plainer else [native, plainer]

    async def _reply(self, message: Message, root: str, newest: str) -> str:
        """Say it in the thread, unless it is there; its ``ts``."""
        try:
            found, note = await self._found(message, None, thread=root, after=newest)
            if found is not None:
                return found
            more = {"thread_ts": root, "reply_broadcast": self._place(message.event) == "channel"}
            forms = [self._card.reply(message, note=note)]
            return await _there(self._channel).post(self._card.fallback(message), forms, _metadata(message), **more)
        except MessageGone:
            # Deleted between the edit and the reply. The next try finds no root to edit and posts a new one.
            detail = "the message to be answered was deleted"
            raise DeliveryError(Outcome.RETRY, DeliveryReason.MISSING, detail) from None

    async def _found(self, message: Message, note: str | None, **where: str) -> tuple[str | None, str | None]:
        """The ``ts`` of the message if an earlier try got through, and what is to be noted in it if it is posted now."""
        if not message.may_repeat:
            return None, note
        try:
            return await _there(self._channel).find(message.id, **where), note
        except CannotLook:
            return None, note or self._card.words.phrases.repeat  # Better twice than never.

    async def _hook(self, message: Message) -> Receipt:
        url = self._settings.url
        if url is None:
            raise RuntimeError("There is neither a bot nor a webhook.")
        address = URL(url.get_secret_value())
        body = json_line({"text": self._card.fallback(message), "blocks": self._card.root(message, native=False)}).encode()
        answer = await post(self._session, address, body, {"Content-Type": "application/json"}, mask=Mask(secrets_of(address)))
        if error := failure(answer):
            raise error
        if answer.excerpt != "ok":
            raise DeliveryError(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, f"no 'ok': {answer.words}", scope=Scope.SINK)
        return Receipt()


def _begins_anew(event: Event, place: Place) -> bool:
    """Whether it gets a message of its own though its lane has one: what is said of a cluster does not live on as a task does."""
    return event.task is None and (place == "root" or event.kind is Kind.CLUSTER_UNREACHABLE)


def _there(channel: Channel | None) -> Channel:
    if channel is None:
        raise RuntimeError("There is no bot.")
    return channel


def _metadata(message: Message) -> dict[str, object]:
    """What a message is found by; visible to every app of the workspace, so no more than ids."""
    return {"event_type": EVENT_TYPE, "event_payload": {"delivery": message.id, "event": message.event.id}}
