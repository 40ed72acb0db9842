"""E-mail: against a real SMTP server, with good and bad certificates, whole and partial refusals, and hostile names."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mail_server import Server, certificate, mail_server, serving
from pydantic import ValidationError

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message
from notifier.domain.model import Kind
from notifier.domain.samples import sample
from notifier.domain.words import Words
from notifier.outbound import open_session
from notifier.sinks.conformance import HOSTILE, hostile
from notifier.sinks.contract import Patient, Surroundings
from notifier.sinks.email import Settings, Sink

OPS, BOSS = "ops@example.com", "boss@example.com"
PASSWORD = "secret-canary"
USUAL: dict[str, Any] = {"host": "127.0.0.1", "tls": "none", "from": "css@example.com", "to": [OPS, BOSS]}


def news(kind: Kind = Kind.TASK_FAILED, **changes: Any) -> Message:
    return replace(sample(kind, mark=None), **changes)


@asynccontextmanager
async def mailer(server: Server | int, words: Words | None = None, **more: Any) -> AsyncIterator[Sink]:
    port = server if isinstance(server, int) else server.port
    settings = Settings.model_validate({**USUAL, "port": port, **more})
    async with open_session(total=5.0) as session:
        around = Surroundings("mail", session, 5.0, words or Words(), "http://page")
        async with Sink(settings, around) as sink:
            yield sink


def parsed(content: bytes) -> EmailMessage:
    found = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


async def failed(sink: Sink, message: Message | None = None) -> DeliveryError:
    with pytest.raises(DeliveryError) as failure:
        await sink.send(message or news(), None)
    assert PASSWORD not in str(failure.value)
    return failure.value


async def test_a_mail_says_what_happened_as_text_and_as_html() -> None:
    async with mail_server() as server, mailer(server) as sink:
        await sink.send(news(earlier=(news(Kind.NODE_COMPLETED).event,), late_by=timedelta(hours=2), skipped=2, reminder=1), None)
    ((recipients, content),) = server.mails
    assert recipients == [OPS, BOSS]
    mail = parsed(content)
    assert mail["Subject"] == "sample-cluster: upgrade → 7.10.2_22.5.1_1230"
    assert (mail["Auto-Submitted"], mail["X-CSS-Kind"]) == ("auto-generated", "task.failed")
    assert mail["List-Id"].endswith(".css-upgrades.example.com>")
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    for part in (text.get_content(), html.get_content()):
        for words in ("upgrade FAILED", "Nodes", "Reminder 1", "2 h late", "2 messages before", "completed", "http://page"):
            assert words in part, words
    assert "src=" not in html.get_content()


async def test_a_task_is_one_conversation_and_a_repeat_is_the_same_mail() -> None:
    first, later = news(Kind.TASK_STARTED), news(Kind.TASK_FAILED)
    async with mail_server() as server, mailer(server) as sink:
        await sink.send(first, None)
        await sink.send(later, None)
        await sink.send(replace(later, attempt=2, may_repeat=True), None)
        await sink.send(replace(later, mark="DRILL", id="d-1"), None)
    started, failure, again, drill = (parsed(content) for _, content in server.mails)
    assert started["References"] == failure["References"] == failure["In-Reply-To"] != drill["References"]
    assert started["Subject"] == failure["Subject"]
    assert drill["Subject"].startswith("[DRILL] ")
    assert started["Message-ID"] != failure["Message-ID"] == again["Message-ID"]
    assert server.mails[1][1] == server.mails[2][1]


async def test_it_speaks_chinese() -> None:
    message = news(Kind.CLUSTER_UNREACHABLE, skipped=1)
    async with mail_server() as server, mailer(server, Words("zh", ZoneInfo("Asia/Shanghai"))) as sink:
        await sink.send(message, None)
    mail = parsed(server.mails[0][1])
    assert mail["Subject"] == "sample-cluster: 监控"
    body = mail.get_body(("html",))
    assert body is not None
    assert "此前有 1 条消息未能送达" in body.get_content()
    assert message.event.time.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%H:%M:%S CST") in body.get_content()


@pytest.mark.parametrize(
    ("reply", "outcome", "reason", "scope"),
    [
        ("421 closing", Outcome.RETRY, DeliveryReason.SERVER, Scope.SINK),
        ("451 later", Outcome.RETRY, DeliveryReason.SERVER, Scope.EVENT),
        ("535 who are you", Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK),
        ("552 too large", Outcome.REJECTED, DeliveryReason.TOO_LARGE, Scope.EVENT),
        ("554 spam", Outcome.REJECTED, DeliveryReason.INVALID, Scope.EVENT),
    ],
)
async def test_every_answer_to_the_mail_has_a_meaning(reply: str, outcome: Outcome, reason: DeliveryReason, scope: Scope) -> None:
    async with mail_server() as server, mailer(server) as sink:
        server.data = reply
        error = await failed(sink)
    assert (error.outcome, error.reason, error.scope) == (outcome, reason, scope)
    assert reply in error.detail


@pytest.mark.parametrize(
    ("replies", "outcome", "reason"),
    [
        ({OPS: "550 nobody", BOSS: "550 nobody"}, Outcome.REJECTED, DeliveryReason.MISSING),
        ({OPS: "451 greylisted", BOSS: "550 nobody"}, Outcome.RETRY, DeliveryReason.SERVER),
        ({OPS: "451 greylisted"}, Outcome.RETRY, DeliveryReason.SERVER),
        ({OPS: "421 closing"}, Outcome.RETRY, DeliveryReason.SERVER),
    ],
)
async def test_every_answer_to_recipients_has_a_meaning(
    replies: dict[str, str], outcome: Outcome, reason: DeliveryReason
) -> None:
    async with mail_server() as server, mailer(server) as sink:
        server.rcpt = replies
        error = await failed(sink)
    assert (error.outcome, error.reason) == (outcome, reason)


async def test_who_is_refused_for_good_does_not_keep_the_others_from_hearing() -> None:
    async with mail_server() as server, mailer(server) as sink:
        server.rcpt = {BOSS: "550 nobody"}
        receipt = await sink.send(news(), None)
    assert receipt.fields["refused"] == BOSS
    assert server.mails[0][0] == [OPS]


async def test_a_connection_lost_after_the_mail_leaves_it_open_whether_it_was_taken() -> None:
    async with mail_server() as server, mailer(server) as sink:
        server.drop_after_data = True
        error = await failed(sink)
    assert error.outcome is Outcome.UNCERTAIN
    assert len(server.mails) == 1


async def test_nobody_there_and_somebody_else_there() -> None:
    async with mail_server() as server:
        pass
    async with mailer(server) as sink:
        error = await failed(sink)
    assert (error.outcome, error.scope) == (Outcome.RETRY, Scope.SINK)

    async def rude(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554 go away\r\n")
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(rude, "127.0.0.1", 0)
    async with other, mailer(other.sockets[0].getsockname()[1]) as sink:
        error = await failed(sink)
    assert (error.outcome, error.scope) == (Outcome.RETRY, Scope.SINK)


async def test_a_login_is_made_over_tls_only_and_a_wrong_one_suspends_the_sink(tmp_path: Path) -> None:
    good = certificate(tmp_path, "good")
    login: dict[str, Any] = {
        "username": "css",
        "password": PASSWORD,
        "host": "localhost",
        "ca_file": str(good[0]),
        "tls": "starttls",
    }
    async with mail_server(tls=serving(*good), auth=True) as server:
        async with mailer(server, None, **login) as sink:
            await sink.send(news(), None)
        assert server.logins == [(b"css", PASSWORD.encode())]
        server.password = b"another"
        async with mailer(server, None, **login) as sink:
            error = await failed(sink)
        assert (error.outcome, error.reason, error.scope) == (Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK)
        async with mailer(server, None, **{**login, "username": None, "password": None}) as sink:
            error = await failed(sink)
        assert (error.outcome, error.reason, error.scope) == (Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK)


async def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    good = certificate(tmp_path, "good")
    there = {"host": "localhost", "tls": "tls", "ca_file": str(good[0])}
    async with mail_server(tls=serving(*good), smtps=True) as server, mailer(server, None, **there) as sink:
        await sink.send(news(), None)
    assert len(server.mails) == 1


@pytest.mark.parametrize("fault", ["self-signed", "wrong host", "not offered"])
@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_server_that_does_not_prove_itself_gets_neither_mail_nor_password(tmp_path: Path, fault: str, tls: str) -> None:
    made, key = certificate(tmp_path, "bad", host="localhost" if fault == "self-signed" else "elsewhere.test")
    offered = None if fault == "not offered" else serving(made, key)
    trusted: dict[str, Any] = {} if fault == "self-signed" else {"ca_file": str(made)}
    there = {"host": "localhost", "tls": tls, "username": "css", "password": PASSWORD, **trusted}
    smtps = tls == "tls" and offered is not None
    async with mail_server(tls=offered, smtps=smtps) as server, mailer(server, None, **there) as sink:
        error = await failed(sink)
    assert error.outcome is Outcome.RETRY
    assert error.scope is Scope.SINK
    assert error.reason in {DeliveryReason.TLS, DeliveryReason.NETWORK}
    assert (server.mails, server.logins) == ([], [])


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # type: ignore[explicit-override]
        self.found.append((tag, [name for name, _ in attrs]))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_whatever_things_are_called_headers_and_markup_are_ours(text: str) -> None:
    async with mailer(1) as sink:
        for message in hostile(text):
            mail = parsed(bytes(sink.compose(message)))
            assert "X-Injected" not in mail
            assert not {"\r", "\n", "\0", "\x1b", "\u202e"} & set(str(mail["Subject"]))
            body = mail.get_body(("html",))
            assert body is not None
            elements = _Elements()
            elements.feed(body.get_content())
            assert {tag for tag, _ in elements.found} <= {"html", "body", "div", "p", "table", "tr", "td", "br", "a"}
            assert {name for _, names in elements.found for name in names} <= {"style", "lang", "role", "href"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": []},
        {"to": "nobody"},
        {"to": ["a@b\r\nBcc: x@y"]},
        {"from": "Ops <ops@example.com>"},
        {"from": "ops@"},
        {"host": "mail.example.com"},
        {"username": "css"},
        {"tls": "maybe"},
        {"subject_prefix": "a\r\nb"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({**USUAL, **wrong})


async def test_one_recipient_needs_no_list_and_old_news_may_be_one_mail() -> None:
    async with mailer(1, to=OPS) as sink:
        assert isinstance(sink, Patient)
        assert sink.patience(news().event) == 0.0
        assert sink.compose(news())["To"] == OPS
