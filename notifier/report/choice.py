"""Which nodes are drawn, where they are too many."""

from collections.abc import Sequence

from notifier.domain.node_rows import Outcome, Row

MOST_ROWS = 60
"""More nodes than this are counted instead of drawn; those in trouble and the slowest are drawn."""


def chosen(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Those that are drawn and those that are only counted: trouble first, then what took longest; each in its order."""
    if len(rows) <= MOST_ROWS:
        return list(rows), []
    ranks = {Outcome.FAILED: 0, Outcome.RUNNING: 1, Outcome.UNSEEN: 2, Outcome.SUCCEEDED: 3}

    def rank(place: int) -> tuple[int, float]:
        row = rows[place]
        return ranks[row.outcome], -(row.ended - row.began).total_seconds() if row.ended else 0.0

    drawn = set(sorted(range(len(rows)), key=rank)[:MOST_ROWS])
    return [row for place, row in enumerate(rows) if place in drawn], [
        row for place, row in enumerate(rows) if place not in drawn
    ]
