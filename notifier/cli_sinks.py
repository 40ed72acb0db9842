"""The commands about sinks: which types there are, and a try of one. They print only."""

import asyncio
import json
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from notifier.cli_options import CONFIG, FAILED, JSON, WRONG, fail, guarded, show, wait

if TYPE_CHECKING:
    from notifier.domain.message import Message
    from notifier.tryout import Tryout

_OUTCOMES = {
    "delivered": "delivered",
    "retry": "not accepted now, it would be tried again",
    "rejected": "turned down, it would not be tried again",
    "uncertain": "nobody knows whether it arrived",
}
"""What became of a sample, by what its sink says."""


@click.command()
@JSON
@guarded
def sinks(*, as_json: bool) -> None:
    """List the types of sink there are, whence each comes, and what cannot be loaded and why."""
    from notifier.sinks import registry

    rows = [
        {
            "type": found.name,
            "origin": found.origin,
            "usable": isinstance(found, registry.SinkType),
            "why_not": found.why if isinstance(found, registry.Broken) else None,
            "offers": list(registry.offers(found)) if isinstance(found, registry.SinkType) else [],
        }
        for found in registry.available()
    ]
    widths = [max((len(str(row[key])) for row in rows), default=0) for key in ("type", "origin")]
    show(
        rows,
        as_json,
        lambda row: "  ".join(
            [
                row["type"].ljust(widths[0]),
                row["origin"].ljust(widths[1]),
                f"cannot be used: {row['why_not']}" if row["why_not"] else ", ".join(row["offers"]),
            ]
        ).rstrip(),
    )


@click.command("test")
@CONFIG
@JSON
@click.argument("sink")
@guarded
def try_sink(path: Path, sink: str, *, as_json: bool) -> None:
    """Send SINK one marked sample of each kind that it would get, and print what became of each as it is known."""
    from notifier import app, tryout

    settings = app.load(path)
    try:
        trial = tryout.tryout(settings, sink)
    except LookupError as error:
        fail(error.args[0], WRONG)
    if not trial.messages:
        fail(f"nothing was sent to {sink}: {tryout.why_nothing(settings, sink)}", FAILED)
    course = _Course(trial, as_json=as_json)
    try:
        wait(course.follow())
    finally:
        course.sum_up()
    for trouble in trial.troubles:
        click.echo(f"notifier: {trouble}", err=True)
    if trial.troubles or course.arrived < len(trial.messages):
        sys.exit(FAILED)


class _Course:
    """Prints a try of a sink as it goes on, so that what was learnt stands there however it ends."""

    def __init__(self, trial: "Tryout", *, as_json: bool) -> None:
        self.arrived = 0
        self._trial = trial
        self._as_json = as_json
        self._heard = 0
        self._why = ""
        """Why it ended before the last sample."""

    async def follow(self) -> None:
        """Send the samples, and print of each what became of it."""
        from notifier import tryout
        from notifier.domain.errors import DeliveryError

        try:
            async with aclosing(tryout.told(self._trial)) as outcomes:
                async for told in outcomes:
                    self._heard += 1
                    if isinstance(told.outcome, DeliveryError):
                        error = told.outcome
                        self._print(told.message, error.outcome.value, error.reason.value, error.detail)
                        self._why = tryout.why_no_more(error) or ""
                    else:
                        self.arrived += 1
                        self._print(told.message, "delivered", None, self._late(told.after))
        except asyncio.CancelledError:
            self._why = "interrupted, and of the next one nobody knows whether it arrived"
            raise

    def sum_up(self) -> None:
        """Say how many arrived, and how many were not sent and why."""
        whole = self._trial.messages
        rest = whole[self._heard :]
        if self._as_json:
            for message in rest:
                self._print(message, "not_sent", None, self._why or None)
        unsent = f", {len(rest)} not sent" + (f": {self._why}" if self._why else "") if rest else ""
        click.echo(f"{self.arrived} of {len(whole)} samples arrived{unsent}.", err=self._as_json)

    def _late(self, after: float) -> str | None:
        """What is to be said of a sample that arrived although its time was over: nothing could break its sending off."""
        timeout = self._trial.entry.timeout
        if after <= timeout:
            return None
        return f"after {after:.1f} s, though its timeout is {timeout:g} s: the sink does not let go, and all else stood still"

    def _print(self, message: "Message", outcome: str, reason: str | None = None, detail: str | None = None) -> None:
        kind = message.event.kind.value
        if self._as_json:
            row = {"kind": kind, "outcome": outcome, "reason": reason, "detail": detail, "id": message.id}
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            click.echo(f"{kind}: {_OUTCOMES[outcome]}" + (f" ({reason})" if reason else "") + (f": {detail}" if detail else ""))
