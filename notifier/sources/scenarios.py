"""What the simulator can play: named scenarios, each a pure function of the seconds that have passed.

The same scenario and the same second give the same answer, in any process. What an operator does while it runs makes a new
scenario with the same past (`Scenario.changed`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

from notifier.domain.model import Action, Status
from notifier.sources.upgrade_answers import cluster_item, task_item
from notifier.sources.upgrade_facts import Fact, facts
from notifier.sources.upgrades import NEVER, Failure, Hang, Operation, TaskPlan, Variant, attempt_at, course

EPOCH = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
"""Second 0 where nobody says otherwise."""
PROJECT_ID = "6204a5bd270343b5885144cf9c8c158d"
CLUSTER_ID = "ea244205-d641-45d9-9dcb-ab2236bcd07e"
"""The cluster of every scenario that has only one. Both ids are those of Huawei's documentation."""
DEMO_SPEED = 30.0
"""Scenario seconds a second at which the ``demo`` scenario is told in about a minute and a half."""
START = 30.0
"""When the tasks of the small scenarios begin: late enough for a first look at a quiet cluster."""
DAY = 86_400.0

Order = Literal["newest", "oldest", "shuffled"]


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """A cluster and all that will be done to it.

    Attributes:
        id: Huawei's.
        name: Huawei's; node names are made of it.
        nodes: The names of its nodes.
        tasks: Of both actions, in any order.
        order: In which the API lists tasks (I: undocumented; newest first is likely).
        created: In scenario seconds, so usually negative; before, it is not there.
        gone_at: When the cluster is deleted.
    """

    id: str
    name: str
    nodes: tuple[str, ...]
    tasks: tuple[TaskPlan, ...]
    order: Order = "newest"
    created: float = -400 * DAY
    gone_at: float = NEVER

    def state(self, elapsed: float, action: Action = Action.UPGRADING, epoch: datetime = EPOCH) -> list[dict[str, Any]]:
        """The whole ``detailList`` of one action after ``elapsed`` scenario seconds, as JSON-able data in the API's spelling."""
        plans = sorted((plan for plan in self.tasks if plan.action is action), key=lambda plan: plan.start)
        if self.order == "newest":
            plans.reverse()
        elif self.order == "shuffled":
            Random(self.id).shuffle(plans)  # noqa: S311 - a reproducible disorder
        return [item for plan in plans if (item := task_item(plan, elapsed, epoch)) is not None]

    def detail(self, elapsed: float, epoch: datetime = EPOCH) -> dict[str, Any]:
        """The cluster itself, as the API lists it."""
        busy = self.running(elapsed) is not None
        return cluster_item(self.id, self.name, self.nodes, busy=busy, created=self.created, epoch=epoch)

    def exists(self, elapsed: float) -> bool:
        """Whether the cluster has been created and is not deleted yet."""
        return self.created <= elapsed < self.gone_at

    def running(self, elapsed: float) -> TaskPlan | None:
        """The task that is under way."""
        return next((plan for plan in self.tasks if self._status(plan, elapsed) == Status.RUNNING), None)

    def facts(self) -> tuple[Fact, ...]:
        """Everything that happens to the cluster's tasks while it exists, in the order of time."""
        told = (fact for plan in self.tasks for fact in facts(plan, self.id) if self.exists(fact.at))
        return tuple(sorted(told, key=lambda fact: fact.at))

    def operated(self, task_id: str, operation: Operation) -> "ClusterPlan":
        """The cluster whose task is retried or terminated; its past is the same."""
        return replace(
            self,
            tasks=tuple(
                replace(plan, operations=(*plan.operations, operation)) if plan.id == task_id else plan for plan in self.tasks
            ),
        )

    def submitted(self, plan: TaskPlan) -> "ClusterPlan":
        """The cluster with one more task."""
        return replace(self, tasks=(*self.tasks, plan))

    @staticmethod
    def _status(plan: TaskPlan, elapsed: float) -> str | None:
        attempt = attempt_at(plan, elapsed)
        return attempt.status(elapsed) if attempt else None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Clusters and their fate."""

    name: str
    description: str
    clusters: tuple[ClusterPlan, ...]

    def cluster(self, cluster_id: str) -> ClusterPlan:
        """The cluster of that id.

        Raises:
            KeyError: There is none.
        """
        for cluster in self.clusters:
            if cluster.id == cluster_id:
                return cluster
        raise KeyError(cluster_id)

    def state(
        self, elapsed: float, cluster_id: str = CLUSTER_ID, action: Action = Action.UPGRADING, epoch: datetime = EPOCH
    ) -> list[dict[str, Any]]:
        """See `ClusterPlan.state`."""
        return self.cluster(cluster_id).state(elapsed, action, epoch)

    def facts(self) -> tuple[Fact, ...]:
        """Everything that happens, in the order of time; what has a negative time was over or under way at the beginning."""
        return tuple(sorted((fact for cluster in self.clusters for fact in cluster.facts()), key=lambda fact: fact.at))

    @property
    def end(self) -> float:
        """The second after which nothing happens any more."""
        return max((fact.at for fact in self.facts()), default=0.0)

    def changed(self, cluster: ClusterPlan) -> "Scenario":
        """The scenario in which that cluster has another future."""
        return replace(self, clusters=tuple(cluster if each.id == cluster.id else each for each in self.clusters))


def identifier(*seed: object) -> str:
    """A UUID that is the same for the same seed."""
    return str(UUID(int=Random("/".join(map(str, seed))).getrandbits(128), version=4))  # noqa: S311 - reproducible, no secret


def node_names(cluster: str, count: int) -> tuple[str, ...]:
    """The names Huawei gives to data nodes (C)."""
    return tuple(f"{cluster}-ess-esn-{index}-1" for index in range(1, count + 1))


def _one(name: str, description: str, count: int, change: Callable[[TaskPlan], TaskPlan], gone_at: float = NEVER) -> Scenario:
    nodes = node_names("css-test", count)
    plan = change(TaskPlan(identifier(name, "task"), nodes, START, seed=7))
    return Scenario(name, description, (ClusterPlan(CLUSTER_ID, "css-test", nodes, (plan,), gone_at=gone_at),))


def _with(*failures: Failure) -> Callable[[TaskPlan], TaskPlan]:
    return lambda plan: replace(plan, failures=failures)


def _moved(plan: TaskPlan) -> TaskPlan:
    # (D) the nodes of an AZ migration are not sorted.
    second, *others = plan.nodes[1::-1] + plan.nodes[2:]
    return replace(plan, action=Action.AZ_MIGRATION, nodes=(second, *others))


def vanish() -> Scenario:
    """A cluster that is deleted while its second node is at work: from then on it is 403 ``CSS.0015``."""
    scenario = _one("vanish", "a cluster is deleted in mid-upgrade: 403 CSS.0015 from then on", 3, lambda plan: plan)
    cluster = scenario.clusters[0]
    first = course(cluster.tasks[0])[0].rounds[0]
    return scenario.changed(replace(cluster, gone_at=first.ended + 300.0))


def history(finished: int = 12) -> Scenario:
    """Clusters with many finished tasks and a running one; each lists them in another order."""
    orders: tuple[Order, ...] = ("newest", "oldest", "shuffled")
    endings = ((), (Failure(1, 4),), (Failure(0, 0, partial=True),))
    clusters = []
    for order in orders:
        name = f"css-{order}"
        nodes = node_names(name, 3)
        old = tuple(
            TaskPlan(identifier(name, index), nodes, -(index + 1) * 20 * DAY, seed=index, failures=endings[index % 3])
            for index in range(finished)
        )
        now = TaskPlan(identifier(name, "now"), nodes, START, seed=99)
        cluster_id = CLUSTER_ID if order == "newest" else identifier(name)
        clusters.append(ClusterPlan(cluster_id, name, nodes, (*old, now), order))
    return Scenario(
        "history", f"{finished} finished tasks and one that begins, listed in three orders, over two pages", tuple(clusters)
    )


def variants() -> Scenario:
    """The same failed and retried upgrade, shown by as many kinds of API as are imaginable, one cluster each."""
    kinds = {
        "old-region": Variant(old_region=True, forgets=True, blank="absent"),
        "nulls": Variant(blank="null", forgets=True),
        "empties": Variant(forgets=True),
        "numbers": Variant(numeric_executions=True),
        "two-stages": Variant(orders=(0, 12)),
        "unknown-statuses": Variant(unknown_statuses=True),
        "new-fields": Variant(new_fields=True),
        "completed-first": Variant(completed_lead=20.0),
    }
    clusters = []
    for name, variant in kinds.items():
        nodes = node_names(name, 2)
        failure = Failure(1, 12, retried_after=300, restart="stage", start_time="changed")
        plan = TaskPlan(identifier(name, "task"), nodes, START, seed=5, failures=(failure,), variant=variant)
        clusters.append(ClusterPlan(identifier(name), name, nodes, (plan,)))
    return Scenario("variants", "a failed and retried upgrade as eight different regions and releases show it", tuple(clusters))


def demo() -> Scenario:
    """The story of ``notifier demo``: an upgrade that goes well, one that fails and is retried, and a move to another AZ."""
    search, logs, orders = node_names("search-prod", 3), node_names("logs-prod", 2), node_names("orders-eu", 3)
    failed = Failure(1, 4, retried_after=240, restart="stage")
    return Scenario(
        "demo",
        f"three clusters: a success, a failure with a retry, a move to another AZ; about 90 s at speed {DEMO_SPEED:.0f}",
        (
            ClusterPlan(CLUSTER_ID, "search-prod", search, (TaskPlan(identifier("demo", 1), search, 90, seed=1),)),
            ClusterPlan(
                identifier("demo", "logs"),
                "logs-prod",
                logs,
                (TaskPlan(identifier("demo", 2), logs, 180, pace=0.9, seed=2, failures=(failed,)),),
                created=-300 * DAY,
            ),
            ClusterPlan(
                identifier("demo", "orders"),
                "orders-eu",
                orders,
                (_moved(TaskPlan(identifier("demo", 3), orders, 300, pace=0.7, seed=3)),),
                created=-200 * DAY,
            ),
        ),
    )


def fleet(count: int = 20, *, seed: int = 0, pace: float = 1.0, window: float = 1800.0) -> Scenario:
    """Many clusters, mixed endings: for load and chaos.

    Args:
        count: How many clusters.
        seed: Another seed is another fleet.
        pace: See `TaskPlan`.
        window: The tasks begin within so many seconds, from second `START` on, both stretched by ``pace``.
    """
    clusters = tuple(_member(index, seed, pace, window) for index in range(count))
    return Scenario("fleet", f"{count} clusters of one to five nodes, mixed endings", clusters)


def _member(index: int, seed: int, pace: float, window: float) -> ClusterPlan:
    draw = Random(f"fleet/{seed}/{index}")  # noqa: S311 - reproducible, no secret
    name = f"fleet-{index:04d}"
    nodes = node_names(name, draw.randint(1, 5))
    where = Failure(draw.randrange(len(nodes)), draw.randrange(13), silent=draw.random() < 0.3)  # noqa: PLR2004 - a third or so
    retried = replace(where, retried_after=draw.uniform(60, 600), restart=draw.choice(("zero", "stage")))
    endings = ((), (where,), (replace(where, partial=True),), (retried,), (retried, replace(retried, stage=12)))
    plan = TaskPlan(
        identifier("fleet", seed, index, "task"),
        nodes,
        pace * (START + draw.uniform(0, window)),
        action=draw.choices((Action.UPGRADING, Action.AZ_MIGRATION), (4, 1))[0],
        batch=2 if len(nodes) > 3 and draw.random() < 0.5 else 1,  # noqa: PLR2004 - Huawei: at most half of the nodes
        pace=pace,
        seed=seed,
        failures=draw.choices(endings, (60, 12, 6, 16, 6))[0],
    )
    return ClusterPlan(identifier("fleet", seed, index), name, nodes, (plan,), created=-400 * DAY + index)


def _catalogue() -> dict[str, Scenario]:
    failed = Failure(1, 4)
    retried = replace(failed, retried_after=420.0)
    known = (
        _one("success", "three nodes, one after the other, all well", 3, lambda plan: plan),
        _one("failure", "fails on the second node and stays FAILED", 3, _with(failed)),
        _one(
            "retry-at-zero",
            "fails, is retried, begins again with stage 0",
            3,
            _with(replace(retried, start_time="changed")),
        ),
        _one(
            "retry-at-stage",
            "fails, is retried, goes on with the failed stage",
            3,
            _with(replace(retried, restart="stage")),
        ),
        _one("az", "three nodes move to another availability zone", 3, _moved),
        _one("batch", "four nodes, two at a time", 4, lambda plan: replace(plan, batch=2)),
        _one("partial", "ends PARTIAL_FAILED with one node of three completed", 3, _with(Failure(1, 9, partial=True))),
        _one("silent-failure", "ends FAILED without a failed stage, as seen in the field", 1, _with(Failure(0, 4, silent=True))),
        vanish(),
        history(),
        _one(
            "hang",
            "the second node's process startup hangs for two hours, then goes on by itself",
            3,
            lambda plan: replace(plan, hangs=(Hang(1, 8, 7200.0),)),
        ),
        _one("quick", "begins and ends within seconds", 1, lambda plan: replace(plan, pace=0.002)),
        variants(),
        demo(),
        fleet(),
    )
    return {scenario.name: scenario for scenario in known}


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(_catalogue())
"""Every scenario by name; each has a one-line ``description``."""
