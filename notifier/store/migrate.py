"""Brings a database to this program's schema, and refuses one that a newer program made."""

from sqlalchemy import Connection, inspect, text

from notifier.store.errors import StoreError
from notifier.store.schema import HEAD


def version(connection: Connection) -> str | None:
    """The schema a database has; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


def migrate(connection: Connection) -> tuple[str | None, str]:
    """Migrate to `HEAD` within the caller's transaction.

    Returns:
        The version before and after.

    Raises:
        StoreError: The database is newer than this program.
    """
    before = version(connection)
    if before == HEAD:
        return before, HEAD
    if before is not None and before > HEAD:
        raise StoreError(
            f"The store has schema {before}, which is newer than this program knows ({HEAD}). Run the newer program again."
        )
    from alembic import command  # noqa: PLC0415 - takes 0.2 s to import and is rarely needed
    from alembic.config import Config  # noqa: PLC0415 - likewise

    config = Config()
    config.set_main_option("script_location", "notifier.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return before, HEAD
