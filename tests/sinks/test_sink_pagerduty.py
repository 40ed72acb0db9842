"""PagerDuty: one incident a condition, opened, acknowledged and resolved in order; the rest are change events."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from pydantic import ValidationError
from sink_receivers import Hook, hook

from notifier.domain.diff import diff
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Action, Cluster, Kind, Snapshot, Task
from notifier.domain.plan import Audience
from notifier.domain.rehearsal import set_apart
from notifier.domain.render import render
from notifier.domain.routing import Matcher, Route
from notifier.domain.samples import sample
from notifier.engine.dispatcher import Dispatcher, Outlet
from notifier.engine.sending import OutletSettings
from notifier.outbound import open_session
from notifier.sinks.contract import Surroundings
from notifier.sinks.pagerduty import LARGEST, Settings, Sink, dedup_key, judged
from notifier.sinks.posting import Answer
from notifier.store.store import Store
from notifier.store.transaction import Transaction

KEY = "0123456789abcdef0123456789abcdef"

# developer.pagerduty.com/docs/events-api-v2/trigger-events and /send-change-events, as of 2026.
ALERT = {
    "type": "object",
    "required": ["routing_key", "event_action"],
    "additionalProperties": False,
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "maxLength": 255},
        "client": {"type": "string"},
        "client_url": {"type": "string"},
        "links": {"type": "array", "items": {"required": ["href"]}},
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "custom_details": {"type": "object"},
            },
        },
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "else": {"required": ["dedup_key"]},
}
CHANGE = {
    "type": "object",
    "required": ["routing_key", "payload"],
    "additionalProperties": False,
    "properties": {
        "routing_key": {"type": "string"},
        "links": {"type": "array"},
        "payload": {"type": "object", "required": ["summary"], "properties": {"summary": {"maxLength": 1024, "minLength": 1}}},
    },
}


async def accepts(_: web.Request) -> web.Response:
    return web.json_response({"status": "success", "message": "Event processed", "dedup_key": "x" * 60}, status=202)


@asynccontextmanager
async def duty(
    answer: Callable[[web.Request], Any] = accepts, page: str | None = "http://page"
) -> AsyncIterator[tuple[Sink, Hook]]:
    async with hook(answer) as receiver, open_session(total=2.0) as session:
        settings = Settings.model_validate({"routing_key": KEY, "base_url": receiver.url.removesuffix("/hook")})
        async with Sink(settings, Surroundings("oncall", session, page=page)) as sink:
            yield sink, receiver


def said(receiver: Hook) -> list[tuple[str, str]]:
    """What each request asked for, with the condition it is about; checked against the vendor's schema on the way."""
    found = []
    for each in receiver.posts:
        body = json.loads(each.body)
        change = each.path == "/v2/change/enqueue"
        jsonschema.validate(body, CHANGE if change else ALERT)
        found.append(("change", "") if change else (body["event_action"], body["dedup_key"].rpartition("-")[2]))
    return found


async def told(sink: Sink, *kinds: Kind, last: Receipt | None = None) -> Receipt | None:
    for kind in kinds:
        last = await sink.send(replace(sample(kind, mark=None)), last)
    return last


async def test_a_failure_is_opened_acknowledged_by_its_retry_and_resolved_by_success() -> None:
    async with duty() as (sink, receiver):
        await told(sink, Kind.TASK_STARTED, Kind.TASK_FAILED, Kind.TASK_RETRIED, Kind.NODE_COMPLETED, Kind.TASK_SUCCEEDED)
    assert said(receiver) == [
        ("change", ""),
        ("trigger", "failure"),
        ("acknowledge", "failure"),
        ("change", ""),
        ("resolve", "failure"),
        ("change", ""),
    ]
    bodies = [json.loads(each.body) for each in receiver.posts]
    assert len({body["dedup_key"] for body in bodies if "dedup_key" in body}) == 1
    assert bodies[1]["client_url"] == "http://page"


async def test_a_stall_ends_by_progress_by_failure_and_by_success() -> None:
    for end in (Kind.TASK_RESUMED, Kind.TASK_FAILED, Kind.TASK_SUCCEEDED, Kind.TASK_RETRIED):
        async with duty(page=None) as (sink, receiver):
            await told(sink, Kind.TASK_STALLED, end)
        assert said(receiver)[:2] == [("trigger", "stall"), ("resolve", "stall")]


@pytest.mark.parametrize("end", [Kind.CLUSTER_RECOVERED, Kind.CLUSTER_FORGOTTEN])
async def test_a_cluster_that_is_watched_again_or_no_more_resolves_its_outage_even_if_the_receipt_is_lost(end: Kind) -> None:
    async with duty() as (sink, receiver):
        await told(sink, Kind.CLUSTER_UNREACHABLE)
        await told(sink, end, last=None)
    assert said(receiver) == [("trigger", "unreachable"), ("resolve", "unreachable")]


async def test_a_failure_that_is_sent_again_after_its_end_opens_nothing() -> None:
    async with duty() as (sink, receiver):
        last = await told(sink, Kind.TASK_STARTED, Kind.TASK_SUCCEEDED)  # the failure between them was given up
        await told(sink, Kind.TASK_FAILED, Kind.TASK_STALLED, last=last)
    assert [action for action, _ in said(receiver)] == ["change"] * 4


async def test_a_failure_that_is_sent_again_while_it_lasts_is_opened() -> None:
    async with duty() as (sink, receiver):
        last = await told(sink, Kind.TASK_STALLED, Kind.NODE_FAILED)
        await told(sink, Kind.TASK_FAILED, last=last)
    assert said(receiver) == [("trigger", "stall"), ("change", ""), ("resolve", "stall"), ("trigger", "failure")]


async def test_a_crash_before_the_answer_was_noted_reopens_nothing() -> None:
    store, now = Store("sqlite://").open(), datetime.now(UTC)
    cluster = Cluster("c1", "search", "cn-north-4", "prod", "p1")
    audience = Audience([Route(Matcher(), ("oncall",))])

    def story(tx: Transaction) -> None:
        known, version = tx.known(cluster)
        for status in (None, "RUNNING", "FAILED", "SUCCESS"):
            tasks = () if status is None else (Task("t1", status, 1 if status != "SUCCESS" else 2, ("n1",)),)
            step = diff(known, Snapshot(cluster, Action.UPGRADING, tasks), now)
            tx.save(cluster, (known, version), step.known, (step.events, audience.plan(step.events, now)), now.timestamp())
            known, version = tx.known(cluster)

    await store.transact(story)
    async with duty() as (sink, receiver):
        while not [each for each in said(receiver) if each == ("trigger", "failure")]:
            # A process that dies between the answer and its note: the lease ends, nothing was settled.
            (claim,) = await store.transact(lambda tx: tx.claim("oncall", "dead", 1, lease=-1.0, now=now.timestamp()))
            message = render(claim.event, delivery_id=claim.delivery, attempt=1, may_repeat=False, skipped=0, now=now)
            receipt = await sink.send(message, claim.last)
            if claim.event.kind is not Kind.TASK_FAILED:
                await store.transact(partial(Transaction.delivered, claim=claim, receipt=receipt, now=now.timestamp()))
        dispatcher = Dispatcher([Outlet(OutletSettings("oncall", timeout=2.0), sink, store, "alive")])
        dispatcher.start()
        async with asyncio.timeout(20):
            while ("resolve", "failure") not in said(receiver):  # noqa: ASYNC110 - what the receiver has heard
                await asyncio.sleep(0.01)
        await dispatcher.stop(2.0)
    store.close()
    alerts = [each for each in said(receiver) if each[1] == "failure" and each[0] != "acknowledge"]
    assert alerts == [("trigger", "failure"), ("trigger", "failure"), ("resolve", "failure")]


async def test_a_restart_knows_what_is_open() -> None:
    async with duty() as (sink, receiver):
        last = await told(sink, Kind.TASK_FAILED)
        fresh = Sink(sink_settings(receiver), Surroundings("oncall", sink._session))
        await told(fresh, Kind.TASK_SUCCEEDED, last=last)
    assert said(receiver) == [("trigger", "failure"), ("resolve", "failure"), ("change", "")]


def sink_settings(receiver: Hook) -> Settings:
    return Settings.model_validate({"routing_key": KEY, "base_url": receiver.url.removesuffix("/hook")})


async def test_a_test_touches_no_real_incident() -> None:
    real, test = sample(Kind.TASK_FAILED, mark=None), sample(Kind.TASK_FAILED)
    assert dedup_key(real, "failure") != dedup_key(test, "failure")
    async with duty() as (sink, receiver):
        last = await told(sink, Kind.TASK_FAILED)
        receipt = await sink.send(replace(sample(Kind.TASK_SUCCEEDED), mark="TEST"), last)
        await sink.send(test, None)
    assert receipt.fields == {}
    assert said(receiver)[1] == ("change", "")
    assert json.loads(receiver.posts[2].body)["payload"]["severity"] == "info"


async def test_news_that_comes_late_says_so() -> None:
    async with duty() as (sink, receiver):
        await sink.send(replace(sample(Kind.TASK_FAILED, mark=None), late_by=timedelta(hours=2), skipped=3), None)
    said(receiver)
    summary = json.loads(receiver.posts[0].body)["payload"]["summary"]
    assert summary.endswith("retry or terminate. Delivered 2 h late. 3 earlier messages never arrived.")


async def test_a_drill_resolves_what_it_opened_and_nothing_else() -> None:
    real, last = sample(Kind.TASK_FAILED, mark=None), None
    async with duty() as (sink, receiver):
        for kind in (Kind.TASK_FAILED, Kind.TASK_RETRIED, Kind.TASK_SUCCEEDED):
            event = set_apart(sample(kind).event, "DRILL", "r1")
            last = await sink.send(replace(sample(kind), event=event, id=event.id, mark="DRILL"), last)
    assert said(receiver) == [("trigger", "failure"), ("acknowledge", "failure"), ("resolve", "failure"), ("change", "")]
    keys = {json.loads(post.body).get("dedup_key") for post in receiver.posts} - {None}
    assert len(keys) == 1
    assert dedup_key(real, "failure") not in keys
    assert json.loads(receiver.posts[0].body)["payload"]["severity"] == "info"


async def test_what_is_too_large_is_told_without_its_details() -> None:
    message = sample(Kind.TASK_FAILED, mark=None)
    task = message.event.task
    assert task is not None
    nodes = replace(task.nodes, completed=tuple("n" * 100 for _ in range(LARGEST // 100)))
    async with duty() as (sink, receiver):
        await sink.send(replace(message, event=replace(message.event, task=replace(task, nodes=nodes))), None)
    assert said(receiver) == [("trigger", "failure")]
    assert len(receiver.posts[0].body) < LARGEST


@pytest.mark.parametrize(
    ("status", "body", "outcome", "reason", "scope"),
    [
        (
            400,
            '{"status":"invalid event","errors":["Invalid routing key"]}',
            Outcome.REJECTED,
            DeliveryReason.REFUSED,
            Scope.SINK,
        ),
        (400, '{"status":"invalid event"}', Outcome.REJECTED, DeliveryReason.INVALID, Scope.EVENT),
        (429, "", Outcome.RETRY, DeliveryReason.THROTTLED, Scope.SINK),
        (500, "", Outcome.RETRY, DeliveryReason.SERVER, Scope.EVENT),
        (202, "<html>", Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, Scope.EVENT),
        (202, "[1]", Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, Scope.EVENT),
        (200, '{"status":"success"}', Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, Scope.EVENT),
        (403, "", Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK),
    ],
)
async def test_every_answer_has_a_meaning(status: int, body: str, outcome: Outcome, reason: DeliveryReason, scope: Scope) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    async with duty(answer) as (sink, _):
        with pytest.raises(DeliveryError) as failure:
            await told(sink, Kind.TASK_FAILED)
    error = failure.value
    assert (error.outcome, error.reason, error.scope) == (outcome, reason, scope)
    assert error.retry_after == (120.0 if status == 429 else None)


@pytest.mark.parametrize("excerpt", ["", "<html>", '{"status": "success"}', '{"status": "throttled"}', "null", '"success"'])
def test_no_status_but_the_promised_one_with_the_promised_words_is_taken_for_a_yes(excerpt: str) -> None:
    for status in range(100, 600):
        error = judged(Answer(status, excerpt, None, None))
        assert (error is None) == (status == 202 and "success" in excerpt and excerpt.startswith("{"))
        if error is not None:
            surely_not = error.outcome in {Outcome.RETRY, Outcome.REJECTED}
            assert surely_not == (300 <= status < 600)


async def test_an_answer_that_never_comes_leaves_it_open_whether_it_was_taken() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        await asyncio.sleep(0)
        return web.Response()

    async with duty(answer) as (sink, _):
        with pytest.raises(DeliveryError) as failure:
            await told(sink, Kind.TASK_FAILED)
    assert failure.value.outcome is Outcome.UNCERTAIN


@pytest.mark.parametrize("wrong", [{}, {"routing_key": "short"}, {"routing_key": KEY, "base_url": "ftp://x"}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as failure:
        Settings.model_validate(wrong)
    assert KEY not in str(failure.value)


def test_a_key_is_the_same_for_good_and_short_enough() -> None:
    message: Message = sample(Kind.TASK_FAILED, mark=None)
    again = replace(message, id="another try", attempt=7)
    assert dedup_key(message, "failure") == dedup_key(again, "failure")
    assert len(dedup_key(message, "unreachable")) <= 255
