"""Since when a sink fails, whether that was told, and how many events there were about it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("sink", sa.Column("failing_since", sa.Double(), nullable=True))
    op.add_column("sink", sa.Column("failing_told", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("sink", sa.Column("sequence", sa.Integer(), server_default="0", nullable=False))
