"""The statements of a poll's transaction, built once: building one costs several times what running it does."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Insert, Select, Update, bindparam, case, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from notifier.store import schema

CLUSTER: Select[Any] = select(schema.cluster).where(schema.cluster.c.key == bindparam("cluster_key")).with_for_update()

TASKS: Select[Any] = select(schema.task.c.action, schema.task.c.id, schema.task.c.state).where(
    schema.task.c.cluster == bindparam("cluster_key")
)

SAVE_CLUSTER: Update = (
    update(schema.cluster)
    .where(schema.cluster.c.key == bindparam("old_key"), schema.cluster.c.version == bindparam("old_version"))
    .values({name: bindparam(name) for name in schema.cluster.c.keys() if name not in {"key", "watched"}})  # noqa: SIM118 - no mapping
)

SILENCES: Select[Any] = (
    select(schema.silence.c.body).where(schema.silence.c.ends_at > bindparam("ends_after")).order_by(schema.silence.c.ends_at)
)

ADD_EVENT: Insert = insert(schema.event)
ADD_DELIVERY: Insert = insert(schema.delivery)

_INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def upsert(dialect: str, table: Any) -> Any:
    """An INSERT that can say what to do on a conflict."""
    return _INSERTS[dialect](table)


@dataclass(frozen=True, slots=True)
class Upserts:
    """Those that each dialect has to build its own way."""

    add_cluster: Any
    save_task: Any
    owe_lane: Any


@cache
def upserts(dialect: str) -> Upserts:
    """The statements of one dialect."""
    task, lane = upsert(dialect, schema.task), upsert(dialect, schema.lane)
    return Upserts(
        add_cluster=upsert(dialect, schema.cluster).on_conflict_do_nothing(),
        save_task=task.on_conflict_do_update(
            index_elements=["cluster", "action", "id"],
            set_={"state": task.excluded.state, "changed_at": task.excluded.changed_at},
        ),
        # A lane that waits after a failure keeps its time: what is new queues up behind.
        owe_lane=lane.on_conflict_do_update(index_elements=["id"], set_={"next_at": _sooner(schema.lane, lane.excluded)}),
    )


def _sooner(held: Any, new: Any) -> Any:
    keeps = or_(held.c.retry_at.is_not(None), new.next_at.is_(None), held.c.next_at <= new.next_at)
    return case((keeps, held.c.next_at), else_=new.next_at)
