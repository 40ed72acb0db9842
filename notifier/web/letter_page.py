"""The page of dead letters: what was given up, why, and how it is sent again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from notifier.store.rows import DeliveryRow, State
from notifier.store.transaction import Transaction
from notifier.web.event_page import delivery_line
from notifier.web.questions import Question, Text
from notifier.web.standing import Standing

PAGE = 50
"""Letters on a page."""


class LettersQuestion(Question):
    """Whose, and from where on."""

    sink: Text = ""
    before: Text | None = Field(None)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store says: one more than the page shows, if there is one."""

    rows: Sequence[DeliveryRow]


def look(transaction: Transaction, question: LettersQuestion) -> Seen:
    """Ask the store."""
    rows = transaction.deliveries(sink=question.sink or None, state=State.DEAD, before=question.before, limit=PAGE + 1)
    return Seen(rows)


def view(seen: Seen, question: LettersQuestion, standing: Standing, now: datetime) -> dict[str, object]:
    """What the template shows."""
    shown = seen.rows[-PAGE:]
    return {
        "letters": [delivery_line(row, (), now) for row in reversed(shown)],
        "sink": question.sink,
        "sinks": [(name, count) for (name, state), count in sorted(standing.counts.items()) if state is State.DEAD],
        "older": shown[0].id if len(seen.rows) > PAGE else None,
        "paged": question.before is not None,
    }
