"""The Python program on Huawei's page about this API, unchanged, reads the simulator."""

import asyncio
import os
import sys
from pathlib import Path

from notifier.sources.scenarios import CLUSTER_ID, PROJECT_ID, SCENARIOS
from notifier.sources.signing import Keys
from notifier.sources.simulator import Simulator

SAMPLE = """\
# coding: utf-8
import os
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcss.v1.region.css_region import CssRegion
from huaweicloudsdkcore.exceptions import exceptions
from huaweicloudsdkcss.v1 import *

if __name__ == "__main__":
    # The AK and SK used for authentication are hard-coded or stored in plaintext, which has great security risks. \
It is recommended that the AK and SK be stored in ciphertext in configuration files or environment variables and decrypted \
during use to ensure security.
    # In this example, AK and SK are stored in environment variables for authentication. Before running this example, \
set environment variables CLOUD_SDK_AK and CLOUD_SDK_SK in the local environment
    ak = os.environ["CLOUD_SDK_AK"]
    sk = os.environ["CLOUD_SDK_SK"]
    projectId = "{project_id}"
    credentials = BasicCredentials(ak, sk, projectId)
    client = CssClient.new_builder() \\
        .with_credentials(credentials) \\
        .with_region(CssRegion.value_of("<YOUR REGION>")) \\
        .build()
    try:
        request = UpgradeDetailRequest()
        request.cluster_id = "{cluster_id}"
        response = client.upgrade_detail(request)
        print(response)
    except exceptions.ClientRequestException as e:
        print(e.status_code)
        print(e.request_id)
        print(e.error_code)
        print(e.error_msg)
"""
"""The Python sample of Huawei's page about this API, in its own words."""


async def run_sample(tmp_path: Path, endpoint: str, secret_key: str) -> str:
    filled = SAMPLE.replace("{project_id}", PROJECT_ID).replace("{cluster_id}", CLUSTER_ID)
    program = tmp_path / "sample.py"
    program.write_text(filled.replace("<YOUR REGION>", "cn-north-4"))
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),  # the SDK writes into it
        "CLOUD_SDK_AK": "AKTEST",
        "CLOUD_SDK_SK": secret_key,
        "HUAWEICLOUD_SDK_REGION_CSS_CN_NORTH_4": endpoint,  # the SDK's own way to say where a region is
    }
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, str(program), stdout=pipe, stderr=pipe, env=env, cwd=tmp_path)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_huaweis_own_sample_reads_the_simulator(tmp_path: Path) -> None:
    keys = Keys("AKTEST", "a-secret-key")
    seconds = iter([0.0, 0.0])
    async with Simulator(SCENARIOS["success"], keys=keys, monotonic=lambda: next(seconds, 700.0)) as simulator:
        printed = await run_sample(tmp_path, simulator.url, keys.secret_key)
        task = simulator.scenario.clusters[0].tasks[0]
        assert f'"id": "{task.id}"' in printed
        assert '"status": "RUNNING"' in printed
        assert '"name": "Data migration"' in printed
        assert simulator.served == {"ok": 1}


async def test_huaweis_own_sample_is_refused_with_a_wrong_secret(tmp_path: Path) -> None:
    async with Simulator(SCENARIOS["success"], keys=Keys("AKTEST", "a-secret-key")) as simulator:
        printed = await run_sample(tmp_path, simulator.url, "wrong")
        assert printed.startswith("401\n")
        assert "APIGW.0301" in printed
        assert simulator.served == {"APIGW.0301": 1}
