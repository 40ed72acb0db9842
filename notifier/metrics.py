"""The registry of the program's metrics, and those that are read rather than counted: what is owed, how old the data is.

Labels come from bounded sets only: names that stand in the configuration, kinds, reasons. No task or node is ever a label, and a
cluster only where the configuration says up to how many: else whoever names clusters would choose how large a scrape is.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from notifier import __version__

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text"

registry = CollectorRegistry()
ProcessCollector(registry=registry)

_build = Gauge("notifier_build_info", "1; the version is the label.", ["version"], registry=registry)
_backlog = Gauge("notifier_backlog", "Deliveries to a sink that are due, up to 10001.", ["sink"], registry=registry)
_oldest = Gauge("notifier_backlog_age_seconds", "For how long the oldest of them has been due.", ["sink"], registry=registry)
_dead = Gauge("notifier_dead_letters", "Deliveries that were given up, up to 10001.", ["sink"], registry=registry)
_size = Gauge("notifier_store_size_bytes", "Of the database.", registry=registry)
_written = Gauge("notifier_store_last_write_timestamp_seconds", "When the store took a write last.", registry=registry)

_build.labels(__version__).set(1)


@dataclass(frozen=True, slots=True)
class Fleet:
    """How the clusters of one project are.

    Attributes:
        project: What a person calls it.
        clusters: How many are watched.
        failing: Of how many the last poll failed.
        age: Seconds since the last good answer of the one that has been without one the longest.
    """

    project: str
    clusters: int
    failing: int
    age: float


@dataclass(frozen=True, slots=True)
class Single:
    """One cluster that has a series of its own; ``age``: seconds since its last good answer."""

    project: str
    id: str
    name: str
    age: float


class Standing(Protocol):
    """What stands open with one sink."""

    @property
    def backlog(self) -> int:
        """Deliveries that are due."""

    @property
    def oldest(self) -> float | None:
        """Since when, seconds since 1970."""

    @property
    def dead(self) -> int:
        """Deliveries that were given up."""


class _Fleets(Collector):
    """Asks at every scrape: a value that was written down before would look fresh for ever."""

    def __init__(self) -> None:
        self.ask: Callable[[], Iterable[Fleet]] = tuple
        self.ask_each: Callable[[], Iterable[Single]] = tuple

    # typing.override needs Python 3.12.
    def collect(self) -> Iterator[Metric]:  # type: ignore[explicit-override]
        clusters = GaugeMetricFamily("notifier_clusters", "Clusters under watch.", labels=["project"])
        failing = GaugeMetricFamily("notifier_clusters_failing", "Those whose last poll failed.", labels=["project"])
        age = GaugeMetricFamily(
            "notifier_data_age_seconds",
            "Since the last good answer of the cluster that has been without one the longest.",
            labels=["project"],
        )
        for fleet in self.ask():
            clusters.add_metric([fleet.project], fleet.clusters)
            failing.add_metric([fleet.project], fleet.failing)
            age.add_metric([fleet.project], fleet.age)
        each = GaugeMetricFamily(
            "notifier_cluster_data_age_seconds",
            "Since the last good answer of one cluster; only if `metrics.clusters` asks for it.",
            labels=["project", "id", "name"],
        )
        for single in self.ask_each():
            each.add_metric([single.project, single.id, single.name], single.age)
        yield from (clusters, failing, age, each)


_fleets = _Fleets()
registry.register(_fleets)


def fleets(ask: Callable[[], Iterable[Fleet]], each: Callable[[], Iterable[Single]] = tuple) -> None:
    """From now on ``ask`` says how the clusters of each project are, ``each`` how those are that have a series of their own."""
    _fleets.ask, _fleets.ask_each = ask, each


def measured(owed: Mapping[str, Standing], size: int, now: float) -> None:
    """What the store said of itself: what stands open with each sink that there is, and its size."""
    for gauge in (_backlog, _oldest, _dead):
        gauge.clear()  # A sink that is no longer configured must not be shown for ever.
    for sink, standing in owed.items():
        _backlog.labels(sink).set(standing.backlog)
        _oldest.labels(sink).set(0.0 if standing.oldest is None else max(now - standing.oldest, 0.0))
        _dead.labels(sink).set(standing.dead)
    _size.set(size)


def written() -> None:
    """The store has taken a write."""
    _written.set(time.time())


def exposition(accept: str = "") -> tuple[bytes, str]:
    """All metrics and their content type: OpenMetrics for whoever accepts it, else Prometheus' text format."""
    if OPENMETRICS in accept:
        return openmetrics.generate_latest(registry), openmetrics.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]  # it has none
    return generate_latest(registry), TEXT
