"""The one place where things are built and wired, started and stopped in order.

A ``Crew`` is everything built from one configuration around an open store: sources, poller, clock, sinks, outlets, web. It is
built whole before it starts, so a reload whose building fails leaves the crew at work untouched.

Long, because what is built is wired here and nowhere else.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Self, cast

import aiohttp
from pydantic import BaseModel, SecretStr

from notifier import config, telemetry
from notifier.config import ProjectSettings, Settings, SinkEntry
from notifier.domain.holding import Holding, by_itself
from notifier.domain.plan import Audience
from notifier.domain.reminders import look_every
from notifier.engine.budget import Budget
from notifier.engine.clock import Clock
from notifier.engine.desk import StoreDesk
from notifier.engine.dispatcher import Dispatcher, Outlet, OutletSettings
from notifier.engine.fallback import Fallback
from notifier.engine.listeners import Listeners
from notifier.engine.poller import Cadence, Poller, Watch
from notifier.engine.reminding import Reminding
from notifier.engine.shares import LEASE, Seat, Shares
from notifier.engine.tidying import Tidying
from notifier.outbound import open_session
from notifier.signals import Signals
from notifier.sinks import registry
from notifier.sinks.contract import Listening, Patient, Sink, SinkSettings, Surroundings
from notifier.sinks.pace import Paces
from notifier.sources.credentials import Credentials, FromEnvironment, FromMetadata, FromProfile, Given, Token
from notifier.sources.huawei_css import HuaweiCss
from notifier.sources.regions import endpoint_of
from notifier.sources.signing import Keys
from notifier.store.errors import StoreError
from notifier.store.postgres import listen
from notifier.store.store import Store
from notifier.web.health import Health
from notifier.web.server import Web
from notifier.wording.overrides import spoken
from notifier.wording.trial import tried

GRACE = 6.0
"""Seconds that deliveries under way may take at a stop; with the rest of the stop it stays under 8."""

HOURLY = 3600.0

SILENT = 3
"""Idle intervals without a good poll, and seconds without a turn of the clock, after which that is said."""


def load(path: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration.

    Raises:
        ConfigError: With everything that is wrong with it.
    """
    return config.load(
        path,
        sink_settings=lambda name: registry.load(name).settings,
        endpoint_of=endpoint_of,
        environ=os.environ if environ is None else environ,
        trial=tried,
    )


def endpoint(project: ProjectSettings) -> str:
    """Where a project's API is: given, or known from the region.

    Raises:
        UnknownRegionError: Neither.
    """
    return project.endpoint or endpoint_of(project.region)


@dataclass
class Crew:
    """Everything built from one configuration; ``async with`` it to have it at work."""

    settings: Settings
    store: Store
    lease: float = LEASE
    """Seconds after which another replica takes over what this one holds, if it falls silent."""

    async def __aenter__(self) -> Self:
        await self.build()
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def close(self) -> None:
        """Let go of what was built; for a crew that did not start, or has stopped."""
        await self._open.aclose()

    async def build(self) -> Self:
        """Build all of it, with nothing started but the HTTP sessions.

        Raises:
            OSError, ValueError: Something cannot be had.
        """
        self._open = AsyncExitStack()
        try:
            await self._build()
        except BaseException:
            await self.close()
            raise
        return self

    async def _build(self) -> None:
        settings = self.settings
        self.session = await self._open.enter_async_context(open_session(total=settings.poll.timeout))
        self.metadata = await self._open.enter_async_context(open_session(allow_metadata=True))
        # Never used again, not even by a process of the same number in a container of the same name.
        owner = f"{socket.gethostname()}/{os.getpid()}/{token_hex(3)}"
        outlets: list[Outlet] = []
        holdings: dict[str, Holding] = {}
        fallbacks = {entry.name: entry.fallback for entry in settings.sinks if entry.fallback is not None}
        audience = Audience(settings.routes, holdings, fallbacks)
        self.listeners = Listeners()
        paces, desk, clock = Paces(), StoreDesk(self.store), self.store.now
        for entry in settings.sinks:
            around = Surroundings(entry.name, self.session, entry.timeout, spoken(entry), page_of(settings), paces, desk, clock)
            sink = await self._open.enter_async_context(build_sink(entry, around))
            if isinstance(sink, Listening):
                self.listeners.add(entry.name, sink)
            fallback = Fallback(entry.name, audience, entry.fallback_after)
            outlets.append(Outlet(outlet_settings(entry, self.lease), sink, self.store, owner, fallback))
            patience = sink.patience if isinstance(sink, Patient) else by_itself
            holdings[entry.name] = Holding(patience, entry.digest, entry.quiet)
        self.dispatcher = Dispatcher(outlets)
        watches = [watch for project in settings.projects for watch in self._watches(project)]
        poll = settings.poll
        cadence = Cadence(active=poll.active, idle=poll.idle, unreachable_after=poll.unreachable_after)
        self.poller = Poller(watches, self.store, audience, cadence, self.dispatcher.told)
        seat = Seat(owner, tuple(entry.name for entry in settings.sinks), self.lease)
        self.shares = Shares(seat, self.store, self.poller, lambda: not self.health().problems)
        self.tidying = Tidying(self.store, frozenset(self.dispatcher.outlets))
        self.clock = Clock()
        self.clock.tick(self._tick, self.poller.delay)
        self.clock.every(seat.beat, self.shares.beat)
        self.clock.every(HOURLY, self.tidying.tidy)
        if (every := look_every(settings.routes)) is not None:
            self.clock.every(every, Reminding(self.store, audience, self.dispatcher.told).remind)

    def _watches(self, project: ProjectSettings) -> list[Watch]:
        timeout = self.settings.poll.timeout
        source = HuaweiCss(
            self.session,
            endpoint(project),
            project.project_id,
            credentials_of(project, self.metadata),
            clock=self.store.now,
            timeout=timeout,
        )
        budget = Budget(self.settings.poll.rate)
        # Four polls without a good answer are a gap in what we saw.
        patience = 4 * self.settings.poll.active
        limits = {each.id: each.limits(patience) for each in project.clusters}
        return [Watch(cluster, source, budget, limits=limits[cluster.id]) for cluster in project.watched]

    async def start(self) -> None:
        """Begin to look and to tell.

        Raises:
            OSError: Nothing can listen where the status page should.
        """
        self._ticked = asyncio.get_running_loop().time()
        http = self.settings.http
        self.web: Web | None = None
        if http is not None:
            token = None if http.token is None else http.token.get_secret_value()
            self.web = await self._open.enter_async_context(
                Web(self.store, host=http.host, port=http.port, token=token, health=self.health, retried=self.dispatcher.told)
            )
        # Last of what may fail: who holds clusters must poll them.
        self._open.push_async_callback(self.shares.leave)
        await self.shares.attend()
        await self.tidying.retire()
        if self.settings.store.startswith("postgresql:"):
            hints = asyncio.create_task(listen(self.settings.store, self.dispatcher.told), name="hints")
            self._open.callback(hints.cancel)
        self.dispatcher.start()
        self.listeners.start()
        self.clock.start()

    async def stop(self) -> None:
        """Stop looking at once, let what is being told be told, close everything."""
        self.clock.stop()
        await self.poller.stop()
        await self.listeners.stop()
        await self.shares.leave()
        await self.dispatcher.stop(GRACE)
        await self.close()

    @property
    def page(self) -> str | None:
        """Where the status page is, if there is one."""
        return None if self.web is None else self.web.url

    async def _tick(self) -> None:
        self._ticked = asyncio.get_running_loop().time()
        await self.poller.tick()

    def health(self) -> Health:
        """Whether the loops make progress, and what is wrong."""
        late = asyncio.get_running_loop().time() - self._ticked > SILENT
        problems = ["the clock stands still"] if late else []
        if self.shares.lapsed:
            problems.append("the store has not been reached for so long that nothing is polled")
        now, stale = self.store.now(), self.settings.poll.idle * SILENT
        ours = [watch for watch in self.poller.watches if self.poller.holds(watch)]
        details = [
            f"{watch.cluster.name}: no good answer {_since(watch.polled_at)}"
            for watch in ours
            if watch.failures and (watch.polled_at is None or (now - watch.polled_at).total_seconds() > stale)
        ]
        if details:
            problems.append(f"{len(details)} of {len(ours)} clusters cannot be polled")
        problems += [
            f"sink {name} is paused: {outlet.state.reason}"
            for name, outlet in self.dispatcher.outlets.items()
            if outlet.state.paused
        ]
        if (refusal := self.store.refusal) is not None and asyncio.get_running_loop().time() - refusal[0] <= stale:
            problems.append(f"the store refuses what it is given: {refusal[1].words}")
        return Health(alive=not late, problems=tuple(problems), details=tuple(details))


def _since(moment: datetime | None) -> str:
    return "since the start" if moment is None else f"since {moment:%Y-%m-%d %H:%M:%S} UTC"


def page_of(settings: Settings) -> str | None:
    """Where people reach the status page, if the configuration says so."""
    return None if settings.http is None else settings.http.url


def build_sink(entry: SinkEntry, surroundings: Surroundings) -> Sink:
    """The sink that an entry of the configuration describes."""
    kind = registry.load(entry.type)
    settings = cast("SinkSettings", entry.settings)  # Validated by this very type.
    return kind.sink(settings, surroundings)


def outlet_settings(entry: SinkEntry, lease: float = LEASE) -> OutletSettings:
    """How a sink is served."""
    return OutletSettings(
        name=entry.name,
        timeout=entry.timeout,
        concurrency=entry.concurrency,
        rate=entry.rate,
        policy=entry.policy,
        fingerprint=fingerprint(entry.type, entry.settings),
        lease=lease,
        words=spoken(entry),
    )


def fingerprint(kind: str, settings: BaseModel) -> str:
    """Changes whenever a sink's settings do, secrets included, and tells nothing of them."""
    return sha256(repr((kind, sorted(_plain(settings.model_dump()).items()))).encode()).hexdigest()


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    plain: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, SecretStr):
            plain[key] = value.get_secret_value()
        elif isinstance(value, dict):
            plain[key] = sorted(_plain(value).items())
        elif isinstance(value, (list, tuple)):
            plain[key] = [_plain({"": item})[""] for item in value]
        else:
            plain[key] = value
    return plain


def credentials_of(project: ProjectSettings, session: aiohttp.ClientSession) -> Credentials:
    """Where a project's keys come from. ``session`` may reach the metadata service, and is used for nothing else."""
    given = project.credentials
    if given.token is not None:
        return Given(Token(given.token.get_secret_value()))
    if given.access_key is not None and given.secret_key is not None:
        token = None if given.security_token is None else given.security_token.get_secret_value()
        return Given(Keys(given.access_key.get_secret_value(), given.secret_key.get_secret_value(), token))
    if given.origin == "profile":
        return FromProfile(None if given.profile_path is None else Path(given.profile_path))
    return FromMetadata(session) if given.origin == "metadata" else FromEnvironment()


async def run(path: Path, *, lease: float = LEASE) -> None:
    """Watch and tell until SIGTERM or SIGINT; SIGHUP reads the configuration again. ``lease``: see `Crew`.

    Raises:
        ConfigError, StoreError, OSError: It could not start.
        StoreDamaged: The store was damaged while it ran, and it stopped.
    """
    settings = load(path)
    telemetry.configure(settings.log.format, settings.log.level)
    store = Store(settings.store).open()
    try:
        signals = Signals()
        store.on_damage = signals.damaged
        crew = await Crew(settings, store, lease).__aenter__()
        telemetry.phase("app.started", "watching", clusters=len(crew.poller.watches), page=crew.page)
        try:
            while await signals.next() == signal.SIGHUP:
                crew = await _reload(path, crew, store)
            telemetry.phase("app.stopping", "stopping")
        finally:
            await crew.stop()
    finally:
        store.close()
    telemetry.phase("app.stopped", "stopped")


async def _reload(path: Path, crew: Crew, store: Store) -> Crew:
    """The crew of the file as it is now, at work; or the old one, with a word why."""
    try:
        settings = await asyncio.to_thread(load, path)  # Templates are tried in another process, which takes its time.
        if settings.store != crew.settings.store:
            raise StoreError("store: cannot change while running; restart to change it")  # noqa: TRY301 - said like the others
        fresh = await Crew(settings, store, crew.lease).build()
    except (config.ConfigError, StoreError, OSError, ValueError) as error:
        telemetry.reloaded(str(error))
        return crew
    await crew.stop()
    try:
        await fresh.start()
    except (StoreError, OSError) as error:
        # Only the page's address can fail here; the old one is free again, so the old crew can be had again.
        await fresh.close()
        telemetry.reloaded(str(error))
        return await Crew(crew.settings, store, crew.lease).__aenter__()
    telemetry.configure(settings.log.format, settings.log.level)
    telemetry.reloaded(None)
    return fresh


def schema() -> dict[str, object]:
    """The JSON Schema of the configuration, with the sink types that can be loaded."""
    usable = [kind for kind in registry.available() if isinstance(kind, registry.SinkType)]
    return config.json_schema({kind.name: kind.settings for kind in usable})
