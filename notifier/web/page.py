"""The status page's words: rows of the store in, what the templates show out. Pure but for the templates themselves.

A state is always a word and a symbol, so that colour is only a help.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from notifier.domain.known import KnownTask
from notifier.domain.model import FAILURES, Action, Event, Stage, Status, Task
from notifier.domain.progress import progress
from notifier.domain.render import iso, summary
from notifier.store.rows import ClusterRow, DeliveryRow, SinkState, State
from notifier.web.health import Health
from notifier.web.shapes import nodes_total

MOST_CLUSTERS = 200
"""Clusters on the page, those in trouble first; the API has them all."""

MOST_NODES = 60
"""Nodes drawn one by one; more would be a grey line."""

ACTIONS = {Action.UPGRADING: "Upgrade", Action.AZ_MIGRATION: "AZ migration"}
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Badge:
    """A state: ``tone`` picks the colour, symbol and word say it without."""

    tone: str
    symbol: str
    word: str


NO_DATA = Badge("bad", "⚠", "No data")
VANISHED = Badge("warn", "⚠", "No longer listed")
IDLE = Badge("calm", "○", "No task known")
TASK_BADGES = {
    Status.RUNNING: Badge("live", "▶", "Running"),
    Status.SUCCESS: Badge("good", "✓", "Succeeded"),
    Status.FAILED: Badge("bad", "✕", "Failed"),
    Status.PARTIAL_FAILED: Badge("bad", "✕", "Partly failed"),
}
SEVERITY_SYMBOLS = {"debug": "·", "info": "•", "warning": "▲", "error": "■", "critical": "◆"}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as the page shows it: how long ago, and exactly."""

    iso: str
    ago: str


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task of a cluster. ``nodes`` is (name, tone, word) each, empty where they are too many to draw."""

    action: str
    badge: Badge
    percent: int | None
    done: int
    total: int
    nodes: tuple[tuple[str, str, str], ...]
    in_flight: str
    current: str | None
    stage: str | None
    attempt: int
    target: str | None
    since: Moment | None
    ended: Moment | None
    message: str | None


@dataclass(frozen=True, slots=True)
class ClusterView:
    """One cluster: the tasks at work, else the one that ended last."""

    name: str
    id: str
    place: str
    labels: tuple[str, ...]
    tasks: tuple[TaskView, ...]
    changed: Moment
    outage: tuple[Moment, str] | None
    rank: int


@dataclass(frozen=True, slots=True)
class SinkView:
    """One sink: what it is owed and whether it is left alone."""

    name: str
    badge: Badge
    reason: str | None
    pending: int
    delivered: int
    dead: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What the page is made of, read from the store in one transaction."""

    clusters: Sequence[ClusterRow]
    events: Sequence[tuple[int, Event]]
    sinks: Mapping[str, SinkState]
    counts: Mapping[tuple[str, State], int]
    dead: Sequence[DeliveryRow]


_templates = Environment(
    loader=PackageLoader("notifier.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def render(template: str, seen: Seen, health: Health, now: datetime) -> str:
    """The page, or its changing part: ``page.html`` or ``main.html``."""
    clusters = sorted((cluster_view(row, now) for row in seen.clusters), key=lambda view: view.rank)
    return _templates.get_template(template).render(
        headline=headline(clusters),
        problems=(*health.problems, *health.details),
        clusters=clusters[:MOST_CLUSTERS],
        hidden=max(len(clusters) - MOST_CLUSTERS, 0),
        events=[
            (SEVERITY_SYMBOLS[event.severity.word], event.severity.word, event, summary(event), moment(event.time, now))
            for _, event in reversed(seen.events)
        ],
        sinks=[sink_view(name, state, seen.counts) for name, state in sorted(seen.sinks.items())],
        dead=[(row, moment(row.settled_at or row.created_at, now)) for row in reversed(seen.dead)],
        now=iso(now.replace(microsecond=0)),
    )


def headline(clusters: Sequence[ClusterView]) -> str:
    """The answer to "is there anything to do?", in one sentence."""
    if not clusters:
        return "No cluster has been seen yet."
    tasks = [task for view in clusters for task in view.tasks]
    failed = sum(task.badge.word in {"Failed", "Partly failed"} for task in tasks)
    running = sum(task.badge.tone == "live" for task in tasks)
    silent = sum(view.outage is not None for view in clusters)
    parts = [
        f"{failed} {'waits' if failed == 1 else 'wait'} for a decision" if failed else "",
        f"{silent} {'gives' if silent == 1 else 'give'} no data" if silent else "",
        f"{running} under way" if running else "",
    ]
    said = ", ".join(part for part in parts if part)
    watched = f"{len(clusters)} {'cluster' if len(clusters) == 1 else 'clusters'}"
    return f"{watched}: {said}." if said else f"{watched}, all quiet."


def cluster_view(row: ClusterRow, now: datetime) -> ClusterView:
    """What the page says of a cluster."""
    at_work = [found for found in row.tasks if found[1].task.status == Status.RUNNING and not found[1].vanished]
    latest = sorted(row.tasks, key=lambda found: _latest(found[1].task), reverse=True)[:1]
    shown = at_work or latest
    worst = any(known.task.status in FAILURES for _, known in shown)
    return ClusterView(
        name=row.cluster.name,
        id=row.cluster.id,
        place=f"{row.cluster.project} · {row.cluster.region}",
        labels=tuple(f"{key}={value}" for key, value in sorted(row.cluster.labels.items())),
        tasks=tuple(task_view(action, known, now) for action, known in shown),
        changed=moment(row.changed_at, now),
        outage=(moment(row.outage.since, now), f"{row.outage.reason}: {row.outage.detail}") if row.outage else None,
        rank=0 if worst or row.outage else 1 if at_work else 2,
    )


def _latest(task: Task) -> float:
    when = task.ended_at or task.started_at
    return when.timestamp() if when else 0.0


def task_view(action: Action, known: KnownTask, now: datetime) -> TaskView:
    """What the page says of a task."""
    task, share = known.task, progress(known.task)
    total, over = nodes_total(task), task.status != Status.RUNNING
    return TaskView(
        action=ACTIONS[action],
        badge=VANISHED if known.vanished else TASK_BADGES.get(task.status, Badge("calm", "?", task.status)),
        percent=None if share is None else round(share * 100),
        done=len(task.completed),
        total=total,
        nodes=_nodes(task) if total <= MOST_NODES else (),
        in_flight=", ".join(task.in_flight),
        current=None if task.status == Status.SUCCESS else task.current_node,
        stage=None if task.status == Status.SUCCESS else _stage(task.stages),
        attempt=known.attempt,
        target=task.target,
        since=moment(task.started_at, now) if task.started_at else None,
        ended=moment(task.ended_at, now) if over and task.ended_at else None,
        message=task.fail_message if task.status in FAILURES else None,
    )


def _nodes(task: Task) -> tuple[tuple[str, str, str], ...]:
    """Completed ones first: that is the order in which they are done."""
    flying = ("bad", "failed") if task.status in FAILURES else ("live", "in flight")
    rest = [node for node in task.total if node not in task.completed and node not in task.in_flight]
    return (
        *((node, "good", "completed") for node in task.completed),
        *((node, *flying) for node in task.in_flight if node not in task.completed),
        *((node, "calm", "to come") for node in rest),
    )


def _stage(stages: Sequence[Stage]) -> str | None:
    """The stage at work or failed, else the last one that ended, with its place among the stages."""
    ordered = sorted(stages, key=lambda stage: stage.order)
    now = [place for place, stage in enumerate(ordered) if stage.status in {Status.RUNNING, Status.FAILED}]
    ended = [place for place, stage in enumerate(ordered) if stage.status == Status.SUCCESS]
    place = now[0] if now else ended[-1] if ended else None
    return None if place is None else f"{ordered[place].name}, stage {place + 1} of {len(ordered)}"


def sink_view(name: str, state: SinkState, counts: Mapping[tuple[str, State], int]) -> SinkView:
    """What the page says of a sink."""
    dead = counts.get((name, State.DEAD), 0)
    if state.paused:
        badge = Badge("bad", "‖", "Left alone")
    elif state.failures:
        badge = Badge("warn", "▲", "Failing")
    else:
        badge = Badge("good", "✓", "Works")
    return SinkView(
        name=name,
        badge=badge,
        reason=": ".join(part for part in (state.reason, state.detail) if part) or None,
        pending=counts.get((name, State.PENDING), 0) + counts.get((name, State.SENDING), 0),
        delivered=counts.get((name, State.DELIVERED), 0),
        dead=dead,
    )


def moment(time: datetime, now: datetime) -> Moment:
    """A time in its largest unit; a clock ahead of ours counts as now."""
    seconds = int((now - time).total_seconds())
    size, unit = next(((size, unit) for size, unit in UNITS if seconds >= size), (1, ""))
    return Moment(iso(time) or "", f"{seconds // size} {unit} ago" if unit else "just now")
