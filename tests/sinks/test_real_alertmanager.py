"""Against a real Alertmanager (Debian: prometheus-alertmanager): what it fires, forgets, ends and silences."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ports import free_port
from sink_receivers import Hook, hook

from notifier.domain.message import Receipt
from notifier.domain.model import Kind
from notifier.domain.render import iso
from notifier.domain.samples import NODES, sample
from notifier.outbound import open_session
from notifier.sinks.alertmanager import Settings, Sink
from notifier.sinks.alertmanager_silences import LONGEST_NAME
from notifier.sinks.conformance import HOSTILE
from notifier.sinks.contract import Surroundings

PROGRAM = next(filter(None, map(shutil.which, ("prometheus-alertmanager", "alertmanager"))), None)

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Alertmanager here (Debian: prometheus-alertmanager)")

CONFIGURATION = """\
route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 100ms, repeat_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: "{url}", send_resolved: true}}]}}]
"""


@contextmanager
def alertmanager(folder: Path, port: int, url: str) -> Iterator[None]:
    (folder / "alertmanager.yml").write_text(CONFIGURATION.format(url=url))
    assert PROGRAM is not None
    process = subprocess.Popen(
        [
            PROGRAM,
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


@asynccontextmanager
async def world(
    folder: Path, went_without: Callable[[str, str], None] = lambda _what, _why: None
) -> AsyncIterator[tuple[Sink, Hook, int, aiohttp.ClientSession]]:
    async with hook() as receiver, open_session(total=60.0) as session:
        port = free_port()
        settings = Settings.model_validate({"url": f"http://127.0.0.1:{port}", "silence_nodes": {"label": "instance"}})
        async with Sink(settings, Surroundings("alerts", session, went_without=went_without)) as sink:
            with alertmanager(folder, port, receiver.url):
                await ready(sink)
                yield sink, receiver, port, session


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Await what another program will say, which has to be asked for again and again."""
    async with asyncio.timeout(60):
        while not await holds():  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.02)


async def ready(sink: Sink) -> None:
    async def good() -> bool:
        return not await sink.check()

    await eventually(good)


async def asked(session: aiohttp.ClientSession, port: int, path: str) -> Any:
    async with session.get(f"http://127.0.0.1:{port}/api/v2/{path}") as answer:
        return await answer.json()


def named(receiver: Hook, name: str) -> int:
    """How often a group was told of."""
    return len([post for post in receiver.posts if json.loads(post.body)["groupLabels"]["alertname"] == name])


def heard(receiver: Hook, behind: int = 0) -> list[tuple[str, str]]:
    alerts = [alert for post in receiver.posts[behind:] for alert in json.loads(post.body)["alerts"]]
    return [(alert["labels"]["alertname"], alert["status"]) for alert in alerts]


async def until(receiver: Hook, wanted: tuple[str, str], behind: int = 0) -> None:
    async def told() -> bool:
        return wanted in heard(receiver, behind)

    await eventually(told)


async def until_another_second(began: str) -> None:
    """Alertmanager takes a silence that begins in another second for another silence."""
    second = datetime.fromisoformat(began).replace(microsecond=0)

    async def over() -> bool:
        return datetime.now(UTC) >= second + timedelta(seconds=1)

    await eventually(over)


async def told(sink: Sink, last: Receipt | None, *kinds: Kind) -> Receipt:
    for kind in kinds:
        last = await sink.send(sample(kind, mark=None), last)
    assert last is not None
    return last


async def test_a_failure_fires_survives_a_restart_of_alertmanager_and_ends(tmp_path: Path) -> None:
    async with hook() as receiver, open_session(total=60.0) as session:
        port = free_port()
        settings = Settings.model_validate({"url": f"http://127.0.0.1:{port}"})
        async with Sink(settings, Surroundings("alerts", session)) as sink:
            with alertmanager(tmp_path, port, receiver.url):
                await ready(sink)
                last = await told(sink, None, Kind.TASK_FAILED)
                await until(receiver, ("CssUpgradeFailed", "firing"))
            with alertmanager(tmp_path, port, receiver.url):
                await ready(sink)
                assert await asked(session, port, "alerts") == []  # it forgets
                await sink.keep([last])
                (alert,) = await asked(session, port, "alerts")
                assert alert["labels"]["cluster"] == "sample-cluster"
                await told(sink, last, Kind.TASK_RETRIED, Kind.TASK_SUCCEEDED)
                await until(receiver, ("CssUpgradeFailed", "resolved"))
                left = await asked(session, port, "alerts?active=true")
                assert {alert["labels"]["alertname"] for alert in left} == {"CssUpgradeNews"}


async def test_what_was_taken_though_it_was_given_up_ends(tmp_path: Path) -> None:
    async with world(tmp_path) as (sink, receiver, _, _):
        await sink.send(sample(Kind.TASK_FAILED, mark=None), None)
        await until(receiver, ("CssUpgradeFailed", "firing"))
        await sink.send(replace(sample(Kind.TASK_SUCCEEDED, mark=None), skipped=1), None)
        await until(receiver, ("CssUpgradeFailed", "resolved"))
        assert ("CssUpgradeStalled", "resolved") not in heard(receiver), "the end of what never fired is heard by nobody"


async def test_a_node_in_flight_is_silenced_by_its_label_and_heard_again_afterwards(tmp_path: Path) -> None:
    async with world(tmp_path) as (sink, _, port, session):
        last = await told(sink, None, Kind.NODE_STARTED)
        mine = [{"labels": {"alertname": "NodeDown", "instance": f"{node}:9100"}} for node in NODES[:2]]
        async with session.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=mine) as answer:
            assert answer.status == 200

        async def silenced() -> bool:
            alerts = await asked(session, port, "alerts?filter=alertname%3D%22NodeDown%22")
            found = {alert["labels"]["instance"]: alert["status"]["state"] for alert in alerts}
            return found == {f"{NODES[0]}:9100": "suppressed", f"{NODES[1]}:9100": "active"}

        await eventually(silenced)
        (before,) = await asked(session, port, "silences")
        await until_another_second(before["startsAt"])
        await sink.keep([last])
        (after,) = await asked(session, port, "silences")
        assert after["endsAt"] > before["endsAt"]
        assert after.items() >= {name: before[name] for name in ("id", "startsAt", "comment", "matchers", "status")}.items()
        last = await told(sink, last, Kind.TASK_SUCCEEDED)
        assert "silences" not in last.fields
        (lifted,) = await asked(session, port, "silences")
        assert lifted["status"]["state"] == "expired"
        # Lifting what has ended is no failure: a crash may have come between the deed and its record.
        await told(sink, Receipt({"keep": "{}", "silences": json.dumps({"n": after["id"]})}), Kind.TASK_SUCCEEDED)
        await told(
            sink, Receipt({"keep": "{}", "silences": '{"n": "6ac7be92-58b9-43a7-a0a7-7f8d5b1b0000"}'}), Kind.TASK_SUCCEEDED
        )


async def test_a_silence_that_a_person_has_ended_stays_ended(tmp_path: Path) -> None:
    async with world(tmp_path) as (sink, _, port, session):
        last = await told(sink, None, Kind.NODE_STARTED)
        (silence,) = await asked(session, port, "silences")
        async with session.delete(f"http://127.0.0.1:{port}/api/v2/silence/{silence['id']}") as answer:
            assert answer.status == 200
        await sink.keep([last])
        (left,) = await asked(session, port, "silences")
        assert left["status"]["state"] == "expired"


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
async def test_whatever_a_node_is_called_its_silence_is_taken_and_prolonged(name: str, tmp_path: Path) -> None:
    without: list[str] = []
    async with world(tmp_path, lambda what, why: without.append(f"{what}: {why}")) as (sink, _, port, session):
        message = sample(Kind.NODE_STARTED, mark=None)
        assert message.event.task is not None
        task = replace(message.event.task, nodes=replace(message.event.task.nodes, in_flight=(name,)))
        last = await sink.send(replace(message, event=replace(message.event, node=name, task=task)), None)
        await sink.keep([last])
        found = await asked(session, port, "silences")
    assert without == []
    # What is no name is not silenced.
    assert len(found) == (0 < len(name) <= LONGEST_NAME)


async def looked_up(session: aiohttp.ClientSession, port: int) -> float:
    """How often it has looked up whether a group of alerts is to be told of."""
    async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        (line,) = re.findall(r"^alertmanager_nflog_queries_total (\S+)$", await answer.text(), re.MULTILINE)
    return float(line)


async def test_an_end_that_is_said_again_is_heard_once(tmp_path: Path) -> None:
    """What one Alertmanager has missed is posted to all of them, again and again."""
    async with world(tmp_path) as (sink, receiver, port, session):
        last = await told(sink, None, Kind.TASK_FAILED)
        await until(receiver, ("CssUpgradeFailed", "firing"))
        (alert,) = json.loads(last.fields["keep"]).values()
        last = await told(sink, last, Kind.TASK_SUCCEEDED)
        await until(receiver, ("CssUpgradeFailed", "resolved"))
        posts, now = named(receiver, "CssUpgradeFailed"), datetime.now(UTC)
        for _ in range(3):
            before = await looked_up(session, port)
            now += timedelta(microseconds=1)  # Another end, since the sink says none again that all have taken.
            ended = {"until": (now + timedelta(days=1)).isoformat(), "alert": {**alert, "endsAt": iso(now)}}
            await sink.keep([Receipt({"keep": "{}", "ended": json.dumps({"failure": ended})})])

            async def considered(before: float = before) -> bool:
                return await looked_up(session, port) > before

            await eventually(considered)
        all_posts = len(receiver.posts)
        # A group is told of in its order: the failure of another task comes behind whatever the ends have brought about.
        failed = sample(Kind.TASK_FAILED, mark=None)
        await sink.send(replace(failed, event=replace(failed.event, cluster=replace(failed.event.cluster, name="other"))), None)
        await until(receiver, ("CssUpgradeFailed", "firing"), all_posts)
        assert named(receiver, "CssUpgradeFailed") == posts + 1
