"""The mail server is verified or nothing is sent; secrets stay where they belong; strangers' text stays text."""

import asyncio
import logging
import ssl
import traceback
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from pydantic import ValidationError
from smtp_servers import LOGIN, OPS, PASSWORD, Authority, authority, mailing, post_office, scripted, settings, willing

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.model import Kind
from notifier.domain.samples import sample
from notifier.sinks.conformance import HOSTILE, hostile
from notifier.sinks.email import Sink
from notifier.sinks.smtp import own_name

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:aiosmtpd")

NEWS = sample(Kind.TASK_FAILED, mark=None)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority(tmp_path_factory.mktemp("certificates")) as made:
        yield made


async def failure(sink: Sink) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await sink.send(NEWS, None)
    return caught.value


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_server_that_can_be_trusted_gets_login_and_mail(ours: Authority, tls: str) -> None:
    async with (
        post_office(ours.server(), at_once=tls == "tls", auth=True) as office,
        mailing(office.port, tls=tls, ca_file=str(ours.file), **LOGIN) as sink,
    ):
        receipt = await sink.send(NEWS, None)
    assert office.logins[-1] == ("css", PASSWORD)
    assert office.mails[0].recipients == [OPS]
    assert receipt.fields["reply"] == "2.0.0 Ok: queued as 4F2A1"


def _bad(ours: Authority, what: str) -> ssl.SSLContext:
    match what:
        case "expired":
            return ours.server(what, expired=True)
        case "self-signed":
            return ours.server(what, itself=True)
        case "another host's":
            return ours.server("another", "DNS:mail.other.example")
    raise AssertionError(what)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("expired", "certificate has expired"),
        ("self-signed", "self-signed certificate"),
        ("another host's", "IP address mismatch"),
    ],
)
async def test_a_server_that_cannot_be_trusted_gets_nothing(ours: Authority, tls: str, what: str, said: str) -> None:
    async with (
        post_office(_bad(ours, what), at_once=tls == "tls", auth=True) as office,
        mailing(office.port, tls=tls, ca_file=str(ours.file), **LOGIN) as sink,
    ):
        error = await failure(sink)
    assert (error.outcome, error.reason, error.scope) == (Outcome.RETRY, DeliveryReason.TLS, Scope.SINK)
    assert said in error.detail
    assert (office.logins, office.mails) == ([], [])


def _old(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_server_with_an_old_tls_gets_nothing(ours: Authority, tls: str) -> None:
    async with post_office(_old(ours.server("old")), at_once=tls == "tls", auth=True) as office:
        if tls == "tls":  # Whoever takes the old one is let in: it is the version that we refuse.
            client = _old(ssl.create_default_context(cafile=ours.file))
            reader, writer = await asyncio.open_connection("127.0.0.1", office.port, ssl=client)
            assert (await reader.readline()).startswith(b"220")
            writer.transport.abort()
        async with mailing(office.port, tls=tls, ca_file=str(ours.file), **LOGIN) as sink:
            error = await failure(sink)
    assert (error.outcome, error.scope) == (Outcome.RETRY, Scope.SINK)
    assert error.reason in {DeliveryReason.TLS, DeliveryReason.NETWORK}, "servers break off with or without an alert"
    assert (office.logins, office.mails) == ([], [])


async def test_an_unknown_authority_is_not_trusted_without_its_file(ours: Authority) -> None:
    async with post_office(ours.server(), auth=True) as office, mailing(office.port, tls="starttls", **LOGIN) as sink:
        error = await failure(sink)
    assert (error.reason, office.logins) == (DeliveryReason.TLS, [])


async def test_a_server_that_speaks_no_tls_on_the_port_of_tls_gets_nothing() -> None:
    async with scripted(willing()) as (port, heard), mailing(port, tls="tls", **LOGIN) as sink:
        error = await failure(sink)
    assert (error.outcome, error.reason, error.scope) == (Outcome.RETRY, DeliveryReason.TLS, Scope.SINK)
    assert error.detail.startswith("no TLS connection: ")
    assert heard == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ({"EHLO": "250-mail.test\r\n250 AUTH PLAIN LOGIN"}, "offers no STARTTLS, and nothing is sent in clear"),
        ({"EHLO": "250-mail.test\r\n250 STARTTLS", "STARTTLS": "454 not now"}, "454 not now (on STARTTLS)"),
        ({"EHLO": "250-mail.test\r\n250 STARTTLS", "STARTTLS": "220 go on\r\n250 injected"}, "TLS"),
    ],
)
async def test_starttls_that_was_stripped_or_spoilt_sends_nothing(script: dict[str, str], said: str) -> None:
    async with scripted(willing(**script)) as (port, heard), mailing(port, tls="starttls", seconds=2.0, **LOGIN) as sink:
        error = await failure(sink)
    assert said in error.detail or error.reason is DeliveryReason.TIMEOUT
    assert (error.outcome, error.scope) == (Outcome.RETRY, Scope.SINK)
    assert not any(command.startswith(("AUTH", "MAIL")) for command in heard)


async def test_a_login_that_is_refused_rests_the_sink(ours: Authority) -> None:
    async with post_office(ours.server(), auth=True) as office:
        wrong: dict[str, Any] = {"username": "css", "password": "not-the-password"}
        async with mailing(office.port, tls="starttls", ca_file=str(ours.file), **wrong) as sink:
            error = await failure(sink)
    assert (error.outcome, error.reason, error.scope) == (Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK)
    assert "535" in error.detail
    assert "on logging in" in error.detail
    assert office.mails == []


@pytest.mark.parametrize("offered", ["PLAIN LOGIN CRAM-MD5", "LOGIN PLAIN", "LOGIN", "CRAM-MD5"])
async def test_a_password_that_is_refused_is_offered_once(offered: str) -> None:
    """Each offer counts, where a mailbox is locked after so many."""
    script = {"EHLO": f"250-mail.test\r\n250 AUTH {offered}", "AUTH": "535 5.7.8 wrong"}
    async with scripted(willing(**script)) as (port, heard), mailing(port, **LOGIN) as sink:
        error = await failure(sink)
    assert (error.outcome, error.reason, error.scope) == (Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK)
    used = [command.split()[1] for command in heard if command.startswith("AUTH")]
    assert used == ["PLAIN" if "PLAIN" in offered else offered]


async def test_a_way_to_log_in_that_is_offered_and_not_known_is_passed_over() -> None:
    def script(line: str) -> str | bytes | None:
        known = {"EHLO": "250-mail.test\r\n250 AUTH PLAIN LOGIN", "AUTH": "504 5.5.4 unrecognized authentication type"}
        if line.startswith("AUTH LOGIN"):
            return "334 UGFzc3dvcmQ6"
        return "235 in" if line == "Y2FuYXJ5LXBhc3N3b3Jk" else willing(**known)(line)

    async with scripted(script) as (port, heard), mailing(port, **LOGIN) as sink:
        await sink.send(NEWS, None)
    assert [command.split()[1] for command in heard if command.startswith("AUTH")] == ["PLAIN", "LOGIN"]


async def test_a_check_finds_who_is_refused_and_tells_nobody() -> None:
    people = [OPS, "gone@example.com", "slow@example.com"]
    async with post_office() as office, mailing(office.port, to=people) as sink:
        office.on = {"RCPT gone@example.com": "550 5.1.1 no such user", "RCPT slow@example.com": "451 4.7.1 greylisted"}
        assert await sink.check() == ["to: gone@example.com is refused: 550 5.1.1 no such user"]
        office.on = {}
        assert await sink.check() == []
        office.on = {"MAIL": "553 5.7.1 not your address"}
        assert await sink.check() == ["553 5.7.1 not your address (for the sender)"]
    assert office.asked == people * 2
    assert office.mails == []


async def test_a_check_finds_a_password_or_a_certificate_that_is_no_good(ours: Authority) -> None:
    async with post_office(ours.server(), auth=True) as office:
        async with mailing(office.port, tls="starttls", ca_file=str(ours.file), **LOGIN) as sink:
            assert await sink.check() == []
        wrong: dict[str, Any] = {"username": "css", "password": "not-the-password"}
        async with mailing(office.port, tls="starttls", ca_file=str(ours.file), **wrong) as sink:
            [said] = await sink.check()
        assert said.startswith("535")
        async with mailing(office.port, tls="starttls", **LOGIN) as sink:
            [said] = await sink.check()
        assert "certificate of the mail server is not trusted" in said
    assert office.mails == []


async def test_a_check_says_goodbye_without_a_mail() -> None:
    async with scripted(willing()) as (port, heard), mailing(port) as sink:
        assert await sink.check() == []
    assert [command.split(":")[0].split()[0] for command in heard] == ["EHLO", "MAIL", "RCPT", "RSET", "QUIT"]


@pytest.mark.parametrize(
    ("host", "given", "said"),
    [
        ("build-7", None, "[127.0.0.1]"),
        ("build-7.example.com", None, "build-7.example.com"),
        ("build-7", "notifier.example.com", "notifier.example.com"),
    ],
)
async def test_it_says_hello_by_its_name_or_its_address(
    monkeypatch: pytest.MonkeyPatch, host: str, given: str | None, said: str
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    async with scripted(willing()) as (port, heard), mailing(port, hello=given) as sink:
        await sink.send(NEWS, None)
    assert heard[0] == f"EHLO {said}"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (("192.0.2.7", 40000), "[192.0.2.7]"),
        (("fe80::1%eth0", 40000, 0, 2), "[IPv6:fe80::1]"),
        (None, "[127.0.0.1]"),
    ],
)
def test_an_address_is_written_as_the_standard_wants_it(monkeypatch: pytest.MonkeyPatch, address: object, said: str) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "build-7")
    assert own_name(address) == said


async def test_a_server_without_a_login_that_we_know_says_so() -> None:
    async with scripted(willing()) as (port, _), mailing(port, **LOGIN) as sink:
        error = await failure(sink)
    assert (error.outcome, error.reason) == (Outcome.REJECTED, DeliveryReason.REFUSED)
    assert "leave out username and password" in error.detail


async def test_a_server_that_wants_a_login_we_were_not_given_says_so(ours: Authority) -> None:
    async with (
        post_office(ours.server(), auth=True) as office,
        mailing(office.port, tls="starttls", ca_file=str(ours.file)) as sink,
    ):
        error = await failure(sink)
    assert (error.outcome, error.reason, error.scope) == (Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK)


@pytest.mark.parametrize("at", ["MAIL", "RCPT", "content", "AUTH"])
async def test_a_server_that_echoes_the_password_does_not_get_it_into_an_error(at: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    plain = "AGNzcwBjYW5hcnktcGFzc3dvcmQ="  # as AUTH PLAIN sends it
    script = {"EHLO": "250-mail.test\r\n250 AUTH PLAIN", "AUTH": "235 in", at: f"550 you said {PASSWORD} or {plain}"}
    async with scripted(willing(**script)) as (port, heard), mailing(port, **LOGIN) as sink:
        error = await failure(sink)
        shown = [repr(error), repr(sink), repr(vars(sink)["_server"]), caplog.text, *traceback.format_exception(error)]
    assert any(plain in command for command in heard), "it was really sent"
    assert "you said *** or ***" in error.detail
    for text in shown:
        assert PASSWORD not in text
        assert plain not in text


class Elements(HTMLParser):
    """What a mail program would make of the HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # type: ignore[explicit-override]
        self.found.append((tag, tuple(sorted(name for name, _ in attrs))))


def elements(html: str) -> set[tuple[str, tuple[str, ...]]]:
    parser = Elements()
    parser.feed(html)
    return set(parser.found)


async def _all(text: str) -> list[list[tuple[str, str]]]:
    """The names of headers of each kind of message with a stranger's text in it; the HTML's elements are checked on the way."""
    headers = []
    async with post_office() as office, mailing(office.port) as sink:
        for message in hostile(text):
            await sink.send(message, None)
    for mail in office.mails:
        html = mail.part("html")
        assert {tag for tag, _ in elements(html)} <= {
            *("html", "head", "meta", "title", "body", "table", "tr", "td", "th", "p", "h1", "h2", "span")
        }
        assert not {name for _, names in elements(html) for name in names if name.startswith("on") or name in {"src", "href"}}
        headers.append([(name, str(value)) for name, value in mail.parsed.items()])
    return headers


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_text_of_strangers_adds_no_header_and_no_element(text: str) -> None:
    expected = [
        *(
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "In-Reply-To",
            "References",
            "Auto-Submitted",
            "X-Auto-Response-Suppress",
        ),
        *("List-Id", "X-CSS-Upgrade-Kind", "X-CSS-Upgrade-Severity", "X-CSS-Upgrade-Cluster", "X-CSS-Upgrade-Project"),
        *("X-CSS-Upgrade-Event", "X-CSS-Upgrade-Mark", "MIME-Version", "Content-Type"),
    ]
    for headers in await _all(text):
        names = [name for name, _ in headers]
        assert set(names) <= set(expected)
        assert len(names) == len(set(names))
        assert not {unicodedata.category(char) for _, value in headers for char in value} & {"Cc", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("field", ["from", "to", "subject_prefix", "domain", "host"])
@pytest.mark.parametrize("text", ["a@b.example\r\nBcc: x@evil.example", "a@b.example\x00", "\u202ea@b.example", "a\u2028b"])
def test_settings_take_no_line_break(field: str, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(25, **{field: [text] if field == "to" else text})
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"from": "nobody"}, "must be an e-mail address in ASCII"),
        ({"from": "a@b.example, c@d.example"}, "must be an e-mail address"),
        ({"to": []}, "at least 1 item"),
        ({"to": ["ä@example.com"]}, "in ASCII"),
        ({"to": ["a..b@example.com"]}, "that can be written to"),
        ({"to": [OPS, "Ops <OPS@example.com>"]}, "names an address twice"),
        ({"host": "smtp://mail"}, "without scheme or port"),
        ({"port": 70_000}, "less than or equal to 65535"),
        ({"domain": "exa mple"}, "must be a domain"),
        ({"hello": "me\r\nMAIL FROM:<x@evil.example>"}, "must be a domain"),
        ({"username": "css"}, "given together"),
        ({"password": PASSWORD}, "given together"),
        ({"host": "mail.example.com"}, "say accept_risk: true"),
        ({"host": "mail.example.com", "accept_risk": True, **LOGIN}, "the password would be sent unencrypted"),
        ({"ca_file": "/no/such/file"}, "does not point to a file"),
        ({"tls": "maybe"}, "'starttls', 'tls' or 'none'"),
    ],
)
def test_settings_that_cannot_work_say_why(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(25, **wrong)
    assert said in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_clear_text_is_for_this_machine(host: str) -> None:
    assert settings(25, host=host, **LOGIN).tls == "none"
    assert settings(25, host="relay.internal", accept_risk=True).accept_risk
