"""Posts each event as a CloudEvent (1.0, structured JSON), signed as Standard Webhooks (1.0.0) asks.

One body serves both: ``timestamp`` is an extension to the one and required by the other, ``webhook-id`` is the CloudEvent's
``id``. The specifications: github.com/cloudevents/spec, github.com/standard-webhooks/standard-webhooks.
"""

import base64
import binascii
import hashlib
import hmac
import re
import ssl
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Annotated, ClassVar, Self
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, FilePath, SecretStr, field_validator
from yarl import URL

from notifier.domain.message import Message, Receipt
from notifier.domain.plain_text import json_line, one_line
from notifier.domain.render import iso, payload
from notifier.sinks.contract import SinkSettings, Surroundings
from notifier.sinks.posting import Mask, failure, post, secrets_of

PREFIX = "whsec_"
KEY_SIZES = range(24, 65)
"""Bytes of a signing key (Standard Webhooks)."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = frozenset({"content-type", "content-length", "content-encoding", "transfer-encoding", "connection", "expect"})


def _url(value: SecretStr) -> SecretStr:
    try:
        url = URL(value.get_secret_value())
    except ValueError:
        raise ValueError("is no URL") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("must begin with http:// or https:// and name a host")
    if url.user or url.password:
        raise ValueError("must hold no user or password; put them into headers: {Authorization: …}")
    return value


def _key(secret: SecretStr) -> bytes:
    """The signing key in a secret.

    Raises:
        ValueError: It is none.
    """
    text = secret.get_secret_value().removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.get_secret_value().startswith(PREFIX) or len(key) not in KEY_SIZES:
        raise ValueError(f"must be {PREFIX} and 24 to 64 random bytes in base64, as: echo {PREFIX}$(openssl rand -base64 32)")
    return key


def _secret(value: SecretStr) -> SecretStr:
    _key(value)
    return value


def _several(value: object) -> object:
    return (value,) if isinstance(value, str | SecretStr) else value


class Settings(SinkSettings):
    """What a webhook needs.

    Attributes:
        url: Where to post to. Shown nowhere, because the URLs of many services are their only secret.
        secret: Signs; several while one is being replaced (all signatures are sent); none sends unsigned.
        headers: Sent with every request, such as ``Authorization``. The values are shown nowhere.
        ca_file: Certificates (PEM) to trust instead of the system's.
    """

    default_concurrency: ClassVar[int] = 4
    speaks: ClassVar[bool] = False

    url: Annotated[SecretStr, AfterValidator(_url)]
    secret: Annotated[
        tuple[Annotated[SecretStr, AfterValidator(_secret)], ...],
        BeforeValidator(_several, json_schema_input_type=str | list[str]),
    ] = ()
    headers: Mapping[str, SecretStr] = {}
    ca_file: FilePath | None = None

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError("a name is no HTTP header name")
            if name.lower() in _OURS or name.lower().startswith("webhook-"):
                raise ValueError(f"{name} is set by the notifier")
            text = value.get_secret_value()
            if not (text.isascii() and text.isprintable()):
                raise ValueError(f"the value of {name} must be printable ASCII")
        return headers


class Sink:
    """A receiver that drops what it has seen by ``webhook-id`` is told everything exactly once."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._session = surroundings.session
        self._clock = surroundings.clock
        self._url = URL(settings.url.get_secret_value())
        self._keys = [_key(secret) for secret in settings.secret]
        self._headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._ca_file = settings.ca_file
        self._tls: ssl.SSLContext | None = None
        words = [word for value in self._headers.values() for word in (value, *value.split())]
        keys = [form for secret in settings.secret for form in _written(secret.get_secret_value())]
        self._mask = Mask([*secrets_of(self._url), *words, *keys])

    async def __aenter__(self) -> Self:
        if self._ca_file:
            self._tls = ssl.create_default_context(cafile=self._ca_file)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass  # the session is lent

    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # noqa: ARG002 - each event stands alone
        """Post the message.

        Raises:
            DeliveryError: The receiver did not confirm it.
        """
        identity, data = webhook_id(message), body(message)
        headers = (
            self._headers
            | {"Content-Type": "application/cloudevents+json"}
            | signed(self._keys, identity, int(self._clock().timestamp()), data)
        )
        answer = await post(self._session, self._url, data, headers, mask=self._mask, tls=self._tls)
        if error := failure(answer):
            raise error
        return Receipt({"status": str(answer.status), "webhook-id": identity})


def webhook_id(message: Message) -> str:
    """What a receiver tells a repeat by: the event's id.

    A replay, a drill or a reminder is the same event, but must neither be dropped as a repeat of the news nor have the news
    dropped as its repeat: it goes by the delivery's id.
    """
    return message.event.id if message.mark is None and not message.reminder else message.id


def body(message: Message) -> bytes:
    """The CloudEvent; the same bytes at every try, so nothing about the telling is in it: gaps show in ``sequence``."""
    event, cluster = message.event, message.event.cluster
    data = {**payload(event), "mark": message.mark}
    if message.reminder:
        data |= {"reminder": message.reminder, "summary": message.summary}
    if message.mark:
        data["summary"] = f"[{message.mark}] {data['summary']}"
    parts: tuple[str, ...] = ("huaweicloud", cluster.region, cluster.project_id, "css", "clusters", cluster.id)
    if event.sink is not None:
        parts = (cluster.name,)
    envelope: dict[str, object] = {
        "specversion": "1.0",
        "id": webhook_id(message),
        "type": f"css.upgrade.{event.kind}",
        "source": "".join(f"/{quote(one_line(part), safe='')}" for part in parts),
        "subject": one_line(event.subject),
        "time": iso(event.time),
        "timestamp": iso(event.time),
        "sequence": f"{event.sequence:08}",
        "severity": event.severity.word,
        "datacontenttype": "application/json",
        "data": data,
    }
    if not event.subject:  # CloudEvents: an attribute is a non-empty string or absent
        del envelope["subject"]
    return json_line(envelope).encode()


def signed(keys: Sequence[bytes], identity: str, timestamp: int, data: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks: an HMAC-SHA256 over ``id.timestamp.body`` for every key, or no signature without one."""
    headers = {"webhook-id": identity, "webhook-timestamp": str(timestamp)}
    content = b"%s.%d.%s" % (identity.encode(), timestamp, data)
    signatures = [base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys]
    return headers | ({"webhook-signature": " ".join(f"v1,{signature}" for signature in signatures)} if signatures else {})


def _written(secret: str) -> tuple[str, str, str]:
    bare = secret.removeprefix(PREFIX)
    return secret, bare, bare.rstrip("=")
