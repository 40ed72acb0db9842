"""PagerDuty: one incident a condition, opened, acknowledged and resolved in order; the rest are change events."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from fake_pagerduty import KEY, PagerDuty, checked, duty, said, settings_for
from pagerduty_story import GOLDEN, story, written
from pydantic import ValidationError
from sink_receivers import break_off
from time_is_up import Patience
from tries import after, failure

from notifier.domain.conditions import OPENS
from notifier.domain.diff import diff
from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Action, Cluster, Kind, Severity, Snapshot, Task
from notifier.domain.plan import Audience
from notifier.domain.rehearsal import set_apart
from notifier.domain.render import render
from notifier.domain.routing import Matcher, Route
from notifier.domain.samples import sample, samples
from notifier.domain.words import Language, Words
from notifier.engine.dispatcher import Dispatcher
from notifier.engine.outlet import Outlet
from notifier.engine.sending import OutletSettings
from notifier.sinks import pagerduty
from notifier.sinks.contract import KEEP, Surroundings
from notifier.sinks.pagerduty import SEVERITIES, Settings, Sink, dedup_key
from notifier.store.store import Store
from notifier.store.transaction import Transaction


async def told(sink: Sink, *kinds: Kind, last: Receipt | None = None) -> Receipt | None:
    for kind in kinds:
        last = await sink.send(replace(sample(kind, mark=None)), last)
    return last


def failed(*, attempt: int, kind: Kind = Kind.TASK_FAILED) -> Message:
    """The end of a later execution of the sample task."""
    message = sample(kind, mark=None)
    assert message.event.task is not None
    task = replace(message.event.task, attempt=attempt)
    return replace(message, event=replace(message.event, sequence=13 + attempt, task=task))


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


async def test_a_retry_that_fails_pages_again_though_the_incident_was_acknowledged() -> None:
    service = PagerDuty()
    async with duty(service.answer) as (sink, receiver):
        last = await told(sink, Kind.TASK_FAILED, Kind.TASK_RETRIED)
        assert list(service.incidents.values()) == ["acknowledged"]
        last = await sink.send(failed(attempt=2), last)
        assert (len(service.pages), list(service.incidents.values())) == (2, ["triggered"])
        # The same end told again, or told to be another by whoever terminated the task, is no news to whoever was paged.
        last = await sink.send(failed(attempt=2), last)
        last = await sink.send(failed(attempt=2, kind=Kind.TASK_PARTIALLY_FAILED), last)
        assert len(service.pages) == 2
        await told(sink, Kind.TASK_SUCCEEDED, last=last)
    assert said(receiver)[2:5] == [("resolve", "failure"), ("trigger", "failure"), ("trigger", "failure")]
    assert service.incidents == {}


async def test_a_retry_that_nobody_told_us_of_pages_again_when_it_fails() -> None:
    service = PagerDuty()
    async with duty(service.answer) as (sink, _):
        last = await told(sink, Kind.TASK_FAILED)
        service.incidents = dict.fromkeys(service.incidents, "acknowledged")  # by whoever was paged
        await sink.send(failed(attempt=2), last)
    assert len(service.pages) == 2


@pytest.mark.parametrize("lost", ["trigger", "resolve"])
async def test_a_second_failure_whose_telling_broke_off_pages_once(lost: str) -> None:
    service = PagerDuty()
    async with duty(service.answer) as (sink, _):
        last = await told(sink, Kind.TASK_STALLED, Kind.TASK_FAILED, Kind.TASK_RETRIED)

        async def breaks(request: web.Request) -> web.Response:
            body = checked(request.path, await request.read())
            service.take(body)
            if body["event_action"] == lost:
                return web.Response(status=504)
            return web.json_response({"status": "success"}, status=202)

        service.refuse["/v2/enqueue"] = breaks
        with pytest.raises(DeliveryError) as broken:
            await sink.send(failed(attempt=2), last)
        service.refuse.clear()
        again = replace(failed(attempt=2), attempt=2, progress=broken.value.receipt)
        last = await sink.send(again, last)
        assert len(service.pages) == 3  # the stall, and each failure
        await told(sink, Kind.TASK_SUCCEEDED, last=last)
    assert service.incidents == {}


async def test_a_sink_that_is_slow_says_what_it_has_achieved_before_it_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    service, patience = PagerDuty(), Patience(monkeypatch, pagerduty)

    async def slow(request: web.Request) -> web.StreamResponse:
        if (await request.json())["event_action"] == "trigger" and len(service.pages) == 1:
            patience.is_over()
            await asyncio.Event().wait()
        return await service.answer(request)

    async with duty(slow, timeout=0.5) as (sink, _):
        last = await told(sink, Kind.TASK_FAILED, Kind.TASK_RETRIED)
        with pytest.raises(DeliveryError) as late:
            await sink.send(failed(attempt=2), last)
    assert (late.value.outcome, late.value.reason) == (Outcome.UNCERTAIN, DeliveryReason.TIMEOUT)
    assert late.value.receipt is not None
    assert (late.value.receipt.fields["open"], late.value.receipt.fields["attempt"]) == ("", "2")


async def test_a_reminder_pages_nobody_whom_we_have_paged() -> None:
    service = PagerDuty()
    async with duty(service.answer) as (sink, receiver):
        last = await told(sink, Kind.TASK_FAILED)
        service.incidents.clear()  # whoever was paged has resolved it by hand
        reminder = replace(sample(Kind.TASK_FAILED, mark=None), id="reminder 1", reminder=1)
        assert last is not None
        assert (await sink.send(reminder, last)).fields == last.fields
    assert said(receiver) == [("trigger", "failure")]


async def test_a_reminder_pages_whom_it_is_the_first_word_to() -> None:
    service = PagerDuty()
    async with duty(service.answer) as (sink, receiver):
        # What is escalated arrives as a reminder.
        last = await sink.send(replace(sample(Kind.TASK_FAILED, mark=None), id="reminder 1", reminder=1), None)
        last = await sink.send(replace(sample(Kind.TASK_FAILED, mark=None), id="reminder 2", reminder=2), last)
        assert len(service.pages) == 1
        last = await sink.send(replace(failed(attempt=2), id="reminder 3", reminder=3), last)  # its news was given up
        assert len(service.pages) == 2
        await told(sink, Kind.TASK_SUCCEEDED, last=last)
    assert service.incidents == {}
    assert ("change", "") not in said(receiver)[:-1]


@pytest.mark.parametrize(("opens", "ends"), [(Kind.TASK_FAILED, Kind.TASK_SUCCEEDED), (Kind.TASK_STALLED, Kind.TASK_RESUMED)])
async def test_what_was_taken_though_it_was_given_up_is_resolved_by_its_end(opens: Kind, ends: Kind) -> None:
    service = PagerDuty()
    async with duty(service.answer) as (sink, _):
        await told(sink, opens)  # its answer was lost, and so is the receipt
        assert service.incidents
        await sink.send(replace(sample(ends, mark=None), skipped=1), None)
    assert service.incidents == {}


@pytest.mark.parametrize("breaks", [True, False])
async def test_what_was_given_up_with_a_part_of_it_done_is_resolved_by_its_end_as_well(*, breaks: bool) -> None:
    """The stall before it was resolved, so the receipt of the failure counts; that of the page itself, nobody knows."""
    service = PagerDuty()
    lost = True

    async def answer(request: web.Request) -> web.StreamResponse:
        answered = await service.answer(request)
        if lost and (await request.json()).get("event_action") == "trigger":
            return break_off(request) if breaks else web.Response(status=503)
        return answered

    async with duty(answer) as (sink, _):
        lost = False
        stalled = await told(sink, Kind.TASK_STALLED)
        lost = True
        given_up = await failure(sink, sample(Kind.TASK_FAILED, mark=None), stalled)
        assert given_up.receipt is not None
        assert KEEP in given_up.receipt.fields
        assert list(service.incidents.values()) == ["triggered"]
        lost = False
        last = await told(sink, Kind.TASK_RETRIED, last=given_up.receipt)
        assert list(service.incidents.values()) == ["acknowledged"]
        await told(sink, Kind.TASK_SUCCEEDED, last=last)
    assert service.incidents == {}


async def test_a_failure_that_was_taken_though_it_was_given_up_is_paged_anew_after_its_retry() -> None:
    service = PagerDuty()
    async with duty(service.answer) as (sink, _):
        await told(sink, Kind.TASK_FAILED)
        retried = await sink.send(replace(sample(Kind.TASK_RETRIED, mark=None), skipped=1), None)
        assert list(service.incidents.values()) == ["acknowledged"]
        await sink.send(failed(attempt=2), retried)
        assert len(service.pages) == 2
        await sink.send(replace(failed(attempt=3), skipped=3), None)
        assert len(service.pages) == 3


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


async def test_a_failure_that_had_come_halfway_and_is_sent_again_after_its_end_opens_nothing() -> None:
    service, down = PagerDuty(), True

    async def answer(request: web.Request) -> web.StreamResponse:
        if down and (await request.json()).get("event_action") == "trigger":
            return web.Response(status=503)
        return await service.answer(request)

    message = sample(Kind.TASK_FAILED, mark=None)
    async with duty(answer) as (sink, _):
        down = False
        stalled = await told(sink, Kind.TASK_STALLED)
        down = True
        given_up = await failure(sink, message, stalled)
        down = False
        last = await told(sink, Kind.TASK_SUCCEEDED, last=given_up.receipt)
        last = await sink.send(after(given_up, message), last)
        assert "triggered" not in service.incidents.values()
        await sink.send(after(given_up, message), last)
    assert (len(service.pages), service.incidents) == (1, {})


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
        dispatcher = Dispatcher([Outlet(OutletSettings("oncall"), sink, store, "alive")])
        dispatcher.start()
        async with asyncio.timeout(60):
            while ("resolve", "failure") not in said(receiver):  # noqa: ASYNC110 - what the receiver has heard
                await asyncio.sleep(0.01)
        await dispatcher.stop(2.0)
    store.close()
    alerts = [each for each in said(receiver) if each[1] == "failure" and each[0] != "acknowledge"]
    assert alerts == [("trigger", "failure"), ("trigger", "failure"), ("resolve", "failure")]


async def test_what_nobody_tells_the_end_of_is_resolved_under_the_key_it_was_opened_by() -> None:
    async with duty() as (sink, receiver):
        last = await told(sink, Kind.TASK_STALLED, Kind.TASK_FAILED)
        assert last is not None
        assert KEEP in last.fields
        after = await sink.end(last)
        assert KEEP not in after.fields
        assert (await sink.end(after)) == after
    assert said(receiver)[-2:] == [("trigger", "failure"), ("resolve", "failure")]
    opened, resolved = (json.loads(each.body) for each in receiver.posts[-2:])
    assert opened["dedup_key"] == resolved["dedup_key"]


async def test_what_nobody_tells_the_end_of_is_tried_again_if_it_is_refused() -> None:
    async with duty() as (sink, _):
        last = await told(sink, Kind.TASK_FAILED)
    assert last is not None

    async def down(_: web.Request) -> web.Response:
        return web.Response(status=503)

    async with duty(down) as (sink, _):
        with pytest.raises(DeliveryError, match="503"):
            await sink.end(last)


async def test_a_restart_knows_what_is_open() -> None:
    async with duty() as (sink, receiver):
        last = await told(sink, Kind.TASK_FAILED)
        fresh = Sink(settings_for(receiver), Surroundings("oncall", sink._session))
        await told(fresh, Kind.TASK_SUCCEEDED, last=last)
    assert said(receiver) == [("trigger", "failure"), ("resolve", "failure"), ("change", "")]


async def test_a_test_touches_no_real_incident_and_leaves_none_open() -> None:
    service = PagerDuty()
    real, test = sample(Kind.TASK_FAILED, mark=None), sample(Kind.TASK_FAILED)
    assert dedup_key(real, "failure") != dedup_key(test, "failure")
    async with duty(service.answer) as (sink, receiver):
        last = await told(sink, Kind.TASK_FAILED)
        receipt = await sink.send(replace(sample(Kind.TASK_SUCCEEDED), mark="TEST"), last)
        await sink.send(test, None)
        assert list(service.incidents) == [dedup_key(real, "failure")]
    assert receipt.fields == {}
    assert said(receiver)[1:] == [("change", ""), ("trigger", "failure"), ("resolve", "failure")]
    assert json.loads(receiver.posts[2].body)["payload"]["severity"] == "info"
    assert len({json.loads(post.body)["dedup_key"] for post in receiver.posts[2:]}) == 1


@pytest.mark.parametrize("breaks", [True, False])
async def test_a_test_whose_page_was_taken_though_the_answer_says_otherwise_leaves_none_open(*, breaks: bool) -> None:
    service = PagerDuty()

    async def answer(request: web.Request) -> web.StreamResponse:
        answered = await service.answer(request)
        if (await request.json())["event_action"] == "trigger":
            return break_off(request) if breaks else web.Response(status=504)
        return answered

    async with duty(answer) as (sink, _):
        await failure(sink, sample(Kind.TASK_FAILED))
    assert (len(service.pages), service.incidents) == (1, {})


async def test_all_samples_of_a_test_leave_nothing_open() -> None:
    service = PagerDuty()
    async with duty(service.answer) as (sink, receiver):
        for message in samples():
            await sink.send(message, None)
    assert service.incidents == {}
    assert [action for action, _ in said(receiver)].count("trigger") == len(OPENS)


async def test_news_that_comes_late_says_so() -> None:
    async with duty() as (sink, receiver):
        await sink.send(replace(sample(Kind.TASK_FAILED, mark=None), late_by=timedelta(hours=2), skipped=3), None)
    # Of what was given up some may have been taken: it is ended first.
    assert said(receiver) == [("resolve", "stall"), ("trigger", "failure")]
    summary = json.loads(receiver.posts[1].body)["payload"]["summary"]
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


async def test_the_story_is_told_to_the_byte_as_it_was_when_a_person_last_looked() -> None:
    assert written(await story()) == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "spoilt"),
    [
        ("/v2/enqueue", {"unknown": 1}),
        ("/v2/enqueue", {"payload": {"summary": "s", "source": "c", "severity": "info", "unknown": 1}}),
        ("/v2/enqueue", {"payload": {"summary": "s" * 1025, "source": "c", "severity": "info"}}),
        ("/v2/enqueue", {"payload": {"summary": "s", "source": "c", "severity": "debug"}}),
        ("/v2/enqueue", {"payload": {"summary": "s", "source": "c", "severity": "info", "timestamp": "yesterday"}}),
        ("/v2/enqueue", {"links": [{"text": "nowhere"}]}),
        ("/v2/enqueue", {"links": [{"href": "page", "text": "no URL"}]}),
        ("/v2/enqueue", {"dedup_key": "k" * 256}),
        ("/v2/enqueue", {"event_action": "acknowledge"}),  # with a payload, which only a trigger has
        ("/v2/change/enqueue", {}),  # that of an alert
    ],
)
def test_the_schema_that_all_is_checked_against_forbids_what_is_not_documented(path: str, spoilt: dict[str, Any]) -> None:
    payload = {"summary": "s", "source": "c", "severity": "info", "timestamp": "2026-03-01T08:00:00Z"}
    good = {"routing_key": KEY, "event_action": "trigger", "dedup_key": "k", "payload": payload, "links": [{"href": "http://p"}]}
    checked("/v2/enqueue", json.dumps(good).encode())
    with pytest.raises(jsonschema.ValidationError):
        checked(path, json.dumps({**good, **spoilt}).encode())


@pytest.mark.parametrize(("language", "texts"), [("en", ["Status page", "Huawei console"]), ("zh", ["状态页", "华为云控制台"])])
async def test_links_lead_to_the_task_and_to_the_cloud_in_the_sinks_language(language: Language, texts: list[str]) -> None:
    async with duty(words=Words(language)) as (sink, receiver):
        await sink.send(sample(Kind.TASK_FAILED, mark=None), None)
        await sink.send(sample(Kind.CLUSTER_UNREACHABLE, mark=None), None)
        await sink.send(sample(Kind.SINK_FAILING, mark=None), None)
    task, cluster, ours = [json.loads(each.body) for each in receiver.posts]
    assert [link["text"] for link in task["links"]] == texts
    assert [link["href"] for link in cluster["links"]] == [
        "http://page",
        "https://console.huaweicloud.com/css/?region=cn-north-4",
    ]
    assert [link["href"] for link in ours["links"]] == ["http://page"]


@pytest.mark.parametrize("severity", list(Severity))
def test_every_severity_has_one_of_pagerdutys(severity: Severity) -> None:
    assert SEVERITIES[severity] == {"debug": "info"}.get(severity.word, severity.word)


@pytest.mark.parametrize(
    "wrong", [{}, {"routing_key": "short"}, *({"routing_key": KEY, "base_url": url} for url in ("ftp://x", "https://u:p@x"))]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as failure:
        Settings.model_validate(wrong)
    assert KEY not in str(failure.value)


def test_a_key_is_the_same_for_good_and_short_enough() -> None:
    message: Message = sample(Kind.TASK_FAILED, mark=None)
    again = replace(message, id="another try", attempt=7)
    assert dedup_key(message, "failure") == dedup_key(again, "failure")
    assert len(dedup_key(message, "unreachable")) <= 255
