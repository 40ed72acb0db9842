"""Finds the sink that a configuration's ``type`` names, and imports it only then.

Three places are looked at: the modules beside this one (``webhook``), the entry points that installed packages offer in the
group ``notifier.sinks``, and any module that can be imported (``acme_pager.sink``). In each, a sink is a module with ``Settings``
and ``Sink``.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from types import ModuleType
from typing import cast

from notifier import sinks
from notifier.domain.plain_text import one_line
from notifier.sinks.contract import Sink, SinkSettings

GROUP = "notifier.sinks"
BUILT_IN = "built in"
_NO_SINKS = frozenset(
    {
        *("contract", "registry", "conformance", "posting", "pace", "desk", "alertmanager_receipt", "alertmanager_silences"),
        *("email_letter", "email_report", "pagerduty_receipt", "smtp"),
        *("slack_blocks", "slack_board", "slack_calls", "slack_card", "slack_channel", "slack_files"),
        *("slack_modal", "slack_scopes", "slack_socket", "slack_talk"),
    }
)
"""What lies beside the sinks and is none."""


@dataclass(frozen=True, slots=True)
class SinkType:
    """A sink that can be built.

    Attributes:
        name: What a configuration calls it.
        origin: Where it comes from, for people: ``built in``, a distribution with its version, or a module.
        settings: What validates its part of the configuration.
        sink: Called with the validated settings and its surroundings.
    """

    name: str
    origin: str
    settings: type[SinkSettings]
    sink: type[Sink]


@dataclass(frozen=True, slots=True)
class Broken:
    """A sink that is offered but cannot be used. ``why`` is one line for a person."""

    name: str
    origin: str
    why: str


class UnknownSinkType(LookupError):
    """No usable sink has this name.

    Attributes:
        type_name: What was asked for.
        why: One line: what was wrong with what was found, or that nothing was.
        matches: Names that are written much like it.
    """

    def __init__(self, type_name: str, why: str, matches: tuple[str, ...] = ()) -> None:
        hint = f"; did you mean {' or '.join(matches)}?" if matches else ""
        super().__init__(f"sink type {one_line(type_name, 100)!r}: {why}{hint}")
        self.type_name = type_name
        self.why = why
        self.matches = matches


class _Unusable(Exception):
    """Why a module is no sink, in one line."""


def load(type_name: str) -> SinkType:
    """The sink type of that name: a module of ours before an entry point before a module of that name.

    Raises:
        UnknownSinkType: There is none, or it cannot be imported, or it is not what a sink has to be.
    """
    offered = _offered()
    try:
        if type_name in offered:
            origin, importing = offered[type_name]
            return _sink_type(type_name, origin, importing)
        if "." in type_name and all(part.isidentifier() for part in type_name.split(".")):
            return _sink_type(type_name, f"module {type_name}", lambda: import_module(type_name))
    except _Unusable as error:
        raise UnknownSinkType(type_name, str(error)) from None
    raise UnknownSinkType(type_name, "there is none of that name", tuple(get_close_matches(type_name, offered, n=3)))


def available() -> list[SinkType | Broken]:
    """All that a configuration can name without dots, ours first, each imported; what cannot be used is kept with its reason."""
    found: list[SinkType | Broken] = []
    for name, (origin, importing) in _offered().items():
        try:
            found.append(_sink_type(name, origin, importing))
        except _Unusable as error:
            found.append(Broken(name, origin, str(error)))
    return found


def offers(kind: SinkType) -> tuple[str, ...]:
    """What the sinks of a type can do besides telling: ``merges``, ``checks``, ``keeps``; see ``contract``."""
    besides = {"merges": "patience", "checks": "check", "keeps": "keep"}
    return tuple(word for word, method in besides.items() if callable(getattr(kind.sink, method, None)))


def _offered() -> dict[str, tuple[str, Callable[[], object]]]:
    """Names with their origin and what imports them; the first to claim a name has it."""
    offered: dict[str, tuple[str, Callable[[], object]]] = {}
    for name in sorted(module.name for module in iter_modules(sinks.__path__)):
        if name not in _NO_SINKS:
            offered[name] = (BUILT_IN, _importing(f"{sinks.__name__}.{name}"))
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        offered.setdefault(point.name, (_origin(point), point.load))
    return offered


def _importing(module: str) -> Callable[[], ModuleType]:
    return lambda: import_module(module)


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else f"entry point {point.value}"


def _sink_type(name: str, origin: str, importing: Callable[[], object]) -> SinkType:
    """Import and check.

    Raises:
        _Unusable: It cannot be used; says why.
    """
    try:
        module = importing()
    except Exception as error:  # noqa: BLE001 - a stranger's module may raise whatever it likes
        raise _Unusable(f"cannot be imported: {type(error).__name__}: {one_line(str(error), 300)}") from None
    settings, sink = getattr(module, "Settings", None), getattr(module, "Sink", None)
    if not (inspect.isclass(settings) and issubclass(settings, SinkSettings)):
        raise _Unusable("has no class Settings that derives from SinkSettings")
    if not inspect.isclass(sink):
        raise _Unusable("has no class Sink")
    for method in ("send", "__aenter__", "__aexit__"):
        if not inspect.iscoroutinefunction(getattr(sink, method, None)):
            raise _Unusable(f"its Sink has no coroutine method {method}")
    return SinkType(name, origin, settings, cast("type[Sink]", sink))
