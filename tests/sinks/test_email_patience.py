"""A mail has an end: who is put off, a server that thinks for too long, a report that is refused hold up nobody else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from smtp_servers import Script, mailing, post_office, scripted, settings, willing
from time_is_up import Patience
from tries import after, failure

from notifier.domain.errors import DeliveryReason, Outcome, Scope
from notifier.domain.message import Receipt, Report
from notifier.domain.model import Kind
from notifier.domain.samples import sample
from notifier.sinks import smtp
from notifier.sinks.contract import LARGEST_RECEIPT
from notifier.sinks.email import LEAST
from notifier.sinks.email_letter import Letter
from notifier.sinks.email_progress import MOST_DOUBTS, PATIENCE, Progress, Written

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:aiosmtpd")

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
ALL = [ALICE, BOB, CAROL]
NEWS = sample(Kind.NODE_COMPLETED, mark=None)
NEXT = sample(Kind.NODE_STARTED, mark=None)
GRAVE = sample(Kind.TASK_FAILED, mark=None)
REPORT = Report("search-prod · upgrade", "<svg/>", "<!doctype html><title>report</title>", b"\x89PNG and so on")
FULL = {f"RCPT {BOB}": "452 4.2.2 mailbox full"}


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Without:
    """What a sink went without, in one word each."""

    def __init__(self) -> None:
        self.what: list[str] = []

    def __call__(self, what: str, why: str) -> None:
        assert why.isprintable()
        self.what.append(what)


async def test_who_is_put_off_for_long_is_given_up_and_named_and_the_others_keep_theirs() -> None:
    clock = Clock()
    async with post_office() as office, mailing(office.port, to=ALL, lent={"clock": clock}) as sink:
        office.on = FULL
        waiting = await failure(sink, NEWS)
        clock.later(PATIENCE - 1)
        still = await failure(sink, after(waiting, NEWS))
        assert (waiting.outcome, still.outcome) == (Outcome.RETRY, Outcome.RETRY)
        clock.later(1)
        dead = await failure(sink, after(still, after(waiting, NEWS)))
        assert (dead.outcome, dead.reason, dead.scope) == (Outcome.REJECTED, DeliveryReason.SERVER, Scope.EVENT)
        assert dead.detail == f"put off and given up for {BOB} (452 4.2.2 mailbox full); 2 of the recipients have it"
        office.on, office.asked = {}, []
        await sink.send(after(dead, NEWS), None)  # A person has sent it again.
        assert office.asked == [BOB]
    assert [mail.recipients for mail in office.mails] == [[ALICE, CAROL], [BOB]]
    assert office.mails[0].content == office.mails[1].content


async def test_what_comes_after_it_does_not_wait_for_him_again_but_asks_him() -> None:
    clock = Clock()
    async with post_office() as office, mailing(office.port, to=ALL, lent={"clock": clock}) as sink:
        office.on = FULL
        waiting = await failure(sink, NEWS)
        clock.later(PATIENCE)
        dead = await failure(sink, after(waiting, NEWS))
        at_once = await failure(sink, NEXT, dead.receipt)
        assert at_once.outcome is Outcome.REJECTED
        office.on = FULL | {f"RCPT {CAROL}": "451 4.7.1 greylisted"}
        another = await failure(sink, GRAVE, at_once.receipt)
        assert another.outcome is Outcome.RETRY, "Carol has not been waited for yet"
        office.on = {}
        reached = await sink.send(after(another, GRAVE), at_once.receipt)
        office.on = FULL
        assert (await failure(sink, NEXT, reached)).outcome is Outcome.RETRY, "his mailbox had room, so he is waited for"


def test_however_many_and_long_the_addresses_are_the_receipt_can_be_stored() -> None:
    everybody = tuple(f"{number:064}@{'x' * 60}.{'y' * 60}.{'z' * 28}" for number in range(100))
    settings(25, to=everybody)
    mail = Letter(f"<{NEWS.id}@{'x' * 60}.example>", "\U0001f600" * 200, b"")
    receipt = Written(NEWS, mail, None).receipt(Progress(have=everybody, behind=frozenset(everybody), doubts=2), "r" * 200)
    assert receipt.size <= LARGEST_RECEIPT


async def test_nobody_is_given_up_while_nobody_has_it() -> None:
    clock = Clock()
    async with post_office() as office, mailing(office.port, to=ALL, lent={"clock": clock}) as sink:
        office.on = {"RCPT": "451 4.7.1 greylisted"}
        waiting = await failure(sink, NEWS)
        clock.later(10 * PATIENCE)
        assert (await failure(sink, after(waiting, NEWS))).outcome is Outcome.RETRY


async def test_who_is_put_off_after_the_content_is_no_reason_to_wait_longer() -> None:
    clock = Clock()
    async with post_office() as office, mailing(office.port, to=[ALICE, BOB], lent={"clock": clock}) as sink:
        office.on = FULL
        waiting = await failure(sink, NEWS)
        office.on = {"DATA": "451 4.3.0 try again"}
        assert (await failure(sink, after(waiting, NEWS))).outcome is Outcome.RETRY
        clock.later(PATIENCE)
        dead = await failure(sink, after(waiting, NEWS))
    assert dead.outcome is Outcome.REJECTED
    assert f"given up for {BOB} (451 4.3.0 try again" in dead.detail


async def test_the_patience_of_a_delivery_from_before_there_was_any_begins_with_the_next_try() -> None:
    for since in ({}, {"since": "no time"}, {"since": "2026-03-01T08:00:00"}):
        async with post_office() as office, mailing(office.port, to=[ALICE, BOB], lent={"clock": Clock()}) as sink:
            office.on = FULL
            error = await failure(sink, replace(NEWS, progress=Receipt({"accepted": ALICE, **since})))
        assert error.outcome is Outcome.RETRY


def slow(seconds_of: Callable[[int], bytes | None]) -> Script:
    """A server that does to the n-th content as said; ``b""``: nothing."""
    count = 0

    def script(line: str) -> str | bytes | None:
        nonlocal count
        if line != "<content>":
            return willing()(line)
        count += 1
        return seconds_of(count)

    return script


def silence(patience: Patience) -> bytes:
    """No answer, until the time is up."""
    patience.is_over()
    return b""


async def test_a_server_that_thinks_for_too_long_is_sent_a_mail_twice_and_the_next_once(monkeypatch: pytest.MonkeyPatch) -> None:
    without, patience = Without(), Patience(monkeypatch, smtp)
    lent = {"went_without": without}
    async with scripted(slow(lambda _: silence(patience))) as (port, heard), mailing(port, lent=lent) as sink:
        first = await failure(sink, NEWS)
        assert (first.outcome, without.what) == (Outcome.UNCERTAIN, [])
        dead = await failure(sink, after(first, NEWS))
        assert (dead.outcome, dead.reason, dead.scope) == (Outcome.REJECTED, DeliveryReason.TIMEOUT, Scope.EVENT)
        assert dead.detail.endswith("2 times: it may well have arrived, and is not sent again")
        assert without.what == ["answer"]
        assert dead.receipt is not None
        assert "accepted" not in dead.receipt.fields
        following = await failure(sink, NEXT, dead.receipt)
        assert following.outcome is Outcome.REJECTED
        grave = await failure(sink, GRAVE, following.receipt)
        assert grave.outcome is Outcome.UNCERTAIN, "what is grave is sent twice all the same"
        assert (await failure(sink, after(grave, GRAVE), following.receipt)).outcome is Outcome.REJECTED
        again = await failure(sink, after(dead, NEWS), dead.receipt)
        assert again.outcome is Outcome.REJECTED, "a person who sends it again is told at once"
    mails = [text.split("Message-ID: ")[1].split("\r\n")[0] for text in heard if text.startswith("From:")]
    assert [mails.count(f"<{message.id}@example.com>") for message in (NEWS, NEXT, GRAVE)] == [3, 1, 2]


async def test_once_the_server_answers_in_time_it_is_trusted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Patience(monkeypatch, smtp)
    async with (
        scripted(slow(lambda count: b"250 OK\r\n" if count == 3 else silence(patience))) as (port, _),
        mailing(port) as sink,
    ):
        dead = await failure(sink, after(await failure(sink, NEWS), NEWS))
        assert dead.outcome is Outcome.REJECTED
        receipt = await sink.send(NEXT, dead.receipt)
        assert (await failure(sink, NEWS, receipt)).outcome is Outcome.UNCERTAIN


async def test_a_connection_that_breaks_off_at_every_try_has_an_end_too() -> None:
    async with scripted(slow(lambda _: None)) as (port, heard), mailing(port) as sink:
        error, message = await failure(sink, NEWS), NEWS
        for _ in range(MOST_DOUBTS - 1):
            assert error.outcome is Outcome.UNCERTAIN
            message = after(error, message)
            error = await failure(sink, message)
    assert (error.outcome, error.reason) == (Outcome.REJECTED, DeliveryReason.NETWORK)
    assert len([text for text in heard if text.startswith("From:")]) == MOST_DOUBTS


def gateway(answer: str, *, bare: str = "250 OK") -> Callable[[list[str]], Script]:
    """A server that refuses what has an HTML page attached, with ``answer``, and answers the rest with ``bare``."""

    def over(heard: list[str]) -> Script:
        def script(line: str) -> str | bytes | None:
            return willing()(line) if line != "<content>" else answer if "report.html" in heard[-1] else bare

        return script

    return over


@pytest.mark.parametrize(
    "answer", ["550 5.7.1 message contains a blocked attachment type (.html)", "552 5.3.4 message too big", "554 5.7.1 spam"]
)
async def test_a_mail_whose_report_is_refused_goes_without_it(answer: str) -> None:
    without = Without()
    heard: list[str] = []

    def script(line: str) -> str | bytes | None:
        return gateway(answer)(heard)(line)

    async with scripted(script, heard=heard) as (port, _), mailing(port, lent={"went_without": without}) as sink:
        receipt = await sink.send(replace(GRAVE, report=REPORT), None)
    with_it, bare = [text for text in heard if text.startswith("From:")]
    assert "report.html" in with_it
    assert "report.html" not in bare
    assert f"Message-ID: {receipt.fields['message-id']}\r\n" in with_it
    assert f"Message-ID: {receipt.fields['message-id']}\r\n" in bare
    assert without.what == ["report"]


async def test_who_was_put_off_gets_it_without_the_report_as_well() -> None:
    heard: list[str] = []

    def script(line: str) -> str | bytes | None:
        if line == f"RCPT TO:<{BOB}>" and heard.count(line) <= 2:
            return "451 4.7.1 greylisted"
        return gateway("550 5.7.1 no HTML")(heard)(line)

    message = replace(GRAVE, report=REPORT)
    async with scripted(script, heard=heard) as (port, _), mailing(port, to=[ALICE, BOB]) as sink:
        waiting = await failure(sink, message)
        assert waiting.outcome is Outcome.RETRY
        await sink.send(after(waiting, message), None)
    _, to_alice, to_bob = [text for text in heard if text.startswith("From:")]
    assert to_alice == to_bob


async def test_what_is_refused_without_its_report_too_is_refused() -> None:
    heard: list[str] = []

    def script(line: str) -> str | bytes | None:
        return gateway("550 no HTML", bare="550 5.7.1 spam")(heard)(line)

    async with scripted(script, heard=heard) as (port, _), mailing(port) as sink:
        error = await failure(sink, replace(GRAVE, report=REPORT))
    assert (error.outcome, error.reason) == (Outcome.REJECTED, DeliveryReason.INVALID)
    assert "5.7.1 spam" in error.detail


async def test_there_is_no_second_conversation_without_time_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Patience(monkeypatch, smtp)  # There is none for the second; the first may take as long as it likes.
    heard: list[str] = []

    def script(line: str) -> str | bytes | None:
        return gateway("550 no HTML")(heard)(line)

    async with scripted(script, heard=heard) as (port, _), mailing(port, seconds=LEAST) as sink:
        error = await failure(sink, replace(GRAVE, report=REPORT))
    assert "no HTML" in error.detail
    assert len([text for text in heard if text.startswith("From:")]) == 1
