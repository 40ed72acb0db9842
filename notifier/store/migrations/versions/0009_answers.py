"""Which answers led to what is known of a cluster, so that an event can say which two it follows from."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column; what was seen before has no answers to it."""
    op.add_column("cluster", sa.Column("answers", sa.Text(), nullable=False, server_default="{}"))
