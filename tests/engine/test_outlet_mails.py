"""Engine, store and e-mail sink together: what one recipient waits for, the others are not sent again."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.utils import parsedate_to_datetime

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from engine_scripts import eventually, failing, outlet, rows, serving, settled, tell

from notifier.domain.model import Kind
from notifier.domain.plan import AT_ONCE, Planned
from notifier.outbound import open_session
from notifier.sinks import email, email_progress
from notifier.sinks.contract import Surroundings
from notifier.store.rows import State
from notifier.store.store import Store

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:aiosmtpd")

ALICE, BOB = "alice@example.com", "bob@example.com"


class Office:
    """Puts Bob off at every other try; at the others it takes his mail, or ``refuses`` him for good.

    ``full``: it puts him off every time, and not at all once that is over.
    """

    def __init__(self, *, refuses: bool = False, full: bool = False) -> None:
        self.greylists = not full
        self.refuses = refuses
        self.full = full
        self.mails: list[tuple[tuple[str, ...], bytes]] = []
        self._put_off = False

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,  # noqa: ARG002 - likewise, and what follows
        session: Session,  # noqa: ARG002
        envelope: Envelope,
        address: str,
        options: list[str],  # noqa: ARG002
    ) -> str:
        if address == BOB:
            self._put_off = self.greylists and not self._put_off
            if self.full:
                return "452 4.2.2 mailbox full"
            if self._put_off:
                return "451 4.7.1 greylisted"
            if self.refuses:
                return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802 - aiosmtpd's name
        self.mails.append((tuple(envelope.rcpt_tos), envelope.original_content or b""))
        return "250 OK"


@asynccontextmanager
async def posting(told: Office) -> AsyncIterator[email.Sink]:
    """A sink that hands its mail in at an office."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(told, loop=loop), "127.0.0.1", 0)
    where = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1], "tls": "none"}
    settings = email.Settings.model_validate({**where, "from": "css@example.com", "to": [ALICE, BOB]})
    async with open_session() as session, email.Sink(settings, Surroundings("team", session)) as sink:
        yield sink
    server.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email_progress, "GREYLISTED", 0.01)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store("sqlite://").open()
    yield opened
    opened.close()


async def test_who_was_put_off_gets_each_mail_once_and_so_does_everybody_else(store: Store) -> None:
    told = Office()
    events = await store.transact(tell())
    async with posting(told) as sink, serving(outlet(store, sink)):
        await eventually(settled(store))
    assert Counter(recipients for recipients, _ in told.mails) == {(ALICE,): len(events), (BOB,): len(events)}
    assert all(count == 2 for count in Counter(content for _, content in told.mails).values()), "both have the same mail"


async def test_who_is_refused_is_a_dead_delivery_and_a_second_sending_reaches_only_him(store: Store) -> None:
    told = Office(refuses=True)
    events = await store.transact(tell())
    async with posting(told) as sink, serving(outlet(store, sink)) as dispatcher:
        await eventually(settled(store, State.DEAD))
        assert {row.reason for row in await rows(store)} == {"missing"}
        assert [recipients for recipients, _ in told.mails] == [(ALICE,)] * len(events)
        assert not any(b"given up" in content for _, content in told.mails), "they were not skipped: Alice has them all"
        told.refuses = False
        await store.transact(lambda tx: tx.resend(time.time(), sink="team"))
        dispatcher.told(frozenset({"team"}))
        await eventually(settled(store))
    assert [recipients for recipients, _ in told.mails[len(events) :]] == [(BOB,)] * len(events)


async def test_a_full_mailbox_keeps_no_failure_from_anybody_else(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email_progress, "PATIENCE", 0.1)
    told = Office(full=True)
    await store.transact(failing)
    async with posting(told) as sink, serving(outlet(store, sink)) as dispatcher:
        await eventually(settled(store, State.DEAD, count=2))
        assert [recipients for recipients, _ in told.mails] == [(ALICE,), (ALICE,)]
        assert [b"task.failed" in content for _, content in told.mails] == [False, True]
        started, failed = await rows(store)
        assert (started.attempts > 1, failed.attempts) == (True, 1), "the second mail does not wait for Bob again"
        assert "given up for bob@example.com (452 4.2.2 mailbox full); 1 of the recipients have it" in (failed.detail or "")
        told.full = False
        await store.transact(lambda tx: tx.resend(time.time(), sink="team"))
        dispatcher.told(frozenset({"team"}))
        await eventually(settled(store, count=2))
    assert [recipients for recipients, _ in told.mails[2:]] == [(BOB,), (BOB,)]
    assert {content for _, content in told.mails[2:]} == {content for _, content in told.mails[:2]}, "Bob has the same mails"


async def test_each_reminder_is_dated_when_it_was_owed(store: Store) -> None:
    told = Office()
    failed = next(event for event in await store.transact(failing) if event.kind is Kind.TASK_FAILED)
    owed = [datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours) for hours in (1, 2)]
    for number, at in enumerate(owed, start=1):
        planned = [Planned(failed, "team", AT_ONCE.hold(failed, failed.observed_at), reminder=number)]
        await store.transact(lambda tx, at=at, planned=planned: tx.remind(planned, at))  # type: ignore[misc]  # bound at once
    async with posting(told) as sink, serving(outlet(store, sink)):
        await eventually(settled(store, count=4))
    to_alice = [content for recipients, content in told.mails if recipients == (ALICE,)]
    dates = [parsedate_to_datetime(message_from_bytes(content)["Date"]) for content in to_alice]
    assert dates[-2:] == owed
    assert dates[:2] == [failed.observed_at.replace(microsecond=0)] * 2
