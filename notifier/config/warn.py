"""What is no error in a configuration but worth a look."""

import stat
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from notifier.config.document import Document
from notifier.config.problems import Path, Problem
from notifier.config.settings import FileSettings, SinkEntry
from notifier.config.tree import ScalarNode, child, entries

_URLS = frozenset({"url", "store"})
"""Keys whose values are hidden but need not be secret: only a password in them is."""


def warnings(document: Document, file: FilePath, settings: FileSettings, sinks: tuple[SinkEntry, ...]) -> Iterator[Problem]:
    """What has no effect, sinks that hear of nothing, secrets in the file, and that everybody can read it then."""
    if settings.routes is not None:
        routed = {name for route in settings.routes for name in route.sinks} | {sink.fallback for sink in sinks}
        routed |= {name for route in settings.routes if route.escalate for name in route.escalate.to}
        for sink in sinks:
            if sink.name not in routed:
                yield document.describe(
                    ("sinks", sink.name), "hears of nothing: no route names it", "name it in a route, or remove it"
                )
    for sink in sinks:
        yield from _idle(document, sink)
    if settings.tracing is not None and find_spec("opentelemetry") is None:
        remedy = "run pip install 'css-upgrade-notifier[otel]'"
        yield document.describe(("tracing",), "nothing is traced: the extra otel is not installed", remedy)
    literal = list(_literal(document, settings, sinks))
    for path in literal:
        yield document.describe(path, "a secret stands in the file itself", "write ${NAME} or ${file:/path}")
    if literal and _open_to_all(file):
        yield Problem(str(file), "everybody on this machine can read the secrets in it", remedy=f"run chmod 600 {file}")


def _idle(document: Document, sink: SinkEntry) -> Iterator[Problem]:
    """The keys of a sink that change nothing there."""
    given = entries(document.at(("sinks", sink.name)))
    if "fallback_after" in given and sink.fallback is None:
        what = "changes nothing: this sink has no fallback"
        yield document.describe(("sinks", sink.name, "fallback_after"), what, "name one, as in fallback: NAME, or leave it out")
    if not getattr(sink.settings, "speaks", True):
        # The hours of quiet are in the sink's zone, unless they have their own.
        keys = {"language", "words", "stages"} | (set() if sink.quiet else {"zone"})
        for key in (key for key in given if key in keys):
            what = "changes nothing: what hears this sink is a program"
            yield document.describe(("sinks", sink.name, key), what, "leave it out, or give it to a sink that people read")


def _open_to_all(file: FilePath) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _literal(document: Document, settings: FileSettings, sinks: tuple[SinkEntry, ...]) -> Iterator[Path]:
    found = list(_secrets(settings, ()))
    for sink in sinks:
        found += _secrets(sink.settings, ("sinks", sink.name))
    for path, secret in found:
        node = document.root
        for step in path:
            below = None if node is None else child(node, step)
            node = below if below is not None else node
        key = next((step for step in reversed(path) if isinstance(step, str)), "")
        if isinstance(node, ScalarNode) and not node.interpolated and (key not in _URLS or _password(secret)):
            yield path


def _password(secret: SecretStr) -> bool:
    try:
        return urlsplit(secret.get_secret_value()).password is not None
    except ValueError:  # its sink may take what is no URL; nobody knows what is in it
        return True


def _secrets(value: Any, path: Path) -> Iterator[tuple[Path, SecretStr]]:
    """The secrets in validated settings, with their paths."""
    if isinstance(value, SecretStr):
        yield path, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _secrets(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secrets(item, (*path, str(key)))
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            yield from _secrets(item, (*path, index))
