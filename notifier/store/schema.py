"""The tables, once, for SQLite and PostgreSQL.

Moments that the engine computes with are seconds since 1970 (UTC) as doubles; documents (known state, events, receipts) are JSON
text, written and read by ``codec``. A lane is what is delivered in order: sink + task, or sink + cluster for ``cluster.*``. Its
``next_at`` is when it may be claimed: ``retry_at`` after a failure, else the earliest ``ready_at`` of what it owes. A delivery's
``position`` is its event's sequence times `STRIDE`, plus its number if it is a reminder: after its news, before the next.
A replica has one lease for all its clusters, in its own row; a ``watch`` belongs to its owner while that lease lasts, and its
``epoch`` rises whenever it changes hands.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)

HEAD = "0010"
"""The newest migration; a database that says otherwise is migrated, or refused if it is newer than this program."""

STRIDE = 10_000
"""Between the positions of two events of a lane; one more than there can be reminders of an event."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Autoincrement = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in a column of type INTEGER."""

cluster = Table(
    "cluster",
    metadata,
    Column("key", String, primary_key=True),
    Column("facts", Text, nullable=False),
    Column("baselines", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("outage", Text),
    Column("outage_told", Boolean, nullable=False),
    Column("answers", Text, nullable=False, server_default="{}"),
    Column("watched", Boolean, nullable=False, server_default=true()),
    Column("version", BigInteger, nullable=False),
    Column("changed_at", Double, nullable=False),
)

task = Table(
    "task",
    metadata,
    Column("cluster", String, ForeignKey("cluster.key"), primary_key=True),
    Column("action", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("state", Text, nullable=False),
    Column("changed_at", Double, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("position", Autoincrement, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("cluster", String, nullable=False, index=True),
    Column("thread", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("observed_at", Double, nullable=False, index=True),
    Column("body", Text, nullable=False),
    UniqueConstraint("thread", "sequence"),
)

lane = Table(
    "lane",
    metadata,
    Column("id", String, primary_key=True),
    Column("sink", String, nullable=False),
    Column("next_at", Double),
    Column("retry_at", Double),
    Column("owner", String, nullable=False, server_default=""),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("lease_until", Double, nullable=False, server_default="0"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("receipt", Text),
    Index(
        "ix_lane_due", "sink", "next_at", sqlite_where=text("next_at IS NOT NULL"), postgresql_where=text("next_at IS NOT NULL")
    ),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", String, primary_key=True),
    Column("event", String, ForeignKey("event.id"), nullable=False, index=True),
    Column("sink", String, nullable=False),
    Column("lane", String, ForeignKey("lane.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("reminder", Integer, nullable=False, server_default="0"),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("uncertain", Boolean, nullable=False, server_default=false()),
    Column("created_at", Double, nullable=False),
    Column("ready_at", Double, nullable=False),
    Column("merge", Integer, nullable=False, server_default="0"),
    Column("batch", String),
    Column("settled_at", Double),
    Column("reason", String),
    Column("detail", Text),
    Column("receipt", Text),
    UniqueConstraint("lane", "position"),
    Index("ix_delivery_state", "sink", "state"),
)

attempt = Table(
    "attempt",
    metadata,
    Column("delivery", String, ForeignKey("delivery.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("ended_at", Double, nullable=False),
    Column("outcome", String, nullable=False),
    Column("reason", String),
    Column("detail", Text),
)

sink = Table(
    "sink",
    metadata,
    Column("name", String, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("paused_until", Double),
    Column("reason", String),
    Column("detail", Text),
    # Of releases before there was `turn`, which may be at work beside this one.
    Column("next_send", Double, nullable=False, server_default="0"),
    Column("failing_since", Double),
    Column("failing_told", Boolean, nullable=False, server_default=false()),
    Column("sequence", Integer, nullable=False, server_default="0"),
)

turn = Table(
    "turn",
    metadata,
    Column("key", String, primary_key=True),
    Column("next_at", Double, nullable=False),
)
"""When a receiver may be told something next, by whichever sink and replica. ``key``: a sink's name, or what a pace goes by."""

silence = Table(
    "silence",
    metadata,
    Column("id", String, primary_key=True),
    Column("starts_at", Double, nullable=False),
    Column("ends_at", Double, nullable=False, index=True),
    Column("body", Text, nullable=False),
)

keepsake = Table(
    "keepsake",
    metadata,
    Column("sink", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

span = Table(
    "span",
    metadata,
    Column("cluster", String, primary_key=True),
    Column("action", String, primary_key=True),
    Column("task", String, primary_key=True),
    Column("node", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("began_at", Double, primary_key=True),
    Column("filed", String, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("ended_at", Double, nullable=False, index=True),
    Index("ix_span_history", "action", "ended_at"),
)
"""How long what is finished took, the same span once, however often it is told. ``filed``: see ``course.key``."""

forecast = Table(
    "forecast",
    metadata,
    Column("cluster", String, primary_key=True),
    Column("action", String, primary_key=True),
    Column("task", String, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("made_at", Double, primary_key=True),
    Column("progress", Double),
    Column("earliest", Double, nullable=False),
    Column("latest", Double, nullable=False),
    Column("basis", String, nullable=False),
    Column("ended_at", Double, index=True),
)
"""What was forecast, and when the attempt succeeded, once it has."""

replica = Table(
    "replica",
    metadata,
    Column("name", String, primary_key=True),
    Column("fleet", String, nullable=False),
    Column("sinks", Text, nullable=False),
    Column("release", String, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("well", Boolean, nullable=False),
)

watch = Table(
    "watch",
    metadata,
    Column("key", String, primary_key=True),
    Column("owner", String, nullable=False, server_default="", index=True),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
)

standstill = Table(
    "standstill",
    metadata,
    Column("project", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("until", Double, nullable=False),
    Column("reason", String, nullable=False),
    Column("detail", Text, nullable=False),
)

discovery = Table(
    "discovery",
    metadata,
    Column("project", String, primary_key=True),
    Column("roll", Text, nullable=False),
)

pulse = Table(
    "pulse",
    metadata,
    Column("name", String, primary_key=True),
    Column("at", Double, nullable=False),
)
