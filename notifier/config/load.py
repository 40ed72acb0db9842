"""Reads the file, validates it part by part, and collects everything that is wrong before it says so."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from notifier.config.document import Document, read
from notifier.config.problems import ConfigError, Path
from notifier.config.settings import (
    ClusterSettings,
    CredentialsSettings,
    DeliverySettings,
    FileSettings,
    HttpSettings,
    LogSettings,
    MatchSettings,
    PollSettings,
    ProjectSettings,
    RouteSettings,
    Settings,
    SinkEntry,
    SinkOptions,
)
from notifier.domain.model import Severity
from notifier.domain.routing import Matcher, Route, SeverityRange

M = TypeVar("M", bound=BaseModel)

SinkTypes = Callable[[str], type[BaseModel]]
"""From a sink's type to what validates its settings; raises LookupError with words for a person."""

Regions = Callable[[str], str]
"""From a region to its endpoint; raises LookupError or ValueError with words for a person."""

SINK_NAME = "a sink's name is 1 to 40 of a-z, 0-9, _ and -"

UNSUPPORTED = {
    "discover": "discovery of clusters is not supported yet; list them under clusters",
    "window": "change windows are not supported yet",
    "stall": "stall detection is not supported yet",
    "repeat": "reminders are not supported yet",
    "escalate": "escalation is not supported yet",
    "fallback": "fallback sinks are not supported yet",
    "digest": "digests are not supported yet",
    "report": "end reports are not supported yet",
    "language": "messages in other languages are not supported yet",
    "heartbeat": "the heartbeat is not supported yet",
    "egress": "egress rules are not supported yet",
}
"""Keys that are planned. To ignore them would be to promise what does not happen."""

NAMES: Mapping[tuple[str, ...], type[BaseModel]] = {
    (): FileSettings,
    ("projects",): ProjectSettings,
    ("projects", "credentials"): CredentialsSettings,
    ("projects", "clusters"): ClusterSettings,
    ("poll",): PollSettings,
    ("routes",): RouteSettings,
    ("routes", "match"): MatchSettings,
    ("delivery",): DeliverySettings,
    ("http",): HttpSettings,
    ("log",): LogSettings,
}
"""Which keys can stand where, for suggestions."""


def load(path: FilePath, *, sink_settings: SinkTypes, endpoint_of: Regions, environ: Mapping[str, str]) -> Settings:
    """The settings in a file.

    Raises:
        ConfigError: With everything that is wrong, each with line, column, path and remedy; no value is repeated.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        document = Document()
        document.problem((), f"cannot be read: {error.strerror}")
        raise ConfigError(str(path), document.problems) from None
    except UnicodeDecodeError:
        document = Document()
        document.problem((), "is not UTF-8 text")
        raise ConfigError(str(path), document.problems) from None
    document = read(text, environ)
    settings = _settings(document, sink_settings, endpoint_of) if not document.problems or document.data else None
    if document.problems or settings is None:
        if not document.problems:
            document.problem((), "the file is empty; it needs projects: at least")
        raise ConfigError(str(path), document.problems)
    return settings


def _settings(document: Document, sink_settings: SinkTypes, endpoint_of: Regions) -> Settings | None:
    if not isinstance(document.data, dict):
        document.problem((), "the file must be a mapping, with keys such as projects: and sinks:")
        return None
    file = _validated(document, FileSettings, document.data, ())
    raw = document.data.get("sinks", {"console": {"type": "console"}})
    entries = list(_sinks(document, raw, _policy(document), sink_settings))
    names = list(raw) if isinstance(raw, dict) else []
    _dangling(document, names)
    if file is None:
        return None
    _unique(document, file)
    for index, project in enumerate(file.projects):
        try:
            project.endpoint or endpoint_of(project.region)
        except (LookupError, ValueError) as error:
            document.problem(("projects", index, "region"), str(error))
    return Settings(
        projects=file.projects,
        poll=file.poll,
        store=file.store.get_secret_value(),
        sinks=tuple(entries),
        routes=_routes(file, names),
        http=file.http,
        log=file.log,
        warnings=tuple(_warnings(document, file, names)),
    )


def _dangling(document: Document, names: list[str]) -> None:
    routes = document.data.get("routes")
    for index, route in enumerate(routes if isinstance(routes, list) else ()):
        sinks = route.get("sinks") if isinstance(route, dict) else None
        for sink in [sinks] if isinstance(sinks, str) else sinks or ():
            if sink not in names:
                document.problem(("routes", index, "sinks"), f"there is no sink {sink!r}{_hint(str(sink), names)}")


def _policy(document: Document) -> Mapping[str, Any]:
    common = document.data.get("delivery")
    return common if isinstance(common, dict) else {}


def _routes(file: FileSettings, names: list[str]) -> tuple[Route, ...]:
    if file.routes is None:
        return (Route(Matcher(severity=SeverityRange(lowest=Severity.INFO)), tuple(names)),)
    return tuple(Route(route.match.matcher, route.sinks) for route in file.routes)


def _unique(document: Document, file: FileSettings) -> None:
    projects: set[str] = set()
    clusters: set[str] = set()
    for index, project in enumerate(file.projects):
        if project.name in projects:
            document.problem(("projects", index, "name"), "another project has this name")
        projects.add(project.name)
        for place, cluster in enumerate(project.watched):
            if cluster.key in clusters:
                document.problem(("projects", index, "clusters", place, "id"), "this cluster is listed twice")
            clusters.add(cluster.key)


def _warnings(document: Document, file: FileSettings, names: list[str]) -> Iterator[str]:
    if file.routes is not None:
        routed = {sink for route in file.routes for sink in route.sinks}
        yield from (f"sink {name!r} hears of nothing: no route names it" for name in names if name not in routed)
    for path in sorted(document.literal, key=str):
        if path and str(path[-1]) in {"secret_key", "token", "security_token", "secret", "password", "routing_key"}:
            yield f"{'.'.join(map(str, path))} stands in the file itself; better: ${{NAME}} or ${{file:/path}}"


def _sinks(document: Document, raw: Any, common: Mapping[str, Any], sink_settings: SinkTypes) -> Iterator[SinkEntry]:
    if not isinstance(raw, dict):
        return
    for name, options in raw.items():
        path: Path = ("sinks", name)
        if not (0 < len(name) <= 40 and all(c.isascii() and (c.islower() or c.isdigit() or c in "_-") for c in name)):  # noqa: PLR2004
            document.problem(path, SINK_NAME)
        if not isinstance(options, dict):
            document.problem(path, "must be a mapping with a type, such as {type: console}")
            continue
        entry = _sink(document, path, options, common, sink_settings)
        if entry is not None:
            yield entry


def _sink(
    document: Document, path: Path, options: Mapping[str, Any], common: Mapping[str, Any], sink_settings: SinkTypes
) -> SinkEntry | None:
    shared = {key: value for key, value in options.items() if key in SinkOptions.model_fields}
    own = {key: value for key, value in options.items() if key not in SinkOptions.model_fields}
    served = _validated(document, SinkOptions, shared, path)
    override = shared.get("delivery")
    policy = _validated(
        document, DeliverySettings, {**common, **(override if isinstance(override, dict) else {})}, (*path, "delivery")
    )
    settings = kind = None
    if isinstance(shared.get("type"), str):
        try:
            kind = sink_settings(shared["type"])
        except LookupError as error:
            document.problem((*path, "type"), str(error.args[0] if error.args else error))
        else:
            settings = _validated(document, kind, own, path, also=SinkOptions)
    if served is None or policy is None or settings is None:
        return None
    concurrency = served.concurrency or int(getattr(kind, "default_concurrency", 2))
    return SinkEntry(str(path[-1]), served.type, settings, served.timeout, served.rate, concurrency, policy.policy)


def _validated(document: Document, model: type[M], data: Any, path: Path, also: type[BaseModel] | None = None) -> M | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False, include_context=False):
            where = (*path, *fault["loc"])
            if fault["type"] == "too_short" and isinstance(_at(data, fault["loc"]), list) and _at(data, fault["loc"]):
                continue  # It has items; that they are wrong is said of each.
            document.problem(where, _words(fault, where, model, also))
        return None


def _at(data: Any, loc: tuple[str | int, ...]) -> Any:
    """What stands at a place, as far as it can be followed."""
    for part in loc:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
    return data


def _words(fault: Any, where: Path, model: type[BaseModel], also: type[BaseModel] | None) -> str:
    if fault["type"] == "extra_forbidden":
        key = str(where[-1])
        if key in UNSUPPORTED:
            return UNSUPPORTED[key]
        place = tuple(str(part) for part in where[:-1] if isinstance(part, str))
        owner = NAMES.get(place, model)
        known = [*owner.model_fields, *(also.model_fields if also else ())]
        return f"unknown key {key!r}{_hint(key, known)}"
    if fault["type"] == "missing":
        return "is missing"
    return str(fault["msg"]).removeprefix("Value error, ")


def _hint(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(known)}" if known else ""
