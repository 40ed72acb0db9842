"""How the program is, in words: each thing that can be wrong, and the metrics that say the same to machines."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from engine_scripts import Sink, Source, cluster, outlet
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from notifier import condition, metrics, telemetry
from notifier.domain.discovery import Wanted
from notifier.domain.model import Cluster
from notifier.engine.budget import Budget
from notifier.engine.discovery import Survey
from notifier.engine.pulse import Pulse, Vitals
from notifier.engine.watch import Watch
from notifier.sources.wire import Drift, DriftKind
from notifier.store.errors import StoreError, StoreFull
from notifier.store.rows import SinkState
from notifier.store.store import Store
from notifier.web.health import Health

BUDGET = Budget(10.0)
SOURCE = Source(lambda *_: ())


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store("sqlite://").open()
    yield opened
    opened.close()


def a_watch(name: str, failures: int = 0, ago: float | None = None, project: str = "prod") -> Watch:
    found = cluster(name)
    watch = Watch(Cluster(found.id, name, "r", project, "p1"), SOURCE, BUDGET, failures=failures)
    watch.polled_at = None if ago is None else datetime.now(UTC) - timedelta(seconds=ago)
    return watch


def a_survey(failures: int) -> Survey:
    survey = Survey("prod", "p1", SOURCE, BUDGET, Wanted(), frozenset(), 600.0, lambda each: Watch(each, SOURCE, BUDGET))  # type: ignore[arg-type]  # never asked
    survey.failures = failures
    return survey


def told(store: Store, pulses: tuple[Pulse, ...] = (), trouble: StoreError | None = None, **changed: Any) -> Health:
    vitals = Vitals(store, [], pulses)
    store.refusal = trouble
    parts: dict[str, Any] = {"watches": [], "surveys": [], "outlets": {}, "idle": 60.0, "refused": None}
    return condition.health(vitals, **(parts | changed))


async def test_all_is_well(store: Store) -> None:
    well = outlet(store, Sink())
    watch = a_watch("a", 1, ago=10.0)
    found = told(store, watches=[watch, a_watch("b", 0)], surveys=[a_survey(2)], outlets={"team": well})
    assert watch.polled_at is not None
    assert found == Health(alive=True, asked={watch.cluster.key: watch.polled_at})


async def test_what_stands_still_is_named_and_the_program_is_not_alive(store: Store) -> None:
    now = [0.0]
    pulse = Pulse("the clock", 1.0, lambda: now[0])
    now[0] = 4.0
    assert told(store, (pulse,)) == Health(alive=False, problems=("the clock stands still",))


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (StoreFull("sqlite:///x: database or disk is full"), "the disk under the store is full"),
        (StoreFull("postgresql://x: could not extend file: No space left on device"), "the disk under the store is full"),
        (StoreError("sqlite:///x: attempt to write a readonly database"), "the store refuses to be written"),
    ],
)
async def test_a_store_that_refuses_is_a_problem_but_no_reason_to_be_restarted(
    store: Store, trouble: StoreError, words: str
) -> None:
    assert told(store, trouble=trouble) == Health(alive=True, problems=(words,), details=(f"store: {trouble}",))


async def test_clusters_lists_and_sinks_are_counted_for_all_and_named_for_friends(store: Store) -> None:
    silent = outlet(store, Sink(), "hook")
    silent.state = SinkState(3, paused=True, reason="gone")
    found = told(
        store,
        watches=[a_watch("secret-name", 3), a_watch("old", 2, ago=1000.0), a_watch("fine", ago=1000.0)],
        surveys=[a_survey(3)],
        outlets={"hook": silent},
    )
    assert found.alive
    assert found.problems == (
        "2 of 3 clusters cannot be polled",
        "the clusters of 1 of 1 projects cannot be listed",
        "sink hook is paused: gone",
    )
    assert [line.partition(":")[0] for line in found.details] == ["secret-name", "old", "prod"]


async def test_news_that_a_fault_of_ours_keeps_from_being_told_is_a_problem_though_the_cluster_answers(store: Store) -> None:
    watch = a_watch("secret-name", 1, ago=1.0)
    watch.fault = "KeyError"
    found = told(store, watches=[watch, a_watch("fine", ago=1.0)])
    assert found.problems == ("a fault of the program keeps the news of 1 of 2 clusters from being told",)
    assert found.details == ("secret-name: its polls end in KeyError; see the log",)


async def test_a_refused_configuration_is_said_until_it_is_mended(store: Store) -> None:
    found = told(store, refused="notifier.yaml:3:1: poll: wrong\nmore")
    assert found.problems == ("the configuration was changed and refused; the one before is in use",)
    assert found.details == ("configuration: notifier.yaml:3:1: poll: wrong",)
    assert told(store, refused="").details == ("configuration: no reason given",)


def test_the_age_of_data_is_that_of_the_worst_cluster_of_each_project() -> None:
    fresh, old, new = a_watch("a", ago=5.0), a_watch("b", 2, ago=500.0), a_watch("c", project="other")
    new.since = time.monotonic() - 50.0
    prod, other = condition.fleets([fresh, old, new])
    assert (prod.project, prod.clusters, prod.failing, round(prod.age)) == ("prod", 2, 1, 500)
    assert (other.project, other.clusters, other.failing, round(other.age)) == ("other", 1, 0, 50)


def grow(name: str) -> None:
    """Everything that is said with a name that somebody else chose."""
    telemetry.polled("changed")
    telemetry.poll_failed(name, "server", name)
    telemetry.discovery_failed("prod", "server", name)
    telemetry.answer_odd(name, "stale", name)
    telemetry.event_told("cluster.discovered", name, name, name)
    telemetry.drifted([Drift(DriftKind.FIELD, name)])
    telemetry.delivered("team", name, 0.1)
    telemetry.delivery_failed("team", name, outcome="retry", reason="server", detail=name, verdict=name)


def test_ten_thousand_names_do_not_make_the_scrape_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "log", structlog.wrap_logger(structlog.ReturnLogger()))
    grow("first")
    try:
        metrics.fleets(lambda: condition.fleets([a_watch("one")]))
        few = metrics.exposition()[0].count(b"\n")
        named = [a_watch(f"name-{number}") for number in range(10_000)]
        metrics.fleets(lambda: condition.fleets(named))
        for number in range(10_000):
            grow(f"name-{number}")
        many = metrics.exposition()[0]
        metrics.fleets(lambda: condition.fleets(named), lambda: condition.singles(named, 20))
        opted = metrics.exposition()[0]
    finally:
        metrics.fleets(tuple)
    assert many.count(b"\n") == few
    assert b"name-77" not in many
    assert b'notifier_clusters{project="prod"} 10000.0' in many
    assert opted.count(b"\n") == few + 20
    assert b'notifier_cluster_data_age_seconds{id="id-of-name-19",name="name-19",project="prod"}' in opted


def test_a_hostile_name_stays_one_label() -> None:
    name = 'x"} 1\nnotifier_up{a="\\'
    try:
        metrics.fleets(tuple, lambda: condition.singles([a_watch(name)], 5))
        for text, read in (
            (metrics.exposition(), text_format),
            (metrics.exposition("application/openmetrics-text"), openmetrics),
        ):
            families = {family.name: family for family in read(text[0].decode())}
            [sample] = families["notifier_cluster_data_age_seconds"].samples
            assert sample.labels["name"] == name
            assert "notifier_up" not in families
    finally:
        metrics.fleets(tuple)
