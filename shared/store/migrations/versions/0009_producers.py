"""Outside producers: which workspace each of their accounts belongs to, and the outcome of their messages."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create both tables empty."""
    op.create_table(
        "producer_account",
        sa.Column("producer", sa.Text, primary_key=True, comment="the format: hubspot, sendgrid, …"),
        sa.Column("account", sa.Text, primary_key=True, comment="what the producer's messages or their URL name"),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False, comment="that signatures are checked with"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="touchline",
    )
    op.create_table(
        "producer_count",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("producer", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True, comment="what the producer calls such messages"),
        sa.Column("outcome", sa.Text, primary_key=True, comment="mapped, unmapped or refused"),
        sa.Column("reason", sa.Text, primary_key=True, comment="the code of a refusal; else empty"),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        schema="touchline",
    )
    column = sa.Column("producer", sa.Text, comment="whose format the body has; null: our own")
    op.add_column("dead_letter", column, schema="touchline")
