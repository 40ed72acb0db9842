"""What the program says about itself: one function a fact, which writes a log line with an ``action`` and moves a metric.

Labels come from bounded sets only (sink names, kinds, reasons); no cluster, task or node is ever a label. No argument of these
functions may hold a secret.

Long, because whoever looks for a line of the log or a metric finds all of them in one place.
"""

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Literal, Protocol, TextIO

import structlog
from prometheus_client import Counter, Gauge, Histogram

from notifier import metrics as measures

registry = measures.registry

_polls = Counter("notifier_polls", "Polls by outcome: changed, unchanged, or why they failed.", ["outcome"], registry=registry)
_ended_well = {outcome: _polls.labels(outcome) for outcome in ("changed", "unchanged")}
_discoveries = Counter(
    "notifier_discoveries",
    "Looks at a list of clusters by outcome: changed, unchanged, or why they failed.",
    ["outcome"],
    registry=registry,
)
_oddities = Counter(
    "notifier_answer_oddities", "Answers that were odd: stale, unknown status, unknown field.", ["what"], registry=registry
)
_drift = Counter(
    "notifier_schema_drift",
    "What answers held that this program does not know: field, task_status, stage_status, no_id.",
    ["kind"],
    registry=registry,
)
_events = Counter("notifier_events", "Events by kind.", ["kind"], registry=registry)
_deliveries = Counter(
    "notifier_deliveries", "Tries by sink, outcome and reason.", ["sink", "outcome", "reason"], registry=registry
)
_latency = Histogram(
    "notifier_delivery_latency_seconds",
    "From seeing a change to its delivery.",
    ["sink"],
    buckets=(0.1, 0.3, 1, 2, 5, 15, 60, 300, 3600, 86400),
    registry=registry,
)
_sinks_paused = Gauge("notifier_sink_paused", "1 while a sink is left alone because it fails.", ["sink"], registry=registry)
_deaf = Counter("notifier_sink_listening_failures", "Times a sink could not hear what people say.", ["sink"], registry=registry)
_without = Counter(
    "notifier_sink_without",
    "Messages told without a part of the work: look, whether an earlier try had got through could not be found out.",
    ["sink", "what"],
    registry=registry,
)
_lateness = Histogram(
    "notifier_poll_lateness_seconds",
    "How late polls start.",
    buckets=(0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
    registry=registry,
)
_lag = Histogram(
    "notifier_loop_lag_seconds",
    "How late the event loop is, ten times a second.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=registry,
)
_reloads = Gauge("notifier_config_last_reload_successful", "1 if the configuration in use is the file's.", registry=registry)
_heartbeats = Counter(
    "notifier_heartbeats", "Pings of the dead man's switch: sent, failed, withheld.", ["outcome"], registry=registry
)
_store_failures = Counter("notifier_store_failures", "Transactions that the store refused.", registry=registry)
_held = Gauge("notifier_clusters_held", "Clusters that this replica polls; the others are another's.", registry=registry)
_fenced = Counter("notifier_fenced", "Writes refused since another replica had taken over.", ["what"], registry=registry)

_template_failures = Counter(
    "notifier_template_failures", "Templates of a configuration that failed; ours was said.", ["sink", "kind"], registry=registry
)

_reloads.set(1)  # What is read at the start is the file's.

# Until `configure` is called: with `rich` at hand, the default slowly prints what is around a fault: perhaps secrets.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)
log = structlog.get_logger("notifier")

MOST_DRIFT = 500
"""Unknown things that are logged by name; after that they are only counted."""

_drift_seen: set[tuple[str, str]] = set()


class Drifted(Protocol):
    """Something of an answer that is not known: in what way, and its name."""

    @property
    def kind(self) -> str:
        """One of a few words."""

    @property
    def name(self) -> str:
        """As it was sent."""


CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029)
}
MOST = 2048
"""Characters of a field that are logged."""


def _tame(_logger: object, _name: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Keep a record one line and harmless to a terminal, whatever a cluster is called."""
    for key, value in fields.items():
        if isinstance(value, str) and key != "exception":
            fields[key] = value[:MOST].translate(CONTROL)
    return fields


def configure(
    style: Literal["auto", "console", "json"] = "auto",
    level: str = "info",
    stream: TextIO | None = None,
    *,
    hide: Callable[[str], str] = str,
) -> None:
    """Set up logging for the whole process, third parties included, on stderr unless told otherwise.

    Args:
        style: How lines are written; ``auto``: for people where the stream is a terminal.
        level: The lowest level that is written.
        stream: Where to.
        hide: Takes what is secret out of a text: it goes over tracebacks and over what others say.
    """
    stream = stream or sys.stderr

    def conceal(_logger: object, _name: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
        for key in ("event", "exception"):
            if key in fields:
                fields[key] = hide(str(fields[key]))
        return fields

    pretty = style == "console" or (style == "auto" and stream.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tame,
    ]
    last: structlog.typing.Processor = (
        # What is around the fault may hold secrets, and the default formatter prints it where `rich` happens to be installed.
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if pretty
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                conceal,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Their DEBUG prints whole URLs, tokens and headers included; it stays shut even when ours is open.
    for name in ("aiohttp", "apscheduler", "asyncio", "slack_sdk", "sqlalchemy", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def metrics() -> bytes:
    """All metrics in Prometheus' text format."""
    return measures.exposition()[0]


def poll_started(lateness: float) -> None:
    """A poll begins, so many seconds after it was due."""
    _lateness.observe(lateness)


def polled(outcome: Literal["changed", "unchanged"]) -> None:
    """A poll ended well."""
    _ended_well[outcome].inc()


def loop_lagged(seconds: float) -> None:
    """The loop came round so late."""
    _lag.observe(seconds)


def poll_failed(cluster: str, reason: str, detail: str) -> None:
    """A poll told nothing."""
    _polls.labels(reason).inc()
    log.warning("poll failed", action="poll.failed", cluster=cluster, reason=reason, detail=detail)


def discovered(outcome: Literal["changed", "unchanged"]) -> None:
    """A project's list of clusters was read."""
    _discoveries.labels(outcome).inc()


def discovery_failed(project: str, reason: str, detail: str) -> None:
    """A project's list of clusters could not be had; who was watched is watched on."""
    _discoveries.labels(reason).inc()
    log.warning("discovery failed", action="discovery.failed", project=project, reason=reason, detail=detail)


def answer_odd(cluster: str, what: str, detail: str) -> None:
    """An answer was odd, and was handled."""
    _oddities.labels(what).inc()
    log.info("odd answer", action="answer.odd", cluster=cluster, what=what, detail=detail)


def drifted(found: Iterable[Drifted]) -> None:
    """An answer held what this program does not know; each such thing is logged once."""
    for each in found:
        _drift.labels(each.kind).inc()
        if (each.kind, each.name) not in _drift_seen and len(_drift_seen) < MOST_DRIFT:
            _drift_seen.add((each.kind, each.name))
            log.info("unknown in an answer", action="answer.drift", what=each.kind, name=each.name)


def event_told(kind: str, cluster: str, event: str, summary: str) -> None:
    """An event was committed."""
    _events.labels(kind).inc()
    log.info(summary, action="event", kind=kind, cluster=cluster, id=event)


def delivered(sink: str, delivery: str, latency: float) -> None:
    """A delivery arrived."""
    _deliveries.labels(sink, "delivered", "").inc()
    _latency.labels(sink).observe(max(latency, 0.0))
    log.debug("delivered", action="delivery.delivered", sink=sink, id=delivery)


def delivery_failed(sink: str, delivery: str, *, outcome: str, reason: str, detail: str, verdict: str) -> None:
    """A try failed; ``verdict`` says what follows."""
    _deliveries.labels(sink, outcome, reason).inc()
    say = log.error if verdict == "dead" else log.warning
    say(
        "delivery failed",
        action="delivery.failed",
        sink=sink,
        id=delivery,
        outcome=outcome,
        reason=reason,
        detail=detail,
        verdict=verdict,
    )


def template_failed(sink: str, kind: str, slot: str, why: str) -> None:
    """A template of the configuration could not be filled in, so our own words were said."""
    _template_failures.labels(sink, kind).inc()
    log.error("template failed", action="template.failed", sink=sink, kind=kind, slot=slot, why=why)


def went_without(sink: str, what: str, why: str) -> None:
    """A sink could not do a part of its work, and told its message all the same."""
    _without.labels(sink, what).inc()
    log.warning("told without a part of the work", action="sink.without", sink=sink, what=what, why=why)


def sink_crashed(sink: str, error: BaseException) -> None:
    """A sink raised what it should not: a fault in its code, so its traceback is wanted."""
    # The message may quote what was sent; type and place are enough to find the fault.
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    log.error("sink crashed", action="sink.crashed", sink=sink, error=type(error).__name__, where=where)


def sink_shut(sink: str, detail: str, wait: float) -> None:
    """A sink cannot be opened; it is tried again in ``wait`` seconds, and its messages wait."""
    log.error("sink cannot be opened", action="sink.shut", sink=sink, detail=detail, again_in=round(wait))


def sink_paused(sink: str, until: str, reason: str, detail: str) -> None:
    """A sink is left alone."""
    _sinks_paused.labels(sink).set(1)
    log.error("sink paused", action="sink.paused", sink=sink, until=until, reason=reason, detail=detail)


def sink_stands(sink: str, *, paused: bool) -> None:
    """Another replica has paused a sink, or has found that it works again."""
    _sinks_paused.labels(sink).set(paused)


def keep_failed(sink: str, detail: str) -> None:
    """What lasts could not be said again."""
    log.warning("what lasts could not be said again", action="sink.keep_failed", sink=sink, detail=detail)


def sinks_begin(sinks: Iterable[str]) -> None:
    """These are the sinks from now on; one that is left alone is told of when its outlet starts."""
    _sinks_paused.clear()
    for sink in sinks:
        _sinks_paused.labels(sink).set(0)


def sink_resumed(sink: str) -> None:
    """Somebody ended the pause of a sink: it is tried again."""
    _sinks_paused.labels(sink).set(0)
    log.info("sink is tried again", action="sink.resumed", sink=sink)


def sink_recovered(sink: str) -> None:
    """A sink works again."""
    _sinks_paused.labels(sink).set(0)
    log.info("sink works again", action="sink.recovered", sink=sink)


def store_failed(what: str, detail: str) -> None:
    """The store refused a transaction."""
    _store_failures.inc()
    log.error("store failed", action="store.failed", what=what, detail=detail)


def holding(held: int, watched: int) -> None:
    """So many of the clusters are this replica's to poll from now on."""
    _held.set(held)
    log.info("share changed", action="shares.changed", held=held, watched=watched)


def fenced(what: str, subject: str) -> None:
    """Another replica had taken over, so what we were about to write was not written; ``what``: ``poll`` or ``delivery``."""
    _fenced.labels(what).inc()
    log.warning("taken over by another replica", action="fenced", what=what, subject=subject)


def listening_failed(sink: str, detail: str, wait: float) -> None:
    """A sink cannot hear what people say; it tries again in ``wait`` seconds."""
    _deaf.labels(sink).inc()
    log.warning("nobody listens", action="sink.deaf", sink=sink, detail=detail, again_in=round(wait))


def heartbeat(outcome: Literal["sent", "failed", "withheld"], detail: str) -> None:
    """The dead man's switch was told that all is well, could not be told, or must not be: that was not proved."""
    _heartbeats.labels(outcome).inc()
    say = log.debug if outcome == "sent" else log.warning
    say(f"heartbeat {outcome}", action=f"heartbeat.{outcome}", detail=detail)


def fault(what: str, error: BaseException) -> None:
    """A fault of ours was contained; its traceback is written down, without the secrets that `configure` was told to hide."""
    log.error("internal fault", action="fault", what=what, exc_info=error)


def reloaded(problem: str | None) -> None:
    """The configuration was read again; ``problem`` says why the old one stays."""
    _reloads.set(problem is None)
    if problem is None:
        log.info("configuration reloaded", action="config.reloaded")
    else:
        log.error("configuration kept: the new one is wrong", action="config.kept", problem=problem)


def report_incomplete(detail: str) -> None:
    """A report goes out without its picture."""
    log.warning("report without a picture", action="report.incomplete", detail=detail)


def recording_failed(detail: str) -> None:
    """Something is not recorded; the watch goes on."""
    log.error("recording failed", action="recording.failed", detail=detail)


def phase(action: str, message: str, **facts: str | float | None) -> None:
    """Starting, stopping, migrating: what happens rarely and once."""
    log.info(message, action=action, **facts)
