"""The commands that show where everything stands: ``status`` once, ``watch`` for as long as one looks."""

import asyncio
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from notifier.cli_options import CONFIG, FAILED, JSON, fail, guarded, show, wait
from notifier.cli_table import Line, Row, bars, lines, plain, table

AT_REST = 10.0
"""Seconds between looks at a SQLite file: while nobody holds it, nobody changes it either, and to open it is to take it."""

STILL = "The notifier is not running: this is how it stood."

CLUSTER = click.option("--cluster", help="Only this cluster: name or id.")


@click.command()
@CONFIG
@JSON
@CLUSTER
@guarded
def status(path: Path, *, as_json: bool, cluster: str | None) -> None:
    """Print where each cluster stands, as a table."""
    rows, _ = wait(_read(path))
    if as_json:
        show([row for row in rows if cluster is None or cluster in {row["name"], row["id"]}], as_json, str)
        return
    shown = lines(rows, datetime.now(UTC), cluster)
    if cluster is not None and not shown:
        fail(f"there is no cluster {cluster!r}; there is {', '.join(row['name'] for row in rows) or 'none yet'}", FAILED)
    if not shown:
        click.echo("No cluster has been seen yet.", err=True)
        return
    for line in table(shown, max(shutil.get_terminal_size((80, 24)).columns, 64) if _on_terminal() else 80):
        click.echo(line)


@click.command()
@CONFIG
@CLUSTER
@click.option("--every", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True, help="Seconds between two looks.")
@guarded
def watch(path: Path, *, cluster: str | None, every: float) -> None:
    """Follow all clusters: live bars on a terminal, else a line whenever something changes. Ctrl-C ends it."""
    if not _on_terminal():
        wait(_follow(path, cluster, every, _Changes()))
        return
    from rich.live import Live

    with Live(auto_refresh=False, screen=False) as live:
        wait(_follow(path, cluster, every, lambda shown, note: live.update(bars(shown, note), refresh=True)))


def _on_terminal() -> bool:
    return sys.stdout.isatty()


class _Changes:
    """Prints each cluster when it is first seen and whenever its line changes."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}
        self._noted = ""

    def __call__(self, shown: list[Line], note: str) -> None:
        if note != self._noted and note:
            click.echo(note, err=True)
        self._noted = note
        for line in shown:
            key, said = f"{line.name}/{line.task['id'] if line.task else ''}", plain(line)
            if self._said.get(key) != said:
                self._said[key] = said
                click.echo(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}  {said}")
        sys.stdout.flush()


async def _follow(path: Path, cluster: str | None, every: float, draw: Callable[[list[Line], str], object]) -> None:
    """Look again and again. That the first look fails is an error; after that the notifier may come and go."""
    from notifier.store.errors import StoreError
    from notifier.web.client import RemoteError

    rows, idle = await _read(path)
    note = ""
    while True:
        draw(lines(rows, datetime.now(UTC), cluster), note or (STILL if idle else ""))
        await asyncio.sleep(max(every, AT_REST) if idle else every)
        try:
            rows, idle = await _read(path)
            note = ""
        except (StoreError, RemoteError) as error:
            note = str(error)


async def _read(path: Path) -> tuple[list[Row], bool]:
    """The clusters, and whether they come from a file that nobody holds."""
    from notifier import app, ledger

    async def ask(book: ledger.Ledger) -> tuple[list[Row], bool]:
        return list(await book.clusters()), isinstance(book, ledger.Local)

    rows, local = await ledger.read(path, ask)
    return rows, local and app.load(path).store.startswith("sqlite")
