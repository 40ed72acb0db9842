"""The commands for people who ask why: ``explain``, ``routes test``, ``silence``. They parse and print only."""

import getpass
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from notifier.cli_options import CONFIG, FAILED, JSON, WRONG, fail, guarded, show, wait


@click.command()
@CONFIG
@JSON
@click.argument("event")
@click.option(
    "--recording",
    "folder",
    type=click.Path(exists=True, path_type=Path),
    help="Look up the two answers it follows from in these recordings, and print what differs.",
)
@guarded
def explain(path: Path, event: str, folder: Path | None, *, as_json: bool) -> None:
    """Tell the story of one EVENT: what was seen, who was told when, who was not and why."""
    from notifier import app, inquiry, ledger
    from notifier.proof import prove
    from notifier.sources.recording import RecordingError

    settings = app.load(path)
    found = wait(ledger.read(path, lambda book: book.story(event)))
    if not found:
        fail(f"there is no event {event}; what nobody is owed any more is deleted after a month", FAILED)
    (story,) = found
    answers = inquiry.ask(settings, inquiry.recalled(story["event"]))
    told = {row["sink"] for row in story["deliveries"]}
    untold = {sink.name: inquiry.why_not(answers, sink.name) for sink in settings.sinks if sink.name not in told}
    try:
        proof = prove(story, folder)
    except RecordingError as error:
        fail(error, WRONG)
    if as_json:
        routes = [{"route": each.number, "sinks": list(each.sinks), "refusal": each.refusal} for each in answers]
        whole = {**story, "recording": proof.json(), "routes": routes, "not_told": untold}
        click.echo(json.dumps(whole, ensure_ascii=False))
        return
    said = story["event"]
    click.echo(f"{said['time']}  {said['severity']}  {said['cluster']['name']}  {said['summary']}")
    how = "was seen" if said["observed"] else "follows from what was seen later"
    click.echo(f"It {how} at {said['observed_at']}; number {said['sequence']} of its {_thread(said)}.")
    click.echo(f"Why: {story['rule']}.")
    if story.get("ground"):
        click.echo(f"It follows from {story['ground']}.")
    for line in proof.lines():
        click.echo(line)
    for trouble in proof.trouble:
        click.echo(f"notifier: {trouble}", err=True)
    for near, where in ((story["before"], "Before"), (story["after"], "After")):
        if near:
            click.echo(f"{where} it: number {near['sequence']}, {near['kind']}, seen at {near['observed_at']}: {near['summary']}")
    if not story["before"]:
        click.echo(f"Before it: nothing; it is the first that is known of its {_thread(said)}.")
    quiet = {sink.name: sink.quiet for sink in settings.sinks}
    for row in story["deliveries"]:
        click.echo(_fate(row))
        for remark in inquiry.holds(row, quiet.get(row["sink"])):
            click.echo(f"    {remark}")
        for attempt in row["tries"]:
            detail = f": {attempt['reason'] or ''} {attempt['detail'] or ''}".rstrip(": ")
            click.echo(f"    try {attempt['number']} at {attempt['ended_at']}: {attempt['outcome']}{detail}")
    for sink, why in untold.items():
        click.echo(f"{sink}: not told: {why or 'its route came later than the event'}")


def _thread(event: Mapping[str, Any]) -> str:
    return "task" if event["task"] else "sink" if event.get("sink") else "cluster"


def _fate(row: Mapping[str, Any]) -> str:
    if row["state"] == "silenced":
        return f"{row['sink']}: not told: silenced by {row['detail']}"
    if row["state"] == "over":
        return f"{row['sink']}: a reminder was not told: {row['detail']}"
    when = f" at {row['settled_at']}" if row["settled_at"] else f", due at {row['next_at']}" if row["next_at"] else ""
    which = f" (reminder {row['reminder']})" if row["reminder"] else ""
    return f"{row['sink']}{which}: {row['state']}{when}"


@click.group()
def routes() -> None:
    """Ask the routes."""


@routes.command("test")
@CONFIG
@JSON
@click.option("--kind", required=True, help="Of the imagined event, as task.failed.")
@click.option("--cluster", help="One of the configuration's, by name or id; the first unless given.")
@click.option("--action", type=click.Choice(["UPGRADING", "AZ_MIGRATION"]), help="What is being done to it.")
@guarded
def routes_test(path: Path, *, as_json: bool, kind: str, cluster: str | None, action: str | None) -> None:
    """Print who would be told of an event, and which route says so. Nothing is sent."""
    from notifier import app, inquiry
    from notifier.domain.model import Action, Kind

    settings = app.load(path)
    if kind not in set(Kind):
        fail(f"there is no kind {kind!r}; there is {', '.join(Kind)}", WRONG)
    try:
        event = inquiry.imagined(settings, Kind(kind), cluster, None if action is None else Action(action))
    except LookupError as error:
        fail(error.args[0], WRONG)
    answers = inquiry.ask(settings, event)
    if as_json:
        found = {sink.name: inquiry.why_not(answers, sink.name) for sink in settings.sinks}
        click.echo(
            json.dumps(
                {
                    "kind": kind,
                    "cluster": event.cluster.name,
                    "told": [n for n, why in found.items() if not why],
                    "not_told": {name: why for name, why in found.items() if why},
                },
                ensure_ascii=False,
            )
        )
        return
    for answer in answers:
        verdict = "matches" if answer.refusal is None else f"does not match: {answer.refusal}"
        click.echo(f"route {answer.number} ({', '.join(answer.sinks)}): {verdict}")
    names = [sink.name for sink in settings.sinks if inquiry.why_not(answers, sink.name) is None]
    click.echo(f"{kind} of {event.cluster.name} is told to: {', '.join(names) or 'nobody'}")


@click.group()
def silence() -> None:
    """Stop deliveries of what matches for a while; list silences; end them."""


@silence.command("add")
@CONFIG
@JSON
@click.option("--for", "lasting", required=True, help="How long, as 2h.")
@click.option("--reason", required=True, help="Why; people will ask.")
@click.option("--author", default=None, help="Who; you unless given.")
@click.option("--kind", multiple=True, help="Only this kind; * may stand for anything. Several times for several.")
@click.option("--severity", help="Only this severity, as <=warning.")
@click.option("--cluster", multiple=True, help="Only this cluster: name or id.")
@click.option("--label", multiple=True, help="Only clusters with this label, as env=prod.")
@click.option("--task", help="Only the task with this id.")
@click.option("--reminders-only", is_flag=True, help="Acknowledge: news is still told, reminders are not.")
@guarded
def silence_add(
    path: Path,
    *,
    as_json: bool,
    lasting: str,
    reason: str,
    author: str | None,
    task: str | None,
    reminders_only: bool,
    kind: tuple[str, ...],
    severity: str | None,
    cluster: tuple[str, ...],
    label: tuple[str, ...],
) -> None:
    """Add a silence. What it stops is kept and can be asked for with `explain`."""
    from notifier import ledger
    from notifier.web.wishes import problem_with

    wrong = [pair for pair in label if "=" not in pair]
    if wrong:
        fail(f"a label is name=value, not {wrong[0]!r}", WRONG)
    match: dict[str, object] = {"labels": dict(pair.split("=", 1) for pair in label)}
    match |= {name: value for name, value in (("kind", list(kind)), ("severity", severity), ("cluster", list(cluster))) if value}
    wish = {
        "match": match,
        "for": lasting,
        "reason": reason,
        "author": author or getpass.getuser(),
        "task": task,
        "reminders_only": reminders_only,
    }
    if problem := problem_with(wish):
        fail(problem, WRONG)
    show(wait(ledger.read(path, lambda book: book.silence(wish))), as_json, _silence_line)


@silence.command("list")
@CONFIG
@JSON
@click.option("--all", "over", is_flag=True, help="Those that have ended as well.")
@guarded
def silence_list(path: Path, *, as_json: bool, over: bool) -> None:
    """Print the silences that hold."""
    from notifier import ledger

    show(wait(ledger.read(path, lambda book: book.silences(over=over))), as_json, _silence_line)


@silence.command("expire")
@CONFIG
@click.argument("ids", nargs=-1, required=True)
@guarded
def silence_expire(path: Path, ids: tuple[str, ...]) -> None:
    """End silences now."""
    from notifier import ledger

    ended = wait(ledger.read(path, lambda book: book.expire(list(ids))))
    for each in ended:
        click.echo(each)
    missing = sorted(set(ids) - set(ended))
    if missing:
        fail(f"no such silence, or it has ended: {', '.join(missing)}", FAILED)


def _silence_line(row: Mapping[str, Any]) -> str:
    match = row["match"]
    parts = [f"{name}={','.join(match[name])}" for name in ("kind", "cluster", "project", "action") if match[name] != ["*"]]
    parts += [f"{name}={','.join(globs)}" for name, globs in match["labels"].items()]
    parts += [f"severity={match['severity']}"] if match["severity"] != "debug..critical" else []
    parts += [f"task={row['task']}"] if row["task"] else []
    what = " ".join(parts) or "everything"
    only = ", reminders only" if row["reminders_only"] else ""
    return f"{row['id']}  until {row['ends_at']}  {what}{only}  by {row['author']}: {row['reason']}"
