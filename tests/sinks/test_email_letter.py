"""What a mail looks like: threads over days, headers, both parts, both languages, a repeat to the byte."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from smtp_servers import Mail, mailing, post_office, scripted, willing

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome
from notifier.domain.message import Message, Receipt, Report
from notifier.domain.model import Action, Eta, Kind, Nodes
from notifier.domain.render import render
from notifier.domain.samples import sample, samples
from notifier.domain.words import Words
from notifier.sinks import email
from notifier.sinks.email_letter import MOST_EARLIER, MOST_NODES, Sender, letter

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:aiosmtpd")

SENDER = Sender(
    name="mail",
    address=Address("CSS", addr_spec="css@example.com"),
    recipients=(Address("", addr_spec="ops@example.com"),),
    domain="example.com",
    subject_prefix="[css]",
    threads=True,
    words=Words(),
    page="https://status.example.com",
)
FAILED = sample(Kind.TASK_FAILED, mark=None)
STORY = samples(mark=None)


def mail(message: Message, last: Receipt | None = None, sender: Sender = SENDER) -> EmailMessage:
    found = message_from_bytes(letter(message, last, sender).content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def parts(message: Message, sender: Sender = SENDER) -> tuple[str, str]:
    sent = Mail("", [], letter(message, None, sender).content)
    return sent.part("plain"), sent.part("html")


def receipts() -> Iterator[tuple[Message, Receipt | None]]:
    """The story with each message's last receipt, as a lane gives it: one of the task, one of the cluster."""
    last: dict[str, Receipt] = {}
    for message in STORY:
        before = last.get(message.event.thread)
        yield message, before
        made = letter(message, before, SENDER)
        last[message.event.thread] = Receipt({"message-id": made.id, "subject": made.subject})


def test_a_task_is_one_thread_with_one_subject() -> None:
    mails = [mail(message, last) for message, last in receipts() if message.event.task]
    assert {str(one["Subject"]) for one in mails} == {"[css] sample-cluster: upgrade to 7.10.2_22.5.1_1230"}
    assert len({str(one["Message-ID"]) for one in mails}) == len(mails)
    [root] = {str(one["In-Reply-To"]) for one in mails}
    assert [str(one["References"]).split() for one in mails] == [
        [root, *([str(mails[number - 1]["Message-ID"])] if number else [])] for number in range(len(mails))
    ]
    assert root not in {str(one["Message-ID"]) for one in mails}, "any mail may be the first that arrives"


def test_what_is_told_of_the_cluster_is_another_thread() -> None:
    about_cluster = {str(mail(message)["In-Reply-To"]) for message in STORY if message.event.outage}
    about_task = {str(mail(message)["In-Reply-To"]) for message in STORY if message.event.task}
    assert len(about_cluster) == len(about_task) == 1
    assert about_cluster != about_task
    assert str(mail(sample(Kind.SINK_FAILING, mark=None))["Subject"]) == "[css] notifier: sink sample-sink"
    assert str(mail(sample(Kind.CLUSTER_UNREACHABLE, mark=None))["Subject"]) == "[css] sample-cluster: monitoring"


@pytest.mark.parametrize("mark", ["TEST", "DRILL", "REPLAY"])
def test_a_drill_does_not_stand_in_the_thread_of_the_news(mark: str) -> None:
    drilled = mail(sample(Kind.TASK_FAILED, mark=mark))
    assert f"[{mark}]" in str(drilled["Subject"])
    assert drilled["X-CSS-Upgrade-Mark"] == mark
    assert drilled["In-Reply-To"] != mail(FAILED)["In-Reply-To"]
    assert drilled["Importance"] is None


def test_a_thread_keeps_its_subject_when_the_cluster_is_renamed() -> None:
    first = letter(FAILED, None, SENDER)
    event = replace(FAILED.event, cluster=replace(FAILED.event.cluster, name="renamed"))
    later = mail(replace(FAILED, event=event), Receipt({"message-id": first.id, "subject": first.subject}))
    assert str(later["Subject"]) == str(mail(FAILED)["Subject"])
    assert later["X-CSS-Upgrade-Cluster"] == "renamed"


@pytest.mark.parametrize(
    "strange",
    [{}, {"of": "another"}, {"message-id": "no id", "subject": ""}, {"message-id": "<a\r\nBcc: x@y>"}, {"message-id": "<é@x>"}],
)
def test_a_strange_receipt_adds_nothing(strange: dict[str, str]) -> None:
    assert str(mail(FAILED, Receipt(strange))["References"]) == str(mail(FAILED)["In-Reply-To"])
    assert mail(FAILED, Receipt(strange))["Bcc"] is None


def test_without_threads_the_news_is_the_subject() -> None:
    alone = mail(FAILED, None, replace(SENDER, threads=False, subject_prefix=""))
    assert str(alone["Subject"]) == "sample-cluster: upgrade FAILED"
    assert (alone["References"], alone["In-Reply-To"]) == (None, None)


def test_the_subject_says_what_is_done_to_which_cluster() -> None:
    assert FAILED.event.task is not None
    for action, target, said in [
        (Action.UPGRADING, None, "sample-cluster: upgrade"),
        (Action.AZ_MIGRATION, "az-1,az-2", "sample-cluster: AZ migration to az-1,az-2"),
        (Action.AZ_MIGRATION, None, "sample-cluster: AZ migration"),
    ]:
        event = replace(FAILED.event, task=replace(FAILED.event.task, action=action, target=target))
        assert letter(replace(FAILED, event=event), None, SENDER).subject == said


def test_headers_for_machines() -> None:
    sent = mail(FAILED)
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent["List-Id"] == f"<{FAILED.event.cluster.id}.css-upgrades.example.com>"
    assert sent["Importance"] == "high"
    assert mail(sample(Kind.NODE_COMPLETED, mark=None))["Importance"] is None
    assert sent["X-CSS-Upgrade-Kind"] == "task.failed"
    assert sent["List-Unsubscribe"] is None, "there is nothing to unsubscribe from but the configuration"
    assert sent["Message-ID"] == f"<{FAILED.id}@example.com>"
    assert sent.get_content_type() == "multipart/alternative"
    assert str(sent["Date"]).endswith("+0000")
    assert parsedate_to_datetime(sent["Date"]) == FAILED.event.observed_at.replace(microsecond=0)


def test_a_reminder_is_dated_when_it_was_owed_and_a_test_when_it_was_made() -> None:
    owed = FAILED.event.observed_at + timedelta(hours=5)
    reminder = mail(replace(FAILED, reminder=2, created_at=owed))
    assert parsedate_to_datetime(reminder["Date"]) == owed.replace(microsecond=0)
    now = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
    assert {parsedate_to_datetime(mail(message)["Date"]) for message in samples(now)} == {now}
    old = replace(sample(Kind.TASK_FAILED, mark="REPLAY"), created_at=None)
    assert parsedate_to_datetime(mail(old)["Date"]) == old.event.observed_at.replace(microsecond=0)


def test_a_repeat_is_the_same_to_the_byte() -> None:
    again = replace(FAILED, attempt=7, may_repeat=True)
    assert letter(FAILED, None, SENDER) == letter(again, None, SENDER)


def test_every_line_is_short_enough_and_plain() -> None:
    wide = replace(SENDER, domain="d" * 60 + "." + "e" * 60 + ".example", recipients=tuple(
        Address("Ops of a team", addr_spec=f"user-{number}@example.com") for number in range(100)
    ))  # fmt: skip
    for message, _ in receipts():
        content = letter(message, Receipt({"message-id": "<" + "p" * 200 + "@example.com>"}), wide).content
        assert content.isascii()
        assert max(map(len, content.split(b"\r\n"))) <= 998
        parsed = message_from_bytes(content, policy=policy.default)
        assert len(parsed["To"].addresses) == 100
        assert str(parsed["References"]).count("<") == 2
        assert "=?" not in content.split(b"References:")[1].split(b"\r\n")[0].decode()


def test_ids_of_a_stranger_are_digested() -> None:
    event = replace(FAILED.event, cluster=replace(FAILED.event.cluster, id="a b>\r\n\ud800"))
    sent = mail(replace(FAILED, id="x" * 200, event=event))
    for name in ("Message-ID", "List-Id"):
        assert len(str(sent[name])) < 100
        assert str(sent[name]).count(">") == 1


def test_both_parts_say_the_same() -> None:
    earlier = tuple(message.event for message in STORY[:4])
    message = replace(FAILED, earlier=earlier, late_by=timedelta(hours=3), skipped=2, reminder=1)
    for part in parts(message):
        for said in (
            *(
                "sample-cluster: upgrade FAILED",
                "Critical",
                "2026-03-01 06:35:00 UTC",
                "Someone must choose: retry or terminate.",
            ),
            *(
                "Delivered 3 h late.",
                "2 earlier messages never arrived.",
                "Reminder 1",
                "Before this (4)",
                "Node css-sample-ess-esn-1-1 started",
            ),
            *("1 of 3 completed", "33%", "css-sample-ess-esn-2-1", "failed: Node replacement", "1 more node", "to come"),
            *("7.10.2_22.5.1_1230", "https://status.example.com", FAILED.event.id),
        ):
            assert said in part, said


def test_what_is_to_come_is_shown_as_long_as_the_task_runs() -> None:
    text, html = parts(sample(Kind.NODE_COMPLETED, mark=None))
    for part in (text, html):
        assert "Expected to end between" in part
        assert "in flight" in part
        assert "when it ended" not in part
    text, _ = parts(sample(Kind.STAGE_STARTED, mark=None))
    assert "in flight: Data migration\r\n" in text


def test_what_there_is_nothing_to_say_of_is_left_out() -> None:
    text, html = parts(sample(Kind.CLUSTER_UNREACHABLE, mark=None), replace(SENDER, page=None))
    for part in (text, html):
        assert "Nodes" not in part
        assert "Before this" not in part
        assert "Status page" not in part
    assert "\n\n\n" not in text


@pytest.mark.parametrize(("progress", "widths"), [(0.0, [None]), (0.5, ["50%"]), (1.0, ["100%"]), (7.0, ["100%"]), (None, [])])
def test_the_bar_is_as_long_as_the_progress(progress: float | None, widths: list[str | None]) -> None:
    _, html = parts(replace(FAILED, event=replace(FAILED.event, progress=progress)))
    for width in widths:
        assert ('height="8" style="background:#a30d0d' in html) == (width is not None)
        assert width is None or f'<td width="{width}" height="8"' in html
    assert bool(widths) == ('height="8"' in html)


def test_large_clusters_are_counted_where_they_are_not_listed() -> None:
    assert FAILED.event.task is not None
    names = tuple(f"node-{number}" for number in range(400))
    task = replace(FAILED.event.task, status="RUNNING", nodes=Nodes(500, names[:200], (*names[199:300],)))
    for part in parts(replace(FAILED, event=replace(FAILED.event, task=task))):
        assert f"{200 - MOST_NODES} more nodes" in part
        assert f"{100 - MOST_NODES} more nodes" in part
        assert "200 more nodes" in part
        assert len(part) < 80_000


def test_of_very_many_earlier_events_the_last_are_listed() -> None:
    message = replace(FAILED, earlier=tuple(STORY[0].event for _ in range(MOST_EARLIER + 7)))
    for part in parts(message):
        assert f"Before this ({MOST_EARLIER + 7})" in part
        assert "… and 7 more" in part


def test_chinese() -> None:
    words = Words(language="zh", zone=ZoneInfo("Asia/Shanghai"))
    news = sample(Kind.TASK_FAILED, mark=None, words=words)
    message = replace(news, late_by=timedelta(hours=1), earlier=(STORY[0].event,))
    sent = letter(message, None, replace(SENDER, words=words))
    assert sent.subject == "sample-cluster：升级到 7.10.2_22.5.1_1230"  # noqa: RUF001 - as Chinese is written
    text, html = parts(message, replace(SENDER, words=words))
    assert '<html lang="zh-CN">' in html
    for part in (text, html):
        for said in (
            "严重",
            "节点",
            "已完成 1/3",
            "另有 1 个节点",
            "此前的消息",
            "延迟 1 小时送达。",
            "14:35:00 CST",
            "升级失败",
        ):
            assert said in part


def test_the_eta_is_in_the_readers_zone() -> None:
    ends = datetime(2026, 3, 1, 20, 0, tzinfo=UTC)
    event = replace(FAILED.event, eta=Eta(ends, ends + timedelta(hours=1), "2 finished nodes"))
    message = render(event, delivery_id="d", attempt=1, may_repeat=False, skipped=0, now=event.observed_at)
    for part in parts(message, replace(SENDER, words=Words(zone=ZoneInfo("Asia/Shanghai")))):
        assert "between 2026-03-02 04:00 CST and 2026-03-02 05:00 CST, judging by 2 finished nodes." in part


async def test_who_reads_it_is_addressed_and_who_sends_it_is_named() -> None:
    people: dict[str, Any] = {
        "from": "CSS 通知 <css@example.com>",
        "to": ["Ops <ops@example.com>", "b@example.org"],
        "domain": "mail.example.net",
        "subject_prefix": "[ops]",
    }
    async with post_office() as office, mailing(office.port, **people) as sink:
        await sink.send(FAILED, None)
    [sent] = office.mails
    assert (sent.sender, sent.recipients) == ("css@example.com", ["ops@example.com", "b@example.org"])
    assert str(sent.parsed["Subject"]).startswith("[ops] sample-cluster: ")
    assert str(sent.parsed["From"]) == "CSS 通知 <css@example.com>"
    assert str(sent.parsed["To"]) == "Ops <ops@example.com>, b@example.org"
    assert str(sent.parsed["Message-ID"]) == f"<{FAILED.id}@mail.example.net>"


async def test_a_line_that_begins_with_a_dot_arrives_as_it_is() -> None:
    async with post_office() as office, mailing(office.port) as sink:
        await sink.send(replace(FAILED, summary=". and ..\n."), None)
    assert "\n. and .. .\n" in office.mails[0].part("plain").replace("\r\n", "\n")


async def test_what_cannot_be_made_a_mail_is_refused_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise IndexError("text of a stranger")

    monkeypatch.setattr(email, "letter", broken)
    async with scripted(willing()) as (port, heard), mailing(port) as sink:
        with pytest.raises(DeliveryError) as caught:
            await sink.send(FAILED, None)
    assert (caught.value.outcome, caught.value.reason) == (Outcome.REJECTED, DeliveryReason.RENDER)
    assert "stranger" not in caught.value.detail
    assert heard == []


REPORT = Report("search-prod · upgrade", "<svg/>", "<!doctype html><title>report</title>", b"\x89PNG and so on")


def test_a_report_stands_in_the_mail_and_is_attached() -> None:
    sent = mail(replace(FAILED, report=REPORT))
    assert sent.get_content_type() == "multipart/mixed"
    html = sent.get_body(("html",))
    assert isinstance(html, EmailMessage)
    assert sent.get_body(("plain",)) is not None
    (picture,) = (part for part in sent.walk() if part.get_content_type() == "image/png")
    assert picture.get_content() == REPORT.png
    assert picture["Content-ID"] is not None
    assert f'src="cid:{picture["Content-ID"].strip("<>")}"' in html.get_content()
    assert 'width="590"' in html.get_content(), "Outlook knows no percent, and shows every pixel that there is"
    (page,) = sent.iter_attachments()
    assert (page.get_filename(), page.get_content().strip()) == ("report.html", REPORT.html)


def test_both_parts_say_that_a_report_is_attached() -> None:
    for part in parts(replace(FAILED, report=REPORT)):
        assert "The report of this task is attached (report.html)." in part
    for part in parts(FAILED):
        assert "attached" not in part


def test_the_link_leads_to_the_task_where_there_is_one() -> None:
    assert FAILED.event.task is not None
    task = f"https://status.example.com/tasks/{FAILED.event.cluster.id}/UPGRADING/{FAILED.event.task.id}"
    odd = replace(FAILED, event=replace(FAILED.event, task=replace(FAILED.event.task, id='a/b?"<c>')))
    for message, link in [
        (FAILED, task),
        (sample(Kind.CLUSTER_UNREACHABLE, mark=None), "https://status.example.com"),
        (sample(Kind.TASK_FAILED, mark="TEST"), "https://status.example.com"),
        (odd, f"https://status.example.com/tasks/{FAILED.event.cluster.id}/UPGRADING/a%2Fb%3F%22%3Cc%3E"),
    ]:
        text, html = parts(message)
        assert f"Status page: {link}\n" in text.replace("\r\n", "\n")
        assert f'<a href="{link}"' in html


def test_a_report_without_a_picture_is_attached_alone() -> None:
    sent = mail(replace(FAILED, report=replace(REPORT, png=None)))
    html = sent.get_body(("html",))
    assert isinstance(html, EmailMessage)
    assert "<img" not in html.get_content()
    assert [part.get_content_type() for part in sent.iter_attachments()] == ["text/html"]


def test_a_mail_with_a_report_is_the_same_to_the_byte_when_it_is_sent_again() -> None:
    message = replace(FAILED, report=REPORT)
    assert letter(message, None, SENDER) == letter(replace(message, attempt=3), None, SENDER)
