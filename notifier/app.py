"""The one place where things are built and wired, started and stopped in order.

A ``Crew`` is everything built from one configuration around an open store: sources, poller, clock, sinks, outlets, web. It is
built whole before it starts, so a reload whose building fails leaves the crew at work untouched.
"""

import os
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Self, cast

from pydantic import BaseModel, SecretStr

from notifier import condition, config, metrics, telemetry, tracing
from notifier.config import Settings, SinkEntry
from notifier.domain.errors import DeliveryReason
from notifier.domain.holding import Holding, by_itself
from notifier.domain.plan import Audience
from notifier.domain.reminders import look_every
from notifier.engine.clock import Clock
from notifier.engine.desk import StoreDesk
from notifier.engine.discovery import Discovery
from notifier.engine.dispatcher import Dispatcher, Outlet, OutletSettings
from notifier.engine.heartbeat import Heartbeat
from notifier.engine.listeners import Listeners
from notifier.engine.poller import Cadence, Poller
from notifier.engine.pulse import EVERY, Pulse, Vitals
from notifier.engine.recording import recordings
from notifier.engine.reminding import Reminding
from notifier.engine.reports import Reports
from notifier.engine.signals import Signals
from notifier.engine.tidying import Tidying
from notifier.outbound import open_session
from notifier.projects import Project
from notifier.sinks import registry
from notifier.sinks.contract import Listening, Patient, Sink, SinkSettings, Surroundings
from notifier.sinks.pace import Paces
from notifier.sources.recorder import Recordings
from notifier.sources.regions import endpoint_of
from notifier.store.errors import StoreError
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web.health import Health
from notifier.web.server import Web

GRACE = 6.0
"""Seconds that deliveries under way may take at a stop; with the rest of the stop it stays under 8."""

HOURLY = 3600.0

TICK = 1.0
"""Seconds within which the clock ticks, at the most."""


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
    )


@dataclass
class Crew:
    """Everything built from one configuration; ``async with`` it to have it at work."""

    settings: Settings
    store: Store
    recordings: Recordings | None = None
    """Where the answers of every source are kept, if they are."""
    refused: str | None = None
    """Why a later state of the configuration's file is not in use."""

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
        owner = f"{socket.gethostname()}/{os.getpid()}"
        outlets, holdings, self.listeners = [], {}, Listeners()
        paces, desk = Paces(), StoreDesk(self.store)
        for entry in settings.sinks:
            around = Surroundings(entry.name, self.session, entry.timeout, entry.words, page_of(settings), paces, desk)
            sink = await self._open.enter_async_context(build_sink(entry, around))
            if isinstance(sink, Listening):
                self.listeners.add(entry.name, sink)
            draw = Reports(self.store, entry.words) if entry.report else None
            outlets.append(Outlet(outlet_settings(entry), sink, self.store, owner, draw))
            patience = sink.patience if isinstance(sink, Patient) else by_itself
            holdings[entry.name] = Holding(patience, entry.digest, entry.quiet)
        self.dispatcher = Dispatcher(outlets)
        poll = settings.poll
        cadence = Cadence(active=poll.active, idle=poll.idle, unreachable_after=poll.unreachable_after)
        projects = [Project(each, self.session, self.metadata, poll, self.recordings) for each in settings.projects]
        audience = Audience(settings.routes, holdings)
        watches = [watch for project in projects for watch in project.watches]
        self.poller = Poller(watches, self.store, audience, cadence, self.dispatcher.told)
        surveys = [survey for project in projects if (survey := project.survey)]
        self.discovery = Discovery(surveys, self.poller, self.store, audience, self.dispatcher.told)
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
        self.clock.every(HOURLY, Tidying(self.store).tidy)
        self.clock.every(EVERY, self.vitals.write)
        if (every := look_every(settings.routes)) is not None:
            self.clock.every(every, Reminding(self.store, audience, self.dispatcher.told).remind)

    async def start(self) -> None:
        """Begin to look and to tell.

        Raises:
            OSError: Nothing can listen where the status page should.
        """
        names = frozenset(self.dispatcher.outlets)
        await self.store.transact(lambda tx: _retire(tx, names))
        await self.discovery.recall()
        http = self.settings.http
        self.web: Web | None = None
        if http is not None:
            token, read_token = http.tokens
            page = Web(
                self.store,
                host=http.host,
                port=http.port,
                token=token,
                read_token=read_token,
                health=self.health,
                retried=self.dispatcher.told,
            )
            self.web = await self._open.enter_async_context(page)
        await self.vitals.write()
        most = self.settings.metrics.clusters
        metrics.fleets(lambda: condition.fleets(self.poller.watches), lambda: condition.singles(self.poller.watches, most))
        telemetry.sinks_begin(names)
        self.vitals.begin()
        self.dispatcher.start()
        self.listeners.start()
        self.clock.start()
        if self.heartbeat is not None:
            self.heartbeat.start()

    async def stop(self) -> None:
        """Stop looking at once, let what is being told be told, close everything."""
        if self.heartbeat is not None:
            await self.heartbeat.stop()
        self.clock.stop()
        metrics.fleets(tuple)
        await self.discovery.stop()
        await self.poller.stop()
        await self.listeners.stop()
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
            self.poller.watches,
            self.discovery.surveys,
            self.dispatcher.outlets,
            idle=self.settings.poll.idle,
            refused=self.refused,
        )


def _retire(tx: Transaction, names: frozenset[str]) -> None:
    """Give up what is owed to sinks that are no longer configured; it can be sent again once they are back."""
    for name in {sink for sink, _ in tx.counts()} - names:
        now = datetime.now(UTC).timestamp()
        while tx.expire(name, now + 1, now, reason=DeliveryReason.REMOVED, detail="the sink is no longer in the configuration"):
            pass


def page_of(settings: Settings) -> str | None:
    """Where people reach the status page, if the configuration says so."""
    return None if settings.http is None else settings.http.url


def build_sink(entry: SinkEntry, surroundings: Surroundings) -> Sink:
    """The sink that an entry of the configuration describes."""
    kind = registry.load(entry.type)
    settings = cast("SinkSettings", entry.settings)  # Validated by this very type.
    return kind.sink(settings, surroundings)


def outlet_settings(entry: SinkEntry) -> OutletSettings:
    """How a sink is served."""
    return OutletSettings(
        name=entry.name,
        timeout=entry.timeout,
        concurrency=entry.concurrency,
        rate=entry.rate,
        policy=entry.policy,
        fingerprint=fingerprint(entry.type, entry.settings),
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


async def run(path: Path, record: Path | None = None, *, redact_names: bool = False) -> None:
    """Watch and tell until SIGTERM or SIGINT; SIGHUP reads the configuration again.

    Args:
        path: The configuration.
        record: A folder to keep all answers in.
        redact_names: Whether names are replaced there.

    Raises:
        ConfigError, StoreError, OSError: It could not start.
    """
    settings = load(path)
    telemetry.configure(settings.log.format, settings.log.level)
    _trace(settings)
    store = Store(settings.store).open()
    try:
        with recordings(record, names=redact_names) as kept:
            await _watch(path, settings, store, kept)
    finally:
        store.close()
        tracing.end()
    telemetry.phase("app.stopped", "stopped")


async def _watch(path: Path, settings: Settings, store: Store, kept: Recordings | None) -> None:
    signals = Signals()
    crew = await Crew(settings, store, kept).__aenter__()
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
        settings = load(path)
        if settings.store != crew.settings.store:
            raise StoreError("store: cannot change while running; restart to change it")  # noqa: TRY301 - said like the others
        fresh = await Crew(settings, store, crew.recordings).build()
    except (config.ConfigError, StoreError, OSError, ValueError) as error:
        telemetry.reloaded(str(error))
        crew.refused = str(error)
        return crew
    await crew.stop()
    try:
        await fresh.start()
    except (StoreError, OSError) as error:
        # Only the page's address can fail here; the old one is free again, so the old crew can be had again.
        await fresh.close()
        telemetry.reloaded(str(error))
        return await Crew(crew.settings, store, crew.recordings, refused=str(error)).__aenter__()
    telemetry.configure(settings.log.format, settings.log.level)
    telemetry.reloaded(None)
    return fresh


def schema() -> dict[str, object]:
    """The JSON Schema of the configuration, with the sink types that can be loaded."""
    usable = [kind for kind in registry.available() if isinstance(kind, registry.SinkType)]
    return config.json_schema({kind.name: kind.settings for kind in usable})
