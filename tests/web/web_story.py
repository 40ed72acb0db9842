"""The story of ``notifier demo``, already told up to a moment: what a browser is shown, and what the documentation pictures."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from web_world import enrol

from notifier.domain.diff import diff
from notifier.domain.known import Known
from notifier.domain.message import Receipt
from notifier.domain.model import Action, Cluster, Event, Severity, Snapshot
from notifier.domain.outage import unreachable
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route, SeverityRange
from notifier.sources.scenarios import SCENARIOS, ClusterPlan
from notifier.sources.wire import read_page, to_task
from notifier.store.rows import SinkState
from notifier.store.transaction import Transaction

STEP = 20
"""Seconds between two looks."""

FAILED = 1420
"""Seconds from the story's beginning at which one upgrade has failed and the two others are under way."""

SINKS = ("team", "oncall")
ROUTES = (
    Route(Matcher(severity=SeverityRange(Severity.INFO)), ("team",)),
    Route(Matcher(severity=SeverityRange(Severity.ERROR)), ("oncall",)),
)
REFUSED = "HTTP 502 from hooks.example.com"


def clusters() -> Sequence[tuple[ClusterPlan, Cluster]]:
    labels = {"search-prod": {"env": "prod", "team": "search"}, "logs-prod": {"env": "prod", "team": "logs"}}
    return [
        (plan, Cluster(plan.id, plan.name, "cn-north-4", "prod-beijing", "p" * 32, labels.get(plan.name, {"env": "eu"})))
        for plan in SCENARIOS["demo"].clusters
    ]


def tell(tx: Transaction, now: datetime, *, until: float = FAILED) -> None:
    """Everything that was seen and told in the story's first ``until`` seconds, the last of which is ``now``."""
    for sink in SINKS:
        enrol(tx, name=sink)
    epoch = now - timedelta(seconds=until)
    audience = Audience(ROUTES)
    for elapsed in range(0, int(until) + 1, STEP):
        at = epoch + timedelta(seconds=elapsed)
        for plan, cluster in clusters():
            _look(tx, plan, cluster, audience, (float(elapsed), epoch, at))
        _deliver(tx, at)
    _quiet_and_silent(tx, audience, now)


def _look(
    tx: Transaction, plan: ClusterPlan, cluster: Cluster, audience: Audience, moment: tuple[float, datetime, datetime]
) -> None:
    elapsed, epoch, at = moment
    before, version = tx.known(cluster)
    known = before
    events: list[Event] = []
    for action in Action:
        answer = read_page(json.dumps({"totalSize": 1, "detailList": plan.state(elapsed, action, epoch)}).encode())
        step = diff(known, Snapshot(cluster, action, tuple(to_task(task) for task in answer.items)), at)
        known, events = step.known, [*events, *step.events]
    if known is not before:
        tx.save(cluster, (before, version), known, (events, audience.plan(events, at)), at.timestamp())


def _deliver(tx: Transaction, at: datetime) -> None:
    """The team hears of all; the one on call of nothing, for the receiver fails: one letter is given up."""
    now = at.timestamp() + 1
    while claims := tx.claim("team", "story", 10, lease=60, now=now):
        for claim in claims:
            tx.delivered(claim, Receipt(), now)
    for claim in tx.claim("oncall", "story", 1, lease=60, now=now):
        if claim.attempt < 3:
            tx.postponed(claim, now + 15, now, outcome="retry", reason="server", detail=REFUSED, uncertain=False, counted=True)
        else:
            tx.buried(claim, now, outcome="rejected", reason="server", detail=REFUSED)
            tx.mark("oncall", SinkState(3, reason="server", detail=REFUSED))


def _quiet_and_silent(tx: Transaction, audience: Audience, now: datetime) -> None:
    quiet = Cluster("7c1f0a52-0000-4000-8000-000000000001", "archive", "cn-north-4", "prod-beijing", "p" * 32, {"env": "prod"})
    silent = replace(quiet, id="7c1f0a52-0000-4000-8000-000000000002", name="metrics-eu", labels={"env": "eu"})
    known = Known(baselines=frozenset(Action))
    tx.save(quiet, (Known(), 0), known, ((), ()), now.timestamp())
    step = unreachable(known, silent, ("forbidden", "HTTP 403 CSS.0015"), now - timedelta(minutes=6), 0.0)
    tx.save(silent, (Known(), 0), step.known, (step.events, audience.plan(step.events, now)), now.timestamp())
