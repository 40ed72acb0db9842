"""A store in which one upgrade has failed, was retried, and went well, with everything that was told of it."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from notifier.domain.diff import diff
from notifier.domain.message import Receipt
from notifier.domain.model import Action, Cluster, Event, Severity, Snapshot
from notifier.domain.outage import reachable, unreachable
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route, SeverityRange
from notifier.domain.silences import Silence
from notifier.sources.scenarios import EPOCH, PROJECT_ID, SCENARIOS
from notifier.sources.wire import read_page, to_task
from notifier.store.transaction import Transaction

SCENARIO = "retry-at-stage"
PLAN = SCENARIOS[SCENARIO].clusters[0]
TASK = PLAN.tasks[0].id
SEARCH = Cluster(PLAN.id, "search-prod", "cn-north-4", "beijing", PROJECT_ID, {"env": "prod"})
OUTAGE = (2000.0, 2400.0)
"""Scenario seconds in which the cluster could not be polled."""

ROUTES = (Route(Matcher(), ("hook",)), Route(Matcher(severity=SeverityRange(Severity.INFO)), ("team", "mail")))
CONFIG = """\
projects:
  - name: beijing
    region: cn-north-4
    project_id: {project}
    endpoint: http://127.0.0.1:9
    credentials: {{access_key: AK, secret_key: SK}}
    clusters: [{{id: {cluster}, name: search-prod, labels: {{env: prod}}}}]
store: sqlite:///{folder}/notifier.db
sinks:
  hook: {{type: console}}
  team: {{type: console}}
  mail: {{type: console}}
http: {{listen: "127.0.0.1:{port}"}}
"""


def configuration(folder: Path, port: int = 9) -> Path:
    path = folder / "notifier.yaml"
    path.write_text(CONFIG.format(project=PROJECT_ID, cluster=PLAN.id, folder=folder, port=port))
    return path


def polls(step: float = 20.0) -> Iterator[tuple[float, Snapshot | None]]:
    """What a poll every ``step`` scenario seconds saw; None where the cluster could not be polled."""
    for number in count():
        at = number * step
        if at > SCENARIOS[SCENARIO].end + 2 * step:
            return
        if OUTAGE[0] <= at < OUTAGE[1]:
            yield at, None
            continue
        body = json.dumps({"totalSize": 9, "detailList": PLAN.state(at, Action.UPGRADING)}).encode()
        yield at, Snapshot(SEARCH, Action.UPGRADING, tuple(to_task(item) for item in read_page(body).items))


def moment(at: float) -> datetime:
    return EPOCH + timedelta(seconds=at)


def silence(at: float) -> Silence:
    """Somebody has seen the failure and wants no reminders."""
    return Silence("s-1", Matcher(), moment(at), moment(at + 3600), "li.na", "looking into it", TASK, reminders_only=True)


def fill(tx: Transaction) -> list[Event]:
    """Let it happen; the hook gets everything at once, the team after two seconds, the mail fails first and once for good."""
    told: list[Event] = []
    for at, snapshot in polls():
        now = moment(at)
        before = tx.known(SEARCH)
        step = (
            unreachable(before[0], SEARCH, ("server", "HTTP 503"), now, 60)
            if snapshot is None
            else diff(before[0], snapshot, now)
        )
        steps = [step, *([reachable(step.known, SEARCH, now)] if snapshot else [])]
        events = [event for each in steps for event in each.events]
        planned = Audience(ROUTES).plan(events, now)
        if steps[-1].known is not before[0]:
            tx.save(SEARCH, before, steps[-1].known, (events, planned), now.timestamp())
        told += events
        settle(tx, now.timestamp())
    tx.silence(silence(1500.0))
    return told


def settle(tx: Transaction, now: float) -> None:
    for sink, delay in (("hook", 0.2), ("team", 2.5), ("mail", 9.0)):
        while claims := tx.claim(sink, "tester", 10, lease=30, now=now):
            for claim in claims:
                said: dict[str, Any] = {"outcome": "rejected", "reason": "refused", "detail": "550 no such mailbox"}
                if sink == "mail" and claim.event.sequence == 2:
                    tx.buried(claim, now + delay, **said)
                else:
                    tx.delivered(claim, Receipt(), now + delay)
