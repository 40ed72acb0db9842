"""PagerDuty, Events API v2: an incident for each condition that lasts, a change event for the rest.

A failed task, a stalled task, a cluster that cannot be watched and a sink that fails are conditions: each has one ``dedup_key``,
so that what is told twice opens nothing twice. A retry that runs acknowledges the failure, since somebody has acted; it is
resolved when the task succeeds. A retry that fails is a new incident: an acknowledged one pages nobody, whatever it is sent.
Messages of a task go out in order, and the receipt remembers what was last said of each condition: so nothing is opened again
behind its end, not even by a message that was given up and is sent again.

Guarantee: incidents effectively once, change events (which have no key) at least once, and not at all where the integration
takes none. The API: developer.pagerduty.com/docs, "Send an alert event" and "Send a change event".
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from types import TracebackType
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr
from yarl import URL

from notifier.domain.conditions import Heard
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.links import console, task_page
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Kind, Severity
from notifier.domain.plain_text import json_line, one_line
from notifier.domain.render import iso, payload
from notifier.sinks.contract import SinkSettings, Surroundings
from notifier.sinks.pagerduty_receipt import Action, Standing
from notifier.sinks.posting import Answer, Mask, failure, post

SUMMARY = 1024
"""Characters of a summary that PagerDuty takes."""

NAME = 255
"""Characters of what says where it happened. PagerDuty names no limit; a page has no room for more."""

LARGEST = 400_000
"""Bytes of a body; PagerDuty takes 512 KB."""

THROTTLED = 120.0
"""Seconds to wait after a 429 that does not say: PagerDuty asks for "a backoff of a few minutes"."""

SHARE = 0.9
"""Of the time a send may take: what has been achieved must be said before the engine cuts it off."""

SEVERITIES: Mapping[Severity, str] = {
    Severity.DEBUG: "info",
    Severity.INFO: "info",
    Severity.WARNING: "warning",
    Severity.ERROR: "error",
    Severity.CRITICAL: "critical",
}

TEST = "TEST"
"""The mark of messages that belong to no story."""

PROBE = "css-upgrade-notifier-probe"
"""A key that nothing is ever opened by. To resolve it does nothing but prove the integration's key."""

CHANGES, ALERTS = "/v2/change/enqueue", "/v2/enqueue"


class Settings(SinkSettings):
    """An integration of the type "Events API v2".

    Attributes:
        routing_key: Its integration key: 32 characters.
        base_url: Of the API; the service region EU has ``https://events.eu.pagerduty.com``.
    """

    routing_key: Annotated[SecretStr, Field(min_length=32, max_length=32)]
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s?#@]+$", max_length=300)] = "https://events.pagerduty.com"


class Sink:
    """Opens, acknowledges and resolves incidents. The receipt remembers which of a task's conditions are open."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._key = settings.routing_key.get_secret_value()
        self._base = settings.base_url.rstrip("/")
        self._session = surroundings.session
        self._seconds = surroundings.timeout * SHARE
        self._page = surroundings.page
        self._words = surroundings.words
        self._without = surroundings.went_without
        self._mask = Mask([self._key])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass  # the session is lent

    async def send(self, message: Message, last: Receipt | None) -> Receipt:
        """Tell PagerDuty what follows from the event.

        Raises:
            DeliveryError: Not all of it was confirmed. Its receipt says what was, so that the next try goes on from there.
        """
        test = message.mark == TEST
        before = Standing() if test else Standing.before(message, last)
        now = replace(before, held=set(before.held), perhaps=set(before.perhaps), about=_about(message))
        try:
            async with asyncio.timeout(self._seconds):
                await self._tell(message, now)
        except TimeoutError:
            words = f"no answer within {self._seconds:.1f} s"
            raise DeliveryError(
                Outcome.UNCERTAIN, DeliveryReason.TIMEOUT, words, receipt=now.receipt if now != before else None
            ) from None
        except DeliveryError as error:
            if now != before:
                error.receipt = now.receipt
            raise
        now.heard = now.heard.after(message.event)
        return Receipt() if test else now.receipt

    async def end(self, receipt: Receipt) -> Receipt:
        """See `Ending`.

        Raises:
            DeliveryError: Not all of it was confirmed; to resolve something twice does no harm.
        """
        now = Standing.read(receipt)
        for condition in sorted(now.unsettled):
            await self._enqueue(ALERTS, {"event_action": "resolve", "dedup_key": f"{now.about}-{condition}"})
        return replace(now, held=set(), perhaps=set()).receipt

    async def check(self) -> list[str]:
        """See `Checkable`: whether the key may send alerts."""
        try:
            await self._prove()
        except DeliveryError as error:
            return [f"PagerDuty takes no alerts: {error.detail}"]
        return []

    async def _tell(self, message: Message, now: Standing) -> None:
        event = message.event
        told = False
        for action, condition in _of_test(message) if message.mark == TEST else now.steps(message):
            if action == "trigger":
                now.perhaps.add(condition)
            try:
                await self._enqueue(ALERTS, self._alert(message, action, condition))
            except DeliveryError as error:
                if error.outcome is Outcome.REJECTED:
                    now.perhaps.discard(condition)
                elif message.mark == TEST and action == "trigger":  # Nobody tries again to end it.
                    with suppress(DeliveryError):
                        await self._enqueue(ALERTS, self._alert(message, "resolve", condition))
                raise
            now.done(action, condition, event)
            told = True
        if event.kind is Kind.TASK_SUCCEEDED or not (told or now.knows(message)):
            await self._note(message, proved=told)

    async def _note(self, message: Message, *, proved: bool) -> None:
        """A change event, if PagerDuty takes it: no page may wait behind what only some integrations know.

        ``proved``: alerts were taken just now.
        """
        try:
            await self._enqueue(CHANGES, {"payload": self._payload(message), "links": self._links(message)})
        except DeliveryError as error:
            if error.outcome is not Outcome.REJECTED and error.reason is not DeliveryReason.REDIRECT:
                raise
            if not proved:
                # A wrong key refuses the pages, too. That has to be known before there is one.
                await self._prove()
            self._without("change", error.detail)

    async def _prove(self) -> None:
        await self._enqueue(ALERTS, {"event_action": "resolve", "dedup_key": PROBE})

    def _alert(self, message: Message, action: Action, condition: str) -> dict[str, Any]:
        alert: dict[str, Any] = {"event_action": action, "dedup_key": dedup_key(message, condition)}
        if action != "trigger":
            return alert
        event = message.event
        alert |= {"payload": self._payload(message), "client": "css-upgrade-notifier", "links": self._links(message)}
        alert["payload"] |= {
            "severity": "info" if message.mark else SEVERITIES[event.severity],
            "component": one_line(event.node or event.cluster.name, NAME) or "-",
            "group": one_line(event.cluster.name, NAME) or "-",
            "class": condition,
        }
        if self._page is not None:
            alert["client_url"] = task_page(self._page, event, message.mark)
        return alert

    def _payload(self, message: Message) -> dict[str, Any]:
        said = self._words.together(self._words.line(message), *self._words.remarks(message))
        return {
            "summary": one_line(said, SUMMARY),
            "source": one_line(message.event.cluster.id, NAME) or "-",
            "timestamp": iso(message.event.time),
            "custom_details": payload(message.event),
        }

    def _links(self, message: Message) -> list[dict[str, str]]:
        around = self._words.phrases.around
        found = [(None if self._page is None else task_page(self._page, message.event, message.mark), around.page)]
        found.append((console(message.event), around.console))
        return [{"href": address, "text": text} for address, text in found if address is not None]

    async def _enqueue(self, path: str, body: dict[str, Any]) -> None:
        """Post an event; if its form is refused, once more with nothing in it but what a page needs.

        Raises:
            DeliveryError: PagerDuty did not confirm it.
        """
        answer = await self._post(path, body)
        if answer.status in _FORM and not _of_key(answer) and (bare := _bare(body)) is not None:
            refused, answer = answer, await self._post(path, bare)
            if judged(answer) is None:
                self._without("details", refused.words)
        if error := judged(answer):
            raise error

    async def _post(self, path: str, body: dict[str, Any]) -> Answer:
        data = json_line({"routing_key": self._key, **body}).encode()
        if len(data) > LARGEST and (bare := _bare(body)) is not None:
            data = json_line({"routing_key": self._key, **bare}).encode()
        return await post(self._session, URL(self._base + path), data, {"Content-Type": "application/json"}, mask=self._mask)


def dedup_key(message: Message, condition: str) -> str:
    """What PagerDuty knows a condition by: the same for a task (or a cluster) and condition, for good. At most 255 characters.

    A test, a drill or a replay has keys of its own and touches no real incident. All of them resolve what they opened, each test
    at once.
    """
    return f"{_about(message)}-{condition}"


def _about(message: Message) -> str:
    about = message.event.thread
    if message.mark is not None:
        about = f"{message.mark}/{message.id if message.mark == TEST else about}"
    return f"css-{sha256(about.encode('utf-8', 'replace')).hexdigest()[:40]}"


def judged(answer: Answer) -> DeliveryError | None:
    """What an answer means: None, the event was taken.

    202 says so, and PagerDuty's own words do in its body. A body that was not read denies nothing; one that says something else
    is a stranger's.
    """
    if answer.status == 202:  # noqa: PLR2004 - HTTP's own number
        said = answer.json
        if answer.body is None or (isinstance(said, dict) and said.get("status") == "success"):
            return None
        return DeliveryError(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, answer.words)
    if answer.status == 400 and _of_key(answer):  # noqa: PLR2004 - likewise
        return DeliveryError(Outcome.REJECTED, DeliveryReason.REFUSED, answer.words, scope=Scope.SINK)
    if answer.status == 429:  # noqa: PLR2004 - likewise
        after = answer.retry_after or THROTTLED
        return DeliveryError(Outcome.RETRY, DeliveryReason.THROTTLED, answer.words, scope=Scope.SINK, retry_after=after)
    return failure(answer) or DeliveryError(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, answer.words)


_FORM = frozenset({400, 413, 422})
"""Statuses that say of a body that it is not to PagerDuty's liking, or too large."""


def _of_key(answer: Answer) -> bool:
    """Whether it is the integration's key that PagerDuty objects to ("Invalid routing key", "Length of 'routing_key' is …")."""
    return "routing key" in (answer.body or "").lower().replace("_", " ")


def _bare(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The event without what it can be understood without; None if there is nothing of the kind in it."""
    if "payload" not in body:
        return None
    left_out = ("links", "client_url")
    kept = {name: value for name, value in body["payload"].items() if name != "custom_details"}
    return {**{name: value for name, value in body.items() if name not in left_out}, "payload": kept}


def _of_test(message: Message) -> Iterator[tuple[Action, str]]:
    """A test opens what its event would, and ends it at once: nobody else ever would."""
    if opened := Heard().opened(message.event):
        yield "trigger", opened
        yield "resolve", opened
