"""How clusters look in a terminal: a table that fits 80 columns and pipes, a line each, live bars.

Rows are those of the REST API, whether they come from a running instance or from the store.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from notifier.domain.model import FAILURES, TERMINAL, Status
from notifier.domain.render import ENGLISH

if TYPE_CHECKING:
    from rich.console import RenderableType

Row = Mapping[str, Any]

BAR = 10
"""Characters of a bar in the table; pure ASCII, because a pipe may bear no more."""

NAME = 24
"""Columns of a cluster's name on a terminal of 80."""

HEADER = ("CLUSTER", "STATE", "PROGRESS", "NODES", "ETA", "CHANGED")
WIDTHS = (NAME, 13, 16, 7, 7, 8)
WORDS = {
    Status.RUNNING: "running",
    Status.SUCCESS: "succeeded",
    Status.FAILED: "FAILED",
    Status.PARTIAL_FAILED: "PARTLY FAILED",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A cluster and the task at work on it, else the one that ended last, else none.

    Attributes:
        state: In one or two words; capitals where somebody should look.
        share: 0 to 1; None where nothing is known of it.
        rank: What comes first: trouble, then work, then rest.
        trouble: What is wrong, in one line; None if nothing is.
    """

    name: str
    state: str
    share: float | None
    nodes: str
    eta: str
    changed: str
    rank: int
    trouble: str | None
    task: Row | None


def lines(rows: Iterable[Row], now: datetime, cluster: str | None = None) -> list[Line]:
    """A line for each task at work, and one for each cluster without; those in trouble first. ``cluster``: only this one."""
    nothing: list[Row | None] = [None]
    found = [
        _line(row, task, now)
        for row in rows
        if cluster is None or cluster in {row["name"], row["id"]}
        for task in (_at_work(row) or _latest(row) or nothing)
    ]
    return sorted(found, key=lambda line: (line.rank, line.name))


def table(shown: Sequence[Line], width: int = 80) -> list[str]:
    """The lines as text in columns, with what is wrong below; the table itself is no wider than ``width``."""
    widths = (NAME + max(width - 80, -NAME + 8), *WIDTHS[1:])
    text = [_row(HEADER, widths)]
    text += [_row((line.name, line.state, _bar(line.share), line.nodes, line.eta, line.changed), widths) for line in shown]
    troubles = [f"! {line.name}: {line.trouble}" for line in shown if line.trouble]
    return text + ([""] if troubles else []) + troubles


def plain(line: Line) -> str:
    """A cluster in one line of words, for what is no terminal."""
    at = _stage(line.task) if line.task is not None and line.task["status"] == Status.RUNNING else None
    parts = [line.state, None if line.share is None else f"{line.share:.0%}", line.nodes and f"nodes {line.nodes}", at]
    said = ", ".join(part for part in parts if part)
    return f"{line.name}: {said}" + (f"; {line.trouble}" if line.trouble else "")


def bars(shown: Sequence[Line], note: str) -> "RenderableType":
    """The clusters as live bars: one each, and one for each node of the tasks at work."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    for _ in range(2):
        grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_column(width=24)
    for _ in range(2):
        grid.add_column(no_wrap=True, overflow="ellipsis")
    for line in shown:
        style = ("bold red", "cyan", "dim")[line.rank]
        share = "" if line.share is None else f"{line.share:4.0%}"
        bar = ProgressBar(
            total=1.0, completed=line.share or 0.0, complete_style=style.removeprefix("bold "), finished_style="green"
        )
        eta = f"ETA {line.eta}" if line.eta else f"changed {line.changed} ago"
        grid.add_row(
            Text(line.name, style="bold"), Text(line.state, style=style), bar, Text(share), Text(f"{line.nodes}  {eta}".strip())
        )
        if line.task is not None and line.task["status"] == Status.RUNNING:
            for name, done, words in _nodes(line.task):
                node = ProgressBar(total=1.0, completed=done, complete_style="cyan", finished_style="green")
                grid.add_row(Text(f"  {name}", style="dim"), "", node, Text(f"{done:4.0%}"), Text(words, style="dim"))
    troubles = [Text(f"! {line.name}: {line.trouble}", style="red") for line in shown if line.trouble]
    return Group(grid, *troubles, Text(note, style="dim"))


def _line(row: Row, task: Row | None, now: datetime) -> Line:
    outage = row["outage"]
    state, trouble, rank = "idle", None, 2
    if task is not None:
        state = "not listed" if task["vanished"] else WORDS.get(task["status"], _tame(task["status"]))
        rank = 0 if task["status"] in FAILURES or task["vanished"] else 2 if task["status"] in TERMINAL else 1
        if task["status"] in FAILURES:
            trouble = f"{task['fail_message'] or 'no reason given'}. Someone must choose: retry or terminate."
    if outage is not None:
        state, rank = "NO DATA", 0
        trouble = f"no data since {outage['since']}: {outage['reason']}: {outage['detail']}"
    return Line(
        name=_tame(row["name"]),
        state=state,
        share=None if task is None else task["progress"],
        nodes="" if task is None else f"{len(task['nodes']['completed'])}/{task['nodes']['total']}",
        eta=_eta(task, now),
        changed=_short(ENGLISH.span(now - datetime.fromisoformat(row["changed_at"]))),
        rank=rank,
        trouble=None if trouble is None else _tame(trouble),
        task=task,
    )


def _at_work(row: Row) -> list[Row]:
    return [task for task in row["tasks"] if task["status"] == Status.RUNNING and not task["vanished"]]


def _latest(row: Row) -> list[Row]:
    return sorted(row["tasks"], key=lambda task: task["ended_at"] or task["started_at"] or "", reverse=True)[:1]


def _eta(task: Row | None, now: datetime) -> str:
    """How long it will take at the most; empty where nobody can say."""
    eta = None if task is None else task.get("eta")
    if not eta or task is None or task["status"] != Status.RUNNING:
        return ""
    return _short(ENGLISH.span(datetime.fromisoformat(eta["latest"]) - now))


def _stage(task: Row | None) -> str | None:
    """The node and stage at work, with the stage's place among all."""
    if task is None or not task["current_node"]:
        return None
    stages = sorted(task["stages"], key=lambda stage: stage["order"])
    ended = [place for place, stage in enumerate(stages) if stage["status"] == Status.SUCCESS]
    working = [place for place, stage in enumerate(stages) if stage["status"] in {Status.RUNNING, Status.FAILED}]
    place = working[0] if working else ended[-1] if ended else None
    node = _tame(task["current_node"])
    return node if place is None else f"{node}: {_tame(stages[place]['name'])} ({place + 1}/{len(stages)})"


def _nodes(task: Row) -> list[tuple[str, float, str]]:
    """Each node of a task at work: name, share, words. The API lists the stages of one node only."""
    nodes = [(_tame(name), 1.0, "completed") for name in task["nodes"]["completed"]]
    for name in task["nodes"]["in_flight"]:
        known = name == task["current_node"] and task["stages"]
        share = sum(stage["status"] == Status.SUCCESS for stage in task["stages"]) / len(task["stages"]) if known else 0.0
        nodes.append((_tame(name), share, (_stage(task) or "").partition(": ")[2] if known else "in flight"))
    left = task["nodes"]["total"] - len(nodes)
    return [*nodes, (f"{left} more", 0.0, "to come")] if left > 0 else nodes


def _bar(share: float | None) -> str:
    if share is None:
        return ""
    full = int(share * BAR)
    return f"[{'#' * full}{'.' * (BAR - full)}]{share:4.0%}"


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    from rich.cells import cell_len, set_cell_size

    fitted = [
        cell if cell_len(cell) <= width else set_cell_size(cell, width - 2) + ".."
        for cell, width in zip(cells, widths, strict=True)
    ]
    padded = [set_cell_size(cell, width) for cell, width in zip(fitted, widths, strict=True)]
    return " ".join(padded).rstrip()


def _short(words: str) -> str:
    """``2 h 5 min`` as ``2h5m``."""
    return words.replace(" min", "m").replace(" ", "")


def _tame(text: str) -> str:
    """Harmless to a terminal, whatever a cluster is called."""
    return "".join(each if each.isprintable() else "?" for each in text)
