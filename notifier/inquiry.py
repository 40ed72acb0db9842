"""Who is told of what, and why not: the routes of a configuration asked about an event."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from notifier.config import ProjectSettings, Settings
from notifier.domain.holding import Quiet
from notifier.domain.model import OURS, Action, Cluster, Event, Kind, Nodes, Severity, TaskFacts
from notifier.domain.routing import Matcher, SeverityRange
from notifier.domain.samples import sample
from notifier.domain.silences import Silence


@dataclass(frozen=True, slots=True)
class Answer:
    """What one route says to an event: its sinks, and its refusal, None where it matches. ``number`` counts from 1."""

    number: int
    sinks: tuple[str, ...]
    refusal: str | None


def ask(settings: Settings, event: Event) -> list[Answer]:
    """Every route's answer, in their order."""
    return [Answer(number, route.sinks, route.match.refusal(event)) for number, route in enumerate(settings.routes, start=1)]


def why_not(answers: list[Answer], sink: str) -> str | None:
    """Why a sink is not told, in words; None if it is."""
    naming = [answer for answer in answers if sink in answer.sinks]
    if any(answer.refusal is None for answer in naming):
        return None
    if not naming:
        return "no route names it"
    return "; ".join(f"route {answer.number}: {answer.refusal}" for answer in naming)


def holds(row: Mapping[str, Any], quiet: Quiet | None) -> Iterator[str]:
    """What held a delivery back, and which message it was told in, in words."""
    owed_at, ready_at = (datetime.fromisoformat(row[name]) for name in ("created_at", "ready_at"))
    if ready_at > owed_at and row["state"] != "silenced":
        until = quiet.until(owed_at) if quiet is not None else None
        by = (
            "quiet hours"
            if until is not None and until >= ready_at
            else "to be told with what follows (digest, or the sink's own)"
        )
        yield f"held until {row['ready_at']}: {by}, unless something urgent came first"
    if (leader := row["told_with"]) is not None:
        yield f"told in one message with number {leader['sequence']}, {leader['kind']} ({leader['id']})"


def imagined(settings: Settings, kind: Kind, cluster: str | None, action: Action | None) -> Event:
    """An event as it would be told of a cluster of the configuration: the named one, else the first.

    Raises:
        LookupError: There is no such cluster.
    """
    watched = [each for project in settings.projects for each in project.watched or (_listed(project, cluster),)]
    chosen = next((each for each in watched if cluster is None or cluster in {each.name, each.id}), None)
    if chosen is None:
        raise LookupError(f"there is no cluster {cluster!r}; there is {', '.join(each.name for each in watched)}")
    event = sample(kind).event
    if kind in OURS:
        return event
    event = replace(event, cluster=chosen)
    if action is not None and event.task is not None:
        event = replace(event, task=replace(event.task, action=action))
    return event


def _listed(project: ProjectSettings, name: str | None) -> Cluster:
    """A cluster such as the project may list, for one whose clusters are all discovered."""
    return Cluster("discovered", name or f"a cluster of {project.name}", project.region, project.name, project.project_id)


def remembered(row: Mapping[str, Any]) -> Silence:
    """A silence that was printed."""
    match = row["match"]
    lowest, highest = (Severity[word.upper()] for word in match["severity"].split(".."))
    return Silence(
        id=row["id"],
        matcher=Matcher(
            kind=tuple(match["kind"]),
            severity=SeverityRange(lowest, highest),
            labels={name: tuple(globs) for name, globs in match["labels"].items()},
            cluster=tuple(match["cluster"]),
            project=tuple(match["project"]),
            action=tuple(match["action"]),
        ),
        starts_at=datetime.fromisoformat(row["starts_at"]),
        ends_at=datetime.fromisoformat(row["ends_at"]),
        author=row["author"],
        reason=row["reason"],
        task=row["task"],
        reminders_only=row["reminders_only"],
    )


def recalled(row: Mapping[str, Any]) -> Event:
    """An event that was printed, with all that a route can ask for."""
    cluster, task = row["cluster"], row["task"]
    facts = None
    if task is not None:
        nodes = Nodes(task["nodes"]["total"], tuple(task["nodes"]["completed"]), tuple(task["nodes"]["in_flight"]))
        facts = TaskFacts(
            task["id"], Action(task["action"]), task["status"], task["attempt"], None, None, nodes, task["target"], None
        )
    return Event(
        id=row["id"],
        kind=Kind(row["kind"]),
        sequence=row["sequence"],
        time=datetime.fromisoformat(row["time"]),
        observed_at=datetime.fromisoformat(row["observed_at"]).astimezone(UTC),
        cluster=Cluster(cluster["id"], cluster["name"], cluster["region"], cluster["project"], "", cluster["labels"]),
        task=facts,
        observed=row["observed"],
    )
