"""The document says what is answered: schemathesis asks everything that it allows, and much that it does not."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from web_thread import Elsewhere, elsewhere
from web_world import NOW, World, a_world, bury_all, cluster, fail_poll, fill, poll, task

from notifier.domain.diff import diff
from notifier.domain.known import Known
from notifier.domain.model import Action, Eta, Snapshot, Task
from notifier.domain.samples import samples
from notifier.domain.timekeeping import Ended, Forecast, Timed
from notifier.store.replicas import Presence
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web.api import Api
from notifier.web.health import Health
from notifier.web.shapes import EventShape

OPERATIONS = Api(Store("sqlite://"), print, lambda: Health(alive=True)).operations
EXAMPLES = 8


def trouble(tx: Transaction) -> None:
    fill(tx)
    poll(tx, cluster("other", 2), [], ("mail",))
    poll(tx, cluster("other", 2), [task("FAILED", ended_at=NOW, fail_message="disk is full")], ("mail",))
    bury_all(tx)
    fail_poll(tx, cluster("silent", 3), "HTTP 503")
    made = Forecast(Action.UPGRADING, "over", 1, NOW, 0.5, Eta(NOW, NOW + timedelta(hours=1), "2 finished nodes"))
    over = Ended(Action.UPGRADING, "over", 1, NOW + timedelta(minutes=40))
    tx.remember(cluster(), Timed(Known(), forecasts=(made,)), NOW.timestamp())
    tx.remember(cluster(), Timed(Known(), ended=(over,)), NOW.timestamp())


@pytest.fixture(scope="module")
def there() -> Iterator[Elsewhere]:
    with elsewhere(filled=False) as found:
        found.do(lambda world: world.store.transact(trouble))
        found.do(lambda world: world.post("/api/v1/silences", {"for": "1h", "author": "ann", "reason": "drill"}))
        yield found


@pytest.fixture(scope="module")
def document(there: Elsewhere) -> dict[str, Any]:
    return there.do(lambda world: world.json("/api/v1/openapi.json"))


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        pytest.param(each, mode, id=f"{mode.value} {each.method} {each.path}")
        for each, mode in product(OPERATIONS, GenerationMode)
        if mode is GenerationMode.POSITIVE or set(each.ask.model_fields) - {"id"}
    ],  # of which nothing can be wrong
)
def test_whatever_is_asked_is_answered_as_documented(
    operation: Any, mode: GenerationMode, there: Elsewhere, document: dict[str, Any]
) -> None:
    asked = schemathesis.openapi.from_dict(document)[operation.path][operation.method]
    # What a match may hold is narrower than a schema can say: a kind that no event has is refused by its meaning.
    beyond: list[Any] = [CHECKS.get_one("positive_data_acceptance")] if operation.name == "silence" else []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=asked.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(base_url=there.url, excluded_checks=beyond)

    ask()


def test_the_document_is_what_it_says_it_is(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {operation.path for operation in OPERATIONS}
    for name, schema in document["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert schema["title"] == name
    identifiers = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(set(identifiers)) == len(identifiers) == len(OPERATIONS)


ANSWERS = (
    ("/api/v1/clusters", "/api/v1/clusters"),
    ("/api/v1/clusters/{id}", "/api/v1/clusters/cluster-2"),
    ("/api/v1/tasks", "/api/v1/tasks"),
    ("/api/v1/tasks/{cluster}/{action}/{id}", "/api/v1/tasks/cluster-2/UPGRADING/task-1"),
    ("/api/v1/events", "/api/v1/events?limit=200"),
    ("/api/v1/events/{id}/story", "/api/v1/events/EVENT/story"),
    ("/api/v1/tasks/{id}/report", "/api/v1/tasks/task-1/report"),
    ("/api/v1/accuracy", "/api/v1/accuracy"),
    ("/api/v1/deliveries", "/api/v1/deliveries"),
    ("/api/v1/silences", "/api/v1/silences?all=true"),
    ("/api/v1/replicas", "/api/v1/replicas"),
)


@pytest.mark.parametrize(("path", "asked"), ANSWERS)
def test_full_answers_fit_the_document(path: str, asked: str, there: Elsewhere, document: dict[str, Any]) -> None:
    async def ask(world: World) -> dict[str, Any]:
        here = Presence("r-1", "fleet", ("hook",), "0", NOW.timestamp(), well=True)
        await world.store.transact(lambda tx: tx.attend(here, lease=900.0, now=world.store.now().timestamp()))
        events = cast("list[dict[str, Any]]", (await world.json("/api/v1/events?kind=task.*"))["events"])
        return await world.json(asked.replace("EVENT", events[0]["id"]))

    answer = there.do(ask)
    schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
    assert any(answer.values()), "an empty answer fits everything"


def test_every_get_is_among_them() -> None:
    assert {path for path, _ in ANSWERS} == {operation.path for operation in OPERATIONS if operation.method == "GET"}


def test_every_kind_of_event_can_be_answered() -> None:
    """A field that `payload` gains must be entered in the shape, or the API would fail where such an event comes up."""
    for message in samples():
        assert EventShape.of(message.event).id == message.event.id


async def test_what_has_not_changed_is_not_sent_again() -> None:
    async with a_world() as world:
        url = world.web.url + "/api/v1/clusters"
        async with world.session.get(url) as response:
            etag = response.headers["ETag"]
        for named, status in ((etag, 304), (f'"other", W/{etag}', 304), ("*", 304), ('"other"', 200)):
            async with world.session.get(url, headers={"If-None-Match": named}) as response:
                assert response.status == status
                assert response.headers["ETag"] == etag
                assert (await response.read() == b"") == (status == 304)
        await world.store.transact(lambda tx: fail_poll(tx, cluster("silent", 2), "HTTP 503"))
        async with world.session.get(url, headers={"If-None-Match": etag}) as response:
            assert response.status == 200
            assert response.headers["ETag"] != etag


async def test_a_cluster_says_when_it_was_asked_last() -> None:
    async with a_world() as world:
        path = "/api/v1/clusters/cluster-1"
        found = cast("dict[str, Any]", (await world.json(path))["cluster"])
        assert found["asked_at"] is None
        world.health = Health(alive=True, asked={cluster().key: NOW})
        found = cast("dict[str, Any]", (await world.json(path))["cluster"])
        assert found["asked_at"] == NOW.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    "path", ["/api/v1/clusters/nobody", "/api/v1/tasks/cluster-1/AZ_MIGRATION/task-1", "/api/v1/events/none/story"]
)
async def test_what_is_not_there_is_said_so(path: str) -> None:
    async with a_world() as world, world.session.get(world.web.url + path) as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")
        assert (await response.json())["detail"].startswith("There is no such")


async def pages(world: World, path: str, rows: str, cursor: str, name: str) -> list[list[Any]]:
    """Every page of a list, as one follows the other."""
    found: list[list[Any]] = []
    at: object = None
    while not found or at is not None:
        query = "" if at is None else f"&{name}={at}"
        answer = await world.json(f"{path}{query}")
        found.append(cast("list[Any]", answer[rows]))
        at = answer[cursor]
        assert len(found) < 20, "the pages never end"
    return found


async def test_every_list_can_be_paged_through_and_nothing_is_skipped_or_repeated() -> None:
    async with a_world(filled=False) as world:

        def many(tx: Transaction) -> None:
            for number in range(5):
                of = cluster(f"c{number}", number)
                poll(tx, of, [])
                poll(tx, of, [task()], ("hook", "mail"))

        await world.store.transact(many)
        for path, rows, cursor, name in (
            ("/api/v1/clusters?limit=2", "clusters", "next", "after"),
            ("/api/v1/tasks?limit=2", "tasks", "next", "after"),
            ("/api/v1/tasks/cluster-1/UPGRADING/task-1?limit=2", "events", "next", "after"),
            ("/api/v1/events?limit=2", "events", "before", "before"),
            ("/api/v1/deliveries?limit=3", "deliveries", "before", "before"),
        ):
            found = await pages(world, path, rows, cursor, name)
            everything = (await world.json(path.partition("?")[0] + "?limit=200"))[rows]
            in_order = found if name == "after" else found[::-1]
            assert [row for page in in_order for row in page] == everything, path
            assert len(found) > 1, path


async def test_events_are_followed_from_where_one_was() -> None:
    async with a_world() as world:
        answer = await world.json("/api/v1/events?after=1&limit=1")
        assert [event["position"] for event in cast("list[Any]", answer["events"])] == [2]
        assert (answer["last"], answer["before"]) == (2, 2)


async def test_tasks_are_filtered() -> None:
    async with a_world() as world:
        await world.store.transact(
            lambda tx: (poll(tx, cluster("other", 2), []), poll(tx, cluster("other", 2), [task("FAILED")]))
        )
        both = cast("list[Any]", (await world.json("/api/v1/tasks"))["tasks"])
        assert [(each["cluster"]["name"], each["status"]) for each in both] == [("search-prod", "RUNNING"), ("other", "FAILED")]
        for query, wanted in (
            ("status=FAILED", both[1:]),
            ("cluster=cluster-1", both[:1]),
            ("cluster=CLUSTER-1", []),
            ("action=UPGRADING", both),
            ("action=AZ_MIGRATION", []),
        ):
            assert (await world.json(f"/api/v1/tasks?{query}"))["tasks"] == wanted, query


async def test_the_list_ends_where_its_cursor_was_deleted() -> None:
    async with a_world() as world:
        assert await world.json("/api/v1/deliveries?before=gone") == {"deliveries": [], "before": None}


async def test_a_task_at_work_says_when_it_will_end_and_one_that_is_over_does_not() -> None:
    eta = Eta(NOW + timedelta(hours=1), NOW + timedelta(hours=2), "1 finished node")

    def forecast(tx: Transaction, tasks: tuple[Task, ...]) -> None:
        before, version = tx.known(cluster())
        step = diff(before, Snapshot(cluster(), Action.UPGRADING, tasks), NOW)
        events = tuple(replace(event, eta=eta) for event in step.events)
        tx.save(cluster(), (before, version), step.known, (events, ()), NOW.timestamp())

    async with a_world() as world:
        found = []
        for tasks in ((task(completed=("n1", "n2"), in_flight=("n3",), current_node="n3"),), (task("SUCCESS", ended_at=NOW),)):
            await world.store.transact(lambda tx, tasks=tasks: forecast(tx, tasks))  # type: ignore[misc]  # a default argument
            for path in ("tasks", "clusters"):
                [row] = cast("list[Any]", (await world.json(f"/api/v1/{path}"))[path])
                found.append((row if path == "tasks" else row["tasks"][0])["eta"])
            one = cast("dict[str, Any]", (await world.json("/api/v1/tasks/cluster-1/UPGRADING/task-1"))["task"])
            found.append(one["eta"])
    assert [each and each["basis"] for each in found] == ["1 finished node"] * 3 + [None] * 3
