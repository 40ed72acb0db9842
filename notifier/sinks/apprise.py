"""The bridge to services that we have no sink of our own for, by the library Apprise (the extra ``apprise``).

Its promise is the weakest of all sinks. Apprise answers yes or no: a no may mean that nothing was sent, that it was sent and the
answer was bad, or that one of several targets has it. So a no is ``uncertain`` here, and is tried again. Apprise speaks through a
library and sockets of its own, past our guard of addresses: services with a host of their own are allowed, others are accepted as
a risk (``accept_risk``), and what acts on this machine itself, or reads its files, is never allowed.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from threading import Thread
from types import TracebackType
from typing import Annotated, Any, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, SecretStr, model_validator

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Event, Kind, Severity
from notifier.domain.plain_text import one_line
from notifier.domain.words import Words
from notifier.outbound import is_metadata
from notifier.sinks.contract import SinkSettings, Surroundings

try:
    import apprise
except ImportError:
    raise ImportError("needs an extra: pip install 'css-upgrade-notifier[apprise]'") from None

_HOSTED = """
brevo clicksend d7sms dingtalk discord fcm feishu flock gchat ifttt ilert incidentio kavenegar kook lark line msg91 onesignal
opsgenie pagerduty pagertree pbul plivo postmark pover prowl pushplus pushy qq resend ringc schan sendgrid ses signl4 sinch slack
sns spike splunk spugpush squadcast tgram threema twilio twist viber victorops vonage webex wecombot whatsapp wxpusher wxteams
zoom
"""
HOSTED = frozenset(_HOSTED.split())
"""Schemes whose host Apprise knows, so that no configuration can point them elsewhere. ``zulip`` is none: its token is a host."""

LOCAL = frozenset(
    {"blink1", "config", "dbus", "file", "gio", "glib", "gnome", "include", "kde", "macosx", "qt", "syslog", "windows"}
)
"""Schemes that act on this machine, or read its files."""

OURS = frozenset({"redirect", "retry", "timeout", "verify", "wait"})
"""What Apprise takes in a URL and the notifier decides: no redirects, certificates verified, one try at a time."""

FILES = frozenset({"keyfile", "pgpprv", "pgppub", "subfile"})
"""What names a file of this machine in a URL, whatever the service. A ``template`` is one for some services and an id for others:
those that would read it are known by what Apprise makes of it."""

SHARE = 0.9
"""Of the time a send may take: the sink itself must say what is known, before the engine cuts it off."""

MOST_HUNG = 4
"""Calls that were given up on and still hang in their threads, at most."""

ROOM = 0.9
"""Of what a service takes, how much we fill: Apprise may escape some of it."""


def _utf8(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _as_json(text: str) -> int:
    return len(json.dumps(text))


SIZES: Mapping[str, Callable[[str], int]] = {"dingtalk": _as_json, "feishu": _as_json, "lark": _as_json, "wecombot": _utf8}
"""How services measure a text that count bytes where Apprise counts characters: WeCom those of the text, the others those of the
whole request. What is too long they refuse in an answer that Apprise takes for a yes."""

LONGEST = 1000
MOST_EARLIER = 10

_TYPES = {
    Severity.DEBUG: apprise.NotifyType.INFO,
    Severity.INFO: apprise.NotifyType.INFO,
    Severity.WARNING: apprise.NotifyType.WARNING,
    Severity.ERROR: apprise.NotifyType.FAILURE,
    Severity.CRITICAL: apprise.NotifyType.FAILURE,
}


def _url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text != "".join(text.split()) or not text.isprintable():
        raise ValueError("must be one Apprise URL, without spaces")
    scheme, separator, _ = text.partition("://")
    if not separator or not scheme.isalnum():
        raise ValueError("is no Apprise URL, such as dingtalk://token; see https://appriseit.com/services/")
    if scheme.lower() in LOCAL:
        raise ValueError("names what acts on this machine itself, which is not allowed")
    try:
        host = urlsplit(text).hostname or ""
    except ValueError:
        raise ValueError("is no URL") from None
    said = _said(text)
    for key in sorted(key for key, _ in said):
        if key in OURS:
            raise ValueError(f"must not say {key}: the notifier decides that")
        if key in FILES:
            raise ValueError(_READS.format(key))
    # Some services take a host behind the question mark.
    if any(is_metadata(each) for each in (host, *(value for _, value in said))):
        raise ValueError("names a cloud's metadata service, which is not allowed")
    return value


_READS = "must not say {}: Apprise would read a file of this machine, or ask an address from here"


def _said(url: str) -> list[tuple[str, str]]:
    """What a URL says behind its question mark, as Apprise reads it: it takes ``;`` for ``&`` and knows no fragment."""
    pairs = [part.partition("=") for part in re.split("[?&;#]", url.partition("?")[2])]
    return [(unquote(key[:1] + key[1:].replace("+", " ")).strip().lower(), unquote(value).strip()) for key, _, value in pairs]


def _service(url: SecretStr) -> Any:
    """Apprise's object for the service, which takes no part in what the notifier decides.

    Raises:
        ValueError: There is none for the URL, or it would read what it must not.
    """
    for name in ("apprise", "urllib3", "requests"):  # They log URLs, which are secrets here, at DEBUG and in warnings.
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    asset = apprise.AppriseAsset(
        async_mode=False,
        service_timeout=0,  # With one, Apprise would use threads that a stop waits for.
        storage_mode="memory",
        allow_templates=False,
        interpret_escapes=False,
        interpret_emojis=False,
        http_redirects=False,
    )
    service = apprise.Apprise.instantiate(url.get_secret_value(), asset=asset)
    if service is None:
        raise ValueError("Apprise knows no such service, or the URL lacks something; see https://appriseit.com/services/")
    for name, value in vars(service).items():
        if isinstance(value, apprise.AppriseAttachment) and len(value):
            raise ValueError(_READS.format(name))
    service.redirects, service.verify_certificate = False, True
    if service.overflow_mode == apprise.OverflowMode.UPSTREAM:
        service.overflow_mode = apprise.OverflowMode.TRUNCATE  # What is too long is refused, and would be at every try.
    return service


class Settings(SinkSettings):
    """What Apprise needs.

    Attributes:
        url: One service, as Apprise writes it. Shown nowhere: tokens and passwords are in it.
        accept_risk: Allow schemes that take a host, such as ``json`` or ``ntfy``: Apprise may then reach whatever this machine
            can reach.
    """

    url: Annotated[SecretStr, AfterValidator(_url)]
    accept_risk: bool = False

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        scheme = self.url.get_secret_value().partition("://")[0].lower()
        if scheme not in HOSTED and not self.accept_risk:
            raise ValueError("the URL's scheme may reach any host from here; say accept_risk: true if that is meant")
        _service(self.url)
        return self


class Sink:
    """Hands each message to one service of Apprise, in a thread that is left behind when its time is up."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._url = settings.url
        self._size = SIZES.get(settings.url.get_secret_value().partition("://")[0].lower(), len)
        self._words = surroundings.words
        self._seconds = surroundings.timeout * SHARE
        self._service: apprise.Apprise | None = None
        self._name = ""
        self._longest = self._titled = 0
        self._hung: set[Thread] = set()

    async def __aenter__(self) -> Self:
        service = await asyncio.to_thread(_service, self._url)
        service.socket_connect_timeout = service.socket_read_timeout = self._seconds / 2
        self._name = one_line(str(service.service_name), 100)
        self._longest, self._titled = service.body_maxlen, service.title_maxlen
        self._service = apprise.Apprise(asset=service.asset)
        self._service.add(service)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass  # Apprise keeps nothing open, and a thread that hangs is nobody's to end.

    def patience(self, _event: Event) -> float | None:
        """See `Patient`: old news may be told in one message."""
        return 0.0

    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # noqa: ARG002 - there is no receipt to go on from
        """Hand the message over.

        Raises:
            DeliveryError: Apprise did not say yes.
        """
        if self._service is None:
            raise RuntimeError("the sink is not open")
        self._hung = {thread for thread in self._hung if thread.is_alive()}
        if len(self._hung) >= MOST_HUNG:
            words = f"{len(self._hung)} earlier calls to {self._name} still hang"
            raise DeliveryError(Outcome.RETRY, DeliveryReason.TIMEOUT, words, scope=Scope.SINK)
        title = _harmless(self._words.marked(message))
        room = int(ROOM * self._longest)
        if self._titled <= 0:  # A service without titles has it as the first line of the text.
            title = _cut(title, room // 2, self._size)
            room -= self._size(title)
        notify = partial(
            self._service.notify,
            title=title,
            body=text_of(message, self._words, room, self._size),
            notify_type=apprise.NotifyType.SUCCESS
            if message.event.kind is Kind.TASK_SUCCEEDED
            else _TYPES[message.event.severity],
            body_format=apprise.NotifyFormat.TEXT,
        )
        try:
            async with asyncio.timeout(self._seconds):
                said = await self._in_thread(notify)
        except TimeoutError:
            raise DeliveryError(Outcome.UNCERTAIN, DeliveryReason.TIMEOUT, f"no answer of {self._name} in time") from None
        if not said:
            words = f"Apprise says only that {self._name} failed: nothing, or a part, may have arrived"
            raise DeliveryError(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, words)
        return Receipt({"service": self._name})

    async def _in_thread(self, work: Callable[[], object]) -> bool:
        """What ``work`` says, an exception being a no. Its thread does not keep the program from ending."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()

        def settle(said: bool) -> None:
            if not answer.done():
                answer.set_result(said)

        def run() -> None:
            try:
                said = bool(work())
            except Exception:  # noqa: BLE001 - a hundred plug-ins may raise anything, and its text may hold the URL
                said = False
            with suppress(RuntimeError):  # The loop may be closed by now.
                loop.call_soon_threadsafe(settle, said)

        thread = Thread(target=run, name="apprise", daemon=True)
        thread.start()
        try:
            return await answer
        except asyncio.CancelledError:
            self._hung.add(thread)
            raise


def text_of(message: Message, words: Words, longest: int, size: Callable[[str], int] = len) -> str:
    """The message in a few lines of plain text; its delivery's id is the last, so that a person can tell a repeat.

    Its ``size`` is at most ``longest``: where there is no room, fewer of what is told along are named; then the summary is cut.
    """
    foot = [words.moment(message.event.time), words.phrases.around.identity.format(id=message.id)]
    remarks = [_harmless(line) for line in words.remarks(message)]
    summary = _harmless(message.summary)
    for most in range(min(MOST_EARLIER, len(message.earlier)), -1, -1):
        text = "\n".join([summary, *remarks, *_earlier(message, words, most), *foot])
        if size(text) <= longest:
            return text
    rest = "\n".join(["", *remarks, *_earlier(message, words, 0), *foot])
    return _cut(summary, longest - size(rest), size) + rest


def _cut(text: str, room: int, size: Callable[[str], int]) -> str:
    """As much of a line as there is room for, a character at the least."""
    most = max(min(len(text), room), 1)
    while most > 1 and size(one_line(text, most)) > room:
        most -= 1
    return one_line(text, most)


def _earlier(message: Message, words: Words, most: int) -> list[str]:
    if message.earlier and not most:
        return [words.before(message)]
    return [_harmless(line) for line in words.earlier(message, most)]


def _harmless(text: str) -> str:
    """One line in which a stranger's name calls nobody: a space without width breaks ``@everyone``, ``<!channel>`` and such."""
    return re.sub(r"([@<])(?=\S)", "\\1\u200b", one_line(text, LONGEST))
