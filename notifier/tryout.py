"""Tries one sink: sends it a marked sample of each kind that it would get, and says of each what became of it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from secrets import token_hex

from notifier.config import Settings, SinkEntry
from notifier.direct import opened
from notifier.domain import reminders
from notifier.domain.dossier import Dossier
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt, Report
from notifier.domain.model import OURS, Action, Cluster, Event, Kind
from notifier.domain.routing import ANYTHING, Route
from notifier.domain.samples import samples
from notifier.domain.timeline import ENDS
from notifier.domain.words import Words
from notifier.engine.attempt import attempt
from notifier.outbound import open_session
from notifier.outlets import hidden, page_of
from notifier.report.page import report
from notifier.report.png import NoPictureError, png


@dataclass(frozen=True, slots=True)
class Tryout:
    """What is to be sent to a sink.

    Attributes:
        entry: The sink.
        messages: One of each kind that it would get, marked.
        page: What the messages link to.
        troubles: What went wrong beside the samples, in words: it could not be opened, or closed.
    """

    entry: SinkEntry
    messages: tuple[Message, ...]
    page: str | None = None
    troubles: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one sample, after how many seconds."""

    message: Message
    outcome: Receipt | DeliveryError
    after: float


def tryout(settings: Settings, name: str) -> Tryout:
    """Make a try of a sink: a fresh run each time, for a receiver that drops repeats must not drop the second test.

    Raises:
        LookupError: There is no such sink.
    """
    entry = next((entry for entry in settings.sinks if entry.name == name), None)
    if entry is None:
        raise LookupError(f"there is no sink {name!r}; there is {', '.join(entry.name for entry in settings.sinks)}")
    words = entry.words
    story = samples(datetime.now(UTC), run=token_hex(4), words=words)
    heard = kinds_heard(settings, name, [message.event for message in story])
    messages = [message for message in story if message.event.kind in heard]
    if entry.report:
        messages = list(_with_reports(messages, [message.event for message in story], words))
    return Tryout(entry, tuple(messages), page_of(settings))


async def told(trial: Tryout) -> AsyncGenerator[Told, None]:
    """Send the samples one after the other, at the sink's rate; each with what became of it, as soon as that is known.

    It ends early where the sink refuses everything, or asks for a pause: the rest would only be hammered at it.
    """
    entry = trial.entry
    async with open_session(total=entry.timeout) as session, opened(entry, session, trial.page, trial.troubles.append) as sink:
        if isinstance(sink, DeliveryError):
            trial.troubles.append(sink.detail)
            return
        hide = hidden(entry)
        for number, message in enumerate(trial.messages):
            if number and entry.rate:
                await asyncio.sleep(1 / entry.rate)
            began = time.monotonic()
            found = await attempt(sink, message, None, entry.timeout, hide=hide)
            yield Told(message, found, time.monotonic() - began)
            if isinstance(found, DeliveryError) and why_no_more(found) is not None:
                return


def why_no_more(error: DeliveryError) -> str | None:
    """Why nothing more is sent after a failure, in words; None where the next sample is worth a try."""
    if error.scope is not Scope.SINK:
        return None
    if error.outcome is Outcome.REJECTED:
        return "the sink refuses everything"
    return "the receiver asks for a pause" if error.reason is DeliveryReason.THROTTLED else None


def why_nothing(settings: Settings, name: str) -> str:
    """Why a sink would be told nothing at all, in words."""
    routes = [str(number) for number, route in enumerate(settings.routes, 1) if name in (*route.sinks, *_escalated(route))]
    if not routes:
        return "no route names it, and it stands in for no other sink"
    return f"route {', '.join(routes)} would send it something, but never of a cluster that is watched"


def kinds_heard(settings: Settings, name: str, events: Sequence[Event]) -> frozenset[Kind]:
    """The kinds, of those of the sample ``events``, that a sink can be told by any road, of any cluster and action.

    By a route; as what a route escalates to, which then also hears how it ends; or in the place of another that fails.
    """
    kinds = {event.kind for event in events if any(name in route.sinks for route in _matching(settings, event))}
    escalated = {
        event.kind
        for event in events
        if event.kind in reminders.CONDITIONS and any(name in _escalated(route) for route in _matching(settings, event))
    }
    # An escalation opens a condition of a task or of a cluster; the same sink hears what follows on the same.
    about = {_about(kind) for kind in escalated}
    kinds |= escalated | {event.kind for event in events if event.kind in reminders.ENDS and _about(event.kind) in about}
    if any(entry.fallback == name for entry in settings.sinks):
        kinds |= OURS
    return frozenset(kinds)


def _about(kind: Kind) -> str:
    return kind.partition(".")[0]


def _escalated(route: Route) -> tuple[str, ...]:
    return () if route.escalate is None else route.escalate.to


def _matching(settings: Settings, event: Event) -> Iterator[Route]:
    """The routes that a sample would take if it happened to any of the clusters that are watched, upgraded or moved."""
    for route in settings.routes:
        if any(route.match.refusal(each) is None for each in _as_may_be(settings, event)):
            yield route
            continue
        # What a project lists may have any name and any labels.
        anything = replace(route.match, cluster=ANYTHING, labels={})
        listed = [
            _of(event, Cluster("", "", project.region, project.name, "")) for project in settings.projects if project.discover
        ]
        if any(anything.refusal(each) is None for whole in listed for each in _either_action(whole)):
            yield route


def _as_may_be(settings: Settings, event: Event) -> Iterator[Event]:
    for cluster in (event.cluster, *(cluster for project in settings.projects for cluster in project.watched)):
        yield from _either_action(_of(event, cluster))


def _of(event: Event, cluster: Cluster) -> Event:
    return event if event.kind in OURS else replace(event, cluster=cluster)


def _either_action(event: Event) -> Iterator[Event]:
    if event.task is None:
        yield event
        return
    for action in Action:
        yield replace(event, task=replace(event.task, action=action))


def _with_reports(messages: Iterable[Message], story: Sequence[Event], words: Words) -> Iterator[Message]:
    """The same messages; those of a task's end with a report of the story so far."""
    for message in messages:
        event = message.event
        if event.kind in ENDS:
            so_far = tuple(each for each in story if each.sequence <= event.sequence)
            yield replace(message, report=_drawn(report(Dossier(so_far), words, event.observed_at)))
        else:
            yield message


def _drawn(made: Report | None) -> Report | None:
    try:
        return made and replace(made, png=png(made.svg))
    except NoPictureError:  # A report without one is what this machine sends in earnest, too.
        return made
