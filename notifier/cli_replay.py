"""The commands ``record``, ``replay`` and ``drill``: what is kept, played again, and tried out. They parse and print only."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from notifier.cli_options import CONFIG, FAILED, JSON, WRONG, fail, guarded, wait

if TYPE_CHECKING:
    from notifier.config import Settings
    from notifier.drill import Drill
    from notifier.sources.recording import Reading

NAMES = click.option("--redact", type=click.Choice(["names"]), help="Replace the names and ids of clusters, nodes and tasks too.")


@click.command()
@CONFIG
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), default=Path("recordings"), show_default=True)
@click.option("--for", "seconds", type=click.FloatRange(min=0, min_open=True), help="Seconds; until interrupted unless given.")
@NAMES
@guarded
def record(path: Path, into: Path, *, seconds: float | None, redact: str | None) -> None:
    """Look at every cluster and keep what the API answers, without secrets. Nobody is told."""
    from notifier import app
    from notifier.record import record as keep

    settings = app.load(path)
    kept = wait(keep(settings, into, names=redact == "names", seconds=seconds, say=lambda text: click.echo(text, err=True)))
    click.echo(f"{kept} answers recorded.", err=True)
    if not kept:
        sys.exit(FAILED)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--config", "-c", "path", type=click.Path(path_type=Path), default=None, help="The routes and sinks to try.")
@click.option(
    "--sink", "sinks", multiple=True, help="Tell this sink of the configuration for real, marked REPLAY; may be repeated."
)
@click.option("--who", "asked", is_flag=True, help="Only print who would have been told with that configuration.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="So many times faster than it was.")
@click.option("--as-fast-as-possible", "hurry", is_flag=True, help="Without a pause; so it is unless --speed is given.")
@click.option("--all", "everything", is_flag=True, help="Print what matters least as well, such as each stage.")
@JSON
@guarded
def replay(
    files: tuple[Path, ...],
    path: Path | None,
    sinks: tuple[str, ...],
    *,
    asked: bool,
    speed: float | None,
    hurry: bool,
    everything: bool,
    as_json: bool,
) -> None:
    """Play recordings (FILES, or folders of them) again: events and messages as they would be told today, marked REPLAY."""
    from notifier import app
    from notifier.sources.recording import Reading, RecordingError, files_of

    if (asked or sinks) and path is None:
        fail("--who and --sink need a configuration: add --config", WRONG)
    if asked and (sinks or speed):
        fail("--who tells nobody: leave out --sink and --speed", WRONG)
    if hurry and speed:
        fail("--speed and --as-fast-as-possible exclude each other", WRONG)
    settings = None if path is None else app.load(path)
    if settings is not None and (unknown := sorted(set(sinks) - {entry.name for entry in settings.sinks})):
        fail(f"there is no sink {unknown[0]!r}; there is {', '.join(entry.name for entry in settings.sinks)}", WRONG)
    try:
        reading = Reading(files_of(files))
        if asked and settings is not None:
            good = _who(reading, settings, everything=everything, as_json=as_json)
        else:
            good = wait(_play(reading, settings, sinks, speed=speed, everything=everything, as_json=as_json))
    except RecordingError as error:
        fail(error, WRONG)
    for trouble in reading.trouble:
        click.echo(f"notifier: {trouble}", err=True)
    if reading.trouble or not good:
        sys.exit(FAILED)


def _who(reading: "Reading", settings: "Settings", *, everything: bool, as_json: bool) -> bool:
    from notifier.domain.model import Severity
    from notifier.domain.render import payload
    from notifier.rebuilding import Rebuilding, Rules
    from notifier.replay import Hearsay

    rebuilding = Rebuilding(Rules.of(settings))
    for heard in Hearsay(settings, rebuilding).heard(reading.entries()):
        event = heard.event
        if not (everything or heard.told or event.severity > Severity.DEBUG):
            continue
        if as_json:
            told = {sink: at.isoformat() for sink, at in heard.told.items()}
            click.echo(json.dumps({**payload(event), "told": told, "reminder": heard.reminder}, ensure_ascii=False))
            continue
        sinks = [sink if at == heard.at else f"{sink} (held until {at:%Y-%m-%d %H:%M %Z})" for sink, at in heard.told.items()]
        what = f"{event.kind} {event.node or ''}".rstrip() + (f", reminder {heard.reminder}" if heard.reminder else "")
        time = heard.at if heard.reminder else event.time
        click.echo(f"{time:%Y-%m-%d %H:%M:%S}Z  {event.cluster.name}  {what} -> {', '.join(sinks) or 'nobody'}")
    return _said(rebuilding.trouble)


async def _play(
    reading: "Reading",
    settings: "Settings | None",
    sinks: tuple[str, ...],
    *,
    speed: float | None,
    everything: bool,
    as_json: bool,
) -> bool:
    from notifier.replay import Playing

    playing = Playing(settings, sinks, speed=speed, everything=everything, as_json=as_json)
    arrived, problems = 0, 0
    async for event, sink, problem in playing.play(reading.entries()):
        arrived += problem is None
        problems += problem is not None
        if problem is not None:
            click.echo(f"notifier: {event.kind} to {sink}: {problem}", err=True)
    if sinks:
        click.echo(f"{arrived} messages told, {problems} not.", err=True)
    return _said(playing.trouble) and not problems


def _said(trouble: list[str]) -> bool:
    for each in trouble:
        click.echo(f"notifier: {each}", err=True)
    return not trouble


@click.command()
@CONFIG
@JSON
@click.option("--cluster", help="Whose failure is played: name or id; the first unless given.")
@click.option("--yes", is_flag=True, help="Do not ask before people are told.")
@guarded
def drill(path: Path, *, as_json: bool, cluster: str | None, yes: bool) -> None:
    """Play a failure to the real sinks, marked DRILL, and print who heard of it and after how long."""
    from datetime import UTC, datetime

    from notifier import app, inquiry, ledger
    from notifier.drill import cluster_of
    from notifier.drill import drill as play

    settings = app.load(path)
    try:
        chosen = cluster_of(settings, cluster)
    except LookupError as error:
        fail(error.args[0], WRONG)
    names = ", ".join(entry.name for entry in settings.sinks)
    if not yes and not click.confirm(f"This tells people for real ({names}), marked DRILL. Go on?", err=True):
        fail("nobody was told", FAILED)
    silences = [inquiry.remembered(row) for row in wait(ledger.read(path, lambda book: book.silences()))]
    done = wait(play(settings, chosen, silences, datetime.now(UTC)))
    _print_drill(done, as_json=as_json)
    if not done.heard:
        fail("nobody heard of the failure", FAILED)
    if any(telling.problem for telling in done.told):
        sys.exit(FAILED)


def _print_drill(done: "Drill", *, as_json: bool) -> None:
    if as_json:
        told = [
            {
                "kind": each.kind.value,
                "sink": each.sink,
                "after": round(each.after, 3),
                "tries": each.tries,
                "problem": each.problem,
            }
            for each in done.told
        ]
        click.echo(json.dumps({"cluster": done.cluster.name, "told": told, "not_told": dict(done.untold)}, ensure_ascii=False))
        return
    click.echo(f"The upgrade of {done.cluster.name} failed, as a drill.")
    for sink, telling in sorted(done.heard.items(), key=lambda found: found[1].after):
        more = sum(each.sink == sink and each.problem is None for each in done.told) - 1
        tries = f", at try {telling.tries}" if telling.tries > 1 else ""
        click.echo(f"{sink}: told after {telling.after:.1f} s{tries}; {more} more of what led to it and followed")
    for sink, why in sorted(done.untold.items()):
        click.echo(f"{sink}: NOT told: {why}")
    for each in done.told:
        if each.problem is not None and each.sink not in done.untold:
            click.echo(f"{each.sink}: {each.kind} did not arrive: {each.problem}")
