"""The command that says how wrong the forecasts were."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from notifier.cli_options import CONFIG, JSON, guarded, show, wait


@click.command()
@CONFIG
@JSON
@guarded
def accuracy(path: Path, *, as_json: bool) -> None:
    """Print how far off the forecasts were, by how much was left when they were made.

    Only forecasts of tasks that have succeeded since can be judged. A range held if the task ended within it.
    """
    from notifier import ledger

    rows = wait(ledger.read(path, lambda book: book.accuracy()))
    if not rows and not as_json:
        click.echo("No task that was forecast has succeeded yet.")
    show(rows, as_json, _line)


def _line(row: Mapping[str, Any]) -> str:
    least, below = _span(row["left"]["least"]), row["left"]["below"]
    left = f"more than {least}" if below is None else f"{least} to {_span(below)}"
    bias = _span(abs(row["bias"]))
    skew = f"ended {bias} {'later' if row['bias'] > 0 else 'earlier'} than its middle on average"
    return (
        f"{left + ' left':<24}  {row['forecasts']:>5} forecasts  {row['held']:>4.0%} of the ranges held  "
        f"off by {_span(row['error'])} ({row['share']:.0%} of what was left)  {skew}"
    )


def _span(seconds: float) -> str:
    from notifier.domain.words import Words

    return Words().span(timedelta(seconds=seconds))
