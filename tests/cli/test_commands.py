"""The commands as a user runs them, each as a process of its own."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
from ports import free_port

from notifier.sources.scenarios import SCENARIOS, Scenario
from notifier.sources.simulator import Simulator

ROOT = Path(__file__).parents[2]
CONFIG = """\
projects:
  - name: prod-beijing
    region: cn-north-4
    project_id: 6204a5bd270343b5885144cf9c8c158d
    endpoint: {cloud}
    credentials: {{access_key: "${{HUAWEICLOUD_SDK_AK}}", secret_key: "${{HUAWEICLOUD_SDK_SK}}"}}
    clusters:
{clusters}
poll: {{active: 100ms, idle: 200ms, rate: 100}}
store: sqlite:///{folder}/notifier.db
sinks:
  console: {{type: console}}
{sinks}
http: {{listen: "127.0.0.1:{port}"}}
log: {{format: json, level: info}}
"""
KEYS = {"HUAWEICLOUD_SDK_AK": "AKTEST", "HUAWEICLOUD_SDK_SK": "SK-canary-0123456789"}


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, **KEYS, **more}


async def notifier(*words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "notifier",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


def write(folder: Path, cloud: str, scenario: Scenario, *, port: int = 0, sinks: str = "") -> Path:
    clusters = "\n".join(f"      - {{id: {each.id}, name: {each.name}}}" for each in scenario.clusters)
    path = folder / "notifier.yaml"
    path.write_text(CONFIG.format(cloud=cloud, clusters=clusters, folder=folder, port=port or free_port(), sinks=sinks))
    return path


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with path.with_suffix(".log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "notifier", "run", "-c", str(path), stdout=log, stderr=log, env=environment()
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def eventually(path: Path, holds: Callable[[str], bool], patience: float = 60) -> str:
    """The log of a running notifier, once it says what is waited for."""
    async with asyncio.timeout(patience):
        # Another process writes it, so nothing here can be awaited.
        while not holds(text := path.with_suffix(".log").read_text()):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)
    return text


async def test_the_demo_tells_its_story_and_ends() -> None:
    code, out, err = await notifier("demo", "--port", "0", "--speed", "400")
    assert (code, err) == (0, "")
    assert re.search(r"Status page, live: http://127\.0\.0\.1:\d+", out)
    assert "FAILED" in out or "failed" in out
    assert "tasks 1 failed, 1 retried, 3 succeeded" in out.replace("tasks: ", "tasks ")
    assert "Deliveries:" in out


def test_help_is_there_for_every_command() -> None:
    commands = [
        "run",
        "demo",
        "check",
        "test",
        "poll",
        "events",
        "deliveries",
        "simulate",
        "schema",
        "migrate",
        "explain",
        "routes",
        "silence",
        "sinks",
        "status",
        "watch",
    ]
    for command in ([], *([name] for name in commands)):
        found = subprocess.run([sys.executable, "-m", "notifier", *command, "--help"], capture_output=True, text=True, check=True)
        assert found.stdout.startswith("Usage:"), found.stderr


async def test_check_says_all_that_is_wrong_at_once_and_no_secret(tmp_path: Path) -> None:
    path = write(tmp_path, "http://127.0.0.1:1", SCENARIOS["success"])
    assert await notifier("check", "-c", str(path)) == (0, f"{path} is good: 1 clusters, 1 sinks, 1 routes.\n", "")
    path.write_text(
        path.read_text().replace("active: 100ms", "actve: 100ms").replace("type: console", "type: consle, x: SK-canary")
    )
    code, out, err = await notifier("check", "-c", str(path))
    assert (code, out) == (2, "")
    assert "did you mean 'active'?" in err
    assert "did you mean console?" in err
    assert f"{path}:" in err
    assert "Traceback" not in err
    assert "canary" not in err


async def test_poll_says_where_each_cluster_stands(tmp_path: Path) -> None:
    scenario = SCENARIOS["success"]
    seconds = [0.0]
    async with Simulator(scenario, speed=1, monotonic=lambda: seconds[0]) as cloud:
        seconds[0] = 600.0
        path = write(tmp_path, cloud.url, scenario)
        code, out, err = await notifier("poll", "-c", str(path))
        assert (code, err) == (0, "")
        assert "UPGRADING RUNNING (attempt 1" in out
        code, out, _ = await notifier("poll", "--json", "-c", str(path))
        assert code == 0
        (line,) = map(json.loads, out.splitlines())
        assert line["tasks"][0]["status"] == "RUNNING"
    code, out, err = await notifier("poll", "-c", str(path))
    assert (code, out) == (1, "")
    assert "network" in err
    assert "Traceback" not in err


async def test_a_running_notifier_answers_the_command_line_and_stops_in_time(tmp_path: Path) -> None:
    scenario = SCENARIOS["failure"]
    # A receiver that is not there: what is owed to it waits, and is given up at once.
    sinks = f'  hook: {{type: webhook, url: "http://127.0.0.1:{free_port()}/", delivery: {{give_up_after: 100ms}}}}'
    seconds = [0.0]
    async with Simulator(scenario, speed=1, monotonic=lambda: seconds[0]) as cloud:
        path = write(tmp_path, cloud.url, scenario, sinks=sinks)
        async with running(path) as process:
            # The story goes on when it is watched: first nothing, then a task at work, then its failure.
            await eventually(path, lambda _: cloud.served.total() >= 2)
            seconds[0] = 600.0
            await eventually(path, lambda log: "task.started" in log)
            seconds[0] = 100_000.0
            await eventually(path, lambda log: "task.failed" in log and "delivery failed" in log)
            code, out, err = await notifier("events", "--json", "--kind", "task.*", "-c", str(path))
            assert code == 0, err
            assert [json.loads(line)["kind"] for line in out.splitlines()] == ["task.started", "task.failed"]
            code, out, err = await notifier("deliveries", "--sink", "console", "-c", str(path))
            assert code == 0, err
            assert "delivered" in out
            code, _, err = await notifier("run", "-c", str(path))
            assert code == 1
            assert f"in use by process {process.pid}" in err
            before = asyncio.get_running_loop().time()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
            assert asyncio.get_running_loop().time() - before < 8
    # The store is free again: the same questions are answered from the file.
    code, out, err = await notifier("events", "--kind", "task.failed", "-c", str(path))
    assert code == 0, err
    assert "Someone must choose: retry or terminate" in out
    code, out, _ = await notifier("deliveries", "--json", "--state", "dead", "-c", str(path))
    dead = [json.loads(line)["id"] for line in out.splitlines()]
    code, out, err = await notifier("deliveries", "retry", "--all", "-c", str(path))
    assert code == 0, err
    assert sorted(out.split()) == sorted(dead)
    code, _, err = await notifier("deliveries", "retry", "no-such", "-c", str(path))
    assert code == 1
    assert "no-such" in err
    assert "canary" not in path.with_suffix(".log").read_text()


async def test_sighup_takes_up_a_good_file_and_keeps_the_old_one_for_a_bad_one(tmp_path: Path) -> None:
    scenario = SCENARIOS["success"]
    async with Simulator(scenario, speed=1) as cloud:
        path = write(tmp_path, cloud.url, scenario)
        good = path.read_text()
        async with running(path) as process:
            await eventually(path, lambda log: "app.started" in log)
            path.write_text(good.replace("console:", "consle: {type: nonsense}\n  console:"))
            process.send_signal(signal.SIGHUP)
            log = await eventually(path, lambda log: "config.kept" in log)
            assert "nonsense" in log
            path.write_text(good.replace("type: console", "type: console, format: json"))
            process.send_signal(signal.SIGHUP)
            await eventually(path, lambda log: "config.reloaded" in log)
            page = re.search(r'listen: "([^"]+)"', good)
            assert page is not None
            async with aiohttp.ClientSession() as session, session.get(f"http://{page[1]}/healthz") as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_test_sends_marked_samples(tmp_path: Path) -> None:
    path = write(tmp_path, "http://127.0.0.1:1", SCENARIOS["success"])
    code, out, err = await notifier("test", "console", "-c", str(path))
    assert code == 0, err
    assert "TEST" in out
    assert "task.failed: delivered" in out
    assert "samples arrived." in out
    assert err == ""
    code, _, err = await notifier("test", "consol", "-c", str(path))
    assert code == 2
    assert "there is no sink 'consol'" in err


async def test_schema_accepts_the_example_and_refuses_nonsense() -> None:
    code, out, _ = await notifier("schema")
    assert code == 0
    schema: dict[str, Any] = json.loads(out)
    jsonschema.Draft202012Validator.check_schema(schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"projects": [], "nonsense": 1}, schema)


async def test_migrate_says_what_it_did(tmp_path: Path) -> None:
    path = write(tmp_path, "http://127.0.0.1:1", SCENARIOS["success"])
    code, out, err = await notifier("migrate", "-c", str(path))
    assert (code, err) == (0, "")
    assert out.startswith("The store has schema")


async def test_simulate_lists_and_serves() -> None:
    code, out, _ = await notifier("simulate", "--list")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} == set(SCENARIOS)
    code, _, err = await notifier("simulate", "--scenario", "sucess")
    assert code == 2
    assert "there is no scenario" in err
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "notifier",
        "simulate",
        "--port",
        "0",
        stdout=asyncio.subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        url = line.split()[0]
        async with aiohttp.ClientSession() as session, session.get(f"{url}/v1.0/p/clusters") as answer:
            assert answer.status == 401
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_missing_configuration_is_said_in_one_line(tmp_path: Path) -> None:
    code, out, err = await notifier("run", "-c", str(tmp_path / "none.yaml"))
    assert (code, out) == (2, "")
    assert "none.yaml" in err
    assert "Traceback" not in err
