"""Learns which clusters there are: asks each project that wants it for its list, tells who came and went, and has them watched.

A look is like a poll: what the list says, what is told of it and what is owed are committed in one transaction. A list that
cannot be had changes nothing: whoever was watched is watched on.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notifier import telemetry, tracing
from notifier.domain import discovery
from notifier.domain.discovery import Roll, Wanted
from notifier.domain.errors import FetchError
from notifier.domain.model import Cluster, Event
from notifier.domain.plan import Audience
from notifier.domain.render import summary
from notifier.engine.budget import Budget
from notifier.engine.poller import Poller
from notifier.engine.watch import Watch
from notifier.sources.contract import ClusterList, Listed
from notifier.store.errors import StoreError
from notifier.store.store import Store
from notifier.store.transaction import Transaction

FIRST_RETRY = 5.0
"""Seconds after which a list that could not be had is asked for again; doubles, up to the usual interval."""

SHARE = 0.5
"""An absence counts again only when this share of the interval has passed: another replica may have looked just now."""


@dataclass(slots=True)
class Survey:
    """One project whose clusters are discovered, with what is remembered of it between looks.

    Attributes:
        project: What a person calls it.
        project_id: Huawei's; what the store knows it by.
        source: Where its list is.
        budget: How often the project may be asked.
        wanted: Which of its clusters are watched.
        explicit: The ids of clusters that the configuration names.
        every: Seconds between two looks.
        watch: Makes the watch of a cluster.
        due: When to look again, on the monotonic clock.
        failures: Looks in a row that told nothing.
        looked_at: When a good list was read last.
        watching: By their keys, the watches of those that were discovered.
    """

    project: str
    project_id: str
    source: ClusterList
    budget: Budget
    wanted: Wanted
    explicit: frozenset[str]
    every: float
    watch: Callable[[Cluster], Watch]
    due: float = 0.0
    failures: int = 0
    looked_at: datetime | None = None
    watching: dict[str, Watch] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a look's transaction did."""

    roll: Roll
    events: tuple[Event, ...] = ()
    owed: frozenset[str] = frozenset()


class Discovery:
    """Looks at every survey's list at its interval. ``told`` is called with the sinks that are owed news."""

    def __init__(
        self,
        surveys: Sequence[Survey],
        poller: Poller,
        store: Store,
        audience: Audience,
        told: Callable[[frozenset[str]], None],
    ) -> None:
        self.surveys = tuple(surveys)
        self._poller = poller
        self._store = store
        self._audience = audience
        self._told = told
        self._looks: set[asyncio.Task[None]] = set()

    async def recall(self) -> None:
        """Have those watched that were discovered before the program was stopped, whatever the lists will say, and note who is.

        Raises:
            StoreError: Nobody can say who they are.
        """
        rolls = await self._store.transact(lambda tx: [tx.roll(survey.project_id) for survey in self.surveys])
        for survey, roll in zip(self.surveys, rolls, strict=True):
            self._follow(survey, discovery.under(roll, survey.wanted, survey.explicit))
        # Whom neither the configuration nor a list has any more is shown no more, whatever is remembered of it.
        watched = frozenset(watch.cluster.key for watch in self._poller.watches)
        await self._store.transact(lambda tx: tx.watch_only(watched))

    def tick(self) -> None:
        """Start every look that is due."""
        now = time.monotonic()
        for survey in self.surveys:
            if survey.due <= now:
                survey.due = float("inf")
                task = asyncio.create_task(self._turn(survey), name=f"discovery of {survey.project}")
                self._looks.add(task)
                task.add_done_callback(self._looks.discard)

    async def stop(self) -> None:
        """Break off what is under way: a look that was not committed never happened."""
        for task in self._looks:
            task.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    async def _turn(self, survey: Survey) -> None:
        survey.failures += 1  # Until it is known to be good.
        try:
            await self.look(survey)
        except FetchError as error:
            telemetry.discovery_failed(survey.project, error.reason, error.detail)
        except StoreError as error:
            telemetry.store_failed("discovery", str(error))
        except Exception as error:  # noqa: BLE001 - one project's fault must not stop the others
            telemetry.fault(f"discovery of {survey.project}", error)
        else:
            survey.failures = 0
        rest = survey.every if not survey.failures else min(survey.every, FIRST_RETRY * 2.0 ** min(survey.failures - 1, 10))
        survey.due = time.monotonic() + rest

    async def look(self, survey: Survey) -> Taken:
        """Ask once; commit what is new, and follow it.

        Raises:
            FetchError: There is no list that can be believed.
            StoreError: What was new could not be committed; the next look sees it again.
        """
        async with survey.budget.turn():
            listed = await survey.source.clusters()
        now = self._store.now()
        taken = await self._store.transact(lambda tx: self._apply(tx, survey, listed, now))
        survey.looked_at = now
        self._follow(survey, taken.roll)
        telemetry.discovered("changed" if taken.events else "unchanged")
        for event in taken.events:
            telemetry.event_told(event.kind, event.cluster.name, event.id, summary(event))
            tracing.told(event, self._store.now())
        if taken.owed:
            self._told(taken.owed)
        return taken

    def _apply(self, tx: Transaction, survey: Survey, listed: Listed, now: datetime) -> Taken:
        """The whole of a look's transaction; on the store's thread, so nothing here may touch the loop."""
        roll = tx.roll(survey.project_id)
        keys = {cluster.key: cluster.id for cluster in listed.clusters if cluster.id not in roll.members}
        call = discovery.call(
            roll,
            listed.clusters,
            survey.wanted,
            now,
            complete=listed.complete,
            explicit=survey.explicit,
            met=frozenset(keys[key] for key in tx.met(keys)),
            apart=survey.every * SHARE,
        )
        if call.roll != roll:
            tx.save_roll(survey.project_id, call.roll)
        told = [(member, discovery.discovered) for member in call.came] + [(member, discovery.forgotten) for member in call.went]
        silences = tx.silences(now.timestamp()) if told else ()
        events: list[Event] = []
        owed: set[str] = set()
        was, now_is = _keys(roll, survey.explicit), _keys(call.roll, survey.explicit)
        tx.watch({key: key in now_is for key in was ^ now_is})
        # In one order everywhere, so that two replicas cannot wait for each other.
        for member, tell in sorted(told, key=lambda each: each[0].cluster.key):
            before, version = tx.known(member.cluster)
            step = tell(before, member, now)
            deliveries = self._audience.plan(step.events, now, silences, alarmed=tx.alarmed)
            tx.save(member.cluster, (before, version), step.known, (step.events, deliveries), now.timestamp())
            events += step.events
            owed |= {planned.sink for planned in deliveries if not planned.silence}
        tx.watch({member.cluster.key: False for member in call.went})  # Those, too, that the store has met just now.
        return Taken(call.roll, tuple(events), frozenset(owed))

    def _follow(self, survey: Survey, roll: Roll) -> None:
        """Have those watched that are on the roll, and nobody else of the survey's."""
        wanted = {cluster.key: cluster for cluster in roll.watched}
        gone = [watch for key, watch in survey.watching.items() if key not in wanted]
        fresh = [survey.watch(cluster) for key, cluster in wanted.items() if key not in survey.watching]
        for watch in gone:
            del survey.watching[watch.cluster.key]
        for key, watch in survey.watching.items():
            watch.cluster = wanted[key]
        survey.watching |= {watch.cluster.key: watch for watch in fresh}
        self._poller.drop(gone)
        self._poller.add(fresh)


def _keys(roll: Roll, explicit: frozenset[str]) -> frozenset[str]:
    """By their keys, those on a roll whose being watched is for the list to say."""
    return frozenset(cluster.key for cluster in roll.watched if cluster.id not in explicit)
