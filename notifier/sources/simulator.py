"""Huawei's CSS API as a server on loopback, playing a scenario at any speed: for the demo, for trying things out, for tests.

It answers what is polled (tasks, clusters), takes what an operator does (retry, terminate, a new upgrade, a new AZ migration),
verifies signatures if it is given keys, and misbehaves on demand. The marks (D), (C) and (I) are explained in ``upgrades``.
"""

import json
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from secrets import token_hex
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

from notifier.domain.model import Action, Status
from notifier.sources.faults import Fault, Faults, error_response, shrunk, spoil
from notifier.sources.gateway import Gateway, RefusedError, gateway_error, service_error
from notifier.sources.scenarios import ClusterPlan, Scenario, identifier
from notifier.sources.signing import Keys
from notifier.sources.upgrades import Attempt, Operation, TaskPlan, attempt_at

DEFAULT_LIMIT = 10
MAX_LIMIT = 1000
REMEMBERED_REQUESTS = 10_000

Paging = Literal["both", "start-only", "ignored"]
"""Which parameter says where a page begins: ``offset`` and the older ``start`` alike, only the older one, or neither (all I)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it was answered.

    ``outcome`` is ``ok``, the fault injected, or the code of the error. ``at`` is in scenario seconds.
    """

    at: float
    method: str
    path: str
    query: str
    outcome: str


@dataclass(frozen=True, slots=True)
class _Call:
    """What a handler needs to know of a request."""

    request: web.Request
    body: bytes
    at: float

    def number(self, name: str, default: int, most: int) -> int:
        """A parameter that counts from 1."""
        text = self.request.query.get(name, str(default))
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise service_error(400, "CSS.0001", f"Incorrect parameters. ({name})")
        return int(text)

    def payload(self, *required: str) -> dict[str, Any]:
        """The JSON object that was sent."""
        try:
            sent = json.loads(self.body)
        except ValueError:
            sent = None
        if not isinstance(sent, dict) or any(not sent.get(name) for name in required):
            raise service_error(400, "CSS.0001", f"Incorrect parameters. ({', '.join(required)})")
        return sent


class Simulator:
    """An async context manager that serves while it is open.

    Args:
        scenario: What is played.
        speed: Scenario seconds a real second.
        host: Loopback, unless others shall be able to ask.
        port: 0 takes any free one.
        keys: If given, signatures are verified, see `Gateway`.
        faults: May also be changed while it runs.
        paging: See `Paging`.
        monotonic: The clock that moves the scenario, in seconds.
        now: The wall clock; what it says on entering is second 0 of the scenario.

    Attributes:
        scenario: What is played, including what operators did.
        served: How often each outcome (see `Seen`).
        requests: The last ones.

    Raises:
        ValueError: The speed is not above zero.
        OSError: On entering, if nothing can listen there.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        speed: float = 1.0,
        host: str = "127.0.0.1",
        port: int = 0,
        keys: Keys | None = None,
        faults: Faults | None = None,
        paging: Paging = "both",
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be above zero, not {speed}")
        self.served: Counter[str] = Counter()
        self.requests: deque[Seen] = deque(maxlen=REMEMBERED_REQUESTS)
        self.host, self.port = host, port
        self.faults = faults or Faults()
        self._scenario, self._clusters = scenario, {cluster.id: cluster for cluster in scenario.clusters}
        self._speed, self._paging = speed, paging
        self._monotonic, self._now = monotonic, now
        self._began, self._epoch = monotonic(), now()
        self._gateway = Gateway(keys, now)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        cluster = "/v1.0/{project}/clusters/{cluster}"
        app.add_routes(
            [
                web.get("/v1.0/{project}/clusters", self._handler(self._list_clusters)),
                web.get(cluster, self._handler(self._show_cluster)),
                web.get(cluster + "/upgrade/detail", self._handler(self._upgrade_detail)),
                web.put(cluster + "/upgrade/{task}/retry", self._handler(self._retry)),
                web.post(cluster + "/inst-type/all/image/upgrade", self._handler(self._upgrade)),
                web.post(cluster + "/inst-type/{instances}/azmigrate", self._handler(self._migrate)),
                web.route("*", "/{anything:.*}", self._handler(_no_such_api)),
            ]
        )
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.port = int(self._runner.addresses[0][1])
        self._began, self._epoch = self._monotonic(), self._now()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The endpoint to configure, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def elapsed(self) -> float:
        """Scenario seconds since the beginning."""
        return (self._monotonic() - self._began) * self._speed

    @property
    def epoch(self) -> datetime:
        """Second 0 of the scenario on the API's clock."""
        return self._epoch

    @property
    def scenario(self) -> Scenario:
        """What is played, including what operators did so far."""
        return Scenario(self._scenario.name, self._scenario.description, tuple(self._clusters.values()))

    @property
    def faults(self) -> Faults:
        """How it misbehaves; setting it begins a new script."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults, self._fates = faults, faults.drawn()

    def _handler(self, answer: Callable[[_Call], web.Response]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            at, fault, body = self.elapsed, None, await request.read()
            try:
                self._gateway.admit(
                    request.method, request.rel_url.raw_path, request.rel_url.raw_query_string, request.headers, body
                )
                fault = next(self._fates) if request.method == "GET" else None
                good = answer(_Call(request, body, max(at - self._faults.stale_by, 0) if fault is Fault.STALE else at))
                outcome = "ok"
            except RefusedError as refusal:
                good, outcome = error_response(refusal), refusal.code
            outcome = fault.value if fault else outcome
            self.served[outcome] += 1
            self.requests.append(Seen(at, request.method, request.path, request.query_string, outcome))
            good.headers["X-Request-Id"] = token_hex(16)  # (D) in every answer of the gateway
            if fault is Fault.SHRUNK and isinstance(good.body, bytes):
                good.body = shrunk(good.body)
            return await spoil(fault, request, good, self._faults) if fault else good

        return handle

    def _cluster(self, call: _Call) -> ClusterPlan:
        cluster = self._clusters.get(call.request.match_info["cluster"])
        if cluster is None or not cluster.exists(call.at):
            raise service_error(403, "CSS.0015", "No resources are found or the access is denied.")  # (C)
        return cluster

    def _page(self, call: _Call, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """(D) pages begin at an item, counted from 1."""
        limit = call.number("limit", DEFAULT_LIMIT, MAX_LIMIT)
        first = 1 if self._paging == "ignored" else call.number("start", 1, MAX_LIMIT)
        if self._paging == "both":
            first = call.number("offset", first, MAX_LIMIT)
        return items[first - 1 : first - 1 + limit]

    def _list_clusters(self, call: _Call) -> web.Response:
        there = [cluster for cluster in self._clusters.values() if cluster.exists(call.at)]
        there.sort(key=lambda cluster: cluster.created, reverse=True)  # (D) newest first
        page = self._page(call, [cluster.detail(call.at, self._epoch) for cluster in there])
        return web.json_response({"totalSize": len(there), "clusters": page})

    def _show_cluster(self, call: _Call) -> web.Response:
        return web.json_response(self._cluster(call).detail(call.at, self._epoch))

    def _upgrade_detail(self, call: _Call) -> web.Response:
        mode = call.request.query.get("action_mode") or Action.UPGRADING
        if mode not in set(Action):
            raise service_error(400, "CSS.0001", "Incorrect parameters. (action_mode)")
        items = self._cluster(call).state(call.at, Action(mode), self._epoch)
        return web.json_response({"totalSize": len(items), "detailList": self._page(call, items)})

    def _retry(self, call: _Call) -> web.Response:
        """(D) only a FAILED task; an AZ migration can be terminated only while no node was moved."""
        cluster = self._cluster(call)
        mode = call.request.query.get("retry_mode")
        plan, attempt = _known(cluster, call.request.match_info["task"], call.at)
        if mode not in {None, "abort"} or attempt.status(call.at) != Status.FAILED or attempt.aborted <= call.at:
            raise service_error(400, "CSS.0004", "Invalid operation. (Illegal operation)")
        if mode and plan.action is Action.AZ_MIGRATION and attempt.completed(call.at):
            raise service_error(400, "CSS.0004", "Invalid operation. (Illegal operation)")
        self._clusters[cluster.id] = cluster.operated(plan.id, Operation(call.at, abort=mode == "abort"))
        return web.Response()

    def _upgrade(self, call: _Call) -> web.Response:
        sent = call.payload("target_image_id", "upgrade_type")
        return self._submit(call, Action.UPGRADING, batch=sent.get("batch_size") or 1)

    def _migrate(self, call: _Call) -> web.Response:
        sent = call.payload("source_az", "target_az", "migrate_type")
        return self._submit(call, Action.AZ_MIGRATION, source_az=str(sent["source_az"]), target_az=str(sent["target_az"]))

    def _submit(self, call: _Call, action: Action, **details: Any) -> web.Response:
        cluster = self._cluster(call)
        if cluster.running(call.at):
            raise service_error(HTTPStatus.CONFLICT, "CSS.0011", "The cluster is busy.")  # (C) 409, (I) its words
        serial = len(cluster.tasks)
        pace = cluster.tasks[-1].pace if cluster.tasks else 1.0
        nodes = _remaining(cluster, action, call.at)
        try:
            plan = TaskPlan(identifier(cluster.id, serial), nodes, call.at, action, pace=pace, seed=serial, **details)
        except (TypeError, ValueError):
            raise service_error(400, "CSS.0001", "Incorrect parameters. (batch_size)") from None
        self._clusters[cluster.id] = cluster.submitted(plan)
        return web.Response()  # (D) empty: the task must be found by asking


def _no_such_api(_call: _Call) -> web.Response:
    raise gateway_error(404, "APIGW.0101", "The API does not exist or has not been published in the environment")


def _known(cluster: ClusterPlan, task_id: str, at: float) -> tuple[TaskPlan, Attempt]:
    for plan in cluster.tasks:
        attempt = attempt_at(plan, at)
        if plan.id == task_id and attempt is not None:
            return plan, attempt
    raise service_error(400, "CSS.0001", "Incorrect parameters. (action_id)")


def _remaining(cluster: ClusterPlan, action: Action, at: float) -> tuple[str, ...]:
    """(I) after a terminated task, the nodes that it left; otherwise all."""
    for plan in sorted(cluster.tasks, key=lambda plan: -plan.start):
        attempt = attempt_at(plan, at)
        if attempt is not None and plan.action is action:
            return plan.nodes[attempt.completed(at) :] if attempt.aborted <= at else cluster.nodes
    return cluster.nodes
