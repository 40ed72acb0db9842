"""What is built of a sink of the configuration: the sink itself, and the outlet that serves it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from typing import cast

import aiohttp
from pydantic import BaseModel, SecretStr

from notifier import telemetry
from notifier.config import Settings, SinkEntry
from notifier.domain.holding import Holding, by_itself
from notifier.domain.plan import Audience
from notifier.engine.desk import StoreDesk
from notifier.engine.dispatcher import Outlet
from notifier.engine.fallback import Fallback
from notifier.engine.listeners import Listeners
from notifier.engine.reports import Reports
from notifier.engine.sending import LEASE, OutletSettings
from notifier.engine.turns import StoreTurns
from notifier.sinks import registry
from notifier.sinks.contract import Listening, Patient, Sink, SinkSettings, Surroundings
from notifier.sinks.pace import Paces
from notifier.store.store import Store


def page_of(settings: Settings) -> str | None:
    """Where people reach the status page, if the configuration says so."""
    return None if settings.http is None else settings.http.url


def build_sink(entry: SinkEntry, surroundings: Surroundings) -> Sink:
    """The sink that an entry of the configuration describes."""
    kind = registry.load(entry.type)
    settings = cast("SinkSettings", entry.settings)  # Validated by this very type.
    return kind.sink(settings, surroundings)


def alone(entry: SinkEntry, session: aiohttp.ClientSession, page: str | None = None) -> Sink:
    """A sink with no program around it, to be tried or asked."""
    return build_sink(entry, Surroundings(entry.name, session, entry.timeout, entry.words, page, report=entry.report))


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
        words=entry.words,
    )


class Building:
    """Builds the outlets of one configuration, and what they share.

    Attributes:
        audience: Who hears of what; complete once all outlets are built.
        listeners: The sinks that people can answer.
    """

    def __init__(self, settings: Settings, store: Store, session: aiohttp.ClientSession, owner: str, lease: float) -> None:
        fallbacks = {entry.name: entry.fallback for entry in settings.sinks if entry.fallback is not None}
        self._holdings: dict[str, Holding] = {}
        self.audience = Audience(settings.routes, self._holdings, fallbacks)
        self.listeners = Listeners()
        self._store = store
        self._session = session
        self._owner = owner
        self._lease = lease
        self._page = page_of(settings)
        # One process takes its turns in memory; replicas take them in the store.
        self._paces = Paces(None if store.alone else StoreTurns(store))
        self._desk = StoreDesk(store)

    @asynccontextmanager
    async def outlet(self, entry: SinkEntry) -> AsyncIterator[Outlet]:
        """The outlet of a sink, which is open as long as this is entered."""
        around = Surroundings(
            name=entry.name,
            session=self._session,
            timeout=entry.timeout,
            words=entry.words,
            page=self._page,
            paces=self._paces,
            desk=self._desk,
            clock=self._store.now,
            report=entry.report,
            went_without=partial(telemetry.went_without, entry.name),
        )
        async with build_sink(entry, around) as sink:
            if isinstance(sink, Listening):
                self.listeners.add(entry.name, sink)
            patience = sink.patience if isinstance(sink, Patient) else by_itself
            self._holdings[entry.name] = Holding(patience, entry.digest, entry.quiet)
            fallback = Fallback(entry.name, self.audience, entry.fallback_after)
            draw = Reports(self._store, entry.words) if entry.report else None
            yield Outlet(outlet_settings(entry, self._lease), sink, self._store, self._owner, fallback=fallback, draw=draw)


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
