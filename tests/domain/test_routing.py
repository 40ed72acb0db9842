"""Who hears of what: matchers and routes as tables, and the laws that hold for any routes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.model import Action, Cluster, Event, Kind, Severity
from notifier.domain.routing import Matcher, Route, SeverityRange, sinks_of
from notifier.domain.samples import sample

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CLUSTER = Cluster("c-1", "search-prod", "cn-north-4", "beijing", "p-1", {"env": "prod", "team": "search"})


def event(kind: Kind = Kind.TASK_FAILED) -> Event:
    return replace(sample(kind).event, cluster=CLUSTER)


@pytest.mark.parametrize(
    "matcher",
    [
        Matcher(),
        Matcher(kind=("task.failed",)),
        Matcher(kind=("node.*", "task.*")),
        Matcher(severity=SeverityRange(Severity.CRITICAL, Severity.CRITICAL)),
        Matcher(labels={"env": ("prod", "staging"), "team": ("s*",)}),
        Matcher(cluster=("search-*",)),
        Matcher(cluster=("c-1",)),
        Matcher(project=("beij?ng",)),
        Matcher(action=("UPGRADING",)),
    ],
)
def test_a_matcher_takes_what_meets_all_its_conditions(matcher: Matcher) -> None:
    assert matcher.refusal(event()) is None


@pytest.mark.parametrize(
    ("matcher", "refusal"),
    [
        (Matcher(kind=("task.succeeded", "node.*")), "kind is task.failed"),
        (Matcher(kind=()), "kind is task.failed"),
        (Matcher(kind=("TASK.FAILED",)), "kind is task.failed"),
        (Matcher(severity=SeverityRange(highest=Severity.ERROR)), "severity is critical"),
        (Matcher(cluster=("logs-*",)), "cluster is search-prod"),
        (Matcher(project=("paris",)), "project is beijing"),
        (Matcher(action=("AZ_*",)), "action is UPGRADING"),
        (Matcher(labels={"env": ("staging",)}), "label env is prod"),
        (Matcher(labels={"env": ("prod",), "tier": ("*",)}), "label tier is missing"),
    ],
)
def test_a_matcher_says_what_it_refused(matcher: Matcher, refusal: str) -> None:
    assert matcher.refusal(event()) == refusal


def test_a_severity_below_the_range_is_refused() -> None:
    warning = Matcher(severity=SeverityRange(lowest=Severity.WARNING))
    assert warning.refusal(event(Kind.TASK_RETRIED)) is None
    assert warning.refusal(event(Kind.TASK_STARTED)) == "severity is info"


def test_an_event_of_no_task_meets_any_action_but_no_particular_one() -> None:
    outage = event(Kind.CLUSTER_UNREACHABLE)
    assert Matcher().refusal(outage) is None
    assert Matcher(action=tuple(Action)).refusal(outage) == "it is of no task"


def test_a_sink_of_several_matching_routes_is_told_once_in_the_order_of_the_routes() -> None:
    routes = [
        Route(Matcher(kind=("task.*",)), ("team", "hook")),
        Route(Matcher(kind=("node.*",)), ("nobody",)),
        Route(Matcher(), ("hook", "mail", "team")),
    ]
    assert sinks_of(event(), routes) == ("team", "hook", "mail")
    assert sinks_of(event(), []) == ()


globs = st.lists(st.sampled_from(["*", "task.*", "node.*", "task.failed", "stage.?*"]), max_size=3).map(tuple)
ranges = st.builds(SeverityRange, st.sampled_from(Severity), st.sampled_from(Severity))
routes_drawn = st.lists(
    st.builds(
        Route,
        st.builds(Matcher, kind=globs, severity=ranges),
        st.lists(st.sampled_from("abcd"), unique=True, max_size=3).map(tuple),
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(Kind), routes_drawn)
def test_a_sink_is_told_if_and_only_if_a_route_that_names_it_matches(kind: Kind, routes: list[Route]) -> None:
    it = event(kind)
    told = sinks_of(it, routes)
    assert len(set(told)) == len(told)
    for sink in "abcd":
        wanted = any(sink in route.sinks and route.match.refusal(it) is None for route in routes)
        assert (sink in told) == wanted


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(Kind), routes_drawn, routes_drawn)
def test_a_further_route_never_takes_anything_away(kind: Kind, routes: list[Route], more: list[Route]) -> None:
    it = event(kind)
    assert sinks_of(it, [*routes, *more])[: len(sinks_of(it, routes))] == sinks_of(it, routes)
