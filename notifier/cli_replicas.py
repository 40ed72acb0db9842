"""The command ``replicas``: who is at work. It parses and prints only."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from notifier.cli_options import CONFIG, FAILED, JSON, fail, guarded, show, wait

MOST_NAMES = 5
"""Clusters named in a line; ``--json`` has them all."""


@click.command()
@CONFIG
@JSON
@guarded
def replicas(path: Path, *, as_json: bool) -> None:
    """Print which replicas are at work and which clusters each polls: 1 if none is."""
    from notifier import ledger

    rows = wait(ledger.read(path, lambda book: book.replicas()))
    show(rows, as_json, _line)
    if not any(row["alive"] for row in rows):
        fail("no replica is at work", FAILED)


def _line(row: Mapping[str, Any]) -> str:
    standing = "gone" if not row["alive"] else "well" if row["well"] else "in trouble"
    names = row["clusters"]
    some = ", ".join(names[:MOST_NAMES]) + (", \u2026" if len(names) > MOST_NAMES else "")
    held = f"{len(names)} clusters{': ' if some else ''}{some}"
    return f"{row['name']}  {standing:<10}  {row['version']}  seen {row['seen_at']}  {held}"
