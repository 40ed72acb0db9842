"""Events that look like news and are none: drills and replays, set apart so that they touch nothing real.

A real incident or a living message is known by the ids of its cluster, task and events. What is set apart has ids of its own,
which say what it is; names, labels and all that a person reads stay as they are.
"""

from dataclasses import replace

from notifier.domain.identity import of_rehearsal
from notifier.domain.model import Event


def set_apart(event: Event, mark: str, run: str) -> Event:
    """The event as one of a rehearsal.

    Args:
        event: As it happened, or is imagined. Routes are asked about this one.
        mark: ``DRILL`` or ``REPLAY``.
        run: Tells one rehearsal from the next; the same run gives the same ids.
    """
    prefix = f"{mark.lower()}-{run}-"
    return replace(
        event,
        id=of_rehearsal(mark, run, event.id),
        cluster=replace(event.cluster, id=prefix + event.cluster.id),
        task=None if event.task is None else replace(event.task, id=prefix + event.task.id),
    )
