"""The server: what is answered where, with which headers, to whom; started and stopped by the application."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.resources import files
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from aiohttp import web

from notifier import metrics, telemetry
from notifier.store.errors import StoreError
from notifier.store.rows import State
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web import page
from notifier.web.access import HEADERS, Access
from notifier.web.api import Api, problem
from notifier.web.changes import Changes
from notifier.web.health import Health

MAX_BODY = 64 * 1024
STATIC = {"style.css": "text/css", "live.js": "text/javascript", "favicon.svg": "image/svg+xml"}
FEED = 30
"""Events on the page."""

DEAD_SHOWN = 50
"""Dead letters on the page."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Web:
    """Status page, REST, health and metrics at one address, while it is entered.

    Args:
        store: What is shown.
        host: Where to listen.
        port: 0 for any that is free; afterwards ``port`` says which.
        token: What to ask for; None to answer anybody, on loopback only.
        health: How the program is, asked at every request that wants to know.
        retried: Called with the sinks whose dead deliveries are owed again.

    Raises:
        ValueError: The token is empty, or there is none and ``host`` is not loopback.
        OSError: On entering: nothing can listen there.
    """

    def __init__(
        self,
        store: Store,
        *,
        host: str,
        port: int,
        token: str | None,
        health: Callable[[], Health],
        retried: Callable[[frozenset[str]], None],
    ) -> None:
        if token is None and not _is_loopback(host):
            raise ValueError(f"http.listen is {host}, which others can reach: set http.token, or listen on 127.0.0.1.")
        self._store = store
        self._host = host
        self.port = port
        self._health = health
        self._access = Access(token)
        self._changes = Changes(store)
        self._runner = web.AppRunner(
            self._application(Api(store, retried)), handler_cancellation=True, shutdown_timeout=1.0, access_log=None
        )

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._host, self._host)  # noqa: S104 - read, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        self.port = self._runner.addresses[0][1]
        self._changes.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Before the runner waits for handlers: streams would not end by themselves.
        await self._changes.close()
        await self._runner.cleanup()

    def _application(self, api: Api) -> web.Application:
        app = web.Application(middlewares=[_contained, self._checked], client_max_size=MAX_BODY)
        app.on_response_prepare.append(_add_headers)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/fragment", self._fragment),
                web.get("/stream", self._changes.stream),
                web.get("/static/{name}", _static),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", _metrics),
                *api.routes(),
            ]
        )
        return app

    @web.middleware
    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._access.check(request)
        return await handler(request)

    async def _page(self, _request: web.Request) -> web.Response:
        return await self._rendered("page.html")

    async def _fragment(self, _request: web.Request) -> web.Response:
        return await self._rendered("main.html")

    async def _rendered(self, template: str) -> web.Response:
        seen, health, now = await self._store.transact(_look), self._health(), datetime.now(UTC)
        # Thousands of clusters take longer than other requests should wait.
        text = await asyncio.to_thread(page.render, template, seen, health, now)
        return web.Response(text=text, content_type="text/html")

    async def _healthz(self, _request: web.Request) -> web.Response:
        alive = self._health().alive
        return web.json_response({"alive": alive}, status=200 if alive else 503)

    async def _readyz(self, request: web.Request) -> web.Response:
        health = self._health()
        ready = health.alive and not health.problems
        body: dict[str, object] = {"ready": ready, "problems": list(health.problems)}
        if self._access.knows(request):
            body["details"] = list(health.details)
        return web.json_response(body, status=200 if ready else 503)


def _look(transaction: Transaction) -> page.Seen:
    return page.Seen(
        clusters=transaction.clusters(),
        events=transaction.events(limit=FEED),
        sinks=transaction.sinks(),
        counts=transaction.counts(),
        dead=transaction.deliveries(state=State.DEAD, limit=DEAD_SHOWN),
    )


@web.middleware
async def _contained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as a problem; what is our fault is logged, and told to nobody."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        said = refusal.text or ""
        answer = problem(refusal.status, HTTPStatus(refusal.status).phrase if said.startswith(f"{refusal.status}:") else said)
        for name in ("Allow", "Retry-After", "WWW-Authenticate"):
            for value in refusal.headers.getall(name, []):
                answer.headers.add(name, value)
        return answer
    except StoreError as error:
        telemetry.store_failed("web", str(error))
        return problem(503, "The store does not answer; the log says why.")
    except Exception as error:  # noqa: BLE001 - the door to the outside: nothing of it may be shown
        telemetry.fault("web", error)
        return problem(500, "A fault of the notifier; the log says more.")


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


async def _static(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in STATIC:
        raise web.HTTPNotFound
    body = files("notifier.web").joinpath("static", name).read_bytes()
    return web.Response(body=body, content_type=STATIC[name], charset="utf-8")


async def _metrics(request: web.Request) -> web.Response:
    body, kind = metrics.exposition(request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": kind})


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
