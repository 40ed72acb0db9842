"""``explain``: which rule led to an event, what lay before and after it, what held it, which message told it."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_cli_people import CONFIG, SEARCH, run

from notifier.domain.diff import diff
from notifier.domain.holding import Holding, Quiet
from notifier.domain.message import Receipt
from notifier.domain.model import Action, Event, Snapshot, Task
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.store.rows import State
from notifier.store.store import Store
from notifier.store.transaction import Transaction

NOW = datetime.now(UTC)
MORNING = NOW + timedelta(hours=3)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "notifier.yaml"
    clock = f"{{from: '{NOW - timedelta(hours=1):%H:%M}', to: '{MORNING:%H:%M}'}}"
    text = CONFIG.format(folder=tmp_path, port=9).replace("team: {type: console}", f"team: {{type: console, quiet: {clock}}}")
    path.write_text(text)
    return path


def night(tx: Transaction) -> list[Event]:
    """A task that was under way is held through the night, all of it, and told in one message in the morning."""
    end = MORNING.replace(second=0, microsecond=0)
    quiet = Quiet((NOW - timedelta(hours=1)).replace(second=0, microsecond=0).time(), end.time(), UTC)
    audience = Audience([Route(Matcher(), ("team",))], {"team": Holding(patience=lambda _: 0.0, quiet=quiet)})
    told: list[Event] = []
    nodes = ("n1", "n2")
    for tasks in ((Task("t1", "RUNNING", 1, nodes),), (Task("t1", "RUNNING", 1, nodes, ("n1",), ("n2",), "n2"),)):
        before = tx.known(SEARCH)
        step = diff(before[0], Snapshot(SEARCH, Action.UPGRADING, tasks), NOW)
        tx.save(SEARCH, before, step.known, (step.events, audience.plan(step.events, NOW)), NOW.timestamp())
        told += step.events
    (claim,) = tx.claim("team", "me", 1, lease=30, now=MORNING.timestamp())
    tx.delivered(claim, Receipt(), time.time())
    return told


def test_explain_says_why_what_was_around_it_what_held_it_and_which_message_told_it(config: Path) -> None:
    store = Store(f"sqlite:///{config.parent}/notifier.db").open()
    try:
        started, completed, last = asyncio.run(store.transact(night))
    finally:
        store.close()
    first = run(config, "explain", started.id).output
    assert "Why: it was under way already when it was first looked at." in first
    assert "Before it: nothing; it is the first that is known of its task." in first
    assert "After it: number 2, node.completed, seen at" in first
    said = run(config, "explain", completed.id).output
    assert "Why: the node was listed in completedNodes." in said
    assert "Before it: number 1, task.started, seen at" in said
    assert f"After it: number 3, {last.kind}, seen at" in said
    assert "quiet hours, unless something urgent came first" in said
    assert f"told in one message with number 3, node.started ({last.id})" in said
    leader = json.loads(run(config, "explain", last.id, "--json").output)
    assert leader["deliveries"][0]["told_with"] is None
    assert leader["rule"].startswith("the node was in the batch")
    assert (leader["before"]["id"], leader["after"]) == (completed.id, None)


def test_explain_says_that_a_digest_held_it(config: Path) -> None:
    def wait(tx: Transaction) -> list[Event]:
        before = tx.known(SEARCH)
        step = diff(before[0], Snapshot(SEARCH, Action.UPGRADING, (Task("t1", "RUNNING", 1),)), NOW)
        planned = Audience([Route(Matcher(), ("oncall",))], {"oncall": Holding(digest=900)}).plan(step.events, NOW)
        tx.save(SEARCH, before, step.known, (step.events, planned), NOW.timestamp())
        return list(step.events)

    store = Store(f"sqlite:///{config.parent}/notifier.db").open()
    try:
        (event,) = asyncio.run(store.transact(wait))
    finally:
        store.close()
    assert "to be told with what follows (digest, or the sink's own)" in run(config, "explain", event.id).output


@pytest.mark.parametrize("state", State)
def test_deliveries_of_every_state_can_be_asked_for(config: Path, state: State) -> None:
    store = Store(f"sqlite:///{config.parent}/notifier.db").open()
    try:
        asyncio.run(store.transact(night))
    finally:
        store.close()
    found = run(config, "deliveries", "--state", state.value, "--json")
    assert found.exit_code == 0, found.output
    rows = [json.loads(line) for line in found.output.splitlines()]
    assert {row["state"] for row in rows} == ({state.value} if state is State.DELIVERED else set())
