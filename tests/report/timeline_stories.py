"""Events of one task, told minute by minute, for whoever wants to see them laid out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from notifier.domain.model import Action, Cluster, Eta, Event, Kind, Nodes, Outage, Stage, Status, TaskFacts

CLUSTER = Cluster("c-1", "search-prod", "cn-north-4", "prod", "p-1")
NODES = ("node-a", "node-b", "node-c")
STATUSES: Mapping[Kind, str] = {
    Kind.STAGE_SUCCEEDED: Status.SUCCESS,
    Kind.STAGE_FAILED: Status.FAILED,
    Kind.TASK_SUCCEEDED: Status.SUCCESS,
    Kind.TASK_FAILED: Status.FAILED,
    Kind.TASK_PARTIALLY_FAILED: Status.PARTIAL_FAILED,
}


def at(minute: float) -> datetime:
    return datetime(2026, 3, 1, 8, tzinfo=UTC) + timedelta(minutes=minute)


@dataclass
class Story:
    """Collects the events of a task."""

    events: list[Event] = field(default_factory=list)
    attempt: int = 1
    completed: tuple[str, ...] = ()

    def tell(self, kind: Kind, minute: float, node: str | None = None, **facts: Any) -> "Story":
        """``stage`` is (order, began, ended) in minutes; everything else goes into the event as it is."""
        if kind is Kind.TASK_RETRIED:
            self.attempt += 1
        if kind is Kind.NODE_COMPLETED and node is not None:
            self.completed += (node,)
        status = STATUSES.get(kind, Status.RUNNING)
        stage = facts.pop("stage", None)
        if stage is not None:
            order, began, ended = stage
            times = [None if moment is None else at(moment) for moment in (began, ended)]
            facts["stage"] = Stage(order, f"stage {order}", status, "", *times)
        message = facts.pop("message", None)
        in_flight = facts.pop("in_flight", ())
        task = TaskFacts(
            "t", Action.UPGRADING, status, self.attempt, at(0), None, Nodes(3, self.completed, in_flight), "7.10.2", message
        )
        number = len(self.events) + 1
        told = Event(f"e{number}", kind, number, at(minute), at(minute), CLUSTER, task, node)
        self.events.append(replace(told, **facts))
        return self

    def begin(self) -> "Story":
        return self.tell(Kind.TASK_STARTED, 0)

    def node(self, name: str, began: float, ended: float, orders: tuple[int, ...] = (0, 12)) -> "Story":
        """A node from its start to its completion, its stages of equal length."""
        self.tell(Kind.NODE_STARTED, began, name)
        length = (ended - began) / len(orders)
        for place, order in enumerate(orders):
            first = began + place * length
            self.tell(Kind.STAGE_SUCCEEDED, first + length, name, stage=(order, first, first + length))
        return self.tell(Kind.NODE_COMPLETED, ended, name)

    def outage(self, began: float, ended: float | None, told: float) -> "Story":
        """An outage of the cluster: told of, and over where it has an end."""
        outage = Outage(at(began), "server", "HTTP 503")
        self.events.append(Event("o1", Kind.CLUSTER_UNREACHABLE, 1, at(told), at(told), CLUSTER, outage=outage))
        if ended is not None:
            self.events.append(Event("o2", Kind.CLUSTER_RECOVERED, 2, at(ended), at(ended), CLUSTER, outage=outage))
        return self


def failed_and_retried() -> Story:
    """Three nodes: the second fails in stage 4, somebody retries, it stalls for a while, there is an outage, it ends well."""
    story = Story().begin().node("node-a", 1, 21, (0, 2, 4, 12))
    story.tell(Kind.NODE_STARTED, 21, "node-b")
    story.tell(Kind.STAGE_SUCCEEDED, 31, "node-b", stage=(0, 21, 31))
    story.tell(Kind.STAGE_SUCCEEDED, 34, "node-b", stage=(2, 31, 34))
    story.tell(Kind.STAGE_FAILED, 40, "node-b", stage=(4, 34, 40), message="the port is taken")
    story.tell(Kind.NODE_FAILED, 41, "node-b", message="the port is taken")
    story.tell(Kind.TASK_FAILED, 41, message="the port is taken")
    story.tell(Kind.TASK_RETRIED, 60)
    story.tell(Kind.NODE_STARTED, 60, "node-b")
    story.tell(Kind.TASK_STALLED, 70)
    story.tell(Kind.TASK_RESUMED, 82)
    story.tell(Kind.STAGE_SUCCEEDED, 84, "node-b", stage=(4, 60, 84))
    story.tell(Kind.STAGE_SUCCEEDED, 86, "node-b", stage=(12, 84, 86))
    story.tell(Kind.NODE_COMPLETED, 86, "node-b")
    story.tell(Kind.NODE_STARTED, 86, "node-c")
    story.tell(Kind.STAGE_SUCCEEDED, 90, "node-c", stage=(0, 86, 90))
    story.tell(Kind.NODE_COMPLETED, 110, "node-c")
    story.tell(Kind.TASK_SUCCEEDED, 110)
    return story.outage(92, 104, 97)


def under_way() -> Story:
    """Two nodes at a time, found when it was under way already; an end is expected."""
    story = Story(completed=("node-a",))
    story.tell(Kind.TASK_STARTED, 0, catch_up=True, observed_at=at(30), in_flight=("node-b", "node-c"))
    story.tell(Kind.STAGE_SUCCEEDED, 34, "node-b", stage=(0, 22, 34))
    return story.tell(Kind.STAGE_STARTED, 35, "node-b", stage=(1, 35, None), eta=Eta(at(50), at(60), "1 finished node"))
