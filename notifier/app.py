"""The one place where things are built and wired, started and stopped in order.

A ``Crew`` is everything built from one configuration around an open store: sources, poller, clock, sinks, outlets, web. It is
built whole before it starts, so a reload whose building fails leaves the crew at work untouched.
"""

import asyncio
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

import aiohttp
from pydantic import BaseModel, SecretStr

from notifier import config, telemetry
from notifier.config import ProjectSettings, Settings, SinkEntry
from notifier.domain.errors import DeliveryReason
from notifier.domain.holding import Holding, by_itself
from notifier.domain.plan import Audience
from notifier.engine.budget import Budget
from notifier.engine.clock import Clock
from notifier.engine.dispatcher import Dispatcher, Outlet, OutletSettings
from notifier.engine.poller import Cadence, Poller, Watch
from notifier.engine.recording import recordings
from notifier.engine.reports import Reports
from notifier.engine.signals import Signals
from notifier.outbound import open_session
from notifier.sinks import registry
from notifier.sinks.contract import Patient, Sink, SinkSettings, Surroundings
from notifier.sources.credentials import Credentials, FromEnvironment, FromMetadata, FromProfile, Given, Token
from notifier.sources.huawei_css import HuaweiCss
from notifier.sources.recorder import Recordings
from notifier.sources.regions import endpoint_of
from notifier.sources.signing import Keys
from notifier.store.errors import StoreError
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web.health import Health
from notifier.web.server import Web

GRACE = 6.0
"""Seconds that deliveries under way may take at a stop; with the rest of the stop it stays under 8."""

RETENTION = 30 * 86400.0
"""Seconds for which delivered events are kept."""

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
    recordings: Recordings | None = None
    """Where the answers of every source are kept, if they are."""

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
        outlets, holdings = [], {}
        for entry in settings.sinks:
            sink = await self._open.enter_async_context(build_sink(entry, self.session, page_of(settings)))
            draw = Reports(self.store, entry.words) if entry.report else None
            outlets.append(Outlet(outlet_settings(entry), sink, self.store, owner, draw))
            patience = sink.patience if isinstance(sink, Patient) else by_itself
            holdings[entry.name] = Holding(patience, entry.digest, entry.quiet)
        self.dispatcher = Dispatcher(outlets)
        watches = [watch for project in settings.projects for watch in self._watches(project)]
        poll = settings.poll
        cadence = Cadence(active=poll.active, idle=poll.idle, unreachable_after=poll.unreachable_after)
        self.poller = Poller(watches, self.store, Audience(settings.routes, holdings), cadence, self.dispatcher.told)
        self.clock = Clock()
        self.clock.tick(self._tick, self.poller.delay)
        self.clock.every(HOURLY, self._tidy)

    def _watches(self, project: ProjectSettings) -> list[Watch]:
        timeout = self.settings.poll.timeout
        source = HuaweiCss(
            self.session, endpoint(project), project.project_id, credentials_of(project, self.metadata), timeout=timeout
        )
        kept = source if self.recordings is None else self.recordings.around(source)
        budget = Budget(self.settings.poll.rate)
        return [Watch(cluster, kept, budget) for cluster in project.watched]

    async def start(self) -> None:
        """Begin to look and to tell.

        Raises:
            OSError: Nothing can listen where the status page should.
        """
        names = frozenset(self.dispatcher.outlets)
        await self.store.transact(lambda tx: _retire(tx, names))
        http = self.settings.http
        self.web: Web | None = None
        if http is not None:
            token = None if http.token is None else http.token.get_secret_value()
            self.web = await self._open.enter_async_context(
                Web(self.store, host=http.host, port=http.port, token=token, health=self.health, retried=self.dispatcher.told)
            )
        self._ticked = asyncio.get_running_loop().time()
        self.dispatcher.start()
        self.clock.start()

    async def stop(self) -> None:
        """Stop looking at once, let what is being told be told, close everything."""
        self.clock.stop()
        await self.poller.stop()
        await self.dispatcher.stop(GRACE)
        await self.close()

    @property
    def page(self) -> str | None:
        """Where the status page is, if there is one."""
        return None if self.web is None else self.web.url

    async def _tick(self) -> None:
        self._ticked = asyncio.get_running_loop().time()
        await self.poller.tick()

    async def _tidy(self) -> None:
        """Delete what is old, a little at a time."""
        before = datetime.now(UTC).timestamp() - RETENTION
        try:
            while await self.store.transact(lambda tx: tx.forget(before)):
                pass  # A batch a transaction, so that nobody waits long behind it.
        except StoreError as error:
            telemetry.store_failed("tidy", str(error))

    def health(self) -> Health:
        """Whether the loops make progress, and what is wrong."""
        late = asyncio.get_running_loop().time() - self._ticked > SILENT
        problems = ["the clock stands still"] if late else []
        now, stale = datetime.now(UTC), self.settings.poll.idle * SILENT
        details = [
            f"{watch.cluster.name}: no good answer {_since(watch.polled_at)}"
            for watch in self.poller.watches
            if watch.failures and (watch.polled_at is None or (now - watch.polled_at).total_seconds() > stale)
        ]
        if details:
            problems.append(f"{len(details)} of {len(self.poller.watches)} clusters cannot be polled")
        problems += [
            f"sink {name} is paused: {outlet.state.reason}"
            for name, outlet in self.dispatcher.outlets.items()
            if outlet.state.paused
        ]
        return Health(alive=not late, problems=tuple(problems), details=tuple(details))


def _since(moment: datetime | None) -> str:
    return "since the start" if moment is None else f"since {moment:%Y-%m-%d %H:%M:%S} UTC"


def _retire(tx: Transaction, names: frozenset[str]) -> None:
    """Give up what is owed to sinks that are no longer configured; it can be sent again once they are back."""
    for name in {sink for sink, _ in tx.counts()} - names:
        now = datetime.now(UTC).timestamp()
        while tx.expire(name, now + 1, now, reason=DeliveryReason.REMOVED, detail="the sink is no longer in the configuration"):
            pass


def page_of(settings: Settings) -> str | None:
    """Where people reach the status page, if the configuration says so."""
    return None if settings.http is None else settings.http.url


def build_sink(entry: SinkEntry, session: aiohttp.ClientSession, page: str | None = None) -> Sink:
    """The sink that an entry of the configuration describes; its messages link to ``page``."""
    kind = registry.load(entry.type)
    settings = cast("SinkSettings", entry.settings)  # Validated by this very type.
    return kind.sink(settings, Surroundings(entry.name, session, entry.timeout, entry.words, page))


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
    store = Store(settings.store).open()
    try:
        with recordings(record, names=redact_names) as kept:
            await _watch(path, settings, store, kept)
    finally:
        store.close()
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


async def _reload(path: Path, crew: Crew, store: Store) -> Crew:
    """The crew of the file as it is now, at work; or the old one, with a word why."""
    try:
        settings = load(path)
        if settings.store != crew.settings.store:
            raise StoreError("store: cannot change while running; restart to change it")  # noqa: TRY301 - said like the others
        fresh = await Crew(settings, store, crew.recordings).build()
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
        return await Crew(crew.settings, store, crew.recordings).__aenter__()
    telemetry.configure(settings.log.format, settings.log.level)
    telemetry.reloaded(None)
    return fresh


def schema() -> dict[str, object]:
    """The JSON Schema of the configuration, with the sink types that can be loaded."""
    usable = [kind for kind in registry.available() if isinstance(kind, registry.SinkType)]
    return config.json_schema({kind.name: kind.settings for kind in usable})
