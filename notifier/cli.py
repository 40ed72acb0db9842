"""The command line: parses and prints only. Results go to stdout, everything else to stderr in one readable block.

Exit codes: 0 fine, 1 failed at run time, 2 wrong usage or configuration, 74 the store is damaged, 130 interrupted.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from notifier import (
    __version__,
    cli_accuracy,
    cli_people,
    cli_replay,
    cli_replicas,
    cli_report,
    cli_sinks,
    cli_watch,
)
from notifier.cli_options import CONFIG, FAILED, JSON, LIMIT, WRONG, fail, guarded, show, wait


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="notifier")
def main() -> None:
    """Tell the right people, once, what happens while a Huawei Cloud CSS cluster is upgraded or moved to another AZ."""


@main.command()
@CONFIG
@click.option("--record", type=click.Path(file_okay=False, path_type=Path), help="Keep what the API answers in this folder.")
@cli_replay.NAMES
@guarded
def run(path: Path, record: Path | None, redact: str | None) -> None:
    """Watch and tell until stopped. SIGHUP reads the configuration again."""
    from notifier import app

    if redact and record is None:
        fail("--redact says how to record: add --record DIR", WRONG)
    wait(app.run(path, record, redact_names=redact == "names"))


@main.command()
@click.option("--keep", is_flag=True, help="Go on after the story is told, with the status page open.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Of the status page; 0 takes any.")
@click.option("--speed", type=click.FloatRange(min=1), default=None, help="How many times faster than real upgrades.")
@guarded
def demo(*, keep: bool, port: int, speed: float | None) -> None:
    """Play three upgrades in about two minutes. No account, no configuration."""
    from notifier import demo

    wait(demo.play(keep=keep, port=port, speed=speed, say=click.echo))


@main.command()
@CONFIG
@click.option("--online", is_flag=True, help="Also ask every source, and every sink that can be asked without telling anybody.")
@guarded
def check(path: Path, *, online: bool) -> None:
    """Check the configuration: 0 if it is good, 2 if not."""
    from notifier import app

    settings = app.load(path)
    for warning in settings.warnings:
        click.echo(f"warning: {warning}", err=True)
    clusters = sum(len(project.clusters) for project in settings.projects)
    listing = sum(project.discover is not None for project in settings.projects)
    listed = f" and those that {listing} {'project lists' if listing == 1 else 'projects list'}" if listing else ""
    click.echo(f"{path} is good: {clusters} clusters{listed}, {len(settings.sinks)} sinks, {len(settings.routes)} routes.")
    if online:
        from notifier import once
        from notifier.domain.errors import FetchError

        answers = wait(once.look_at_all(settings))
        failures = [(cluster, found) for cluster, found in answers if isinstance(found, FetchError)]
        for cluster, found in failures:
            click.echo(f"{cluster.name}: {found}", err=True)
        click.echo(f"{len(answers) - len(failures)} of {len(answers)} clusters answered.")
        sinks = wait(once.check_sinks(settings))
        for name, problems in sinks.items():
            for problem in problems:
                click.echo(f"sink {name}: {problem}", err=True)
        if failures or any(sinks.values()):
            sys.exit(FAILED)


@main.command()
@CONFIG
@JSON
@guarded
def poll(path: Path, *, as_json: bool) -> None:
    """Look once and print where each cluster stands; nothing is stored or told."""
    from notifier import app, once
    from notifier.domain.errors import FetchError

    failed = False
    for cluster, found in wait(once.look_at_all(app.load(path))):
        if isinstance(found, FetchError):
            failed = True
            line = {"cluster": cluster.name, "error": found.reason.value, "detail": found.detail}
            click.echo(json.dumps(line) if as_json else f"{cluster.name}: {found}", err=not as_json)
            continue
        standing = [once.standing(action, known) for (action, _), known in found.tasks.items()]
        if as_json:
            click.echo(json.dumps({"cluster": cluster.name, "id": cluster.id, "tasks": [facts for facts, _ in standing]}))
        else:
            click.echo(f"{cluster.name}: {'; '.join(words for _, words in standing) or 'no tasks'}")
    if failed:
        sys.exit(FAILED)


@main.command()
@CONFIG
@JSON
@LIMIT
@click.option("--cluster", help="Only of this cluster: name or id.")
@click.option("--kind", help="Only of this kind; * may stand for anything.")
@guarded
def events(path: Path, *, as_json: bool, limit: int, cluster: str | None, kind: str | None) -> None:
    """Print what happened."""
    from notifier import ledger

    rows = wait(ledger.read(path, lambda book: book.events(cluster=cluster, kind=kind, limit=limit)))
    show(rows, as_json, lambda row: f"{row['time']}  {row['severity']:<8}  {row['cluster']['name']}  {row['summary']}")


@main.group(invoke_without_command=True)
@CONFIG
@JSON
@LIMIT
@click.option("--sink", help="Only to this sink.")
@click.option(
    "--state", type=click.Choice(["pending", "sending", "delivered", "dead", "silenced", "over"]), help="Only in this state."
)
@click.pass_context
@guarded
def deliveries(context: click.Context, path: Path, *, as_json: bool, limit: int, sink: str | None, state: str | None) -> None:
    """Print who was told, who is still to be told, and what was given up."""
    if context.invoked_subcommand is not None:
        return
    from notifier import ledger

    rows = wait(ledger.read(path, lambda book: book.deliveries(sink=sink, state=state, limit=limit)))
    show(rows, as_json, _delivery_line)


@deliveries.command("retry")
@CONFIG
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that were given up.")
@click.option("--sink", help="With --all: only to this sink.")
@guarded
def retry(path: Path, ids: tuple[str, ...], *, everything: bool, sink: str | None) -> None:
    """Send again what was given up. Ids stay the same."""
    from notifier import ledger

    if everything == bool(ids):
        fail("name the deliveries to send again, or say --all", WRONG)
    again = wait(ledger.read(path, lambda book: book.retry(None if everything else list(ids), sink=sink)))
    for delivery in again:
        click.echo(delivery)
    missing = set(ids) - set(again)
    if missing:
        fail(f"not among the given up: {', '.join(sorted(missing))}", FAILED)


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9000, show_default=True)
@click.option("--scenario", default="success", show_default=True, help="What is played; --list shows all.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True)
@click.option("--access-key", envvar="CLOUD_SDK_AK", help="Verify signatures made with this key …")
@click.option("--secret-key", envvar="CLOUD_SDK_SK", help="… and this secret.")
@click.option("--list", "listing", is_flag=True, help="Print the scenarios and end.")
@guarded
def simulate(*, port: int, scenario: str, speed: float, access_key: str | None, secret_key: str | None, listing: bool) -> None:
    """Serve the API of Huawei Cloud CSS, with an upgrade under way. Any well-formed signature, unless keys are given."""
    from notifier import demo
    from notifier.sources.scenarios import SCENARIOS

    if listing:
        for name, each in SCENARIOS.items():
            click.echo(f"{name:<16} {each.description}")
        return
    if scenario not in SCENARIOS:
        fail(f"there is no scenario {scenario!r}; there is {', '.join(SCENARIOS)}", WRONG)
    keys = (access_key, secret_key) if access_key and secret_key else None
    wait(demo.simulate(SCENARIOS[scenario], port=port, speed=speed, keys=keys, say=click.echo))


@main.command()
@guarded
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from notifier import app

    click.echo(json.dumps(app.schema(), indent=2, ensure_ascii=False))


@main.command()
@CONFIG
@guarded
def migrate(path: Path) -> None:
    """Bring the store to this program's schema. `run` does it too."""
    from notifier import app
    from notifier.store.schema import HEAD
    from notifier.store.store import Store

    store = Store(app.load(path).store).open()
    store.close()
    click.echo(f"The store has schema {HEAD}{'' if store.schema_before == HEAD else f', it had {store.schema_before}'}.")


main.add_command(cli_accuracy.accuracy)
main.add_command(cli_people.explain)
main.add_command(cli_people.routes)
main.add_command(cli_people.silence)
main.add_command(cli_replicas.replicas)
main.add_command(cli_sinks.sinks)
main.add_command(cli_sinks.try_sink)
main.add_command(cli_watch.status)
main.add_command(cli_watch.watch)
main.add_command(cli_report.report)
main.add_command(cli_replay.record)
main.add_command(cli_replay.replay)
main.add_command(cli_replay.drill)


def _delivery_line(row: Mapping[str, Any]) -> str:
    fate = f"  {row['reason']}: {row['detail']}" if row["reason"] and row["state"] != "delivered" else ""
    return f"{row['id']}  {row['state']:<9}  {row['sink']}  {row['cluster']}  {row['kind']}  tries {row['attempts']}{fate}"
