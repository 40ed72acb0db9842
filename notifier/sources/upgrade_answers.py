"""Simulated tasks and clusters in the API's own spelling: comma-joined lists, JSON inside strings, naive UTC times.

The marks (D), (C) and (I) are explained in ``upgrades``. Pure.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from notifier.domain.model import Action, Status
from notifier.sources.upgrades import STAGES, Attempt, Round, Step, TaskPlan, Variant, attempt_at

Json = dict[str, Any]

IMAGE: Json = {
    # (D) the documentation's own sample.
    "id": "439b5d30-5968-45df-b088-d030a858522d",
    "displayName": "7.10.2_22.5.1_1230",
    "imageDesc": "The latest image of version 7.10.2 will be officially released on December 30, 2022. the stability of the "
    "cluster has been optimized. It is recommended that you upgrade to this version.",
    "datastoreType": "elasticsearch",
    "datastoreVersion": "7.10.2",
    "priority": 16,
}
DELETED = object()
"""Stands for a key that is not there."""


def task_item(plan: TaskPlan, at: float, epoch: datetime) -> Json | None:
    """The task's entry of ``detailList`` at ``at``; None before it appears. ``epoch`` is second 0 of the scenario."""
    attempt = attempt_at(plan, at)
    if attempt is None:
        return None
    work = next(each for each in reversed(attempt.rounds) if each.began <= at)
    variant = plan.variant
    item: Json = {
        "id": plan.id,
        "startTime": _time(_start(plan, attempt), epoch),
        "endTime": _time(attempt.ended if attempt.ended <= at else None, epoch),
        "status": _status(plan, attempt, at),
        "agencyName": "css_test_agency",
        "imageInfo": dict(IMAGE) if plan.action is Action.UPGRADING else DELETED,
        "totalNodes": ",".join(plan.nodes),
        "completedNodes": ",".join(plan.nodes[: attempt.completed(at)]),
        "executeTimes": attempt.number if variant.numeric_executions else str(attempt.number),
        **_work(plan, attempt, work, at, epoch),
    }
    if plan.action is Action.AZ_MIGRATION:
        move = {"instType": "ess", "migrateType": "az_migrate", "sourceAz": plan.source_az, "targetAz": plan.target_az}
        item["migrateParam"] = _json_text(move)
        item["finalAzInfoMap"] = _json_text({plan.target_az: ",".join(plan.nodes)})
    if variant.new_fields:
        item |= {"riskLevel": {"level": "low"}, "upgradeMode": "rolling"}
    return _blanked(item, variant)


def cluster_item(cluster_id: str, name: str, nodes: Sequence[str], *, busy: bool, created: float, epoch: datetime) -> Json:
    """The cluster as ``GET /clusters`` lists it and ``GET /clusters/{id}`` shows it (D, but for the ``actions`` while busy)."""
    return {
        "id": cluster_id,
        "name": name,
        "status": "200",
        "actions": ["UPGRADING"] if busy else [],  # (I) what it holds during an upgrade is not documented
        "actionProgress": {},
        "instances": [
            {
                "id": f"{cluster_id[:-4]}{index:04x}",
                "name": node,
                "type": "ess",
                "status": "200",
                "azCode": "cn-north-4a",
                "ip": f"192.168.{index // 250}.{index % 250 + 4}",
                "specCode": "ess.spec-4u8g",
            }
            for index, node in enumerate(nodes)
        ],
        "datastore": {"type": "elasticsearch", "version": "7.10.2", "supportSecuritymode": False},
        "created": _time(created, epoch),
        "updated": _time(created, epoch),
        "enterpriseProjectId": "0",
        "period": False,
        "tags": [],
    }


def _work(plan: TaskPlan, attempt: Attempt, work: Round, at: float, epoch: datetime) -> Json:
    """What is said of the batch at work, or of the last one."""
    over = attempt.ended <= at
    forgotten = over and plan.variant.forgets
    fields: Json = {
        "currentNodeName": "" if forgotten else work.nodes[0],
        "currentNodeDetail": [] if forgotten else _stages(plan, attempt, work, at, epoch),
    }
    if plan.variant.old_region:
        return fields
    fields |= {"batchSize": plan.batch, "currentBatchNodes": "" if forgotten else ",".join(work.nodes)}
    if over and attempt.failure:
        fields["failMessage"] = attempt.failure.message
    return fields


def _stages(plan: TaskPlan, attempt: Attempt, work: Round, at: float, epoch: datetime) -> list[Json]:
    silent = attempt.failure is not None and attempt.failure.silent and attempt.ended <= at
    shown = [step for step in work.steps if plan.variant.lists(step.order) and not (silent and step.ended > at)]
    upcoming = next((step.order for step in work.steps if step.began > at), None)
    at_rest = all(step.ended <= at or step.began > at for step in work.steps)
    return [_stage(plan.variant, step, at, epoch, imminent=at_rest and step.order == upcoming) for step in shown]


def _stage(variant: Variant, step: Step, at: float, epoch: datetime, *, imminent: bool) -> Json:
    kind = STAGES[step.order]
    waiting = "PREPARING" if variant.unknown_statuses and imminent else Status.WAITING
    over = Status.FAILED if step.failed else Status.SUCCESS
    stage: Json = {
        "order": kind.order,
        "name": kind.name,
        "status": waiting if step.began > at else Status.RUNNING if step.ended > at else over,
        "desc": kind.description,
        "beginTime": _time(step.began if step.began <= at else None, epoch),
        "endTime": _time(step.ended if step.ended <= at else None, epoch),
    }
    if variant.new_fields:
        stage["retryable"] = True
    return _blanked(stage, variant)


def _status(plan: TaskPlan, attempt: Attempt, at: float) -> str:
    if plan.variant.unknown_statuses and at < min(attempt.rounds[0].steps[0].began, attempt.ended):
        return "INITIALIZING"
    return attempt.status(at)


def _start(plan: TaskPlan, attempt: Attempt) -> float | None:
    if attempt.number == 1:
        return plan.start
    choice = plan.failures[attempt.number - 2].start_time
    return {"kept": plan.start, "changed": attempt.began, "emptied": None}[choice]


def _blanked(item: Json, variant: Variant) -> Json:
    """Leave out what is not there, and spell what is empty the variant's way."""
    there = {key: value for key, value in item.items() if value is not DELETED}
    if variant.blank == "text":
        return there
    if variant.blank == "null":
        return {key: None if value in ("", []) else value for key, value in there.items()}
    return {key: value for key, value in there.items() if value not in ("", [])}


def _time(at: float | None, epoch: datetime) -> str:
    """Naive ISO, whole seconds, UTC (C); empty where there is none (D)."""
    return "" if at is None else (epoch + timedelta(seconds=at)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _json_text(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"))
