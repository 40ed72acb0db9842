"""What a receiver of webhooks gets: judged by the libraries that receivers use, and by the contract word for word."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from hypothesis import given
from hypothesis import strategies as st
from sink_receivers import hook, webhook
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from notifier import __version__
from notifier.domain.identity import of_reminder
from notifier.domain.message import Message
from notifier.domain.model import Action, Cluster, Eta, Event, Kind, Nodes, Stage, TaskFacts
from notifier.domain.render import render
from notifier.domain.samples import sample, samples
from notifier.sinks.webhook import body, signed, webhook_id

OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD/xyzxyzx"

EXAMPLE = Event(
    id="0d9b2a70-5f3c-5d7e-8a41-6b1f2c3d4e5f",
    kind=Kind.NODE_COMPLETED,
    sequence=17,
    time=datetime(2026, 3, 1, 2, 29, 51, tzinfo=UTC),
    observed_at=datetime(2026, 3, 1, 2, 30, 2, 500000, tzinfo=UTC),
    cluster=Cluster("c1", "search-prod", "cn-north-4", "prod-beijing", "p1", {"env": "prod"}),
    task=TaskFacts(
        id="t1",
        action=Action.UPGRADING,
        status="RUNNING",
        attempt=1,
        started_at=datetime(2026, 3, 1, 2, 23, 39, tzinfo=UTC),
        ended_at=None,
        nodes=Nodes(3, ("css-test-ess-esn-1-1",), ("css-test-ess-esn-2-1",)),
        target="7.10.2_22.5.1_1230",
        fail_message=None,
    ),
    node="css-test-ess-esn-1-1",
    stage=Stage(0, "Data migration", "SUCCESS", "moves data", datetime(2026, 3, 1, 2, 23, 42, tzinfo=UTC), None),
    progress=0.41,
    eta=Eta(datetime(2026, 3, 1, 3, tzinfo=UTC), datetime(2026, 3, 1, 4, tzinfo=UTC), "2 finished nodes"),
)
GOLDEN = """
{"specversion": "1.0", "id": "0d9b2a70-5f3c-5d7e-8a41-6b1f2c3d4e5f", "type": "css.upgrade.node.completed",
 "source": "/huaweicloud/cn-north-4/p1/css/clusters/c1", "subject": "tasks/t1/nodes/css-test-ess-esn-1-1",
 "time": "2026-03-01T02:29:51Z", "timestamp": "2026-03-01T02:29:51Z", "sequence": "00000017", "severity": "info",
 "datacontenttype": "application/json",
 "data": {"id": "0d9b2a70-5f3c-5d7e-8a41-6b1f2c3d4e5f", "kind": "node.completed", "severity": "info", "sequence": 17,
   "time": "2026-03-01T02:29:51Z", "observed": true, "observed_at": "2026-03-01T02:30:02.500000Z", "catch_up": false,
   "summary": "Node css-test-ess-esn-1-1 completed (1 of 3 nodes, 41%).",
   "cluster": {"id": "c1", "name": "search-prod", "labels": {"env": "prod"}, "region": "cn-north-4", "project": "prod-beijing"},
   "task": {"id": "t1", "action": "UPGRADING", "status": "RUNNING", "attempt": 1, "started_at": "2026-03-01T02:23:39Z",
     "ended_at": null, "nodes": {"total": 3, "completed": ["css-test-ess-esn-1-1"], "in_flight": ["css-test-ess-esn-2-1"]},
     "target": "7.10.2_22.5.1_1230", "fail_message": null, "current_node": null, "stages": []},
   "node": "css-test-ess-esn-1-1",
   "stage": {"order": 0, "name": "Data migration", "status": "SUCCESS", "description": "moves data",
     "began_at": "2026-03-01T02:23:42Z", "ended_at": null},
   "progress": 0.41, "eta": {"earliest": "2026-03-01T03:00:00Z", "latest": "2026-03-01T04:00:00Z", "basis": "2 finished nodes"},
   "outage": null, "timing": null, "sink": null, "mark": null}}
"""


def told(event: Event, *, mark: str | None = None) -> Message:
    return render(event, delivery_id="d1", attempt=1, may_repeat=False, skipped=0, now=event.observed_at, mark=mark)


def test_the_body_is_the_one_that_receivers_were_promised() -> None:
    written = body(told(EXAMPLE))
    assert json.loads(written) == json.loads(GOLDEN)
    assert list(json.loads(written)) == list(json.loads(GOLDEN))
    assert b"\n" not in written


@given(
    attempt=st.integers(1, 99),
    may_repeat=st.booleans(),
    skipped=st.integers(0, 99),
    late_by=st.none() | st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_the_body_is_the_same_bytes_at_every_try(attempt: int, may_repeat: bool, skipped: int, late_by: timedelta | None) -> None:
    message = sample(Kind.TASK_FAILED, mark=None)
    later = replace(message, attempt=attempt, may_repeat=may_repeat, skipped=skipped, late_by=late_by)
    assert body(later) == body(message)


def test_a_reminder_is_not_dropped_as_a_repeat_of_its_news_and_says_which_it_is() -> None:
    news = sample(Kind.TASK_FAILED, mark=None)
    again = render(
        news.event,
        delivery_id=of_reminder(news.event.id, "hook", 2),
        attempt=1,
        may_repeat=False,
        skipped=0,
        now=news.event.observed_at + timedelta(hours=2),
        reminder=2,
    )
    envelope = json.loads(body(again))
    assert envelope["id"] == webhook_id(again) == again.id != news.event.id
    assert envelope["data"]["id"] == news.event.id
    assert envelope["data"]["reminder"] == 2
    assert envelope["data"]["summary"] == f"Still, after 2 h: {news.summary}"
    assert again.late_by is None
    assert "reminder" not in json.loads(body(news))["data"]


@pytest.mark.parametrize("message", samples(mark=None), ids=lambda message: str(message.event.kind))
async def test_receivers_libraries_take_every_kind(message: Message) -> None:
    async with hook() as found, webhook(found.url, secret=OLD) as sink:
        receipt = await sink.send(message, None)
    [post] = found.posts
    event = from_structured_event(HTTPMessage(headers=post.headers, body=post.body))
    assert event.get_id() == message.event.id == post.headers["webhook-id"] == receipt.fields["webhook-id"]
    assert event.get_type() == f"css.upgrade.{message.event.kind}"
    assert event.get_time() == message.event.time
    assert event.get_subject() == (message.event.subject or None)
    assert event.get_extension("sequence") == f"{message.event.sequence:08}"
    verified = Webhook(OLD).verify(post.body, post.headers)
    assert verified["data"]["kind"] == message.event.kind
    assert verified["timestamp"] == verified["time"]
    assert post.headers["Content-Type"] == "application/cloudevents+json"
    assert post.headers["User-Agent"] == f"css-upgrade-notifier/{__version__}"


async def test_what_is_about_a_cluster_has_no_subject_rather_than_an_empty_one() -> None:
    envelope = json.loads(body(sample(Kind.CLUSTER_UNREACHABLE)))
    assert "subject" not in envelope


async def test_while_a_secret_is_replaced_both_receivers_verify() -> None:
    async with hook() as found, webhook(found.url, secret=[OLD, NEW]) as sink:
        await sink.send(told(EXAMPLE), None)
    [post] = found.posts
    for secret in (OLD, NEW):
        assert Webhook(secret).verify(post.body, post.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 32).verify(post.body, post.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(post.body.replace(b"search-prod", b"search-test"), post.headers)


async def test_without_a_secret_nothing_is_signed_but_the_id_and_time_are_told() -> None:
    async with hook() as found, webhook(found.url) as sink:
        await sink.send(told(EXAMPLE), None)
    [post] = found.posts
    assert "webhook-signature" not in post.headers
    assert post.headers["webhook-id"] == EXAMPLE.id
    assert int(post.headers["webhook-timestamp"]) > 0


def test_the_signature_is_over_id_time_and_body() -> None:
    """Example of the Standard Webhooks specification's reference tests."""
    key = bytes.fromhex("31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0")
    headers = signed([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_own_headers_are_sent_with_every_request() -> None:
    async with hook() as found, webhook(found.url, headers={"Authorization": "Bearer t0ken", "X-Team": "search"}) as sink:
        await sink.send(told(EXAMPLE), None)
    [post] = found.posts
    assert (post.headers["Authorization"], post.headers["X-Team"]) == ("Bearer t0ken", "search")


def test_a_replay_neither_passes_for_the_news_nor_uses_up_its_id() -> None:
    news, replay = told(EXAMPLE), told(EXAMPLE, mark="REPLAY")
    assert webhook_id(news) != webhook_id(replay)
    data = json.loads(body(replay))["data"]
    assert data["mark"] == "REPLAY"
    assert data["summary"].startswith("[REPLAY] Node")
    assert data["id"] == EXAMPLE.id


def test_strange_ids_cannot_leave_their_place_in_the_source() -> None:
    cluster = replace(EXAMPLE.cluster, id="../x?y#z\r\nc", region="a/b")
    envelope = json.loads(body(told(replace(EXAMPLE, cluster=cluster))))
    assert envelope["source"] == "/huaweicloud/a%2Fb/p1/css/clusters/..%2Fx%3Fy%23z%20c"
