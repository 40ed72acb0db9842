"""Time: how long things took, what was forecast, and reminders among the deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables; make room between the positions of a lane."""
    op.create_table(
        "span",
        sa.Column("cluster", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.Column("filed", sa.String(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "action", "task", "node", "kind", "began_at", name=op.f("pk_span")),
    )
    op.create_index("ix_span_history", "span", ["action", "ended_at"], unique=False)
    op.create_index(op.f("ix_span_ended_at"), "span", ["ended_at"], unique=False)
    op.create_table(
        "forecast",
        sa.Column("cluster", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.Double(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=True),
        sa.Column("earliest", sa.Double(), nullable=False),
        sa.Column("latest", sa.Double(), nullable=False),
        sa.Column("basis", sa.String(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("cluster", "action", "task", "attempt", "made_at", name=op.f("pk_forecast")),
    )
    op.create_index(op.f("ix_forecast_ended_at"), "forecast", ["ended_at"], unique=False)
    op.add_column("delivery", sa.Column("reminder", sa.Integer(), server_default="0", nullable=False))
    # Two rows of a lane would meet halfway if this were done in place: first out of the way, then where they belong.
    op.execute("UPDATE delivery SET position = -position * 10000")  # schema.STRIDE
    op.execute("UPDATE delivery SET position = -position")
