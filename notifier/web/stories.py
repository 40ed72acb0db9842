"""The whole story of one event as JSON-able data: why there is one, what surrounds it, what became of it."""

from notifier.domain.model import Event
from notifier.domain.render import Json, iso, summary
from notifier.domain.rules import rule
from notifier.store.transaction import Transaction
from notifier.web import shapes


def story(tx: Transaction, wanted: str) -> Json | None:
    """The story of an event; None where there is no such event."""
    event = tx.event(wanted)
    if event is None:
        return None
    fate = tx.fate(wanted)
    before, after = tx.neighbours(event)
    leaders = tx.told_by(row.along for row, _ in fate if row.along is not None)
    told = dict(shapes.story_json(event, fate))
    deliveries = told["deliveries"]
    if isinstance(deliveries, list):
        told["deliveries"] = [
            {**row, "told_with": _brief(leaders.get(found.along or ""))} for row, (found, _) in zip(deliveries, fate, strict=True)
        ]
    return {**told, "rule": rule(event), "before": _brief(before), "after": _brief(after)}


def _brief(event: Event | None) -> Json | None:
    if event is None:
        return None
    return {
        "id": event.id,
        "kind": event.kind.value,
        "sequence": event.sequence,
        "observed_at": iso(event.observed_at),
        "summary": summary(event),
    }
