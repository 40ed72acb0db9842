"""PagerDuty: what every answer means, what is told with less, and that nothing optional keeps a page waiting."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from aiohttp import web
from fake_pagerduty import KEY, PagerDuty, checked, duty, said
from sink_receivers import break_off

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message
from notifier.domain.model import Kind
from notifier.domain.samples import sample
from notifier.sinks import posting
from notifier.sinks.pagerduty import CHANGES, LARGEST, PROBE, judged
from notifier.sinks.posting import Answer

NEWS, FAILED = sample(Kind.TASK_STARTED, mark=None), sample(Kind.TASK_FAILED, mark=None)
YES = '{"status": "success", "message": "Event processed", "dedup_key": "x"}'
WRONG_KEY = '{"status": "invalid event", "message": "Event object is invalid", "errors": ["Invalid routing key"]}'
SHORT_KEY = '{"status": "invalid event", "errors": ["Length of \'routing_key\' is incorrect (should be 32 characters)"]}'
WRONG = '{"status": "invalid event", "message": "Event object is invalid", "errors": ["\'payload\' is wrong"]}'
DENIALS = ("", "<html>", '{"status": "throttled"}', "null", '"success"', "[1]", '{"status": "succ', "[" * 16_000)

Verdict = tuple[Outcome, DeliveryReason, Scope]

UNSURE = (Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, Scope.EVENT)
REDIRECTED = (Outcome.RETRY, DeliveryReason.REDIRECT, Scope.SINK)
BROKEN = (Outcome.RETRY, DeliveryReason.SERVER, Scope.EVENT)
OVERLOADED = (Outcome.RETRY, DeliveryReason.SERVER, Scope.SINK)
THROTTLED = (Outcome.RETRY, DeliveryReason.THROTTLED, Scope.SINK)
REFUSED = (Outcome.REJECTED, DeliveryReason.REFUSED, Scope.SINK)
MISSING = (Outcome.REJECTED, DeliveryReason.MISSING, Scope.SINK)
GONE = (Outcome.REJECTED, DeliveryReason.GONE, Scope.SINK)
TOO_LARGE = (Outcome.REJECTED, DeliveryReason.TOO_LARGE, Scope.EVENT)
INVALID = (Outcome.REJECTED, DeliveryReason.INVALID, Scope.EVENT)

NAMED = {
    401: REFUSED,
    403: REFUSED,
    404: MISSING,
    405: MISSING,
    407: REFUSED,
    408: BROKEN,
    410: GONE,
    413: TOO_LARGE,
    425: BROKEN,
    429: THROTTLED,
}
OTHERS = {1: UNSURE, 2: UNSURE, 3: REDIRECTED, 4: INVALID, 5: BROKEN}


def table() -> Iterator[tuple[int, str | None, Verdict | None]]:
    """Every status with every kind of body that makes a difference, and what follows: None is a yes."""
    for status in range(100, 600):
        usual = NAMED.get(status, OTHERS[status // 100])
        yield status, YES, None if status == 202 else usual
        yield status, None, None if status == 202 else usual
        yield from ((status, body, usual) for body in (*DENIALS, WRONG))
        yield from ((status, body, REFUSED if status == 400 else usual) for body in (WRONG_KEY, SHORT_KEY))


def test_every_status_with_every_body_has_its_outcome_reason_and_scope() -> None:
    for status, body, verdict in table():
        error = judged(Answer(status, "", None, None, body))
        found = None if error is None else (error.outcome, error.reason, error.scope)
        assert found == verdict, (status, body)
        assert error is None or error.retry_after == (120.0 if status == 429 else None)


def test_what_it_asks_us_to_wait_is_waited() -> None:
    for status, verdict in ((429, THROTTLED), (503, OVERLOADED), (500, BROKEN)):
        error = judged(Answer(status, "", 7.0, None, ""))
        assert error is not None
        assert (error.outcome, error.reason, error.scope) == verdict
        assert error.retry_after == 7.0


async def failure_of(status: int, body: str, message: Message = FAILED) -> DeliveryError:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    async with duty(answer) as (sink, _):
        with pytest.raises(DeliveryError) as caught:
            await sink.send(message, None)
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [(202, "<html>", UNSURE), (200, YES, UNSURE), (400, WRONG_KEY, REFUSED), (429, "", THROTTLED), (307, "", REDIRECTED)],
)
async def test_an_answer_off_the_wire_is_judged_likewise(status: int, body: str, verdict: Verdict) -> None:
    error = await failure_of(status, body)
    assert (error.outcome, error.reason, error.scope) == verdict
    assert KEY not in error.detail


async def test_an_answer_that_never_comes_leaves_it_open_whether_it_was_taken() -> None:
    async def answer(request: web.Request) -> web.Response:
        return break_off(request)

    async with duty(answer) as (sink, _):
        with pytest.raises(DeliveryError) as failure:
            await sink.send(FAILED, None)
    assert failure.value.outcome is Outcome.UNCERTAIN


@pytest.mark.parametrize("length", [1, 250, 15_000, 20_000])
async def test_a_yes_is_a_yes_however_long_it_speaks(length: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"message": "m" * length, "errors": [KEY], "status": "success"}, status=202)

    async with duty(answer) as (sink, _):
        assert (await sink.send(FAILED, None)).fields["open"] == "failure"


async def test_a_yes_is_a_yes_though_its_words_come_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "READ_FOR", 0.05)
    told = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=202)
        await response.prepare(request)
        await told.wait()
        return response

    async with duty(answer) as (sink, _):
        receipt = await sink.send(FAILED, None)
        told.set()
    assert receipt.fields["open"] == "failure"


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_page_whose_form_is_refused_is_told_once_more_with_nothing_but_what_it_needs(status: int) -> None:
    service, without = PagerDuty(), list[tuple[str, str]]()

    async def picky(request: web.Request) -> web.StreamResponse:
        body = checked(request.path, await request.read())
        if "links" in body or "custom_details" in body.get("payload", {}):
            return web.Response(status=status, text=WRONG)
        return await service.answer(request)

    async with duty(picky, went_without=lambda *what: without.append(what)) as (sink, receiver):
        await sink.send(FAILED, None)
        await sink.send(NEWS, None)
    assert said(receiver) == [("trigger", "failure")] * 2 + [("change", "")] * 2
    assert len(service.pages) == 1
    assert [what for what, _ in without] == ["details"] * 2
    assert without[0][1].startswith(f"HTTP {status}: ")
    page = json.loads(receiver.posts[1].body)
    assert set(page) == {"routing_key", "event_action", "dedup_key", "payload", "client"}
    assert set(page["payload"]) == {"summary", "source", "severity", "timestamp", "component", "group", "class"}


async def test_a_page_that_is_refused_with_less_as_well_is_given_up() -> None:
    async def never(_: web.Request) -> web.Response:
        return web.Response(status=400, text=WRONG)

    async with duty(never) as (sink, receiver):
        with pytest.raises(DeliveryError) as failure:
            await sink.send(FAILED, None)
    assert (failure.value.outcome, failure.value.reason, failure.value.scope) == INVALID
    assert len(receiver.posts) == 2


async def test_a_wrong_key_is_not_tried_with_less() -> None:
    async def never(_: web.Request) -> web.Response:
        return web.Response(status=400, text=WRONG_KEY)

    async with duty(never) as (sink, receiver):
        with pytest.raises(DeliveryError):
            await sink.send(FAILED, None)
        assert len(receiver.posts) == 1
        (wrong,) = await sink.check()
        assert wrong.startswith("PagerDuty takes no alerts: HTTP 400")
        assert KEY not in wrong


async def test_what_is_too_large_is_told_without_its_details() -> None:
    task = FAILED.event.task
    assert task is not None
    nodes = replace(task.nodes, completed=tuple("n" * 100 for _ in range(LARGEST // 100)))
    async with duty() as (sink, receiver):
        await sink.send(replace(FAILED, event=replace(FAILED.event, task=replace(task, nodes=nodes))), None)
    assert said(receiver) == [("trigger", "failure")]
    assert len(receiver.posts[0].body) < LARGEST


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, "no such page"), (403, ""), (401, ""), (410, ""), (405, ""), (307, ""), (400, WRONG_KEY), (400, WRONG)],
)
async def test_no_page_waits_behind_a_change_event_that_is_not_taken(status: int, body: str) -> None:
    service, without = PagerDuty(), list[tuple[str, str]]()

    async def refuses(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    service.refuse[CHANGES] = refuses
    async with duty(service.answer, went_without=lambda *what: without.append(what)) as (sink, receiver):
        last = await sink.send(NEWS, None)
        last = await sink.send(FAILED, last)
        assert len(service.pages) == 1
        await sink.send(sample(Kind.TASK_SUCCEEDED, mark=None), last)
    assert service.incidents == {}
    assert [what for what, _ in without] == ["change"] * 2
    assert without[0][1].startswith(f"HTTP {status}")
    # That the key is good for pages is asked once, where no alert has just proved it.
    assert [json.loads(each.body).get("dedup_key") for each in receiver.posts].count(PROBE) == 1


async def test_a_key_that_is_good_for_nothing_is_heard_of_before_there_is_a_page() -> None:
    error = await failure_of(400, WRONG_KEY, NEWS)
    assert (error.outcome, error.reason, error.scope) == REFUSED


@pytest.mark.parametrize(("status", "verdict"), [(503, BROKEN), (429, THROTTLED), (202, UNSURE)])
async def test_a_change_event_that_may_be_taken_later_is_told_later(status: int, verdict: Verdict) -> None:
    error = await failure_of(status, "not now", NEWS)
    assert (error.outcome, error.reason, error.scope) == verdict


async def test_a_check_asks_without_telling_anybody_anything() -> None:
    service = PagerDuty()
    async with duty(service.answer) as (sink, receiver):
        assert await sink.check() == []
    assert said(receiver) == [("resolve", "probe")]
    assert (service.pages, service.incidents) == ([], {})
