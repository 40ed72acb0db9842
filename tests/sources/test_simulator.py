"""The simulated API: what it answers, and what an operator can do to it."""

import asyncio
import json
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from simulated_world import CLUSTER, DETAIL, playing

from notifier.domain.model import Action, Kind
from notifier.sources.scenarios import PROJECT_ID, SCENARIOS, fleet
from notifier.sources.simulator import Simulator

UPGRADE = f"{CLUSTER}/inst-type/all/image/upgrade"
MIGRATE = f"{CLUSTER}/inst-type/all/azmigrate"


async def test_serves_the_scenario_as_its_clock_moves() -> None:
    async with playing("success") as world:
        assert await world.ask() == (200, {"totalSize": 0, "detailList": []})
        world.go_to(700)
        expected = world.simulator.scenario.state(700.0, epoch=world.simulator.epoch)
        assert await world.ask() == (200, {"totalSize": 1, "detailList": expected})
        world.go_after(Kind.TASK_SUCCEEDED)
        assert (await world.task())["status"] == "SUCCESS"
        assert world.simulator.served == {"ok": 3}
        assert [(seen.method, seen.path, seen.outcome) for seen in world.simulator.requests] == [("GET", DETAIL, "ok")] * 3


async def test_speed_makes_scenario_seconds_pass_faster_and_second_0_is_now() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    async with playing("success", speed=60, now=lambda: now) as world:
        world.go_to(1)
        assert world.simulator.elapsed == 60.0
        assert (await world.task())["startTime"] == "2026-05-01T00:00:30"


async def test_by_default_it_keeps_real_time() -> None:
    async with Simulator(SCENARIOS["success"]) as simulator:
        first = simulator.elapsed
        await asyncio.sleep(0.01)
        assert 0 <= first < simulator.elapsed < 60
        assert abs(simulator.epoch - datetime.now(UTC)) < timedelta(minutes=1)


async def test_the_two_actions_are_two_lists() -> None:
    async with playing("az") as world:
        world.go_to(700)
        assert (await world.ask())[1]["totalSize"] == 0
        assert (await world.ask(DETAIL + "?action_mode=UPGRADING"))[1]["totalSize"] == 0
        item = await world.task(DETAIL + "?action_mode=AZ_MIGRATION")
        assert "migrateParam" in item
        assert "imageInfo" not in item


async def test_pages_begin_at_an_item_counted_from_one() -> None:
    async with playing("history") as world:
        world.go_to(100)
        everything = [item["id"] for item in world.simulator.scenario.state(100.0)]

        async def page(query: str) -> list[str]:
            status, answer = await world.ask(f"{DETAIL}?{query}")
            assert (status, answer["totalSize"]) == (200, 13)
            return [item["id"] for item in answer["detailList"]]

        assert await page("") == everything[:10]
        assert await page("offset=11") == everything[10:]
        assert await page("start=11") == everything[10:]
        assert await page("offset=3&limit=2") == everything[2:4]
        assert await page("offset=500") == []


@pytest.mark.parametrize(("paging", "by_offset", "by_start"), [("start-only", 0, 10), ("ignored", 0, 0)])
async def test_servers_may_know_only_start_or_neither(paging: str, by_offset: int, by_start: int) -> None:
    async with playing("history", paging=paging) as world:
        world.go_to(100)
        everything = [item["id"] for item in world.simulator.scenario.state(100.0)]
        for name, first in (("offset", by_offset), ("start", by_start)):
            answer = (await world.ask(f"{DETAIL}?{name}=11"))[1]
            assert [item["id"] for item in answer["detailList"]] == everything[first : first + 10]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "offset=0", "start=-1", "action_mode=NONSENSE"])
async def test_wrong_parameters_are_refused_in_the_shape_of_css(query: str) -> None:
    async with playing("success") as world:
        status, answer = await world.ask(f"{DETAIL}?{query}")
        assert status == 400
        assert answer["errCode"] == "CSS.0001"
        assert answer["externalMessage"].startswith("CSS.0001 : ")


async def test_clusters_are_listed_newest_first_and_shown_one_by_one() -> None:
    async with playing("demo") as world:
        status, answer = await world.ask(f"/v1.0/{PROJECT_ID}/clusters?limit=2")
        assert (status, answer["totalSize"]) == (200, 3)
        assert [cluster["name"] for cluster in answer["clusters"]] == ["orders-eu", "logs-prod"]
        status, cluster = await world.ask(CLUSTER)
        assert (status, cluster["name"], cluster["actions"]) == (200, "search-prod", [])
        assert [node["name"] for node in cluster["instances"]] == [f"search-prod-ess-esn-{index}-1" for index in (1, 2, 3)]
        world.go_after(Kind.TASK_STARTED)
        assert (await world.ask(CLUSTER))[1]["actions"] == ["UPGRADING"]


async def test_a_deleted_cluster_is_403_and_listed_no_more() -> None:
    async with playing("vanish") as world:
        world.go_to(world.simulator.scenario.clusters[0].gone_at)
        gone = {"errCode": "CSS.0015", "externalMessage": "CSS.0015 : No resources are found or the access is denied."}
        for path in (DETAIL, CLUSTER, f"/v1.0/{PROJECT_ID}/clusters/unknown"):
            assert await world.ask(path) == (403, gone)
        assert await world.ask(f"/v1.0/{PROJECT_ID}/clusters") == (200, {"totalSize": 0, "clusters": []})


async def test_an_unknown_api_is_the_gateways_404() -> None:
    async with playing("success") as world:
        status, answer = await world.ask("/v2.0/else")
        assert (status, answer["error_code"]) == (404, "APIGW.0101")


async def test_an_operator_retries_a_failed_task() -> None:
    async with playing("failure") as world:
        world.go_after(Kind.TASK_FAILED)
        failed = await world.task()
        assert await world.ask(f"{CLUSTER}/upgrade/{failed['id']}/retry", "PUT") == (200, "")
        retried = await world.task()
        assert (retried["id"], retried["status"], retried["executeTimes"]) == (failed["id"], "RUNNING", "2")
        assert world.simulator.scenario.facts()[-1].kind is Kind.TASK_SUCCEEDED
        world.go_to(world.simulator.scenario.end)
        assert (await world.task())["status"] == "SUCCESS"


async def test_an_operator_terminates_a_failed_task_and_upgrades_the_rest() -> None:
    async with playing("failure") as world:
        world.go_after(Kind.TASK_FAILED)
        retry = f"{CLUSTER}/upgrade/{(await world.task())['id']}/retry"
        assert await world.ask(retry + "?retry_mode=abort", "PUT") == (200, "")
        assert (await world.task())["status"] == "PARTIAL_FAILED"
        assert (await world.ask(retry, "PUT"))[0] == 400
        sent = {"target_image_id": "439b", "upgrade_type": "same", "batch_size": 2}
        assert await world.ask(UPGRADE, "POST", json=sent) == (200, "")
        task = await world.task()
        assert (task["totalNodes"], task["batchSize"]) == ("css-test-ess-esn-2-1,css-test-ess-esn-3-1", 2)
        assert (await world.ask())[1]["totalSize"] == 2


async def test_only_a_failed_task_can_be_retried_and_only_once_terminated() -> None:
    async with playing("silent-failure") as world:
        task_id = world.simulator.scenario.clusters[0].tasks[0].id
        retry = f"{CLUSTER}/upgrade/{task_id}/retry"
        illegal = {"errCode": "CSS.0004", "externalMessage": "CSS.0004 : Invalid operation. (Illegal operation)"}
        assert (await world.ask(retry, "PUT"))[1]["errCode"] == "CSS.0001"  # not there yet
        world.go_to(60)
        assert await world.ask(retry, "PUT") == (400, illegal)
        world.go_after(Kind.TASK_FAILED)
        assert await world.ask(retry + "?retry_mode=nonsense", "PUT") == (400, illegal)
        assert (await world.ask(f"{CLUSTER}/upgrade/unknown/retry", "PUT"))[1]["errCode"] == "CSS.0001"
        assert await world.ask(retry + "?retry_mode=abort", "PUT") == (200, "")
        assert (await world.task())["status"] == "FAILED"
        assert await world.ask(retry, "PUT") == (400, illegal)


async def test_an_az_migration_that_moved_a_node_cannot_be_terminated() -> None:
    az = SCENARIOS["az"].clusters[0]
    failing = replace(az.tasks[0], failures=SCENARIOS["failure"].clusters[0].tasks[0].failures[:1], nodes=az.nodes)
    async with playing(SCENARIOS["az"].changed(replace(az, tasks=(failing,)))) as world:
        world.go_after(Kind.TASK_FAILED)
        retry = f"{CLUSTER}/upgrade/{failing.id}/retry"
        assert (await world.ask(retry + "?retry_mode=abort", "PUT"))[0] == 400
        assert (await world.ask(retry, "PUT"))[0] == 200


async def test_an_az_migration_is_submitted_and_found_by_asking() -> None:
    async with playing("success") as world:
        world.go_after(Kind.TASK_SUCCEEDED)
        sent = {"source_az": "az-1", "target_az": "az-2", "migrate_type": "az_migrate"}
        assert await world.ask(MIGRATE, "POST", json=sent) == (200, "")
        task = await world.task(DETAIL + "?action_mode=AZ_MIGRATION")
        assert json.loads(task["finalAzInfoMap"]) == {"az-2": task["totalNodes"]}
        assert (await world.task())["status"] == "SUCCESS"


async def test_an_upgrade_needs_an_idle_cluster_and_a_good_body() -> None:
    async with playing("success") as world:
        sent = {"target_image_id": "439b", "upgrade_type": "same"}
        for wrong in ("", "[]", "{}", json.dumps({**sent, "batch_size": -1}), json.dumps({**sent, "batch_size": "many"})):
            status, answer = await world.ask(UPGRADE, "POST", data=wrong)
            assert (status, answer["errCode"]) == (400, "CSS.0001")
        world.go_to(60)
        status, answer = await world.ask(UPGRADE, "POST", json=sent)
        assert (status, answer["errCode"]) == (409, "CSS.0011")


async def test_a_cluster_without_a_past_can_be_upgraded() -> None:
    scenario = SCENARIOS["success"].changed(replace(SCENARIOS["success"].clusters[0], tasks=()))
    async with playing(scenario) as world:
        assert scenario.end == 0.0
        assert (await world.ask(UPGRADE, "POST", json={"target_image_id": "439b", "upgrade_type": "same"}))[0] == 200
        assert len((await world.task())["totalNodes"].split(",")) == 3


async def test_a_taken_port_is_an_os_error_and_leaves_nothing_behind() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await Simulator(SCENARIOS["success"], port=taken.getsockname()[1]).__aenter__()


def test_speed_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="speed"):
        Simulator(SCENARIOS["success"], speed=0)


async def test_leaving_before_entering_does_no_harm() -> None:
    await Simulator(SCENARIOS["success"]).__aexit__(None, None, None)


def test_an_address_of_ipv6_is_bracketed() -> None:
    assert Simulator(SCENARIOS["success"], host="::1", port=9).url == "http://[::1]:9"


async def test_a_fleet_answers_for_every_cluster() -> None:
    async with playing(fleet(200)) as world:
        world.go_to(1500)
        for cluster in world.simulator.scenario.clusters:
            mode = cluster.tasks[0].action
            status, answer = await world.ask(f"/v1.0/{PROJECT_ID}/clusters/{cluster.id}/upgrade/detail?action_mode={mode}")
            assert status == 200
            assert answer["detailList"] == cluster.state(1500.0, Action(mode), world.simulator.epoch)
        assert world.simulator.served == {"ok": 200}
