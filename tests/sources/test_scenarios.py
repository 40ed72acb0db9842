"""Scenarios: the truth that is simulated is coherent, reproducible and looks like the real API."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_watcher import ENDINGS, Json, instants, names, watch

from notifier.domain.model import Action, Kind, Status
from notifier.sources.scenarios import CLUSTER_ID, DEMO_SPEED, EPOCH, SCENARIOS, ClusterPlan, Scenario, fleet, history
from notifier.sources.upgrade_answers import task_item
from notifier.sources.upgrade_facts import facts
from notifier.sources.upgrades import STAGES, Failure, Operation, TaskPlan, Variant, course

SAMPLES = Path(__file__).parent.parent / "data"


def items(cluster: ClusterPlan, step: float = 7.0) -> Iterator[list[Json]]:
    """Each task's answers, one after the other."""
    for plan in cluster.tasks:
        seen = [task_item(plan, at, EPOCH) for at in instants(facts(plan, cluster.id), step * plan.pace)]
        yield [item for item in seen if item is not None]


def every_cluster() -> list[ClusterPlan]:
    scenarios: list[Scenario] = [scenario for name, scenario in SCENARIOS.items() if name not in {"fleet", "history"}]
    return [cluster for scenario in (*scenarios, fleet(6, seed=3), history(4)) for cluster in scenario.clusters]


clusters = pytest.mark.parametrize("cluster", every_cluster(), ids=lambda cluster: f"{cluster.name}-{cluster.id[:4]}")


@clusters
def test_the_facts_are_what_a_watcher_of_the_answers_sees(cluster: ClusterPlan) -> None:
    for plan in cluster.tasks:
        assert sorted(watch(plan)) == sorted(facts(plan, CLUSTER_ID))


@clusters
def test_an_attempt_only_moves_forward(cluster: ClusterPlan) -> None:
    for answers in items(cluster):
        for before, after in pairwise(answers):
            done, done_before = names(after, "completedNodes"), names(before, "completedNodes")
            assert done[: len(done_before)] == done_before
            assert int(after["executeTimes"]) >= int(before["executeTimes"])
            if before["status"] == "SUCCESS":
                assert after == before


@clusters
def test_at_most_one_stage_runs_at_a_time(cluster: ClusterPlan) -> None:
    for answers in items(cluster):
        for item in answers:
            running = [stage for stage in item.get("currentNodeDetail") or () if stage["status"] == "RUNNING"]
            assert len(running) <= 1
            if item["status"] in ENDINGS:
                assert not running


def test_the_same_second_gives_the_same_answer_and_another_seed_another() -> None:
    assert SCENARIOS["fleet"] == fleet()
    assert fleet(5).facts() == fleet(5).facts()
    assert fleet(5, seed=1).facts() != fleet(5).facts()
    assert json.dumps(SCENARIOS["success"].state(700.0)) == json.dumps(SCENARIOS["success"].state(700.0))


def test_between_two_stages_nothing_runs_for_four_to_five_seconds() -> None:
    for work in course(SCENARIOS["success"].clusters[0].tasks[0])[0].rounds:
        for one, other in pairwise(work.steps):
            assert 4.0 <= other.began - one.ended <= 5.0
            at = (one.ended + other.began) / 2
            statuses = {stage["status"] for stage in SCENARIOS["success"].state(at)[0]["currentNodeDetail"]}
            assert statuses <= {"SUCCESS", "WAITING"}


def test_the_first_stage_begins_two_or_three_seconds_after_the_task() -> None:
    began = next(fact.at for fact in SCENARIOS["success"].facts() if fact.kind is Kind.STAGE_STARTED)
    assert 2.0 <= began - SCENARIOS["success"].facts()[0].at <= 3.0
    assert [stage["status"] for stage in SCENARIOS["success"].state(31.0)[0]["currentNodeDetail"]] == ["WAITING"] * 13


@pytest.mark.parametrize(
    ("name", "sample", "action"), [("success", "seed_upgrade", "UPGRADING"), ("az", "seed_az", "AZ_MIGRATION")]
)
def test_an_item_has_the_fields_and_types_of_the_documentation(name: str, sample: str, action: str) -> None:
    documented = json.loads((SAMPLES / f"{sample}.json").read_text())["detailList"][0]
    ours = SCENARIOS[name].state(700.0, action=Action(action))[0]
    assert set(ours) == {*documented, "batchSize", "currentBatchNodes"}
    assert {key: type(ours[key]) for key in documented} == {key: type(value) for key, value in documented.items()}
    assert set(ours["currentNodeDetail"][0]) == set(documented["currentNodeDetail"][0])
    assert set(ours.get("imageInfo", ())) == set(documented.get("imageInfo", ()))


def test_an_az_migration_carries_json_inside_strings_and_unsorted_nodes() -> None:
    item = SCENARIOS["az"].state(700.0, action=Action.AZ_MIGRATION)[0]
    assert item["totalNodes"] == "css-test-ess-esn-2-1,css-test-ess-esn-1-1,css-test-ess-esn-3-1"
    assert json.loads(item["finalAzInfoMap"]) == {"cn-north-4c": item["totalNodes"]}
    assert json.loads(item["migrateParam"])["migrateType"] == "az_migrate"
    assert SCENARIOS["az"].state(700.0) == []


def test_times_are_naive_utc_whatever_zone_the_epoch_is_in() -> None:
    eastern = EPOCH.astimezone(datetime.strptime("+0800", "%z").tzinfo)
    assert SCENARIOS["success"].state(40.0, epoch=eastern)[0]["startTime"] == "2026-03-01T02:00:30"


def final(name: str) -> Json:
    return SCENARIOS[name].state(SCENARIOS[name].end + 60)[0]


def test_a_success_has_completed_every_node_and_an_end() -> None:
    item = final("success")
    assert (item["status"], item["completedNodes"], item["executeTimes"]) == ("SUCCESS", item["totalNodes"], "1")
    assert item["endTime"]
    assert "failMessage" not in item


def test_a_failure_names_its_stage_its_node_and_its_message() -> None:
    item = final("failure")
    assert (item["status"], item["currentNodeName"]) == ("FAILED", "css-test-ess-esn-2-1")
    assert [stage["order"] for stage in item["currentNodeDetail"] if stage["status"] == "FAILED"] == [4]
    assert item["failMessage"] == "[402c6c3]RdsBindExistPortToInstanceTask-fail:null"


def test_a_silent_failure_lists_nothing_but_successes_and_ends_61_seconds_later() -> None:
    item = final("silent-failure")
    assert [stage["order"] for stage in item["currentNodeDetail"]] == [0, 1, 2, 3]
    assert {stage["status"] for stage in item["currentNodeDetail"]} == {"SUCCESS"}
    assert item["status"] == "FAILED"
    last = datetime.fromisoformat(item["currentNodeDetail"][-1]["endTime"])
    assert datetime.fromisoformat(item["endTime"]) - last == timedelta(seconds=61)


def test_a_partial_failure_has_completed_some_nodes() -> None:
    item = final("partial")
    assert (item["status"], item["completedNodes"]) == ("PARTIAL_FAILED", "css-test-ess-esn-1-1")


def around_the_retry(name: str) -> tuple[Json, Json]:
    retried = next(fact.at for fact in SCENARIOS[name].facts() if fact.kind is Kind.TASK_RETRIED)
    return SCENARIOS[name].state(retried - 1)[0], SCENARIOS[name].state(retried)[0]


def test_a_retry_at_zero_starts_the_node_over_under_a_new_start_time() -> None:
    before, after = around_the_retry("retry-at-zero")
    assert (before["id"], before["status"], before["executeTimes"]) == (after["id"], "FAILED", "1")
    assert (after["status"], after["executeTimes"], after["endTime"]) == ("RUNNING", "2", "")
    assert {stage["status"] for stage in after["currentNodeDetail"]} == {"WAITING"}
    assert after["startTime"] > before["startTime"]
    assert after["completedNodes"] == before["completedNodes"] == "css-test-ess-esn-1-1"


def test_a_retry_at_the_failed_stage_keeps_what_was_finished() -> None:
    before, after = around_the_retry("retry-at-stage")
    assert after["currentNodeDetail"][:4] == before["currentNodeDetail"][:4]
    assert {stage["status"] for stage in after["currentNodeDetail"][4:]} == {"WAITING"}
    assert after["startTime"] == before["startTime"]
    assert "failMessage" not in after


def test_a_batch_completes_two_nodes_in_one_instant() -> None:
    told = [fact for fact in SCENARIOS["batch"].facts() if fact.kind is Kind.NODE_COMPLETED]
    assert [fact.node for fact in told] == [f"css-test-ess-esn-{index}-1" for index in (1, 2, 3, 4)]
    assert told[0].at == told[1].at < told[2].at == told[3].at
    item = SCENARIOS["batch"].state(told[0].at - 1)[0]
    assert (item["batchSize"], item["currentBatchNodes"]) == (2, "css-test-ess-esn-1-1,css-test-ess-esn-2-1")
    assert item["currentNodeName"] == "css-test-ess-esn-1-1"


def test_a_vanished_cluster_is_gone_in_mid_upgrade_and_nothing_is_told_after() -> None:
    cluster = SCENARIOS["vanish"].clusters[0]
    assert cluster.running(cluster.gone_at - 1) is not None
    assert not cluster.exists(cluster.gone_at)
    assert cluster.facts()[-1].at < cluster.gone_at
    assert not [fact for fact in cluster.facts() if fact.kind in ENDINGS.values()]


def test_history_is_listed_newest_first_oldest_first_and_shuffled() -> None:
    starts = {cluster.order: [item["startTime"] for item in cluster.state(100.0)] for cluster in SCENARIOS["history"].clusters}
    assert starts["newest"] == sorted(starts["newest"], reverse=True)
    assert starts["oldest"] == sorted(starts["oldest"])
    assert starts["shuffled"] not in (starts["newest"], starts["oldest"])
    assert {len(each) for each in starts.values()} == {13}
    statuses = {item["status"] for item in SCENARIOS["history"].clusters[0].state(100.0)}
    assert statuses == {"RUNNING", "SUCCESS", "FAILED", "PARTIAL_FAILED"}


def test_the_quick_one_is_over_within_seconds() -> None:
    told = SCENARIOS["quick"].facts()
    assert told[-1].kind is Kind.TASK_SUCCEEDED
    assert told[-1].at - told[0].at < 5


def test_the_demo_tells_its_story_in_about_ninety_seconds() -> None:
    demo = SCENARIOS["demo"]
    assert 80 <= demo.end / DEMO_SPEED <= 100
    assert {Kind.TASK_SUCCEEDED, Kind.TASK_FAILED, Kind.TASK_RETRIED} <= {fact.kind for fact in demo.facts()}
    assert {fact.action for fact in demo.facts()} == set(Action)


def test_a_fleet_ends_in_every_way_and_can_be_made_short() -> None:
    told = fleet(60, pace=0.01).facts()
    assert set(ENDINGS.values()) | {Kind.TASK_RETRIED} <= {fact.kind for fact in told}
    assert told[-1].at < 120
    assert len({fact.cluster_id for fact in told}) == 60


def variant(name: str, at: float = 1.0) -> Json:
    cluster = next(cluster for cluster in SCENARIOS["variants"].clusters if cluster.name == name)
    return cluster.state(cluster.facts()[-1].at + at)[0]


def test_regions_spell_emptiness_in_their_own_ways() -> None:
    old = variant("old-region")
    assert not {"currentNodeName", "currentNodeDetail", "batchSize", "currentBatchNodes", "failMessage"} & set(old)
    assert variant("nulls")["currentNodeDetail"] is variant("nulls")["currentNodeName"] is None
    assert (variant("empties")["currentNodeDetail"], variant("empties")["currentBatchNodes"]) == ([], "")
    assert variant("numbers")["executeTimes"] == 2
    assert [stage["order"] for stage in variant("two-stages")["currentNodeDetail"]] == [0, 12]
    assert {"riskLevel", "upgradeMode"} <= set(variant("new-fields"))


def test_unknown_statuses_appear_before_the_first_stage_and_between_stages() -> None:
    cluster = next(cluster for cluster in SCENARIOS["variants"].clusters if cluster.name == "unknown-statuses")
    assert cluster.state(30.5)[0]["status"] == "INITIALIZING"
    first = course(cluster.tasks[0])[0].rounds[0].steps[0]
    item = cluster.state(first.ended + 1)[0]
    assert [stage["status"] for stage in item["currentNodeDetail"]][:3] == ["SUCCESS", "PREPARING", "WAITING"]
    assert cluster.state(first.began + 1)[0]["currentNodeDetail"][1]["status"] == "WAITING"


def test_completed_nodes_may_grow_before_the_stage_list_starts_over() -> None:
    cluster = next(cluster for cluster in SCENARIOS["variants"].clusters if cluster.name == "completed-first")
    done = next(fact.at for fact in cluster.facts() if fact.kind is Kind.NODE_COMPLETED)
    early, late = cluster.state(done + 19)[0], cluster.state(done + 21)[0]
    assert early["completedNodes"] == early["currentNodeName"] == late["completedNodes"]
    assert {stage["status"] for stage in early["currentNodeDetail"]} == {"SUCCESS"}
    assert late["currentNodeName"] != late["completedNodes"]


def test_a_retry_may_empty_the_start_time() -> None:
    failure = Failure(0, 0, retried_after=10, start_time="emptied")
    plan = TaskPlan("t", ("a",), 0.0, failures=(failure,))
    item = task_item(plan, course(plan)[1].began, EPOCH)
    assert item is not None
    assert (item["startTime"], item["status"]) == ("", Status.RUNNING)


def test_terminating_after_a_completed_node_makes_the_failure_partial_and_final() -> None:
    scenario = SCENARIOS["failure"]
    cluster = scenario.clusters[0]
    plan = cluster.tasks[0]
    over = scenario.end + 10
    ended = scenario.changed(cluster.operated(plan.id, Operation(over, abort=True)))
    assert ended.state(over - 1)[0]["status"] == "FAILED"
    assert ended.state(over)[0]["status"] == "PARTIAL_FAILED"
    assert ended.facts()[:-1] == scenario.facts()
    assert ended.facts()[-1].kind is Kind.TASK_PARTIALLY_FAILED


def test_terminating_before_any_node_is_completed_leaves_it_failed() -> None:
    cluster = SCENARIOS["silent-failure"].clusters[0]
    over = cluster.facts()[-1].at + 10
    ended = cluster.operated(cluster.tasks[0].id, Operation(over, abort=True))
    assert ended.state(over)[0]["status"] == "FAILED"
    assert ended.facts() == cluster.facts()


def test_asking_for_a_cluster_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        SCENARIOS["success"].state(0.0, "nobody")


@pytest.mark.parametrize(
    "wrong",
    [{"nodes": ()}, {"batch": 0}, {"pace": 0.0}, {"failures": (Failure(1, 0),)}, {"failures": (Failure(0, 13),)}],
)
def test_an_impossible_plan_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a task needs|does not have"):
        TaskPlan(**{"id": "t", "nodes": ("a",), "start": 0.0, **wrong})


@st.composite
def plans(draw: st.DrawFn) -> TaskPlan:
    nodes = tuple(f"n-{index}" for index in range(draw(st.integers(1, 4))))
    failing = st.builds(
        Failure,
        node=st.integers(0, len(nodes) - 1),
        stage=st.integers(0, 12),
        silent=st.booleans(),
        partial=st.booleans(),
        retried_after=st.none() | st.floats(2, 500),
        restart=st.sampled_from(("zero", "stage")),
        start_time=st.sampled_from(("kept", "changed", "emptied")),
    )
    return TaskPlan(
        "t",
        nodes,
        draw(st.floats(0, 100)),
        draw(st.sampled_from(Action)),
        batch=draw(st.integers(1, 3)),
        seed=draw(st.integers(0, 999)),
        failures=tuple(draw(st.lists(failing, max_size=3))),
        variant=Variant(completed_lead=draw(st.sampled_from((0.0, 12.0)))),
    )


@given(plans())
@settings(max_examples=40, deadline=None)
def test_whatever_the_plan_facts_and_answers_agree(plan: TaskPlan) -> None:
    assert sorted(watch(plan, step=20)) == sorted(facts(plan, CLUSTER_ID))


@given(plans(), st.floats(2, 300), st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_an_operator_does_changes_the_future_only(plan: TaskPlan, later: float, abort: bool) -> None:
    at = facts(plan, CLUSTER_ID)[-1].at + later
    changed = replace(plan, operations=(Operation(at, abort=abort),))
    assert [fact for fact in facts(changed, CLUSTER_ID) if fact.at < at] == list(facts(plan, CLUSTER_ID))
    assert task_item(changed, at - 1, EPOCH) == task_item(plan, at - 1, EPOCH)
    failed = course(plan)[-1].failure is not None
    retried = [fact for fact in facts(changed, CLUSTER_ID) if fact.at == at and fact.kind is Kind.TASK_RETRIED]
    assert bool(retried) is (failed and not abort)


def test_there_are_thirteen_stages_and_a_node_takes_about_a_quarter_of_an_hour() -> None:
    assert [stage.order for stage in STAGES] == list(range(13))
    assert 10 * 60 <= sum(stage.seconds for stage in STAGES) <= 15 * 60
    assert EPOCH.tzinfo is UTC
