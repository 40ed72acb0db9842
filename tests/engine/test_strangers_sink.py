"""The whole program beside a stranger's sink that is faulty: the others are told, and the program starts, reloads and stops."""

import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from engine_scripts import PATIENCE, eventually

from notifier import app, telemetry
from notifier.config import ConfigError
from notifier.domain.holding import Holding
from notifier.domain.samples import samples
from notifier.engine import attempt as trying
from notifier.engine import door, outlet
from notifier.outlets import MOST_WORDS, patient
from notifier.sinks.contract import Patient
from notifier.sources.scenarios import PROJECT_ID, SCENARIOS, ClusterPlan, Scenario
from notifier.sources.simulator import Simulator
from notifier.sources.story_clock import StoryClock
from notifier.store.rows import State
from notifier.store.store import Store

MODULE = """\
import asyncio
from pydantic import SecretStr
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome
from notifier.domain.message import Receipt
from notifier.sinks.contract import SinkSettings

class Settings(SinkSettings):
    fault: str = "none"
    key: SecretStr = SecretStr("canary-key-0123456789")

REFUSED = DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, "no entry for canary-key-0123456789")

class Sink:
    def __init__(self, settings, surroundings):
        self.fault = settings.fault
        self.without = surroundings.went_without
        if self.fault == "built":
            raise TypeError("canary")
        if self.fault == "pace":
            self.pace = 3.0

    async def __aenter__(self):
        if self.fault == "down":
            raise ConnectionRefusedError("canary")
        if self.fault == "opens":
            raise REFUSED
        if self.fault == "hangs":
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    pass
        return self

    async def __aexit__(self, *_):
        if self.fault == "closes":
            raise RuntimeError("canary")

    def patience(self, event):
        if self.fault == "patience":
            raise ValueError("canary")
        return None

    async def send(self, message, last):
        if self.fault == "tells":
            raise REFUSED
        if self.fault == "goes without":
            self.without("entry", REFUSED.detail)
        if self.fault == "chatters":
            for number in range(100):
                self.without(f"{number} of canary-key-0123456789", "")
        return Receipt({"keep": "1"} if self.fault == "keeps" else {})

    async def keep(self, receipts):
        raise REFUSED

    async def listen(self):
        if self.fault == "listens":
            raise REFUSED
"""
CONFIG = """\
projects:
  - name: prod
    region: cn-north-4
    project_id: {project}
    endpoint: {cloud}
    credentials: {{access_key: AK, secret_key: SK}}
    clusters: [{{id: {cluster}, name: search}}]
poll: {{active: 100ms, idle: 100ms, rate: 200}}
store: sqlite:///{folder}/notifier.db
sinks:
  console: {{type: console, stream: stderr}}
  acme: {{type: acme_faulty.sink, fault: {fault}}}
routes: [{{sinks: [console, acme]}}]
http: {{listen: "127.0.0.1:0"}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "acme_faulty").mkdir()
    (tmp_path / "acme_faulty" / "sink.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("acme_faulty")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(door, "CLOSING", 0.05)
    monkeypatch.setattr(trying, "STUBBORN", 0.05)
    return tmp_path


MODEL: ClusterPlan = SCENARIOS["success"].clusters[0]
STORY = Scenario("one task", "a task at work", (replace(MODEL, id="id-of-search", name="search"),))


def a_cloud() -> Simulator:
    """It waits for whoever is late to look: what is over at the first look is told by nobody."""
    return Simulator(STORY, speed=600, monotonic=StoryClock(10))


def written(folder: Path, cloud: str, fault: str) -> Path:
    path = folder / "notifier.yaml"
    path.write_text(CONFIG.format(project=PROJECT_ID, cloud=cloud, folder=folder, fault=fault, cluster="id-of-search"))
    return path


@asynccontextmanager
async def a_crew(path: Path) -> AsyncIterator[list[app.Crew]]:
    settings = app.load(path)
    store = Store(settings.store).open()
    try:
        crews = [await app.Crew(settings, store).__aenter__()]
        try:
            yield crews
        finally:
            await crews[-1].stop()
    finally:
        store.close()


async def told(store: Store, sink: str) -> bool:
    rows = await store.transact(lambda tx: tx.deliveries(limit=200))
    return any(row.sink == sink and row.state is State.DELIVERED for row in rows)


async def problems(crew: app.Crew) -> list[str]:
    async with aiohttp.ClientSession() as session, session.get(f"{crew.page}/readyz") as answer:
        found: list[str] = json.loads(await answer.text())["problems"]
        return found


@pytest.mark.parametrize("fault", ["down", "hangs"])
async def test_a_sink_that_cannot_be_opened_keeps_neither_start_nor_stop_nor_the_others(folder: Path, fault: str) -> None:
    async with a_cloud() as cloud:
        path = written(folder, cloud.url, fault)
        path.write_text(path.read_text().replace("fault:", "timeout: 200ms, fault:"))
        began = time.monotonic()
        async with a_crew(path) as crews:
            store = crews[0].store
            await eventually(lambda: told(store, "console"))

            async def said() -> bool:
                return any(problem.startswith("sink acme cannot be opened") for problem in await problems(crews[0]))

            await eventually(said)
            assert not await told(store, "acme")
        assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("fault", ["built", "pace"])
async def test_a_sink_that_cannot_be_built_is_an_error_at_start_and_changes_nothing_at_a_reload(folder: Path, fault: str) -> None:
    async with a_cloud() as cloud:
        wrong = app.load(written(folder, cloud.url, fault))
        async with a_crew(written(folder, cloud.url, "none")) as crews:
            written(folder, cloud.url, fault)
            crews.append(await app._reload(folder / "notifier.yaml", crews[0], crews[0].store))
            assert crews[1] is crews[0]
            assert crews[0].refused is not None
            assert crews[0].refused.startswith("sink acme: cannot be built: ")
            with pytest.raises(ConfigError) as caught:
                await app.Crew(wrong, crews[0].store).build()
        assert "canary" not in str(caught.value)


async def test_a_reload_goes_on_though_the_sink_before_cannot_be_closed(folder: Path) -> None:
    async with (
        a_cloud() as cloud,
        a_crew(written(folder, cloud.url, "closes")) as crews,
    ):
        path = written(folder, cloud.url, "none")
        crews.append(await app._reload(path, crews[0], crews[0].store))
        assert crews[1] is not crews[0]
        store = crews[1].store
        await eventually(lambda: told(store, "acme"))


async def test_a_patience_that_raises_costs_nobody_the_news(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        a_cloud() as cloud,
        a_crew(written(folder, cloud.url, "patience")) as crews,
    ):
        store = crews[0].store
        await eventually(lambda: told(store, "console"))
        await eventually(lambda: told(store, "acme"))
    assert "sink crashed" in caplog.text
    assert "canary" not in caplog.text


async def test_a_secret_in_what_a_sink_says_of_a_failure_is_shown_nowhere(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        a_cloud() as cloud,
        a_crew(written(folder, cloud.url, "tells")) as crews,
    ):
        store = crews[0].store

        async def said() -> list[str | None]:
            return [row.detail for row in await store.transact(lambda tx: tx.deliveries(sink="acme")) if row.detail]

        async def failed() -> bool:
            return bool(await said())

        await eventually(failed)
        assert set(await said()) == {"no entry for ***"}
    assert "no entry for ***" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize("fault", ["opens", "listens", "keeps", "goes without"])
async def test_a_secret_in_what_a_sink_says_of_its_other_work_is_not_logged(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(outlet, "KEEP_EVERY", 0.0)
    async with a_cloud() as cloud, a_crew(written(folder, cloud.url, fault)):
        await eventually(lambda: "no entry for " in caplog.text)
    assert "no entry for ***" in caplog.text
    assert "canary" not in caplog.text


async def test_what_a_sink_goes_without_is_no_label_without_end(folder: Path) -> None:
    def words() -> list[str]:
        lines = telemetry.metrics().decode().splitlines()
        return [
            line for line in lines if line.startswith('notifier_sink_without_total{sink="acme",what="') and "entry" not in line
        ]

    async with a_cloud() as cloud, a_crew(written(folder, cloud.url, "chatters")) as (crew,):
        await eventually(lambda: told(crew.store, "acme"))
    assert len(words()) == MOST_WORDS + 1
    assert any('what="other"' in line for line in words())
    assert "canary" not in "".join(words())


@pytest.mark.parametrize("answer", ["10s", float("nan"), float("inf"), -1, 1e300, ValueError("canary"), SystemExit(1)])
def test_a_patience_that_is_none_is_taken_for_none_and_said(answer: object) -> None:
    class Hasty:
        def patience(self, _event: object) -> float | None:
            if isinstance(answer, BaseException):
                raise answer
            return answer  # type: ignore[return-value]  # wrong on purpose

    sink, said = Hasty(), list[BaseException]()
    assert isinstance(sink, Patient)
    event = samples(datetime.now(UTC), run="1")[0].event
    now = datetime.now(UTC)
    assert Holding(patient(sink, said.append)).hold(event, now) == Holding().hold(event, now)
    assert len(said) == 1
