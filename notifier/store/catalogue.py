"""Clusters and tasks page by page, and one by one: what people and programs browse. All but one query is bounded."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import JSON, ColumnElement, Select, cast, func, select, tuple_

from notifier.domain.known import KnownTask
from notifier.domain.model import Action, Eta, Event, Status
from notifier.store import codec, schema
from notifier.store.rows import ClusterRow, EventRow, TaskRow
from notifier.store.session import Session, moment

SEPARATOR = "/"
"""Between the parts of a key: neither ids nor actions hold it."""


class Catalogue(Session):
    """The part of a transaction that lists what is watched; single clusters and tasks are found though they are so no more."""

    def clusters(self) -> list[ClusterRow]:
        """Every cluster, by name, each with its tasks."""
        rows = self._clusters(select(schema.cluster).where(schema.cluster.c.watched))
        return sorted(rows, key=lambda row: (row.cluster.name, row.cluster.key))

    def clusters_page(self, *, after: str = "", limit: int = 50) -> list[ClusterRow]:
        """The clusters whose keys follow ``after``, by key, each with its tasks."""
        table = schema.cluster
        return self._clusters(select(table).where(table.c.key > after, table.c.watched).order_by(table.c.key).limit(limit))

    def cluster_counts(self) -> tuple[int, int]:
        """How many clusters there are, and how many of them cannot be polled."""
        row = self._run(select(func.count(), func.count(schema.cluster.c.outage)).where(schema.cluster.c.watched)).one()
        return row[0], row[1]

    def cluster_names(self, limit: int = 200) -> list[str]:
        """What clusters are called, by name; the first of them if there are more."""
        found = self._run(
            select(schema.cluster.c.facts).where(schema.cluster.c.watched).order_by(schema.cluster.c.key).limit(limit)
        ).scalars()
        return sorted({codec.cluster.validate_json(facts).name for facts in found})

    def cluster(self, cluster_id: str) -> ClusterRow | None:
        """A cluster by its id."""
        return next(iter(self._clusters(select(schema.cluster).where(_of_cluster(cluster_id)).limit(1))), None)

    def _clusters(self, query: Select[Any]) -> list[ClusterRow]:
        rows = self._run(query).all()
        tasks: dict[str, list[Any]] = {}
        theirs = select(schema.task).where(schema.task.c.cluster.in_([row.key for row in rows]))
        for row in self._run(theirs.order_by(schema.task.c.changed_at.desc())):
            tasks.setdefault(row.cluster, []).append((Action(row.action), codec.known_task.validate_json(row.state)))
        return [
            ClusterRow(
                cluster=codec.cluster.validate_json(row.facts),
                tasks=tuple(tasks.get(row.key, ())),
                outage=None if row.outage is None else codec.outage.validate_json(row.outage),
                changed_at=moment(row.changed_at),
            )
            for row in rows
        ]

    def tasks(
        self,
        *,
        cluster: str | None = None,
        action: Action | None = None,
        status: str | None = None,
        after: tuple[str, str, str] | None = None,
        limit: int = 50,
    ) -> list[TaskRow]:
        """The tasks that match, by cluster, action and id, from behind ``after`` on: what a `TaskRow` calls its ``place``."""
        table = schema.task
        query = select(table, schema.cluster.c.facts).join(schema.cluster)
        if cluster is not None:
            query = query.where(_of_cluster(cluster))
        if action is not None:
            query = query.where(table.c.action == action.value)
        if status is not None:
            query = query.where(self._status() == status)
        if after is not None:
            query = query.where(tuple_(table.c.cluster, table.c.action, table.c.id) > after)
        rows = self._run(query.order_by(table.c.cluster, table.c.action, table.c.id).limit(limit))
        return [_task_row(row) for row in rows]

    def task(self, cluster: str, action: Action, task_id: str) -> TaskRow | None:
        """A task by its cluster's id, its action and its own id."""
        table = schema.task
        query = (
            select(table, schema.cluster.c.facts)
            .join(schema.cluster)
            .where(_of_cluster(cluster), table.c.action == action.value, table.c.id == task_id)
        )
        row = self._run(query.limit(1)).first()
        return None if row is None else _task_row(row)

    def task_events(self, thread: str, *, after: int = 0, limit: int = 200) -> list[tuple[int, Event]]:
        """The events of a task, in their order, from behind a sequence number on, each with its position."""
        table = schema.event
        query = select(table.c.position, table.c.body).where(table.c.thread == thread, table.c.sequence > after)
        rows = self._run(query.order_by(table.c.sequence).limit(limit))
        return [(row.position, codec.event.validate_json(row.body)) for row in rows]

    def written(self, thread: str, limit: int = 200) -> list[EventRow]:
        """The newest events of a task, in their order, for `read_event` to be read elsewhere."""
        table = schema.event
        query = select(table.c.position, table.c.id, table.c.severity, table.c.body).where(table.c.thread == thread)
        rows = self._run(query.order_by(table.c.sequence.desc()).limit(limit)).all()
        return [EventRow(row.position, row.id, row.severity, row.body) for row in reversed(rows)]

    def newest(self, threads: Sequence[tuple[str, int]]) -> dict[str, Event]:
        """The event of each thread that has this sequence number, by thread."""
        table = schema.event
        if not threads:
            return {}
        rows = self._run(select(table.c.thread, table.c.body).where(tuple_(table.c.thread, table.c.sequence).in_(threads)))
        return {row.thread: codec.event.validate_json(row.body) for row in rows}

    def etas(self, tasks: Iterable[tuple[str, KnownTask]]) -> dict[str, Eta]:
        """When each of some tasks, by its thread, will end, as its newest event says; nothing of those that are not at work."""
        at_work = [
            (thread, known.sequence) for thread, known in tasks if known.task.status == Status.RUNNING and not known.vanished
        ]
        return {thread: event.eta for thread, event in self.newest(at_work).items() if event.eta is not None}

    def _status(self) -> ColumnElement[Any]:
        """The task's status, which stands within its document."""
        state = schema.task.c.state
        if self._dialect == "sqlite":
            return func.json_extract(state, "$.task.status")
        return func.json_extract_path_text(cast(state, JSON), "task", "status")


def read_event(row: EventRow) -> Event:
    """The event that is written there."""
    return codec.event.validate_json(row.body)


def _of_cluster(cluster_id: str) -> ColumnElement[bool]:
    # A key is project_id/id. Huawei's ids are unique beyond a project; the project's is not asked of people. LIKE would not do:
    # for SQLite it makes no difference between A and a.
    key, end = schema.cluster.c.key, SEPARATOR + cluster_id
    return func.substr(key, func.length(key) - len(end) + 1) == end


def _task_row(row: Any) -> TaskRow:
    known = codec.known_task.validate_json(row.state)
    return TaskRow((row.cluster, row.action, row.id), codec.cluster.validate_json(row.facts), Action(row.action), known)
