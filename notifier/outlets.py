"""What is built of a sink of the configuration: the sink itself, and the outlet that serves it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from typing import cast

import aiohttp
from pydantic import BaseModel, SecretStr

from notifier import telemetry
from notifier.config import ConfigError, Problem, Settings, SinkEntry
from notifier.config.masking import secrets_in
from notifier.domain.holding import Holding, by_itself
from notifier.domain.model import Event
from notifier.domain.plan import Audience
from notifier.engine.attempt import DETAIL, Unusable, raised
from notifier.engine.desk import StoreDesk
from notifier.engine.door import Door
from notifier.engine.fallback import Fallback
from notifier.engine.listeners import Listeners
from notifier.engine.outlet import Outlet
from notifier.engine.reports import Reports
from notifier.engine.sending import LEASE, LONGEST_SEND, OutletSettings
from notifier.engine.turns import StoreTurns
from notifier.sinks import registry
from notifier.sinks.contract import Listening, Patient, Sink, SinkSettings, Surroundings
from notifier.sinks.pace import Pace, Paces
from notifier.sinks.posting import Mask
from notifier.store.store import Store

LONGEST_PATIENCE = 24 * 3600.0
"""Seconds that a sink may let an event wait, at the most: more than that is no wish but a slip."""

MOST_WORDS = 20
"""Words for what a sink went without. They are a metric's label, and a stranger's sink may think of ever new ones."""

LONGEST_WORD = 40
OTHER = "other"


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
        hide=hidden(entry),
    )


def hidden(entry: SinkEntry) -> Mask:
    """Hides a sink's secrets in what it says of a failure: a stranger's may quote what it was given."""
    return Mask(secrets_in(entry.settings))


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
    async def outlets(self, entries: Sequence[SinkEntry]) -> AsyncIterator[list[Outlet]]:
        """The outlets of the sinks, which are kept open as long as this is entered; at its end they close side by side.

        Raises:
            ConfigError: A sink cannot be built.
        """
        built = [self._outlet(entry) for entry in entries]
        doors = [door for _, door in built]
        try:
            for door in doors:
                await door.__aenter__()
            yield [outlet for outlet, _ in built]
        finally:
            await asyncio.gather(*(door.__aexit__(None, None, None) for door in doors))

    def _outlet(self, entry: SinkEntry) -> tuple[Outlet, Door]:
        name, hide = entry.name, hidden(entry)
        around = Surroundings(
            name=name,
            session=self._session,
            timeout=entry.timeout,
            words=entry.words,
            page=self._page,
            paces=self._paces,
            desk=self._desk,
            clock=self._store.now,
            report=entry.report,
            went_without=_going_without(name, hide),
        )
        try:
            sink = _paced(build_sink(entry, around))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's sink may raise anything
            telemetry.sink_crashed(name, error)
            told = Problem(f"sink {name}", f"cannot be built: {raised(error)}", remedy=f"that is a fault in {entry.type}")
            raise ConfigError([told]) from None
        crashed = partial(telemetry.sink_crashed, name)
        door = Door(sink, min(entry.timeout, LONGEST_SEND * self._lease), partial(telemetry.sink_shut, name), crashed, hide)
        if isinstance(sink, Listening):
            self.listeners.add(name, door, hide)
        patience = patient(sink, crashed) if isinstance(sink, Patient) else by_itself
        self._holdings[name] = Holding(patience, entry.digest, entry.quiet)
        fallback = Fallback(name, self.audience, entry.fallback_after)
        draw = Reports(self._store, entry.words) if entry.report else None
        settings = outlet_settings(entry, self._lease)
        outlet = Outlet(settings, sink, self._store, self._owner, fallback=fallback, draw=draw, door=door)
        return outlet, door


def _paced(sink: Sink) -> Sink:
    """The sink, unless it has a pace that is none.

    Raises:
        Unusable: It has.
    """
    if not isinstance(getattr(sink, "pace", None), Pace | None):
        raise Unusable("its pace is no Pace: take one from surroundings.paces")
    return sink


def patient(sink: Patient, crashed: Callable[[BaseException], None]) -> Callable[[Event], float | None]:
    """A sink's own patience, taken for none where it is a fault: it is asked within the poll, which must not fail for it.

    Args:
        sink: Whose code is a stranger's.
        crashed: Is told what it raised, or what was wrong with its answer.
    """

    def ask(event: Event) -> float | None:
        try:
            seconds: object = sink.patience(event)
            if seconds is None:
                return None
            if isinstance(seconds, int | float) and 0 <= seconds <= LONGEST_PATIENCE:
                return float(seconds)
            raise Unusable("patience gave back neither None nor a number of seconds")  # noqa: TRY301 - told like the others
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's sink may raise anything
            crashed(error)
            return None

    return ask


def _going_without(sink: str, hide: Mask) -> Callable[[str, str], None]:
    known: set[str] = set()

    def went_without(what: str, why: str) -> None:
        word = hide(what, LONGEST_WORD)
        if len(known) < MOST_WORDS:
            known.add(word)
        telemetry.went_without(sink, word if word in known else OTHER, hide(why, DETAIL))

    return went_without


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
