"""What lasts, and what ends it: for receivers that keep something open, such as an incident or an alert, until it is over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from notifier.domain.model import Event, Kind


class Condition(StrEnum):
    """Something that lasts. The names are part of PagerDuty's keys and of Alertmanager's labels: they do not change."""

    FAILURE = "failure"
    STALL = "stall"
    UNREACHABLE = "unreachable"
    SINK = "sink"


OPENS: Mapping[Kind, Condition] = {
    Kind.TASK_FAILED: Condition.FAILURE,
    Kind.TASK_PARTIALLY_FAILED: Condition.FAILURE,
    Kind.TASK_STALLED: Condition.STALL,
    Kind.CLUSTER_UNREACHABLE: Condition.UNREACHABLE,
    Kind.SINK_FAILING: Condition.SINK,
}
ENDS: Mapping[Kind, tuple[Condition, ...]] = {
    Kind.TASK_FAILED: (Condition.STALL,),
    Kind.TASK_PARTIALLY_FAILED: (Condition.STALL,),
    Kind.TASK_RETRIED: (Condition.STALL,),
    Kind.TASK_RESUMED: (Condition.STALL,),
    Kind.TASK_SUCCEEDED: (Condition.FAILURE, Condition.STALL),
    Kind.CLUSTER_RECOVERED: (Condition.UNREACHABLE,),
    Kind.CLUSTER_FORGOTTEN: (Condition.UNREACHABLE,),
    Kind.SINK_RECOVERED: (Condition.SINK,),
}


def closes(kind: Kind) -> bool:
    """Whether events of a kind end something and open nothing: whoever was told that it began is told this, silence or not."""
    return kind in ENDS and kind not in OPENS


@dataclass(frozen=True, slots=True)
class Heard:
    """What was last said of each condition, for a receipt to remember: the ``sequence`` of the event that opened or ended it.

    A delivery that was given up can be sent again long after its time. What it would open may be over by then, and nobody would
    ever close it again; what it would end may have begun anew.
    """

    by: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Self:
        """From a receipt; what is none of ours is nothing."""
        pairs = (part.partition("=") for part in text.split(","))
        return cls({name: int(number) for name, _, number in pairs if number.isascii() and number.isdecimal()})

    @property
    def text(self) -> str:
        """As a receipt remembers it."""
        return ",".join(f"{name}={number}" for name, number in sorted(self.by.items()))

    def after(self, event: Event) -> Self:
        """What has been heard once an event is told."""
        touched = {*ENDS.get(event.kind, ()), *((OPENS[event.kind],) if event.kind in OPENS else ())}
        return type(self)({**self.by, **{each.value: max(event.sequence, self.by.get(each, 0)) for each in touched}})

    def beyond(self, event: Event) -> bool:
        """Whether a later event has spoken of any condition."""
        return any(number > event.sequence for number in self.by.values())

    def opened(self, event: Event) -> Condition | None:
        """The condition that an event opens; None where there is none, or where a later event has spoken of it."""
        condition = OPENS.get(event.kind)
        return condition if condition is not None and self._news(condition, event) else None

    def ended(self, event: Event) -> tuple[Condition, ...]:
        """The conditions that an event ends, but for those of which a later event has spoken."""
        return tuple(condition for condition in ENDS.get(event.kind, ()) if self._news(condition, event))

    def _news(self, condition: Condition, event: Event) -> bool:
        # The same event may be told again, after a doubtful try.
        return self.by.get(condition, 0) <= event.sequence
