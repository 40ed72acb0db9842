"""What people do in Slack, from the press of a button to the silence in the store and the name on the card."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from block_limits import problems, texts
from fake_slack import APP_TOKEN, CHANNEL, PATIENCE, TOKEN, Posted, Slack, Unhurried, slack
from fake_windows import view_problems
from time_is_up import an_hour_passes

from notifier.domain.diff import diff
from notifier.domain.errors import DeliveryError, DeliveryReason
from notifier.domain.message import Receipt
from notifier.domain.model import Action, Cluster, Event, Kind, Snapshot, Stage, Task
from notifier.domain.plan import Audience
from notifier.domain.render import render
from notifier.domain.routing import Matcher, Route
from notifier.domain.silences import Silence
from notifier.engine.desk import StoreDesk
from notifier.outbound import open_session
from notifier.sinks.contract import Listening, Surroundings
from notifier.sinks.desk import DeskClosed, Fate
from notifier.sinks.pace import Paces
from notifier.sinks.slack import Settings, Sink
from notifier.store.store import Store
from notifier.store.transaction import Transaction

SEARCH = Cluster("c-1", "search", "cn-north-4", "beijing", "p1", {"env": "prod"})
RUNNING = Task("t1", "RUNNING", 1, ("n1", "n2"), (), ("n1",), "n1", (Stage(0, "Data migration", "RUNNING"),))
FAILED = replace(RUNNING, status="FAILED", fail_message="disk full")
SUCCESS = replace(RUNNING, status="SUCCESS", completed=("n1", "n2"), in_flight=(), stages=())


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may need longer than Slack's three seconds to open a window."""
    monkeypatch.setattr("notifier.sinks.slack.TRIGGERED", 60.0)


@dataclass
class World:
    """A workspace, a store, and the sink between them, which listens."""

    workspace: Slack
    store: Store
    sink: Sink
    listening: asyncio.Task[None]
    last: Receipt | None = None

    async def happens(self, *tasks: Task) -> list[Event]:
        """Have the store hear of a cluster's task, without telling anybody."""

        def work(tx: Transaction) -> list[Event]:
            told: list[Event] = []
            for task in tasks:
                before, now = tx.known(SEARCH), datetime.now(UTC)
                step = diff(before[0], Snapshot(SEARCH, Action.UPGRADING, (task,)), now)
                owed = Audience([Route(Matcher(), ("team",))]).plan(step.events, now, tx.silences(now.timestamp()))
                tx.save(SEARCH, before, step.known, (step.events, owed), now.timestamp())
                told += step.events
            return told

        return await self.store.transact(work)

    async def told(self, event: Event) -> Posted:
        """Have the sink tell an event; the card as it is then."""
        message = render(event, delivery_id=event.id, attempt=1, may_repeat=False, skipped=0, now=event.observed_at)
        self.last = await self.sink.send(message, self.last)
        return self.workspace.roots[0]

    @property
    def card(self) -> str:
        return " ".join(texts(self.workspace.roots[0].blocks))

    async def until(self, part: str) -> str:
        """Wait for some words on the card."""
        await self.workspace.until(lambda: bool(self.workspace.roots) and part in self.card)
        return self.card

    async def whispered(self) -> str:
        await self.workspace.until(lambda: bool(self.workspace.whispers))
        return self.workspace.whispers[-1][1]

    async def explained(self) -> str:
        """What the window says once it is filled."""
        windows = self.workspace.windows
        await self.workspace.until(lambda: len(windows.shown) > 1)
        return "\n".join(texts(windows.shown[-1]["blocks"]))

    async def silences(self) -> list[Silence]:
        return await self.store.transact(lambda tx: tx.silences(datetime.now(UTC).timestamp()))


@asynccontextmanager
async def world(
    folder: Path | None, workspace: Slack, total: float = 60.0, lent: Mapping[str, Any] = {}, **more: Any
) -> AsyncIterator[World]:
    """``folder``: where the store outlives the world, if it must. ``total``: seconds that a request may take."""
    given = {"token": TOKEN, "app_token": APP_TOKEN, "channel": CHANNEL, "base_url": workspace.url, **more}
    store = Store("sqlite://" if folder is None else f"sqlite:///{folder}/notifier.db").open()
    try:
        async with open_session(total=total) as session:
            around = Surroundings("team", session, page="http://page", paces=Unhurried(), desk=StoreDesk(store), **lent)
            async with Sink(Settings.model_validate(given), around) as sink:
                assert isinstance(sink, Listening)
                listening = asyncio.create_task(sink.listen())
                try:
                    yield World(workspace, store, sink, listening)
                finally:
                    listening.cancel()
                    await asyncio.gather(listening, return_exceptions=True)
    finally:
        store.close()


async def test_who_acknowledges_a_failure_is_named_on_the_card_also_after_a_restart(tmp_path: Path) -> None:
    async with slack() as workspace:
        async with world(tmp_path, workspace) as here:
            *_, failed = await here.happens(RUNNING, FAILED)
            root = await here.told(failed)
            await workspace.press("acknowledge", root, user="lin")
            await here.until("acknowledged by lin")
            (silence,) = await here.silences()
            assert (silence.author, silence.task, silence.reminders_only) == ("lin", "t1", True)
            assert not silence.silences(failed, datetime.now(UTC))
            assert silence.silences(failed, datetime.now(UTC), reminder=True)
            last = here.last
        async with world(tmp_path, workspace) as here:
            here.last = last
            (event, *_) = await here.happens(replace(RUNNING, executions=2))
            await here.told(event)
            assert "acknowledged by lin" in await here.until("attempt 2")
    assert len(workspace.roots) == 1
    assert all(problems(message.blocks) == [] for message in workspace.messages)


async def test_a_mute_holds_back_progress_and_reminders_but_no_failure_and_no_end() -> None:
    async with slack() as workspace, world(None, workspace) as here:
        started, *_ = await here.happens(RUNNING)
        root = await here.told(started)
        await workspace.press("mute", root, user="ma")
        said = await here.until("muted by ma until")
        assert said.count("ma until") == 1
        await here.happens(replace(RUNNING, completed=("n1",), in_flight=("n2",), current_node="n2", stages=()), SUCCESS)
        rows = await here.store.transact(lambda tx: tx.deliveries(limit=99))
        states = {row.kind: row.state.value for row in rows}
        assert states["node.completed"] == states["node.started"] == "silenced"
        assert states["task.succeeded"] == "pending"


async def test_pressed_twice_it_is_one_wish() -> None:
    async with slack() as workspace, world(None, workspace) as here:
        *_, failed = await here.happens(RUNNING, FAILED)
        root = await here.told(failed)
        for _ in range(3):
            await workspace.press("acknowledge", root)
        await workspace.press("mute", root)
        await workspace.press("mute", root)
        await here.until("muted by lin")
        assert len(await here.silences()) == 3


async def test_the_card_that_is_drawn_after_a_press_shows_the_newest_state() -> None:
    async with slack() as workspace, world(None, workspace) as here:
        started, *_ = await here.happens(RUNNING)
        root = await here.told(started)
        await here.happens(FAILED)
        await workspace.press("mute", root)
        assert "disk full" in await here.until("muted by lin")


async def test_explain_opens_a_window_over_the_card_for_the_one_who_asked() -> None:
    async with slack() as workspace, world(None, workspace) as here:
        *before, failed = await here.happens(RUNNING, replace(FAILED, fail_message=f"disk full {'x' * 2000} at the end"))
        root = await here.told(failed)
        await workspace.press("explain", root)
        said = await here.explained()
        first, last = workspace.windows.shown
        assert "Looking it up" in str(first)
        assert first["id"] == last["id"]
        assert "*search* Upgrade FAILED (0 of 2 nodes, 0%): disk full" in said
        assert "at the end" in said, "the cloud's own words in full"
        assert "• team: still to be told (0 tries so far)" in said
        course = said.partition("*What has happened*\n")[2].splitlines()
        assert len(course) == len(before) + 1
        assert "Upgrade FAILED" in course[-1]
        assert workspace.whispers == []
        assert root.edits == 0


@pytest.mark.parametrize("lasts", [0.0, 60.0], ids=["expired", "used already"])
async def test_where_no_window_opens_any_more_explain_is_answered_in_the_channel(lasts: float) -> None:
    async with slack() as workspace, world(None, workspace) as here:
        *_, failed = await here.happens(RUNNING, FAILED)
        root = await here.told(failed)
        workspace.windows.lasts = lasts
        trigger = workspace.windows.trigger()
        workspace.windows.used.add(trigger)
        await workspace.press("explain", root, trigger_id=trigger)
        said = await here.whispered()
        assert workspace.whispers[0][0] == "U1"
        assert "*search* Upgrade FAILED (0 of 2 nodes, 0%): disk full" in said
        assert "• team: still to be told (0 tries so far)" in said
        assert workspace.windows.shown == []


async def test_a_window_that_slack_hangs_over_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.sinks.slack.TRIGGERED", 0.05)
    async with slack(lambda method, _: "hang" if method == "views.open" else None) as workspace, world(None, workspace) as here:
        *_, failed = await here.happens(RUNNING, FAILED)
        await workspace.press("explain", await here.told(failed))
        assert "disk full" in await here.whispered()


async def test_a_window_that_cannot_be_filled_is_answered_in_the_channel() -> None:
    async with (
        slack(lambda method, _: "internal_error" if method == "views.update" else None) as workspace,
        world(None, workspace) as here,
    ):
        *_, failed = await here.happens(RUNNING, FAILED)
        await workspace.press("explain", await here.told(failed))
        assert "disk full" in await here.whispered()


async def test_who_closes_the_window_at_once_is_left_in_peace() -> None:
    async with slack() as workspace, world(None, workspace) as here:

        def fault(method: str, _: dict[str, Any]) -> None:
            if method == "views.update":
                workspace.windows.close()

        *_, failed = await here.happens(RUNNING, FAILED)
        root = await here.told(failed)
        workspace.fault = fault
        await workspace.press("explain", root)
        await workspace.press("mute", root)
        await here.until("muted by lin")
        assert workspace.whispers == []
        assert len(workspace.windows.shown) == 1


async def test_a_long_story_is_cut_into_what_a_window_takes_and_a_long_answer_opens_one() -> None:
    async with slack() as workspace, world(None, workspace) as here:
        names = tuple(f"{'*_`<!channel>' * 9}\u202e 💥 {number}" for number in range(60))
        node = Task("t1", "RUNNING", 1, names, (), (names[0],), names[0], (Stage(0, "💥" * 900, "RUNNING"),))
        steps = [replace(node, completed=names[:done], in_flight=names[done : done + 1]) for done in range(60)]
        failed = replace(node, completed=names[:59], status="FAILED", fail_message="<@U1> 💥" * 2000)
        *_, event = await here.happens(*steps, failed)
        root = await here.told(event)
        await workspace.press("explain", root)
        assert "&lt;!channel&gt;" in await here.explained()
        assert "upgrade" in (await workspace.command("explain search")).lower()

        async def fates(_: Event) -> list[Fate]:
            return [Fate(f"sink {number} {'<' * 50}", "dead", None, 3, "💥" * 900) for number in range(100)]

        assert here.sink._desk is not None
        here.sink._desk.fates = fates  # type: ignore[assignment]  # a hundred sinks would be a long test
        assert await workspace.command("explain search") == "See the window."
        assert "sink 99" in "".join(texts(workspace.windows.shown[-1]["blocks"]))
        workspace.windows.lasts = 0.0
        said = await workspace.command("explain search")
        assert re.search(r"\n… and \d+ more$", said)
        assert len(said) < 3000
    assert workspace.windows.shown
    assert all(view_problems(view) == [] for view in workspace.windows.shown)


async def test_a_window_says_when_the_store_does_not_answer() -> None:
    async with slack() as workspace, world(None, workspace) as here:
        *_, failed = await here.happens(RUNNING, FAILED)
        root = await here.told(failed)
        here.store.close()
        await workspace.press("explain", root)
        assert "did not work" in await here.explained()


async def test_what_is_not_known_any_more_is_said_to_be_so() -> None:
    async with slack() as workspace, world(None, workspace) as here:
        (started, *_) = await here.happens(RUNNING)
        root = await here.told(started)
        await workspace.press("acknowledge", root, actions=[{"action_id": "acknowledge", "value": "nothing"}])
        assert "not known any more" in await here.whispered()
        assert await here.silences() == []
        await workspace.press("explain", root, actions=[{"action_id": "explain", "value": "nothing"}])
        assert "not known any more" in await here.explained()


@pytest.mark.parametrize(
    "changes",
    [
        {"actions": [{"action_id": "a link's"}]},
        {"actions": []},
        {"actions": None, "user": None, "container": None},
        {"actions": ["odd"]},
    ],
)
async def test_what_is_no_press_of_ours_is_confirmed_and_left_alone(changes: dict[str, Any]) -> None:
    async with slack() as workspace, world(None, workspace) as here:
        (started, *_) = await here.happens(RUNNING)
        root = await here.told(started)
        assert await workspace.press("acknowledge", root, **changes)
        assert await workspace.envelope("events_api", {"event": {}})
        await workspace.press("mute", root)
        await here.until("muted by lin")
        assert len(await here.silences()) == 2


async def test_the_command_says_where_everything_stands() -> None:
    async with slack() as workspace, world(None, workspace) as here:
        assert await workspace.command("status") == "Nothing is under way. 0 clusters are watched."
        await here.happens(RUNNING)
        said = await workspace.command("status")
        assert ":hourglass_flowing_sand: *search* `░" in said
        assert "1 cluster is watched." in said


async def test_the_command_mutes_and_explains() -> None:
    async with slack() as workspace, world(None, workspace) as here:
        *_, failed = await here.happens(RUNNING, FAILED)
        await here.sink._desk.acknowledge(failed, "lin")  # type: ignore[union-attr]  # it was lent one
        said = await workspace.command("mute search 2h", user="ma")
        until = re.search(r"Muted until <!date\^(\d+)", said)
        assert until is not None
        assert 7100 < int(until[1]) - datetime.now(UTC).timestamp() <= 7200
        longest = max(silence.ends_at for silence in await here.silences() if silence.author == "ma")
        assert 7100 < (longest - datetime.now(UTC)).total_seconds() <= 7200
        assert "Muted until" in await workspace.command("mute search")
        by_name = await workspace.command("explain search")
        assert "Upgrade FAILED" in by_name
        assert ":mute: muted by lin" in by_name
        assert await workspace.command(f"explain {failed.id}") == by_name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "`/css status`"),
        ("dance", "`/css status`"),
        ("mute search 3y", "`1m` to `24h`"),
        ("mute search 1s", "`1m` to `24h`"),
        ("mute <!channel>", "&lt;!channel&gt;"),
        ("explain nothing", "No cluster is called nothing"),
    ],
)
async def test_a_command_that_makes_no_sense_is_answered_with_what_would(text: str, said: str) -> None:
    async with slack() as workspace, world(None, workspace):
        assert said in await workspace.command(text)


async def test_a_store_that_does_not_answer_is_said_to_the_person_and_kept_off_the_card() -> None:
    async with slack() as workspace, world(None, workspace) as here:
        *_, failed = await here.happens(RUNNING, FAILED)
        root = await here.told(failed)
        here.store.close()
        await workspace.press("acknowledge", root)
        assert "did not work" in await here.whispered()
        assert "did not work" in await workspace.command("status")
        assert "disk full" in str((await here.told(failed)).blocks)


async def test_a_card_that_was_deleted_meanwhile_is_no_trouble() -> None:
    async with slack() as workspace, world(None, workspace) as here:
        *_, failed = await here.happens(RUNNING, FAILED)
        root = await here.told(failed)
        workspace.messages.clear()
        await workspace.press("acknowledge", root)
        await workspace.press("explain", root)
        await here.explained()
        assert len(await here.silences()) == 1


async def test_slack_asks_us_to_connect_again_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async with slack() as workspace, world(None, workspace) as here:
        *_, failed = await here.happens(RUNNING, FAILED)
        root = await here.told(failed)
        await workspace.press("acknowledge", root)
        await workspace.wires[0].send_json({"type": "disconnect", "reason": "refresh_requested"})
        first = workspace.wires[0]
        await workspace.until(lambda: first.closed and workspace.wires != [first])
        await workspace.press("mute", root)
        assert "acknowledged by lin" in await here.until("muted by lin")
        an_hour_passes(monkeypatch)  # It is longer than the session gives a request.
        assert "search" in await workspace.command("status")
        assert not here.listening.done()


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (json.dumps({"type": "disconnect", "reason": "link_disabled"}), DeliveryReason.REFUSED, "switched off"),
        (None, DeliveryReason.NETWORK, "the connection was closed"),
    ],
)
async def test_a_connection_that_ends_is_an_error_in_words(said: str | None, reason: DeliveryReason, words: str) -> None:
    async with slack() as workspace, world(None, workspace) as here:
        await workspace.connected()
        wire = workspace.wires[0]
        await wire.send_str("no JSON")
        await wire.send_str("[]")
        await wire.send_str('{"type": "interactive", "envelope_id": "odd", "payload": [1]}')
        await wire.send_bytes(b"\x00")
        if said is None:
            await wire.close()
        else:
            await wire.send_str(said)
        with pytest.raises(DeliveryError) as failure:
            await here.listening
    assert (failure.value.reason, words in failure.value.detail) == (reason, True)
    assert "ticket" not in str(failure.value)


@pytest.mark.parametrize("url", ["", "https://slack.com", "ws://127.0.0.1:9/socket?ticket=canary-ticket"])
async def test_an_address_that_cannot_be_connected_to_is_said_without_its_ticket(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Slack.answer

    def other(self: Slack, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "url": url} if method == "apps.connections.open" else answer(self, method, arguments)

    monkeypatch.setattr(Slack, "answer", other)
    async with slack() as workspace, world(None, workspace, total=2.0) as here:
        with pytest.raises(DeliveryError) as failure:
            await here.listening
    assert "canary" not in failure.value.detail


async def test_without_an_app_token_there_are_no_buttons_and_nobody_listens() -> None:
    async with slack() as workspace, world(None, workspace, app_token=None) as here:
        await here.listening
        *_, failed = await here.happens(RUNNING, FAILED)
        root = await here.told(failed)
        assert not any("action_id" in element for element in root.blocks[-1]["elements"])


async def test_a_card_shows_silences_that_were_made_elsewhere() -> None:
    async with slack() as workspace, world(None, workspace, app_token=None) as here:
        *_, failed = await here.happens(RUNNING, FAILED)
        await here.sink._desk.acknowledge(failed, "the status page")  # type: ignore[union-attr]  # it was lent one
        await here.told(failed)
        await here.until("acknowledged by the status page")


async def test_a_board_is_one_message_that_follows_the_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.sinks.slack.LEAST_OF_BOARD", 0.02)
    async with slack() as workspace:
        async with world(tmp_path, workspace, app_token=None, board=True, every="20ms") as here:
            await here.until("Nothing is under way.")
            await here.happens(RUNNING)
            await here.until(":hourglass_flowing_sand: *search*")
        async with world(tmp_path, workspace, app_token=None, board=True, every="20ms") as here:
            await here.happens(SUCCESS)
            await here.until("Nothing is under way.")
            workspace.messages.clear()
            await here.happens(replace(RUNNING, id="t2"))
            await here.until("*search*")
        (tmp_path / "notifier.db").unlink()
        async with world(tmp_path, workspace, app_token=None, board=True, every="20ms") as here:
            await here.until("Nothing is under way.")  # Found by its metadata, since what was kept is gone.
    assert len(workspace.roots) == 1
    assert problems(workspace.roots[0].blocks) == []


async def test_of_several_replicas_one_at_a_time_keeps_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.sinks.slack.LEAST_OF_BOARD", 1.0)
    given = {"token": TOKEN, "channel": CHANNEL, "board": True, "every": "1s"}
    store = Store("sqlite://").open()
    async with slack() as workspace, open_session() as session:
        settings = Settings.model_validate({**given, "base_url": workspace.url})
        around = Surroundings("team", session, paces=Paces(), desk=StoreDesk(store))
        sinks = [Sink(settings, around) for _ in range(3)]
        listening = [asyncio.create_task(sink.listen()) for sink in sinks]
        here = World(workspace, store, sinks[0], listening[0])
        try:
            await here.until("Nothing is under way.")
            await here.happens(RUNNING)
            await here.until("*search*")
            await here.happens(SUCCESS)
            await here.until("Nothing is under way.")
        finally:
            for each in listening:
                each.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
            store.close()
    (board,) = workspace.roots
    assert board.edits == 2
    assert [method for method, _ in workspace.calls].count("chat.postMessage") == 1


async def test_a_board_that_cannot_be_looked_for_is_posted_and_that_is_counted() -> None:
    without: list[tuple[str, str]] = []
    lent = {"went_without": lambda *told: without.append(told)}
    async with (
        slack(lambda method, _: "missing_scope" if method.startswith("conversations.") else None) as workspace,
        world(None, workspace, lent=lent, app_token=None, board=True) as here,
    ):
        await here.until("Nothing is under way.")
    ((what, why),) = without
    assert (what, "missing_scope" in why) == ("look", True)


async def test_a_board_that_cannot_be_edited_for_now_is_edited_later_and_one_that_never_can_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("notifier.sinks.slack.LEAST_OF_BOARD", 0.02)
    async with slack() as workspace, world(None, workspace, app_token=None, board=True, every="20ms") as here:
        await here.until("Nothing is under way.")
        workspace.fault = lambda *_: "service_unavailable"
        await here.happens(RUNNING)
        calls = len(workspace.calls)
        await workspace.until(lambda: len(workspace.calls) > calls + 2)
        workspace.fault = lambda *_: None
        await here.until("*search*")
        workspace.fault = lambda *_: "is_archived"
        await here.happens(SUCCESS)
        with pytest.raises(DeliveryError) as failure:
            await asyncio.wait_for(here.listening, PATIENCE)
    assert failure.value.reason is DeliveryReason.MISSING


async def test_a_desk_whose_store_is_closed_says_so(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/notifier.db").open()
    store.close()
    with pytest.raises(DeskClosed):
        await StoreDesk(store).standings()


async def test_an_outage_is_acknowledged_as_what_it_is() -> None:
    async with slack() as workspace, world(None, workspace) as here:
        (event, *_) = await here.happens(RUNNING)
        outage = replace(event, id="o-1", kind=Kind.CLUSTER_UNREACHABLE, task=None, node=None, stage=None, sequence=1)
        from sqlalchemy import insert  # noqa: PLC0415 - likewise

        from notifier.store import codec, schema  # noqa: PLC0415 - for this one row

        values = {"id": "o-1", "cluster": SEARCH.key, "thread": outage.thread, "sequence": 1, "kind": outage.kind.value}
        body = {"severity": int(outage.severity), "observed_at": 0.0, "body": codec.dump(codec.event, outage)}
        await here.store.transact(lambda tx: tx._run(insert(schema.event).values(**values, **body)))
        root = await here.told(outage)
        await workspace.press("acknowledge", root)
        await here.until("acknowledged by lin")
        (silence,) = await here.silences()
        assert silence.task is None
