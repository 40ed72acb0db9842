"""How the program is: what its loops, its store, its sources, its sinks and its configuration say, put into words for people."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from time import monotonic

from notifier.engine.discovery import Survey
from notifier.engine.outlet import Outlet
from notifier.engine.pulse import Vitals
from notifier.engine.watch import Watch
from notifier.metrics import Fleet, Single
from notifier.store.errors import StoreFull
from notifier.web.health import Health

SILENT = 3
"""Idle intervals without a good poll, and looks at a list that fail in a row, after which that is said."""


def health(
    vitals: Vitals,
    watches: Sequence[Watch],
    surveys: Sequence[Survey],
    outlets: Mapping[str, Outlet],
    *,
    idle: float,
    refused: str | None,
    lapsed: bool = False,
) -> Health:
    """Whether the loops go on, and what is wrong.

    Args:
        vitals: Of the loops and the store.
        watches: The clusters that this replica polls.
        surveys: All projects whose clusters are discovered.
        outlets: All sinks.
        idle: Seconds between polls at rest.
        refused: Why the configuration that the file holds now is not in use; None if it is.
        lapsed: Whether nothing is polled, since the store has not been reached for longer than the lease.
    """
    now, stale = datetime.now(UTC), idle * SILENT
    stopped = vitals.stopped
    problems = [f"{name} stands still" for name in stopped]
    if lapsed:
        problems.append("the store has not been reached for so long that nothing is polled")
    details: list[str] = []
    if vitals.trouble is not None:
        full = isinstance(vitals.trouble, StoreFull)
        problems.append("the disk under the store is full" if full else "the store refuses to be written")
        details.append(f"store: {vitals.trouble}")
    faulty = [
        f"{watch.cluster.name}: its polls end in {watch.fault}; see the log" for watch in watches if watch.fault is not None
    ]
    if faulty:
        problems.append(f"a fault of the program keeps the news of {len(faulty)} of {len(watches)} clusters from being told")
    details += faulty
    silent = [
        f"{watch.cluster.name}: no good answer {_since(watch.polled_at)}"
        for watch in watches
        if watch.failures and (watch.polled_at is None or (now - watch.polled_at).total_seconds() > stale)
    ]
    if silent:
        problems.append(f"{len(silent)} of {len(watches)} clusters cannot be polled")
    lost = [f"{each.project}: no list of clusters {_since(each.looked_at)}" for each in surveys if each.failures >= SILENT]
    if lost:
        problems.append(f"the clusters of {len(lost)} of {len(surveys)} projects cannot be listed")
    problems += [f"sink {name} is paused: {each.state.reason}" for name, each in outlets.items() if each.state.paused]
    shut = {name: each.door.problem for name, each in outlets.items() if each.door is not None and each.door.problem is not None}
    problems += [f"sink {name} cannot be opened: {problem.reason}" for name, problem in shut.items()]
    details += [f"sink {name}: {problem.detail}" for name, problem in shut.items()]
    if refused is not None:
        problems.append("the configuration was changed and refused; the one before is in use")
        details.append(f"configuration: {refused.splitlines()[0] if refused else 'no reason given'}")
    asked = {watch.cluster.key: watch.polled_at for watch in watches if watch.polled_at is not None}
    return Health(alive=not stopped, problems=tuple(problems), details=(*details, *silent, *lost), asked=asked)


def fleets(watches: Iterable[Watch]) -> list[Fleet]:
    """How the clusters of each project are, for the metrics."""
    now, found = datetime.now(UTC), dict[str, Fleet]()
    for watch in watches:
        age = _age(watch, now)
        before = found.get(watch.cluster.project, Fleet(watch.cluster.project, 0, 0, 0.0))
        found[before.project] = Fleet(
            before.project, before.clusters + 1, before.failing + bool(watch.failures), max(before.age, age)
        )
    return list(found.values())


def singles(watches: Iterable[Watch], most: int) -> list[Single]:
    """How single clusters are, for the metrics: at most so many, those that have been under watch the longest."""
    now = datetime.now(UTC)
    return [
        Single(watch.cluster.project, watch.cluster.id, watch.cluster.name, _age(watch, now)) for watch in islice(watches, most)
    ]


def _age(watch: Watch, now: datetime) -> float:
    """Seconds since the last good answer, or since it came under watch."""
    return monotonic() - watch.since if watch.polled_at is None else (now - watch.polled_at).total_seconds()


def _since(moment: datetime | None) -> str:
    return "since the start" if moment is None else f"since {moment:%Y-%m-%d %H:%M:%S} UTC"
