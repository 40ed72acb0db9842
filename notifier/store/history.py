"""How long things took, and what was forecast: written in the transaction of the poll that saw it, read for the next forecast."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import delete, insert, select, update

from notifier.domain.accuracy import Judged
from notifier.domain.course import key
from notifier.domain.expectation import OF_A_CLUSTER, OF_THE_FLEET, History, samples
from notifier.domain.model import Action, Cluster, Eta
from notifier.domain.timekeeping import Forecast, Timed
from notifier.store import schema, statements
from notifier.store.session import Session, moment

_ADD_FORECAST = insert(schema.forecast)


class Histories(Session):
    """The part of a transaction that remembers how long things took."""

    def remember(self, cluster: Cluster, timed: Timed, now: float) -> None:
        """Write down what a poll saw finished, what is forecast, and the truth about earlier forecasts."""
        rows = [
            {
                "cluster": cluster.key,
                "action": action.value,
                "task": task,
                "node": length.node,
                "kind": length.kind,
                "began_at": length.began_at.timestamp(),
                "filed": key(length.node, length.kind),
                "seconds": length.seconds,
                "ended_at": now,
            }
            for (action, task), length in timed.lengths
        ]
        self._put(_add_spans(self._dialect), rows)
        self._put(_ADD_FORECAST, [_forecast_row(cluster, each) for each in timed.forecasts])
        table = schema.forecast
        for ended in timed.ended:
            of_attempt = (table.c.action == ended.action.value, table.c.task == ended.task, table.c.attempt == ended.attempt)
            judged = update(table).where(table.c.cluster == cluster.key, *of_attempt, table.c.ended_at.is_(None))
            self._run(judged.values(ended_at=ended.at.timestamp()))

    def history(self, cluster: str, action: Action, running: Sequence[str] = ()) -> History:
        """What earlier tasks of a cluster (by its key) took, and those of all others. ``running``: tasks that do not count."""
        table = schema.span
        newest = select(table.c.filed, table.c.seconds).where(table.c.action == action.value).order_by(table.c.ended_at.desc())
        own = newest.where(table.c.cluster == cluster, table.c.task.not_in(running)).limit(OF_A_CLUSTER)
        others = newest.where(table.c.cluster != cluster).limit(OF_THE_FLEET)
        return History(samples(map(tuple, self._run(own))), samples(map(tuple, self._run(others))))

    def forecasts(self, cluster: str, action: Action, task: str) -> list[Forecast]:
        """Every forecast of a task, oldest first."""
        table = schema.forecast
        of_task = (table.c.cluster == cluster, table.c.action == action.value, table.c.task == task)
        return [
            Forecast(
                action,
                task,
                row.attempt,
                moment(row.made_at),
                row.progress,
                Eta(moment(row.earliest), moment(row.latest), row.basis),
            )
            for row in self._run(select(table).where(*of_task).order_by(table.c.made_at))
        ]

    def judged(self, since: float = 0.0) -> list[Judged]:
        """The forecasts made since then whose end is known."""
        table = schema.forecast
        rows = self._run(select(table).where(table.c.ended_at.is_not(None), table.c.made_at >= since))
        return [Judged(moment(row.made_at), moment(row.earliest), moment(row.latest), moment(row.ended_at)) for row in rows]

    def forget_history(self, before: float) -> None:
        """Delete what is older than ``before``."""
        self._run(delete(schema.span).where(schema.span.c.ended_at < before))
        self._run(delete(schema.forecast).where(schema.forecast.c.made_at < before))


@cache
def _add_spans(dialect: str) -> Any:
    return statements.upsert(dialect, schema.span).on_conflict_do_nothing()


def _forecast_row(cluster: Cluster, made: Forecast) -> dict[str, Any]:
    return {
        "cluster": cluster.key,
        "action": made.action.value,
        "task": made.task,
        "attempt": made.attempt,
        "made_at": made.made_at.timestamp(),
        "progress": made.progress,
        "earliest": made.eta.earliest.timestamp(),
        "latest": made.eta.latest.timestamp(),
        "basis": made.eta.basis,
    }
