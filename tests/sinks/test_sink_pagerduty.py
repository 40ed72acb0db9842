"""PagerDuty: one incident a condition, opened, acknowledged and resolved in order; the rest are change events."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from fake_pagerduty import KEY, duty, said, settings_for
from pydantic import ValidationError

from notifier.domain.diff import diff
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Action, Cluster, Kind, Snapshot, Task
from notifier.domain.plan import Audience
from notifier.domain.rehearsal import set_apart
from notifier.domain.render import render
from notifier.domain.routing import Matcher, Route
from notifier.domain.samples import sample
from notifier.engine.dispatcher import Dispatcher, Outlet
from notifier.engine.sending import OutletSettings
from notifier.sinks.contract import Surroundings
from notifier.sinks.pagerduty import Settings, Sink, dedup_key
from notifier.store.store import Store
from notifier.store.transaction import Transaction


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
    page = "http://page/tasks/5a3b1e00-0000-4000-8000-000000000001/UPGRADING/5a3b1e00-0000-4000-8000-0000000000aa"
    console = "https://console.huaweicloud.com/css/?region=cn-north-4"
    assert bodies[1]["client_url"] == page
    links = [{"href": page, "text": "Status page"}, {"href": console, "text": "Huawei console"}]
    assert [body["links"] for body in bodies if "payload" in body] == [links] * 4


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
        fresh = Sink(settings_for(receiver), Surroundings("oncall", sink._session))
        await told(fresh, Kind.TASK_SUCCEEDED, last=last)
    assert said(receiver) == [("trigger", "failure"), ("resolve", "failure"), ("change", "")]


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
