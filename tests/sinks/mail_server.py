"""A real SMTP server on loopback, and certificates for it that are good or bad in the ways that matter."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Server:
    """What it got and how it answers. ``rcpt`` and ``data`` are replies by recipient and to the mail itself."""

    port: int = 0
    mails: list[tuple[list[str], bytes]] = field(default_factory=list)
    rcpt: dict[str, str] = field(default_factory=dict)
    data: str = "250 OK"
    drop_after_data: bool = False
    hang: bool = False
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    password: bytes = b"secret-canary"
    protocols: list[SMTP] = field(default_factory=list)

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any) -> str:  # noqa: N802
        reply = self.rcpt.get(address, "250 OK")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.hang:
            await asyncio.Event().wait()
        if self.data.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            self.mails.append((list(envelope.rcpt_tos), content))
        if self.drop_after_data and isinstance(server.transport, asyncio.WriteTransport):
            server.transport.abort()
        return self.data

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, mechanism: str, found: Any) -> AuthResult:
        if mechanism not in {"LOGIN", "PLAIN"} or not isinstance(found, LoginPassword):
            return AuthResult(success=False, handled=False)
        self.logins.append((found.login, found.password))
        # Handled: it would be for us to answer; aiosmtpd's own answer to a wrong login is the one that is wanted.
        return AuthResult(success=found.password == self.password, handled=False)


@asynccontextmanager
async def mail_server(*, tls: ssl.SSLContext | None = None, smtps: bool = False, auth: bool = False) -> AsyncIterator[Server]:
    """A server that runs; with ``tls`` it offers STARTTLS, with ``smtps`` it speaks TLS from the first byte."""
    found = Server()

    def protocol() -> SMTP:
        made = SMTP(
            found,
            hostname="mail.test",
            tls_context=None if smtps else tls,
            authenticator=found.authenticate,
            auth_required=auth,
            auth_require_tls=tls is not None and not smtps,
            loop=asyncio.get_running_loop(),
        )
        found.protocols.append(made)
        return made

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls if smtps else None)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for each in found.protocols:
            if isinstance(each.transport, asyncio.WriteTransport):
                each.transport.abort()
        handlers = [each._handler_coroutine for each in found.protocols if each._handler_coroutine is not None]
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


def certificate(folder: Path, name: str, *, host: str = "localhost", days: int = 2) -> tuple[Path, Path]:
    """A self-signed certificate for a host, and its key, made by openssl."""
    key, made = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key),
            "-out", str(made), "-days", str(days),
            "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made, key


def serving(made: Path, key: Path) -> ssl.SSLContext:
    """What a server presents."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context
