"""What is known: read before a poll's answers are compared, written with the events and deliveries that follow from them."""

from collections.abc import Mapping, Sequence
from typing import Any

from notifier.domain import identity
from notifier.domain.known import Known, TaskKey
from notifier.domain.model import Action, Cluster, Event
from notifier.domain.plan import Planned
from notifier.store import codec, statements
from notifier.store.errors import Fenced
from notifier.store.rows import State
from notifier.store.session import COUNTED, Session


class Knowledge(Session):
    """The part of a transaction that polls use."""

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
        )
        return known, row.version

    def save(
        self,
        cluster: Cluster,
        over: tuple[Known, int],
        known: Known,
        planned: tuple[Sequence[Event], Sequence[Planned]],
        now: float,
    ) -> None:
        """Write what is known now, what happened, and what is owed to whom: all or nothing.

        Raises:
            Fenced: Somebody else saved in the meantime.
        """
        before, version = over
        self._save_cluster(cluster, known, version, now)
        changed = {key: state for key, state in known.tasks.items() if before.tasks.get(key) is not state}
        self._save_tasks(cluster, changed, now)
        self._add(*planned, now)

    def _add(self, events: Sequence[Event], deliveries: Sequence[Planned], now: float) -> None:
        if events:
            self._run(statements.ADD_EVENT, [_event_row(event) for event in events])
        if deliveries:
            self._owe(deliveries, now)

    def _save_cluster(self, cluster: Cluster, known: Known, version: int, now: float) -> None:
        values = {
            "facts": codec.dump(codec.cluster, cluster),
            "baselines": codec.dump(codec.actions, known.baselines),
            "sequence": known.sequence,
            "outage": None if known.outage is None else codec.dump(codec.outage, known.outage),
            "outage_told": known.outage_told,
            "version": version + 1,
            "changed_at": now,
        }
        if version == 0:
            row = self._run(self._upserts.add_cluster, {"key": cluster.key, **values}, execution_options=COUNTED)
        else:
            guard = {"old_key": cluster.key, "old_version": version}
            row = self._run(statements.SAVE_CLUSTER, {**guard, **values}, execution_options=COUNTED)
        if row.rowcount != 1:
            raise Fenced(f"Cluster {cluster.name} was saved by somebody else in the meantime.")

    def _save_tasks(self, cluster: Cluster, changed: Mapping[TaskKey, Any], now: float) -> None:
        if not changed:
            return
        rows = [
            {
                "cluster": cluster.key,
                "action": action.value,
                "id": task,
                "state": codec.dump(codec.known_task, state),
                "changed_at": now,
            }
            for (action, task), state in changed.items()
        ]
        self._run(self._upserts.save_task, rows)

    def _owe(self, deliveries: Sequence[Planned], now: float) -> None:
        due: dict[tuple[str, str], float | None] = {}
        for planned in deliveries:
            lane = (planned.lane, planned.sink)
            ready_at = None if planned.silence else planned.hold.ready_at.timestamp()
            due[lane] = min((at for at in (due.get(lane), ready_at) if at is not None), default=None)
        # In one order everywhere, so that two replicas cannot wait for each other.
        self._run(self._upserts.owe_lane, [{"id": lane, "sink": sink, "next_at": at} for (lane, sink), at in sorted(due.items())])
        self._run(statements.ADD_DELIVERY, [_delivery_row(planned, now) for planned in deliveries])


def _delivery_row(planned: Planned, now: float) -> dict[str, Any]:
    silenced = planned.silence is not None
    return {
        "id": identity.of_delivery(planned.event.id, planned.sink),
        "event": planned.event.id,
        "sink": planned.sink,
        "lane": planned.lane,
        "position": planned.event.sequence,
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
