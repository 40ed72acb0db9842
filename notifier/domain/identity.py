"""The identity of a fact: the same fact has the same id on any replica, after any restart, restore or failover.

An id is a UUID of version 5 over what the fact *is*. Nothing that may change later goes in: no time (a retry may change a task's
``startTime``), no name a person chose, nothing of the order of polls, no randomness. This cannot be changed without telling
everything again; see ``docs/adr/0002-identity.md``.
"""

from uuid import UUID, uuid5

from notifier.domain.model import Action, Cluster, Kind

NAMESPACE = UUID("7b0d7ef0-3c57-5c3b-9a4e-6d2f0c6b8f11")


def of_task(
    cluster: Cluster,
    action: Action,
    task_id: str,
    kind: Kind,
    *,
    attempt: int = 0,
    node: str = "",
    order: int | None = None,
    number: int = 0,
) -> str:
    """The id of a fact about a task.

    ``number`` tells apart what may happen several times within all that: the first stall of an attempt from the second.
    ``attempt`` is 0 for facts that happen once in the life of a task whatever its attempts: that it started, that a node of it is
    completed.
    """
    stage = "" if order is None else str(order)
    which = (str(number),) if number else ()
    return _id(cluster.project_id, cluster.id, action, task_id, kind, str(attempt), node, stage, *which)


def of_cluster(cluster: Cluster, kind: Kind, since: str) -> str:
    """The id of a fact about a cluster.

    ``since`` tells one such fact from the next: the stored beginning of an outage; which coming it is, of a discovery.
    """
    return _id(cluster.project_id, cluster.id, kind, since)


def of_sink(sink: str, kind: Kind, since: str) -> str:
    """The id of a fact about a sink; ``since`` is the stored moment of its first failure."""
    return _id("sink", sink, kind, since)


def of_delivery(event_id: str, sink: str) -> str:
    """The id of the delivery of an event to a sink."""
    return _id("delivery", event_id, sink)


def of_wish(thread: str, what: str) -> str:
    """The id of what a person asked for about a task or cluster: asked for again, it is the same wish."""
    return _id("wish", thread, what)


def of_reminder(event_id: str, sink: str, number: int) -> str:
    """The id of the ``number``-th reminder of an event to a sink, from 1."""
    return _id("reminder", event_id, sink, str(number))


def of_rehearsal(mark: str, run: str, event_id: str) -> str:
    """The id of an event that is told again, or was imagined, in a drill or a replay."""
    return _id("rehearsal", mark, run, event_id)


def _id(*parts: str) -> str:
    # The length in front of each part keeps ("a", "bc") and ("ab", "c") apart.
    return str(uuid5(NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts)))
