"""What a sink asks to keep over restarts, such as which message its board is."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "keepsake",
        sa.Column("sink", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("sink", "name", name="pk_keepsake"),
    )


def downgrade() -> None:
    """Drop it; boards are posted anew then."""
    op.drop_table("keepsake")
