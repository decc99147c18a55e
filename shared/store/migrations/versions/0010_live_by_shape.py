"""Every shape has its own live generation, so that two releases with different shapes can serve at the same time."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the table empty: earlier releases keep using `generation.live`, which this release does not read."""
    op.create_table(
        "live_generation",
        sa.Column("shape", sa.Text, primary_key=True, comment="of the releases that read it"),
        sa.Column("name", sa.Text, sa.ForeignKey("touchline.generation.name"), nullable=False, unique=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="touchline",
    )
    column = sa.Column("lists", postgresql.JSONB, comment="packages of lists that it was begun with: name and version")
    op.add_column("generation", column, schema="touchline")
    for name, comment in (
        ("live", "as releases before 0010 know it; see live_generation"),
        ("followed", "whether projectors project into it though it is not the live one of its shape"),
    ):
        op.alter_column("generation", name, comment=comment, schema="touchline")
