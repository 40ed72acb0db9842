"""Replicas share the clusters, the rates of sinks, and what a project's API has asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what replicas need to know of each other."""
    op.create_table(
        "replica",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("fleet", sa.String(), nullable=False),
        sa.Column("sinks", sa.Text(), nullable=False),
        sa.Column("release", sa.String(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=False),
        sa.Column("well", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_replica")),
    )
    op.create_table(
        "watch",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), server_default="", nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_watch")),
    )
    op.create_index(op.f("ix_watch_owner"), "watch", ["owner"], unique=False)
    op.create_table(
        "standstill",
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_standstill")),
    )
    # Added in place: a version that does not know the column can go on while replicas are replaced one by one.
    op.add_column("sink", sa.Column("next_send", sa.Double(), server_default="0", nullable=False))
