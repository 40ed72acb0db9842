"""No English is left in what a sink that speaks Chinese shows to people: every sink, every kind, whatever is said around it."""
# ruff: noqa: RUF001 - Chinese has punctuation of its own

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from block_limits import texts
from sink_receivers import hook

from notifier.domain.message import Message, Report
from notifier.domain.model import Eta, Event, Kind, Outage, Status
from notifier.domain.samples import FAIL_MESSAGE, TOLD_AT, sample, samples
from notifier.domain.silences import Silence, acknowledgement, muting
from notifier.domain.words import Words
from notifier.outbound import open_session
from notifier.sinks import alertmanager, pagerduty
from notifier.sinks.console import as_text
from notifier.sinks.contract import Surroundings
from notifier.sinks.desk import DeskClosed, Fate, Standing
from notifier.sinks.email_letter import Sender, letter
from notifier.sinks.slack_board import blocks_of, lines_of
from notifier.sinks.slack_card import Card
from notifier.sinks.slack_files import _files
from notifier.sinks.slack_modal import View
from notifier.sinks.slack_talk import Talk
from notifier.store.rows import State

CHINESE = Words("zh", ZoneInfo("Asia/Shanghai"))
PAGE = "https://status.example.com"

ANSWERS = (FAIL_MESSAGE, "the token is not valid", "451 try later", "channel_not_found", "the disk is on fire")
"""What somebody else has said: it is quoted as it is."""

ALLOWED = frozenset(
    {
        *("API", "AZ", "CST", "CSS", "ETA", "HTML", "HTTP", "ID", "IP", "MB", "SMTP", "STARTTLS", "TLS", "URL", "UTC"),
        *("Apprise", "chat.postMessage", "indices.recovery.max_bytes_per_sec", "notifier", "lin", "ops@example.com"),
        *("sample-sink", "sample-cluster", "sample-project", "cn-north-4"),
    }
)
"""Names, units and what has no Chinese word."""


def english(text: str, *names: str | None) -> list[str]:
    """The words of a text that are neither Chinese nor allowed."""
    text = re.sub(r"https?://\S+|<!date\^\d+\^[^|]*\||:[a-z_]+:|`[^`]*`|&[a-z]+;", " ", text.replace("\u200b", ""))
    for name in sorted(filter(None, (*names, *ANSWERS, *ALLOWED)), key=len, reverse=True):
        text = text.replace(name, " ")
    return re.findall("[A-Za-z]+", text)


def names(event: Event) -> list[str | None]:
    """What the API calls things."""
    task = event.task
    of_task = [task.id, task.target, *task.nodes.completed, *task.nodes.in_flight] if task else []
    return [event.id, event.cluster.id, event.node, *of_task]


def told(kind: Kind, mark: str | None = None) -> Message:
    """A message about which there is all to be said that can be."""
    news = sample(kind, mark=mark, words=CHINESE)
    earlier = tuple(message.event for message in samples(mark=mark))
    eta = Eta(TOLD_AT, TOLD_AT + timedelta(hours=1), "this task's own") if news.event.task else None
    event = replace(news.event, eta=eta)
    return replace(news, event=event, earlier=earlier, late_by=timedelta(hours=3), skipped=2, may_repeat=True, reminder=4)


class Shown(HTMLParser):
    """The text of a page, as it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []

    # typing.override needs Python 3.12.
    def handle_data(self, data: str) -> None:  # type: ignore[explicit-override]
        self.text.append(data)


def mail(message: Message) -> list[str]:
    address = Address("CSS", addr_spec="css@example.com")
    recipients = (Address("", addr_spec="ops@example.com"),)
    sender = Sender("sample-sink", address, recipients, "example.com", "[CSS]", threads=True, words=CHINESE, page=PAGE)
    sent = message_from_bytes(letter(message, None, sender).content, policy=policy.default)
    assert isinstance(sent, EmailMessage)
    page = Shown()
    plain, html = sent.get_body(("plain",)), sent.get_body(("html",))
    assert plain is not None
    assert html is not None
    page.feed(html.get_content())
    return [str(sent["Subject"]), plain.get_content(), *page.text]


def slack(message: Message) -> list[str]:
    card = Card(CHINESE, PAGE, listens=True)
    held = [acknowledgement(message.event, "lin", TOLD_AT), muting(message.event, "lin", TOLD_AT, timedelta(hours=1))[0]]
    held[1] = replace(held[1], author="ops")
    around = CHINESE.phrases.around
    forms = [card.root(message, silences=held, native=native, note=around.deleted) for native in (True, False)]
    files = _files(Report(message.title, "<svg/>", "<!doctype html>", b"png"), CHINESE)
    return [
        *texts([*forms, card.reply(message, note=CHINESE.phrases.repeat)]),
        card.fallback(message),
        *(each[1] for each in files),
    ]


def apprise(message: Message) -> list[str]:
    bridge = pytest.importorskip("notifier.sinks.apprise")
    return [CHINESE.marked(message), bridge.text_of(message, CHINESE, 20_000)]


SINKS: dict[str, Callable[[Message], list[str]]] = {
    "console": lambda message: [re.sub(r"\S+\+08:00", "", as_text(message, CHINESE, colour=False))],
    "mail": mail,
    "slack": slack,
    "apprise": apprise,
}


@pytest.mark.parametrize("mark", [None, "TEST", "DRILL", "REPLAY"])
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("sink", SINKS)
def test_what_a_sink_shows_is_chinese(sink: str, kind: Kind, mark: str | None) -> None:
    message = told(kind, mark)
    known = [name for event in (message.event, *message.earlier) for name in names(event)]
    left = [word for text in SINKS[sink](message) for word in english(text, message.id, "ops", *known)]
    assert left == []


async def accepts(request: web.Request) -> web.Response:
    if "silences" in request.path:
        return web.json_response({"silenceID": "5a3b1e00-0000-4000-8000-000000000001"})
    return web.json_response({"status": "success"}, status=202) if "enqueue" in request.path else web.Response(status=200)


@asynccontextmanager
async def posted(sink: Any, **settings: object) -> AsyncIterator[tuple[Any, Callable[[], list[Any]]]]:
    """A sink that speaks Chinese, and what it has posted."""
    async with hook(accepts) as receiver, open_session(total=60.0) as session:
        base = receiver.url.removesuffix("/hook")
        checked = sink.Settings.model_validate({name: value or base for name, value in settings.items()})
        async with sink.Sink(checked, Surroundings("sample-sink", session, words=CHINESE, page=PAGE)) as opened:
            yield opened, lambda: [json.loads(post.body) for post in receiver.posts]


@pytest.mark.parametrize("kind", Kind)
async def test_what_a_pager_shows_is_chinese(kind: Kind) -> None:
    message = told(kind, "DRILL")
    async with posted(pagerduty, routing_key="0" * 32, base_url=None) as (sink, bodies):
        await sink.send(message, None)
        shown = [body["payload"]["summary"] for body in bodies() if "payload" in body]
        shown += [link["text"] for body in bodies() for link in body.get("links", [])]
    assert [word for text in shown for word in english(text, *names(message.event))] == []


@pytest.mark.parametrize("kind", Kind)
async def test_what_an_alert_and_a_silence_say_is_chinese(kind: Kind) -> None:
    async with posted(alertmanager, url=None, silence_nodes={"label": "instance"}) as (sink, bodies):
        for mark in (None, "TEST"):
            await sink.send(told(kind, mark), None)
        alerts = [alert for body in bodies() if isinstance(body, list) for alert in body]
        shown = [text for alert in alerts for text in alert["annotations"].values()]
        shown += [body["comment"] for body in bodies() if isinstance(body, dict)]
    known = [name for message in samples() for name in names(message.event)]
    assert shown
    assert [word for text in shown for word in english(text, *known)] == []


class Answering:
    """A desk that knows one event, of which there is all to be said; ``closed``: a store that does not answer."""

    def __init__(self, event: Event, *, closed: bool = False) -> None:
        self._event = event
        self._closed = closed

    async def standings(self) -> Sequence[Standing]:
        assert self._event.task is not None
        tasks = ((self._event.task.action, self._event.task, 0.4),)
        return [Standing(self._event.cluster, tasks, Outage(TOLD_AT, "server", "HTTP 503"), TOLD_AT)]

    async def event(self, event_id: str) -> Event | None:
        if self._closed:
            raise DeskClosed("the disk is on fire")
        return self._event if event_id == self._event.id else None

    async def newest(self, *, like: Event | None = None, cluster: str | None = None) -> Event | None:
        return self._event if like or cluster == self._event.cluster.name else None

    async def course(self, event: Event, most: int) -> Sequence[Event]:  # noqa: ARG002 - there is no more
        return [message.event for message in samples(mark=None)]

    async def silences(self, event: Event) -> Sequence[Silence]:
        return muting(event, "lin", TOLD_AT, timedelta(hours=1))

    async def acknowledge(self, event: Event, author: str) -> None:
        pass

    async def mute(self, event: Event, author: str, seconds: float) -> datetime:  # noqa: ARG002 - whoever it is
        return TOLD_AT + timedelta(seconds=seconds)

    async def fates(self, event: Event) -> Sequence[Fate]:
        mute = muting(event, "lin", TOLD_AT, timedelta(hours=1))[0]
        why = {State.DEAD: "451 try later (for the message)", State.SILENCED: mute.words, State.OVER: "it is over"}
        return [Fate("sample-sink", state.value, TOLD_AT, 3, why.get(state)) for state in State]

    async def recall(self, sink: str, name: str) -> str | None:
        raise NotImplementedError

    async def keep(self, sink: str, name: str, value: str) -> None:
        raise NotImplementedError


class Heard:
    """Keeps what is said to people."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def whisper(self, channel: str, user: str, text: str) -> None:  # noqa: ARG002 - one person is enough
        self.said.append(text)

    async def open(self, trigger: str, view: View) -> str | None:
        self.said += texts(view) if trigger else []
        return "window" if trigger else None

    async def fill(self, window: str, view: View) -> None:  # noqa: ARG002 - likewise
        self.said += texts(view)

    async def redraw(self, event: Event, channel: str, ts: str) -> None:
        pass


def presses(event: Event) -> Iterator[dict[str, Any]]:
    for wish, value, trigger in (
        ("explain", event.id, "t"),
        ("explain", event.id, ""),
        ("explain", "no", "t"),
        ("mute", "no", "t"),
    ):
        yield {"actions": [{"action_id": wish, "value": value}], "trigger_id": trigger, "user": {"name": "lin"}}


async def test_what_people_are_answered_is_chinese() -> None:
    event = sample(Kind.TASK_FAILED, mark=None).event
    card = Card(CHINESE, PAGE, listens=True)
    heard = Heard()
    for closed in (False, True):
        talk = Talk(Answering(event, closed=closed), card, heard)
        for press in presses(event):
            await talk.hear("press", press)
        for command in ("", "status", "mute sample-cluster", "mute sample-cluster 99h", "explain sample-cluster", "mute nothing"):
            answer = await talk.hear("command", {"text": command, "user_name": "lin", "trigger_id": "t"})
            assert answer is not None
            heard.said.append(str(answer["text"]))
    known = [name for message in samples(mark=None) for name in names(message.event)]
    silences = [each.id for each in muting(event, "lin", TOLD_AT, timedelta(hours=1))]
    assert len(heard.said) > 20
    assert [word for text in heard.said for word in english(text, "nothing", *silences, *known)] == []


async def test_what_the_board_shows_is_chinese() -> None:
    card = Card(CHINESE)
    event = sample(Kind.TASK_FAILED, mark=None).event
    assert event.task is not None
    running = replace(event, task=replace(event.task, status=Status.RUNNING))
    standings = [each for known in (event, running) for each in await Answering(known).standings()]
    shown = texts([blocks_of(lines_of(standings * 10, card), card), blocks_of([], card)])
    assert "无法监控：服务端错误" in "".join(shown)
    assert [word for text in shown for word in english(text, *names(event))] == []


def test_a_fate_that_a_delivery_can_have_has_words() -> None:
    for language in ("en", "zh"):
        assert set(Words("zh" if language == "zh" else "en").phrases.talk.fates) == {state.value for state in State}
