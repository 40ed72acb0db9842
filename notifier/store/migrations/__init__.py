"""The way from any older schema to this one; scripts for Alembic, driven by ``notifier.store.migrate``."""
