"""The one place where things are built and wired, started and stopped in order.

A ``Crew`` is everything built from one configuration around an open store: sources, poller, clock, sinks, outlets, web. It is
built whole before it starts, so a reload whose building fails leaves the crew at work untouched.

Long, because what is built is wired here and nowhere else.
"""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Self

from notifier import condition, config, metrics, telemetry, tracing
from notifier.config import Settings
from notifier.domain.reminders import look_every
from notifier.engine.clock import Clock
from notifier.engine.discovery import Discovery
from notifier.engine.dispatcher import Dispatcher
from notifier.engine.heartbeat import Heartbeat
from notifier.engine.poller import Cadence, Poller
from notifier.engine.pulse import EVERY, Pulse, Vitals
from notifier.engine.recording import recordings
from notifier.engine.reminding import Reminding
from notifier.engine.shares import LEASE, Seat, Shares
from notifier.engine.tidying import Tidying
from notifier.engine.watch import Watch
from notifier.outbound import open_session
from notifier.outlets import Building
from notifier.projects import Project
from notifier.signals import Signals
from notifier.sinks import registry
from notifier.sinks.posting import Mask
from notifier.sources.recorder import Recordings
from notifier.sources.regions import endpoint_of
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

PATIENCE = 0.4
"""Seconds to wait for a store that a command has opened to ask something; whoever stays there longer is another notifier."""

TICK = 1.0
"""Seconds within which the clock ticks, at the most."""


def load(path: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration.

    Raises:
        ConfigError: With everything that is wrong with it.
    """
    settings = config.load(
        path,
        sink_settings=lambda name: registry.load(name).settings,
        endpoint_of=endpoint_of,
        environ=os.environ if environ is None else environ,
        trial=tried,
    )
    return spoken(settings)


def speak(settings: Settings) -> None:
    """Log as the settings say, and write down no secret of theirs, whoever quotes it."""
    telemetry.configure(settings.log.format, settings.log.level, hide=Mask(settings.secrets).hide)


@dataclass
class Crew:
    """Everything built from one configuration; ``async with`` it to have it at work."""

    settings: Settings
    store: Store
    lease: float = LEASE
    """Seconds after which another replica takes over what this one holds, if it falls silent."""
    recordings: Recordings | None = None
    """Where the answers of every source are kept, if they are."""
    refused: str | None = None
    """Why a later state of the configuration's file is not in use."""
    web: Web | None = None
    """The page of the crew before, if it stays; a crew without one opens its own as it starts. It is this crew's to close."""

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
        if self.web is not None:
            await self.web.close()
        await self._open.aclose()

    async def build(self) -> Self:
        """Build all of it, with nothing started but the HTTP sessions.

        Raises:
            ConfigError, OSError, ValueError: Something cannot be had.
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
        # Little patience with the cloud must not break off what is being told: that would be told twice.
        patience = max((entry.timeout for entry in settings.sinks), default=0.0)
        telling = await self._open.enter_async_context(open_session(total=patience))
        # Never used again, not even by a process of the same number in a container of the same name.
        owner = f"{socket.gethostname()}/{os.getpid()}/{token_hex(3)}"
        building = Building(settings, self.store, telling, owner, self.lease)
        outlets = await self._open.enter_async_context(building.outlets(settings.sinks))
        audience, self.listeners = building.audience, building.listeners
        self.dispatcher = Dispatcher(outlets)
        poll = settings.poll
        cadence = Cadence(active=poll.active, idle=poll.idle, unreachable_after=poll.unreachable_after)
        projects = [
            Project(each, self.session, self.metadata, poll, clock=self.store.now, recordings=self.recordings)
            for each in settings.projects
        ]
        watches = [watch for project in projects for watch in project.watches]
        self.poller = Poller(watches, self.store, audience, cadence, self.dispatcher.told)
        surveys = [survey for project in projects if (survey := project.survey)]
        self.discovery = Discovery(surveys, self.poller, self.store, audience, self.dispatcher.told)
        seat = Seat(owner, tuple(entry.name for entry in settings.sinks), self.lease)
        self.shares = Shares(seat, self.store, self.poller, lambda: not self.health().problems)
        self.tidying = Tidying(self.store, frozenset(self.dispatcher.outlets), audience, self.dispatcher.told)
        self.ticking = Pulse("the clock", TICK)
        pulses = [self.ticking, *(outlet.pulse for outlet in outlets)]
        self.vitals = Vitals(self.store, [entry.name for entry in settings.sinks], pulses)
        beat = settings.heartbeat
        self.heartbeat: Heartbeat | None = None
        if beat is not None:
            url = beat.url.get_secret_value()
            self.heartbeat = Heartbeat(self.session, url, beat.every, beat.method, self.vitals.prove)
        self.clock = Clock()
        self.clock.tick(self._tick, self.poller.delay)
        self.clock.every(seat.beat, self.shares.beat)
        self.clock.every(HOURLY, self.tidying.tidy)
        self.clock.every(EVERY, self.vitals.write)
        if (every := look_every(settings.routes)) is not None:
            self.clock.every(every, Reminding(self.store, audience, self.dispatcher.told).remind)

    async def start(self) -> None:
        """Begin to look and to tell.

        Raises:
            OSError: Nothing can listen where the status page should.
        """
        await self.discovery.recall()
        await self._receive()
        # Last of what may fail: who holds clusters must poll them.
        self._open.push_async_callback(self.shares.leave)
        await self.shares.attend()
        await self.tidying.retire()
        if not self.store.alone:
            hints = asyncio.create_task(listen(self.settings.store, self.dispatcher.told), name="hints")
            self._open.callback(hints.cancel)
        await self.vitals.write()
        most = self.settings.metrics.clusters
        metrics.fleets(lambda: condition.fleets(self._ours), lambda: condition.singles(self._ours, most))
        telemetry.sinks_begin(self.dispatcher.outlets)
        self.vitals.begin()
        self.dispatcher.start()
        self.listeners.start()
        self.clock.start()
        if self.heartbeat is not None:
            self.heartbeat.start()

    async def _receive(self) -> None:
        """Answer whoever comes to the page."""
        http = self.settings.http
        if http is None:
            return
        if self.web is not None:
            self.web.attend(self.health, self.dispatcher.told)
            return
        token, read_token = http.tokens
        self.web = await Web(
            self.store,
            host=http.host,
            port=http.port,
            token=token,
            read_token=read_token,
            health=self.health,
            retried=self.dispatcher.told,
        ).open()

    def relieved(self, settings: Settings) -> Web | None:
        """The page, for the crew of these settings, so that nobody who looks at it notices; None if they want another."""
        if settings.http != self.settings.http:
            return None
        page, self.web = self.web, None
        return page

    async def stop(self) -> None:
        """Stop looking at once, let what is being told be told, close everything."""
        if self.heartbeat is not None:
            await self.heartbeat.stop()
        self.clock.stop()
        metrics.fleets(tuple)
        await self.discovery.stop()
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
        self.discovery.tick()
        await self.poller.tick()
        self.ticking.beat()

    def health(self) -> Health:
        """Whether the loops make progress, and what is wrong."""
        return condition.health(
            self.vitals,
            self._ours,
            self.discovery.surveys,
            self.dispatcher.outlets,
            idle=self.settings.poll.idle,
            refused=self.refused,
            lapsed=self.shares.lapsed,
        )

    @property
    def _ours(self) -> list[Watch]:
        """The clusters that this replica polls."""
        return [watch for watch in self.poller.watches if self.poller.holds(watch)]


async def run(path: Path, record: Path | None = None, *, redact_names: bool = False, lease: float = LEASE) -> None:
    """Watch and tell until SIGTERM or SIGINT; SIGHUP reads the configuration again.

    Args:
        path: The configuration.
        record: A folder to keep all answers in.
        redact_names: Whether names are replaced there.
        lease: See `Crew`.

    Raises:
        ConfigError, StoreError, OSError: It could not start.
        StoreDamaged: The store was damaged while it ran, and it stopped.
    """
    settings = load(path)
    speak(settings)
    _trace(settings)
    # What has been loaded stays: the collector need not go through it again and again, for which the loop would stand still.
    gc.collect()
    gc.freeze()
    store = Store(settings.store).open(PATIENCE)
    try:
        with recordings(record, names=redact_names) as kept:
            await _watch(path, settings, store, kept, lease)
    finally:
        store.close()
        tracing.end()
    telemetry.phase("app.stopped", "stopped")


async def _watch(path: Path, settings: Settings, store: Store, kept: Recordings | None, lease: float) -> None:
    signals = Signals()
    store.on_damage = signals.damaged
    crew = await Crew(settings, store, lease, kept).__aenter__()
    telemetry.phase("app.started", "watching", clusters=len(crew.poller.watches), page=crew.page)
    try:
        while await signals.next() == signal.SIGHUP:
            crew = await _reload(path, crew, store)
        telemetry.phase("app.stopping", "stopping")
    finally:
        await crew.stop()


def _trace(settings: Settings) -> None:
    """Trace, if that is wanted and can be done; that it cannot is no reason not to watch."""
    endpoint = None if settings.tracing is None else settings.tracing.endpoint
    if not tracing.wanted(endpoint, os.environ):
        return
    if tracing.installed():
        tracing.begin(endpoint, os.environ)
    else:
        telemetry.phase("tracing.missing", "no traces: they need the extra otel, pip install 'css-upgrade-notifier[otel]'")


async def _reload(path: Path, crew: Crew, store: Store) -> Crew:
    """The crew of the file as it is now, at work; or the old one, with a word why."""
    try:
        # Templates are tried in another process, and compiled: that takes its time.
        settings = await asyncio.to_thread(load, path)
        if settings.store != crew.settings.store:
            raise StoreError("store: cannot change while running; restart to change it")  # noqa: TRY301 - said like the others
        fresh = await Crew(settings, store, crew.lease, crew.recordings).build()
    except (config.ConfigError, StoreError, OSError, ValueError) as error:
        telemetry.reloaded(str(error))
        crew.refused = str(error)
        return crew
    fresh.web = crew.relieved(settings)
    await crew.stop()
    try:
        await fresh.start()
    except (StoreError, OSError) as error:
        # Only the store or a new address of the page can fail here; the old one is free again, so the old crew can be had again.
        page = fresh.relieved(crew.settings)
        await fresh.close()
        telemetry.reloaded(str(error))
        return await Crew(crew.settings, store, crew.lease, crew.recordings, refused=str(error), web=page).__aenter__()
    speak(settings)
    telemetry.reloaded(None)
    return fresh


def schema() -> dict[str, object]:
    """The JSON Schema of the configuration, with the sink types that can be loaded."""
    usable = [kind for kind in registry.available() if isinstance(kind, registry.SinkType)]
    return config.json_schema({kind.name: kind.settings for kind in usable})
