"""OpenTelemetry traces from a poll to the delivery of what it saw. Off unless asked for; does nothing without the extra ``otel``.

A poll is a trace of its own. So is each event: its trace id is the event's id without dashes, so that whoever holds a webhook, a
line of the log or ``notifier explain`` finds the trace, and every try of every delivery joins it, after a restart and in another
replica as well. An event's first span links to the poll that saw it.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from notifier import __version__
from notifier.domain.model import Cluster, Event

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, Span, SpanContext

GRACE = 2.0
"""Seconds that the last spans may take to be sent at a stop."""

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_NO_ROOT = (1 << 64) - 1

_provider: "TracerProvider | None" = None


class Noted(Protocol):
    """A span under way, to which what came of it is noted."""

    def note(self, *, error: str | None = None, **facts: str | int) -> None:
        """Say what came of it; ``error`` if it failed."""


class _Nothing:
    def note(self, *, error: str | None = None, **facts: str | int) -> None:
        """Nobody listens."""


_NOTHING: AbstractContextManager[Noted] = nullcontext(_Nothing())


class _Noting:
    def __init__(self, span: "Span") -> None:
        self._span = span

    def note(self, *, error: str | None = None, **facts: str | int) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_attributes(facts)
        if error is not None:
            self._span.set_status(StatusCode.ERROR, error)


def installed() -> bool:
    """Whether the extra ``otel`` is."""
    return all(find_spec(name) for name in ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter"))


def wanted(endpoint: str | None, environ: Mapping[str, str]) -> bool:
    """Whether traces are asked for: by the configuration, or by OpenTelemetry's own variables."""
    if endpoint is not None:
        return True
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER", "") == "none"
    return not off and any(environ.get(name) for name in ENDPOINTS)


def begin(endpoint: str | None, environ: Mapping[str, str]) -> None:
    """Trace from now on; needs the extra ``otel``. ``endpoint``: of a collector; None leaves it to OpenTelemetry's variables."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    facts = {"service.version": __version__}
    if not environ.get("OTEL_SERVICE_NAME"):
        facts["service.name"] = "css-upgrade-notifier"
    exporter = OTLPSpanExporter() if endpoint is None else OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
    provider = TracerProvider(resource=Resource.create(facts), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    use(provider)


def use(provider: "TracerProvider | None") -> None:
    """Trace by this provider from now on; None: no more."""
    global _provider  # noqa: PLW0603 - traces are the process's, like its log
    _provider = provider


def end() -> None:
    """Send what is left, within `GRACE` seconds, and trace no more."""
    provider = _provider
    use(None)
    if provider is not None:
        # A collector that does not answer must not hold up the stop.
        last = threading.Thread(target=provider.shutdown, name="last traces", daemon=True)
        last.start()
        last.join(GRACE)


def poll(cluster: Cluster) -> AbstractContextManager[Noted]:
    """The span of one poll."""
    return _NOTHING if _provider is None else _span(_provider, "poll", None, (), **_of_cluster(cluster))


def told(event: Event, committed_at: datetime) -> None:
    """The span of an event: from when it was seen to when it was committed. To be called within its poll's."""
    if _provider is None:
        return
    from opentelemetry.trace import Link, get_current_span

    seen_by = get_current_span().get_span_context()
    links = [Link(seen_by)] if seen_by.is_valid else []
    span = _provider.get_tracer("notifier").start_span(
        f"event {event.kind}",
        _context(event),
        attributes=_of_event(event),
        links=links,
        start_time=_nanoseconds(event.observed_at),
    )
    span.end(_nanoseconds(max(committed_at, event.observed_at)))


def delivery(sink: str, event: Event, earlier: Sequence[Event], attempt: int) -> AbstractContextManager[Noted]:
    """The span of one try to tell ``event``, and those told along with it, to a sink."""
    if _provider is None:
        return _NOTHING
    from opentelemetry.trace import Link

    links = [Link(_parent(each)) for each in earlier]
    facts = {**_of_event(event), "notifier.sink": sink, "notifier.attempt": attempt}
    return _span(_provider, f"deliver to {sink}", event, links, **facts)


@contextmanager
def _span(provider: "TracerProvider", name: str, event: Event | None, links: "Sequence[Link]", **facts: Any) -> Iterator[Noted]:
    context = None if event is None else _context(event)
    tracer = provider.get_tracer("notifier", __version__)
    with tracer.start_as_current_span(
        name, context, attributes=facts, links=links, record_exception=False, set_status_on_exception=False
    ) as span:
        noting = _Noting(span)
        try:
            yield noting
        except BaseException as error:
            noting.note(error=type(error).__name__)  # Its text may hold what a collector must not see.
            raise


def _context(event: Event) -> Any:
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    return set_span_in_context(NonRecordingSpan(_parent(event)))


def _parent(event: Event) -> "SpanContext":
    """What all spans of an event have above them: nobody sends it, everybody can work it out from the event's id."""
    from opentelemetry.trace import SpanContext, TraceFlags

    identity = UUID(event.id).int
    return SpanContext(identity, identity & _NO_ROOT or 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _of_cluster(cluster: Cluster) -> dict[str, str]:
    return {"css.cluster.id": cluster.id, "css.cluster.name": cluster.name, "css.project": cluster.project}


def _of_event(event: Event) -> dict[str, str | int]:
    facts: dict[str, str | int] = {
        **_of_cluster(event.cluster),
        "notifier.event.id": event.id,
        "notifier.event.kind": event.kind.value,
        "notifier.event.severity": event.severity.word,
        "notifier.event.sequence": event.sequence,
    }
    return facts if event.task is None else {**facts, "css.task.id": event.task.id}


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
