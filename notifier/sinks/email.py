"""E-mail: one conversation per task, over days, by SMTP with verified TLS.

Guarantee: at least once; a repeat has the very ``Message-ID``, ``Date`` and text of the first, by which mailboxes know it. If a
server takes a mail for some recipients only, it is tried again for all while the others may be taken later, under the same
``Message-ID``; those refused for good are named in the receipt.
"""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import format_datetime
from hashlib import sha256
from types import TracebackType
from typing import Annotated, Literal, Self

import aiosmtplib
from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr, model_validator

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.plain_text import one_line
from notifier.outbound import cause
from notifier.sinks import email_body
from notifier.sinks.contract import SinkSettings, Surroundings
from notifier.sinks.posting import Mask

PORTS: Mapping[str, int] = {"starttls": 587, "tls": 465, "none": 25}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TOO_LARGE = 552
CLOSING = 421
BAD_LOGIN = frozenset({530, 534, 535, 538})


def _address(text: str) -> str:
    try:
        address = Address(addr_spec=text)
    except (ValueError, IndexError):
        raise ValueError("is no mail address; write it as ops@example.com") from None
    if not address.domain or not text.isascii() or not text.isprintable():
        raise ValueError("is no mail address; write it as ops@example.com")
    return text


MailAddress = Annotated[str, AfterValidator(_address)]


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Settings(SinkSettings):
    """A mail server, and who writes to whom.

    Attributes:
        tls: ``starttls`` (it must be offered), ``tls`` from the first byte, or ``none``: on this machine only.
        sender: ``from``.
        ca_file: Certificates (PEM) to trust instead of the system's.
        domain: Of Message-IDs; the sender's unless given.
        subject_prefix: In front of every subject.
    """

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    password: SecretStr | None = None
    sender: MailAddress = Field(alias="from")
    to: Annotated[
        tuple[MailAddress, ...],
        BeforeValidator(_several, json_schema_input_type=str | list[str]),
        Field(min_length=1, max_length=50),
    ]
    ca_file: FilePath | None = None
    domain: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,200}$")] | None = None
    subject_prefix: Annotated[str, Field(max_length=50, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.tls == "none" and self.host not in LOOPBACK:
            raise ValueError("tls: none is for a server on this machine only; use starttls or tls")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        return self


class Sink:
    """Sends each message as a mail to all recipients, over a connection of its own."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._context: ssl.SSLContext | None = None
        secret = settings.password.get_secret_value() if settings.password else ""
        self._mask = Mask([secret] if secret else [])

    async def __aenter__(self) -> Self:
        if self._settings.tls != "none":
            self._context = ssl.create_default_context(cafile=self._settings.ca_file)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass  # nothing is kept open

    def patience(self, _event: object) -> float | None:
        """See `Patient`: old news may be told in one mail."""
        return 0.0

    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # noqa: ARG002 - threads follow from the task
        """Mail the message.

        Raises:
            DeliveryError: The server did not take it for everybody.
        """
        mail = self.compose(message)
        client = self._client()
        try:
            await self._connect(client)
            refused = await self._hand_over(client, mail)
        finally:
            # The mail is taken or not by now; how they part changes nothing.
            client.close()
        return Receipt({"message-id": str(mail["Message-ID"]), **({"refused": ", ".join(refused)} if refused else {})})

    def compose(self, message: Message) -> EmailMessage:
        """The mail: the same bytes at every try."""
        settings, event, words = self._settings, message.event, self._surroundings.words
        domain = settings.domain or settings.sender.rpartition("@")[2]
        root = f"<task-{sha256(f'{message.mark}{event.thread}'.encode('utf-8', 'replace')).hexdigest()[:32]}@{domain}>"
        mail = EmailMessage(policy=WIRE)
        mail["From"], mail["To"] = settings.sender, ", ".join(settings.to)
        mark = f"[{message.mark}] " if message.mark else ""
        mail["Subject"] = mark + email_body.subject(event, words, settings.subject_prefix)
        mail["Date"] = format_datetime(event.observed_at)
        mail["Message-ID"] = f"<{message.id}@{domain}>"
        mail["In-Reply-To"] = mail["References"] = root
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no robot shall answer it
        mail["List-Id"] = f"<{_label(event.cluster.id)}.css-upgrades.{domain}>"
        mail["X-CSS-Kind"], mail["X-CSS-Severity"] = event.kind.value, event.severity.word
        mail["X-CSS-Event"] = event.id
        mail.set_content(email_body.text(message, words, self._surroundings.page))
        mail.add_alternative(email_body.html(message, words, self._surroundings.page), subtype="html")
        parts = [part for part in mail.walk() if part.get_content_maintype() == "multipart"]
        for part in parts:
            # Drawn by chance otherwise, and then a repeat would differ from the first.
            part.set_boundary(f"=-{message.id}")
        return mail

    def _client(self) -> aiosmtplib.SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port or PORTS[settings.tls],
            timeout=self._surroundings.timeout,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            tls_context=self._context,
        )

    async def _connect(self, client: aiosmtplib.SMTP) -> None:
        """Everything before the mail: nothing that fails here can have been accepted."""
        try:
            await client.connect()
            if self._settings.username is not None and self._settings.password is not None:
                await client.login(self._settings.username, self._settings.password.get_secret_value())
        except aiosmtplib.SMTPAuthenticationError as error:
            raise self._error(
                Outcome.REJECTED, DeliveryReason.REFUSED, f"login: {error.code} {error.message}", Scope.SINK
            ) from None
        except aiosmtplib.SMTPResponseException as error:
            refused = error.code in BAD_LOGIN
            outcome, reason = (Outcome.REJECTED, DeliveryReason.REFUSED) if refused else (Outcome.RETRY, DeliveryReason.SERVER)
            raise self._error(outcome, reason, f"{error.code} {error.message}", Scope.SINK) from None
        except (ssl.SSLError, aiosmtplib.SMTPException, OSError) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> DeliveryError:
        below = error.__cause__ or error.__context__ or error
        tls = next((each for each in (error, below) if isinstance(each, ssl.SSLError)), None)
        if tls is not None:
            verdict = getattr(tls, "verify_message", None) or tls.reason or "failed"
            return self._error(Outcome.RETRY, DeliveryReason.TLS, f"TLS: {verdict}", Scope.SINK)
        if isinstance(error, TimeoutError):
            return self._error(Outcome.RETRY, DeliveryReason.TIMEOUT, "no answer in time", Scope.SINK)
        words = cause(below) if isinstance(below, OSError) else str(error)
        reason = DeliveryReason.TLS if "STARTTLS" in words else DeliveryReason.NETWORK
        return self._error(Outcome.RETRY, reason, words, Scope.SINK)

    async def _hand_over(self, client: aiosmtplib.SMTP, mail: EmailMessage) -> list[str]:
        """Give the mail to the server; those it refuses for good, if it takes it for others."""
        begun = False
        try:
            await client.mail(self._settings.sender)
            later, never = await self._recipients(client)
            if len(later) + len(never) == len(self._settings.to):
                raise self._nobody(later, never)
            begun = True
            await client.data(mail.as_bytes())
        except aiosmtplib.SMTPResponseException as error:
            raise self._answered(error) from None
        except (aiosmtplib.SMTPException, ssl.SSLError, OSError) as error:
            if not begun:
                raise self._unreachable(error) from None
            detail = "the connection broke off while the mail was handed over"
            raise self._error(Outcome.UNCERTAIN, DeliveryReason.NETWORK, detail) from None
        with suppress(aiosmtplib.SMTPException, OSError):
            await client.quit()
        if later:
            detail = f"taken, but not yet for {', '.join(later)}: {next(iter(later.values()))}"
            raise self._error(Outcome.RETRY, DeliveryReason.SERVER, detail)
        return list(never)

    async def _recipients(self, client: aiosmtplib.SMTP) -> tuple[dict[str, str], dict[str, str]]:
        """Who may be taken later, and who never, each with the server's words."""
        later: dict[str, str] = {}
        never: dict[str, str] = {}
        for recipient in self._settings.to:
            try:
                await client.rcpt(recipient)
            except aiosmtplib.SMTPRecipientRefused as error:
                if error.code == CLOSING:
                    raise
                (later if error.code < 500 else never)[recipient] = f"{error.code} {error.message}"  # noqa: PLR2004 - RFC 5321
        return later, never

    def _nobody(self, later: Mapping[str, str], never: Mapping[str, str]) -> DeliveryError:
        if later:
            return self._error(Outcome.RETRY, DeliveryReason.SERVER, next(iter(later.values())))
        return self._error(Outcome.REJECTED, DeliveryReason.MISSING, next(iter(never.values())), Scope.SINK)

    def _answered(self, error: aiosmtplib.SMTPResponseException) -> DeliveryError:
        detail = f"{error.code} {error.message}"
        if error.code == TOO_LARGE:
            return self._error(Outcome.REJECTED, DeliveryReason.TOO_LARGE, detail)
        if error.code in BAD_LOGIN:
            return self._error(Outcome.REJECTED, DeliveryReason.REFUSED, detail, Scope.SINK)
        if error.code >= 500:  # noqa: PLR2004 - RFC 5321: the first digit says whether it is for good
            return self._error(Outcome.REJECTED, DeliveryReason.INVALID, detail)
        scope = Scope.SINK if error.code == CLOSING else Scope.EVENT
        return self._error(Outcome.RETRY, DeliveryReason.SERVER, detail, scope)

    def _error(self, outcome: Outcome, reason: DeliveryReason, detail: str, scope: Scope = Scope.EVENT) -> DeliveryError:
        return DeliveryError(outcome, reason, self._mask(one_line(detail), 300), scope=scope)


def _label(text: str) -> str:
    """A cluster's id as a part of a List-Id."""
    kept = "".join(character for character in text if character.isascii() and (character.isalnum() or character == "-"))
    return kept[:60] or "cluster"
