"""The whole story of one event: why there is one, what surrounds it, what became of it."""

from notifier.domain.rules import ground, rule
from notifier.store.transaction import Transaction
from notifier.web.shapes import EventShape, EvidenceShape, NearEvent, StoryShape, TriedDelivery


def story(tx: Transaction, wanted: str) -> StoryShape | None:
    """The story of an event; None where there is no such event."""
    event = tx.event(wanted)
    if event is None:
        return None
    fate = tx.fate(wanted)
    before, after = tx.neighbours(event)
    leaders = tx.told_by(row.along for row, _ in fate if row.along is not None)
    return StoryShape(
        event=EventShape.of(event),
        deliveries=tuple(TriedDelivery.told(row, tries, leaders.get(row.along or "")) for row, tries in fate),
        rule=rule(event),
        ground=ground(event),
        evidence=None if event.evidence is None else EvidenceShape.model_validate(event.evidence),
        before=NearEvent.of(before),
        after=NearEvent.of(after),
    )
