"""Mail servers on loopback: a real one that obeys, and one that plays back a script, for what no real one would do."""
# ruff: noqa: ARG002, N802 - aiosmtpd calls its handlers by these names and with all of these arguments

import asyncio
import logging
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from notifier.domain.words import Words
from notifier.outbound import open_session
from notifier.sinks.contract import Surroundings
from notifier.sinks.email import Settings, Sink

OPS = "ops@example.com"
PASSWORD = "canary-password"
_NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
LOGIN: dict[str, Any] = {"username": "css", "password": PASSWORD}


logging.getLogger("mail.log").setLevel(logging.ERROR)  # The server's own, which may write down what it hears.


@dataclass
class Mail:
    """A mail as it was accepted."""

    sender: str
    recipients: list[str]
    content: bytes

    @cached_property
    def parsed(self) -> EmailMessage:
        found = message_from_bytes(self.content, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found

    def part(self, subtype: str) -> str:
        body = self.parsed.get_body((subtype,))
        assert body is not None
        return str(body.get_content())

    @property
    def read(self) -> str:
        """All that anybody would read."""
        headers = "\n".join(f"{name}: {value}" for name, value in self.parsed.items())
        return f"{headers}\n{self.part('plain')}\n{self.part('html')}"


@dataclass
class PostOffice:
    """A running server. ``on`` answers by command (``RCPT``) or by command and argument (``RCPT a@b``); without: 250."""

    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    on: dict[str, str] = field(default_factory=dict)
    logins: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    hangs: bool = False

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        answer = self.on.get("MAIL", "250 OK")
        if answer.startswith("2"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        self.asked.append(address)
        answer = self.on.get(f"RCPT {address}") or self.on.get("RCPT", "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.hangs:
            await asyncio.Event().wait()
        answer = self.on.get("DATA", "250 2.0.0 Ok: queued as 4F2A1")
        if answer.startswith("2"):
            content = envelope.original_content or b""
            self.mails.append(Mail(envelope.mail_from or "", list(envelope.rcpt_tos), content))
        return answer

    def login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        if answer := self.on.get("AUTH"):
            return AuthResult(success=False, handled=False, message=answer)
        return AuthResult(success=self.logins[-1] == ("css", PASSWORD), handled=False)


@asynccontextmanager
async def post_office(
    tls: ssl.SSLContext | None = None, *, at_once: bool = False, auth: bool = False, office: PostOffice | None = None
) -> AsyncIterator[PostOffice]:
    """aiosmtpd: with STARTTLS (or TLS ``at_once``) if it gets a context; ``auth``: wants a login."""
    office = office or PostOffice()
    sessions: list[SMTP] = []
    loop = asyncio.get_running_loop()

    def serve() -> SMTP:
        sessions.append(
            SMTP(
                office,
                hostname="mail.test",
                loop=loop,
                tls_context=None if at_once else tls,
                require_starttls=bool(tls and not at_once),
                authenticator=office.login if auth else None,
                auth_required=auth,
                auth_require_tls=bool(tls and not at_once),
            )
        )
        return sessions[-1]

    server = await loop.create_server(serve, "127.0.0.1", 0, ssl=tls if at_once else None)
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        server.close()
        handlers = [task for session in sessions if (task := session._handler_coroutine) and not task.done()]
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


Script = Callable[[str], str | bytes | None]
"""From a line of the client (``<content>`` for the message, ``<hello>`` at first) to the answer; None: hang up, with a reset."""


@asynccontextmanager
async def scripted(script: Script, *, drip: float = 0.0, heard: list[str] | None = None) -> AsyncIterator[tuple[int, list[str]]]:
    """A server that answers as the script says, byte by byte with ``drip`` seconds between; the port, and what was heard.

    ``heard``: where that is written, for a script that looks at it before it answers.
    """
    heard = [] if heard is None else heard
    serving: set[asyncio.Task[None]] = set()

    async def say(writer: asyncio.StreamWriter, answer: str | bytes) -> None:
        data = answer if isinstance(answer, bytes) else answer.encode() + b"\r\n"
        for piece in [data] if not drip else [data[at : at + 1] for at in range(len(data))]:
            writer.write(piece)
            await writer.drain()
            if drip:
                await asyncio.sleep(drip)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = "<hello>"
        if task := asyncio.current_task():
            serving.add(task)
        try:
            while (answer := script(line)) is not None:
                await say(writer, answer)
                end = b"\r\n.\r\n" if line == "DATA" and str(answer).startswith("354") else b"\r\n"
                read = (await reader.readuntil(end)).decode(errors="replace")  # a greeting of TLS may hold a line break
                line = "<content>" if len(end) > 2 else read.strip()
                heard.append(read.strip())
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)


def willing(**other: str | bytes | None) -> Script:
    """A script that takes everything, except as said: by command, ``hello`` or ``content``."""
    usual: dict[str, str | bytes | None] = {
        "hello": "220 mail.test",
        "EHLO": "250 mail.test",
        "DATA": "354 go on",
        "QUIT": "221 bye",
    }
    known = usual | other

    def answer(line: str) -> str | bytes | None:
        command = line.strip("<>").split(" ")[0].split(":")[0]
        return known.get(command, "250 OK")

    return answer


def settings(number: int, **other: object) -> Settings:
    basic: dict[str, object] = {"host": "127.0.0.1", "port": number, "tls": "none", "from": "css@example.com", "to": [OPS]}
    return Settings.model_validate(basic | other)


@asynccontextmanager
async def mailing(
    port: int, *, seconds: float = 10.0, words: Words | None = None, lent: Mapping[str, Any] | None = None, **other: object
) -> AsyncIterator[Sink]:
    """An e-mail sink, opened, that hands in at a port of this machine; ``lent``: more of its surroundings."""
    async with open_session() as session:
        surroundings = Surroundings("mail", session, seconds, words or Words(), **(lent or {}))
        async with Sink(settings(port, **other), surroundings) as sink:
            yield sink


LONG_AGO = "-not_before 20200101000000Z -not_after 20200102000000Z"
"""OpenSSL refuses a negative number of days from 3.4 on, and knows this only since."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def server(
        self, name: str = "good", names: str = "IP:127.0.0.1,DNS:localhost", *, expired: bool = False, itself: bool = False
    ) -> ssl.SSLContext:
        """A server's context: a certificate for ``names``, signed by us or by ``itself``."""
        key, request, found = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        _openssl(f"req {_NEW_KEY} -keyout {key} -out {request} -subj /CN={name}")
        signer = f"-signkey {key}" if itself else f"-CA {self.file} -CAkey {self.folder}/ca.key -CAcreateserial"
        lasting = "-days 2" if not expired else LONG_AGO if "-not_after" in _openssl("x509 -help") else "-days -1"
        _openssl(f"x509 -req -in {request} {signer} {lasting} -extfile {extensions} -out {found}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(found, key)
        return context


@contextmanager
def authority(folder: Path) -> Iterator[Authority]:
    if shutil.which("openssl") is None:
        pytest.skip("NO OPENSSL to make certificates: mail over TLS is NOT tested")
    extensions = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
    _openssl(f"req -x509 {_NEW_KEY} -days 2 -keyout {folder}/ca.key -out {folder}/ca.pem -subj /CN=ours {extensions}")
    yield Authority(folder)


def _openssl(command: str) -> str:
    """Everything that it says."""
    done = subprocess.run(["openssl", *command.split()], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout
