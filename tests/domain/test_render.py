"""The words of every kind, and the body that machines read."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.model import Action, Cluster, Eta, Event, Kind, Nodes, Outage, Severity, SinkFacts, Stage, TaskFacts, Timing
from notifier.domain.render import LATE, iso, payload, render
from notifier.domain.samples import samples
from notifier.domain.words import Words

WORDS = Words()
title, summary, facts = WORDS.title, WORDS.summary, WORDS.facts
NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
CLUSTER = Cluster("c-1", "search-prod", "cn-north-4", "prod-beijing", "p-1", {"env": "prod"})
TASK = TaskFacts(
    id="t-1",
    action=Action.UPGRADING,
    status="RUNNING",
    attempt=2,
    started_at=NOW,
    ended_at=None,
    nodes=Nodes(3, ("n1",), ("n2",)),
    target="7.10.2",
    fail_message="disk full",
    current_node="n2",
    stages=(Stage(0, "Data migration", "RUNNING", "words", NOW),),
)
BARE_TASK = replace(TASK, started_at=None, nodes=Nodes(0, (), ()), target=None, fail_message=None, current_node=None, stages=())
STAGE = Stage(4, "Node replacement", "SUCCESS", "words", NOW, NOW + timedelta(seconds=95))
SINK = SinkFacts("team", NOW - timedelta(hours=2), "refused", "HTTP 401", waiting=7, lost=0)
OUTAGE = Outage(NOW - timedelta(minutes=7), "server", "HTTP 503")


def event(kind: Kind, **changed: Any) -> Event:
    of_cluster = kind.value.startswith(("cluster.", "sink."))
    full = Event(
        id="e-1",
        kind=kind,
        sequence=17,
        time=NOW,
        observed_at=NOW,
        cluster=CLUSTER,
        task=None if of_cluster else TASK,
        node="n2" if kind.value.startswith(("node.", "stage.")) else None,
        stage=STAGE if kind.value.startswith("stage.") else None,
        progress=None if of_cluster else 0.41,
        outage=OUTAGE if kind.value.startswith("cluster.") else None,
        sink=SINK if kind.value.startswith("sink.") else None,
    )
    return replace(full, **changed)


STANDING = "(1 of 3 nodes, 41%)"
CHOICE = "Someone must choose: retry or terminate."


@pytest.mark.parametrize(
    ("kind", "headline", "line"),
    [
        (Kind.TASK_STARTED, "upgrade started", f"Upgrade to 7.10.2 started {STANDING}."),
        (Kind.TASK_RETRIED, "upgrade retried", f"Upgrade retried: attempt 2 {STANDING}."),
        (Kind.TASK_SUCCEEDED, "upgrade succeeded", f"Upgrade to 7.10.2 succeeded {STANDING}."),
        (Kind.TASK_FAILED, "upgrade FAILED", f"Upgrade FAILED {STANDING}: disk full. {CHOICE}"),
        (Kind.TASK_PARTIALLY_FAILED, "upgrade PARTIALLY FAILED", f"Upgrade PARTIALLY FAILED {STANDING}: disk full. {CHOICE}"),
        (Kind.TASK_STALLED, "upgrade makes no progress", f"Upgrade makes no progress {STANDING}."),
        (Kind.TASK_RESUMED, "upgrade makes progress again", f"Upgrade to 7.10.2 makes progress again {STANDING}."),
        (
            Kind.TASK_VANISHED,
            "upgrade is no longer listed",
            f"Upgrade is no longer listed: it was still running when the API last listed it {STANDING}.",
        ),
        (Kind.TASK_DEADLINE_NEAR, "data migration nears its limit", "Data migration nears its limit of 48 h."),
        (Kind.TASK_WINDOW_ENDING, "upgrade still running, its change window ends", f"The change window ends {STANDING}."),
        (Kind.NODE_STARTED, "node started", f"Node n2 started {STANDING}."),
        (Kind.NODE_COMPLETED, "node completed", f"Node n2 completed {STANDING}."),
        (Kind.NODE_FAILED, "node FAILED", "Node n2 failed: disk full."),
        (Kind.STAGE_STARTED, "stage started", "Node n2: stage 4 “Node replacement” started."),
        (Kind.STAGE_SUCCEEDED, "stage succeeded", "Node n2: stage 4 “Node replacement” succeeded after 1 min 35 s."),
        (Kind.STAGE_FAILED, "stage FAILED", "Node n2: stage 4 “Node replacement” failed after 1 min 35 s: disk full."),
        (Kind.CLUSTER_UNREACHABLE, "cannot be watched", "No data since 2026-03-01 09:53:00 UTC (server: HTTP 503)."),
        (Kind.CLUSTER_RECOVERED, "is watched again", "Data is coming in again, after 7 min without any."),
        (
            Kind.SINK_FAILING,
            "sink team FAILS",
            (
                "Sink team has not accepted anything since 2026-03-01 08:00:00 UTC (refused: HTTP 401). "
                "7 messages are waiting for it."
            ),
        ),
        (
            Kind.CLUSTER_DISCOVERED,
            "is new, and watched from now on",
            "The project prod-beijing lists a new cluster; it is watched from now on.",
        ),
        (
            Kind.CLUSTER_FORGOTTEN,
            "is no longer listed",
            "The project prod-beijing no longer lists it as one to watch; it is not watched any more.",
        ),
    ],
)
def test_every_kind_has_its_words(kind: Kind, headline: str, line: str) -> None:
    assert title(event(kind)) == f"search-prod: {headline}"
    assert summary(event(kind)) == line


@pytest.mark.parametrize(
    ("waiting", "lost", "merged", "said"),
    [
        (0, 0, 0, ""),
        (3, 0, 0, " 3 messages that waited follow now."),
        (1, 1, 1, " 1 message that waited follows now. 1 old message is told along with newer ones. 1 was given up."),
        (
            *(3, 0, 2),
            " 3 messages that waited follow now. 2 old messages are told along with newer ones, task by task.",
        ),
        (0, 2, 0, " 2 were given up."),
        (0, 0, 1, " 1 old message is told along with newer ones."),
    ],
)
def test_a_sink_that_works_again_says_what_it_owes(waiting: int, lost: int, merged: int, said: str) -> None:
    facts = replace(SINK, reason=None, detail=None, waiting=waiting, lost=lost, merged=merged)
    it = event(Kind.SINK_RECOVERED, sink=facts)
    assert title(it) == "search-prod: sink team works again"
    assert summary(it) == f"Sink team works again, after 2 h.{said}"


def test_a_task_found_running_is_not_said_to_have_started() -> None:
    found = event(Kind.TASK_STARTED, catch_up=True)
    assert title(found) == "search-prod: upgrade is running"
    assert summary(found) == f"Upgrade to 7.10.2 is running {STANDING}."


def test_an_az_migration_is_called_one() -> None:
    migration = event(Kind.TASK_FAILED, task=replace(TASK, action=Action.AZ_MIGRATION))
    assert title(migration) == "search-prod: AZ migration FAILED"
    assert summary(migration).startswith("AZ migration FAILED")
    assert ("Action", "AZ migration") in facts(migration)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("task", [TASK, BARE_TASK, None], ids=["full", "bare", "no task"])
def test_what_is_absent_is_left_out_and_not_called_none(kind: Kind, task: TaskFacts | None) -> None:
    node = "n1" if kind.value.startswith(("node.", "stage.")) else None
    it = event(kind, task=task, progress=None, stage=None, outage=None, node=node, sink=None)
    words = " ".join([title(it), summary(it), *(f"{label} {value}" for label, value in facts(it))])
    assert "None" not in words
    assert "  " not in words
    assert "()" not in words
    assert summary(it).endswith(".")
    assert summary(it)[0].isupper()


@pytest.mark.parametrize(
    ("began", "ended", "said"),
    [
        (None, NOW, ""),
        (NOW, None, ""),
        (NOW, NOW - timedelta(seconds=1), ""),
        (NOW, NOW, " after 0 s"),
        (NOW, NOW + timedelta(seconds=5), " after 5 s"),
        (NOW, NOW + timedelta(hours=2, seconds=1), " after 2 h 1 s"),
        (NOW, NOW + timedelta(days=6, hours=1, minutes=2, seconds=3), " after 6 d 1 h"),
    ],
)
def test_a_length_is_said_in_its_two_largest_units_where_it_makes_sense(
    began: datetime | None, ended: datetime | None, said: str
) -> None:
    it = event(Kind.STAGE_SUCCEEDED, stage=replace(STAGE, began_at=began, ended_at=ended))
    assert summary(it) == f"Node n2: stage 4 “Node replacement” succeeded{said}."


def test_an_outage_that_seems_to_end_before_it_began_lasted_nothing() -> None:
    it = event(Kind.CLUSTER_RECOVERED, time=OUTAGE.since - timedelta(seconds=1))
    assert summary(it) == "Data is coming in again, after 0 s without any."


def test_facts_come_in_the_order_in_which_they_are_shown() -> None:
    assert facts(event(Kind.STAGE_FAILED)) == (
        ("Cluster", "search-prod (c-1)"),
        ("Region", "cn-north-4"),
        ("Action", "upgrade"),
        ("Target", "7.10.2"),
        ("Status", "running"),
        ("Attempt", "2"),
        ("Nodes", "1 of 3 completed"),
        ("In flight", "n2"),
        ("Message", "disk full"),
        ("Task", "t-1"),
        ("Node", "n2"),
        ("Stage", "Node replacement"),
        ("Seen", "2026-03-01 10:00:00 UTC"),
    )
    assert facts(event(Kind.CLUSTER_UNREACHABLE)) == (
        ("Cluster", "search-prod (c-1)"),
        ("Region", "cn-north-4"),
        ("Seen", "2026-03-01 10:00:00 UTC"),
    )


def test_a_message_carries_the_event_its_words_and_how_it_is_delivered() -> None:
    it = event(Kind.NODE_FAILED)
    message = render(it, delivery_id="d-1", attempt=3, may_repeat=True, skipped=2, now=NOW + timedelta(seconds=1), mark="DRILL")
    assert (message.id, message.event) == ("d-1", it)
    assert (message.title, message.summary, message.facts) == (title(it), summary(it), facts(it))
    assert (message.attempt, message.may_repeat, message.skipped, message.mark) == (3, True, 2, "DRILL")


@pytest.mark.parametrize(
    ("age", "late_by"),
    [(timedelta(seconds=-5), None), (LATE, None), (LATE + timedelta(seconds=1), LATE + timedelta(seconds=1))],
)
def test_old_news_is_said_to_be_old(age: timedelta, late_by: timedelta | None) -> None:
    it = event(Kind.NODE_STARTED)
    assert render(it, delivery_id="d", attempt=1, may_repeat=False, skipped=0, now=NOW + age).late_by == late_by


def test_what_was_held_is_as_late_as_it_is_over_its_time() -> None:
    def late(due: datetime) -> timedelta | None:
        news = event(Kind.NODE_STARTED, observed_at=NOW - timedelta(minutes=20))
        return render(news, delivery_id="d", attempt=1, may_repeat=False, skipped=0, now=NOW, due=due).late_by

    assert late(NOW - timedelta(minutes=5)) is None
    assert late(NOW - timedelta(hours=9)) == timedelta(hours=9)


SHAPE = {
    "": [
        *("id", "kind", "severity", "sequence", "time", "observed", "observed_at", "catch_up", "summary"),
        *("cluster", "task", "node", "stage", "progress", "eta", "outage", "timing", "sink"),
    ],
    "cluster": ["id", "name", "labels", "region", "project"],
    "task": [
        *("id", "action", "status", "attempt", "started_at", "ended_at", "nodes", "target", "fail_message"),
        *("current_node", "stages"),
    ],
    "nodes": ["total", "completed", "in_flight"],
    "stage": ["order", "name", "status", "description", "began_at", "ended_at"],
    "eta": ["earliest", "latest", "basis"],
    "outage": ["since", "reason", "detail"],
    "timing": ["since", "lasted", "unseen", "usual", "basis", "until", "share", "fits"],
    "sink": ["name", "since", "reason", "detail", "waiting", "lost", "merged"],
}
"""The contract of the webhook's ``data``: fields may be added here, none may go."""


def test_the_body_holds_every_field_of_the_contract() -> None:
    it = event(Kind.STAGE_FAILED, eta=Eta(NOW, NOW + timedelta(hours=1), "2 finished nodes"), outage=OUTAGE, sink=SINK)
    it = replace(it, timing=Timing(NOW, 60.0))
    body = json.loads(json.dumps(payload(it)))
    assert list(body) == SHAPE[""]
    for part in ("cluster", "task", "stage", "eta", "outage", "timing", "sink"):
        assert list(body[part]) == SHAPE[part]
    assert list(body["task"]["nodes"]) == SHAPE["nodes"]
    assert list(body["task"]["stages"][0]) == SHAPE["stage"]
    assert body["kind"] == "stage.failed"
    assert body["severity"] == "error"
    assert (body["sequence"], body["progress"], body["observed"], body["catch_up"]) == (17, 0.41, True, False)
    assert body["cluster"]["labels"] == {"env": "prod"}
    assert body["task"]["action"] == "UPGRADING"
    assert body["task"]["nodes"] == {"total": 3, "completed": ["n1"], "in_flight": ["n2"]}
    assert body["stage"]["ended_at"] == "2026-03-01T10:01:35Z"
    assert body["eta"]["latest"] == "2026-03-01T11:00:00Z"
    assert body["outage"] == {"since": "2026-03-01T09:53:00Z", "reason": "server", "detail": "HTTP 503"}


@pytest.mark.parametrize("kind", Kind)
def test_absent_things_are_null_in_the_body_and_never_missing(kind: Kind) -> None:
    bare = event(kind, task=None, node=None, stage=None, progress=None, outage=None, sink=None)
    body = json.loads(json.dumps(payload(bare)))
    assert list(body) == SHAPE[""]
    assert [body[name] for name in ("task", "node", "stage", "progress", "eta", "outage", "sink")] == [None] * 7
    assert body["severity"] == kind.severity.word


def test_the_body_says_the_same_as_the_event_for_every_sample() -> None:
    for message in samples(NOW):
        body = json.loads(json.dumps(payload(message.event)))
        assert (body["id"], body["kind"], body["summary"]) == (message.event.id, message.event.kind, message.summary)
        assert body["time"] == iso(message.event.time)


def test_severities_are_ordered_and_have_words() -> None:
    assert [severity.word for severity in sorted(Severity)] == ["debug", "info", "warning", "error", "critical"]
    assert {kind.severity for kind in Kind} == set(Severity)


def test_a_subject_and_a_thread_are_paths() -> None:
    assert (event(Kind.TASK_FAILED).subject, event(Kind.TASK_FAILED).thread) == ("tasks/t-1", "p-1/c-1/UPGRADING/t-1")
    assert event(Kind.NODE_FAILED).subject == "tasks/t-1/nodes/n2"
    assert (event(Kind.CLUSTER_RECOVERED).subject, event(Kind.CLUSTER_RECOVERED).thread) == ("", "p-1/c-1")
    assert (event(Kind.SINK_FAILING).subject, event(Kind.SINK_FAILING).thread) == ("sinks/team", "sinks/team")


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(min_value=datetime(2000, 1, 2), max_value=datetime(2199, 12, 30), timezones=zones)  # noqa: DTZ001 - naive bounds are what it takes


@settings(max_examples=150, deadline=None)
@given(moments)
def test_times_are_utc_end_with_z_and_read_back(moment: datetime) -> None:
    written = iso(moment)
    assert written is not None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", written)
    assert datetime.fromisoformat(written) == moment


def test_no_time_is_no_text() -> None:
    assert iso(None) is None


names = st.text(min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(Kind), names, names, st.none() | names, st.none() | st.floats(0, 1))
def test_any_names_can_be_put_into_words_and_json(
    kind: Kind, cluster: str, node: str, message: str | None, share: float | None
) -> None:
    it = event(
        kind,
        cluster=replace(CLUSTER, name=cluster),
        node=node,
        task=replace(TASK, fail_message=message),
        progress=share,
    )
    assert title(it).startswith(f"{cluster}: ")
    body = json.loads(json.dumps(payload(it)))
    assert (body["node"], body["summary"]) == (node, summary(it))
