"""The REST API: each operation from what is asked to what is answered. HTTP itself is `operations`'."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from notifier.domain.accuracy import accuracy
from notifier.domain.model import Eta
from notifier.store.rows import ClusterRow, State, TaskRow
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web import answers
from notifier.web.health import Health
from notifier.web.openapi import document
from notifier.web.operations import Operation
from notifier.web.questions import (
    MOST,
    PARTS,
    AboutCluster,
    AboutClusters,
    AboutDeliveries,
    AboutEvent,
    AboutEvents,
    AboutReport,
    AboutSilences,
    AboutTask,
    AboutTasks,
    Nothing,
)
from notifier.web.shapes import AccuracyShape, ClusterShape, DeliveryShape, PlacedEvent, ReplicaShape, SilenceShape, TaskOfCluster
from notifier.web.stories import story
from notifier.web.wishes import Expire, Retry, Silencing

Retried = Callable[[frozenset[str]], None]


class Api:
    """What is answered below ``/api/v1``.

    Args:
        store: What is asked.
        retried: Called with the sinks that are owed again.
        health: Knows when each cluster was last asked.
    """

    def __init__(self, store: Store, retried: Retried, health: Callable[[], Health]) -> None:
        self._store = store
        self._retried = retried
        self._health = health
        self.operations: list[Operation[Any]] = [
            Operation("GET", "/api/v1/clusters", AboutClusters, answers.Clusters, self.clusters),
            Operation("GET", "/api/v1/clusters/{id}", AboutCluster, answers.OneCluster, self.cluster),
            Operation("GET", "/api/v1/tasks", AboutTasks, answers.Tasks, self.tasks),
            Operation("GET", "/api/v1/tasks/{cluster}/{action}/{id}", AboutTask, answers.OneTask, self.task),
            Operation("GET", "/api/v1/tasks/{id}/report", AboutReport, answers.Reports, self.report),
            Operation("GET", "/api/v1/events", AboutEvents, answers.Events, self.events),
            Operation("GET", "/api/v1/events/{id}/story", AboutEvent, answers.Stories, self.story),
            Operation("GET", "/api/v1/deliveries", AboutDeliveries, answers.Deliveries, self.deliveries),
            Operation("POST", "/api/v1/deliveries/retry", Retry, answers.Resent, self.retry),
            Operation("GET", "/api/v1/replicas", Nothing, answers.Replicas, self.replicas),
            Operation("GET", "/api/v1/accuracy", Nothing, answers.Accuracy, self.accuracy),
            Operation("GET", "/api/v1/silences", AboutSilences, answers.Silences, self.silences),
            Operation("POST", "/api/v1/silences", Silencing, answers.Silences, self.silence),
            Operation("POST", "/api/v1/silences/expire", Expire, answers.Expired, self.expire),
        ]
        self._document = document(self.operations)

    def routes(self) -> list[web.RouteDef]:
        """What is answered where."""
        return [*(operation.route for operation in self.operations), web.get("/api/v1/openapi.json", self._openapi)]

    async def _openapi(self, _request: web.Request) -> web.Response:
        return web.json_response(self._document)

    async def clusters(self, question: AboutClusters) -> answers.Clusters:
        """Clusters with their tasks."""

        def read(tx: Transaction) -> tuple[list[ClusterRow], Mapping[str, Eta]]:
            rows = tx.clusters_page(after=question.after, limit=question.limit + 1)
            return rows, tx.etas(each for row in rows for each in row.threads)

        rows, etas = await self._store.transact(read)
        asked, shown = self._health().asked, rows[: question.limit]
        found = tuple(ClusterShape.seen(row, etas, asked.get(row.cluster.key)) for row in shown)
        return answers.Clusters(clusters=found, next=shown[-1].cluster.key if len(rows) > len(shown) else None)

    async def cluster(self, question: AboutCluster) -> answers.OneCluster:
        """One cluster with its tasks."""

        def read(tx: Transaction) -> tuple[ClusterRow | None, Mapping[str, Eta]]:
            row = tx.cluster(question.id)
            return row, tx.etas([] if row is None else row.threads)

        row, etas = await self._store.transact(read)
        if row is None:
            raise web.HTTPNotFound(text="There is no such cluster, or it has not been polled yet.")
        return answers.OneCluster(cluster=ClusterShape.seen(row, etas, self._health().asked.get(row.cluster.key)))

    async def tasks(self, question: AboutTasks) -> answers.Tasks:
        """Tasks with their clusters, by cluster, action and id."""
        after = None if question.after is None else _place(question.after)

        def read(tx: Transaction) -> tuple[list[TaskRow], Mapping[str, Eta]]:
            rows = tx.tasks(
                cluster=question.cluster,
                action=question.action,
                status=question.status,
                after=after,
                limit=question.limit + 1,
            )
            return rows, tx.etas((row.thread, row.known) for row in rows)

        rows, etas = await self._store.transact(read)
        shown = rows[: question.limit]
        more = "/".join(shown[-1].place) if len(rows) > len(shown) else None
        return answers.Tasks(tasks=tuple(TaskOfCluster.at(row, etas) for row in shown), next=more)

    async def task(self, question: AboutTask) -> answers.OneTask:
        """One task and its events, oldest first."""

        def read(tx: Transaction) -> tuple[TaskRow | None, Mapping[str, Eta], list[PlacedEvent]]:
            row = tx.task(question.cluster, question.action, question.id)
            found = [] if row is None else tx.task_events(row.thread, after=question.after, limit=question.limit + 1)
            etas = tx.etas([] if row is None else [(row.thread, row.known)])
            return row, etas, [PlacedEvent.at(position, event) for position, event in found]

        row, etas, events = await self._store.transact(read)
        if row is None:
            raise web.HTTPNotFound(text="There is no such task.")
        shown = tuple(events[: question.limit])
        more = shown[-1].sequence if len(events) > len(shown) else None
        return answers.OneTask(task=TaskOfCluster.at(row, etas), events=shown, next=more)

    async def report(self, question: AboutReport) -> answers.Reports:
        """All that is kept of the tasks that `id` may mean; one if it is clear which."""
        found = await self._store.transact(lambda tx: tx.gathered_named(question.id))
        # Tens of thousands of events are read here: beside the loop.
        return await asyncio.to_thread(lambda: answers.Reports(report=tuple(each.dossier() for each in found)))

    async def replicas(self, _question: Nothing) -> answers.Replicas:
        """Who is at work, and who polls which cluster."""
        now = self._store.now().timestamp()
        found = await self._store.transact(lambda tx: tx.replicas(now))
        return answers.Replicas(replicas=tuple(ReplicaShape.of(row) for row in found))

    async def events(self, question: AboutEvents) -> answers.Events:
        """Events that match, oldest first: the newest, or those behind `after`, or those before `before`."""
        following = question.after > 0
        rows = await self._store.transact(
            lambda tx: tx.events(
                cluster=question.cluster,
                kind=question.kind,
                severity=question.severity,
                after=question.after,
                before=question.before,
                limit=question.limit + 1,
            )
        )
        shown = rows[: question.limit] if following else rows[-question.limit :]
        # Whoever follows has left something behind; whoever looks at the newest has not if there was no row more.
        earlier = bool(shown) and (following or len(rows) > len(shown))
        return answers.Events(
            events=tuple(PlacedEvent.at(position, event) for position, event in shown),
            last=shown[-1][0] if shown else question.after,
            before=shown[0][0] if earlier else None,
        )

    async def story(self, question: AboutEvent) -> answers.Stories:
        """An event: why there is one, what was before and after it, and what became of it: every delivery with every attempt."""
        found = await self._store.transact(lambda tx: story(tx, question.id))
        if found is None:
            raise web.HTTPNotFound(text="There is no such event; what nobody is owed any more is deleted after a month.")
        return answers.Stories(story=(found,))

    async def deliveries(self, question: AboutDeliveries) -> answers.Deliveries:
        """The newest deliveries that match, oldest first."""
        rows = await self._store.transact(
            lambda tx: tx.deliveries(sink=question.sink, state=question.state, before=question.before, limit=question.limit + 1)
        )
        shown = rows[-question.limit :]
        return answers.Deliveries(
            deliveries=tuple(DeliveryShape.model_validate(row) for row in shown),
            before=shown[0].id if len(rows) > len(shown) else None,
        )

    async def retry(self, wish: Retry) -> answers.Resent:
        """Send dead deliveries again: either `ids`, or `all` with or without a `sink`. What is not dead is left alone."""
        resent, sinks = await self._store.transact(lambda tx: _resend(tx, wish, self._store.now().timestamp()))
        if sinks:
            self._retried(sinks)
        return answers.Resent(resent=tuple(resent))

    async def accuracy(self, _question: Nothing) -> answers.Accuracy:
        """How far off the forecasts were, the most left first."""
        judged = await self._store.transact(lambda tx: tx.judged())
        return answers.Accuracy(accuracy=tuple(AccuracyShape.of(each) for each in accuracy(judged)))

    async def silences(self, question: AboutSilences) -> answers.Silences:
        """The silences that hold or will, by their ends."""
        now = self._store.now()
        found = await self._store.transact(lambda tx: tx.silences(now.timestamp(), over=question.all == "true"))
        return answers.Silences(silences=tuple(SilenceShape.of(silence, now) for silence in found[-MOST:]))

    async def silence(self, wish: Silencing) -> answers.Silences:
        """Stop deliveries of what matches, from now on, for a while. The silence that was added comes back."""
        now = self._store.now()
        silence = wish.silence(now)
        await self._store.transact(lambda tx: tx.silence(silence))
        return answers.Silences(silences=(SilenceShape.of(silence, now),))

    async def expire(self, wish: Expire) -> answers.Expired:
        """End silences now."""
        now = self._store.now()
        return answers.Expired(expired=tuple(await self._store.transact(lambda tx: tx.expire_silences(wish.ids, now))))


def _place(cursor: str) -> tuple[str, str, str]:
    project, cluster, action, task = cursor.split("/", PARTS - 1)
    return f"{project}/{cluster}", action, task


def _resend(transaction: Transaction, wish: Retry, now: float) -> tuple[list[str], frozenset[str]]:
    before = transaction.counts()
    resent = transaction.resend(now, ids=wish.ids, sink=wish.sink)
    after = transaction.counts()
    fewer = {sink for (sink, state), count in before.items() if state is State.DEAD and after.get((sink, state), 0) < count}
    return resent, frozenset(fewer)
