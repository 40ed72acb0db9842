"""``explain``: which rule led to an event, what lay before and after it, what held it, which message told it."""

import asyncio
import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from test_cli_people import CONFIG, SEARCH, run

from notifier.domain.diff import diff
from notifier.domain.holding import Holding, Quiet
from notifier.domain.known import Known
from notifier.domain.message import Receipt
from notifier.domain.model import Action, Event, Kind, Snapshot, Task
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.domain.samples import sample
from notifier.engine.budget import Budget
from notifier.engine.poller import Cadence, Poller
from notifier.engine.watch import Watch
from notifier.sources.recorder import Recordings
from notifier.sources.recording import Reading, files_of
from notifier.sources.scenarios import SCENARIOS
from notifier.store.rows import State
from notifier.store.store import Store
from notifier.store.transaction import Transaction

sys.path.append(str(Path(__file__).parents[1] / "recordings"))

from make_recordings import Played

NOW = datetime(2026, 3, 1, 22, 10, tzinfo=UTC)
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


async def watched(store: Store, folder: Path, *, names: bool = False) -> dict[str, Event]:
    """The failure of an upgrade, watched and recorded from before it began; its events by kind, the last of each."""
    played = Played(SCENARIOS["failure"])
    told: dict[str, Event] = {}
    with Recordings(folder, names=names, clock=played.now) as kept:
        (cluster,) = played.clusters
        watch = Watch(cluster, kept.around(played), Budget(10_000.0))
        poller = Poller([watch], store, Audience([]), Cadence(15.0, 0.0, 300.0), lambda _: None)
        while played.at <= played.end + 55.0:
            with time_machine.travel(played.now(), tick=False):
                applied = await poller.poll(watch)
            told |= {event.kind.value: event for event in (applied.events if applied else ())}
            played.at += 55.0
    return told


@pytest.fixture
def story(config: Path) -> dict[str, Event]:
    store = Store(f"sqlite:///{config.parent}/notifier.db").open()
    try:
        return asyncio.run(watched(store, config.parent / "kept"))
    finally:
        store.close()


def test_explain_names_the_two_answers_finds_them_in_the_recording_and_says_what_differs(
    config: Path, story: dict[str, Event]
) -> None:
    failed = story["task.failed"]
    assert failed.evidence is not None
    assert failed.evidence.earlier is not None
    alone = run(config, "explain", failed.id).output
    for which, answer in (("earlier", failed.evidence.earlier), ("later", failed.evidence.later)):
        received = f"{answer.received_at:%Y-%m-%d %H:%M:%S}Z"
        assert f"The {which} answer: received at {received}" in alone
        assert f"{answer.size} bytes, SHA-256 {answer.digest[:16]}…" in alone
    assert "recorded in" not in alone
    said = run(config, "explain", failed.id, "--recording", str(config.parent / "kept")).output
    (recording,) = (config.parent / "kept").iterdir()
    lines = [int(part.split()[0].rstrip(".")) for part in said.split(f"recorded in {recording}, line ")[1:]]
    assert len(lines) == 2
    assert lines[0] < lines[1]
    assert "What differs between them:" in said
    stage = run(config, "explain", story["stage.failed"].id, "--recording", str(config.parent / "kept")).output
    assert "stage 4 Network port binding of css-test-ess-esn-2-1: status: WAITING -> FAILED" in stage
    assert ": status: RUNNING -> FAILED" in said
    assert ": failMessage: nothing -> [402c6c3]" in said
    assert "css_test_agency" not in said
    told = json.loads(run(config, "explain", failed.id, "--recording", str(recording), "--json").output)
    assert told["evidence"]["later"]["digest"] == failed.evidence.later.digest
    assert {place["line"] for place in told["recording"]["found"].values()} == set(lines)
    assert {"of": f"task {failed.task and failed.task.id}", "field": "status", "before": "RUNNING", "after": "FAILED"} in told[
        "recording"
    ]["differences"]


def test_explain_says_where_an_answer_has_none_before_it_and_where_it_is_not_in_the_recording(
    config: Path, story: dict[str, Event], tmp_path: Path
) -> None:
    other = Path(__file__).parents[1] / "recordings" / "quick.jsonl.gz"
    started = run(config, "explain", story["task.started"].id, "--recording", str(other)).output
    assert started.count(f"not found in {other}") == 2
    assert "What differs" not in started
    (tmp_path / "none.jsonl.gz").write_text("hello")
    wrong = run(config, "explain", story["task.started"].id, "--recording", str(tmp_path / "none.jsonl.gz"))
    assert (wrong.exit_code, "is no recording" in wrong.output) == (2, True)


def test_explain_says_what_an_event_follows_from_that_follows_from_no_answer(config: Path) -> None:
    def tell(tx: Transaction) -> list[Event]:
        told = [replace(sample(kind).event, cluster=SEARCH) for kind in (Kind.TASK_STALLED, Kind.CLUSTER_UNREACHABLE)]
        tx.save(SEARCH, tx.known(SEARCH), Known(sequence=1), (told, ()), NOW.timestamp())
        return told

    store = Store(f"sqlite:///{config.parent}/notifier.db").open()
    try:
        stalled, unreachable = asyncio.run(store.transact(tell))
    finally:
        store.close()
    said = run(config, "explain", stalled.id).output
    assert "It follows from time: since 2026-03-01 05:30:00Z good answers had shown the same for 2700 s" in said
    assert "answer:" not in said
    assert "It follows from no good answer since 2026-03-01 07:25:00Z" in run(config, "explain", unreachable.id).output


async def test_a_recording_without_names_or_with_a_secret_names_no_digest_that_a_guess_could_be_tried_on(tmp_path: Path) -> None:
    store = Store("sqlite://").open()
    try:
        await watched(store, tmp_path, names=True)
    finally:
        store.close()
    assert {entry.digest for entry in Reading(files_of([tmp_path])).entries()} == {None}
