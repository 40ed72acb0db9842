"""The memory: what is known, what happened, and who is still owed which news. One implementation for SQLite and PostgreSQL."""
