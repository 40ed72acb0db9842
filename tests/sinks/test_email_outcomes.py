"""What becomes of a mail: every reply at every step, partial refusals, doubt, and servers that break off or drip."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from smtp_servers import OPS, mailing, post_office, scripted, willing
from time_is_up import Patience
from tries import NEWS, after, failure

from notifier.domain.errors import DeliveryReason, Outcome, Scope
from notifier.domain.message import Receipt
from notifier.sinks import smtp
from notifier.sinks.email import SHARE
from notifier.sinks.smtp import AFTER_DOUBT, GREYLISTED, Step, outcome_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:aiosmtpd")

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
ALL = [ALICE, BOB, CAROL]
RETRY, REJECTED, UNCERTAIN = Outcome.RETRY, Outcome.REJECTED, Outcome.UNCERTAIN
EVENT, SINK = Scope.EVENT, Scope.SINK
R = DeliveryReason


MEANINGS: dict[Step, dict[int, tuple[Outcome, DeliveryReason, Scope]]] = {
    Step.CONNECTION: {
        421: (RETRY, R.SERVER, SINK), 450: (RETRY, R.SERVER, SINK), 521: (REJECTED, R.REFUSED, SINK),
        554: (REJECTED, R.REFUSED, SINK), 354: (RETRY, R.UNREADABLE, SINK),
    },
    Step.TLS: {421: (RETRY, R.SERVER, SINK), 454: (RETRY, R.TLS, SINK), 502: (RETRY, R.TLS, SINK)},
    Step.LOGIN: {
        421: (RETRY, R.SERVER, SINK), 454: (RETRY, R.SERVER, SINK), 432: (RETRY, R.SERVER, SINK),
        500: (REJECTED, R.REFUSED, SINK), 504: (REJECTED, R.REFUSED, SINK), 530: (REJECTED, R.REFUSED, SINK),
        534: (REJECTED, R.REFUSED, SINK),
        535: (REJECTED, R.REFUSED, SINK), 538: (REJECTED, R.REFUSED, SINK), 250: (RETRY, R.UNREADABLE, SINK),
    },
    Step.SENDER: {
        421: (RETRY, R.SERVER, SINK), 450: (RETRY, R.SERVER, SINK), 451: (RETRY, R.SERVER, SINK), 452: (RETRY, R.SERVER, SINK),
        501: (REJECTED, R.REFUSED, SINK), 503: (REJECTED, R.REFUSED, SINK), 530: (REJECTED, R.REFUSED, SINK),
        550: (REJECTED, R.REFUSED, SINK), 552: (REJECTED, R.TOO_LARGE, EVENT), 553: (REJECTED, R.REFUSED, SINK),
    },
    Step.RECIPIENT: {
        421: (RETRY, R.SERVER, SINK), 450: (RETRY, R.SERVER, EVENT), 451: (RETRY, R.SERVER, EVENT), 452: (RETRY, R.SERVER, EVENT),
        530: (REJECTED, R.REFUSED, SINK), 550: (REJECTED, R.MISSING, EVENT), 551: (REJECTED, R.MISSING, EVENT),
        552: (RETRY, R.SERVER, EVENT), 553: (REJECTED, R.MISSING, EVENT), 554: (REJECTED, R.MISSING, EVENT),
        354: (RETRY, R.UNREADABLE, EVENT),
    },
    Step.CONTENT: {
        421: (RETRY, R.SERVER, SINK), 450: (RETRY, R.SERVER, EVENT), 451: (RETRY, R.SERVER, EVENT), 452: (RETRY, R.SERVER, EVENT),
        550: (REJECTED, R.INVALID, EVENT), 552: (REJECTED, R.TOO_LARGE, EVENT), 554: (REJECTED, R.INVALID, EVENT),
        530: (REJECTED, R.REFUSED, SINK), 251: (UNCERTAIN, R.UNREADABLE, EVENT), 354: (UNCERTAIN, R.UNREADABLE, EVENT),
        -1: (UNCERTAIN, R.UNREADABLE, EVENT),
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("step", "code", "meaning"),
    [(step, code, meaning) for step, codes in MEANINGS.items() for code, meaning in codes.items()],
)
def test_what_a_reply_means(step: Step, code: int, meaning: tuple[Outcome, DeliveryReason, Scope]) -> None:
    assert outcome_of(step, code) == meaning


@pytest.mark.parametrize("step", Step)
def test_no_reply_of_any_code_is_taken_for_a_success_or_raises(step: Step) -> None:
    for code in range(-1, 1000):
        outcome, _, _ = outcome_of(step, code)
        assert (outcome is UNCERTAIN) <= (step is Step.CONTENT), "before the content nothing can have been accepted"


@pytest.mark.parametrize(
    ("script", "meaning", "said"),
    [
        ({"hello": "554 no service"}, (REJECTED, R.REFUSED, SINK), "554 no service (on connecting)"),
        ({"hello": "421 busy"}, (RETRY, R.SERVER, SINK), "421 busy"),
        ({"hello": "HTTP/1.1 400 Bad Request"}, (RETRY, R.UNREADABLE, SINK), "an answer that is no SMTP"),
        ({"hello": None}, (RETRY, R.NETWORK, SINK), "connection"),
        ({"EHLO": None}, (RETRY, R.NETWORK, SINK), "the connection was closed (for the sender)"),
        ({"MAIL": "451 4.3.0 try later"}, (RETRY, R.SERVER, SINK), "451 4.3.0 try later (for the sender)"),
        ({"MAIL": "530 5.7.0 Must issue STARTTLS"}, (REJECTED, R.REFUSED, SINK), "530"),
        ({"MAIL": None}, (RETRY, R.NETWORK, SINK), "closed (for the sender)"),
        ({"RCPT": "421 4.7.0 too many"}, (RETRY, R.SERVER, SINK), "421"),
        ({"RCPT": "530 login first"}, (REJECTED, R.REFUSED, SINK), "530 login first (for the recipient)"),
        (
            {"RCPT": "450 4.2.0 greylisted"},
            (RETRY, R.SERVER, EVENT),
            "not accepted yet for ops@example.com (450 4.2.0 greylisted)",
        ),
        ({"RCPT": "550 5.1.1 unknown"}, (REJECTED, R.MISSING, SINK), "refused for ops@example.com (550 5.1.1 unknown)"),
        ({"RCPT": None}, (RETRY, R.NETWORK, SINK), "closed (for the recipient)"),
        ({"DATA": "451 not now"}, (RETRY, R.SERVER, EVENT), "451 not now"),
        ({"DATA": "554 no valid recipients"}, (REJECTED, R.INVALID, EVENT), "554"),
        ({"content": "552 5.3.4 too big"}, (REJECTED, R.TOO_LARGE, EVENT), "552 5.3.4 too big (for the message)"),
        ({"content": "550 5.7.1 spam"}, (REJECTED, R.INVALID, EVENT), "550 5.7.1 spam"),
        ({"content": "421 4.3.2 going down"}, (RETRY, R.SERVER, SINK), "421"),
        ({"content": "451 4.3.0 disk"}, (RETRY, R.SERVER, EVENT), "451"),
        ({"content": None}, (UNCERTAIN, R.NETWORK, EVENT), "no answer after the message was sent"),
        ({"content": "\x00\x9bnonsense"}, (UNCERTAIN, R.UNREADABLE, EVENT), "an answer that is no SMTP"),
        ({"content": b"250-" + b"x" * 40_000 + b"\r\n"}, (UNCERTAIN, R.UNREADABLE, EVENT), "an answer that is no SMTP"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, dict) else None,
)
async def test_what_a_server_says_or_breaks_off(
    script: dict[str, str | None], meaning: tuple[Outcome, DeliveryReason, Scope], said: str
) -> None:
    async with scripted(willing(**script)) as (port, _), mailing(port) as sink:
        error = await failure(sink)
    assert (error.outcome, error.reason, error.scope) == meaning
    assert said in error.detail
    assert error.retry_after == (AFTER_DOUBT if meaning[0] is UNCERTAIN else GREYLISTED if "yet" in said else None)


async def test_nobody_listens() -> None:
    async with scripted(willing()) as (port, _):
        pass
    async with mailing(port) as sink:
        error = await failure(sink)
    assert (error.outcome, error.reason, error.scope) == (RETRY, R.NETWORK, SINK)
    assert "connection refused" in error.detail


async def test_a_host_that_does_not_exist() -> None:
    async with mailing(25, host="no-such-host.invalid", accept_risk=True) as sink:
        error = await failure(sink)
    assert (error.outcome, error.reason) == (RETRY, R.NETWORK)


@pytest.mark.parametrize(("command", "outcome"), [("hello", RETRY), ("MAIL", RETRY), ("content", UNCERTAIN)])
async def test_a_server_that_drips_is_left_when_the_time_is_up(
    command: str, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each read is quick; only the whole takes for ever."""
    patience, endless = Patience(monkeypatch, smtp), b"250-" + b"x" * 5000

    def script(line: str) -> str | bytes | None:
        answer = willing(**{command: endless})(line)
        if answer is endless:
            asyncio.get_running_loop().call_later(0.05, patience.is_over)
        return answer

    async with scripted(script, drip=0.002) as (port, _), mailing(port, seconds=1.0) as sink:
        error = await failure(sink)
    assert (error.outcome, error.reason) == (outcome, R.TIMEOUT)
    assert patience.asked == [SHARE]


async def test_an_answer_that_drips_in_time_counts() -> None:
    async with scripted(willing(), drip=0.001) as (port, _), mailing(port) as sink:
        receipt = await sink.send(NEWS, None)
    assert receipt.fields["reply"] == "OK"


async def test_a_server_that_never_says_goodbye_changes_nothing() -> None:
    async with scripted(willing(QUIT=None)) as (port, heard), mailing(port) as sink:
        await sink.send(NEWS, None)
    assert heard[-1] == "QUIT"


async def test_a_goodbye_that_hangs_costs_little_and_changes_nothing() -> None:
    async with scripted(willing(QUIT=b"")) as (port, _), mailing(port) as sink:
        began = time.monotonic()
        await sink.send(NEWS, None)
        assert time.monotonic() - began < 60


async def test_a_goodbye_that_hangs_does_not_make_a_mail_of_little_time_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Patience(monkeypatch, smtp)

    def script(line: str) -> str | bytes | None:
        if line != "QUIT":
            return willing()(line)
        patience.is_over()
        return b""

    async with scripted(script) as (port, _), mailing(port, seconds=0.5) as sink:
        assert isinstance(await sink.send(NEWS, None), Receipt)
    assert len(patience.asked) == 2
    assert sum(patience.asked) < 0.5, "whoever sends it waits no longer"


async def test_who_has_it_is_not_asked_again_and_who_was_put_off_gets_the_same_mail() -> None:
    late = replace(NEWS, late_by=timedelta(minutes=10), skipped=2)
    async with post_office() as office, mailing(office.port, to=ALL) as sink:
        office.on = {f"RCPT {BOB}": "451 4.7.1 greylisted"}
        error = await failure(sink, late)
        assert (error.outcome, error.reason, error.scope, error.retry_after) == (RETRY, R.SERVER, EVENT, GREYLISTED)
        assert error.detail == f"not accepted yet for {BOB} (451 4.7.1 greylisted); 2 of the recipients have it"
        office.on, office.asked = {}, []
        receipt = await sink.send(after(error, replace(late, late_by=timedelta(minutes=25))), None)
        assert office.asked == [BOB]
    assert [mail.recipients for mail in office.mails] == [[ALICE, CAROL], [BOB]]
    assert office.mails[0].content == office.mails[1].content
    assert receipt.fields["accepted"].split() == [ALICE, CAROL, BOB]


async def test_an_address_that_is_refused_for_good_is_a_dead_delivery_that_says_who_has_it() -> None:
    async with post_office() as office, mailing(office.port, to=ALL) as sink:
        office.on = {f"RCPT {BOB}": "550 5.1.1 no such user"}
        error = await failure(sink)
        assert (error.outcome, error.reason, error.scope) == (REJECTED, R.MISSING, EVENT)
        assert error.detail == f"refused for {BOB} (550 5.1.1 no such user); 2 of the recipients have it"
        office.on, office.asked = {}, []
        await sink.send(after(error), None)  # A person has sent it again.
        assert office.asked == [BOB]
    assert [mail.recipients for mail in office.mails] == [[ALICE, CAROL], [BOB]]


async def test_one_has_it_one_waits_one_is_refused() -> None:
    async with post_office() as office, mailing(office.port, to=ALL) as sink:
        office.on = {f"RCPT {BOB}": "450 wait", f"RCPT {CAROL}": "550 gone"}
        waiting = await failure(sink)
        assert waiting.outcome is RETRY
        office.asked = []
        still = await failure(sink, after(waiting))
        assert (still.outcome, office.asked) == (RETRY, [BOB]), "who is refused is not asked while another waits"
        office.on = {}
        dead = await failure(sink, after(still, after(waiting)))
    assert (dead.outcome, dead.scope) == (REJECTED, EVENT)
    assert dead.detail == f"refused for {CAROL} (before); 2 of the recipients have it"
    assert dead.receipt is not None
    assert "refused" not in dead.receipt.fields
    assert [mail.recipients for mail in office.mails] == [[ALICE], [BOB]]


async def test_a_refusal_after_the_others_were_reached_is_the_events_and_not_the_sinks() -> None:
    async with post_office() as office, mailing(office.port, to=[ALICE, BOB]) as sink:
        office.on = {f"RCPT {BOB}": "450 wait"}
        waiting = await failure(sink)
        office.on = {f"RCPT {BOB}": "550 gone"}
        dead = await failure(sink, after(waiting))
    assert (dead.outcome, dead.reason, dead.scope) == (REJECTED, R.MISSING, EVENT)


async def test_no_good_address_at_all_rests_the_sink_and_gives_nothing_up() -> None:
    async with post_office() as office, mailing(office.port, to=ALL) as sink:
        office.on = {"RCPT": "550 5.7.1 relaying denied"}
        error = await failure(sink)
    assert (error.outcome, error.reason, error.scope, error.receipt) == (REJECTED, R.MISSING, SINK, None)
    assert office.mails == []


async def test_refused_before_and_nobody_left_to_ask() -> None:
    async with post_office() as office, mailing(office.port, to=[ALICE]) as sink:
        error = await failure(sink, replace(NEWS, progress=Receipt({"refused": ALICE})))
    assert (error.outcome, error.scope) == (REJECTED, SINK)


async def test_many_refusals_are_counted_and_not_all_listed() -> None:
    names = [f"u{number}@example.com" for number in range(9)]
    async with post_office() as office, mailing(office.port, to=[*names, ALICE]) as sink:
        office.on = {f"RCPT {name}": "550 gone" for name in names}
        error = await failure(sink)
    assert " and 6 more; 1 of the recipients have it" in error.detail


async def test_a_mail_that_may_have_been_accepted_is_repeated_to_the_byte() -> None:
    contents: list[str] = []

    def script(line: str) -> str | bytes | None:
        if line == "<content>" and len(contents) == 0:
            contents.append("lost")
            return None
        return willing()(line)

    late = replace(NEWS, late_by=timedelta(minutes=10))
    async with scripted(script) as (port, heard), mailing(port) as sink:
        error = await failure(sink, late)
        assert (error.outcome, error.retry_after) == (UNCERTAIN, AFTER_DOUBT)
        again = replace(after(error, late), may_repeat=True, late_by=timedelta(hours=2), skipped=1)
        await sink.send(again, None)
    first, second = [text for text in heard if text.startswith("From:")]
    assert first == second


async def test_cancelled_means_hung_up() -> None:
    async with post_office() as office, mailing(office.port) as sink:
        office.hangs = True
        sending = asyncio.create_task(sink.send(NEWS, None))
        await asyncio.wait({sending}, timeout=0.2)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        office.hangs = False
        await sink.send(NEWS, None)
    assert [mail.recipients for mail in office.mails] == [[OPS]]


async def test_a_sink_that_was_not_opened_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mailing(25) as sink:
        monkeypatch.setattr(sink, "_server", None)
        with pytest.raises(RuntimeError, match="not open"):
            await sink.send(NEWS, None)
