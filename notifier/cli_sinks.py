"""The command that says which types of sink there are. It prints only."""

import click

from notifier.cli_options import JSON, guarded, show


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
