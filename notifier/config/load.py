"""Reads the file, validates it part by part, and collects everything that is wrong before it says so."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel, ValidationError

from notifier.config.document import Document, data_of
from notifier.config.fallbacks import check_fallbacks
from notifier.config.fields import SINK_NAME
from notifier.config.masking import harmless, may_show, scrub
from notifier.config.problems import ConfigError, Path, Problem
from notifier.config.settings import DeliverySettings, FileSettings, Settings, SinkEntry, SinkOptions
from notifier.config.tree import MappingNode, ScalarNode, entries, items
from notifier.config.warn import warnings
from notifier.config.wording import Trial, check_templates
from notifier.domain.model import Severity
from notifier.domain.routing import Matcher, Route, SeverityRange

MAX_BYTES = 1024 * 1024
CONCURRENCY = 2
"""Sends at once, unless the configuration or ``default_concurrency`` of the type's settings says otherwise."""

_DEFAULT_SINKS: Mapping[str, Any] = {"console": {"type": "console"}}

SinkTypes = Callable[[str], type[BaseModel]]
"""From a sink's type to what validates its settings; raises LookupError with words for a person."""

Endpoints = Callable[[str], str]
"""From a region to its endpoint; raises LookupError or ValueError with words for a person."""


def load(
    path: FilePath,
    *,
    sink_settings: SinkTypes,
    environ: Mapping[str, str],
    endpoint_of: Endpoints | None = None,
    trial: Trial | None = None,
) -> Settings:
    """The settings in a file.

    Args:
        path: The file; ``${file:…}`` in it begins in its folder.
        sink_settings: Gives what validates the settings of a sink type.
        environ: What ``${VAR}`` is filled in from.
        endpoint_of: Knows the regions; without it, any is taken that looks like one.
        trial: Tries the templates of words; without it, they are taken as they are.

    Raises:
        ConfigError: With everything that is wrong, each with line, column, path and remedy; no secret is repeated.
    """
    document = Document(str(path), _read(path), environ, path.parent)
    if document.root is None:
        raise ConfigError(document.problems)
    if not isinstance(document.root, MappingNode):
        document.problem((), "the file must be a mapping", "begin with a line projects:")
        raise ConfigError(document.problems)
    file = document.check(FileSettings, (), data_of(document.root))
    sinks = _Sinks(document, sink_settings).entries()
    _names(document)
    check_fallbacks(document)
    _unique(document)
    if endpoint_of is not None:
        _regions(document, endpoint_of)
    if trial is not None:
        check_templates(document, {sink.name: sink.said for sink in sinks}, trial)
    if document.problems or file is None:
        raise ConfigError(document.problems)
    return Settings(
        projects=file.projects,
        poll=file.poll,
        store=file.store.get_secret_value(),
        sinks=sinks,
        routes=_routes(file, sinks),
        http=file.http,
        log=file.log,
        heartbeat=file.heartbeat,
        metrics=file.metrics,
        tracing=file.tracing,
        warnings=tuple(warnings(document, path, file, sinks)),
    )


def _read(path: FilePath) -> str:
    def refuse(what: str, remedy: str) -> ConfigError:
        return ConfigError([Problem(str(path), what, remedy=remedy)])

    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise refuse("is larger than 1 MiB", "share what is repeated with anchors (&name, *name)")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}", "check its name and its permissions") from None
    except UnicodeDecodeError:
        raise refuse("is not text in UTF-8", "save it in UTF-8") from None
    except ValueError:
        raise refuse("cannot be read: not a file name", "check its name") from None


def _routes(file: FileSettings, sinks: tuple[SinkEntry, ...]) -> tuple[Route, ...]:
    if file.routes is None:
        return (Route(Matcher(severity=SeverityRange(lowest=Severity.INFO)), tuple(sink.name for sink in sinks)),)
    return tuple(route.route for route in file.routes)


@dataclass(frozen=True, slots=True)
class _Sinks:
    """Validates each sink: what any may say here, the rest by its type."""

    document: Document
    sink_settings: SinkTypes

    def entries(self) -> tuple[SinkEntry, ...]:
        """Those that are right; what is wrong with the others is added to the document."""
        given = self.document.at(("sinks",))
        if given is None:
            names: Mapping[str, Any] = _DEFAULT_SINKS
        elif isinstance(given, MappingNode):
            names = data_of(given)
        else:
            return ()
        found = [self._entry(name, options) for name, options in names.items()]
        return tuple(entry for entry in found if entry is not None)

    def _entry(self, name: str, options: Any) -> SinkEntry | None:
        path: Path = ("sinks", name)
        if not re.fullmatch(SINK_NAME, name):
            self.document.problem(path, "a sink's name is 1 to 40 of a-z, 0-9, _ and -", "rename it", at_key=True)
        if not isinstance(options, dict):
            self.document.problem(
                path, "must be a mapping with a type", f"write {name if harmless(name) else 'name'}: {{type: …}}"
            )
            return None
        shared = {key: value for key, value in options.items() if key in SinkOptions.model_fields}
        own = {key: value for key, value in options.items() if key not in SinkOptions.model_fields}
        kind = self._kind((*path, "type"), shared.get("type"))
        settings = None if kind is None else self.document.check(kind, path, own, also=SinkOptions.model_fields)
        served = self.document.check(SinkOptions, path, shared)
        if served is None or kind is None or settings is None:
            return None
        policy = self._merged(path)
        if policy is None:
            return None
        usual: int = getattr(kind, "default_concurrency", CONCURRENCY)
        return SinkEntry(
            name,
            served.type,
            settings,
            served.timeout,
            served.rate or getattr(kind, "default_rate", None),
            served.concurrency or usual,
            policy.policy,
            digest=served.digest or 0.0,
            quiet=None if served.quiet is None else served.quiet.quiet(served.speech.zone),
            words=served.speech,
            fallback=served.fallback,
            fallback_after=served.fallback_after,
            said={kind: telling.slots for kind, telling in served.words.items()},
            report=served.report,
        )

    def _kind(self, path: Path, name: Any) -> type[BaseModel] | None:
        """What validates a sink of that type; None where there is none, or none is named, which is told elsewhere."""
        node = self.document.at(path)
        if isinstance(node, ScalarNode):
            if node.failed or node.value is None or node.value == "":
                return None
            name = node.value if node.interpolated else node.text
        if not isinstance(name, str):
            return None
        try:
            return self.sink_settings(name)
        except LookupError as error:
            words = str(error.args[0]) if error.args else "unknown sink type"
            self.document.problem(path, scrub(words, path, self.document.at(path)))
            return None

    def _merged(self, path: Path) -> DeliverySettings | None:
        """The sink's own ``delivery`` over the file's; None if the file's is wrong or they contradict each other."""
        general, special = self.document.at(("delivery",)), self.document.at((*path, "delivery"))
        try:
            whole = DeliverySettings.model_validate({} if general is None else data_of(general))
        except ValidationError:  # told already, as part of the whole file
            return None
        if special is None or general is None:
            return whole if special is None else DeliverySettings.model_validate(data_of(special))
        return self.document.check(DeliverySettings, (*path, "delivery"), {**data_of(general), **data_of(special)})


def _names(document: Document) -> None:
    """Every sink that a route names must be there, whatever else is wrong with the file."""
    given = document.at(("sinks",))
    known = list(_DEFAULT_SINKS if given is None else entries(given))
    routes = items(document.at(("routes",)))
    for number, route in enumerate(routes):
        escalate = entries(route).get("escalate")
        named = [(("sinks",), entries(route).get("sinks")), (("escalate", "to"), entries(escalate).get("to"))]
        for key, listed, index, node in [(k, at, i, each) for k, at in named for i, each in enumerate(items(at))]:
            path: Path = ("routes", number, *key) if listed is node else ("routes", number, *key, index)
            if not isinstance(node, ScalarNode) or str(node.value) in known:
                continue
            close = [] if node.interpolated else get_close_matches(node.text, known, n=1)
            said = repr(node.text) if may_show(path, node) else "of that name"
            document.problem(path, f"there is no sink {said}", f"did you mean {close[0]!r}?" if close else "name one of sinks")


def _unique(document: Document) -> None:
    """No project and no cluster twice: the second would be told under the first one's name."""
    names: dict[Any, int] = {}
    clusters: dict[Any, int] = {}
    discovering: dict[Any, int] = {}
    for number, project in enumerate(items(document.at(("projects",)))):
        keys = entries(project)
        name, project_id = keys.get("name"), keys.get("project_id")
        if isinstance(name, ScalarNode) and names.setdefault(name.value, name.span.line) != name.span.line:
            document.problem(("projects", number, "name"), "another project has this name", f"see line {names[name.value]}")
        discover = keys.get("discover")
        if isinstance(discover, MappingNode) and isinstance(project_id, ScalarNode):
            line = discovering.setdefault(project_id.value, discover.span.line)
            if line != discover.span.line:
                path: Path = ("projects", number, "discover")
                told = "the clusters of this project_id are discovered already"
                document.problem(path, told, f"see line {line}; its name may be a list")
        for index, cluster in enumerate(items(keys.get("clusters"))):
            node = entries(cluster).get("id")
            if isinstance(node, ScalarNode) and isinstance(project_id, ScalarNode):
                key = (project_id.value, node.value)
                if key in clusters:
                    path = ("projects", number, "clusters", index, "id")
                    document.problem(path, "this cluster is watched already", f"see line {clusters[key]}")
                clusters.setdefault(key, node.span.line)


def _regions(document: Document, endpoint_of: Endpoints) -> None:
    """The endpoint of each region must be known, unless the project gives it."""
    for number, project in enumerate(items(document.at(("projects",)))):
        node = entries(project).get("region")
        if "endpoint" in entries(project) or not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            continue
        path: Path = ("projects", number, "region")
        try:
            endpoint_of(node.value)
        except (LookupError, ValueError) as error:
            document.problem(path, scrub(str(error.args[0]) if error.args else "unknown region", path, node))
