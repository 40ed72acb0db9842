"""All that is kept of one task, for its end report and for the status page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from notifier.domain.dossier import Dossier, StageTimes, Told
from notifier.domain.model import Event, Kind
from notifier.domain.silences import Silence
from notifier.store import codec, schema
from notifier.store.session import Session, moment

MOST_EVENTS = 20_000
"""Of one task; its oldest. A task of 300 nodes has about 8,000."""

MOST_OUTAGES = 200
"""Events of the cluster that are looked at, the newest."""

MOST_MEANT = 5
"""Tasks whose dossiers are gathered for one word."""

MOST_LIKE = 4000
"""Stages of other tasks that are looked at, the newest."""


class Dossiers(Session):
    """The part of a transaction that gathers a task."""

    def tasks_named(self, wanted: str) -> list[tuple[str, str, str]]:
        """The tasks that a person may mean: by id, by the beginning of one, by a cluster's name or id (its newest).

        Returns:
            The cluster's key, the action and the id of each; one, if it is clear which is meant.
        """
        table = schema.task
        rows = [tuple(row) for row in self._run(select(table.c.cluster, table.c.action, table.c.id).order_by(table.c.changed_at))]
        exact = [row for row in rows if row[2] == wanted]
        if exact or not wanted:
            return exact
        named = {row.key: codec.cluster.validate_json(row.facts) for row in self._run(select(schema.cluster))}
        of_cluster = [row for row in rows if wanted in {named[row[0]].name, named[row[0]].id}]
        return of_cluster[-1:] or [row for row in rows if row[2].startswith(wanted)]

    def gathered_named(self, wanted: str) -> list["Gathered"]:
        """What is kept of the tasks that a person may mean, those of which there is anything; at most `MOST_MEANT`."""
        found = [self.gathered(*task) for task in self.tasks_named(wanted)[-MOST_MEANT:]]
        return [gathered for gathered in found if gathered.of_task]

    def gathered(self, cluster: str, action: str, task: str) -> "Gathered":
        """Everything that is kept of a task, as it is kept."""
        thread, table, owed = f"{cluster}/{action}/{task}", schema.event, schema.delivery
        of_task = select(table.c.body).where(table.c.thread == thread).order_by(table.c.sequence).limit(MOST_EVENTS)
        of_cluster = select(table.c.body).where(table.c.thread == cluster).order_by(table.c.sequence.desc()).limit(MOST_OUTAGES)
        like = select(table.c.body).where(table.c.kind == Kind.STAGE_SUCCEEDED.value, table.c.thread != thread)
        told = select(owed).join(table, table.c.id == owed.c.event).where(table.c.thread == thread)
        return Gathered(
            task,
            of_task=self._run(of_task).scalars().all(),
            of_cluster=self._run(of_cluster).scalars().all(),
            told=self._run(told.order_by(table.c.sequence, owed.c.sink)).all(),
            silences=self._run(select(schema.silence.c.body)).scalars().all(),
            like=self._run(like.order_by(table.c.position.desc()).limit(MOST_LIKE)).scalars().all(),
        )


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is kept of a task, as it is kept. To read it takes longer than to fetch it: that is done off the store's thread."""

    task: str
    of_task: Sequence[str]
    of_cluster: Sequence[str]
    told: Sequence[Any]
    silences: Sequence[str]
    like: Sequence[str]

    def dossier(self, until: Event | None = None) -> Dossier:
        """The same, read; without events where none was told, or all are deleted.

        Args:
            until: What was known when this event of the task was seen, and nothing that came later.
        """
        of_task = [codec.event.validate_json(body) for body in self.of_task]
        of_cluster = [codec.event.validate_json(body) for body in reversed(self.of_cluster)]
        silences = [codec.silence.validate_json(body) for body in self.silences]
        if until is not None:
            of_task = [event for event in of_task if event.sequence <= until.sequence]
            of_cluster = [event for event in of_cluster if event.observed_at <= until.observed_at]
            silences = [silence for silence in silences if silence.starts_at <= until.observed_at]
        if not of_task:
            return Dossier(())
        told = tuple(_told(row) for row in self.told)
        return Dossier(
            (*of_task, *(event for event in of_cluster if event.outage is not None)),
            told,
            tuple(silence for silence in silences if _concerns(silence, self.task, of_task, told)),
            self._elsewhere(until),
        )

    def _elsewhere(self, until: Event | None) -> tuple[StageTimes, ...]:
        found: dict[tuple[int, str], list[float]] = {}
        for event in map(codec.event.validate_json, self.like):
            if until is not None and event.observed_at > until.observed_at:
                continue
            stage = event.stage
            if stage is not None and stage.began_at is not None and stage.ended_at is not None:
                seconds = (stage.ended_at - stage.began_at).total_seconds()
                found.setdefault((stage.order, stage.name), []).append(seconds)
        return tuple(StageTimes(order, name, tuple(seconds)) for (order, name), seconds in sorted(found.items()))


def _told(row: Any) -> Told:
    return Told(
        event=row.event,
        sink=row.sink,
        state=row.state,
        tries=row.attempts,
        owed_at=moment(row.created_at),
        settled_at=None if row.settled_at is None else moment(row.settled_at),
        reason=row.reason,
        detail=row.detail,
        along=row.batch if row.batch not in {None, row.id} else None,
    )


def _concerns(silence: Silence, task: str, events: list[Event], told: tuple[Told, ...]) -> bool:
    """Whether a silence is of this task, stopped something of it, or held for it while it lasted."""
    if silence.task is not None:
        return silence.task == task
    if any(each.state == "silenced" and silence.id in (each.detail or "") for each in told):
        return True
    began, ended = events[0].observed_at, events[-1].observed_at
    overlaps = silence.starts_at <= ended and silence.ends_at > began
    return overlaps and any(silence.matcher.refusal(event) is None for event in events)
