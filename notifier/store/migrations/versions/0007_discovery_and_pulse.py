"""What is known of a project's list of clusters, and the write that proves that the store takes writes."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "discovery",
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("roll", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_discovery")),
    )
    op.create_table(
        "pulse",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_pulse")),
    )
