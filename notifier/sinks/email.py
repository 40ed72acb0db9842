"""Sends each message as a mail over SMTP: a thread a task, text and HTML, each recipient kept track of.

The promise is *at least once*, and a repeat can be told: the same delivery always has the same Message-ID and Date, so that most
mailboxes show a repeat once. Who has accepted a mail is never sent it again; see ``docs/email.md``.
"""

import re
import ssl
import time
from dataclasses import replace
from email.headerregistry import Address
from ipaddress import ip_address
from types import TracebackType
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, FilePath, SecretStr, field_validator, model_validator

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Event
from notifier.sinks.contract import SinkSettings, Surroundings
from notifier.sinks.email_letter import Sender, addresses, letter
from notifier.sinks.email_progress import Progress, Written, as_begun, doubted, follows, judged
from notifier.sinks.posting import Mask
from notifier.sinks.smtp import Score, Server, hand_over, sound_out

PORTS = {"starttls": 587, "tls": 465, "none": 25}

SHARE = 0.9
"""Of the time a send may take, for the conversation: the sink itself must say how far it came, before the engine cuts it off."""

LEAST = 1.0
"""Seconds that must be left for a second conversation, without the report that the server refused."""

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*|[0-9A-Fa-f:.]{2,45}")
_DOMAIN = re.compile(r"(?=.{1,150}\Z)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_ADDRESS = re.compile(r"(?P<name>[^<>]*)<(?P<named>[^<>\s]+)>|(?P<bare>\S+)")
_SPEC = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@" + _DOMAIN.pattern)


def _address(value: str) -> Address:
    """An address, alone or as ``Name <user@example.com>``.

    Raises:
        ValueError: It is none, or one that needs SMTPUTF8, which many servers do not have.
    """
    found = _ADDRESS.fullmatch(value.strip())
    spec = (found["named"] or found["bare"]) if found else ""
    name = (found["name"] or "").strip().strip('"').strip() if found else ""
    if not _SPEC.fullmatch(spec) or not (name.isprintable() and len(name) <= 100):  # noqa: PLR2004 - a person's name
        raise ValueError("must be an e-mail address in ASCII, such as ops@example.com or Ops <ops@example.com>")
    try:
        return Address(name, addr_spec=spec)
    except Exception:  # noqa: BLE001 - the parser of the standard library has raised IndexError and others before
        raise ValueError("is no e-mail address that can be written to") from None


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Settings(SinkSettings):
    """What e-mail needs.

    Attributes:
        host: The mail server.
        port: 587 with ``starttls``, 465 with ``tls``, 25 with ``none``, if not given.
        tls: ``starttls`` is required, not tried. ``none`` only for a server on this machine, or with ``accept_risk``.
        accept_risk: Send in clear to another machine. A password is never sent so.
        ca_file: Certificates (PEM) to trust instead of the system's.
        username: With ``password``; without both nothing is logged into.
        from_: Whom mails come from, also where bounces go.
        to: Who gets them; all see each other.
        hello: What we call ourselves when we call the server; this host's full name, or its address, if not given.
        domain: In Message-IDs; the sender's if not given. Change it, and running threads split.
        subject_prefix: Stands before every subject.
        threads: One thread with one subject a task. False: each mail by itself, and its news in the subject.
    """

    host: str
    port: int | None = Field(None, ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    accept_risk: bool = False
    ca_file: FilePath | None = None
    username: str | None = Field(None, min_length=1)
    password: SecretStr | None = None
    from_: str = Field(alias="from")
    to: Annotated[tuple[str, ...], BeforeValidator(_several, json_schema_input_type=str | list[str])] = Field(
        min_length=1, max_length=100
    )
    hello: str | None = None
    domain: str | None = None
    subject_prefix: str = Field("[css]", max_length=40)
    threads: bool = True

    @field_validator("host")
    @classmethod
    def _named(cls, host: str) -> str:
        if not _HOST.fullmatch(host):
            raise ValueError("must be a host name or an IP address, without scheme or port")
        return host

    @field_validator("hello", "domain")
    @classmethod
    def _dotted(cls, domain: str | None) -> str | None:
        if domain is not None and not _DOMAIN.fullmatch(domain):
            raise ValueError("must be a domain such as example.com")
        return domain

    @field_validator("from_")
    @classmethod
    def _sender(cls, value: str) -> str:
        _address(value)
        return value

    @field_validator("to")
    @classmethod
    def _recipients(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        specs = [_address(value).addr_spec.lower() for value in values]
        if len(set(specs)) < len(specs):
            raise ValueError("names an address twice")
        return values

    @field_validator("subject_prefix")
    @classmethod
    def _printable(cls, prefix: str) -> str:
        if not prefix.isprintable():
            raise ValueError("must be printable")
        return prefix

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password must be given together, or neither")
        if self.tls == "none" and not _loopback(self.host):
            if self.password is not None:
                raise ValueError("the password would be sent unencrypted to another machine; encrypt by starttls")
            if not self.accept_risk:
                raise ValueError(
                    "mail would be sent unencrypted to another machine; encrypt by starttls, or say accept_risk: true"
                )
        return self


class Sink:
    """Mails that arrive in the thread of their task."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._seconds = surroundings.timeout * SHARE
        self._clock = surroundings.clock
        self._went_without = surroundings.went_without
        sender = _address(settings.from_)
        self._sender = Sender(
            name=surroundings.name,
            address=sender,
            recipients=tuple(_address(value) for value in settings.to),
            domain=settings.domain or sender.domain,
            subject_prefix=settings.subject_prefix,
            threads=settings.threads,
            words=surroundings.words,
            page=surroundings.page,
        )
        login = settings.username and settings.password and (settings.username, settings.password.get_secret_value())
        self._login: tuple[str, str] | None = login or None
        # PLAIN sends both in one word (RFC 4616), which a server may echo.
        self._mask = Mask([login[1], f"\0{login[0]}\0{login[1]}"] if login else [])
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        settings, context = self._settings, None
        if settings.tls != "none":
            context = ssl.create_default_context(cafile=settings.ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
        port = settings.port or PORTS[settings.tls]
        at_once = settings.tls == "tls"
        self._server = Server(settings.host, port, context, at_once, self._login, self._seconds, settings.hello)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass  # Each mail has a connection of its own.

    def patience(self, _event: Event) -> float | None:
        """See `Patient`: old news may be told in one mail."""
        return 0.0

    async def check(self) -> list[str]:
        """See `Checkable`: whether the server takes mail from us, and for each recipient. Nobody gets any.

        Who is put off is not named: a server that greylists does that to everybody at first.
        """
        if self._server is None:
            return []
        recipients = addresses(self._sender.recipients)
        try:
            score = await sound_out(self._server, self._sender.address.addr_spec, recipients, self._mask)
        except DeliveryError as error:
            return [error.detail]
        return [f"to: {spec} is refused: {words}" for spec, words in score.refused.items()]

    async def send(self, message: Message, last: Receipt | None) -> Receipt:
        """Send the message to all who do not have it yet.

        Raises:
            DeliveryError: Not all of them have it now.
        """
        if self._server is None:
            raise RuntimeError("the sink is not open")
        until = time.monotonic() + self._seconds
        progress = Progress.of(message, last)
        written = self._written(as_begun(message), follows(message, last))
        try:
            score = await self._handed_over(written, progress, self._server)
        except DeliveryError as error:
            server = replace(self._server, seconds=until - time.monotonic())
            if not _refuses_the_report(error, written) or server.seconds < LEAST:
                raise
            self._went_without("report", error.detail)
            written = self._written(replace(written.message, report=None), written.last)
            score = await self._handed_over(written, progress, server)
        return judged(score, written, progress, self._clock())

    async def _handed_over(self, written: Written, progress: Progress, server: Server) -> Score:
        settled = {*progress.have, *progress.refused}
        owed = [spec for spec in addresses(self._sender.recipients) if spec not in settled]
        try:
            return await hand_over(server, self._sender.address.addr_spec, owed, written.letter.content, self._mask)
        except DeliveryError as error:
            if error.outcome is Outcome.UNCERTAIN:
                found = doubted(error, written, progress)
                if found is not error:
                    self._went_without("answer", found.detail)
                raise found from None
            if error.outcome is Outcome.RETRY and error.scope is Scope.EVENT and progress.have:
                # The server puts off the mail and not the address; it is the same to those who wait for them.
                return Score(later=dict.fromkeys(owed, error.detail))
            raise

    def _written(self, message: Message, last: Receipt | None) -> Written:
        try:
            return Written(message, letter(message, last, self._sender), last)
        except Exception as error:  # noqa: BLE001 - see below
            # Text of strangers in a library that has choked on headers before: the lane must go on.
            words = f"could not be made a mail: {type(error).__name__}"
            raise DeliveryError(Outcome.REJECTED, DeliveryReason.RENDER, words) from None


def _refuses_the_report(error: DeliveryError, written: Written) -> bool:
    """Whether the mail may pass without its report: some gateways take no attached HTML, and some no picture."""
    return written.message.report is not None and error.outcome is Outcome.REJECTED and error.scope is Scope.EVENT
