"""Which of a project's clusters are watched because the project lists them: who came, who went, who is still there.

The first good and complete list is the baseline: whoever is on it is watched, and is no news. So is whoever a changed filter lets
in or leaves out: that is a person's doing. From then on it is told who comes, and who is missing from `ABSENCES` good and
complete lists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from notifier.domain import identity
from notifier.domain.diff import Step
from notifier.domain.known import Known
from notifier.domain.model import Cluster, Event, Kind
from notifier.domain.routing import ANYTHING, Globs

ABSENCES = 3
"""Good and complete lists in a row that it takes to believe that a cluster is gone."""

REMEMBERED = timedelta(days=30)
"""For so long a cluster that went is remembered, so that its coming back is told."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which clusters are watched. ``name``: alternatives. ``tags`` must all be there, each with one of its alternatives."""

    name: Globs = ANYTHING
    tags: Mapping[str, Globs] = field(default_factory=dict)

    def takes(self, cluster: Cluster) -> bool:
        """Whether a cluster, with its tags as labels, is one of them."""
        if not any(fnmatchcase(cluster.name, glob) for glob in self.name):
            return False
        found = {tag: cluster.labels.get(tag) for tag in self.tags}
        return all(value is not None and any(fnmatchcase(value, glob) for glob in self.tags[tag]) for tag, value in found.items())


@dataclass(frozen=True, slots=True)
class Member:
    """A cluster that was discovered.

    Attributes:
        cluster: As it was listed last.
        times: How often it came; more than once if it went in between.
        absences: Good and complete lists in a row that lack it.
        gone_at: When that was believed; None while it is watched.
    """

    cluster: Cluster
    times: int = 1
    absences: int = 0
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Roll:
    """What is known of a project's list.

    Attributes:
        members: By the cluster's id.
        wanted: The filter of the last complete list; None before the first.
        taken_at: When that was; absences are counted from it.
    """

    members: Mapping[str, Member] = field(default_factory=dict)
    wanted: Wanted | None = None
    taken_at: datetime | None = None

    @property
    def watched(self) -> tuple[Cluster, ...]:
        """The clusters to watch, by id."""
        return tuple(member.cluster for _, member in sorted(self.members.items()) if member.gone_at is None)


@dataclass(frozen=True, slots=True)
class Call:
    """What follows from a list: the roll now, and whose coming and going is to be told."""

    roll: Roll
    came: tuple[Member, ...] = ()
    went: tuple[Member, ...] = ()


def under(roll: Roll, wanted: Wanted, explicit: frozenset[str]) -> Roll:
    """The roll without whom the filter does not take, and without those that are watched because the configuration names them."""
    kept = {key: member for key, member in roll.members.items() if key not in explicit and wanted.takes(member.cluster)}
    return roll if len(kept) == len(roll.members) else replace(roll, members=kept)


def call(
    roll: Roll,
    listed: Sequence[Cluster],
    wanted: Wanted,
    now: datetime,
    *,
    complete: bool = True,
    explicit: frozenset[str] = frozenset(),
    met: frozenset[str] = frozenset(),
    apart: float = 0.0,
) -> Call:
    """Compare a good list with what is known.

    Args:
        roll: What is known; ``Roll()`` at first.
        listed: The clusters of the project, their tags as labels.
        wanted: Which of them are to be watched.
        now: When it was read, UTC.
        complete: Unless it is, who is missing may be there.
        explicit: The ids of clusters that the configuration names: none of our business.
        met: The ids of clusters that the store knows: they are no news.
        apart: Seconds since the last list without which an absence is not counted again: several replicas ask.
    """
    silent = roll.wanted != wanted
    found = {cluster.id: cluster for cluster in listed if cluster.id not in explicit and wanted.takes(cluster)}
    members = dict(under(roll, wanted, explicit).members)
    counts = complete and (roll.taken_at is None or (now - roll.taken_at).total_seconds() >= apart)
    came: list[Member] = []
    went: list[Member] = []
    for key, cluster in sorted(found.items()):
        before = members.get(key)
        if before is None:
            members[key] = Member(cluster)
            if not silent and key not in met:
                came.append(members[key])
        elif before.gone_at is not None:
            members[key] = Member(cluster, before.times + 1)
            came.append(members[key])
        else:
            members[key] = replace(before, cluster=cluster, absences=0)
    for key, member in sorted(members.items()):
        if member.gone_at is not None:
            if now - member.gone_at > REMEMBERED:
                del members[key]
        elif key not in found and counts:
            absences = member.absences + 1
            members[key] = replace(member, absences=absences, gone_at=now if absences >= ABSENCES else None)
            if absences >= ABSENCES:
                went.append(members[key])
    taken_at = now if counts or roll.taken_at is None else roll.taken_at
    # A baseline must be whole, or the rest of it would be told as news.
    return Call(Roll(members, wanted if complete else roll.wanted, taken_at), tuple(came), tuple(went))


def discovered(known: Known, member: Member, now: datetime) -> Step:
    """That a cluster has come."""
    after = replace(known, sequence=known.sequence + 1)
    return Step(after, (_event(Kind.CLUSTER_DISCOVERED, after, member, now),))


def forgotten(known: Known, member: Member, now: datetime) -> Step:
    """That a cluster has gone; it is not polled any more, so whatever outage it had is over with it."""
    after = replace(known, sequence=known.sequence + 1, outage=None, outage_told=False)
    return Step(after, (_event(Kind.CLUSTER_FORGOTTEN, after, member, now),))


def _event(kind: Kind, after: Known, member: Member, now: datetime) -> Event:
    # Which coming it is, not when: a store restored from a backup must tell the same under the same id.
    event_id = identity.of_cluster(member.cluster, kind, str(member.times))
    return Event(event_id, kind, after.sequence, now, now, member.cluster)
