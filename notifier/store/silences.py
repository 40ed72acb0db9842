"""Silences as they are kept: those that hold now stop deliveries, those that are over can still be looked at."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from notifier.domain.silences import Silence
from notifier.store import codec, schema, statements
from notifier.store.session import Session


class Silences(Session):
    """The part of a transaction that knows what nobody wants to hear of."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._held: list[Silence] | None = None

    def silences(self, now: float, *, over: bool = False) -> list[Silence]:
        """The silences that hold or will, by their ends; with ``over`` those that ended as well."""
        if over:
            return self._read(float("-inf"))
        if self._held is None:
            # Every poll of the transaction that has news asks for them.
            self._held = self._read(now)
        return [silence for silence in self._held if silence.ends_at.timestamp() > now]

    def _read(self, ends_after: float) -> list[Silence]:
        rows = self._run(statements.SILENCES, {"ends_after": ends_after})
        return [codec.silence.validate_json(row.body) for row in rows]

    def expire_silences(self, ids: Sequence[str], now: datetime) -> list[str]:
        """End these silences now; the ids of those that had not ended."""
        held = [silence for silence in self.silences(now.timestamp()) if silence.id in ids]
        for silence in held:
            self.silence(replace(silence, ends_at=max(now, silence.starts_at)))
        return [silence.id for silence in held]

    def silence(self, silence: Silence) -> None:
        """Add a silence, or replace the one with its id."""
        table = schema.silence
        values = {
            "starts_at": silence.starts_at.timestamp(),
            "ends_at": silence.ends_at.timestamp(),
            "body": codec.dump(codec.silence, silence),
        }
        self._held = None
        add = statements.upsert(self._dialect, table).values(id=silence.id, **values)
        self._run(add.on_conflict_do_update(index_elements=["id"], set_=values))
