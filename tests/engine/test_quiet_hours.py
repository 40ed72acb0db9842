"""Quiet hours from the plan to the sink: what is not urgent is told together when they end, a failure at once."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from engine_scripts import Sink, cluster, eventually, outlet, running, serving, settled

from notifier.domain.diff import diff
from notifier.domain.holding import Holding, Quiet
from notifier.domain.model import Action, Event, Kind, Severity, Snapshot, Task
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route, SeverityRange
from notifier.store.store import Store
from notifier.store.transaction import Transaction

LENGTH = timedelta(hours=2)
"""What is left of the quiet hours."""


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store("sqlite://").open()
    yield opened
    opened.close()


def happen(tx: Transaction, name: str, *answers: tuple[Task, ...], now: datetime, quiet: Quiet) -> list[Event]:
    """What these answers lead to, for a sink that may merge and has quiet hours."""
    subject = cluster(name)
    before, version = tx.known(subject)
    known, events = before, list[Event]()
    for tasks in ((), *answers):
        step = diff(known, Snapshot(subject, Action.UPGRADING, tasks), now)
        known, events = step.known, [*events, *step.events]
    route = Route(Matcher(severity=SeverityRange(Severity.INFO)), ("team",))
    owed = Audience([route], {"team": Holding(patience=lambda _: 0.0, quiet=quiet)}).plan(events, now)
    tx.save(subject, (before, version), known, (events, owed), now.timestamp())
    return events


async def test_the_night_is_told_in_one_message_in_the_morning_and_a_failure_at_once(store: Store) -> None:
    now = datetime.now(UTC)
    morning = now + LENGTH
    quiet = Quiet((now - timedelta(hours=1)).time(), morning.time(), UTC)
    failed = replace(running("n1"), status="FAILED")
    sink = Sink()
    await store.transact(lambda tx: happen(tx, "calm", (running(),), (running("n1"),), now=now, quiet=quiet))
    await store.transact(lambda tx: happen(tx, "trouble", (running("n1"),), (failed,), now=now, quiet=quiet))
    async with serving(outlet(store, sink)) as dispatcher:
        await eventually(lambda: any(message.event.kind is Kind.TASK_FAILED for message in sink.heard))
        assert {message.event.cluster.name for message in sink.heard} == {"trouble"}
        # The morning comes to what waits for it, which is what an outlet does when its clock is set.
        await store.transact(lambda tx: tx.shift("team", -LENGTH.total_seconds()))
        dispatcher.told(frozenset({"team"}))
        await eventually(settled(store, count=4 + 5))
    calm = [message for message in sink.heard if message.event.cluster.name == "calm"]
    (message,) = calm
    told = [event.kind for event in (*message.earlier, message.event)]
    assert told == [Kind.TASK_STARTED, Kind.NODE_STARTED, Kind.NODE_COMPLETED, Kind.NODE_STARTED]
