"""Somebody who looks at a simulated task all the time and notes what becomes visible: the other witness of its facts."""

from dataclasses import dataclass, field
from typing import Any

from notifier.domain.model import Action, Kind
from notifier.sources.scenarios import CLUSTER_ID, EPOCH
from notifier.sources.upgrade_answers import task_item
from notifier.sources.upgrade_facts import Fact, facts
from notifier.sources.upgrades import TaskPlan

Json = dict[str, Any]

ENDINGS = {
    "SUCCESS": Kind.TASK_SUCCEEDED,
    "FAILED": Kind.TASK_FAILED,
    "PARTIAL_FAILED": Kind.TASK_PARTIALLY_FAILED,
}


def names(item: Json, key: str) -> list[str]:
    return [name for name in (item.get(key) or "").split(",") if name]


@dataclass
class Watcher:
    """Looks at one task all the time, knows nothing but its answers, and notes what becomes visible."""

    cluster_id: str
    action: Action
    notes: list[Fact] = field(default_factory=list)
    last: Json | None = None
    in_flight: list[str] = field(default_factory=list)
    stages: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)

    def look(self, at: float, item: Json) -> None:
        attempt = int(item["executeTimes"])

        def note(kind: Kind, node: str | None = None, order: int | None = None) -> None:
            self.notes.append(Fact(at, self.cluster_id, self.action, item["id"], attempt, kind, node, order))

        if self.last is None or item["executeTimes"] != self.last["executeTimes"]:
            note(Kind.TASK_STARTED if self.last is None else Kind.TASK_RETRIED)
            self.in_flight = []
        for node in names(item, "completedNodes")[len(names(self.last or {}, "completedNodes")) :]:
            note(Kind.NODE_COMPLETED, node)
        current = names(item, "currentBatchNodes") or names(item, "currentNodeName")
        self._look_at_nodes(current, note, running=item["status"] not in ENDINGS)
        self._look_at_stages(item, note)
        if item["status"] in ENDINGS and (self.last is None or self.last["status"] != item["status"]):
            if item["status"] != "SUCCESS" and (self.last is None or self.last["status"] not in ENDINGS):
                for node in self.in_flight:
                    note(Kind.NODE_FAILED, node)
            note(ENDINGS[item["status"]])
        self.last = item

    def _look_at_nodes(self, current: list[str], note: Any, *, running: bool) -> None:
        if running and current != self.in_flight:
            for node in current:
                note(Kind.NODE_STARTED, node)
            self.in_flight = current

    def _look_at_stages(self, item: Json, note: Any) -> None:
        for stage in item.get("currentNodeDetail") or ():
            key, now = (item["currentNodeName"], stage["order"]), (stage["status"], stage.get("beginTime") or "")
            before = self.stages.get(key, ("WAITING", ""))
            self.stages[key] = now
            if now == before:
                continue
            if before[0] != "RUNNING" and now[0] in {"RUNNING", "SUCCESS", "FAILED"}:
                note(Kind.STAGE_STARTED, *key)
            if now[0] in {"SUCCESS", "FAILED"}:
                note(Kind.STAGE_SUCCEEDED if now[0] == "SUCCESS" else Kind.STAGE_FAILED, *key)


def instants(told: tuple[Fact, ...], step: float) -> list[float]:
    """Every moment at which something happens, and a grid between them."""
    first, last = told[0].at - 1, told[-1].at + 1
    grid = {first + step * index for index in range(int((last - first) / step) + 2)}
    return sorted(grid | {fact.at for fact in told})


def watch(plan: TaskPlan, step: float = 3.0) -> list[Fact]:
    watcher = Watcher(CLUSTER_ID, plan.action)
    for at in instants(facts(plan, CLUSTER_ID), step * plan.pace):
        if item := task_item(plan, at, EPOCH):
            watcher.look(at, item)
    return watcher.notes
