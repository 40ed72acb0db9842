"""How long the cloud may take and how long a sink may take are two things, in the whole program."""

import asyncio
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer
from engine_scripts import eventually

from notifier import app
from notifier.sources.scenarios import PROJECT_ID, SCENARIOS
from notifier.sources.simulator import Simulator
from notifier.store.rows import State
from notifier.store.store import Store

CONFIG = """\
projects:
  - name: prod
    region: cn-north-4
    project_id: {project}
    endpoint: {cloud}
    credentials: {{access_key: AK, secret_key: SK}}
    clusters: [{{id: {cluster}}}]
poll: {{active: 100ms, idle: 100ms, timeout: 300ms, rate: 200}}
store: sqlite:///{folder}/notifier.db
sinks:
  hook: {{type: webhook, url: "{hook}"}}
http: off
"""
SLOW = 0.6
"""Seconds until the receiver answers: longer than the cloud may take, shorter than a sink may."""


async def test_a_short_patience_with_the_cloud_breaks_off_nothing_that_is_being_told(tmp_path: Path) -> None:
    came: list[str] = []

    async def slowly(request: web.Request) -> web.Response:
        came.append(request.headers["webhook-id"])
        await asyncio.sleep(SLOW)
        return web.Response()

    receiver, story, seconds = web.Application(), SCENARIOS["success"], [0.0]
    receiver.router.add_post("/", slowly)
    async with Simulator(story, speed=1, monotonic=lambda: seconds[0]) as cloud, TestServer(receiver) as hook:
        path = tmp_path / "notifier.yaml"
        names = {"project": PROJECT_ID, "cluster": story.clusters[0].id, "folder": tmp_path}
        path.write_text(CONFIG.format(cloud=cloud.url, hook=hook.make_url("/"), **names))
        settings = app.load(path)
        store = Store(settings.store).open()
        try:
            async with app.Crew(settings, store) as crew:
                await eventually(lambda: len(cloud.requests) > 4 and all(each.polled_at for each in crew.poller.watches))
                seconds[0] = 60.0
                await eventually(lambda: len(came) > 1)
            rows = await store.transact(lambda tx: tx.deliveries())
        finally:
            store.close()
    assert len(came) == len(set(came)), "told twice"
    told = [row for row in rows if row.state is State.DELIVERED]
    assert [row.attempts for row in told] == [1] * len(came)
