"""Whether a cluster is watched: one that has left the configuration, or its project's list, is shown no more."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column; the program says at every start who is watched."""
    op.add_column("cluster", sa.Column("watched", sa.Boolean(), nullable=False, server_default=sa.true()))
