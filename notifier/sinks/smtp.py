"""One mail to one server over one connection: who has it, who never will, who may later.

SMTP answers for each recipient apart, and only the answer after the last dot says that the server has taken charge (RFC 5321,
4.2.5 and 6.1). So this module keeps score by recipient, and knows at which step it was broken off: before the content nothing can
have been accepted, after it everything may have been.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.outbound import cause
from notifier.sinks.posting import QUOTED, Mask

AFTER_DOUBT = 600.0
"""Seconds before a mail is repeated that may have been accepted: a server may think so long (RFC 5321, 4.5.3.2.6)."""

GREYLISTED = 60.0
"""Seconds before an address is tried again that was put off: a server that greylists counts tries that come sooner against us."""

GOODBYE = 0.5
"""Seconds for the answer to ``QUIT``, at the most: the mail is delivered already."""

PARTING = 0.1
"""Of the time of a conversation, how much may follow it: whoever waits for its end waits a little longer, and no more."""

_CLOSING = 421
_EXCEEDS_STORAGE = 552
_UNKNOWN_WAY = 504
"""The mechanism is not known, though it was offered; the password was not looked at (RFC 4954, 4)."""

_OUR_LOGIN = frozenset({530, 534, 535, 538})
"""Wants a login, or another kind of it (RFC 4954, 6)."""

_NOWHERE = "[127.0.0.1]"
_HOST_NAME = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class Step(StrEnum):
    """How far a conversation had come; the values are for people."""

    CONNECTION = "on connecting"
    TLS = "on STARTTLS"
    LOGIN = "on logging in"
    SENDER = "for the sender"
    RECIPIENT = "for the recipient"
    CONTENT = "for the message"


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed in.

    Attributes:
        host: Name or address.
        port: TCP port.
        tls: Verifies the server and encrypts; None: neither.
        at_once: TLS from the first byte, instead of by STARTTLS.
        login: User and password.
        seconds: For the whole conversation, whatever drips in between.
        hello: What we call ourselves; None: this host's full name, or its address where it has none.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    at_once: bool
    login: tuple[str, str] | None = field(repr=False)
    seconds: float
    hello: str | None = None


@dataclass(slots=True)
class Score:
    """What the server said of each recipient; the values of the mappings are its words.

    Attributes:
        accepted: It has taken charge of their copies.
        later: It may be asked again.
        refused: It never will.
        reply: What it said at the end; its number for the mail is often in it.
    """

    accepted: tuple[str, ...] = ()
    later: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    reply: str = ""


async def hand_over(server: Server, sender: str, recipients: Sequence[str], content: bytes, mask: Mask) -> Score:
    """Hand one mail over. If the score's ``accepted`` is empty, the content was never sent.

    Raises:
        DeliveryError: No recipient has it from this conversation, or (``uncertain``) all whom the server would have may have it.
    """
    return await _talk(server, mask, lambda call: call.converse(sender, recipients, content))


async def sound_out(server: Server, sender: str, recipients: Sequence[str], mask: Mask) -> Score:
    """Ask a server whom it would take mail for, and hand it none: nobody is ``accepted``.

    Raises:
        DeliveryError: It takes none from us at all.
    """
    return await _talk(server, mask, lambda call: call.ask(sender, recipients))


async def _talk(server: Server, mask: Mask, conversation: Callable[["_Call"], Awaitable[Score]]) -> Score:
    call = _Call(server, mask)
    try:
        async with asyncio.timeout(server.seconds):
            score = await conversation(call)
        await call.part()
    except (SMTPException, OSError, ValueError) as error:
        raise _failure(error, call.step, mask) from None
    finally:
        call.hang_up()
    return score


class _Call:
    """A conversation, and the ``step`` it has come to."""

    def __init__(self, server: Server, mask: Mask) -> None:
        self.step = Step.CONNECTION
        self._server = server
        self._mask = mask
        self._client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.at_once,
            start_tls=False,
            tls_context=server.tls,
            local_hostname=server.hello or _NOWHERE,
            timeout=None,  # It would be for each single read: a server that drips could hold us for ever.
        )

    async def converse(self, sender: str, recipients: Sequence[str], content: bytes) -> Score:
        score, willing = await self._envelope(sender, recipients)
        if willing:
            self.step = Step.CONTENT
            score.reply = self._mask((await self._client.data(content)).message, QUOTED)
            score.accepted = tuple(willing)
        return score

    async def ask(self, sender: str, recipients: Sequence[str]) -> Score:
        score, _ = await self._envelope(sender, recipients)
        await self._client.rset()
        return score

    async def _envelope(self, sender: str, recipients: Sequence[str]) -> tuple[Score, list[str]]:
        """Come so far that only the content is missing; the score, and those whom the server would take it for."""
        client, server = self._client, self._server
        await client.connect()
        if server.hello is None:
            client.local_hostname = own_name(client.get_transport_info("sockname"))
        if server.tls and not server.at_once:
            self.step = Step.TLS
            await client.starttls(server_hostname=server.host)
        if server.login:
            self.step = Step.LOGIN
            await self._log_in(*server.login)
        self.step = Step.SENDER
        await client.mail(sender)
        self.step = Step.RECIPIENT
        score = Score()
        return score, [recipient for recipient in recipients if await self._takes(recipient, score)]

    async def _log_in(self, username: str, password: str) -> None:
        """Log in by one mechanism: aiosmtplib's own ``login`` offers a password that was refused again by each of the others."""
        client = self._client
        await client.ehlo()
        ways = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
        offered = [name for name in ways if name in client.server_auth_methods]
        if not offered:
            raise SMTPException("No suitable authentication method found.")
        for name in offered:
            try:
                await ways[name](username, password)
            except aiosmtplib.SMTPAuthenticationError as refusal:
                if refusal.code != _UNKNOWN_WAY or name == offered[-1]:
                    raise
            else:
                return

    async def _takes(self, recipient: str, score: Score) -> bool:
        try:
            await self._client.rcpt(recipient)
        except aiosmtplib.SMTPRecipientRefused as refusal:
            outcome, _, scope = outcome_of(Step.RECIPIENT, refusal.code)
            if scope is Scope.SINK:
                raise  # It speaks of us, not of the recipient.
            kept = score.refused if outcome is Outcome.REJECTED else score.later
            kept[recipient] = _said(refusal, self._mask)
            return False
        return True

    async def part(self) -> None:
        """Say goodbye; what comes back no longer matters."""
        with suppress(SMTPException, OSError):
            async with asyncio.timeout(min(GOODBYE, PARTING * self._server.seconds)):
                await self._client.quit()

    def hang_up(self) -> None:
        if isinstance(self._client.transport, asyncio.WriteTransport):
            self._client.transport.abort()  # A TLS connection that is closed waits for the other side; this one is over.
        self._client.close()


def outcome_of(step: Step, code: int) -> tuple[Outcome, DeliveryReason, Scope]:
    """What a reply that is no success means. 4yz may pass and 5yz will not (RFC 5321, 4.2.1); the rest is no reply.

    A 552 for a recipient means "too many recipients" with old servers and is asked again (RFC 5321, 4.5.3.1.10).
    """
    scope = Scope.EVENT if step in {Step.RECIPIENT, Step.CONTENT} else Scope.SINK
    if code == _CLOSING:
        return Outcome.RETRY, DeliveryReason.SERVER, Scope.SINK
    match code // 100:
        case 4 | 5 if step is Step.TLS:  # Who stands between us and the server can say this too; it proves nothing about us.
            return Outcome.RETRY, DeliveryReason.TLS, Scope.SINK
        case 4:
            return Outcome.RETRY, DeliveryReason.SERVER, scope
        case 5 if step in {Step.CONNECTION, Step.LOGIN} or code in _OUR_LOGIN:
            return Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK
        case 5 if code == _EXCEEDS_STORAGE:
            if step is Step.RECIPIENT:
                return Outcome.RETRY, DeliveryReason.SERVER, scope
            return Outcome.REJECTED, DeliveryReason.TOO_LARGE, Scope.EVENT
        case 5 if step is Step.SENDER:
            return Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK
        case 5 if step is Step.RECIPIENT:
            return Outcome.REJECTED, DeliveryReason.MISSING, scope
        case 5:
            return Outcome.REJECTED, DeliveryReason.INVALID, scope
    return (Outcome.UNCERTAIN if step is Step.CONTENT else Outcome.RETRY), DeliveryReason.UNREADABLE, scope


def _failure(error: Exception, step: Step, mask: Mask) -> DeliveryError:
    """What an exception of the conversation means."""
    if isinstance(error, SMTPResponseException):
        outcome, reason, scope = outcome_of(step, error.code)
        return _error(outcome, reason, f"{_said(error, mask)} ({step})", scope)
    root = error.__cause__ if isinstance(error, aiosmtplib.SMTPConnectError) and error.__cause__ else error
    if step is Step.CONTENT:
        reason = DeliveryReason.TIMEOUT if isinstance(error, TimeoutError) else DeliveryReason.NETWORK
        return _error(Outcome.UNCERTAIN, reason, "no answer after the message was sent", Scope.EVENT)
    if isinstance(root, TimeoutError):
        return _error(Outcome.RETRY, DeliveryReason.TIMEOUT, f"no answer in time ({step})", Scope.SINK)
    if isinstance(root, ssl.SSLCertVerificationError):
        words = f"the certificate of the mail server is not trusted: {mask(root.verify_message, QUOTED)}"
        return _error(Outcome.RETRY, DeliveryReason.TLS, words, Scope.SINK)
    if isinstance(root, ssl.SSLError):
        return _error(
            Outcome.RETRY, DeliveryReason.TLS, f"no TLS connection: {mask(root.reason or 'refused', QUOTED)}", Scope.SINK
        )
    if isinstance(root, aiosmtplib.SMTPServerDisconnected):
        return _error(Outcome.RETRY, DeliveryReason.NETWORK, f"the connection was closed ({step})", Scope.SINK)
    if isinstance(root, socket.gaierror):
        return _error(Outcome.RETRY, DeliveryReason.NETWORK, "the mail server's name cannot be resolved", Scope.SINK)
    if isinstance(root, SMTPException) and step is Step.TLS:
        words = "the server offers no STARTTLS, and nothing is sent in clear"
        return _error(Outcome.RETRY, DeliveryReason.TLS, words, Scope.SINK)
    if isinstance(root, SMTPException) and step is Step.LOGIN:
        words = "the server offers no login that we can use; leave out username and password if it needs none"
        return _error(Outcome.REJECTED, DeliveryReason.REFUSED, words, Scope.SINK)
    return _error(Outcome.RETRY, DeliveryReason.NETWORK, mask(f"{cause(root)} ({step})", QUOTED), Scope.SINK)


def _error(outcome: Outcome, reason: DeliveryReason, words: str, scope: Scope) -> DeliveryError:
    wait = AFTER_DOUBT if outcome is Outcome.UNCERTAIN else None
    return DeliveryError(outcome, reason, words, scope=scope, retry_after=wait)


def _said(reply: SMTPResponseException, mask: Mask) -> str:
    if reply.code < 0:  # aiosmtplib's sign for what it could not read
        return "an answer that is no SMTP"
    return f"{reply.code} {mask(reply.message, QUOTED)}".rstrip()


def own_name(address: object) -> str:
    """What we call ourselves in ``EHLO``: the host's full name, else the address we call from (RFC 5321, 4.1.4). Asks no DNS."""
    name = socket.gethostname()
    if _HOST_NAME.fullmatch(name):
        return name
    match address:
        case (str(host), _):
            return f"[{host}]"
        case (str(host), *_):
            return f"[IPv6:{host.partition('%')[0]}]"
    return _NOWHERE
