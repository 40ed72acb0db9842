"""What is done once and then printed: a look at every cluster, a question to every sink."""

import asyncio
from datetime import UTC, datetime
from functools import partial

from notifier.config import Settings
from notifier.domain.diff import diff
from notifier.domain.errors import FetchError
from notifier.domain.known import Known, KnownTask
from notifier.domain.model import Action, Cluster
from notifier.domain.progress import progress
from notifier.engine.asking import asked
from notifier.engine.budget import Budget
from notifier.outbound import open_session
from notifier.outlets import alone, hidden
from notifier.projects import Project
from notifier.sources.contract import Source


def standing(action: Action, known: KnownTask) -> tuple[dict[str, object], str]:
    """Where a task stands, as data and in words."""
    task = known.task
    share = progress(task)
    facts: dict[str, object] = {
        "id": task.id,
        "action": action.value,
        "status": task.status,
        "attempt": known.attempt,
        "progress": share,
        "completed": list(task.completed),
        "in_flight": list(task.in_flight),
        "total": list(task.total),
        "stages": [{"order": stage.order, "name": stage.name, "status": stage.status} for stage in task.stages],
        "fail_message": task.fail_message,
    }
    done = f"{len(task.completed)} of {len(task.total)} nodes"
    percent = "" if share is None else f", {share:.0%}"
    flight = f", in flight: {', '.join(task.in_flight)}" if task.in_flight else ""
    return facts, f"{action.value} {task.status} (attempt {known.attempt}, {done}{percent}{flight})"


async def look_at_all(settings: Settings) -> list[tuple[Cluster, Known | FetchError]]:
    """Look once at every cluster, without a store: where each stands now."""
    found: list[tuple[Cluster, Known | FetchError]] = []
    async with open_session(total=settings.poll.timeout) as session, open_session(allow_metadata=True) as metadata:
        for project in settings.projects:
            there = Project(project, session, metadata, settings.poll)
            try:
                clusters = await there.clusters()
            except FetchError as error:
                listing = Cluster("", f"the clusters of {project.name}", project.region, project.name, project.project_id)
                found.append((listing, error))
                clusters = list(project.watched)
            found += await asyncio.gather(*(_look(there.source, there.budget, cluster) for cluster in clusters))
    return found


async def _look(source: Source, budget: Budget, cluster: Cluster) -> tuple[Cluster, Known | FetchError]:
    known = Known()
    try:
        for action in Action:
            async with budget.turn():
                answer = await source.fetch(cluster, action)
            if answer.snapshot is not None:
                known = diff(known, answer.snapshot, datetime.now(UTC)).known
    except FetchError as error:
        return cluster, error
    return cluster, known


async def check_sinks(settings: Settings) -> dict[str, list[str]]:
    """What is wrong with each sink that can look without telling anybody anything, or cannot be opened; empty lists are good."""
    found: dict[str, list[str]] = {}
    for entry in settings.sinks:
        async with open_session(total=entry.timeout) as session:
            problems = await asked(partial(alone, entry, session), entry.timeout, hidden(entry))
        if problems is not None:
            found[entry.name] = problems
    return found
