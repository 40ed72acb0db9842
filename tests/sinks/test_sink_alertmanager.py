"""Alertmanager: alerts that fire while a condition lasts and end with it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from ports import free_port
from pydantic import ValidationError
from sink_receivers import Hook, break_off, hook
from tries import told

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Receipt
from notifier.domain.model import Kind
from notifier.domain.samples import sample
from notifier.outbound import open_session
from notifier.sinks import posting
from notifier.sinks.alertmanager import LASTS, Settings, Sink, _not_taken
from notifier.sinks.alertmanager_receipt import ENDED
from notifier.sinks.conformance import hostile
from notifier.sinks.contract import KEEP, LARGEST_RECEIPT, Checkable, Ending, Lasting, Patient, Surroundings
from notifier.sinks.posting import Answer as Said

# github.com/prometheus/alertmanager, api/v2/openapi.yaml: postableAlerts, postableSilence. Times as Go's RFC 3339 wants them.
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
LABELS = {"type": "object", "patternProperties": {"^[a-zA-Z_][a-zA-Z0-9_]*$": {"type": "string"}}, "additionalProperties": False}
ALERTS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["labels"],
        "additionalProperties": False,
        "properties": {
            "labels": {**LABELS, "required": ["alertname"]},
            "annotations": LABELS,
            "startsAt": TIME,
            "endsAt": TIME,
            "generatorURL": {"type": "string", "format": "uri"},
        },
    },
}
Answer = Callable[[web.Request], Any]


async def accepts(request: web.Request) -> web.Response:
    return web.json_response({"cluster": {}}) if request.method == "GET" else web.Response()


@asynccontextmanager
async def manager(answer: Answer = accepts, **settings: object) -> AsyncIterator[tuple[Sink, Hook]]:
    async with hook(answer) as receiver, open_session(total=60.0) as session:
        checked = Settings.model_validate({"url": receiver.url.removesuffix("/hook"), **settings})
        async with Sink(checked, Surroundings("alerts", session, page="http://page")) as sink:
            yield sink, receiver


def said(receiver: Hook) -> list[list[tuple[str, bool]]]:
    """The alerts of each request, by name and whether they fire; checked against the vendor's schema on the way."""
    found = []
    for each in receiver.posts:
        if each.path != "/api/v2/alerts":
            continue
        alerts = json.loads(each.body)
        jsonschema.validate(alerts, ALERTS)
        assert all(datetime.fromisoformat(alert["startsAt"]) <= datetime.fromisoformat(alert["endsAt"]) for alert in alerts)
        now = datetime.now(UTC)
        found.append([(alert["labels"]["alertname"], datetime.fromisoformat(alert["endsAt"]) > now) for alert in alerts])
    return found


async def test_a_failure_fires_through_its_retry_and_ends_with_success() -> None:
    async with manager() as (sink, receiver):
        await told(sink, Kind.TASK_STARTED, Kind.TASK_FAILED, Kind.TASK_RETRIED, Kind.TASK_SUCCEEDED)
    assert said(receiver) == [
        [("CssUpgradeNews", True)],
        [("CssUpgradeFailed", True)],
        [("CssUpgradeNews", True)],
        [("CssUpgradeFailed", False), ("CssUpgradeNews", True)],
    ]
    (fired,), (ended, _) = (json.loads(receiver.posts[number].body) for number in (1, 3))
    assert fired["labels"] == ended["labels"]
    assert fired["startsAt"] == ended["startsAt"] == "2026-03-01T06:35:00Z"
    assert ended["endsAt"] == "2026-03-01T08:00:00Z"


async def test_labels_are_what_existing_routes_can_match() -> None:
    message = sample(Kind.TASK_FAILED, mark=None)
    cluster = replace(
        message.event.cluster, labels={"env": "prod", "team/name": "search", "severity": "mine", "9": "x", "e": " "}
    )
    async with manager(labels={"source": "css", "env": "live"}) as (sink, receiver):
        await sink.send(replace(message, event=replace(message.event, cluster=cluster)), None)
    (alert,) = json.loads(receiver.posts[0].body)
    assert alert["labels"] == {
        "alertname": "CssUpgradeFailed",
        "severity": "critical",
        "cluster": "sample-cluster",
        "cluster_id": message.event.cluster.id,
        "region": "cn-north-4",
        "project": "sample-project",
        "action": "UPGRADING",
        "task": "5a3b1e00-0000-4000-8000-0000000000aa",
        "env": "live",
        "team_name": "search",
        "_9": "x",
        "source": "css",
    }
    assert alert["annotations"] == {"summary": message.title, "description": message.summary}
    assert (
        alert["generatorURL"]
        == "http://page/tasks/5a3b1e00-0000-4000-8000-000000000001/UPGRADING/5a3b1e00-0000-4000-8000-0000000000aa"
    )


async def test_a_stall_ends_by_progress_and_by_failure_and_an_outage_by_recovery() -> None:
    for opened, end, name in (
        (Kind.TASK_STALLED, Kind.TASK_RESUMED, "CssUpgradeStalled"),
        (Kind.TASK_STALLED, Kind.TASK_FAILED, "CssUpgradeStalled"),
        (Kind.CLUSTER_UNREACHABLE, Kind.CLUSTER_RECOVERED, "CssClusterUnreachable"),
    ):
        async with manager() as (sink, receiver):
            await told(sink, opened, end)
        assert [alerts[0] for alerts in said(receiver)] == [(name, True), (name, False)]


async def test_an_end_finds_its_alert_though_the_cluster_has_other_labels_by_now() -> None:
    failed, succeeded = sample(Kind.TASK_FAILED, mark=None), sample(Kind.TASK_SUCCEEDED, mark=None)
    renamed = replace(succeeded.event.cluster, name="renamed", labels={})
    async with manager() as (sink, receiver):
        last = await sink.send(failed, None)
        receipt = await sink.send(replace(succeeded, event=replace(succeeded.event, cluster=renamed)), last)
        assert KEEP not in receipt.fields
    first, second = (json.loads(each.body)[0]["labels"] for each in receiver.posts)
    assert first == second


@pytest.mark.parametrize(
    ("opens", "ends"),
    [
        (Kind.TASK_PARTIALLY_FAILED, (Kind.TASK_RETRIED, Kind.TASK_SUCCEEDED)),
        (Kind.TASK_STALLED, (Kind.TASK_RESUMED,)),
        (Kind.CLUSTER_UNREACHABLE, (Kind.CLUSTER_RECOVERED,)),
    ],
)
async def test_what_was_taken_though_it_was_given_up_is_ended_by_its_end(opens: Kind, ends: tuple[Kind, ...]) -> None:
    async with manager(news=False, labels={"source": "css"}) as (sink, receiver):
        await told(sink, opens)
        last: Receipt | None = None
        for number, kind in enumerate(ends):
            last = await sink.send(replace(sample(kind, mark=None), skipped=not number), last)
    (taken,), *later = (json.loads(each.body) for each in receiver.posts)
    (ended,) = [alert for alerts in later for alert in alerts if alert["labels"] == taken["labels"]]
    assert datetime.fromisoformat(ended["endsAt"]) < datetime.now(UTC)
    assert last is not None
    assert KEEP not in last.fields


async def test_what_nobody_tells_the_end_of_is_ended_and_not_said_again() -> None:
    async with manager() as (sink, receiver):
        assert isinstance(sink, Ending)
        after = await sink.end(await told(sink, Kind.TASK_FAILED))
    assert said(receiver)[-1] == [("CssUpgradeFailed", False)]
    first, second = (json.loads(each.body)[0]["labels"] for each in receiver.posts)
    assert first == second
    assert KEEP not in after.fields


async def test_what_fires_is_said_again_until_it_has_ended() -> None:
    async with manager() as (sink, receiver):
        assert isinstance(sink, Lasting)
        last = await told(sink, Kind.TASK_STALLED, Kind.TASK_FAILED)
        await sink.keep([last, Receipt({KEEP: "nonsense"}), Receipt({KEEP: "[1]"}), Receipt({KEEP: '{"a":{"startsAt":"?"}}'})])
        posts = len(receiver.posts)
        await sink.keep([Receipt({KEEP: "{}"})])
        assert len(receiver.posts) == posts
    assert said(receiver)[-1] == [("CssUpgradeFailed", True)]
    again, before = (json.loads(receiver.posts[number].body)[0] for number in (-1, -2))
    ends = datetime.fromisoformat(again.pop("endsAt")) - datetime.now(UTC)
    assert timedelta(seconds=-10) < ends - LASTS < timedelta(seconds=1)
    assert again.items() <= json.loads(receiver.posts[-2].body)[-1].items()
    assert before["labels"]["alertname"] == "CssUpgradeStalled"


async def test_a_failure_that_is_told_twice_is_the_same_alert() -> None:
    message = sample(Kind.TASK_FAILED, mark=None)
    again = replace(sample(Kind.TASK_PARTIALLY_FAILED, mark=None), may_repeat=True)
    async with manager() as (sink, receiver):
        last = await sink.send(message, None)
        await sink.send(replace(message, attempt=2, may_repeat=True), None)
        await sink.send(again, last)
    labels = [json.loads(each.body)[0]["labels"] for each in receiver.posts]
    assert labels[0] == labels[1] == labels[2]


async def test_a_failure_that_is_sent_again_after_its_end_fires_no_more() -> None:
    async with manager() as (sink, receiver):
        last = await told(sink, Kind.TASK_STARTED, Kind.TASK_SUCCEEDED)  # the failure between them was given up
        receipt = await told(sink, Kind.TASK_FAILED, last=last)
    assert said(receiver)[-1] == [("CssUpgradeNews", True)]
    (news,) = json.loads(receiver.posts[-1].body)
    assert news["labels"]["severity"] == "info", "a route for what is critical would page somebody"
    assert KEEP not in receipt.fields


async def test_a_test_touches_no_real_alert_and_ends_by_itself() -> None:
    async with manager(silence_nodes={"label": "node"}) as (sink, receiver):
        last = await told(sink, Kind.TASK_FAILED)
        receipt = await sink.send(sample(Kind.TASK_FAILED), last)
        assert await sink.send(sample(Kind.TASK_SUCCEEDED), last) == Receipt()
    assert receipt == Receipt()
    assert said(receiver) == [[("CssUpgradeFailed", True)], [("CssUpgradeFailed", True)], [("CssUpgradeNews", True)]]
    marked = json.loads(receiver.posts[1].body)[0]
    assert (marked["labels"]["mark"], marked["labels"]["severity"]) == ("TEST", "info")
    assert marked["annotations"]["summary"].startswith("[TEST] ")
    assert datetime.fromisoformat(marked["endsAt"]) < datetime.now(UTC) + timedelta(minutes=6)


async def test_late_news_say_so() -> None:
    message = replace(sample(Kind.NODE_COMPLETED, mark=None), late_by=timedelta(hours=2))
    async with manager() as (sink, receiver):
        await sink.send(message, None)
    notes = json.loads(receiver.posts[0].body)[0]["annotations"]
    assert notes["remarks"] == "Delivered 2 h late."


async def test_nothing_is_told_along_with_another_since_each_may_end_an_alert() -> None:
    async with manager() as (sink, _):
        assert not isinstance(sink, Patient)


async def test_without_news_only_conditions_are_alerts() -> None:
    async with manager(news=False) as (sink, receiver):
        await told(sink, Kind.TASK_STARTED, Kind.NODE_STARTED, Kind.TASK_FAILED, Kind.TASK_RETRIED, Kind.TASK_SUCCEEDED)
        assert said(receiver) == [[("CssUpgradeFailed", True)], [("CssUpgradeFailed", False)]]
        await sink.send(sample(Kind.TASK_SUCCEEDED), None)
    assert said(receiver)[2:] == [[("CssUpgradeNews", True)]]  # a test is seen all the same


@pytest.mark.parametrize(
    ("status", "body", "outcome", "reason", "scope"),
    [
        (400, '"start time must be before end time"', Outcome.REJECTED, DeliveryReason.INVALID, Scope.EVENT),
        (401, "", Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK),
        (403, "", Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK),
        (404, "", Outcome.REJECTED, DeliveryReason.MISSING, Scope.SINK),
        (405, "", Outcome.REJECTED, DeliveryReason.MISSING, Scope.SINK),
        (410, "", Outcome.REJECTED, DeliveryReason.GONE, Scope.SINK),
        (413, "", Outcome.REJECTED, DeliveryReason.TOO_LARGE, Scope.EVENT),
        (422, "", Outcome.REJECTED, DeliveryReason.INVALID, Scope.EVENT),
        (429, "", Outcome.RETRY, DeliveryReason.THROTTLED, Scope.SINK),
        (302, "", Outcome.RETRY, DeliveryReason.REDIRECT, Scope.SINK),
        (500, '"write failed"', Outcome.RETRY, DeliveryReason.SERVER, Scope.EVENT),
        (503, "", Outcome.RETRY, DeliveryReason.SERVER, Scope.EVENT),
        (200, "<html>Sign in</html>", Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, Scope.EVENT),
    ],
)
async def test_every_answer_has_a_meaning(status: int, body: str, outcome: Outcome, reason: DeliveryReason, scope: Scope) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    async with manager(answer, token="canary-token") as (sink, receiver):
        with pytest.raises(DeliveryError) as failure:
            await told(sink, Kind.TASK_FAILED)
    error = failure.value
    assert (error.outcome, error.reason, error.scope) == (outcome, reason, scope)
    assert receiver.posts[0].headers["Authorization"] == "Bearer canary-token"


def test_every_status_with_every_body_has_its_outcome() -> None:
    """Of all that can be answered, only a 2xx that says nothing is a yes; the rest is as for every sink that posts."""
    for status, body in product(range(100, 600), (None, "", " \n", "ok", '{"status": "success"}', "<html>", "[" * 16_000)):
        answer = Said(status, "", None, None, body)
        usual = posting.failure(answer)
        error = _not_taken(usual or answer)
        if status // 100 != 2:
            assert error is usual is not None
        elif body is not None and not body.strip():
            assert error is None
        else:
            assert error is not None
            assert (error.outcome, error.reason, error.scope) == (Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, Scope.EVENT)


@pytest.mark.parametrize("ends", [True, False])
async def test_a_login_page_too_long_or_too_slow_to_be_read_is_no_yes(*, ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "READ_FOR", 0.1)

    async def answer(request: web.Request) -> web.StreamResponse:
        page = web.StreamResponse()
        await page.prepare(request)
        await page.write(b"<html>")
        if ends:
            await page.write(b"x" * posting.READ_AT_MOST)
        else:
            await asyncio.Event().wait()
        return page

    async with manager(answer) as (sink, _):
        with pytest.raises(DeliveryError) as failure:
            await told(sink, Kind.TASK_FAILED)
    assert (failure.value.outcome, failure.value.reason) == (Outcome.UNCERTAIN, DeliveryReason.UNREADABLE)


async def test_an_answer_that_never_comes_leaves_it_open_whether_it_was_taken() -> None:
    async def answer(request: web.Request) -> web.Response:
        return break_off(request)

    async with manager(answer) as (sink, _):
        with pytest.raises(DeliveryError) as failure:
            await told(sink, Kind.TASK_FAILED)
    assert failure.value.outcome is Outcome.UNCERTAIN


@asynccontextmanager
async def cluster(*answers: Answer) -> AsyncIterator[tuple[Sink, list[Hook], list[str]]]:
    """A sink with several Alertmanagers, and what it went without."""
    without: list[str] = []
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(hook(answer)) for answer in answers]
        session = await stack.enter_async_context(open_session(total=60.0))
        settings = Settings.model_validate({"url": [each.url.removesuffix("/hook") for each in members]})
        around = Surroundings("alerts", session, went_without=lambda what, _: without.append(what))
        yield await stack.enter_async_context(Sink(settings, around)), members, without


async def test_of_several_one_that_accepts_is_enough_and_all_are_told() -> None:
    async with hook(accepts) as other, manager() as (_, receiver):
        dead = f"http://127.0.0.1:{free_port()}"
        urls = [dead, receiver.url.removesuffix("/hook"), other.url.removesuffix("/hook")]
        async with open_session(total=60.0) as session:
            settings = Settings.model_validate({"url": urls})
            async with Sink(settings, Surroundings("alerts", session)) as sink:
                await told(sink, Kind.NODE_STARTED)
                found = await sink.check()
    assert [len(said(each)) for each in (receiver, other)] == [1, 1]
    assert len(found) == 1
    assert found[0].startswith("127.0.0.1: ")


async def test_whatever_is_told_and_missed_the_receipt_can_be_stored() -> None:
    """Two conditions fire or have ended without everybody knowing, and all text is as long as can be."""

    async def refuses(_: web.Request) -> web.Response:
        return web.Response(status=503)

    story = {message.event.kind: message for message in hostile("\U0001f600" * 10_000, mark=None)}
    last: Receipt | None = None
    async with cluster(accepts, refuses) as (sink, _, _):
        for kind in (Kind.TASK_STALLED, Kind.TASK_FAILED, Kind.TASK_STALLED, Kind.TASK_SUCCEEDED):
            last = await sink.send(story[kind], last)
            assert last.size <= LARGEST_RECEIPT


@pytest.mark.parametrize(("status", "text"), [(503, ""), (200, "<html>Sign in</html>")])
@pytest.mark.parametrize("first", [True, False])
async def test_an_end_that_one_of_them_missed_is_said_again_until_all_have_taken_it(
    status: int, text: str, *, first: bool
) -> None:
    down = False

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text) if down else await accepts(request)

    async with cluster(*((answer, accepts) if first else (accepts, answer))) as (sink, members, without):
        last = await told(sink, Kind.TASK_FAILED)
        down = True
        last = await told(sink, Kind.TASK_SUCCEEDED, last=last)
        assert without == ["member"]
        down = False
        assert isinstance(sink, Lasting)
        await sink.keep([last])
        for member in members:
            assert said(member)[-1] == [("CssUpgradeFailed", False)]
            first_end, again = (json.loads(each.body)[0] for each in member.posts[-2:])
            assert first_end == again
        posts = [len(member.posts) for member in members]
        await sink.keep([last])
        assert [len(member.posts) for member in members] == posts
        # The next message says it too, as another notifier may have the lane by now; then it need not be remembered.
        last = await told(sink, Kind.TASK_RETRIED, last=last)
        assert said(members[0])[-1] == [("CssUpgradeFailed", False), ("CssUpgradeNews", True)]
        assert not {KEEP, ENDED} & last.fields.keys()


async def test_an_end_is_not_said_behind_a_new_beginning_nor_for_ever() -> None:
    down = False
    now = datetime.now(UTC)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=503) if down else await accepts(request)

    async with cluster(accepts, answer) as (sink, members, _):
        last = await told(sink, Kind.TASK_STALLED)
        down = True
        ended = await told(sink, Kind.TASK_RESUMED, last=last)
        stalled = sample(Kind.TASK_STALLED, mark=None)
        again = await sink.send(replace(stalled, event=replace(stalled.event, sequence=99)), ended)
        assert said(members[0])[-1] == [("CssUpgradeStalled", True)]
        assert ENDED not in again.fields
        await sink.keep([again])
        assert said(members[0])[-1] == [("CssUpgradeStalled", True)]
        posts = len(members[0].posts)
        (found,) = json.loads(ended.fields[ENDED]).values()
        assert datetime.fromisoformat(found["until"]) > now + LASTS - timedelta(seconds=1)
        for change in ({"until": (now - timedelta(minutes=1)).isoformat()}, {"until": "?"}, {"until": None}, {"alert": None}):
            await sink.keep([Receipt({KEEP: "{}", ENDED: json.dumps({"stall": {**found, **change}})})])
        assert len(members[0].posts) == posts


async def test_check_says_what_is_no_alertmanager() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<html>", status=200)

    async with manager() as (sink, _):
        assert isinstance(sink, Checkable)
        assert await sink.check() == []
    async with manager(answer) as (sink, _):
        assert await sink.check() == ["127.0.0.1 does not answer as an Alertmanager does: HTTP 200: <html>"]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"url": []},
        {"url": "ftp://x"},
        {"url": "http://user:canary@x"},
        {"url": "http://x", "username": "u"},
        {"url": "http://x", "username": "u:", "password": "canary"},
        {"url": "http://x", "username": "u", "password": "canary", "token": "t"},
        {"url": "http://x", "labels": {"alertname": "mine"}},
        {"url": "http://x", "labels": {"a-b": "x"}},
        {"url": "http://x", "silence_nodes": {}},
        {"url": "http://x", "silence_nodes": {"label": "a-b"}},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as failure:
        Settings.model_validate(wrong)
    assert "canary" not in str(failure.value)


async def test_a_login_is_sent_as_basic_authentication() -> None:
    async with manager(username="css", password="canary-password") as (sink, receiver):
        await told(sink, Kind.TASK_FAILED)
        assert receiver.posts[0].headers["Authorization"] == "Basic Y3NzOmNhbmFyeS1wYXNzd29yZA=="
        assert "canary" not in repr(sink._settings)
