"""The first page: every cluster in one line or two, those that need somebody on top, then what happened last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from notifier.domain.known import KnownTask
from notifier.domain.model import FAILURES, Action, Eta, Event, Stage, Status, Task
from notifier.domain.progress import progress
from notifier.store.rows import ClusterRow, State
from notifier.store.transaction import Transaction
from notifier.web.feed import event_line
from notifier.web.health import Health
from notifier.web.marks import ACTIONS, IDLE, NO_DATA, Badge, Moment, Outlook, outlook, past, plural, sink_badge, task_badge
from notifier.web.shapes import nodes_total
from notifier.web.standing import Standing

MOST_CLUSTERS = 200
"""Clusters on the page, those in trouble first; the API has them all."""

FEED = 12
"""Events on the page."""

MOST_NODES = 60
"""Nodes that are drawn apart; of more, only the shares can be seen."""

GAP = 0.005
"""Of the whole width."""

DECISION, SILENT, AT_WORK, QUIET = range(4)
GROUPS = {
    DECISION: ("Needs a decision", "A task failed. It stays as it is until somebody chooses retry or terminate in the console."),
    SILENT: ("No data", "The API does not answer for these; what is shown is what was seen last."),
    AT_WORK: ("Under way", ""),
    QUIET: ("Quiet", "Nothing is being done to these."),
}


@dataclass(frozen=True, slots=True)
class Strip:
    """The nodes of a task side by side: how many are done, at work, failed, to come."""

    total: int
    done: int
    live: int
    bad: int

    @property
    def gap(self) -> float:
        """Between one node and the next, in nodes: the same however many there are; none where they cannot be told apart."""
        return round(self.total * GAP, 4) if self.total <= MOST_NODES else 0.0

    @property
    def begun(self) -> int:
        """How many are not to come any more."""
        return self.done + self.live + self.bad

    @property
    def words(self) -> str:
        """The same, to be read out."""
        parts = [f"{self.done} of {plural(self.total, 'node', 'nodes')} done"]
        parts += [f"{self.live} in flight"] if self.live else []
        return ", ".join([*parts, f"{self.bad} failed"] if self.bad else parts)


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task in a line or two."""

    path: str
    action: str
    target: str | None
    badge: Badge
    percent: int | None
    strip: Strip | None
    at: str
    attempt: int
    since: Moment | None
    ended: Moment | None
    eta: Outlook | None
    message: str | None


@dataclass(frozen=True, slots=True)
class ClusterLine:
    """A cluster: the tasks at work, else the one that ended last."""

    name: str
    id: str
    place: str
    labels: tuple[str, ...]
    tasks: tuple[TaskLine, ...]
    badge: Badge
    asked: Moment | None
    outage: tuple[Moment, str] | None
    group: int


@dataclass(frozen=True, slots=True)
class SinkLine:
    """A sink: what it is owed and whether it is left alone."""

    name: str
    badge: Badge
    reason: str | None
    pending: int
    delivered: int
    dead: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store says. ``newest``: the last event of each task at work, by its thread, for what it says of the end."""

    clusters: Sequence[ClusterRow]
    newest: Mapping[str, Event]
    events: Sequence[tuple[int, Event]]


def look(transaction: Transaction) -> Seen:
    """Ask the store."""
    clusters = transaction.clusters()
    at_work = [
        (f"{row.cluster.key}/{action}/{known.task.id}", known.sequence)
        for row in clusters
        for action, known in row.tasks
        if _running(known)
    ]
    return Seen(clusters, transaction.newest(at_work[:MOST_CLUSTERS]), transaction.events(severity=20, limit=FEED))


def view(seen: Seen, standing: Standing, health: Health, now: datetime) -> dict[str, object]:
    """What the template shows."""
    lines = [_cluster_line(row, seen.newest, health.asked.get(row.cluster.key), now) for row in seen.clusters]
    lines.sort(key=lambda line: line.group)
    shown = lines[:MOST_CLUSTERS]
    return {
        "headline": headline(lines),
        "groups": [
            (title, words, found) for group, (title, words) in GROUPS.items() if (found := [x for x in shown if x.group == group])
        ],
        "hidden": len(lines) - len(shown),
        "events": [event_line(position, event, now) for position, event in reversed(seen.events)],
        "sinks": [_sink_line(name, standing) for name in sorted(standing.sinks)],
    }


def headline(lines: Sequence[ClusterLine]) -> str:
    """The answer to "is there anything to do?", in one sentence."""
    if not lines:
        return "No cluster has been seen yet."
    tasks = [task for line in lines for task in line.tasks]
    failed = sum(line.group == DECISION for line in lines)
    silent = sum(line.outage is not None for line in lines)
    running = sum(task.badge.tone == "live" for task in tasks)
    parts = [
        f"{failed} {'waits' if failed == 1 else 'wait'} for a decision" if failed else "",
        f"{silent} {'gives' if silent == 1 else 'give'} no data" if silent else "",
        f"{running} under way" if running else "",
    ]
    said = ", ".join(part for part in parts if part)
    watched = plural(len(lines), "cluster", "clusters")
    return f"{watched}: {said}." if said else f"{watched}, all quiet."


def _running(known: KnownTask) -> bool:
    return known.task.status == Status.RUNNING and not known.vanished


def _cluster_line(row: ClusterRow, newest: Mapping[str, Event], asked: datetime | None, now: datetime) -> ClusterLine:
    at_work = [found for found in row.tasks if _running(found[1])]
    shown = at_work or sorted(row.tasks, key=lambda found: _latest(found[1].task), reverse=True)[:1]
    failed = any(known.task.status in FAILURES for _, known in shown)
    tasks = tuple(_task_line(row.cluster.id, action, known, _eta(row, action, known, newest), now) for action, known in shown)
    return ClusterLine(
        name=row.cluster.name,
        id=row.cluster.id,
        place=f"{row.cluster.project} · {row.cluster.region}",
        labels=tuple(f"{key}={value}" for key, value in sorted(row.cluster.labels.items())),
        tasks=tasks,
        badge=NO_DATA if row.outage else tasks[0].badge if tasks else IDLE,
        asked=None if asked is None else past(asked, now),
        outage=(past(row.outage.since, now), f"{row.outage.reason}: {row.outage.detail}") if row.outage else None,
        group=DECISION if failed else SILENT if row.outage else AT_WORK if at_work else QUIET,
    )


def _latest(task: Task) -> float:
    when = task.ended_at or task.started_at
    return when.timestamp() if when else 0.0


def _eta(row: ClusterRow, action: Action, known: KnownTask, newest: Mapping[str, Event]) -> Eta | None:
    event = newest.get(f"{row.cluster.key}/{action}/{known.task.id}")
    return None if event is None else event.eta


def _task_line(cluster: str, action: Action, known: KnownTask, eta: Eta | None, now: datetime) -> TaskLine:
    task, share = known.task, progress(known.task)
    over = task.status != Status.RUNNING
    return TaskLine(
        path=f"tasks/{cluster}/{action.value}/{task.id}",
        action=ACTIONS[action],
        target=task.target,
        badge=task_badge(known),
        percent=None if share is None else round(share * 100),
        strip=strip(task),
        at=where(task),
        attempt=known.attempt,
        since=past(task.started_at, now) if task.started_at else None,
        ended=past(task.ended_at, now) if over and task.ended_at else None,
        eta=None if eta is None or over else outlook(eta, now),
        message=task.fail_message if task.status in FAILURES else None,
    )


def strip(task: Task) -> Strip | None:
    """The nodes of a task side by side; None where the API names none."""
    total = nodes_total(task)
    flying = len([node for node in task.in_flight if node not in task.completed])
    failed = task.status in FAILURES
    return Strip(total, len(task.completed), 0 if failed else flying, flying if failed else 0) if total else None


def where(task: Task) -> str:
    """On which node and in which stage a task is, or was when it failed; nothing once it succeeded."""
    if task.status == Status.SUCCESS:
        return ""
    nodes = ", ".join(task.in_flight) or task.current_node or ""
    stage = _stage(task.stages)
    # The stages are those of one node; of several in flight, that one is named.
    of_node = f"{task.current_node}: " if stage and task.current_node and task.current_node != nodes else ""
    return " · ".join(part for part in (nodes, f"{of_node}{stage}" if stage else "") if part)


def _stage(stages: Sequence[Stage]) -> str | None:
    """The stage at work or failed, else the last one that ended, with its place among the stages."""
    ordered = sorted(stages, key=lambda stage: stage.order)
    now = [place for place, stage in enumerate(ordered) if stage.status in {Status.RUNNING, Status.FAILED}]
    ended = [place for place, stage in enumerate(ordered) if stage.status == Status.SUCCESS]
    place = now[0] if now else ended[-1] if ended else None
    return None if place is None else f"{ordered[place].name}, stage {place + 1} of {len(ordered)}"


def _sink_line(name: str, standing: Standing) -> SinkLine:
    state, counts = standing.sinks[name], standing.counts
    return SinkLine(
        name=name,
        badge=sink_badge(state),
        reason=": ".join(part for part in (state.reason, state.detail) if part) or None,
        pending=counts.get((name, State.PENDING), 0) + counts.get((name, State.SENDING), 0),
        delivered=counts.get((name, State.DELIVERED), 0),
        dead=counts.get((name, State.DEAD), 0),
    )
