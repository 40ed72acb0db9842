"""What is known: read before a poll's answers are compared, written with the events and deliveries that follow from them.

What polls write is put off until something is read or the transaction is committed, so that the polls that share a commit share
their statements too: five for all of them instead of five for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from notifier.domain.known import Known, TaskKey
from notifier.domain.model import Action, Cluster, Event
from notifier.domain.plan import Planned
from notifier.store import codec, schema, statements
from notifier.store.errors import Fenced
from notifier.store.rows import State
from notifier.store.session import COUNTED, Session

Rows = list[dict[str, Any]]


@dataclass(slots=True)
class _PutOff:
    """Rows that wait to be written; ``lanes`` by lane and sink, with the earliest moment that something is due in them."""

    added: Rows = field(default_factory=list)
    saved: Rows = field(default_factory=list)
    tasks: Rows = field(default_factory=list)
    events: Rows = field(default_factory=list)
    lanes: dict[tuple[str, str], float | None] = field(default_factory=dict)
    deliveries: Rows = field(default_factory=list)


class Knowledge(Session):
    """The part of a transaction that polls use."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._put_off: _PutOff | None = None

    def known(self, cluster: Cluster) -> tuple[Known, int]:
        """What is known of a cluster, and the version to save it over; the row is locked where several replicas write."""
        row = self._run(statements.CLUSTER, {"cluster_key": cluster.key}).first()
        if row is None:
            return Known(), 0
        tasks = self._run(statements.TASKS, {"cluster_key": cluster.key})
        known = Known(
            tasks={(Action(action), task): codec.known_task.validate_json(state) for action, task, state in tasks},
            baselines=codec.actions.validate_json(row.baselines),
            sequence=row.sequence,
            outage=None if row.outage is None else codec.outage.validate_json(row.outage),
            outage_told=row.outage_told,
            answers=codec.read_answers(row.answers),
        )
        return known, row.version

    def save(
        self,
        cluster: Cluster,
        over: tuple[Known, int],
        known: Known,
        planned: tuple[Sequence[Event], Sequence[Planned]],
        now: float,
    ) -> int:
        """Write what is known now, what happened, and what is owed to whom: all or nothing, at the next `flush`.

        Returns:
            The version to save over next time.
        """
        before, version = over
        waiting = self._put_off = self._put_off or _PutOff()
        row = {
            "facts": codec.dump(codec.cluster, cluster),
            "baselines": codec.dump_actions(known.baselines),
            "sequence": known.sequence,
            "outage": None if known.outage is None else codec.dump(codec.outage, known.outage),
            "outage_told": known.outage_told,
            "answers": codec.dump_answers(known.answers),
            "version": version + 1,
            "changed_at": now,
        }
        if version == 0:
            waiting.added.append({"key": cluster.key, **row})
        else:
            waiting.saved.append({"old_key": cluster.key, "old_version": version, **row})
        changed = {key: state for key, state in known.tasks.items() if before.tasks.get(key) is not state}
        waiting.tasks += _task_rows(cluster, changed, now)
        self._add(*planned, now)
        return version + 1

    def _add(self, events: Sequence[Event], deliveries: Sequence[Planned], now: float) -> None:
        waiting = self._put_off = self._put_off or _PutOff()
        waiting.events += [_event_row(event) for event in events]
        self.owe(deliveries, now)

    def owe(self, deliveries: Sequence[Planned], now: float) -> None:
        """Owe deliveries of events that are stored, or are with this transaction."""
        if not deliveries:
            return
        waiting = self._put_off = self._put_off or _PutOff()
        for owed in deliveries:
            lane, due = (owed.lane, owed.sink), None if owed.silence else owed.hold.ready_at.timestamp()
            waiting.lanes[lane] = min((at for at in (waiting.lanes.get(lane), due) if at is not None), default=None)
            waiting.deliveries.append(_delivery_row(owed, now))

    # typing.override needs Python 3.12.
    def flush(self) -> None:  # type: ignore[explicit-override]
        """Write what `save` has put off.

        Raises:
            Fenced: Somebody else saved one of the clusters in the meantime.
        """
        waiting, self._put_off = self._put_off, None
        if waiting is not None:
            self._write(waiting)
        super().flush()

    def _write(self, waiting: _PutOff) -> None:
        # In one order everywhere, so that two replicas cannot wait for each other; the versions of a cluster in theirs.
        waiting.saved.sort(key=lambda row: (row["old_key"], row["old_version"]))
        for statement, rows in ((self._upserts.add_cluster, waiting.added), (statements.SAVE_CLUSTER, waiting.saved)):
            if rows and self._execute(statement, rows, execution_options=COUNTED).rowcount != len(rows):
                raise Fenced(
                    f"{len(rows)} clusters were to be saved, and one of them was saved by somebody else in the meantime."
                )
        lanes = [{"id": lane, "sink": sink, "next_at": at} for (lane, sink), at in sorted(waiting.lanes.items())]
        for statement, rows in (
            (self._upserts.save_task, waiting.tasks),
            (statements.ADD_EVENT, waiting.events),
            (self._upserts.owe_lane, lanes),
            (statements.ADD_DELIVERY, waiting.deliveries),
        ):
            if rows:
                self._execute(statement, rows)
        if lanes:
            self._hint(sorted({sink for _, sink in waiting.lanes}))


def _task_rows(cluster: Cluster, changed: Mapping[TaskKey, Any], now: float) -> Rows:
    return [
        {
            "cluster": cluster.key,
            "action": action.value,
            "id": task,
            "state": codec.dump(codec.known_task, state),
            "changed_at": now,
        }
        for (action, task), state in changed.items()
    ]


def _delivery_row(planned: Planned, now: float) -> dict[str, Any]:
    silenced = planned.silence is not None
    return {
        "id": planned.id,
        "event": planned.event.id,
        "sink": planned.sink,
        "lane": planned.lane,
        "position": planned.event.sequence * schema.STRIDE + planned.reminder,
        "reminder": planned.reminder,
        "state": State.SILENCED.value if silenced else State.PENDING.value,
        "created_at": now,
        "ready_at": planned.hold.ready_at.timestamp(),
        "merge": planned.hold.merge.value,
        "settled_at": now if silenced else None,
        "reason": "silenced" if silenced else None,
        "detail": planned.silence,
    }


def _event_row(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "cluster": event.cluster.key,
        "thread": event.thread,
        "sequence": event.sequence,
        "kind": event.kind.value,
        "severity": int(event.severity),
        "observed_at": event.observed_at.timestamp(),
        "body": codec.dump(codec.event, event),
    }
