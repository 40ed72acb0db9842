"""When a cluster cannot be polled: since when, why, and when that is worth telling."""

from dataclasses import replace
from datetime import datetime

from notifier.domain import identity
from notifier.domain.diff import Step
from notifier.domain.known import Known
from notifier.domain.model import Cluster, Event, Kind, Outage


def unreachable(known: Known, cluster: Cluster, failure: tuple[str, str], now: datetime, limit: float) -> Step:
    """What follows from a poll that failed.

    Args:
        known: What is known of the cluster.
        cluster: The cluster.
        failure: Reason and detail of this failure.
        now: When it failed, UTC.
        limit: Seconds for which polls may fail before it is told.
    """
    reason, detail = failure
    outage = Outage(known.outage.since if known.outage else now, reason, detail)
    if known.outage_told or (now - outage.since).total_seconds() < limit:
        # The beginning is stored at once, so that the limit is counted right over a restart; later reasons only when it is told.
        return Step(known if known.outage else replace(known, outage=outage))
    after = replace(known, outage=outage, outage_told=True, sequence=known.sequence + 1)
    return Step(after, (_of_cluster(Kind.CLUSTER_UNREACHABLE, after, cluster, outage, now),))


def reachable(known: Known, cluster: Cluster, now: datetime) -> Step:
    """What follows from a poll that worked."""
    if known.outage is None:
        return Step(known)
    after = replace(known, outage=None, outage_told=False)
    if not known.outage_told:
        return Step(after)
    after = replace(after, sequence=known.sequence + 1)
    return Step(after, (_of_cluster(Kind.CLUSTER_RECOVERED, after, cluster, known.outage, now),))


def _of_cluster(kind: Kind, after: Known, cluster: Cluster, outage: Outage, now: datetime) -> Event:
    event_id = identity.of_cluster(cluster, kind, outage.since.isoformat())
    return Event(event_id, kind, after.sequence, now, now, cluster, outage=outage)
