"""The silences that Alertmanager is given: for the nodes in flight, for no others, and for no longer."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import jsonschema
import pytest
from aiohttp import web
from ports import free_port
from sink_receivers import Hook, hook
from time_is_up import Patience
from tries import told

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Kind, Outage, Status, TaskFacts
from notifier.domain.samples import NODES, sample
from notifier.outbound import open_session
from notifier.sinks import alertmanager_silences
from notifier.sinks.alertmanager import Settings, Sink
from notifier.sinks.alertmanager_silences import LASTS, TRUSTED
from notifier.sinks.contract import KEEP, Surroundings
from notifier.sinks.desk import Desk, DeskClosed, Standing

# github.com/prometheus/alertmanager, api/v2/openapi.yaml: postableSilence. Times as Go's RFC 3339 wants them.
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
SILENCE = {
    "type": "object",
    "required": ["matchers", "startsAt", "endsAt", "createdBy", "comment"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string"},
        "matchers": {"type": "array", "minItems": 1, "items": {"required": ["name", "value", "isRegex"]}},
        "startsAt": TIME,
        "endsAt": TIME,
        "createdBy": {"type": "string"},
        "comment": {"type": "string"},
    },
}
ID = "6ac7be92-58b9-43a7-a0a7-7f8d5b1b0000"
BEGAN = "2026-03-01T05:00:00.123Z"
"""When Alertmanager says that a silence began: when it was told, not when we say."""


@dataclass
class Manager:
    """An Alertmanager that keeps one silence, as far as a sink can see.

    Attributes:
        shown: What it shows of the silence, besides what it was told; None: it does not know it.
        named: The id that it answers with.
        refused: The status it answers to a method and a path's beginning; 0: none ever.
        hanging: Called before it does not answer.
    """

    shown: dict[str, Any] | None = field(default_factory=dict)
    named: str = ID
    refused: dict[tuple[str, str], int] = field(default_factory=dict)
    hanging: Callable[[], None] = lambda: None
    told: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, request: web.Request) -> web.Response:
        for (method, path), status in self.refused.items():
            if request.method == method and request.path.startswith(path):
                if status == 0:
                    self.hanging()
                    await asyncio.Event().wait()
                return web.Response(status=status)
        if request.path == "/api/v2/silences":
            self.told = {**await request.json(), "id": self.named}
            return web.json_response({"silenceID": self.named})
        if request.method == "GET":
            if self.shown is None:
                return web.Response(status=404)
            state = {"status": {"state": "active"}, "updatedAt": BEGAN}
            return web.json_response({**self.told, "startsAt": BEGAN, **state, **self.shown})
        return web.Response()


class ThisDesk:
    """A desk that knows where clusters stand, or does not answer."""

    def __init__(self, *standings: Standing, closed: bool = False) -> None:
        self._standings = standings
        self._closed = closed

    async def standings(self) -> Sequence[Standing]:
        if self._closed:
            raise DeskClosed("locked")
        return self._standings


@asynccontextmanager
async def manager(
    answer: Manager, *, also: Mapping[str, str] | None = None, **lent: Any
) -> AsyncIterator[tuple[Sink, Hook, list[str]]]:
    without: list[str] = []
    async with hook(answer) as receiver, open_session(total=60.0) as session:
        nodes = {"label": "instance", "also": also or {}}
        settings = Settings.model_validate({"url": receiver.url.removesuffix("/hook"), "silence_nodes": nodes})
        around = Surroundings("alerts", session, went_without=lambda what, _: without.append(what), **lent)
        async with Sink(settings, around) as sink:
            yield sink, receiver, without


def posted(receiver: Hook) -> list[Any]:
    found = [json.loads(each.body) for each in receiver.posts if each.path == "/api/v2/silences"]
    for body in found:
        jsonschema.validate(body, SILENCE)
    return found


def asked(receiver: Hook) -> int:
    """How often it was asked for the silence: to show it or to lift it."""
    return len([each for each in receiver.posts if each.path.startswith("/api/v2/silence/")])


def alerts(receiver: Hook) -> int:
    return len([each for each in receiver.posts if each.path == "/api/v2/alerts"])


def with_task(message: Message, **changes: Any) -> Message:
    assert message.event.task is not None
    return replace(message, event=replace(message.event, task=replace(message.event.task, **changes)))


def standing(outage: Outage | None = None, **changes: Any) -> Standing:
    event = sample(Kind.NODE_STARTED, mark=None).event
    assert event.task is not None
    facts: TaskFacts = replace(event.task, **changes)
    return Standing(event.cluster, ((facts.action, facts, 0.1),), outage, event.time)


async def test_the_nodes_in_flight_are_silenced_and_no_others() -> None:
    async with manager(Manager(), also={"job": "node"}) as (sink, receiver, _):
        last = await told(sink, Kind.NODE_STARTED)
        await told(sink, Kind.NODE_COMPLETED, Kind.TASK_FAILED, last=last)
    first, second = posted(receiver)
    assert [matcher["name"] for matcher in first["matchers"]] == ["instance", "job"]
    pattern = first["matchers"][0]["value"]
    assert re.fullmatch(pattern, NODES[0])
    assert re.fullmatch(pattern, f"{NODES[0]}:9100")
    assert not re.fullmatch(pattern, f"{NODES[0]}1")
    assert first["comment"] == f"node {NODES[0]} is being worked on (sample-cluster, task 5a3b1e00-0000-4000-8000-0000000000aa)"
    assert re.fullmatch(second["matchers"][0]["value"], NODES[1])
    assert asked(receiver) == 2  # the first node's was lifted when it was completed, the second's when the task failed


async def test_one_of_several_is_enough_since_they_tell_each_other_of_silences() -> None:
    async with hook(Manager()) as one, hook(Manager()) as other, open_session(total=60.0) as session:
        urls = [f"http://127.0.0.1:{free_port()}", *(each.url.removesuffix("/hook") for each in (one, other))]
        settings = Settings.model_validate({"url": urls, "silence_nodes": {"label": "instance"}})
        async with Sink(settings, Surroundings("alerts", session)) as sink:
            await told(sink, Kind.NODE_STARTED)
    assert [len(posted(each)) for each in (one, other)] == [1, 0]


async def test_only_the_end_of_a_silence_is_moved() -> None:
    """What Alertmanager takes for another silence, nobody would lift; what the comment says, a person wants to know."""
    async with manager(Manager()) as (sink, receiver, _):
        last = await told(sink, Kind.NODE_STARTED)
        await sink.keep([last])
        first, again = posted(receiver)
    assert again == {**first, "id": ID, "startsAt": BEGAN, "endsAt": again["endsAt"]}
    assert again["endsAt"] > first["endsAt"]


async def test_a_silence_that_a_person_has_made_longer_is_not_cut() -> None:
    longer = (datetime.now(UTC) + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    async with manager(Manager({"endsAt": longer})) as (sink, receiver, _):
        await sink.keep([await told(sink, Kind.NODE_STARTED)])
    assert datetime.fromisoformat(posted(receiver)[-1]["endsAt"]) == datetime.fromisoformat(longer)


@pytest.mark.parametrize("shown", [{"status": {"state": "expired"}}, None])
async def test_a_silence_that_has_ended_is_left_alone(shown: dict[str, Any] | None) -> None:
    async with manager(Manager(shown)) as (sink, receiver, _):
        await sink.keep([await told(sink, Kind.NODE_STARTED)])
    assert len(posted(receiver)) == 1


async def test_a_silence_that_began_anew_all_the_same_is_lifted() -> None:
    answer = Manager()
    async with manager(answer) as (sink, receiver, _):
        last = await told(sink, Kind.NODE_STARTED)
        answer.named = "0000aaaa"
        await sink.keep([last])
    assert receiver.posts[-1].path == "/api/v2/silence/0000aaaa"


@pytest.mark.parametrize("shown", [{"status": None}, {"status": {}}, {"endsAt": 7}, {"endsAt": "soon"}, {"matchers": None}])
async def test_an_answer_that_shows_no_silence_prolongs_none(shown: dict[str, Any]) -> None:
    answer = Manager()
    async with manager(answer) as (sink, receiver, _):
        last = await told(sink, Kind.NODE_STARTED)
        del answer.told["matchers"]
        answer.shown = shown if "matchers" not in shown else {}
        with pytest.raises(DeliveryError) as failed:
            await sink.keep([last])
    assert failed.value.reason is DeliveryReason.UNREADABLE
    assert len(posted(receiver)) == 1


@pytest.mark.parametrize(
    ("desk", "lifted", "prolonged"),
    [
        (ThisDesk(standing()), False, True),
        (ThisDesk(standing(outage=Outage(datetime(2026, 3, 1, tzinfo=UTC), "network", "no route"))), False, False),
        (ThisDesk(closed=True), False, False),
        (ThisDesk(), True, False),  # the cluster is not listed any more
        (ThisDesk(standing(id="another")), True, False),
        (ThisDesk(standing(status=Status.FAILED)), True, False),
        (ThisDesk(standing(nodes=replace(standing().tasks[0][1].nodes, in_flight=(NODES[1],)))), True, False),
    ],
)
async def test_a_silence_is_prolonged_only_while_its_node_is_known_to_be_in_flight(
    desk: ThisDesk, *, lifted: bool, prolonged: bool
) -> None:
    async with manager(Manager(), desk=cast("Desk", desk)) as (sink, receiver, _):
        last = await told(sink, Kind.NODE_STARTED)
        await sink.keep([last])
    assert (asked(receiver), len(posted(receiver))) == (int(lifted or prolonged), 1 + prolonged)


async def test_a_silence_of_which_nothing_was_heard_for_half_a_day_is_prolonged_no_more() -> None:
    now = datetime.now(UTC)
    async with manager(Manager(), clock=lambda: now) as (sink, receiver, _):
        last = await told(sink, Kind.NODE_STARTED)
        now += TRUSTED
        await sink.keep([last])
        assert len(posted(receiver)) == 2
        now += timedelta(seconds=1)
        await sink.keep([last])
    assert len(posted(receiver)) == 2


async def test_a_task_that_vanished_has_no_node_in_flight() -> None:
    vanished = sample(Kind.TASK_VANISHED, mark=None)
    assert vanished.event.task is not None
    assert vanished.event.task.nodes.in_flight
    async with manager(Manager()) as (sink, receiver, _):
        last = await told(sink, Kind.NODE_STARTED, Kind.TASK_VANISHED)
    assert "silences" not in last.fields
    assert (len(posted(receiver)), asked(receiver)) == (1, 1)


async def test_a_message_that_is_sent_again_long_after_its_time_moves_no_silence() -> None:
    async with manager(Manager()) as (sink, receiver, _):
        last = await told(sink, Kind.NODE_STARTED, Kind.NODE_COMPLETED)
        again = await told(sink, Kind.NODE_STARTED, last=last)
    assert again.fields["silences"] == last.fields["silences"]
    assert list(json.loads(again.fields["silences"])) == [NODES[1]]
    assert (len(posted(receiver)), asked(receiver)) == (2, 1)


async def test_what_had_come_halfway_and_is_sent_again_after_newer_messages_goes_on_from_those() -> None:
    node, failed = sample(Kind.NODE_STARTED, mark=None), sample(Kind.TASK_FAILED, mark=None)
    answer = Manager()
    async with manager(answer) as (sink, receiver, _):
        first = await sink.send(node, None)
        newer = await told(sink, Kind.NODE_COMPLETED, last=first)
        again = await sink.send(replace(node, attempt=2, progress=first), newer)
        assert again.fields == newer.fields
        answer.refused = {("DELETE", "/api/v2/silence/"): 503}
        with pytest.raises(DeliveryError) as halfway:
            await sink.send(failed, newer)
        answer.refused.clear()
        assert halfway.value.receipt is not None
        over = await told(sink, Kind.TASK_SUCCEEDED, last=halfway.value.receipt)
        again = await sink.send(replace(failed, attempt=2, progress=halfway.value.receipt), over)
    assert KEEP not in again.fields, "it would fire for good"
    (news,) = json.loads([each for each in receiver.posts if each.path == "/api/v2/alerts"][-1].body)
    assert news["labels"]["alertname"] == "CssUpgradeNews"


@pytest.mark.parametrize("name", ["", "x" * 10_000])
async def test_what_is_no_name_of_a_node_is_not_silenced(name: str) -> None:
    message = sample(Kind.NODE_STARTED, mark=None)
    nodes = replace(standing().tasks[0][1].nodes, in_flight=(name,))
    async with manager(Manager()) as (sink, receiver, without):
        await sink.send(with_task(message, nodes=nodes), None)
    assert (posted(receiver), without) == ([], [])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422])
async def test_where_silences_are_refused_alerts_are_told_without(status: int) -> None:
    async with manager(Manager(refused={("POST", "/api/v2/silences"): status})) as (sink, receiver, without):
        last = await told(sink, Kind.NODE_STARTED, Kind.TASK_FAILED)
    assert alerts(receiver) == 2
    assert without == ["silence"]
    assert "CssUpgradeFailed" in last.fields[KEEP]


async def test_one_node_that_is_refused_costs_no_other_its_silence() -> None:
    class Picky(Manager):
        async def __call__(self, request: web.Request) -> web.Response:  # type: ignore[explicit-override]
            refused = NODES[0].encode() in (await request.read()).replace(b"\\", b"")
            return web.Response(status=400) if refused and request.path == "/api/v2/silences" else await super().__call__(request)

    nodes = replace(standing().tasks[0][1].nodes, in_flight=NODES[:2])
    async with manager(Picky()) as (sink, _, without):
        receipt = await sink.send(with_task(sample(Kind.NODE_STARTED, mark=None), nodes=nodes), None)
    assert json.loads(receipt.fields["silences"]) == {NODES[1]: ID}
    assert without == ["silence"]


async def test_a_silence_that_may_be_set_soon_is_tried_again_but_not_for_long() -> None:
    message = sample(Kind.NODE_STARTED, mark=None)
    answer = Manager(refused={("POST", "/api/v2/silences"): 503})
    async with manager(answer) as (sink, receiver, without):
        with pytest.raises(DeliveryError):
            await sink.send(message, None)
        with pytest.raises(DeliveryError) as failed:
            await sink.send(replace(message, attempt=2), None)
        # Of this message alone: the sink is not to be paused for it.
        assert (failed.value.outcome, failed.value.scope) == (Outcome.RETRY, Scope.EVENT)
        assert not without
        left = await sink.send(replace(message, attempt=3, progress=failed.value.receipt), None)
        assert without == ["silence"]
        assert "silences" not in left.fields
        answer.refused.clear()
        receipt = await sink.send(replace(message, attempt=2, progress=failed.value.receipt), None)
    assert json.loads(receipt.fields["silences"]) == {NODES[0]: ID}
    assert alerts(receiver) == 4


async def test_silences_that_hang_do_not_cost_the_message_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Patience(monkeypatch, alertmanager_silences)
    answer = Manager(refused={("POST", "/api/v2/silences"): 0}, hanging=patience.is_over)
    async with manager(answer, timeout=0.2) as (sink, _, without):
        message = sample(Kind.NODE_STARTED, mark=None)
        with pytest.raises(DeliveryError) as failed:
            await sink.send(message, None)
        assert (failed.value.outcome, failed.value.reason) == (Outcome.UNCERTAIN, DeliveryReason.TIMEOUT)
        await sink.send(replace(message, attempt=3), None)
    assert (without, patience.asked) == (["silence"], [0.1, 0.1])


async def test_what_cannot_be_lifted_is_prolonged_no_more() -> None:
    answer = Manager()
    async with manager(answer) as (sink, _, without):
        last = await told(sink, Kind.NODE_STARTED)
        answer.refused = {("DELETE", "/api/v2/silence/"): 403}
        left = await told(sink, Kind.TASK_SUCCEEDED, last=last)
    assert without == ["silence"]
    assert not {KEEP, "silences"} & left.fields.keys()
    assert timedelta(minutes=30) > LASTS  # it ends by itself


@pytest.mark.parametrize(
    ("status", "words", "good"), [(404, "", True), (500, "silence already expired", True), (500, "down", False), (200, "", True)]
)
async def test_a_silence_that_is_gone_already_is_lifted(status: int, words: str, good: bool) -> None:
    class Gone(Manager):
        async def __call__(self, request: web.Request) -> web.Response:  # type: ignore[explicit-override]
            return web.Response(status=status, text=words) if request.method == "DELETE" else await super().__call__(request)

    async with manager(Gone()) as (sink, _, _):
        last = await told(sink, Kind.NODE_STARTED)
        if good:
            assert not {KEEP, "silences"} & (await told(sink, Kind.TASK_SUCCEEDED, last=last)).fields.keys()
        else:
            with pytest.raises(DeliveryError):
                await told(sink, Kind.TASK_SUCCEEDED, last=last)


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"silenceID": 7}', '{"silenceID": "../../x"}'])
async def test_an_answer_that_names_no_silence_proves_none(body: str) -> None:
    class Vague(Manager):
        async def __call__(self, request: web.Request) -> web.Response:  # type: ignore[explicit-override]
            return web.Response(text=body if request.path == "/api/v2/silences" else "")

    async with manager(Vague()) as (sink, _, _):
        with pytest.raises(DeliveryError) as failed:
            await told(sink, Kind.NODE_STARTED)
        assert failed.value.reason is DeliveryReason.UNREADABLE


@pytest.mark.parametrize(
    "fields",
    [
        {"silences": "?"},
        {"silences": "[]"},
        {"silences": '{"n": "../x", "m": 7}'},
        {"silences": '{"n": "a-b"}'},
        {"silences": '{"n": "a-b"}', "silenced": "[]"},
        {"silences": '{"n": "a-b"}', "silenced": '{"thread": "t", "sequence": "x", "told_at": "2026-03-01T00:00:00Z"}'},
        {"silences": '{"n": "a-b"}', "silenced": '{"thread": "t", "sequence": Infinity, "told_at": "2026-03-01T00:00:00Z"}'},
        {"silences": '{"n": "a-b"}', "silenced": '{"thread": "t", "sequence": 1, "told_at": "?"}'},
    ],
)
async def test_a_strange_receipt_prolongs_nothing(fields: dict[str, str]) -> None:
    async with manager(Manager()) as (sink, receiver, _):
        await sink.keep([Receipt({KEEP: "{}", **fields})])
    assert not receiver.posts
