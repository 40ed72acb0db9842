"""What events about time say: for how long, what is usual, until when, and what can be done about it.

What can be done is what Huawei documents for a slow or stuck upgrade; nothing here is a guess of ours.
"""

from datetime import datetime, timedelta

from notifier.domain.expectation import DATA
from notifier.domain.model import Action, Event, Kind, Stage

LEVER = (
    "Data migration can be sped up: raise indices.recovery.max_bytes_per_sec (40 to 1000 MB) if the cluster has load to spare, "
    "and see that the other nodes have disk space and that no index forbids its shards to move"
)
"""Huawei's upgrade guide names the setting and the range, and the disk space after one node leaves (below 80 %)."""

ELSEWHERE = (
    "Look at the cluster's load, which makes upgrades hang, and at its task in the console (Jobs, View Progress); the task "
    "cannot be stopped, so if it stays like this ask Huawei's support"
)


def span(length: timedelta) -> str:
    """A length of time as a person says it: the two largest units."""
    seconds = max(int(length.total_seconds()), 0)
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    spoken = [f"{count} {unit}" for count, unit in units if count][:2]
    return " ".join(spoken) or "0 s"


def stalled(event: Event) -> str:
    """What stands still, for how long, and what is usual; as what follows the headline."""
    timing = event.timing
    if timing is None:
        return ""
    what = _at_work(event.node, event.stage)
    said = f": {what}, without progress for {_seconds(timing.lasted)}"
    if timing.unseen >= 1:
        said += f" (and {_seconds(timing.unseen)} without data)"
    if timing.usual is None:
        said += f"; {timing.basis}" if timing.basis else ""
    else:
        said += f"; usually it takes {_seconds(timing.usual)} at the most, by {timing.basis}"
    return said


def advice(event: Event) -> str | None:
    """What can be done about what stands still or is slow; None for other events."""
    if event.kind not in {Kind.TASK_STALLED, Kind.TASK_DEADLINE_NEAR}:
        return None
    return LEVER if event.stage is not None and event.stage.order == DATA else ELSEWHERE


def resumed(event: Event) -> str:
    """How long it stood still."""
    return "" if event.timing is None else f", after {_seconds(event.timing.lasted)} without progress"


def deadline(event: Event) -> str:
    """How near Huawei's limit of 48 hours is."""
    timing = event.timing
    if timing is None or timing.until is None:
        return "Data migration nears its limit of 48 h"
    return (
        f"Data migration off node {event.node} has used {timing.share} % of its limit of 48 h; at {clock(timing.until)} Huawei "
        f"gives up and the {_work(event)} fails"
    )


def window(event: Event) -> str:
    """When the window ends, what is left, and whether that fits."""
    timing, task = event.timing, event.task
    if timing is None or timing.until is None or task is None:
        return "The change window ends"
    nodes = task.nodes
    left = f"{nodes.total - len(nodes.completed)} of {nodes.total} nodes are left"
    fit = {True: "it will be over in time", False: "it will NOT be over in time", None: "whether it will be over in time is open"}
    expected = "" if event.eta is None else f" (expected {clock(event.eta.earliest)} to {clock(event.eta.latest)})"
    return f"The change window ends at {clock(timing.until)}; {left}, {fit[timing.fits]}{expected}"


def clock(time: datetime) -> str:
    """Hours and minutes, with the date: a forecast knows no seconds."""
    return time.strftime("%Y-%m-%d %H:%M UTC")


def _at_work(node: str | None, stage: Stage | None) -> str:
    where = f"node {node}" if node else "its node"
    return f"stage {stage.order} “{stage.name}” of {where}" if stage else f"{where}, between two stages"


def _seconds(seconds: float) -> str:
    return span(timedelta(seconds=seconds))


def _work(event: Event) -> str:
    return "AZ migration" if event.task and event.task.action is Action.AZ_MIGRATION else "upgrade"
