"""What people see and do, in a real browser: nothing here is tested where there is no Chromium."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect
from web_browsing import browser, chromium
from web_pictures import DOCS, PICTURES, begin, places, take
from web_story import FAILED, STEP, tell
from web_thread import Elsewhere, elsewhere
from web_world import NOW, PATIENCE, World, bury_all, cluster, poll, task

from notifier.store.transaction import Transaction

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
GRAVE = {"serious", "critical"}
OF_THEME_AND_WIDTH = ["color-contrast", "scrollable-region-focusable", "link-in-text-block", "target-size"]
PAGES = ("", "events", "events/{event}", "letters", "silences", "tasks/{logs}/UPGRADING/{task}", "nowhere")

pytestmark = pytest.mark.skipif(chromium() is None, reason="NO CHROMIUM: what people see and do is NOT tested")


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    path = chromium()
    assert path is not None
    with browser(path) as opened:
        yield opened


@pytest.fixture
def there() -> Iterator[Elsewhere]:
    with elsewhere(filled=False) as found:
        yield found


@pytest.fixture(scope="module")
def story() -> Iterator[Elsewhere]:
    """The demo up to the failure; for those who only look."""
    with elsewhere(filled=False) as found:
        found.do(begin)
        yield found


class Witness:
    """A page, and all that went wrong in it."""

    def __init__(self, chrome: Browser, there: Elsewhere, **facts: Any) -> None:
        self.context = chrome.new_context(**{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | facts)
        self.context.set_default_timeout(PATIENCE * 1000)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.elsewhere: list[str] = []
        self.url = there.url
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda asked: None if asked.url.startswith(self.url) else self.elsewhere.append(asked.url))

    def open(self, path: str = "") -> Page:
        self.page.goto(f"{self.url}/{path}")
        return self.page

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.context.close()
        if kind is None:
            assert self.faults == []
            assert self.elsewhere == []


def live(page: Page) -> None:
    expect(page.locator("#link")).to_have_attribute("data-state", "live")


def test_the_demos_story_is_followed_live(chrome: Browser, there: Elsewhere) -> None:
    async def until(world: World, second: float) -> None:
        await world.store.transact(lambda tx: tell(tx, NOW, until=second))

    with Witness(chrome, there) as witness:
        page = witness.open()
        expect(page.get_by_role("heading", level=1)).to_have_text("No cluster has been seen yet.")
        live(page)
        there.do(lambda world: until(world, 10 * STEP))
        expect(page.get_by_role("heading", level=1)).to_have_text("5 clusters: 1 gives no data, 2 under way.")
        page.get_by_role("link", name="Upgrade to").first.click()
        expect(page.locator("#picture svg")).to_be_visible()
        live(page)


def test_a_task_that_is_watched_fails_before_ones_eyes_and_nothing_that_was_opened_closes(
    chrome: Browser, there: Elsewhere
) -> None:
    there.do(lambda world: world.store.transact(lambda tx: (poll(tx, cluster(), []), poll(tx, cluster(), [task()]))))
    with Witness(chrome, there) as witness:
        page = witness.open("tasks/cluster-1/UPGRADING/task-1")
        live(page)
        page.locator("summary").first.click()
        expect(page.locator("details[open]")).to_have_count(1)
        page.locator("summary").first.focus()
        failed = task("FAILED", fail_message="disk is full", ended_at=NOW)
        there.do(lambda world: world.store.transact(lambda tx: poll(tx, cluster(), [failed])))
        expect(page.locator("#task .stamp")).to_have_text("✕ Failed")
        expect(page.locator("#task")).to_contain_text("disk is full Somebody must choose retry or terminate")
        expect(page.locator("details[open]")).to_have_count(1)
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_a_dead_letter_is_sent_again(chrome: Browser, there: Elsewhere) -> None:
    def dead(tx: Transaction) -> None:
        for number in range(3):
            poll(tx, cluster(f"c{number}", number), [])
            poll(tx, cluster(f"c{number}", number), [task()])
        bury_all(tx)

    there.do(lambda world: world.store.transact(dead))
    with Witness(chrome, there) as witness:
        page = witness.open("letters")
        expect(page.locator("nav [aria-current] .count")).to_have_text("3")
        page.get_by_role("button", name="Send again").first.click()
        expect(page.locator("#said")).to_have_text("It is sent again.")
        expect(page.locator(".letter")).to_have_count(2)
        assert there.world.retried == [frozenset({"hook"})]
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Send all 2 again").click()
        expect(page.locator("#said")).to_have_text("2 sent again.")
        expect(page.locator("#letters")).to_contain_text("Everything that was owed has arrived or is still being tried.")


def test_a_silence_is_added_and_ended_with_the_keyboard_alone(chrome: Browser, there: Elsewhere) -> None:
    there.do(lambda world: world.store.transact(lambda tx: poll(tx, cluster(), [])))
    with Witness(chrome, there) as witness:
        page = witness.open("silences")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="To the content")).to_be_focused()
        page.get_by_role("combobox", name="Cluster").focus()
        page.keyboard.type("search-*")
        page.get_by_label("Label").focus()
        page.keyboard.type("env=prod")
        page.get_by_label("Who").focus()
        page.keyboard.type("ann")
        page.keyboard.press("Tab")
        page.keyboard.type("disk exchange")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_have_text("The silence holds.")
        expect(page.locator(".silence")).to_contain_text("cluster search-*, env=prod")
        expect(page.get_by_label("Who")).to_have_value("")
        page.get_by_role("button", name="End it now").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_have_text("The silence has ended.")
        expect(page.locator("#silences")).to_contain_text("None holds")


def test_what_is_refused_is_said_on_the_page(chrome: Browser, there: Elsewhere) -> None:
    with Witness(chrome, there) as witness:
        page = witness.open("silences")
        page.get_by_label("Label").fill("no label=x y")
        page.get_by_label("Who").fill("ann")
        page.get_by_label("Why").fill("drill")
        page.get_by_role("button", name="Silence").click()
        expect(page.locator("#said.bad")).to_contain_text("That did not work: match.labels")
        assert witness.faults.pop().startswith("Failed to load resource"), "the browser notes the refusal itself"


def test_a_hostile_name_stays_text(chrome: Browser, there: Elsewhere) -> None:
    def hostile(tx: Transaction) -> None:
        of = cluster(HOSTILE)
        poll(tx, of, [])
        poll(tx, of, [task(in_flight=(HOSTILE,), target=HOSTILE, current_node=HOSTILE)])
        poll(tx, of, [task("FAILED", in_flight=(HOSTILE,), fail_message=HOSTILE, target=HOSTILE)])
        bury_all(tx, detail=HOSTILE)

    there.do(lambda world: world.store.transact(hostile))
    wish = {"for": "1h", "author": HOSTILE, "reason": HOSTILE, "match": {"cluster": HOSTILE}}
    there.do(lambda world: world.post("/api/v1/silences", wish))
    with Witness(chrome, there) as witness:
        witness.page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
        for path in ("", "events", "letters", "silences", "tasks/cluster-1/UPGRADING/task-1"):
            page = witness.open(path)
            expect(page.locator("main")).to_contain_text(HOSTILE)
            live(page)  # What is renewed goes another way than what is loaded.
            expect(page.locator("main")).to_contain_text(HOSTILE)
            assert page.locator("img, main script").count() == 0


def test_without_scripts_every_page_is_whole_and_says_the_commands(chrome: Browser, story: Elsewhere) -> None:
    with Witness(chrome, story, java_script_enabled=False) as witness:
        page = witness.open("letters")
        expect(page.locator("noscript code").first).to_contain_text("notifier deliveries retry")
        expect(page.get_by_role("button")).to_have_count(0)
        page = witness.open("events")
        page.get_by_label("From severity").select_option("critical")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#feed li")).to_have_count(1)
        expect(page.locator("#feed li")).to_contain_text("Upgrade FAILED")


@pytest.mark.parametrize(("theme", "width", "rules"), [("light", 1280, None), ("dark", 360, OF_THEME_AND_WIDTH)])
def test_axe_finds_nothing_grave(chrome: Browser, story: Elsewhere, theme: str, width: int, rules: list[str] | None) -> None:
    asked = {"resultTypes": ["violations"]} | ({"runOnly": {"type": "rule", "values": rules}} if rules else {})
    story.do(lambda world: world.post("/api/v1/silences", {"for": "1h", "author": "ann", "reason": "drill"}))
    events = story.do(lambda world: world.store.transact(lambda tx: tx.events(kind="task.failed")))
    found: list[str] = []
    # Its script is ours to inject, not the page's to load: the policy would rightly refuse it.
    with Witness(chrome, story, color_scheme=theme, viewport={"width": width, "height": 800}, bypass_csp=True) as witness:
        for path in PAGES:
            page = witness.open(path.format(**places(), event=events[0][1].id))
            page.add_script_tag(path=AXE)
            report = page.evaluate("(asked) => axe.run(asked)", asked)
            assert report["passes"], "it has looked"
            faults = [each for each in report["violations"] if each["impact"] in GRAVE]
            found += [f"{path}: {each['id']}: {each['nodes'][0]['html']}" for each in faults]
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path or 'the first page'} has to be moved sideways"
        witness.faults = [fault for fault in witness.faults if "404" not in fault]
    assert found == []


def test_the_pictures_in_the_documentation_can_be_taken(chrome: Browser, story: Elsewhere, tmp_path: Path) -> None:
    for name in ("status-page-phone", "status-task-dark"):
        take(chrome, story, PICTURES[name], tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 20_000
    for name in PICTURES:
        assert (DOCS / f"{name}.png").exists()
    shown = (DOCS / "http.md").read_text(encoding="utf-8")
    assert all(f"{name}.png" in shown for name in PICTURES)


def test_the_story_has_a_failure_in_it(story: Elsewhere) -> None:
    """Or the pictures and axe would see less than they should."""
    kinds = story.do(lambda world: world.store.transact(lambda tx: {event.kind.value for _, event in tx.events(limit=200)}))
    assert {"task.failed", "stage.failed", "node.completed", "cluster.unreachable"} <= kinds
    assert FAILED % STEP == 0
