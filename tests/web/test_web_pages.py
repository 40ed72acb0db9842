import re
from collections.abc import Sequence
from html.parser import HTMLParser

import pytest
from web_world import NOW, World, a_world, bury_all, cluster, enrol, fail_poll, poll, task

from notifier.domain.model import Stage
from notifier.store.errors import StoreError
from notifier.store.rows import SinkState
from notifier.store.transaction import Transaction
from notifier.web.health import Health
from notifier.web.page import MOST_CLUSTERS, moment
from notifier.web.server import Web

HOSTILE = '"><img src=x onerror=alert(1)>'
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
    status, response, body = await world.get(path)
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
        "Upgrade to 7.10.2_22.5.1 ▶ Running",
        "50 %",
        "1 of 3 done",
        "In flight n2",
        "Node replacement, stage 2 of 2",
        "Attempt 1",
        "Started 2 h ago",
        "0 delivered",
        "Upgrade to 7.10.2_22.5.1 started",
    ):
        assert said in page.text
    assert page.tags.count("progress") == 1
    assert "html" in page.tags


async def test_the_fragment_is_the_inside_of_main_only() -> None:
    async with a_world() as world:
        page = await read(world, "/fragment")
    assert not {"html", "main", "script"} & set(page.tags)
    assert "1 cluster: 1 under way." in page.text


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
        page = await read(world)
    assert "img" not in page.tags
    assert not [name for name in page.attributes if name.startswith("on")]
    assert page.tags.count("script") == 1
    assert page.text.count(HOSTILE) >= 9


async def test_no_style_and_no_script_stand_in_the_page() -> None:
    async with a_world() as world:
        page = await read(world)
        own = [*page.attributes["src"], "static/style.css", "static/favicon.svg"]
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
    places = [text.index(f" {name} prod ·") for name in ("y-silent", "z-broken", "search-prod", "a-quiet", "b-odd")]
    assert places == sorted(places)
    for said in (
        "✕ Failed",
        "Failed on n2",
        "disk is full",
        "✓ Succeeded",
        "? PAUSED",
        "○ No task known",
        "‖ Left alone",
        "refused: HTTP 401",
        "▲ Failing",
        "Dead letters",
        "task.started to hook",
    ):
        assert said in text
    assert re.search(r"⚠ No data since \d+ min ago \. server: HTTP 503", text)


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
    assert page.tags.count("article") == MOST_CLUSTERS
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
        return moment(NOW, NOW.fromtimestamp(NOW.timestamp() + seconds, NOW.tzinfo)).ago

    assert [ago(-90), ago(0.4), ago(59), ago(60), ago(7199), ago(90000)] == [
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
    assert "In flight n1, n2 Current node n2 Stage Node replacement" in text
