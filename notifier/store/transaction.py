"""Everything that is read and written, as methods of one transaction.

Long, because the statements that must agree with each other stand together. Three groups: what is known (polls), what is owed
(lanes and deliveries), what people ask for. A lane is claimed by raising its ``epoch``; every later write about it names that
epoch and is refused with `Fenced` if somebody else claimed it since. Leases only save work; the epoch is what is right.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from notifier.domain import identity
from notifier.domain.known import Known, TaskKey
from notifier.domain.message import Receipt
from notifier.domain.model import Action, Cluster, Event
from notifier.domain.routing import Planned
from notifier.store import codec, schema, statements
from notifier.store.errors import Fenced
from notifier.store.rows import Claim, ClusterRow, DeliveryRow, SinkState, State

OPEN = (State.PENDING.value, State.SENDING.value)

COUNTED = {"preserve_rowcount": True}
"""Without it SQLAlchemy does not keep the count of an INSERT on psycopg."""


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class Transaction:
    """One transaction. ``now`` arguments are seconds since 1970; leases are judged by the database's clock on PostgreSQL."""

    def __init__(self, connection: Connection) -> None:
        self._run = connection.execute
        self._dialect = connection.dialect.name
        self._upserts = statements.upserts(self._dialect)

    # --- what is known ------------------------------------------------------------------------------------------------------

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
        events, deliveries = planned
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
        lanes = sorted({(planned.lane, planned.sink) for planned in deliveries})
        self._run(self._upserts.owe_lane, [{"id": lane, "sink": sink, "next_at": now} for lane, sink in lanes])
        rows = [
            {
                "id": identity.of_delivery(planned.event.id, planned.sink),
                "event": planned.event.id,
                "sink": planned.sink,
                "lane": planned.lane,
                "position": planned.event.sequence,
                "state": State.PENDING.value,
                "created_at": now,
            }
            for planned in deliveries
        ]
        self._run(statements.ADD_DELIVERY, rows)

    # --- what is owed -------------------------------------------------------------------------------------------------------

    def now(self, ours: float) -> float:
        """The clock that leases are judged by: the database's, where replicas could disagree; ``ours`` on SQLite."""
        if self._dialect != "postgresql":
            return ours
        return float(self._run(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())

    def release_lanes(self) -> None:
        """End all leases: for the one process that knows that no other is alive."""
        self._run(update(schema.lane).where(schema.lane.c.lease_until > 0).values(lease_until=0.0))

    def claim(self, sink: str, owner: str, limit: int, *, lease: float, now: float, early: bool = False) -> list[Claim]:
        """Take the heads of up to ``limit`` lanes of a sink that are due and free, oldest first, for ``lease`` seconds.

        ``early``: those that are not due yet as well, to see whether a sink works again.
        """
        table, moment = schema.lane, self.now(now)
        ready = table.c.next_at.is_not(None) if early else table.c.next_at <= moment
        due = (
            select(table.c.id, table.c.epoch, table.c.skipped, table.c.receipt)
            .where(table.c.sink == sink, ready, table.c.lease_until <= moment)
            .order_by(table.c.next_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        lanes = {row.id: row for row in self._run(due)}
        if not lanes:
            return []
        self._run(
            update(table)
            .where(table.c.id == bindparam("lane_id"))
            .values(owner=owner, epoch=table.c.epoch + 1, lease_until=moment + lease),
            [{"lane_id": lane} for lane in lanes],
        )
        heads = list(self._run(self._heads(list(lanes))))
        self._run(
            update(schema.delivery)
            .where(schema.delivery.c.id == bindparam("delivery_id"))
            # Until the outcome is written, whoever finds it like this must think that it may have got through.
            .values(state=State.SENDING.value, attempts=schema.delivery.c.attempts + 1, uncertain=True),
            [{"delivery_id": head.id} for head in heads],
        )
        return [_claim(head, lanes[head.lane]) for head in heads]

    def _heads(self, lanes: Sequence[str]) -> Any:
        owed, rival = schema.delivery, schema.delivery.alias("rival")
        first = select(func.min(rival.c.position)).where(rival.c.lane == owed.c.lane, rival.c.state.in_(OPEN)).scalar_subquery()
        return (
            select(owed, schema.event.c.body)
            .join(schema.event, schema.event.c.id == owed.c.event)
            .where(owed.c.lane.in_(lanes), owed.c.position == first)
        )

    def delivered(self, claim: Claim, receipt: Receipt, now: float) -> None:
        """Settle: it arrived. Raises `Fenced`."""
        document = codec.dump(codec.receipt, receipt.fields)
        self._settle(claim, now, {"receipt": document, "skipped": 0})
        self._conclude(claim, now, "delivered", state=State.DELIVERED, receipt=document, uncertain=False)

    def postponed(
        self, claim: Claim, until: float, now: float, *, outcome: str, reason: str, detail: str, uncertain: bool, counted: bool
    ) -> None:
        """Settle: try again at ``until``. Raises `Fenced`."""
        self._settle(claim, now, {}, until)
        tries = claim.tries + counted
        changes = {
            "state": State.PENDING,
            "tries": tries,
            "uncertain": uncertain or claim.uncertain,
            "reason": reason,
            "detail": detail,
        }
        self._conclude(claim, now, outcome, final=False, **changes)

    def buried(self, claim: Claim, now: float, *, outcome: str, reason: str, detail: str) -> None:
        """Settle: given up, kept. Raises `Fenced`."""
        self._settle(claim, now, {"skipped": schema.lane.c.skipped + 1})
        self._conclude(claim, now, outcome, state=State.DEAD, reason=reason, detail=detail)

    def _settle(self, claim: Claim, now: float, changes: Mapping[str, Any], until: float | None = None) -> None:
        table, owed = schema.lane, schema.delivery
        self._hold([claim.lane])
        more = exists().where(owed.c.lane == claim.lane, owed.c.state.in_(OPEN), owed.c.id != claim.delivery)
        next_at: Any = case((more, now), else_=None) if until is None else until
        statement = (
            update(table)
            .where(table.c.id == claim.lane, table.c.epoch == claim.epoch)
            .values(lease_until=0.0, next_at=next_at, **changes)
        )
        if self._run(statement).rowcount != 1:
            raise Fenced(f"Lane {claim.lane} was taken over.")

    def _hold(self, lanes: Iterable[str]) -> None:
        """Lock lanes before asking what they owe.

        An UPDATE that has to wait for a row sees the row's new values but other tables as they were when it began (PostgreSQL,
        READ COMMITTED): it would put a lane to sleep that was owed more in the meantime. A later statement sees what is new.
        """
        table = schema.lane
        self._run(select(table.c.id).where(table.c.id.in_(list(lanes))).order_by(table.c.id).with_for_update()).all()

    def _conclude(self, claim: Claim, now: float, outcome: str, *, final: bool = True, **changes: Any) -> None:
        owed = schema.delivery
        self._run(update(owed).where(owed.c.id == claim.delivery).values(settled_at=now if final else None, **changes))
        record = {"delivery": claim.delivery, "number": claim.attempt, "ended_at": now, "outcome": outcome}
        record |= {"reason": changes.get("reason"), "detail": changes.get("detail")}
        self._run(insert(schema.attempt).values(**record))

    def next_due(self, sink: str) -> float | None:
        """When the next lane of a sink can be claimed; None while it owes nothing."""
        table = schema.lane
        free = case((table.c.lease_until > table.c.next_at, table.c.lease_until), else_=table.c.next_at)
        due = self._run(select(func.min(free)).where(table.c.sink == sink, table.c.next_at.is_not(None))).scalar()
        return None if due is None else float(due)

    def hasten(self, sink: str, now: float) -> int:
        """Make every waiting lane of a sink due now, because the sink works again; how many."""
        table = schema.lane
        return self._run(update(table).where(table.c.sink == sink, table.c.next_at > now).values(next_at=now)).rowcount

    def expire(self, sink: str, created_before: float, now: float, *, reason: str, detail: str, limit: int = 500) -> int:
        """Give up what a sink has owed since before ``created_before`` and is not being sent; how many."""
        owed, table = schema.delivery, schema.lane
        old = (owed.c.sink == sink, owed.c.state == State.PENDING.value, owed.c.created_at < created_before)
        lanes = list(self._run(select(owed.c.lane).where(*old).distinct().limit(limit)).scalars())
        if not lanes:
            return 0
        self._hold(lanes)
        rows = list(self._run(select(owed.c.id, owed.c.lane).where(*old, owed.c.lane.in_(lanes)).limit(limit)))
        values = {"state": State.DEAD.value, "settled_at": now, "reason": reason, "detail": detail}
        self._run(update(owed).where(owed.c.id.in_([row.id for row in rows])).values(**values))
        for lane, count in Counter(row.lane for row in rows).items():
            self._run(update(table).where(table.c.id == lane).values(skipped=table.c.skipped + count))
        self._wake(lanes, now)
        return len(rows)

    def _wake(self, lanes: Iterable[str], now: float) -> None:
        """Set the time of lanes whose deliveries were changed from outside: now if they owe anything, else never."""
        table, owed = schema.lane, schema.delivery
        more = exists().where(owed.c.lane == table.c.id, owed.c.state.in_(OPEN))
        self._run(update(table).where(table.c.id.in_(list(lanes))).values(next_at=case((more, now), else_=None)))

    def resend(self, now: float, *, ids: Sequence[str] | None = None, sink: str | None = None) -> list[str]:
        """Owe dead deliveries again: the named ones, or all (of a sink). Their ids stay. Returns those that were dead."""
        owed = schema.delivery
        chosen = select(owed.c.id, owed.c.lane, owed.c.sink).where(owed.c.state == State.DEAD.value)
        if ids is not None:
            chosen = chosen.where(owed.c.id.in_(ids))
        if sink is not None:
            chosen = chosen.where(owed.c.sink == sink)
        rows = list(self._run(chosen))
        if rows:
            self._hold({row.lane for row in rows})
            fresh = {"state": State.PENDING.value, "tries": 0, "created_at": now, "settled_at": None}
            self._run(update(owed).where(owed.c.id.in_([row.id for row in rows])).values(**fresh))
            self._wake({row.lane for row in rows}, now)
            # Whoever sends again has mended the sink: it is met as if its settings had changed.
            self._run(update(schema.sink).where(schema.sink.c.name.in_({row.sink for row in rows})).values(fingerprint=""))
        return [row.id for row in rows]

    # --- sinks --------------------------------------------------------------------------------------------------------------

    def enrol(self, name: str, fingerprint: str, now: float) -> SinkState:
        """Meet a sink at start: its stored state, or a fresh one where its settings changed, for then it deserves a new try."""
        table = schema.sink
        row = self._run(select(table).where(table.c.name == name)).first()
        if row is not None and row.fingerprint == fingerprint:
            return SinkState(row.failures, row.paused, row.paused_until, row.reason, row.detail)
        statement = statements.upsert(self._dialect, table).values(name=name, fingerprint=fingerprint, failures=0, paused=False)
        fresh = {"fingerprint": fingerprint, "failures": 0, "paused": False, "paused_until": None, "reason": None, "detail": None}
        self._run(statement.on_conflict_do_update(index_elements=["name"], set_=fresh))
        if row is not None:
            self.hasten(name, now)
        return SinkState()

    def mark(self, name: str, state: SinkState) -> None:
        """Remember that a sink fails, is left alone, or works again."""
        table = schema.sink
        values = {
            "failures": state.failures,
            "paused": state.paused,
            "paused_until": state.paused_until,
            "reason": state.reason,
            "detail": state.detail,
        }

        self._run(update(table).where(table.c.name == name).values(**values))

    def sinks(self) -> dict[str, SinkState]:
        """Every sink ever met, by name."""
        rows = self._run(select(schema.sink))
        return {row.name: SinkState(row.failures, row.paused, row.paused_until, row.reason, row.detail) for row in rows}

    # --- what people ask for ------------------------------------------------------------------------------------------------

    def clusters(self) -> list[ClusterRow]:
        """Every cluster with its tasks, by name."""
        tasks: dict[str, list[Any]] = {}
        for row in self._run(select(schema.task).order_by(schema.task.c.changed_at.desc())):
            tasks.setdefault(row.cluster, []).append((Action(row.action), codec.known_task.validate_json(row.state)))
        rows = [
            ClusterRow(
                cluster=codec.cluster.validate_json(row.facts),
                tasks=tuple(tasks.get(row.key, ())),
                outage=None if row.outage is None else codec.outage.validate_json(row.outage),
                changed_at=_at(row.changed_at),
            )
            for row in self._run(select(schema.cluster))
        ]
        return sorted(rows, key=lambda row: (row.cluster.name, row.cluster.key))

    def events(
        self, *, cluster: str | None = None, kind: str | None = None, severity: int = 0, after: int = 0, limit: int = 50
    ) -> list[tuple[int, Event]]:
        """Events that match, oldest first, each with its position: the newest, or with ``after`` those that follow it.

        ``cluster``: name or id; ``kind``: a glob.
        """
        table = schema.event
        query = select(table.c.position, table.c.body).where(table.c.severity >= severity, table.c.position > after)
        if cluster is not None:
            wanted = [key for key, facts in self._names() if cluster in {facts.name, facts.id}]
            query = query.where(table.c.cluster.in_(wanted))
        if kind is not None:
            like = kind.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_").replace("*", "%")
            query = query.where(table.c.kind.like(like, escape="\\"))
        # Who follows from a position must not skip any; who does not wants the newest.
        order = table.c.position if after else table.c.position.desc()
        rows = sorted(self._run(query.order_by(order).limit(limit)), key=lambda row: row.position)
        return [(row.position, codec.event.validate_json(row.body)) for row in rows]

    def _names(self) -> list[tuple[str, Cluster]]:
        rows = self._run(select(schema.cluster.c.key, schema.cluster.c.facts))
        return [(row.key, codec.cluster.validate_json(row.facts)) for row in rows]

    def deliveries(self, *, sink: str | None = None, state: State | None = None, limit: int = 50) -> list[DeliveryRow]:
        """The newest deliveries that match, oldest first."""
        owed, told, lane = schema.delivery, schema.event, schema.lane
        query = (
            select(owed, told.c.kind, told.c.body, told.c.position.label("place"), lane.c.next_at)
            .join(told, told.c.id == owed.c.event)
            .join(lane, lane.c.id == owed.c.lane)
        )
        if sink is not None:
            query = query.where(owed.c.sink == sink)
        if state is not None:
            query = query.where(owed.c.state == state.value)
        rows = self._run(query.order_by(told.c.position.desc(), owed.c.sink).limit(limit))
        return [_delivery_row(row) for row in reversed(list(rows))]

    def counts(self) -> dict[tuple[str, State], int]:
        """How many deliveries each sink has in each state."""
        owed = schema.delivery
        rows = self._run(select(owed.c.sink, owed.c.state, func.count()).group_by(owed.c.sink, owed.c.state))
        return {(row[0], State(row[1])): row[2] for row in rows}

    def forget(self, before: float, limit: int = 500) -> int:
        """Delete events seen before ``before`` that nobody is owed any more, with their deliveries; how many."""
        told, owed, tried = schema.event, schema.delivery, schema.attempt
        kept = exists().where(owed.c.event == told.c.id, owed.c.state != State.DELIVERED.value)
        old = list(self._run(select(told.c.id).where(told.c.observed_at < before, ~kept).limit(limit)).scalars())
        if old:
            theirs = select(owed.c.id).where(owed.c.event.in_(old))
            self._run(delete(tried).where(tried.c.delivery.in_(theirs)))
            self._run(delete(owed).where(owed.c.event.in_(old)))
            self._run(delete(told).where(told.c.id.in_(old)))
        return len(old)


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


def _claim(head: Any, lane: Any) -> Claim:
    return Claim(
        delivery=head.id,
        lane=head.lane,
        epoch=lane.epoch + 1,
        event=codec.event.validate_json(head.body),
        attempt=head.attempts + 1,
        tries=head.tries,
        uncertain=head.uncertain,
        created_at=_at(head.created_at),
        skipped=lane.skipped,
        last=None if lane.receipt is None else Receipt(codec.receipt.validate_json(lane.receipt)),
    )


def _delivery_row(row: Any) -> DeliveryRow:
    waiting = row.state == State.PENDING.value
    return DeliveryRow(
        id=row.id,
        event=row.event,
        sink=row.sink,
        kind=row.kind,
        cluster=codec.event.validate_json(row.body).cluster.name,
        state=State(row.state),
        attempts=row.attempts,
        created_at=_at(row.created_at),
        settled_at=_moment(row.settled_at),
        next_at=_moment(row.next_at) if waiting else None,
        reason=row.reason,
        detail=row.detail,
    )
