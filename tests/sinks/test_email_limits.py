"""What the standards allow a line of a mail to be, and that what is folded or encoded reads as it was."""

import re
from dataclasses import replace
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import getaddresses
from zoneinfo import ZoneInfo

import pytest
from golden_mail import FILE, REPORT, golden
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.message import Message, Receipt
from notifier.domain.model import Kind
from notifier.domain.samples import sample, samples
from notifier.domain.words import Words
from notifier.sinks.email_headers import folded, people
from notifier.sinks.email_letter import Sender, letter

SENDER = Sender(
    name="mail",
    address=Address("CSS 升级通知", addr_spec="css@example.com"),
    recipients=(Address("搜索平台与数据基础设施运维值班团队", addr_spec="ops@example.com"),),
    domain="example.com",
    subject_prefix="[升级]",
    threads=True,
    words=Words("zh", ZoneInfo("Asia/Shanghai")),
    page="https://status.example.com",
)
LONG = "生产环境搜索集群" * 12
ODD = [
    "a",
    "b c",
    "中",
    "升级到",
    "é",
    "😀",
    "x" * 30,
    "y" * 90,
    "7.10.2_22.5.1_1230",
    "=?utf-8?q?x?=",
    "=?utf-8?q?=0D=0ABcc:x?=",
]
ODD += [*" :,;“”\"\\()<>@_?=.'"]


def check(content: bytes) -> EmailMessage:
    """RFC 5322, 2.1.1: 998 characters a line; RFC 2045, 6.7 and 6.8: 76 of a body's; RFC 2047, 2: 75 of an encoded word."""
    assert content.isascii()
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"\r" not in content.replace(b"\r\n", b"")
    head, _, _ = content.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        assert len(line) <= (76 if b"=?" in line else 998), line
    for word in re.findall(rb"=\?[^?\s]*\?[qb]\?[^?\s]*\?=", head, re.IGNORECASE):
        assert len(word) <= 75, word
    found = message_from_bytes(content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    for part in found.walk():
        assert part.is_multipart() or max(map(len, str(part.get_payload()).splitlines())) <= 76
    assert [part.defects for part in found.walk() if part.defects] == []
    assert not [value.defects for value in found.values() if getattr(value, "defects", ())]
    return found


def named(content: bytes) -> list[tuple[str, str]]:
    """Whom it is to. The newer reader of Python 3.11 puts a space between encoded words that belong together."""
    read = getaddresses(["".join(str(message_from_bytes(content)["To"]).splitlines())])
    return [(str(make_header(decode_header(name))), spec) for name, spec in read]


def renamed(message: Message, name: str) -> Message:
    return replace(message, event=replace(message.event, cluster=replace(message.event.cluster, name=name, project=name)))


@pytest.mark.parametrize("name", ["search", LONG, "生产", "x" * 300, "a " * 100, "=?utf-8?q?=0D=0ABcc:_x@y?="])
def test_no_line_is_longer_than_the_standards_allow(name: str) -> None:
    last = Receipt({"message-id": "<" + "p" * 200 + "@example.com>"})
    for message in samples(mark="DRILL", words=SENDER.words):
        content = letter(renamed(replace(message, summary=LONG * 5, report=REPORT), name), last, SENDER).content
        sent = check(content)
        assert sent["Bcc"] is None
        assert str(sent["References"]).count("<") == 2
        assert named(content) == [(SENDER.recipients[0].display_name, "ops@example.com")]
        body = sent.get_body(("plain",))
        assert body is not None
        assert LONG * 5 in body.get_content()


def test_a_chinese_name_is_read_as_it_was_written() -> None:
    sent = check(letter(renamed(sample(Kind.TASK_FAILED, mark=None), LONG), None, replace(SENDER, words=Words())).content)
    assert str(sent["Subject"]) == f"[升级] {LONG}: upgrade to 7.10.2_22.5.1_1230"
    assert str(sent["X-CSS-Upgrade-Cluster"]) == LONG
    assert str(sent["From"]) == "CSS 升级通知 <css@example.com>"


@given(st.lists(st.sampled_from(ODD), max_size=25).map("".join))
def test_whatever_is_folded_reads_as_it_was(value: str) -> None:
    value = " ".join(value.split())
    line = f"X-CSS-Upgrade-Cluster: {folded('X-CSS-Upgrade-Cluster', value)}\r\n\r\n".encode("ascii")
    assert max(map(len, line.split(b"\r\n"))) <= 78
    assert str(message_from_bytes(line, policy=policy.default)["X-CSS-Upgrade-Cluster"]) == value


@given(st.lists(st.tuples(st.lists(st.sampled_from(ODD), max_size=9).map("".join), st.integers(1, 60)), min_size=1, max_size=20))
def test_whoever_is_named_is_read_as_he_was(drawn: list[tuple[str, int]]) -> None:
    wanted = [(" ".join(name.split())[:100].strip(), f"u{at}@{'d' * length}.example") for at, (name, length) in enumerate(drawn)]
    addresses = [Address(name, addr_spec=spec) for name, spec in wanted]
    line = f"To: {people(addresses)}\r\n\r\n".encode("ascii")
    assert max(map(len, line.split(b"\r\n"))) <= 78
    assert named(line) == wanted


def test_the_mail_that_is_kept_is_the_mail_that_is_sent() -> None:
    assert golden() == FILE.read_bytes(), "if that was meant: python tests/sinks/golden_mail.py"


def test_the_mail_that_is_kept_keeps_to_the_limits() -> None:
    sent = check(FILE.read_bytes())
    assert sent.get_content_type() == "multipart/mixed"
    assert [part.get_content_type() for part in sent.walk() if not part.is_multipart()] == [
        "text/plain",
        "text/html",
        "image/png",
        "text/html",
    ]
