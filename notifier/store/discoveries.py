"""What is known of a project's list of clusters, and which clusters are watched at all."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from sqlalchemy import bindparam, select, update

from notifier.domain.discovery import Roll
from notifier.store import codec, schema, statements
from notifier.store.session import Session

AT_ONCE = 500
"""Keys in one question; databases bear only so many parameters."""

_WATCH = update(schema.cluster).where(schema.cluster.c.key == bindparam("of")).values(watched=bindparam("now_is"))


class Discoveries(Session):
    """The part of a transaction that discovery uses. ``project`` is Huawei's id of it."""

    def roll(self, project: str) -> Roll:
        """Who was listed; an empty roll at first. Locked where several replicas write."""
        table = schema.discovery
        found = self._run(select(table.c.roll).where(table.c.project == project).with_for_update()).scalar()
        return Roll() if found is None else codec.roll.validate_json(found)

    def save_roll(self, project: str, roll: Roll) -> None:
        """Write who is listed now."""
        written = codec.dump(codec.roll, roll)
        statement = statements.upsert(self._dialect, schema.discovery).values(project=project, roll=written)
        self._run(statement.on_conflict_do_update(index_elements=["project"], set_={"roll": written}))

    def met(self, keys: Iterable[str]) -> frozenset[str]:
        """Those of some clusters, by their keys, that are known at all."""
        wanted, table = sorted(keys), schema.cluster
        found: set[str] = set()
        for start in range(0, len(wanted), AT_ONCE):
            part = wanted[start : start + AT_ONCE]
            found.update(self._run(select(table.c.key).where(table.c.key.in_(part))).scalars())
        return frozenset(found)

    def watches(self, key: str) -> bool:
        """Whether a cluster, by its key, is watched."""
        table = schema.cluster
        return bool(self._run(select(table.c.watched).where(table.c.key == key)).scalar())

    def watch(self, watched: Mapping[str, bool]) -> None:
        """Note whether some clusters, by their keys, are watched from now on; unknown ones are passed over."""
        # In one order everywhere, so that two replicas cannot wait for each other.
        if rows := [{"of": key, "now_is": now_is} for key, now_is in sorted(watched.items())]:
            self._run(_WATCH, rows)

    def watch_only(self, keys: AbstractSet[str]) -> None:
        """Note that of all clusters these are watched, by their keys, and no others."""
        table = schema.cluster
        noted = {row.key: row.watched for row in self._run(select(table.c.key, table.c.watched))}
        self.watch({key: key in keys for key, watched in noted.items() if watched != (key in keys)})
