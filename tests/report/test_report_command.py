"""``notifier report``: one page and one picture of what happened to a task, from the store or from who holds it."""

import asyncio
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from report_world import CONFIG, PLAN, SEARCH, TASK, configuration, fill

from notifier import cli_report
from notifier.cli import main
from notifier.domain.diff import diff
from notifier.domain.dossier import Dossier
from notifier.domain.known import Known
from notifier.domain.model import Action, Eta, Snapshot, Task
from notifier.domain.plain_text import one_line
from notifier.domain.words import Words
from notifier.report import fonts, png
from notifier.report.fonts import NoFontError, fonts_for
from notifier.report.page import report
from notifier.report.report_words import LANGUAGES
from notifier.sources.scenarios import PROJECT_ID
from notifier.sources.upgrades import STAGES
from notifier.store.rows import State
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web.health import Health
from notifier.web.server import Web

NOW = datetime(2026, 3, 1, 4, tzinfo=UTC)


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a store in which it all happened."""
    config = configuration(tmp_path_factory.mktemp("report"))
    store = Store(f"sqlite:///{config.parent}/notifier.db").open()
    try:
        asyncio.run(store.transact(fill))
    finally:
        store.close()
    return config


@pytest.fixture(scope="session")
def dossier(kept: Path) -> Dossier:
    store = Store(f"sqlite:///{kept.parent}/notifier.db").open()
    try:
        (found,) = asyncio.run(store.transact(lambda tx: tx.gathered_named(TASK)))
    finally:
        store.close()
    return found.dossier()


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["report", *words, "-c", str(config)])


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said: list[str] = []
        self.feed(text)

    # typing.override needs Python 3.12.
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # type: ignore[explicit-override]
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:  # type: ignore[explicit-override]
        if data.strip():
            self.said.append(data.strip())


@pytest.mark.usefixtures("latin_font")
def test_report_writes_a_page_and_a_picture(kept: Path, tmp_path: Path) -> None:
    found = run(kept, "search-prod", "--into", str(tmp_path / "new"), "--zone", "Asia/Shanghai")
    assert found.exit_code == 0, found.output
    page, picture = map(Path, found.output.split())
    assert page.name == f"report-search-prod-{TASK[:8]}.html"
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "2026-03-01 10:21:57 CST" in page.read_text(encoding="utf-8")


def test_the_page_says_what_went_wrong_what_was_slow_and_who_was_told(dossier: Dossier) -> None:
    made = report(dossier, Words(), NOW)
    assert made is not None
    said = Page(made.html).said
    for part in (
        "no data for 6 min 40 s",
        "server: HTTP 503",
        "retried as attempt 2",
        "css-test-ess-esn-2-1 · 4 Network port binding · [402c6c3]RdsBindExistPortToInstanceTask-fail:null",
        "acknowledged",
        "looking into it",
        "GIVEN UP · 550 no such mailbox",
        "9.0 s",
    ):
        assert part in said, part
    assert f"Every notification ({len(dossier.told)})" in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_became_of_a_notification_has_words(language: str) -> None:
    assert set(LANGUAGES[language].states) == set(State)


def test_the_page_speaks_chinese(dossier: Dossier) -> None:
    made = report(dossier, Words("zh"), NOW)
    assert made is not None
    said = Page(made.html).said
    assert {"出现的问题", "比平时慢的阶段", "通知了谁", "无数据 6 分钟 40 秒", "已确认"} <= set(said)
    assert 'lang="zh-CN"' in made.html
    shown = "\n".join(said)
    assert [stage.name for stage in STAGES if stage.name in shown] == []
    assert {"服务端错误：HTTP 503"} <= set(said)  # noqa: RUF001 - as Chinese is written
    for english, chinese in Words("zh").phrases.stages.items():
        assert english not in made.html, "neither in the tables nor in the picture"
        assert english not in made.svg
        assert chinese in made.svg or english not in {event.stage.name for event in dossier.events if event.stage}


def test_the_page_needs_nothing_from_anywhere_and_runs_nothing(dossier: Dossier) -> None:
    made = report(dossier, Words(), NOW)
    assert made is not None
    page = Page(made.html)
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in {"src", "href", "xlink:href"} or name.startswith("on")]
    assert not re.findall(r"url\((?!#)", made.html)
    assert "default-src 'none'" in made.html
    outside = [address for address in re.findall(r"https?://[^\s\"<]+", made.html) if "www.w3.org/2000/svg" not in address]
    assert not outside


def test_a_hostile_name_stays_text(dossier: Dossier) -> None:
    evil = "<script>alert(1)</script>\u202e"
    events = tuple(replace(event, cluster=replace(event.cluster, name=evil)) for event in dossier.events)
    told = tuple(replace(each, detail=evil) for each in dossier.told)
    made = report(replace(dossier, events=events, told=told), Words(), NOW)
    assert made is not None
    assert "<script>" not in made.html
    assert one_line(evil) in " ".join(Page(made.html).said)


def test_a_task_under_way_is_reported_as_it_stands(dossier: Dossier) -> None:
    made = report(Dossier(dossier.events[:20]), Words(), NOW)
    assert made is not None
    said = Page(made.html).said
    assert "The task is not over: this is how it stands." in said
    assert "Nobody: no route matched." in said
    assert report(Dossier(()), Words(), NOW) is None


def test_forecasts_are_shown_against_the_truth(dossier: Dossier) -> None:
    eta = Eta(dossier.events[0].time, dossier.events[0].time + timedelta(minutes=40), "formula")
    events = tuple(replace(event, eta=eta) for event in dossier.events)
    made = report(replace(dossier, events=events), Words(), NOW)
    assert made is not None
    said = Page(made.html).said
    assert "missed by 7 min 44 s" in said
    assert "27 min 44 s later than its middle" in said
    chinese = report(replace(dossier, events=events), Words("zh"), NOW)
    assert chinese is not None
    assert any(each.startswith("比预测中点晚 27 分") for each in Page(chinese.html).said)


def test_a_word_that_may_mean_several_tasks_is_answered_with_them(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    store = Store(f"sqlite:///{tmp_path}/notifier.db").open()
    try:
        asyncio.run(store.transact(two_tasks))
    finally:
        store.close()
    found = run(config, "t-")
    assert found.exit_code == 2
    assert "'t-' may be one of these:\n  t-1  search-prod\n  t-2  search-prod" in found.output


def two_tasks(tx: Transaction) -> None:
    known = diff(Known(), Snapshot(SEARCH, Action.UPGRADING, ()), NOW).known
    step = diff(known, Snapshot(SEARCH, Action.UPGRADING, (Task("t-1", "RUNNING", 1), Task("t-2", "RUNNING", 1))), NOW)
    tx.save(SEARCH, tx.known(SEARCH), step.known, (step.events, ()), NOW.timestamp())


def test_report_without_a_picture_makes_none(kept: Path, tmp_path: Path) -> None:
    found = run(kept, TASK[:6], "--into", str(tmp_path), "--no-picture", "--language", "zh")
    assert found.exit_code == 0, found.output
    assert [file.suffix for file in tmp_path.iterdir()] == [".html"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nothing"], 1, "nothing is kept of a task or cluster 'nothing'"),
        (["search-prod", "--zone", "Mars/Olympus"], 2, "there is no time zone 'Mars/Olympus'"),
        (["search-prod", "--zone", "../etc"], 2, "there is no time zone"),
    ],
)
def test_report_says_what_is_wrong(kept: Path, words: list[str], code: int, said: str) -> None:
    found = run(kept, *words)
    assert (found.exit_code, said in found.output) == (code, True), found.output


def test_report_asks_the_notifier_that_holds_the_store(kept: Path, tmp_path: Path) -> None:
    asyncio.run(_ask_the_running(kept, tmp_path))


async def _ask_the_running(kept: Path, folder: Path) -> None:
    store = Store(f"sqlite:///{kept.parent}/notifier.db").open()
    try:
        async with Web(
            store, host="127.0.0.1", port=0, token=None, health=lambda: Health(alive=True), retried=lambda _: None
        ) as web:
            config = folder / "notifier.yaml"
            port = web.url.rpartition(":")[2].strip("/")
            config.write_text(CONFIG.format(project=PROJECT_ID, cluster=PLAN.id, folder=kept.parent, port=port))
            found = await asyncio.to_thread(run, config, "search-prod", "--into", str(folder), "--no-picture")
            missing = await asyncio.to_thread(run, config, "nothing at all")
    finally:
        store.close()
    assert found.exit_code == 0, found.output
    assert "retried as attempt 2" in Path(found.output.strip()).read_text(encoding="utf-8")
    assert missing.exit_code == 1, missing.output


def test_where_no_png_can_be_drawn_the_page_is_made_and_it_is_said(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(png, "fonts_for", lambda _: fonts_for("text", (str(tmp_path),)))
    found = run(kept, "search-prod", "--into", str(tmp_path))
    assert found.exit_code == 0
    assert "no PNG: there is no font to write with" in found.output
    assert "install one, such as the package fonts-dejavu-core" in found.output
    assert not list(tmp_path.glob("*.png"))


def test_without_the_extra_it_is_said_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(png.NoPictureError, match="extra `png`"):
        png.png("<svg/>")


def test_what_is_no_picture_is_no_png() -> None:
    with pytest.raises(png.NoPictureError, match="no PNG"):
        png.png("<svg")


def test_chinese_needs_a_font_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "DejaVuSans.ttf").touch()
    assert fonts_for("text", (str(tmp_path),)) == fonts.Fonts("DejaVu Sans", (str(tmp_path / "DejaVuSans.ttf"),))
    with pytest.raises(NoFontError, match="fonts-noto-cjk"):
        fonts_for("升级", (str(tmp_path),))
    more = tmp_path / "more"
    more.mkdir()
    for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "wqy-microhei.ttc", "readme.txt"):
        (more / name).touch()
    found = fonts_for("升级", (str(more),))
    assert [Path(file).name for file in found.files] == ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "wqy-microhei.ttc"]


@pytest.mark.parametrize(
    ("named", "expected"), [("Asia/Shanghai", "Asia/Shanghai"), (":Europe/Paris", "Europe/Paris"), ("No/Such", "UTC")]
)
def test_times_are_shown_in_this_machines_zone(monkeypatch: pytest.MonkeyPatch, named: str, expected: str) -> None:
    monkeypatch.setenv("TZ", named)
    assert cli_report.local_zone().key == expected
