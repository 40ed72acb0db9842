"""Traces from a poll to a delivery, by the SDK's exporter in memory; and none where nobody asked for any."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from engine_scripts import Sink, Source, cluster, eventually, fails, outlet, running, serving, settled, tell
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from notifier import tracing
from notifier.domain.errors import FetchError, FetchReason
from notifier.domain.model import Action
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.engine.budget import Budget
from notifier.engine.poller import Cadence, Poller
from notifier.engine.watch import Watch
from notifier.store.rows import State
from notifier.store.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store("sqlite://").open()
    yield opened
    opened.close()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    yield exporter
    tracing.use(None)


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def a_poller(store: Store, source: Source) -> Poller:
    watch = Watch(cluster(), source, Budget(10_000.0))
    return Poller([watch], store, Audience([Route(Matcher(), ("team",))]), Cadence(60.0, 60.0, 0.0), lambda _: None)


async def ticked(poller: Poller) -> None:
    await eventually(lambda: poller.delay() <= 0)
    await poller.tick()
    await eventually(lambda: not poller._polls)


async def test_an_events_id_is_its_trace_from_the_poll_to_every_delivery(store: Store, spans: InMemorySpanExporter) -> None:
    poller = a_poller(store, Source(lambda _, action: (running(),) if action is Action.UPGRADING else ()))
    await ticked(poller)
    [(_, event)] = await store.transact(lambda tx: tx.events())
    tries = [fails(), None]
    sink = Sink(lambda message: tries.pop(0) or Sink().script(message))
    async with serving(outlet(store, sink)):
        await eventually(settled(store, State.DELIVERED, 1))
        await eventually(lambda: len(named(spans, "deliver to team")) == 2)
    [poll], [told], (first, second) = (named(spans, name) for name in ("poll", "event task.started", "deliver to team"))
    assert trace_of(told) == trace_of(first) == trace_of(second) == UUID(event.id).int
    assert trace_of(poll) != trace_of(told)
    assert [link.context for link in told.links] == [poll.context]
    assert poll.attributes is not None
    assert dict(poll.attributes) == {
        "css.cluster.id": "id-of-search",
        "css.cluster.name": "search",
        "css.project": "prod",
        "events": 1,
    }
    assert told.attributes is not None
    assert (told.attributes["notifier.event.id"], told.attributes["css.task.id"]) == (event.id, "t1")
    assert first.attributes is not None
    assert second.attributes is not None
    assert (first.attributes["outcome"], first.attributes["reason"]) == ("retry", "server")
    assert (first.attributes["notifier.attempt"], second.attributes["notifier.attempt"]) == (1, 2)
    assert (first.status.status_code, second.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert told.start_time == int(event.observed_at.timestamp() * 1_000_000) * 1000
    assert (told.end_time or 0) >= told.start_time


async def test_a_poll_that_fails_says_so_and_one_that_crashes_tells_no_secret(store: Store, spans: InMemorySpanExporter) -> None:
    answers: list[Exception] = [FetchError(FetchReason.SERVER, "HTTP 503"), ZeroDivisionError("s3cr3t")]
    for answer in answers:
        await ticked(a_poller(store, Source(lambda *_, given=answer: given)))
    failed, crashed = named(spans, "poll")
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "no good answer")
    assert (crashed.status.status_code, crashed.status.description) == (StatusCode.ERROR, "ZeroDivisionError")
    assert "s3cr3t" not in crashed.to_json()


async def test_what_is_told_along_is_linked(store: Store, spans: InMemorySpanExporter) -> None:
    events = await store.transact(tell("search", "team"))
    with tracing.delivery("team", events[-1], events[:-1], 1) as span:
        span.note()
    [delivery] = named(spans, "deliver to team")
    assert [link.context.trace_id for link in delivery.links] == [UUID(event.id).int for event in events[:-1]]


async def test_nothing_is_traced_unless_it_is_wanted(store: Store) -> None:
    events = await store.transact(tell("search", "team"))
    with tracing.poll(cluster()) as span:
        span.note(error="x", events=1)
    with tracing.delivery("team", events[0], (), 1) as span:
        span.note()
    tracing.told(events[0], datetime.now(UTC))
    tracing.end()


@pytest.mark.parametrize(
    ("endpoint", "environ", "wanted"),
    [
        (None, {}, False),
        ("http://collector:4318", {}, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, False),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, False),
        (None, {"OTEL_SERVICE_NAME": "x"}, False),
    ],
)
def test_the_configuration_or_the_standard_variables_ask_for_traces(
    endpoint: str | None, environ: dict[str, str], wanted: bool
) -> None:
    assert tracing.wanted(endpoint, environ) is wanted


def test_the_extra_is_looked_for_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracing.installed()
    monkeypatch.setattr(tracing, "find_spec", lambda name: None if name == "opentelemetry.sdk" else object())
    assert not tracing.installed()


async def test_spans_reach_a_collector_and_a_stop_sends_the_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "GRACE", 10.0)
    asked: list[tuple[str, bytes]] = []

    async def collect(request: web.Request) -> web.Response:
        asked.append((request.path, await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/{tail:.*}", collect)
    async with TestServer(app) as server:
        tracing.begin(str(server.make_url("")).rstrip("/"), {})
        with tracing.poll(cluster()):
            pass
        # The collector lives on this loop, so the end has to leave it.
        await asyncio.to_thread(tracing.end)
    [(path, body)] = asked
    assert path == "/v1/traces"
    assert b"css-upgrade-notifier" in body


def test_a_collector_that_never_answers_does_not_hold_up_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "GRACE", 0.2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "60")
    with socket.create_server(("127.0.0.1", 0)) as collector:
        tracing.begin(f"http://127.0.0.1:{collector.getsockname()[1]}", {"OTEL_SERVICE_NAME": "mine"})
        with tracing.poll(cluster()):
            pass
        tracing.end()
        (last,) = (thread for thread in threading.enumerate() if thread.name == "last traces")
        assert last.is_alive(), "it was not waited for"
        asked, _ = collector.accept()
        with asked:
            asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            last.join()
