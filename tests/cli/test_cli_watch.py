"""What a terminal shows of the clusters: a table, the lines of a pipe, live bars; of the store and of a running instance."""

import asyncio
import io
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ports import free_port
from rich.console import Console

from notifier import app, cli_watch
from notifier.cli import main
from notifier.cli_table import Line, bars, lines, plain, table
from notifier.domain.known import Known, KnownTask
from notifier.domain.model import Action, Cluster, Outage, Stage, Task
from notifier.store.rows import ClusterRow
from notifier.store.store import Store
from notifier.store.transaction import Transaction
from notifier.web.client import RemoteError
from notifier.web.shapes import cluster_json

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
STAGES = tuple(
    Stage(order, f"Stage {order}", "SUCCESS" if order < 2 else "RUNNING" if order == 2 else "WAITING") for order in range(4)
)
RUNNING = Task("t1", "RUNNING", 1, ("n1", "n2", "n3"), ("n1",), ("n2",), "n2", STAGES, NOW - timedelta(hours=1))
FAILED = replace(RUNNING, id="t2", status="FAILED", ended_at=NOW, fail_message="[402c6c3]NodeReplaceTask-fail")
DONE = replace(RUNNING, id="t3", status="SUCCESS", completed=("n1", "n2", "n3"), in_flight=(), ended_at=NOW)

CONFIG = """\
projects:
  - name: beijing
    region: cn-north-4
    project_id: p1
    endpoint: http://127.0.0.1:9
    credentials: {{access_key: AK, secret_key: SK}}
    clusters: [{{id: c1, name: search}}, {{id: c2, name: logs}}]
store: sqlite:///{folder}/notifier.db
sinks: {{console: {{type: console, stream: stderr}}}}
http: {{listen: "127.0.0.1:{port}"}}
"""


CHOICE = "Someone must choose: retry or terminate."


def cluster(name: str, number: int = 1) -> Cluster:
    return Cluster(f"c{number}", name, "cn-north-4", "beijing", "p1")


def row(name: str, *tasks: Task, outage: Outage | None = None, vanished: bool = False, **more: Any) -> dict[str, Any]:
    """As the REST API gives it."""
    known = tuple((Action.UPGRADING, KnownTask(task, vanished=vanished)) for task in tasks)
    found = dict(cluster_json(ClusterRow(cluster(name), known, outage, NOW - timedelta(minutes=3)), {}))
    if more:
        found["tasks"][0].update(more)  # type: ignore[index]  # it is a list of dicts
    return found


def test_the_table_says_where_all_stand_with_trouble_first_and_fits_eighty_columns() -> None:
    eta = {"earliest": "2026-03-01T11:00:00Z", "latest": "2026-03-01T11:40:00Z", "basis": "1 finished node"}
    rows = [
        row("quiet"),
        row("search-prod", RUNNING, eta=eta),
        row("a-name-that-is-longer-than-any-column", DONE),
        row("logs", FAILED),
        row("blind", outage=Outage(NOW - timedelta(minutes=7), "server", "HTTP 503")),
        row("lost", RUNNING, vanished=True),
    ]
    text = table(lines(rows, NOW))
    assert text == [
        "CLUSTER                  STATE         PROGRESS         NODES   ETA     CHANGED",
        "blind                    NO DATA                                        3m",
        "logs                     FAILED        [#####.....] 50% 1/3             3m",
        "lost                     not listed    [#####.....] 50% 1/3             3m",
        "search-prod              running       [#####.....] 50% 1/3     1h40m   3m",
        "a-name-that-is-longer-.. succeeded     [##########]100% 3/3             3m",
        "quiet                    idle                                           3m",
        "",
        "! blind: no data since 2026-03-01T09:53:00Z: server: HTTP 503",
        "! logs: [402c6c3]NodeReplaceTask-fail. Someone must choose: retry or terminate.",
    ]
    assert all(len(line) <= 80 and line.isascii() for line in text[:7])
    assert max(len(line) for line in table(lines(rows, NOW), 100)[:7]) <= 100
    assert "a-name-that-is-longer-than-any-column" in "\n".join(table(lines(rows, NOW), 100))


def test_wide_names_keep_the_columns_and_hostile_ones_stay_text() -> None:
    text = table(lines([row("搜索集群生产环境一二三四五六七"), row("a\x1b[2Jb\u202ec\n")], NOW))
    assert [line.index("idle") for line in text if "a?" in line] == [25]
    assert "\x1b" not in "".join(text)
    assert not any("\n" in line for line in text)


def test_one_cluster_can_be_asked_for_by_name_or_id() -> None:
    rows = [row("search"), row("logs")]
    assert [line.name for line in lines(rows, NOW, "search")] == ["search"]
    assert [line.name for line in lines(rows, NOW, "c1")] == ["logs", "search"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (row("s", RUNNING), "s: running, 50%, nodes 1/3, n2: Stage 2 (3/4)"),
        (row("s", replace(RUNNING, stages=())), "s: running, 33%, nodes 1/3, n2"),
        (row("s", replace(RUNNING, stages=STAGES[:2])), "s: running, 67%, nodes 1/3, n2: Stage 1 (2/2)"),
        (row("s", replace(RUNNING, current_node=None)), "s: running, 33%, nodes 1/3"),
        (row("s", replace(RUNNING, total=(), completed=())), "s: running, nodes 0/0, n2: Stage 2 (3/4)"),
        (row("s", replace(RUNNING, status="MOONWALKING")), "s: MOONWALKING, 50%, nodes 1/3"),
        (row("s", FAILED), f"s: FAILED, 50%, nodes 1/3; [402c6c3]NodeReplaceTask-fail. {CHOICE}"),
        (row("s", replace(FAILED, fail_message=None)), f"s: FAILED, 50%, nodes 1/3; no reason given. {CHOICE}"),
        (row("s", DONE), "s: succeeded, 100%, nodes 3/3"),
        (row("s"), "s: idle"),
    ],
)  # fmt: skip
def test_a_line_for_a_pipe(given: dict[str, Any], said: str) -> None:
    [line] = lines([given], NOW)
    assert plain(line) == said


def test_of_a_cluster_with_several_tasks_those_at_work_are_shown_else_the_last() -> None:
    assert [line.state for line in lines([row("s", DONE, RUNNING, replace(RUNNING, id="t9"))], NOW)] == ["running", "running"]
    later = replace(FAILED, ended_at=NOW + timedelta(hours=1))
    assert [line.state for line in lines([row("s", DONE, later)], NOW)] == ["FAILED"]


def drawn(shown: list[Line], note: str = "", width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    console.print(bars(shown, note))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_live_bars_show_every_node_of_a_task_at_work() -> None:
    batch = replace(RUNNING, in_flight=("n2", "n4"), total=("n1", "n2", "n3", "n4", "n5"))
    text = drawn(lines([row("search", batch), row("logs", FAILED), row("idle-one")], NOW), "a note")
    for words in ("search", "n1", "completed", "n2", "Stage 2 (3/4)", "n4", "in flight", "2 more", "to come", "! logs", "a note"):
        assert words in text
    assert text.index("logs") < text.index("search") < text.index("idle-one")
    assert "ETA 1h" in drawn(lines([row("search", RUNNING, eta={"latest": "2026-03-01T11:00:00Z"})], NOW))
    everything = drawn(lines([row("s", replace(RUNNING, total=("n1", "n2")))], NOW), width=40)
    assert "more" not in everything


def test_markup_in_a_name_is_text() -> None:
    assert "[red]x[/red]" in drawn(lines([row("[red]x[/red]")], NOW))


def fill(tx: Transaction, *tasks: Task) -> None:
    for number, name in enumerate(("search", "logs"), start=1):
        of = cluster(name, number)
        known = {(Action.UPGRADING, task.id): KnownTask(task) for task in tasks} if number == 1 else {}
        tx.save(of, tx.known(of), Known(tasks=known, baselines=frozenset(Action)), ((), ()), NOW.timestamp())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "notifier.yaml"
    path.write_text(CONFIG.format(folder=tmp_path, port=free_port()))
    return path


def stored(config: Path, work: Callable[[Transaction], None]) -> None:
    store = Store(app.load(config).store).open()
    try:
        asyncio.run(store.transact(work))
    finally:
        store.close()


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "-c", str(config)])


def test_status_reads_the_store_when_nobody_runs(config: Path) -> None:
    nothing = run(config, "status")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "No cluster has been seen yet" in nothing.output
    stored(config, lambda tx: fill(tx, RUNNING))
    found = run(config, "status")
    assert found.exit_code == 0, found.output
    assert [line.split()[:2] for line in found.stdout.splitlines()[1:]] == [["search", "running"], ["logs", "idle"]]
    [one] = run(config, "status", "--json", "--cluster", "search").stdout.splitlines()
    assert (json.loads(one)["name"], json.loads(one)["tasks"][0]["progress"]) == ("search", 0.5)
    missing = run(config, "status", "--cluster", "serach")
    assert missing.exit_code == 1
    assert "there is no cluster 'serach'; there is logs, search" in missing.output


async def following(config: Path, story: list[Callable[[], Awaitable[None]]], **options: Any) -> list[tuple[list[str], str]]:
    """What is drawn; after each drawing the story goes on a step, and ends with it."""
    seen: list[tuple[list[str], str]] = []
    steps = iter(story)

    def draw(shown: list[Line], note: str) -> None:
        seen.append(([plain(line) for line in shown], note))
        waiting.set()

    waiting = asyncio.Event()
    task = asyncio.create_task(cli_watch._follow(config, None, 0.01, draw, **options))
    try:
        async with asyncio.timeout(60):
            for step in steps:
                await asyncio.wait([task, asyncio.ensure_future(waiting.wait())], return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    break
                await step()
                waiting.clear()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return seen


async def test_watch_follows_a_running_instance_through_its_restart(config: Path) -> None:
    settings = app.load(config)
    store = Store(settings.store).open()
    await store.transact(lambda tx: fill(tx, RUNNING))
    crew = await app.Crew(settings, store).__aenter__()
    running = [True]

    async def proceed() -> None:
        later = replace(RUNNING, completed=("n1", "n2"), in_flight=("n3",), current_node="n3", stages=())
        await store.transact(lambda tx: fill(tx, later))

    async def leave() -> None:
        # The page is gone, and the store is still held: nobody answers.
        assert crew.web is not None
        await crew.web.close()
        running[0] = False

    async def nothing() -> None:
        pass

    try:
        seen = await following(config, [proceed, *[nothing] * 3, leave, *[nothing] * 3])
    finally:
        await crew.stop()
        store.close()
    words = [line for drawn_lines, _ in seen for line in drawn_lines]
    # Nobody answers its polls: whether that is said already is chance.
    assert any("50%, nodes 1/3, n2: Stage 2 (3/4)" in line for line in words)
    assert any("67%, nodes 2/3, n3" in line for line in words)
    assert any("Is the notifier running there?" in note for _, note in seen)
    assert seen[-1][0] == seen[-2][0]


async def test_watch_says_that_nobody_runs_and_leaves_the_file_alone(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        raise KeyboardInterrupt

    store = Store(app.load(config).store).open()
    await store.transact(lambda tx: fill(tx, RUNNING))
    store.close()
    notes: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", rest)
        with pytest.raises(KeyboardInterrupt):
            await cli_watch._follow(config, None, 2.0, lambda _, note: notes.append(note))
    assert (notes, rests) == ([cli_watch.STILL], [cli_watch.AT_REST])


def test_a_pipe_gets_a_line_whenever_something_changes(capsys: pytest.CaptureFixture[str]) -> None:
    say = cli_watch._Changes()
    first, second = lines([row("search", RUNNING)], NOW), lines([row("search", FAILED)], NOW)
    for shown, note in ((first, ""), (first, "no answer"), (first, "no answer"), (second, ""), (second, "")):
        say(shown, note)
    out, err = capsys.readouterr()
    assert [line.split("  ")[1].partition(",")[0] for line in out.splitlines()] == ["search: running", "search: FAILED"]
    assert err == "no answer\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_watch_draws_on_a_terminal_and_prints_elsewhere(config: Path, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def once(path: Path, cluster: str | None, every: float, draw: Callable[[list[Line], str], object]) -> None:
        assert (path, cluster, every) == (config, None, 2.0)
        draw(lines([row("search", RUNNING)], NOW), "")
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_watch, "_follow", once)
    monkeypatch.setattr(cli_watch, "_on_terminal", lambda: terminal)
    found = run(config, "watch")
    assert found.exit_code == 130
    assert "search" in found.stdout
    assert bool(re.match(r"\d{4}-\d\d-\d\dT.*Z  search: running", found.stdout)) is not terminal


def test_watch_without_an_answer_is_an_error(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(_path: Path, _question: object) -> object:
        raise RemoteError("No answer")

    monkeypatch.setattr("notifier.ledger.read", nobody)
    found = run(config, "watch")
    assert (found.exit_code, found.output) == (1, "notifier: No answer\n")
