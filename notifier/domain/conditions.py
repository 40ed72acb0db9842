"""What lasts, and what ends it: for receivers that keep something open, such as an incident or an alert, until it is over."""

from collections.abc import Collection, Mapping
from enum import StrEnum

from notifier.domain.model import Kind


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
    Kind.SINK_RECOVERED: (Condition.SINK,),
}


def ended(kind: Kind, held: Collection[str]) -> tuple[Condition, ...]:
    """The conditions among those ``held`` open that an event of this kind ends."""
    return tuple(condition for condition in ENDS.get(kind, ()) if condition in held)
