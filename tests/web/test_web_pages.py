import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from web_world import NOW, World, a_world, bury_all, cluster, enrol, fail_poll, poll, task

from notifier.domain.diff import diff
from notifier.domain.evidence import AnswerFacts, Evidence
from notifier.domain.known import Known
from notifier.domain.model import Action, Eta, Kind, Snapshot, Stage
from notifier.domain.samples import CLUSTER, sample
from notifier.store.errors import StoreError
from notifier.store.rows import SinkState, State
from notifier.store.transaction import Transaction
from notifier.web.health import Health
from notifier.web.marks import DELIVERY_BADGES, moment, outlook, past
from notifier.web.overview import MOST_CLUSTERS
from notifier.web.server import STATIC, Web

HOSTILE = '"><img src=x onerror=alert(1)>'
TASK = "/tasks/cluster-1/UPGRADING/task-1"
VOID = {"meta", "link", "img", "br", "input", "hr"}


class Reader(HTMLParser):
    """The page as a browser takes it: its tags and attributes, its text, and whether they nest."""

    # typing.override needs Python 3.12.

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:  # type: ignore[explicit-override]
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:  # type: ignore[explicit-override]
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:  # type: ignore[explicit-override]
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


async def read(world: World, path: str = "/") -> Reader:
    status, response, body = await world.get(path, **{"Cache-Control": "no-cache"})  # as if it was loaded again
    assert (status, response.content_type) == (200, "text/html")
    page = Reader(body)
    assert page.open == []
    return page


async def test_the_page_says_where_an_upgrade_stands() -> None:
    async with a_world() as world:
        page = await read(world)
    for said in (
        "1 cluster: 1 under way.",
        "search-prod",
        "Under way 1",
        "Upgrade to 7.10.2_22.5.1 ▶ Running",
        "50 %",
        "1 of 3 nodes done, 1 in flight",
        "n2 · Node replacement, stage 2 of 2",
        "Ends not known yet",
        "Started 2 h ago",
        "Data none since the start",
        "API ✓ the cluster answers",
        "Sinks ✓ the sink works",
        "0 delivered",
        "Upgrade to 7.10.2_22.5.1 started",
    ):
        assert said in page.text
    assert page.tags.count("svg") == 1


async def test_an_empty_store_says_that_it_is_empty() -> None:
    async with a_world(filled=False) as world:
        page = await read(world)
    assert "No cluster has been seen yet." in page.text
    assert "Nothing has happened since" in page.text
    assert "No sink is configured." in page.text


async def test_a_hostile_name_is_text_wherever_it_is_shown() -> None:
    async with a_world(filled=False) as world:

        def hostile(tx: Transaction) -> None:
            enrol(tx, SinkState(3, paused=True, reason=HOSTILE, detail=HOSTILE), HOSTILE)
            of = cluster(HOSTILE)
            poll(tx, of, [task(stages=(Stage(0, HOSTILE, "RUNNING"),), target=HOSTILE, in_flight=(HOSTILE,))])
            broken = task("FAILED", fail_message=HOSTILE, in_flight=(HOSTILE,))
            poll(tx, of, [broken], (HOSTILE,))
            bury_all(tx, HOSTILE, HOSTILE)
            fail_poll(tx, of, HOSTILE)

        await world.store.transact(hostile)
        await world.post("/api/v1/silences", {"for": "1h", "author": HOSTILE, "reason": HOSTILE, "match": {"cluster": HOSTILE}})
        (event,) = await world.store.transact(lambda tx: [each for _, each in tx.events(kind="task.failed")])
        shown = 0
        for path in ("/", TASK, "/events", f"/events/{event.id}", "/letters", "/silences", f"/events?cluster={quote(HOSTILE)}"):
            page = await read(world, path)
            assert not {"img", "style"} & set(page.tags), path
            assert not [name for name in page.attributes if name.startswith("on") or name == "style"], path
            assert page.tags.count("script") == 2, path
            assert HOSTILE in page.text, path
            shown += page.text.count(HOSTILE)
    assert shown > 30


async def test_no_style_and_no_script_stand_in_the_page() -> None:
    async with a_world() as world:
        page = await read(world)
        own = [name.removeprefix("./") for name in (*page.attributes["src"], *page.attributes["href"]) if "static/" in name]
        assert len(own) == 5
        for name in own:
            status, response, body = await world.get(f"/{name}")
            assert (status, bool(body)) == (200, True)
            assert response.content_type in {"text/css", "text/javascript", "image/svg+xml"}
        assert (await world.get("/static/page.html"))[0] == 404
    assert "style" not in page.attributes
    assert "style" not in page.tags


async def test_trouble_comes_first_and_is_said_in_words() -> None:
    async with a_world() as world:

        def trouble(tx: Transaction) -> None:
            poll(tx, cluster("a-quiet", 2), [task("SUCCESS", completed=("n1", "n2", "n3"), in_flight=(), ended_at=NOW)])
            poll(tx, cluster("b-odd", 3), [task("PAUSED", total=(), completed=(), in_flight=(), current_node=None, stages=())])
            poll(tx, cluster("z-broken", 4), [task("FAILED", fail_message="disk is full", ended_at=NOW)])
            fail_poll(tx, cluster("y-silent", 5), "HTTP 503")
            bury_all(tx)
            enrol(tx, SinkState(7, paused=True, reason="refused", detail="HTTP 401"))
            enrol(tx, SinkState(2), "flaky")

        await world.store.transact(trouble)
        text = (await read(world)).text
    assert "5 clusters: 1 waits for a decision, 1 gives no data, 1 under way." in text
    places = [text.index(f" {name} prod ·") for name in ("z-broken", "y-silent", "search-prod", "a-quiet", "b-odd")]
    assert places == sorted(places)
    for said in (
        "✕ Failed",
        "1 of 3 nodes done, 1 failed · n2",
        "disk is full",
        "✓ Succeeded",
        "? PAUSED",
        "⚠ none for",
        "API ⚠ 1 cluster gives no data",
        "Sinks ‖ flaky, hook fail",
        "‖ Left alone",
        "refused: HTTP 401",
        "▲ Failing",
        "Dead letters 1",
        "1 given up",
    ):
        assert said in text
    assert re.search(r"server: HTTP 503 Data ⚠ none for \d+ min", text)


async def test_a_vanished_task_is_not_said_to_run() -> None:
    async with a_world() as world:
        for _ in range(3):
            await world.store.transact(lambda tx: poll(tx, cluster(), []))
        text = (await read(world)).text
    assert "1 cluster, all quiet." in text
    assert "⚠ No longer listed" in text
    assert "▶" not in text


async def test_a_large_fleet_is_cut_and_says_so() -> None:
    async with a_world(filled=False) as world:

        def many(tx: Transaction) -> None:
            for number in range(MOST_CLUSTERS + 3):
                poll(tx, cluster(f"c{number}", number), [])

        await world.store.transact(many)
        page = await read(world)
    assert page.tags.count("h3") == MOST_CLUSTERS
    assert "3 more, none of them in worse shape" in page.text


async def test_problems_of_the_notifier_itself_stand_on_the_page() -> None:
    async with a_world() as world:
        world.health = Health(alive=True, problems=("a cluster is not polled",), details=("search-prod is not polled",))
        text = (await read(world)).text
    assert "a cluster is not polled" in text
    assert "search-prod is not polled" in text


async def test_probes_say_how_the_program_is() -> None:
    async with a_world() as world:
        assert (await world.get("/healthz"))[0] == 200
        assert await world.json("/readyz") == {"ready": True, "problems": [], "details": []}
        world.health = Health(alive=True, problems=("a sink fails",), details=("hook fails",))
        assert (await world.get("/healthz"))[0] == 200
        status, response, _ = await world.get("/readyz")
        assert (status, await response.json()) == (503, {"ready": False, "problems": ["a sink fails"], "details": ["hook fails"]})
        world.health = Health(alive=False)
        assert [(await world.get(path))[0] for path in ("/healthz", "/readyz")] == [503, 503]


async def test_metrics_are_prometheus_text() -> None:
    async with a_world() as world:
        status, response, body = await world.get("/metrics")
    assert (status, response.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "# TYPE notifier_polls_total counter" in body


@pytest.mark.parametrize(("error", "status"), [(StoreError("postgresql://db: gone"), 503), (RuntimeError("secret"), 500)])
async def test_a_fault_shows_nothing_of_itself(error: Exception, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_world() as world:

        async def broken(_work: object) -> None:
            raise error

        monkeypatch.setattr(world.store, "transact", broken)
        found, response, body = await world.get("/")
    assert (found, response.content_type) == (status, "application/problem+json")
    assert "secret" not in body
    assert "Traceback" not in body
    assert "db" not in body
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_taken_port_is_an_os_error_and_leaves_nothing_open() -> None:
    async with a_world() as world:
        second = Web(
            world.store,
            host="127.0.0.1",
            port=world.web.port,
            token=None,
            health=lambda: world.health,
            retried=world.retried.append,
        )
        with pytest.raises(OSError, match="address already in use"):
            await second.__aenter__()


def test_ages_are_told_in_their_largest_unit() -> None:
    def ago(seconds: float) -> str:
        return moment(NOW, NOW + timedelta(seconds=seconds)).ago

    assert (ago(-90), past(NOW, NOW - timedelta(seconds=90)).ago) == ("in 1 min", "just now")
    assert [ago(-0.4), ago(0.4), ago(59), ago(60), ago(7199), ago(90000)] == [
        "just now",
        "just now",
        "59 s ago",
        "1 min ago",
        "1 h ago",
        "1 d ago",
    ]


async def test_with_several_nodes_in_flight_the_one_whose_stage_is_shown_is_named() -> None:
    async with a_world(filled=False) as world:
        await world.store.transact(lambda tx: poll(tx, cluster("batch", 2), []))
        batch = task(completed=(), in_flight=("n1", "n2"), total=("n1", "n2"))
        await world.store.transact(lambda tx: poll(tx, cluster("batch", 2), [batch]))
        text = (await read(world)).text
    assert "2 in flight · n1, n2 · n2: Node replacement, stage 2 of 2" in text


async def test_the_tasks_page_shows_its_timeline_its_events_and_who_was_told() -> None:
    async with a_world() as world:
        await world.store.transact(lambda tx: poll(tx, cluster(), [task("FAILED", fail_message="disk is full", ended_at=NOW)]))
        await world.store.transact(bury_all)
        world.health = Health(alive=True, asked={cluster().key: NOW})
        page = await read(world, TASK)
        with_stages = await read(world, f"{TASK}?stages=1")
        assert (await world.get("/tasks/cluster-1/UPGRADING/nobody"))[0] == 404
        assert (await world.get("/tasks/cluster-1/PAINTING/task-1"))[0] == 400
    for said in (
        "search-prod Upgrade to 7.10.2_22.5.1 ✕ Failed",
        "Failed at n2",
        "disk is full Somebody must choose retry or terminate in the console.",
        "whole task",
        "attempt 1 · failed",
        "hook ✕ given up",
        "✕ rejected server: HTTP 503",
        "notifier deliveries retry ",
        "No route sends this to anybody.",
    ):
        assert said in page.text, said
    assert page.attributes["data-act"] == ["retry", "retry"]
    assert {"svg", "rect", "details"} <= set(page.tags)
    assert "stage 1 “Node replacement” started" not in page.text
    assert "stage 1 “Node replacement” started" in with_stages.text


async def test_an_events_page_says_what_happened_and_to_whom_it_was_told() -> None:
    async with a_world() as world:
        (event,) = await world.store.transact(lambda tx: [each for _, each in tx.events(kind="task.started")])
        page = await read(world, f"/events/{event.id}")
        assert (await world.get("/events/none"))[0] == 404
    assert "Upgrade to 7.10.2_22.5.1 started" in page.text
    assert re.search(r"hook … waits (\d+ (s|min) ago|just now) · next try is due", page.text)
    assert f"../{TASK[1:]}" in page.attributes["href"]


async def test_an_events_page_says_which_answers_it_follows_from_or_what_else() -> None:
    async with a_world(filled=False) as world:
        earlier = AnswerFacts(datetime(2026, 3, 1, 2, tzinfo=UTC), 1200, "a" * 64, "<b>5f0c</b>")
        told = [
            replace(sample(Kind.TASK_FAILED).event, evidence=Evidence(replace(earlier, digest="b" * 64), earlier)),
            sample(Kind.CLUSTER_UNREACHABLE).event,
        ]
        await world.store.transact(lambda tx: tx.save(CLUSTER, (Known(), 0), Known(sequence=1), (told, ()), 0.0))
        failed, unreachable = [(await read(world, f"/events/{event.id}")).text for event in told]
        story = json.dumps(await world.json(f"/api/v1/events/{told[0].id}/story"))
    assert "Because its status became FAILED." in failed
    said = "received at 2026-03-01 02:00:00Z; 1200 bytes, SHA-256 aaaaaaaaaaaaaaaa…, request id <b>5f0c</b>"
    assert f"The earlier answer {said}" in failed
    assert "The later answer" in failed
    assert "It follows from no good answer since 2026-03-01 07:25:00Z" in unreachable
    assert "answer received" not in unreachable
    assert '"ground": null' in story
    assert story.count("a" * 64) == story.count("b" * 64) == 1


async def test_events_are_filtered_and_paged_through() -> None:
    async with a_world(filled=False) as world:

        def many(tx: Transaction) -> None:
            for number in range(60):
                poll(tx, cluster(f"c{number}", number), [])
                poll(tx, cluster(f"c{number}", number), [task("FAILED")])

        await world.store.transact(many)
        page = await read(world, "/events?kind=task.failed")
        assert page.tags.count("li") == 50
        (older,) = [link for link in page.attributes["href"] if "before=" in link]
        rest = await read(world, f"/events{older}")
        assert rest.tags.count("li") == 10
        assert "Newest" in rest.text
        assert "c0 Upgrade FAILED" in rest.text
        assert "c0 " not in page.text.partition("Show")[2]
        assert "No event matches." in (await read(world, "/events?cluster=nobody")).text
        assert (await world.get("/events?severity=loud"))[0] == 400


async def test_dead_letters_are_paged_and_can_be_those_of_one_sink() -> None:
    async with a_world(filled=False) as world:

        def many(tx: Transaction) -> None:
            for number in range(52):
                poll(tx, cluster(f"c{number}", number), [task()])
            poll(tx, cluster("other", 99), [task()], ("mail",))
            bury_all(tx)
            bury_all(tx, "mail", "refused")

        await world.store.transact(many)
        page = await read(world, "/letters?sink=hook")
        assert page.attributes["data-act"].count("retry") == 50
        assert "mail 1 only these" in page.text
        (older,) = [link for link in page.attributes["href"] if "before=" in link]
        assert (await read(world, f"/{older}")).attributes["data-act"].count("retry") == 2
        assert "refused" in (await read(world, "/letters?sink=mail")).text
        assert "None for nobody" in (await read(world, "/letters?sink=nobody")).text


async def test_silences_say_what_they_stop_until_when_and_why() -> None:
    async with a_world() as world:
        assert "None holds" in (await read(world, "/silences")).text
        match = {"cluster": ["search-*"], "kind": "task.*", "severity": "<=warning", "labels": {"env": "prod"}}
        wish = {"for": "2h", "author": "ann", "reason": "disk exchange", "match": match, "reminders_only": True, "task": "t-1"}
        _, added = await world.post("/api/v1/silences", wish)
        text = (await read(world, "/silences")).text
        said = "‖ holds reminders of task.*, cluster search-*, env=prod, severity debug to warning, task t-1"
        assert said in text
        assert "ann : disk exchange" in text
        assert "Silences 1" in text
        await world.post("/api/v1/silences/expire", {"ids": [added["silences"][0]["id"]]})  # type: ignore[index]
        assert "ann" not in (await read(world, "/silences")).text
        assert "○ over" in (await read(world, "/silences?all=true")).text


async def test_a_browser_is_told_of_an_error_in_a_page() -> None:
    async with a_world() as world:
        status, response, body = await world.get("/tasks/a/UPGRADING/b", Accept="text/html,*/*")
        assert (status, response.content_type) == (404, "text/html")
        page = Reader(body)
        assert "There is no such task." in page.text
        assert "../../../static/style.css" in page.attributes["href"]
        status, response, _ = await world.get("/api/v1/nothing", Accept="text/html")
        assert (status, response.content_type) == (404, "application/problem+json")


async def test_a_large_fleet_is_a_light_page() -> None:
    """200 clusters of 20 nodes: what is sent, sheets and scripts and all, is far below 150 KB."""
    async with a_world(filled=False) as world:
        nodes = tuple(f"search-prod-ess-esn-{number}-1" for number in range(20))

        def many(tx: Transaction) -> None:
            for number in range(200):
                of = cluster(f"search-{number}", number)
                poll(tx, of, [])
                poll(tx, of, [task(total=nodes, completed=nodes[:11], in_flight=nodes[11:12], current_node=nodes[11])])

        await world.store.transact(many)
        async with world.session.get(world.web.url + "/", auto_decompress=False) as response:
            assert response.headers["Content-Encoding"] in {"gzip", "deflate"}
            sent = len(await response.read())
        for name in STATIC:
            sent += len((await world.get(f"/static/{name}"))[2].encode())
        _, _, whole = await world.get("/")
    assert Reader(whole).tags.count("h3") == 200
    assert sent < 60_000
    assert len(whole.encode()) < 300_000, "before it is compressed: what the server has to write"


async def test_the_end_of_a_task_is_told_as_its_newest_event_tells_it() -> None:
    async with a_world() as world:

        def guess(tx: Transaction) -> None:
            known, version = tx.known(cluster())
            farther = task(completed=("n1", "n2"), in_flight=("n3",), current_node="n3")
            step = diff(known, Snapshot(cluster(), Action.UPGRADING, (farther,)), NOW)
            now = datetime.now(UTC)
            eta = Eta(now + timedelta(minutes=91), now + timedelta(hours=3, seconds=30), "2 finished nodes")
            tx.save(cluster(), (known, version), step.known, ([replace(each, eta=eta) for each in step.events], ()), 0.0)

        await world.store.transact(guess)
        overview, page = await read(world), await read(world, TASK)
    for text in (overview.text, page.text):
        assert re.search(r"Ends in 1 h (31|30|29) min to (3 h|2 h 59 min)", text)
    assert "UTC, by 2 finished nodes" in page.text


@pytest.mark.parametrize(
    ("earliest", "latest", "words"),
    [
        (90, 200, "in 2 min to 3 min"),
        (3600, 3600, "in 1 h"),
        (-60, 600, "within 10 min"),
        (-60, 5, "any moment now"),
        (-60, -50, "any moment now"),
        (-900, -600, "overdue for 10 min"),
    ],
)
def test_an_end_is_told_to_the_minute_and_as_what_is_left_of_it(earliest: float, latest: float, words: str) -> None:
    eta = Eta(NOW + timedelta(seconds=earliest), NOW + timedelta(seconds=latest), "a guess")
    assert outlook(eta, NOW).words == words


def test_a_delivery_can_be_shown_wherever_it_stands() -> None:
    assert set(DELIVERY_BADGES) == set(State)
