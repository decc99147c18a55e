"""What came of each verification of the live projection, and how far the builder of a generation is."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the table empty; what is known of earlier generations stays as it is."""
    op.create_table(
        "verification",
        sa.Column("number", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("made_by", sa.Text, nullable=False, comment="verify or rebuild"),
        sa.Column("generation", sa.Text, nullable=False, comment="the live one, which was compared with the log"),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("ended_at", sa.DateTime(timezone=True), comment="null: it goes on, or was killed"),
        sa.Column("outcome", sa.Text, comment="agreed, differed or failed; null: it has not ended"),
        sa.Column("offsets", postgresql.JSONB, comment="by partition: up to where the log was compared"),
        sa.Column("sample", postgresql.JSONB, comment="which part was compared; null: everything"),
        sa.Column("tables", sa.Integer, comment="how many were compared"),
        sa.Column("row_count", sa.BigInteger, comment="of those tables in the live generation"),
        sa.Column("differences", postgresql.ARRAY(sa.Text), comment="the first few, in words, without values of rows"),
        sa.Column("left_out", postgresql.ARRAY(sa.Text), comment="workspaces that were not compared"),
        sa.Column("failure", sa.Text, comment="why it failed"),
        schema="touchline",
    )
    for column in (
        sa.Column("events_built", sa.BigInteger, comment="how far its builder was; null: it has told nothing yet"),
        sa.Column("events_to_build", sa.BigInteger),
        sa.Column("built_at", sa.DateTime(timezone=True), comment="when its builder told it last"),
    ):
        op.add_column("generation", column, schema="touchline")
