"""Who may ask the simulated API: signatures, tokens, clocks; Huawei's own SDK is let in and understands what it is told."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from simulated_world import CLUSTER, DETAIL, KEYS, TOKEN, World, playing
from yarl import URL

from notifier.domain.model import Kind
from notifier.sources.scenarios import CLUSTER_ID, PROJECT_ID
from notifier.sources.signing import DATE_FORMAT, Keys, Signer, signature


async def test_without_keys_any_well_formed_signature_will_do_but_not_none() -> None:
    async with playing("success") as world:
        signed = f"SDK-HMAC-SHA256 Access=A, SignedHeaders=host;x-sdk-date, Signature={'0' * 64}"
        assert (await world.ask(headers={"Authorization": signed}))[0] == 200
        for headers in ({}, {"Authorization": "Bearer x"}, {"X-Auth-Token": ""}):
            status, answer = await world.ask(headers=headers)
            assert (status, answer["error_code"]) == (401, "APIGW.0301")
            assert set(answer) == {"error_code", "error_msg", "request_id"}
        assert world.simulator.served == {"ok": 1, "APIGW.0301": 3}


def signed(world: World, keys: Keys = KEYS, at: datetime | None = None, path: str = DETAIL) -> dict[str, str]:
    return Signer(keys).headers("GET", URL(world.simulator.url + path, encoded=True), at or datetime.now(UTC))


async def test_with_keys_signature_key_token_and_clock_are_verified() -> None:
    keys = replace(KEYS, security_token="temporary")
    async with playing("success", keys=keys) as world:
        now = datetime.now(UTC)
        assert (await world.ask(headers=signed(world, keys)))[0] == 200
        assert (await world.ask(headers=signed(world, keys, now + timedelta(minutes=14))))[0] == 200
        refused = {
            "token": TOKEN,
            "no signature": {},
            "another key": signed(world, replace(keys, access_key="OTHER")),
            "another secret": signed(world, replace(keys, secret_key="other")),
            "another path": signed(world, keys, path=CLUSTER),
            "no security token": signed(world, KEYS),
            "another security token": signed(world, replace(keys, security_token="old")),
            "clock ahead": signed(world, keys, now + timedelta(minutes=16)),
            "clock behind": signed(world, keys, now - timedelta(minutes=16)),
        }
        for why, headers in refused.items():
            status, answer = await world.ask(headers=headers)
            assert (status, answer["error_code"]) == (401, "APIGW.0301"), why
            assert keys.secret_key not in json.dumps(answer)


@pytest.mark.parametrize(("names", "date"), [(("host",), None), (("host", "x-sdk-date"), "yesterday")])
async def test_the_date_must_be_signed_and_readable(names: tuple[str, ...], date: str | None) -> None:
    async with playing("success", keys=KEYS) as world:
        headers = {"Host": f"127.0.0.1:{world.simulator.port}", "X-Sdk-Date": date or datetime.now(UTC).strftime(DATE_FORMAT)}
        seal = signature(KEYS.secret_key, "GET", DETAIL, "", headers, names, b"")
        headers["Authorization"] = f"SDK-HMAC-SHA256 Access=AKTEST, SignedHeaders={';'.join(names)}, Signature={seal}"
        status, answer = await world.ask(headers=headers)
        assert status == 401
        assert "X-Sdk-Date" in answer["error_msg"]


async def test_more_than_five_wrong_signatures_lock_the_key_for_five_minutes() -> None:
    now = [datetime.now(UTC)]
    async with playing("success", keys=KEYS, now=lambda: now[0]) as world:
        for _ in range(6):
            assert (await world.ask(headers=signed(world, replace(KEYS, secret_key="wrong"), now[0])))[0] == 401
        status, answer = await world.ask(headers=signed(world, at=now[0]))
        assert status == 401
        assert "reach the limit" in answer["error_msg"]
        now[0] += timedelta(minutes=5)
        assert (await world.ask(headers=signed(world, at=now[0])))[0] == 200


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[World, Keys], Any]:
    monkeypatch.setenv("HOME", str(tmp_path))  # the SDK writes into it

    def client(world: World, keys: Keys) -> Any:
        from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415 - after HOME is set
        from huaweicloudsdkcss.v1 import CssClient  # noqa: PLC0415 - likewise

        credentials = BasicCredentials(keys.access_key, keys.secret_key, PROJECT_ID)
        return CssClient.new_builder().with_credentials(credentials).with_endpoint(world.simulator.url).build()

    return client


async def test_the_official_sdk_reads_tasks_and_clusters_with_verified_signatures(sdk: Callable[[World, Keys], Any]) -> None:
    async with playing("success", keys=KEYS) as world:
        world.go_after(Kind.TASK_SUCCEEDED)
        client = sdk(world, KEYS)

        def converse() -> tuple[Any, ...]:
            from huaweicloudsdkcss.v1 import ListClustersDetailsRequest as List  # noqa: PLC0415 - after HOME is set
            from huaweicloudsdkcss.v1 import UpdateAzByInstanceTypeReq as Move  # noqa: PLC0415 - likewise
            from huaweicloudsdkcss.v1 import UpdateAzByInstanceTypeRequest as MoveRequest  # noqa: PLC0415 - likewise
            from huaweicloudsdkcss.v1 import UpgradeDetailRequest as Detail  # noqa: PLC0415 - likewise

            body = Move(source_az="az-1", target_az="az-2", migrate_type="az_migrate")
            client.update_az_by_instance_type(MoveRequest(cluster_id=CLUSTER_ID, inst_type="all", body=body))
            return (
                client.upgrade_detail(Detail(cluster_id=CLUSTER_ID)),
                client.upgrade_detail(Detail(cluster_id=CLUSTER_ID, action_mode="AZ_MIGRATION", offset=1, limit=10)),
                client.list_clusters_details(List()),
            )

        upgrades, moves, clusters = await asyncio.to_thread(converse)
        assert (upgrades.total_size, upgrades.detail_list[0].status, moves.detail_list[0].status) == (1, "SUCCESS", "RUNNING")
        assert len(upgrades.detail_list[0].current_node_detail) == 13
        assert clusters.clusters[0].instances[0].name == "css-test-ess-esn-1-1"
        assert world.simulator.served == {"ok": 4}


async def test_the_official_sdk_retries_a_failed_task(sdk: Callable[[World, Keys], Any]) -> None:
    async with playing("failure", keys=KEYS) as world:
        world.go_after(Kind.TASK_FAILED)
        client, task = sdk(world, KEYS), world.simulator.scenario.clusters[0].tasks[0].id

        def retry() -> None:
            from huaweicloudsdkcss.v1 import RetryUpgradeTaskRequest  # noqa: PLC0415 - after HOME is set

            client.retry_upgrade_task(RetryUpgradeTaskRequest(cluster_id=CLUSTER_ID, action_id=task, retry_mode="abort"))

        await asyncio.to_thread(retry)
        assert world.simulator.scenario.facts()[-1].kind is Kind.TASK_PARTIALLY_FAILED


async def test_the_official_sdk_with_a_wrong_secret_is_refused(sdk: Callable[[World, Keys], Any]) -> None:
    async with playing("success", keys=KEYS) as world:
        client = sdk(world, replace(KEYS, secret_key="wrong"))

        def look() -> None:
            from huaweicloudsdkcss.v1 import UpgradeDetailRequest  # noqa: PLC0415 - after HOME is set

            client.upgrade_detail(UpgradeDetailRequest(cluster_id=CLUSTER_ID))

        with pytest.raises(Exception, match=r"APIGW\.0301"):
            await asyncio.to_thread(look)
