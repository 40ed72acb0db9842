"""The line on top of every page: whether the API answers, the store answers, the sinks work; and where else one can look."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from notifier.domain.silences import Silence
from notifier.store.rows import SinkState, State
from notifier.store.transaction import Transaction
from notifier.web.health import Health
from notifier.web.marks import Badge, plural

SLOW = 1.0
"""Seconds that the store may take for a page before it is called slow."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What every page is told by the store.

    Attributes:
        clusters: How many there are.
        silent: How many of them give no data.
        silences: Those that hold or will.
    """

    clusters: int
    silent: int
    sinks: Mapping[str, SinkState]
    counts: Mapping[tuple[str, State], int]
    silences: tuple[Silence, ...]

    @property
    def dead(self) -> int:
        """How many deliveries were given up."""
        return sum(count for (_, state), count in self.counts.items() if state is State.DEAD)


def standing(transaction: Transaction, now: datetime) -> Standing:
    """Ask the store."""
    clusters, silent = transaction.cluster_counts()
    silences = tuple(transaction.silences(now.timestamp()))
    return Standing(clusters, silent, transaction.sinks(), transaction.counts(), silences)


def vital_signs(seen: Standing, took: float) -> list[tuple[str, Badge]]:
    """API, store and sinks, each with its state. ``took``: seconds that the store needed for this page."""
    if not seen.clusters:
        api = Badge("calm", "○", "not asked yet")
    elif seen.silent:
        api = Badge("bad", "⚠", f"{plural(seen.silent, 'cluster gives', 'clusters give')} no data")
    else:
        api = Badge("good", "✓", "the cluster answers" if seen.clusters == 1 else f"all {seen.clusters} clusters answer")
    slow = took > SLOW
    store = Badge("warn" if slow else "good", "▲" if slow else "✓", f"answers in {max(round(took * 1000), 1)} ms")
    failing = [name for name, state in seen.sinks.items() if state.paused or state.failures]
    if not seen.sinks:
        sinks = Badge("calm", "○", "none yet")
    elif failing:
        worst = any(state.paused for state in seen.sinks.values())
        named = ", ".join(sorted(failing)[:3])
        more = "" if len(failing) <= 3 else f" and {len(failing) - 3} more"  # noqa: PLR2004 - a line holds no more
        sinks = Badge(
            "bad" if worst else "warn", "‖" if worst else "▲", f"{named}{more} {'fails' if len(failing) == 1 else 'fail'}"
        )
    else:
        sinks = Badge("good", "✓", "the sink works" if len(seen.sinks) == 1 else f"all {len(seen.sinks)} work")
    return [("API", api), ("Store", store), ("Sinks", sinks)]


def problems(seen: Standing, health: Health) -> tuple[str, ...]:
    """What is wrong beyond what the line says."""
    return (*health.problems, *(detail for detail in health.details if seen.clusters))
