"""The rows of a timeline: for each node of a task, what its events say of its stages.

A bar never says more than was seen. What must have happened but was not seen is a bar of its own, `Outcome.UNSEEN`: the stages of
the other nodes of a batch, which the API never lists, what fell between two polls, and what was over before anybody looked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from notifier.domain.model import Event, Kind, Stage

OF_NODES = frozenset(
    {Kind.NODE_STARTED, Kind.NODE_COMPLETED, Kind.NODE_FAILED, Kind.STAGE_STARTED, Kind.STAGE_SUCCEEDED, Kind.STAGE_FAILED}
)
"""The kinds that say how a node stands; others, such as a stall, only say where it happened."""


class Outcome(StrEnum):
    """How a bar, a node, an attempt or the task stands."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RUNNING = "running"
    UNSEEN = "unseen"
    """It was there, or must have been, but nobody saw how it went."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stage of a node, or a stretch in which no stage of it was seen: ``order`` is None then, and ``name`` empty.

    ``ended`` is None while it lasts. An unseen bar that has an order is a stage whose end was not seen.
    """

    name: str
    order: int | None
    began: datetime
    ended: datetime | None
    outcome: Outcome
    attempt: int


@dataclass(frozen=True, slots=True)
class Row:
    """A node: its bars in the order of time, and how it stands. ``ended`` is None while it is worked on."""

    node: str
    bars: tuple[Bar, ...]
    began: datetime
    ended: datetime | None
    outcome: Outcome


def node_rows(
    events: Sequence[Event], began: datetime, begins: Mapping[int, datetime], ends: Mapping[int, datetime | None]
) -> tuple[Row, ...]:
    """The nodes that were seen at work, in the order in which they were.

    Args:
        events: Of one task, in order.
        began: When the task began.
        begins: When each attempt began.
        ends: When each attempt ended.
    """
    nodes: dict[str, _Node] = {}
    first = events[0]
    if first.catch_up and first.task is not None:
        for name in (*first.task.nodes.completed, *first.task.nodes.in_flight):
            nodes[name] = _Node({first.task.attempt: began})
        for name in first.task.nodes.completed:
            nodes[name].completed = max(first.observed_at, began)
    for event in events:
        if event.node is None or event.task is None or event.kind not in OF_NODES:
            continue
        attempt, node = event.task.attempt, nodes.setdefault(event.node, _Node())
        if event.kind is Kind.NODE_COMPLETED and attempt not in node.began:
            # Nobody saw it at work in this attempt: it was, at the earliest, once the attempt began and the node before was done.
            others = [other.completed for other in nodes.values() if other.completed and other.completed < event.time]
            node.began[attempt] = min(event.time, max([begins.get(attempt, began), *others]))
        node.note(event, attempt)
    orders = sorted({order for node in nodes.values() for _, order in node.bars})
    return tuple(_row(name, node, orders, ends) for name, node in nodes.items())


@dataclass(slots=True)
class _Node:
    """What is known of a node while its row is put together; by attempt, and of bars by stage as well."""

    began: dict[int, datetime] = field(default_factory=dict)
    bars: dict[tuple[int, int], Bar] = field(default_factory=dict)
    ends: dict[int, datetime] = field(default_factory=dict)
    completed: datetime | None = None
    failed: datetime | None = None

    def note(self, event: Event, attempt: int) -> None:
        """Enter what an event says of the node."""
        began = event.time
        if event.kind is Kind.NODE_COMPLETED:
            self.completed = event.time
        elif event.kind is Kind.NODE_FAILED:
            self.failed = self.ends[attempt] = event.time
        else:
            self.failed = None  # It is at work again.
        if event.stage is not None:
            bar = _bar(event, event.stage, self.bars.get((attempt, event.stage.order)), attempt)
            self.bars[attempt, event.stage.order], began = bar, bar.began
        self.began[attempt] = min(self.began.get(attempt, began), began)


def _bar(event: Event, stage: Stage, known: Bar | None, attempt: int) -> Bar:
    """The bar of a stage, as an event of it says and what is known of it already."""
    began = min(moment for moment in (stage.began_at, known.began if known else None, event.time) if moment is not None)
    if event.kind is Kind.STAGE_STARTED:
        return Bar(stage.name, stage.order, began, None, Outcome.RUNNING, attempt)
    outcome = Outcome.FAILED if event.kind is Kind.STAGE_FAILED else Outcome.SUCCEEDED
    return Bar(stage.name, stage.order, began, max(began, stage.ended_at or event.time), outcome, attempt)


def _row(name: str, node: _Node, orders: Sequence[int], ends: Mapping[int, datetime | None]) -> Row:
    """The row of a node whose events have all been entered.

    Args:
        name: The node's.
        node: What is known of it.
        orders: Of all stages that any node has shown.
        ends: Of each attempt of the task.
    """
    bars: list[Bar] = []
    first, last = min(node.began), max(node.began)
    for attempt, began in sorted(node.began.items()):
        seen = sorted(
            (bar for (number, _), bar in node.bars.items() if number == attempt), key=lambda bar: (bar.began, bar.order or 0)
        )
        end = node.completed if attempt == last and node.completed else node.ends.get(attempt, ends.get(attempt))
        end = None if end is None else max(began, end)
        bars += _filled(_closed(seen, end), Bar("", None, began, end, Outcome.UNSEEN, attempt), orders, kept=attempt > first)
    if node.completed is not None:
        return Row(name, tuple(bars), bars[0].began, node.completed, Outcome.SUCCEEDED)
    if node.failed is not None:
        return Row(name, tuple(bars), bars[0].began, node.failed, Outcome.FAILED)
    over = ends.get(last)
    return Row(name, tuple(bars), bars[0].began, over, Outcome.RUNNING if over is None else Outcome.UNSEEN)


def _closed(bars: Sequence[Bar], end: datetime | None) -> list[Bar]:
    """A stage whose end was not seen is over when the next begins, or with the work on the node."""
    closed = []
    for bar, following in zip(bars, (*bars[1:], None), strict=False):
        over = end if following is None else following.began
        if bar.ended is None and over is not None:
            closed.append(replace(bar, ended=max(bar.began, over), outcome=Outcome.UNSEEN))
        else:
            closed.append(bar)
    return closed


def _filled(bars: Sequence[Bar], whole: Bar, orders: Sequence[int], *, kept: bool) -> list[Bar]:
    """The bars with the stretches between them in which stages were not seen that other nodes have shown.

    Args:
        bars: Of one node and attempt, in the order of time.
        whole: The work on the node, as if no stage of it had been seen.
        orders: Of all stages that any node has shown.
        kept: A retry may keep the stages before the one that failed: what is missing at the beginning is no gap then.
    """
    if not bars:
        return [whole]
    filled: list[Bar] = []
    at, before = whole.began, (bars[0].order or 0) - 1 if kept else -1
    for bar in bars:
        order = bar.order or 0
        if bar.began > at and any(before < each < order for each in orders):
            filled.append(replace(whole, began=at, ended=bar.began))
        filled.append(bar)
        at, before = max(at, bar.ended or bar.began), order
    stopped = bars[-1].outcome in {Outcome.FAILED, Outcome.RUNNING}
    if whole.ended is not None and whole.ended > at and not stopped and any(before < each for each in orders):
        filled.append(replace(whole, began=at))
    return filled
