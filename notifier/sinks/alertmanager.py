"""Prometheus Alertmanager, API v2: an alert for each condition that lasts, and a short one for whatever else it is told.

A failed task, a stalled task and a cluster that cannot be watched are conditions. Each is an alert that fires until the event
that ends it. Alertmanager keeps alerts in memory only and takes one to be over at its ``endsAt``: so that is set days ahead, and
what lasts is posted again every minute (see `Lasting`). Labels are what an alert is known by; the receipt keeps them, so that an
end finds its alert though the cluster has other labels by now.

Guarantee: effectively once, since the same labels are the same alert. With several addresses, as a cluster of Alertmanagers wants
it, one that accepts is enough. They do not tell each other of alerts: an end that one of them missed is posted again every
minute, until all have taken it. The API: github.com/prometheus/alertmanager, api/v2/openapi.yaml.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Annotated, Any, ClassVar, Self

from aiohttp import encode_basic_auth
from pydantic import BeforeValidator, Field, FilePath, SecretStr, field_validator, model_validator
from yarl import URL

from notifier.domain.conditions import OPENS, Condition, Heard
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome
from notifier.domain.links import task_page
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Event, Severity
from notifier.domain.plain_text import json_line, one_line
from notifier.domain.render import iso
from notifier.sinks.alertmanager_receipt import HEARD, LOST, Alert, field, firing_of, moment, remembered, unheard_of
from notifier.sinks.alertmanager_silences import Held, SilenceNodes, Silencer
from notifier.sinks.contract import SinkSettings, Surroundings
from notifier.sinks.posting import Answer, Mask, failure, post

NAMES: Mapping[Condition, str] = {
    Condition.FAILURE: "CssUpgradeFailed",
    Condition.STALL: "CssUpgradeStalled",
    Condition.UNREACHABLE: "CssClusterUnreachable",
    Condition.SINK: "CssNotifierSinkFailing",
}
SEVERITIES = {NAMES[condition]: kind.severity for kind, condition in OPENS.items()}
NEWS = "CssUpgradeNews"
"""The name of an alert that no condition stands behind."""

LASTS = timedelta(days=7)
"""For how long an alert fires after our last word about it, should we fall silent."""

NEWS_LASTS = timedelta(minutes=5)

NAME, VALUE, ANNOTATION = 100, 200, 1000
"""Characters of a label's name, of its value, and of an annotation. The receipt holds every alert that fires."""

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ADDRESS = re.compile(r"https?://[^\s?#@]+")


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Settings(SinkSettings):
    """Where Alertmanager is, and what its routes shall see.

    Attributes:
        url: Without ``/api/v2``; a list names all members of a cluster.
        labels: Added to every alert; these win over a cluster's own.
        username: With ``password``, for basic authentication.
        token: A bearer token instead.
        ca_file: Certificates (PEM) to trust instead of the system's.
        news: Whether there are alerts for what is no condition. It is read all the same for ends, and for nodes to silence.
        silence_nodes: Silence other alerts of a node while it is being worked on.
    """

    default_concurrency: ClassVar[int] = 4

    url: Annotated[tuple[str, ...], BeforeValidator(_several, json_schema_input_type=str | list[str])] = Field(
        min_length=1, max_length=10
    )
    labels: Mapping[str, str] = {}
    username: str | None = Field(None, min_length=1)
    password: SecretStr | None = None
    token: SecretStr | None = None
    ca_file: FilePath | None = None
    news: bool = True
    silence_nodes: SilenceNodes | None = None

    @field_validator("url")
    @classmethod
    def _addresses(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_ADDRESS.fullmatch(value) for value in values):
            raise ValueError("must be an HTTP URL without user and query, such as http://alertmanager:9093")
        return values

    @field_validator("labels")
    @classmethod
    def _named(cls, labels: Mapping[str, str]) -> Mapping[str, str]:
        if not all(_LABEL.fullmatch(name) and name != "alertname" for name in labels):
            raise ValueError("must have names of letters, digits and _, and leave alertname alone")
        return labels

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password must be given together, or neither")
        if self.username is not None and ":" in self.username:
            raise ValueError("a username cannot hold a colon (RFC 7617)")
        if self.username is not None and self.token is not None:
            raise ValueError("there is a username and a token; give one of them")
        return self


class Sink:
    """Fires alerts and ends them. The receipt holds those that fire, and the silences of the nodes in flight."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._bases = [URL(url.rstrip("/")) for url in settings.url]
        secrets = [secret.get_secret_value() for secret in (settings.password, settings.token) if secret is not None]
        self._headers = {"Content-Type": "application/json"}
        if settings.username is not None and settings.password is not None:
            password = settings.password.get_secret_value()
            self._headers["Authorization"] = encode_basic_auth(settings.username, password, encoding="utf-8")
        elif settings.token is not None:
            self._headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
        self._mask = Mask([*secrets, *self._headers.get("Authorization", "").split()[1:]])
        self._tls: ssl.SSLContext | None = None
        nodes = settings.silence_nodes
        self._silencer = None if nodes is None else Silencer(nodes, self._request, surroundings)
        self._known_everywhere: frozenset[str] = frozenset()

    async def __aenter__(self) -> Self:
        if self._settings.ca_file is not None:
            self._tls = ssl.create_default_context(cafile=self._settings.ca_file)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass  # the session is lent

    async def send(self, message: Message, last: Receipt | None) -> Receipt:
        """Fire what the event begins, end what it ends.

        Raises:
            DeliveryError: No Alertmanager has taken it, or a node could not be silenced. All of it may be told again.
        """
        now, event = self._surroundings.clock(), message.event
        # A test, a drill or a replay has labels of its own and touches no real alert.
        before = None if message.mark else _before(message, last)
        firing, ended = firing_of(before), unheard_of(before, now)
        heard = Heard.read(field(before, HEARD))
        at = min(event.time, now)
        lost = message.mark is None and (message.skipped > 0 or bool(field(before, LOST)))
        for over in heard.ended(event):
            alert = firing.pop(over, None)
            if alert is None and lost:
                # It was given up and may have been taken all the same. The end of what never fired is heard by nobody.
                alert = self._alert(message, NAMES[over], now, LASTS)
            if alert is not None:
                ended[over] = {**alert, "endsAt": iso(max(moment(alert, "startsAt") or at, at))}
        condition = heard.opened(event)
        fresh = []
        if condition is not None and not message.mark:
            # What fires already keeps the labels that Alertmanager knows it by.
            alert = firing.get(condition) or self._alert(message, NAMES[condition], now, LASTS)
            firing[condition] = alert
            ended.pop(condition, None)
            fresh.append({**alert, "endsAt": iso(now + LASTS)})
        elif self._settings.news or message.mark:
            fresh.append(self._alert(message, NEWS if condition is None else NAMES[condition], now, NEWS_LASTS))
        left = await self._post_ends(ended, fresh, now)
        after = "" if message.mark else heard.after(event).text
        fields = remembered(firing, left, after, lost=lost)
        if self._silencer is None or message.mark:
            return Receipt(fields)
        return await self._silencer.follow(message, before, fields)

    async def _post_ends(self, ended: Mapping[str, Alert], fresh: Sequence[Alert], now: datetime) -> dict[str, Any]:
        """Post both; of what has ended, what is to be said again since not every Alertmanager has heard it."""
        missed = await self._post([*ended.values(), *fresh])
        if missed is None:
            return {}
        self._surroundings.went_without("member", missed.detail)
        return {name: {"until": iso(now + LASTS), "alert": alert} for name, alert in ended.items()}

    async def keep(self, receipts: Sequence[Receipt]) -> None:
        """See `Lasting`.

        Raises:
            DeliveryError: No Alertmanager has taken it.
        """
        now = self._surroundings.clock()
        alerts = [{**alert, "endsAt": iso(now + LASTS)} for receipt in receipts for alert in firing_of(receipt).values()]
        ended = {json_line(alert): alert for receipt in receipts for alert in unheard_of(receipt, now).values()}
        alerts += [alert for text, alert in ended.items() if text not in self._known_everywhere]
        # The receipt cannot be told that all have taken it; a notifier that is started again says it once more.
        self._known_everywhere &= frozenset(ended)
        if await self._post(alerts) is None:
            self._known_everywhere = frozenset(ended)
        if self._silencer is not None:
            await self._silencer.keep(receipts)

    async def end(self, receipt: Receipt) -> Receipt:
        """See `Ending`. The silences are the review's, which knows what is in flight.

        Raises:
            DeliveryError: No Alertmanager has taken it.
        """
        now = self._surroundings.clock()
        ended = {
            **unheard_of(receipt, now),
            **{name: {**alert, "endsAt": iso(now)} for name, alert in firing_of(receipt).items()},
        }
        left = await self._post_ends(ended, [], now)
        return Held.read(receipt).receipt(remembered({}, left, field(receipt, HEARD), lost=bool(field(receipt, LOST))))

    async def check(self) -> list[str]:
        """See `Checkable`: whether each Alertmanager answers."""
        wrong = []
        for base in self._bases:
            try:
                answer = await self._ask(base, "GET", "/api/v2/status", b"")
            except DeliveryError as error:
                wrong.append(f"{base.host}: {error.detail}")
                continue
            if answer.status != 200 or not isinstance(answer.json, dict):  # noqa: PLR2004 - HTTP's own number
                wrong.append(f"{base.host} does not answer as an Alertmanager does: {answer.words}")
        return wrong

    def _alert(self, message: Message, name: str, now: datetime, lasts: timedelta) -> Alert:
        event, words = message.event, self._surroundings.words
        labels = {_label(name): value for name, value in event.cluster.labels.items()}
        # What began once and is over by now is told like any news, and must not page whom its severity would.
        severity = SEVERITIES.get(name) or (Severity.INFO if event.kind in OPENS else event.severity)
        labels |= {"severity": "info" if message.mark else severity.word, **_place(event)}
        if name == NEWS or message.mark:
            labels |= {"kind": event.kind.value, "node": event.node or "", "event": event.id, "mark": message.mark or ""}
        labels |= {**self._settings.labels, "alertname": name}
        annotations = {"summary": words.marked(message), "description": message.summary}
        if remarks := words.together(*words.remarks(message)):
            annotations["remarks"] = remarks
        return {
            "labels": {name: text for name, value in labels.items() if (text := one_line(value, VALUE).strip())},
            "annotations": {name: one_line(value, ANNOTATION) for name, value in annotations.items()},
            "startsAt": iso(min(event.time, now)),
            "endsAt": iso(now + lasts),
            **({"generatorURL": task_page(page, event, message.mark)} if (page := self._surroundings.page) else {}),
        }

    async def _post(self, alerts: Sequence[Alert]) -> DeliveryError | None:
        """Tell all of them; the failure of one that has missed it, if one has.

        Raises:
            DeliveryError: None has taken it.
        """
        if not alerts:
            return None
        body = json_line(alerts).encode()
        tries = await asyncio.gather(*(self._good(base, "POST", "/api/v2/alerts", body) for base in self._bases))
        errors = [error for each in tries if (error := _not_taken(each)) is not None]
        if len(errors) == len(tries):
            raise _worst(errors)
        return errors[0] if errors else None

    async def _request(self, method: str, path: str, body: bytes) -> Answer:
        """The first good answer of an Alertmanager; they tell each other of silences.

        Raises:
            DeliveryError: There is none.
        """
        errors = []
        for base in self._bases:
            answer = await self._good(base, method, path, body)
            if isinstance(answer, Answer):
                return answer
            errors.append(answer)
        raise _worst(errors)

    async def _good(self, base: URL, method: str, path: str, body: bytes) -> Answer | DeliveryError:
        try:
            answer = await self._ask(base, method, path, body)
        except DeliveryError as error:
            return error
        return failure(answer) or answer

    async def _ask(self, base: URL, method: str, path: str, body: bytes) -> Answer:
        url = URL(f"{base}{path}", encoded=True)
        return await post(self._surroundings.session, url, body, self._headers, mask=self._mask, tls=self._tls, method=method)


def _before(message: Message, last: Receipt | None) -> Receipt | None:
    """The receipt to go on from: of earlier tries of the message, unless it is sent again behind what came after it."""
    overtaken = Heard.read(field(last, HEARD)).beyond(message.event) or Held.read(last).sequence > message.event.sequence
    return last if overtaken else message.progress or last


def _place(event: Event) -> dict[str, str]:
    task = event.task
    if event.sink is not None:
        return {"sink": event.sink.name}
    return {
        "cluster": event.cluster.name,
        "cluster_id": event.cluster.id,
        "region": event.cluster.region,
        "project": event.cluster.project,
        "action": task.action.value if task else "",
        "task": task.id if task else "",
    }


def _label(name: str) -> str:
    """A label's name as Prometheus has them: ``team/name`` becomes ``team_name``."""
    plain = re.sub("[^a-zA-Z0-9_]", "_", name)
    return (plain if _LABEL.fullmatch(plain) else f"_{plain}")[:NAME]


def _not_taken(answer: Answer | DeliveryError) -> DeliveryError | None:
    """Alertmanager says nothing when it has taken alerts; what speaks is a proxy, or something else altogether.

    What could not be read has spoken: a login page may be longer than what is read of it.
    """
    if isinstance(answer, DeliveryError):
        return answer
    if answer.body is None or answer.body.strip():
        return DeliveryError(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, answer.words)
    return None


def _worst(errors: Sequence[DeliveryError]) -> DeliveryError:
    """Where one of them may have taken it, nobody may say that surely none has."""
    return next((error for error in errors if error.outcome is Outcome.UNCERTAIN), errors[0])
