"""Who is at work, and who polls which cluster.

A replica has one lease for all that it holds, so renewing it is one row however many clusters there are. A cluster whose owner's
lease is over is free, and is claimed by raising its ``epoch``; a poll's transaction names the epoch it began under and is refused
with `Fenced` if the cluster changed hands since. Leases only save work: the epoch and the version of the known state are what is
right.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Select, Text, bindparam, cast, delete, exists, func, select, update

from notifier.domain.model import Cluster
from notifier.domain.sharing import fair
from notifier.store import codec, schema, statements
from notifier.store.errors import Fenced
from notifier.store.lanes import Lanes
from notifier.store.session import moment

REMEMBERED = 86400.0
"""Seconds for which a replica that is gone is still listed."""

AT_ONCE = 1000
"""Clusters named in one statement: databases bound how many values it may have."""

_EPOCH: Select[Any] = select(schema.watch.c.epoch).where(schema.watch.c.key == bindparam("watch_key")).with_for_update(read=True)


@dataclass(frozen=True, slots=True)
class Presence:
    """What a replica says of itself.

    Attributes:
        name: Its own, and never used again.
        fleet: Stands for the clusters that it is configured to watch: those of the same fleet share them.
        sinks: The names of the sinks that it serves.
        release: The version of its program.
        started_at: Seconds since 1970, by the database's clock where there is one.
        well: Whether it makes progress.
    """

    name: str
    fleet: str
    sinks: tuple[str, ...]
    release: str
    started_at: float
    well: bool = True


@dataclass(frozen=True, slots=True)
class Standstill:
    """A project whose API has asked to be left alone, for ``seconds`` still, or has refused our keys."""

    project: str
    seconds: float
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReplicaRow:
    """A replica for people to look at. ``clusters``: those that it polls, by name; ``lanes``: those that it tells just now."""

    name: str
    release: str
    started_at: datetime
    seen_at: datetime
    lease_until: datetime
    alive: bool
    well: bool
    clusters: tuple[str, ...]
    lanes: int


class Replicas(Lanes):
    """The part of a transaction by which replicas know of each other."""

    def attend(self, presence: Presence, *, lease: float, now: float) -> None:
        """Say that one is at work, for ``lease`` seconds from now; renews the lease of all that one holds."""
        instant, table = self.now(now), schema.replica
        values = {
            "fleet": presence.fleet,
            "sinks": json.dumps(presence.sinks),
            "release": presence.release,
            "started_at": presence.started_at,
            "seen_at": instant,
            "lease_until": instant + lease,
            "well": presence.well,
        }
        add = statements.upsert(self._dialect, table).values(name=presence.name, **values)
        self._run(add.on_conflict_do_update(index_elements=["name"], set_=values))
        self._run(delete(table).where(table.c.seen_at < instant - REMEMBERED))

    def enlist(self, keys: Collection[str]) -> None:
        """Make clusters known, so that they can be claimed."""
        rows = [{"key": key} for key in sorted(keys)]
        if rows:
            self._run(statements.upsert(self._dialect, schema.watch).on_conflict_do_nothing(), rows)

    def share(
        self, presence: Presence, keys: Collection[str], now: float, last: Mapping[str, int] | None = None
    ) -> Mapping[str, int]:
        """Let go of what is beyond one's share, claim what is missing to it; what one holds then, with the epoch of each.

        Args:
            presence: One's own.
            keys: All clusters of one's fleet.
            now: See `Lanes.now`.
            last: What this has returned before, for the same ``keys``: given back as it is where nothing has changed since.
        """
        instant, name = self.now(now), presence.name
        counts = self._counts(presence, instant)
        share = fair(counts, len(keys))[name]
        # Others can only take away from what is ours, so as many means the very same.
        if last is not None and counts[name] == share == len(last):
            return last
        mine = {row.key: row.epoch for row in self._run(select(schema.watch).where(schema.watch.c.owner == name))}
        known = sorted(key for key in mine if key in keys)
        kept = {key: mine[key] for key in known[:share]}
        self._drop(name, mine.keys() - kept)
        if len(kept) < share:
            kept |= self._claim_watches(name, keys, share - len(kept), instant)
        return kept

    def _counts(self, presence: Presence, instant: float) -> dict[str, int]:
        """How many clusters each living replica of the fleet holds."""
        table, watch = schema.replica, schema.watch
        fleet = select(table.c.name).where(table.c.fleet == presence.fleet, table.c.lease_until > instant)
        held = dict.fromkeys(self._run(fleet).scalars(), 0) | {presence.name: 0}
        for owner, count in self._run(select(watch.c.owner, func.count()).group_by(watch.c.owner)):
            if owner in held:
                held[owner] = count
        return held

    def _drop(self, owner: str, keys: Collection[str]) -> None:
        table = schema.watch
        for some in _chunks(keys):
            self._run(update(table).where(table.c.owner == owner, table.c.key.in_(some)).values(owner=""))

    def _claim_watches(self, owner: str, keys: Collection[str], room: int, instant: float) -> dict[str, int]:
        table, other = schema.watch, schema.replica
        free = ~exists().where(other.c.name == table.c.owner, other.c.lease_until > instant)
        wanted = [key for key in self._run(select(table.c.key).where(free).order_by(table.c.key)).scalars() if key in keys]
        taken: dict[str, int] = {}
        for some in _chunks(wanted[:room]):
            still = select(table.c.key).where(table.c.key.in_(some), free).order_by(table.c.key).with_for_update(skip_locked=True)
            claim = update(table).where(table.c.key.in_(still)).values(owner=owner, epoch=table.c.epoch + 1)
            taken |= {row.key: row.epoch for row in self._run(claim.returning(table.c.key, table.c.epoch))}
        return taken

    def standstills(self, name: str, found: Iterable[Standstill], now: float) -> list[Standstill]:
        """Tell the others which projects are to be left alone; what they have told.

        ``found``: by the replica ``name`` itself.
        """
        table, instant = schema.standstill, self.now(now)
        self._run(delete(table).where(table.c.until <= instant))
        for each in found:
            values = {"owner": name, "until": instant + each.seconds, "reason": each.reason, "detail": each.detail}
            add = statements.upsert(self._dialect, table).values(project=each.project, **values)
            self._run(add.on_conflict_do_update(index_elements=["project"], set_=values))
        rows = self._run(select(table).where(table.c.owner != name))
        return [Standstill(row.project, row.until - instant, row.reason, row.detail) for row in rows]

    def guard(self, key: str, epoch: int | None) -> None:
        """Make sure that a cluster has not changed hands since ``epoch``, until the end of this transaction.

        ``epoch`` None: nobody shares anything, so there is nothing to check.

        Raises:
            Fenced: It has.
        """
        # Nothing that polls put off writes this table, so it need not be written first.
        if epoch is not None and self._execute(_EPOCH, {"watch_key": key}).scalar() != epoch:
            raise Fenced("The cluster was taken over by another replica in the meantime.")

    def leave(self, name: str) -> None:
        """Let go of everything at a clean stop: the others need not wait for the lease to end."""
        self._run(update(schema.watch).where(schema.watch.c.owner == name).values(owner=""))
        self._run(delete(schema.replica).where(schema.replica.c.name == name))

    def leave_all(self) -> None:
        """End all leases: for the one process that knows that no other is alive."""
        self._run(delete(schema.replica))

    def served(self, now: float) -> frozenset[str]:
        """The sinks that any living replica serves."""
        table = schema.replica
        rows = self._run(select(table.c.sinks).where(table.c.lease_until > self.now(now))).scalars()
        return frozenset(name for sinks in rows for name in json.loads(sinks))

    def group_alive(self, now: float) -> bool:
        """Whether any living replica makes progress: what a dead-man's ping for all of them together says."""
        table = schema.replica
        return (
            self._run(select(table.c.name).where(table.c.lease_until > self.now(now), table.c.well).limit(1)).first() is not None
        )

    def replicas(self, now: float) -> list[ReplicaRow]:
        """All that were at work within the last day, the living first, then by name."""
        instant, table = self.now(now), schema.replica
        clusters = self._clusters_by_owner()
        lane = schema.lane
        busy = select(lane.c.owner, func.count()).where(lane.c.lease_until > instant).group_by(lane.c.owner)
        lanes = {row[0]: row[1] for row in self._run(busy)}
        rows = [
            ReplicaRow(
                name=row.name,
                release=row.release,
                started_at=moment(row.started_at),
                seen_at=moment(row.seen_at),
                lease_until=moment(row.lease_until),
                alive=row.lease_until > instant,
                well=row.lease_until > instant and row.well,
                clusters=tuple(sorted(clusters.get(row.name, ()))),
                lanes=lanes.get(row.name, 0),
            )
            for row in self._run(select(table))
        ]
        return sorted(rows, key=lambda row: (not row.alive, row.name))

    def _clusters_by_owner(self) -> dict[str, list[str]]:
        watch, known = schema.watch, schema.cluster
        query = select(watch.c.owner, watch.c.key, cast(known.c.facts, Text)).outerjoin(known, known.c.key == watch.c.key)
        found: dict[str, list[str]] = {}
        for owner, key, facts in self._run(query.where(watch.c.owner != "")):
            cluster: Cluster | None = None if facts is None else codec.cluster.validate_json(facts)
            found.setdefault(owner, []).append(key if cluster is None else cluster.name)
        return found


def _chunks(keys: Collection[str]) -> Iterator[Sequence[str]]:
    rest = iter(keys)
    while some := list(islice(rest, AT_ONCE)):
        yield some
