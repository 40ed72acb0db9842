"""Runs migrations on the connection it is handed, in one transaction, under a lock where several replicas may start at once."""

from alembic import context
from sqlalchemy import text

from notifier.store.schema import metadata

LOCK = 0x6E6F7469
"""Any number, the same for all replicas."""

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite")
if connection.dialect.name == "postgresql":
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
context.run_migrations()
