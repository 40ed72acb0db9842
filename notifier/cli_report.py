"""The command ``report``: what happened to a task, as one HTML file and one picture. It parses and prints only."""

import re
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import click

from notifier.cli_options import CONFIG, FAILED, WRONG, fail, guarded, wait


@click.command()
@CONFIG
@click.argument("task")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="The folder for the files.")
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@click.option("--zone", default=None, help="In which times are shown, as Asia/Shanghai; this machine's unless given.")
@click.option("--picture/--no-picture", default=True, help="Whether to make a PNG as well.")
@guarded
def report(path: Path, task: str, into: Path, *, language: Literal["en", "zh"], zone: str | None, picture: bool) -> None:
    """Write what happened to TASK: a timeline, what was slow, who was told. TASK is an id, its beginning, or a cluster."""
    from datetime import UTC, datetime

    from notifier import ledger
    from notifier.domain.words import Words
    from notifier.report.page import report as made_of
    from notifier.report.png import NoPictureError, png
    from notifier.store import codec

    try:
        clock = local_zone() if zone is None else ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        fail(f"there is no time zone {zone!r}; a zone is spelled like Asia/Shanghai", WRONG)
    found = wait(ledger.read(path, lambda book: book.report(task)))
    if not found:
        fail(f"nothing is kept of a task or cluster {task!r}; `notifier events` shows what there is", FAILED)
    dossiers = [codec.dossier.validate_python(row) for row in found]
    if len(dossiers) > 1:
        said = sorted(
            {f"{each.id}  {dossier.events[0].cluster.name}" for dossier in dossiers if (each := dossier.events[0].task)}
        )
        fail("\n  ".join([f"{task!r} may be one of these:", *said]), WRONG)
    (dossier,) = dossiers
    made = made_of(dossier, Words(language, clock), datetime.now(UTC))
    if made is None or (of := dossier.events[0].task) is None:
        fail(f"nothing is kept of task {task!r}", FAILED)
    into.mkdir(parents=True, exist_ok=True)
    page = into / f"report-{_plain(dossier.events[0].cluster.name)}-{_plain(of.id)[:8]}.html"
    page.write_text(made.html, encoding="utf-8", errors="replace")
    click.echo(page)
    if not picture:
        return
    try:
        drawn = png(made.svg)
    except NoPictureError as error:
        click.echo(f"notifier: {error}", err=True)
        return
    page.with_suffix(".png").write_bytes(drawn)
    click.echo(page.with_suffix(".png"))


def _plain(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "task"


def local_zone() -> ZoneInfo:
    """This machine's zone, by its IANA name where that can be known; else UTC."""
    import os

    named = os.environ.get("TZ", "").removeprefix(":")
    try:
        target = named or str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2]
        return ZoneInfo(target or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")
