"""Finds the sink that a configuration's ``type`` names, and imports it only then.

Three places are looked at: the modules beside this one (``webhook``), the entry points that installed packages offer in the
group ``notifier.sinks``, and any module that can be imported (``acme_pager.sink``). In each, a sink is a module with ``Settings``
and ``Sink``.
"""

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType
from typing import cast

from notifier import sinks
from notifier.domain.plain_text import one_line
from notifier.sinks.contract import TAKEN, Sink, SinkSettings

GROUP = "notifier.sinks"
BUILT_IN = "built in"
_NO_SINKS = frozenset(
    {
        *("contract", "registry", "conformance", "posting", "pace", "desk", "alertmanager_receipt", "alertmanager_silences"),
        *("email_headers", "email_letter", "email_progress", "email_report", "pagerduty_receipt", "smtp"),
        *("slack_blocks", "slack_board", "slack_calls", "slack_card", "slack_channel", "slack_files"),
        *("slack_modal", "slack_scopes", "slack_socket", "slack_talk"),
    }
)
"""What lies beside the sinks and is none."""

_NAMEABLE = re.compile(r"[A-Za-z0-9_.-]{1,100}")
"""What a configuration takes for a type."""

_IN_FULL = "its module's name with dots leads to it"


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
    offered, _ = _offered()
    try:
        if type_name in offered:
            origin, importing = offered[type_name]
            return _sink_type(type_name, origin, importing)
        if "." in type_name and all(part.isidentifier() for part in type_name.split(".")):
            return _sink_type(type_name, f"module {type_name}", lambda: _module(type_name))
    except _Unusable as error:
        raise UnknownSinkType(type_name, str(error)) from None
    why = f"there is none of that name{_remedy(type_name)}"
    raise UnknownSinkType(type_name, why, tuple(get_close_matches(type_name, offered, n=3)))


def available() -> list[SinkType | Broken]:
    """All that a configuration can name without dots, ours first, each imported; what cannot be used is kept with its reason."""
    found: list[SinkType | Broken] = []
    offered, unnamed = _offered()
    for name, (origin, importing) in offered.items():
        try:
            found.append(_sink_type(name, origin, importing))
        except _Unusable as error:
            found.append(Broken(name, origin, str(error)))
    return [*found, *unnamed]


def offers(kind: SinkType) -> tuple[str, ...]:
    """What the sinks of a type can do besides telling: ``merges``, ``checks``, ``keeps``, ``ends``; see ``contract``."""
    besides = {"merges": "patience", "checks": "check", "keeps": "keep", "ends": "end"}
    return tuple(word for word, method in besides.items() if callable(getattr(kind.sink, method, None)))


def _offered() -> tuple[dict[str, tuple[str, Callable[[], object]]], list[Broken]]:
    """Names with their origin and what imports them, the first to claim a name having it; and what no name leads to."""
    offered: dict[str, tuple[str, Callable[[], object]]] = {}
    unnamed: list[Broken] = []
    for name in sorted(module.name for module in iter_modules(sinks.__path__)):
        if name not in _NO_SINKS:
            offered[name] = (BUILT_IN, _importing(f"{sinks.__name__}.{name}"))
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        name, origin = one_line(point.name, 100), _origin(point)
        if point.name in offered:
            owner = offered[point.name][0]
            holder = "a sink that is built in" if owner == BUILT_IN else owner
            unnamed.append(Broken(name, origin, f"the name is taken by {holder}; {_IN_FULL}"))
        elif not _NAMEABLE.fullmatch(point.name):
            unnamed.append(Broken(name, origin, f"no configuration can have this name: use A-Z a-z 0-9 _ . -, or {_IN_FULL}"))
        else:
            offered[point.name] = (origin, point.load)
    return offered, unnamed


def _importing(module: str) -> Callable[[], ModuleType]:
    return lambda: import_module(module)


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else f"entry point {point.value}"


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # Its own import, not one that it makes.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        remedy = "install it, or set PYTHONPATH to the folder that holds it"
        raise _Unusable(
            f"cannot be imported: ModuleNotFoundError: {one_line(str(error), 300)}; {remedy}{_remedy(name)}"
        ) from None


def _remedy(name: str) -> str:
    """What to do about a name that leads nowhere, where that can be told."""
    if name.endswith(".py"):
        return (
            f"; it is the module that is named, not its file: put it into a package and write package.{one_line(name[:-3], 100)}"
        )
    if not name.isidentifier() or name in sys.stdlib_module_names:
        return ""
    try:
        spec = find_spec(name)
    except Exception:  # noqa: BLE001 - whatever lies there
        return ""
    if spec is None:
        return ""
    if spec.submodule_search_locations is not None:
        return f"; {name} is a package: name the module in it, such as {name}.sink"
    return f"; there is a module {name}, but what has no dot is one of ours: put it into a package and write package.{name}"


def _sink_type(name: str, origin: str, importing: Callable[[], object]) -> SinkType:
    """Import and check.

    Raises:
        _Unusable: It cannot be used; says why.
    """
    try:
        module = importing()
        settings, sink = getattr(module, "Settings", None), getattr(module, "Sink", None)
    except _Unusable:
        raise
    # A stranger's module may raise whatever it likes, and one that ends the program ends it without a word.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        raise _Unusable(f"cannot be imported: {type(error).__name__}: {one_line(str(error), 300)}") from None
    if not isinstance(module, ModuleType):
        raise _Unusable("its entry point does not name a module: name the module alone, without :Sink")
    if not (inspect.isclass(settings) and issubclass(settings, SinkSettings)):
        raise _Unusable("has no class Settings that derives from SinkSettings")
    if not inspect.isclass(sink):
        raise _Unusable("has no class Sink")
    _check_settings(settings)
    _check_sink(sink)
    return SinkType(name, origin, settings, cast("type[Sink]", sink))


def _check_settings(settings: type[SinkSettings]) -> None:
    names = {text for name, field in settings.model_fields.items() for text in (name, field.alias, field.validation_alias)}
    if taken := sorted(TAKEN & {text for text in names if isinstance(text, str)}):
        raise _Unusable(f"its Settings have {', '.join(taken)}, which is said of every sink and never reaches one: rename it")

    for name, kind in (("default_rate", int | float), ("default_concurrency", int)):
        found = getattr(settings, name, None)
        if found is not None and not (isinstance(found, kind) and found > 0):
            raise _Unusable(f"the {name} of its Settings is no number above zero")


def _check_sink(sink: type[object]) -> None:
    for method in ("send", "__aenter__", "__aexit__"):
        if not inspect.iscoroutinefunction(getattr(sink, method, None)):
            raise _Unusable(f"its Sink has no coroutine method {method}")
    for method in ("check", "keep", "end", "listen"):
        if (found := getattr(sink, method, None)) is not None and not inspect.iscoroutinefunction(found):
            raise _Unusable(f"its Sink's {method} is no coroutine method")
    if (found := getattr(sink, "patience", None)) is not None and (not callable(found) or inspect.iscoroutinefunction(found)):
        raise _Unusable("its Sink's patience is no plain method: it is asked while a poll is written down, and cannot be awaited")
    try:
        inspect.signature(sink).bind(None, None)
    except (TypeError, ValueError):
        raise _Unusable("its Sink cannot be built from (settings, surroundings)") from None
