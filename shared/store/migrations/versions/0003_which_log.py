"""A generation records which log it is a projection of."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Existing generations are projections of the log in the same database, which has four partitions."""
    columns = (
        sa.Column(
            "log", sa.Text, nullable=False, server_default="postgres", comment="the log that it is a projection of"
        ),
        sa.Column("partitions", sa.Integer, nullable=False, server_default="4", comment="of that log"),
    )
    for column in columns:
        op.add_column("generation", column, schema="touchline")
        op.alter_column("generation", column.name, server_default=None, schema="touchline")
