"""The histories that forecasts rest on, kept for a while: they change by the hour, and are asked for at every change."""

from collections.abc import Callable, Iterable, Mapping

from notifier.domain.expectation import History
from notifier.domain.known import Known
from notifier.domain.model import Action, Cluster, Status

KEPT = 600.0
"""Seconds for which a history is taken as it is."""

Ask = Callable[[str, Action, list[str]], History]
"""What earlier tasks of a cluster (its key) took, and those of all others; without the tasks that are named."""


class Library:
    """Histories by cluster and action; asked on the store's thread only."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Action], tuple[float, History]] = {}

    def histories(
        self, ask: Ask, cluster: Cluster, known: Known, actions: Iterable[Action], now: float
    ) -> Mapping[Action, History]:
        """Those of the actions that have a task at work; nothing is forecast of the others. ``now``: seconds of any one clock."""
        found = {}
        for action in actions:
            key = (cluster.key, action)
            running = [task for (act, task), each in known.tasks.items() if act is action and each.task.status == Status.RUNNING]
            if not running:
                self._kept.pop(key, None)
                continue
            kept = self._kept.get(key)
            if kept is None or now - kept[0] > KEPT:
                kept = self._kept[key] = (now, ask(cluster.key, action, running))
            found[action] = kept[1]
        return found
