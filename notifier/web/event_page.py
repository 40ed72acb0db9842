"""The page of one event: what it says, and what became of it; and how a delivery is shown, wherever it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from notifier.domain.model import Event
from notifier.domain.render import ENGLISH
from notifier.domain.rules import answers, ground, rule
from notifier.store.rows import AttemptRow, DeliveryRow, State
from notifier.store.transaction import Transaction
from notifier.web.feed import event_line
from notifier.web.marks import DELIVERY_BADGES, Badge, Moment, moment, past
from notifier.web.questions import AboutEvent

OUTCOMES = {"delivered": "✓", "rejected": "✕", "retry": "↻", "uncertain": "?"}


@dataclass(frozen=True, slots=True)
class TryLine:
    """One attempt: its outcome with a symbol, and why."""

    number: int
    symbol: str
    outcome: str
    why: str
    ended: Moment


@dataclass(frozen=True, slots=True)
class DeliveryLine:
    """A delivery: how far it is, and every attempt at it."""

    id: str
    event: str
    sink: str
    cluster: str
    kind: str
    badge: Badge
    dead: bool
    why: str
    attempts: int
    when: Moment
    next: str | None
    tries: tuple[TryLine, ...]


def delivery_line(row: DeliveryRow, tries: Sequence[AttemptRow], now: datetime) -> DeliveryLine:
    """A delivery as a page shows it."""
    return DeliveryLine(
        id=row.id,
        event=row.event,
        sink=row.sink,
        cluster=row.cluster,
        kind=row.kind,
        badge=DELIVERY_BADGES[row.state],
        dead=row.state is State.DEAD,
        why=_why(row.reason, row.detail),
        attempts=row.attempts,
        when=past(row.settled_at or row.created_at, now),
        next=None if row.next_at is None else "is due" if row.next_at <= now else moment(row.next_at, now).ago,
        tries=tuple(
            TryLine(
                each.number,
                OUTCOMES.get(each.outcome, "·"),
                each.outcome,
                _why(each.reason, each.detail),
                past(each.ended_at, now),
            )
            for each in tries
        ),
    )


def _why(reason: str | None, detail: str | None) -> str:
    return ": ".join(part for part in (reason, detail) if part)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store says."""

    event: Event
    fate: Sequence[tuple[DeliveryRow, Sequence[AttemptRow]]]


def look(transaction: Transaction, question: AboutEvent) -> Seen | None:
    """Ask the store; None if there is no such event."""
    event = transaction.event(question.id)
    return None if event is None else Seen(event, transaction.fate(question.id))


def view(seen: Seen, now: datetime) -> dict[str, object]:
    """What the template shows."""
    return {
        "event": event_line(0, seen.event, now),
        "facts": ENGLISH.facts(seen.event),
        "inferred": not seen.event.observed,
        "rule": rule(seen.event),
        "ground": ground(seen.event),
        "answers": [
            (which, words) for which, _, words in answers(seen.event.kind, seen.event.evidence, catch_up=seen.event.catch_up)
        ],
        "deliveries": [delivery_line(row, tries, now) for row, tries in seen.fate],
    }
