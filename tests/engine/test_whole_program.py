"""The whole program on a project whose clusters come and go, with a dead man's switch listening."""

import gc
import json
import re
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from weakref import ref

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner
from engine_scripts import eventually
from jinja2 import Template
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from notifier import app, inquiry, once
from notifier.cli import main
from notifier.domain.errors import FetchError
from notifier.domain.model import Kind
from notifier.domain.samples import sample
from notifier.domain.words import Words
from notifier.engine.tidying import Tidying
from notifier.sources.scenarios import PROJECT_ID, SCENARIOS, ClusterPlan, Scenario
from notifier.sources.simulator import Simulator
from notifier.store.errors import StoreError
from notifier.store.store import Store
from notifier.wording import overrides
from notifier.wording.sandbox import compiled

CONFIG = """\
projects:
  - name: prod
    region: cn-north-4
    project_id: {project}
    endpoint: {cloud}
    credentials: {{access_key: AK, secret_key: SK}}
    discover: {{every: 100ms, name: "search-*"}}
poll: {{active: 100ms, idle: 100ms, rate: 200}}
store: sqlite:///{folder}/notifier.db
sinks:
  console: {{type: console, stream: stderr}}
http: {{listen: "127.0.0.1:0"}}
heartbeat: {{url: "{switch}", every: 100ms}}
"""
MODEL = SCENARIOS["success"].clusters[0]


def plan(name: str, *, created: float = -1000.0, gone_at: float = float("inf")) -> ClusterPlan:
    return replace(MODEL, id=f"id-of-{name}", name=name, tasks=(), created=created, gone_at=gone_at)


STORY = Scenario(
    "comings",
    "clusters come and go",
    (plan("search-a"), plan("search-b", created=100.0), plan("search-c", gone_at=200.0), plan("other")),
)


@asynccontextmanager
async def a_switch() -> AsyncIterator[tuple[str, list[str]]]:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    server = web.Application()
    server.router.add_get("/{tail:.*}", answer)
    async with TestServer(server) as listening:
        yield str(listening.make_url("/alive")), asked


def written(folder: Path, cloud: str, switch: str = "http://127.0.0.1:1/") -> Path:
    path = folder / "notifier.yaml"
    path.write_text(CONFIG.format(project=PROJECT_ID, cloud=cloud, folder=folder, switch=switch))
    return path


async def told(store: Store) -> list[tuple[Kind, str]]:
    events = await store.transact(lambda tx: tx.events(kind="cluster.*"))
    return [(event.kind, event.cluster.name) for _, event in events]


async def ask(crew: app.Crew, path: str, accept: str = "*/*") -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"{crew.page}{path}", headers={"Accept": accept}) as response:
        return response.status, response.content_type, await response.text()


async def test_clusters_come_and_go_and_the_switch_hears_that_all_is_well(tmp_path: Path) -> None:
    seconds = [0.0]
    async with Simulator(STORY, speed=1, monotonic=lambda: seconds[0]) as cloud, a_switch() as (switch, pings):
        settings = app.load(written(tmp_path, cloud.url, switch))
        store = Store(settings.store).open()
        try:
            async with app.Crew(settings, store) as crew:
                await eventually(lambda: len(crew.poller.watches) == 2 and all(each.polled_at for each in crew.poller.watches))
                assert await told(store) == []
                seconds[0] = 150.0
                await eventually(lambda: len(crew.poller.watches) == 3)
                seconds[0] = 250.0
                await eventually(lambda: len(crew.poller.watches) == 2)
                assert await told(store) == [(Kind.CLUSTER_DISCOVERED, "search-b"), (Kind.CLUSTER_FORGOTTEN, "search-c")]
                await eventually(lambda: len(pings) >= 1)

                async def alive() -> bool:
                    return await ask(crew, "/healthz") == (200, "application/json", '{"alive": true}')

                async def ready() -> bool:
                    status, _, body = await ask(crew, "/readyz")
                    return (status, json.loads(body)["problems"]) == (200, [])

                await eventually(alive)  # Not where nothing moved for a moment.
                await eventually(lambda: all(crew.poller.holds(each) and not each.failures for each in crew.poller.watches))
                await eventually(ready)
                _, kind, text = await ask(crew, "/metrics")
                assert kind == "text/plain"
                found = {family.name: family for family in text_format(text)}
                assert [sample.value for sample in found["notifier_clusters"].samples] == [2.0]
                assert found["notifier_backlog"].samples[0].labels == {"sink": "console"}
                _, kind, text = await ask(crew, "/metrics", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
                assert kind == "application/openmetrics-text"
                read = openmetrics(text)  # type: ignore[no-untyped-call]  # it has no types
                assert {family.name for family in read} >= {"notifier_polls", "notifier_data_age_seconds"}
            heard = len(pings)
        finally:
            store.close()
    assert len(pings) == heard


async def test_a_wedged_tick_and_a_refused_reload_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Simulator(STORY) as cloud:
        settings = app.load(written(tmp_path, cloud.url))
        store = Store(settings.store).open()
        try:
            async with app.Crew(settings, store, refused="notifier.yaml:1:1: wrong") as crew:
                monkeypatch.setattr(crew.ticking, "beat", lambda: None)
                crew.ticking._at -= 60.0
                assert (await ask(crew, "/healthz"))[0] == 503
                status, _, body = await ask(crew, "/readyz")
                assert status == 503
                assert json.loads(body)["problems"] == [
                    "the clock stands still",
                    "the configuration was changed and refused; the one before is in use",
                ]
                assert "notifier.yaml:1:1: wrong" in body
        finally:
            store.close()


@asynccontextmanager
async def a_crew(path: Path) -> AsyncIterator[list[app.Crew]]:
    """One at work, as the last of those that there will have been."""
    settings = app.load(path)
    store = Store(settings.store).open()
    crews = [await app.Crew(settings, store).__aenter__()]
    try:
        yield crews
    finally:
        await crews[-1].stop()
        store.close()


@pytest.mark.parametrize("listen", ["127.0.0.1", "localhost"], ids=["the page stays", "the page moves"])
async def test_nothing_remembers_a_crew_that_was_relieved(tmp_path: Path, listen: str) -> None:
    async with Simulator(STORY) as cloud, a_crew(path := written(tmp_path, cloud.url)) as crews:
        relieved: list[ref[object]] = []
        for host in (listen, "127.0.0.1"):
            for page in ("/", "/metrics", "/readyz", "/api/v1/tasks"):
                await ask(crews[-1], page)
            path.write_text(re.sub(r'listen: "[^:]*:', f'listen: "{host}:', path.read_text()))
            relieved += [ref(crews[-1].poller), ref(crews[-1].dispatcher)]
            crews[:] = [await app._reload(path, crews[-1], crews[-1].store)]
        await eventually(lambda: gc.collect() >= 0 and not any(each() for each in relieved))


async def test_who_looks_at_the_page_does_not_notice_a_reload(tmp_path: Path) -> None:
    async with (
        Simulator(STORY) as cloud,
        a_crew(path := written(tmp_path, cloud.url)) as crews,
        aiohttp.ClientSession() as session,
    ):
        before = crews[0].page
        async with session.get(f"{before}/stream") as stream:
            assert await stream.content.readline() == b"retry: 3000\n"
            path.write_text(path.read_text().replace("idle: 100ms", "idle: 110ms"))
            crews.append(await app._reload(path, crews[0], crews[0].store))
            assert crews[1].page == before
            assert crews[0].page is None
            crews[1].refused = "a fault of the new one"
            async with session.get(f"{before}/readyz") as answer:
                assert "a fault of the new one" in await answer.text()
            assert not stream.content.at_eof()


async def test_a_page_that_cannot_move_stays_where_it_was(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with Simulator(STORY) as cloud, a_crew(path := written(tmp_path, cloud.url)) as crews:
            path.write_text(path.read_text().replace("127.0.0.1:0", address))
            crews.append(await app._reload(path, crews[0], crews[0].store))
            status, _, body = await ask(crews[1], "/readyz")
            assert (status, crews[1].settings) == (503, crews[0].settings)
            assert address.rpartition(":")[2] in body


async def test_a_store_that_refuses_at_a_reload_costs_nobody_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_: Tidying) -> None:
        monkeypatch.undo()
        raise StoreError("the disk is full")

    async with Simulator(STORY) as cloud, a_crew(path := written(tmp_path, cloud.url)) as crews:
        before = crews[0].page
        path.write_text(path.read_text().replace("idle: 100ms", "idle: 110ms"))
        monkeypatch.setattr(Tidying, "retire", refused)
        crews.append(await app._reload(path, crews[0], crews[0].store))
        assert crews[1].page == before
        status, _, body = await ask(crews[1], "/readyz")
        assert (status, "the disk is full" in body) == (503, True)


async def test_a_reload_compiles_each_template_once_and_not_where_the_loop_would_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool]] = []

    def watched(text: str) -> Template:
        seen.append((text, threading.current_thread() is threading.main_thread()))
        return compiled(text)

    async with Simulator(STORY) as cloud, a_crew(path := written(tmp_path, cloud.url)) as crews:
        said = "task.failed: {title: 'ours {{ title }}', summary: '{{ summary }}'}, task.stalled: {title: 'ours {{ title }}'}"
        sinks = "".join(f"  {name}: {{type: console, stream: stderr, words: {{{said}}}}}\n" for name in ("a", "b", "c"))
        path.write_text(path.read_text().replace("\nhttp:", f"\n{sinks}http:"))
        monkeypatch.setattr(overrides, "compiled", watched)
        crews.append(await app._reload(path, crews[0], crews[0].store))
        assert sorted(seen) == [("ours {{ title }}", False), ("{{ summary }}", False)]
        event = sample(Kind.TASK_STALLED).event
        title = Words().title(event)
        heard = {name: outlet.settings.words.title(event) for name, outlet in crews[1].dispatcher.outlets.items()}
        assert heard == {"console": title, "a": f"ours {title}", "b": f"ours {title}", "c": f"ours {title}"}


async def test_a_look_at_everything_asks_the_list_too(tmp_path: Path) -> None:
    async with Simulator(STORY) as cloud:
        settings = app.load(written(tmp_path, cloud.url))
        found = await once.look_at_all(settings)
        assert sorted(cluster.name for cluster, _ in found) == ["search-a", "search-c"]
        assert not any(isinstance(known, FetchError) for _, known in found)
    [(listing, error)] = await once.look_at_all(settings)
    assert listing.name == "the clusters of prod"
    assert isinstance(error, FetchError)


def test_who_would_be_told_can_be_asked_though_no_cluster_is_named(tmp_path: Path) -> None:
    settings = app.load(written(tmp_path, "http://127.0.0.1:1"))
    event = inquiry.imagined(settings, Kind.TASK_FAILED, None, None)
    assert (event.cluster.project, event.cluster.name) == ("prod", "a cluster of prod")
    assert inquiry.imagined(settings, Kind.CLUSTER_FORGOTTEN, "search-9", None).cluster.name == "search-9"


@pytest.mark.parametrize(("projects", "words"), [(1, "those that 1 project lists"), (2, "those that 2 projects list")])
def test_check_counts_what_it_can(tmp_path: Path, projects: int, words: str) -> None:
    path = written(tmp_path, "http://127.0.0.1:1")
    one = path.read_text()
    head, tail = one.index("  - name"), one.index("poll:")
    another = one[head:tail].replace("name: prod", "name: test").replace(PROJECT_ID, "another") if projects > 1 else ""
    path.write_text(one[:tail] + another + one[tail:])
    done = CliRunner().invoke(main, ["check", "-c", str(path)])
    assert done.exit_code == 0, done.output
    assert f"0 clusters and {words}, 1 sinks" in done.output


async def test_what_was_loaded_is_kept_out_of_the_collectors_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = []

    async def watch(*_: object) -> None:
        frozen.append(gc.get_freeze_count())

    monkeypatch.setattr(app, "_watch", watch)
    monkeypatch.setattr("notifier.telemetry.configure", lambda *_, **__: None)
    try:
        await app.run(written(tmp_path, "http://127.0.0.1:1"))
    finally:
        gc.unfreeze()
    assert frozen[0] > 50_000
