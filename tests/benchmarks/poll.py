"""What a poll costs, side by side in one run: CPU of this process per poll, the server being another process.

Run it with ``make bench``. Prints ratios to a bare aiohttp GET of the same bodies; absolute times vary with the machine.
"""

import asyncio
import gc
import json
import multiprocessing
import os
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any, Self

from aiohttp import web
from sqlalchemy import Engine, event

from notifier import telemetry
from notifier.domain.model import Cluster
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.engine.budget import Budget
from notifier.engine.poller import Cadence, Poller
from notifier.engine.watch import Watch
from notifier.outbound import open_session
from notifier.sources.credentials import Given
from notifier.sources.huawei_css import HuaweiCss
from notifier.sources.huawei_door import HuaweiDoor
from notifier.sources.signing import Keys
from notifier.sources.upgrades import STAGES
from notifier.sources.wire import read_page
from notifier.store.store import PRAGMAS, Store

PROJECT = "6204a5bd270343b5885144cf9c8c158d"
CLUSTERS = 40
ROUNDS = 60
KINDS = {"unchanged": "same", "changed and committed": "moving"}
"""What is measured, and how its clusters' names begin."""
REPEATS = 5
NODES = [f"bench-ess-esn-{number}-1" for number in range(1, 4)]
TIMES = ["", "2026-03-01T02:00:00", "2026-03-01T02:06:00"]


def answer(step: int) -> bytes:
    """The answer after so many changes: every change begins or ends one stage."""
    done, stage_at = divmod(step, 2 * len(STAGES))
    done = min(done, len(NODES) - 1)
    stages = []
    for order in range(len(STAGES)):
        state = min(max(stage_at - 2 * order, 0), 2)
        stages.append(
            {
                "order": order,
                "name": f"Stage {order}",
                "status": ["WAITING", "RUNNING", "SUCCESS"][state],
                "desc": "What this stage does, in a sentence as long as the usual ones are.",
                "beginTime": TIMES[min(state, 1)],
                "endTime": TIMES[2] if state > 1 else "",
            }
        )
    task: dict[str, Any] = {
        "id": "b7ac4c5b-3bda-4feb-a303-eb80f4bce986",
        "startTime": TIMES[1],
        "endTime": "",
        "status": "RUNNING",
        "agencyName": "css_agency",
        "imageInfo": {"id": "439b5d30", "displayName": "7.10.2_22.5.1_1230", "datastoreType": "elasticsearch"},
        "totalNodes": ",".join(NODES),
        "completedNodes": ",".join(NODES[:done]),
        "currentNodeName": NODES[done],
        "executeTimes": "1",
        "currentNodeDetail": stages,
    }
    return json.dumps({"totalSize": 1, "detailList": [task]}).encode()


BODIES = [answer(step) for step in range(ROUNDS + 1)]
EMPTY = b'{"totalSize": 0, "detailList": []}'


def serve(ports: "multiprocessing.Queue[int]") -> None:
    async def main() -> None:
        asked: dict[str, int] = {}

        async def detail(request: web.Request) -> web.Response:
            if request.query.get("action_mode"):
                return web.Response(body=EMPTY, content_type="application/json")
            cluster = request.match_info["cluster"]
            asked[cluster] = asked.get(cluster, -1) + 1
            step = 0 if cluster.startswith("same") else min(asked[cluster], ROUNDS)
            return web.Response(body=BODIES[step], content_type="application/json")

        app = web.Application()
        app.router.add_get("/v1.0/{project}/clusters/{cluster}/upgrade/detail", detail)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports.put(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


async def cpu(one: Callable[[], Awaitable[int]]) -> float:
    """CPU seconds of this process, all its threads, for each unit of work."""
    before = time.process_time()
    count = await one()
    return (time.process_time() - before) / count


async def bare(session: Any, url: str, names: list[str]) -> int:
    async def get(name: str) -> None:
        async with session.get(f"{url}/v1.0/{PROJECT}/clusters/{name}/upgrade/detail") as response:
            await response.read()

    await asyncio.gather(*(get(name) for name in names))
    return len(names)


async def polls(poller: Poller) -> int:
    await asyncio.gather(*(poller.poll(watch) for watch in poller.watches))
    return len(poller.watches)


class Script(list[tuple[str, Any]]):
    """What was said to SQLite, to be said again without anything around it."""

    def __init__(self) -> None:
        self._ears: dict[str, Callable[..., None]] = {
            "before_cursor_execute": lambda _connection, _cursor, statement, parameters, *_: self.append((statement, parameters)),
            "commit": lambda _: self.append(("COMMIT", ())),
            "rollback": lambda _: self.append(("ROLLBACK", ())),
        }

    def __enter__(self) -> Self:
        for name, ear in self._ears.items():
            event.listen(Engine, name, ear)
        return self

    def __exit__(self, *_: object) -> None:
        for name, ear in self._ears.items():
            event.remove(Engine, name, ear)

    def again(self, path: str) -> float:
        """CPU seconds of it all, on a fresh file."""
        connection = sqlite3.connect(path, isolation_level=None)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        before = time.process_time()
        for statement, parameters in self:
            say = connection.executemany if isinstance(parameters, list) else connection.execute
            say(statement, parameters)
        spent = time.process_time() - before
        connection.close()
        return spent


def reading() -> float:
    """CPU seconds of pydantic's part in reading an answer."""
    before = time.process_time()
    for body in BODIES:
        read_page(body)
    return (time.process_time() - before) / len(BODIES)


async def measure(url: str, folder: str, repeat: int) -> dict[str, list[tuple[float, float]]]:
    """For each kind of poll, the costs of a bare GET and of a poll in turns, so that both meet the same noise."""
    found: dict[str, list[tuple[float, float]]] = {}
    async with open_session() as session:
        source = HuaweiCss(HuaweiDoor(session, url, PROJECT, Given(Keys("AK" * 10, "SK" * 20))))
        store = Store(f"sqlite:///{folder}/bench-{repeat}.db").open()
        try:
            for kind, prefix in KINDS.items():
                names = [f"{prefix}-{repeat}-{number}" for number in range(CLUSTERS)]
                bare_names = [f"{prefix}-bare-{repeat}-{number}" for number in range(CLUSTERS)]
                watches = [Watch(Cluster(name, name, "r", "p", PROJECT), source, Budget(1e9)) for name in names]
                # Idle for an hour: after the first round only the list that moves is asked, one GET a poll as in the bare loop.
                poller = Poller(watches, store, Audience([Route(Matcher(), ("hook",))]), Cadence(15, 3600), lambda _: None)
                await polls(poller)
                await bare(session, url, bare_names)
                found[kind] = [
                    (await cpu(lambda n=bare_names: bare(session, url, n)), await cpu(lambda p=poller: polls(p)))  # type: ignore[misc]
                    for _ in range(ROUNDS)
                ]
        finally:
            store.close()
    return found


def sdk_loop(url: str, count: int) -> float:
    """The official client, polling one cluster."""
    os.environ["HOME"] = tempfile.mkdtemp()
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415 - it writes into HOME when imported
    from huaweicloudsdkcss.v1 import CssClient, UpgradeDetailRequest  # noqa: PLC0415 - likewise

    client = CssClient.new_builder().with_credentials(BasicCredentials("AK", "SK", PROJECT)).with_endpoint(url).build()
    request = UpgradeDetailRequest(cluster_id="same-sdk")
    client.upgrade_detail(request)
    before = time.process_time()
    for _ in range(count):
        client.upgrade_detail(request)
    return (time.process_time() - before) / count


def main() -> None:
    telemetry.configure("json", "warning")  # The log's cost is the terminal's or the collector's, not the poll's.
    ports: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(ports,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ports.get(timeout=20)}"
    gc.collect()
    gc.freeze()  # As the program does: or a collection of all that was imported falls to whoever comes by.
    with tempfile.TemporaryDirectory() as folder:
        runs = [asyncio.run(measure(url, folder, repeat)) for repeat in range(REPEATS)]
        with Script() as script:
            asyncio.run(measure(url, folder, REPEATS))
        written = script.again(f"{folder}/again.db") / (CLUSTERS * (ROUNDS + len(KINDS)))
    read = median(reading() for _ in range(REPEATS))
    sdk = sdk_loop(url, 200)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {CLUSTERS} clusters at once, CPU per poll, medians of {REPEATS * ROUNDS} rounds:")  # noqa: T201
    for kind in KINDS:
        rounds = [each for run in runs for each in run[kind]]
        base, cost = (median(each) for each in zip(*rounds, strict=True))
        ratio = median(poll / get for get, poll in rounds)
        print(f"  {kind:<22} {cost * 1e6:6.0f} us  = {ratio:.2f} x a bare GET of the same body ({base * 1e6:.0f} us)")  # noqa: T201
        print(f"  {'':<22} {'':6}     = 1/{sdk / cost:.1f} of the official SDK's loop ({sdk * 1e6:.0f} us)")  # noqa: T201
    asked = median(get for run in runs for get, _ in run["changed and committed"])
    least = asked + read + written
    parts = f"({asked * 1e6:.0f} + {read * 1e6:.0f} + {written * 1e6:.0f} us)"
    print(f"  of that the GET, pydantic reading it and SQLite writing alone: {least / asked:.2f} x {parts}")  # noqa: T201
    server.terminate()


if __name__ == "__main__":
    main()
