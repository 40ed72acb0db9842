"""The server: what is answered where, with which headers, to whom; started and stopped by the application."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from importlib.resources import files
from ipaddress import ip_address
from typing import Self

from aiohttp import web

from notifier import metrics, telemetry
from notifier.report.pen import stylesheet
from notifier.store.errors import StoreError
from notifier.store.store import Store
from notifier.web.access import HEADERS, Access, Role
from notifier.web.api import Api
from notifier.web.changes import Changes
from notifier.web.connections import BACKLOG, Connection, Room
from notifier.web.health import Health
from notifier.web.pages import ROLE, Pages, apology
from notifier.web.problems import problem

MAX_BODY = 64 * 1024
STATIC = {
    "style.css": "text/css",
    "parts.css": "text/css",
    "live.js": "text/javascript",
    "act.js": "text/javascript",
    "favicon.svg": "image/svg+xml",
}
PICTURE = "picture.css"
"""How a timeline is painted on a dark page: told by what draws it."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Web:
    """Status page, REST, health and metrics at one address, while it is entered.

    Args:
        store: What is shown.
        host: Where to listen.
        port: 0 for any that is free; afterwards ``port`` says which.
        token: What to ask for; None to answer anybody, on loopback only.
        read_token: What to ask for where nothing is changed; ``token`` does as well.
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
        read_token: str | None = None,
    ) -> None:
        if token is None and not _is_loopback(host):
            raise ValueError(f"http.listen is {host}, which others can reach: set http.token, or listen on 127.0.0.1.")
        self._store = store
        self._host = host
        self.port = port
        self.attend(health, retried)
        self._access = Access(token, read_token)
        self._changes = Changes(store)
        self._room = Room()
        self._runner = web.AppRunner(
            self._application(Api(store, self._owed, self._asked)), handler_cancellation=True, shutdown_timeout=1.0
        )
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._host, self._host)  # noqa: S104 - read, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def attend(self, health: Callable[[], Health], retried: Callable[[frozenset[str]], None]) -> None:
        """Ask others from now on; for the arguments see `Web`."""
        self._health = health
        self._retried = retried

    def _asked(self) -> Health:
        return self._health()

    def _owed(self, sinks: frozenset[str]) -> None:
        self._retried(sinks)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def open(self) -> Self:
        """Begin to listen; whoever does has to ``close`` it.

        Raises:
            OSError: Nothing can listen there.
        """
        await self._runner.setup()
        try:
            # No `web.TCPSite`: the connections of its are not bounded.
            self._server = await asyncio.get_running_loop().create_server(
                self._connection, self._host, self.port, backlog=BACKLOG
            )
        except BaseException:
            await self._runner.cleanup()
            raise
        self.port = self._server.sockets[0].getsockname()[1]
        self._changes.start()
        return self

    def _connection(self) -> Connection:
        if self._runner.server is None:
            raise RuntimeError("A connection came before the start or after the end.")
        return Connection(self._runner.server, self._room, asyncio.get_running_loop())

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Answer nobody any more."""
        # Before the runner waits for handlers: streams would not end by themselves.
        await self._changes.close()
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        # aiohttp remembers the last thousand handlers of all applications there ever were, and so this. What it asks must not
        # be remembered along: everything that was built from one configuration.
        self.attend(lambda: Health(alive=False), lambda _: None)

    def _application(self, api: Api) -> web.Application:
        app = web.Application(middlewares=[_noted, _contained, self._checked], client_max_size=MAX_BODY)
        app.on_response_prepare.append(_add_headers)
        app.add_routes(
            [
                *Pages(self._store, self._asked).routes(),
                web.get("/stream", self._changes.stream, allow_head=False),  # it would hold a place and say nothing
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
        request[ROLE] = self._access.check(request)
        return await handler(request)

    async def _healthz(self, _request: web.Request) -> web.Response:
        alive = self._asked().alive
        return web.json_response({"alive": alive}, status=200 if alive else 503)

    async def _readyz(self, request: web.Request) -> web.Response:
        health = self._asked()
        ready = health.alive and not health.problems
        body: dict[str, object] = {"ready": ready, "problems": list(health.problems)}
        if self._access.role(request) is not Role.STRANGER:
            body["details"] = list(health.details)
        return web.json_response(body, status=200 if ready else 503)


@web.middleware
async def _noted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the connection that it is being answered, so that it does not have to make way for another."""
    connection = request.protocol
    if not isinstance(connection, Connection):
        return await handler(request)
    connection.begin()
    try:
        return await handler(request)
    finally:
        connection.end()


@web.middleware
async def _contained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as a problem; what is our fault is logged, and told to nobody."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        said = refusal.text or ""
        answer = _refused(request, refusal.status, "" if said.startswith(f"{refusal.status}:") else said)
        for name in ("Allow", "Retry-After", "WWW-Authenticate"):
            for value in refusal.headers.getall(name, []):
                answer.headers.add(name, value)
        return answer
    except StoreError as error:
        telemetry.store_failed("web", str(error))
        return _refused(request, 503, "The store does not answer; the log says why.")
    except Exception as error:  # noqa: BLE001 - the door to the outside: nothing of it may be shown
        telemetry.fault("web", error)
        return _refused(request, 500, "A fault of the notifier; the log says more.")


def _refused(request: web.Request, status: int, detail: str) -> web.Response:
    """The error as a page for a browser that was sent to one, else as a problem."""
    title = HTTPStatus(status).phrase
    if "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/api/"):
        return apology(request, status, title, detail)
    return problem(status, detail or title)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


async def _static(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name == PICTURE:
        return web.Response(text=stylesheet(), content_type="text/css")
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
