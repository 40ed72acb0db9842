import asyncio
import json

import pytest
from web_world import NOW, World, a_world, bury_all, cluster, fail_poll, poll, task

from notifier.store.rows import State
from notifier.store.transaction import Transaction


async def refused(world: World, path: str) -> str:
    async with world.session.get(world.web.url + path) as response:
        assert (response.status, response.content_type) == (400, "application/problem+json")
        return str((await response.json())["detail"])


async def retry(world: World, body: object) -> tuple[int, dict[str, object]]:
    async with world.session.post(world.web.url + "/api/v1/deliveries/retry", json=body) as response:
        return response.status, await response.json()


async def states(world: World) -> dict[str, str]:
    rows = await world.store.transact(lambda tx: tx.deliveries(limit=200))
    return {row.id: row.state.value for row in rows}


async def test_clusters_say_where_their_tasks_stand() -> None:
    async with a_world() as world:
        await world.store.transact(lambda tx: fail_poll(tx, cluster("silent", 2), "HTTP 503"))
        found = (await world.json("/api/v1/clusters"))["clusters"]
    assert isinstance(found, list)
    first, second = found
    assert (first["id"], first["name"], first["labels"], first["outage"]) == ("cluster-1", "search-prod", {"env": "prod"}, None)
    known = first["tasks"][0]
    assert known["nodes"] == {"total": 3, "completed": ["n1"], "in_flight": ["n2"]}
    assert (known["status"], known["action"], known["attempt"], known["progress"]) == ("RUNNING", "UPGRADING", 1, 0.5)
    assert [stage["name"] for stage in known["stages"]] == ["Data migration", "Node replacement"]
    assert second["outage"]["detail"] == "HTTP 503"
    assert second["outage"]["since"].endswith("Z")
    assert second["tasks"] == []


async def test_events_are_filtered_and_followed() -> None:
    async with a_world() as world:
        await world.store.transact(lambda tx: poll(tx, cluster("other", 2), []))
        await world.store.transact(lambda tx: poll(tx, cluster("other", 2), [task("FAILED", ended_at=NOW)]))
        everything = await world.json("/api/v1/events")
        events = everything["events"]
        assert isinstance(events, list)
        assert [event["position"] for event in events] == list(range(1, len(events) + 1))
        assert everything["last"] == len(events)
        for query, wanted in (
            ("kind=task.*", lambda e: e["kind"].startswith("task.")),
            ("severity=error", lambda e: e["severity"] in {"error", "critical"}),
            ("cluster=other", lambda e: e["cluster"]["name"] == "other"),
            ("cluster=cluster-1", lambda e: e["cluster"]["name"] == "search-prod"),
            ("after=2", lambda e: e["position"] > 2),
        ):
            expected = [event for event in events if wanted(event)]
            assert 0 < len(expected) < len(events), query
            assert (await world.json(f"/api/v1/events?{query}"))["events"] == expected, query
        assert (await world.json("/api/v1/events?limit=1"))["events"] == events[-1:]
        assert await world.json("/api/v1/events?after=99") == {"events": [], "last": 99, "before": None}


async def test_deliveries_are_filtered() -> None:
    async with a_world() as world:
        await world.store.transact(lambda tx: poll(tx, cluster("other", 2), [task()], ("mail",)))
        await world.store.transact(bury_all)
        both = (await world.json("/api/v1/deliveries"))["deliveries"]
        assert isinstance(both, list)
        dead, owed = both
        assert (dead["sink"], dead["state"], dead["reason"], dead["detail"]) == ("hook", "dead", "server", "HTTP 503")
        assert (owed["sink"], owed["state"], owed["settled_at"]) == ("mail", "pending", None)
        assert (await world.json("/api/v1/deliveries?state=dead"))["deliveries"] == [dead]
        assert (await world.json("/api/v1/deliveries?sink=mail"))["deliveries"] == [owed]
        assert (await world.json("/api/v1/deliveries?limit=1"))["deliveries"] == [owed]


async def test_a_limit_is_capped_at_200() -> None:
    async with a_world(filled=False) as world:

        def many(tx: Transaction) -> None:
            for number in range(205):
                poll(tx, cluster(f"c{number}", number), [task()])

        await world.store.transact(many)
        for what in ("events", "deliveries"):
            found = (await world.json(f"/api/v1/{what}?limit=100000"))[what]
            assert isinstance(found, list)
            assert len(found) == 200
            assert len((await world.json(f"/api/v1/{what}?limit=0"))[what]) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/v1/events?limit=-1", "limit must be a whole number"),
        ("/api/v1/events?limit=1e3", "limit must be a whole number"),
        ("/api/v1/events?limit=%C2%B2", "limit must be a whole number"),
        ("/api/v1/events?after=9223372036854775808", "after must be a whole number"),
        ("/api/v1/events?severity=loud", "severity must be one of debug, info, warning, error, critical, not 'loud'"),
        ("/api/v1/events?cluster=a%00b", "cluster holds what is no text"),
        ("/api/v1/events?sink=x", "Unknown parameter 'sink'; known here: after, before, cluster, kind, limit, severity"),
        ("/api/v1/deliveries?state=lost", "state must be one of pending, sending, delivered, dead"),
        ("/api/v1/events/x/story?id=y", "Unknown parameter 'id'; known here: none"),
        ("/api/v1/events?limit=1&limit=2", "given twice"),
        ("/api/v1/silences?all=1", "all must be one of true, false"),
        ("/api/v1/tasks?after=a/b", "after is no `next` of an answer."),
        ("/api/v1/tasks?action=PAINTING", "action must be one of UPGRADING, AZ_MIGRATION"),
        ("/api/v1/deliveries?sink=" + "x" * 201, "sink: String should have at most 200 characters"),
        ("/api/v1/clusters?x=1", "Unknown parameter 'x'; known here: after, limit"),
    ],
)
async def test_what_cannot_be_asked_is_said(path: str, said: str) -> None:
    async with a_world() as world:
        assert said in await refused(world, path)


async def test_a_retry_owes_the_named_letters_again_and_tells_whose_they_were() -> None:
    async with a_world() as world:
        await world.store.transact(lambda tx: poll(tx, cluster("other", 2), [task()], ("mail",)))
        await world.store.transact(bury_all)
        dead = next(found for found, state in (await states(world)).items() if state == "dead")
        assert await retry(world, {"ids": [dead, "unknown"]}) == (200, {"resent": [dead]})
        assert set((await states(world)).values()) == {"pending"}
        assert world.retried == [frozenset({"hook"})]
        assert await retry(world, {"ids": [dead]}) == (200, {"resent": []})
        assert len(world.retried) == 1


async def test_a_retry_of_all_may_be_of_one_sink() -> None:
    async with a_world() as world:
        await world.store.transact(lambda tx: poll(tx, cluster("other", 2), [task()], ("mail",)))
        await world.store.transact(bury_all)
        await world.store.transact(lambda tx: bury_all(tx, "mail"))
        status, body = await retry(world, {"all": True, "sink": "mail"})
        assert (status, len(body["resent"])) == (200, 1)  # type: ignore[arg-type]
        counts = await world.store.transact(lambda tx: tx.counts())
        assert counts == {("hook", State.DEAD): 1, ("mail", State.PENDING): 1}
        await retry(world, {"all": True})
        assert world.retried == [frozenset({"mail"}), frozenset({"hook"})]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"ids": []},
        {"ids": ["x"] * 201},
        {"ids": [1]},
        {"ids": [""]},
        {"ids": "x"},
        {"ids": ["x"], "all": True},
        {"ids": ["x"], "sink": "hook"},
        {"sink": "hook"},
        {"all": False},
        {"all": "yes"},
        {"all": True, "force": True},
    ],
)
async def test_a_retry_that_is_not_clear_changes_nothing(body: object) -> None:
    async with a_world() as world:
        await world.store.transact(bury_all)
        status, answer = await retry(world, body)
        assert status == 400
        assert answer["detail"]
        assert world.retried == []
        assert set((await states(world)).values()) == {"dead"}


async def test_a_body_that_is_no_json_is_refused() -> None:
    async with a_world() as world:
        url = world.web.url + "/api/v1/deliveries/retry"
        async with world.session.post(url, data=b"\xff{", headers={"Content-Type": "application/json"}) as response:
            assert response.status == 400
            assert "JSON" in json.loads(await response.text())["detail"]


async def test_two_retries_at_once_resend_each_letter_once() -> None:
    async with a_world() as world:
        await world.store.transact(bury_all)
        answers = await asyncio.gather(retry(world, {"all": True}), retry(world, {"all": True}))
        assert sorted(len(body["resent"]) for _, body in answers) == [0, 1]  # type: ignore[arg-type]
