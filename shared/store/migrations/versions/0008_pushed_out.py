"""Count, for each access key, the dead letters that were deleted to make room for newer ones."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Start counting at 0. The index finds the oldest dead letters of a key among the events that ingest refused."""
    op.create_table(
        "dead_letter_pushed_out",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("key_class", sa.Text, primary_key=True),
        sa.Column(
            "key_hint", sa.Text, primary_key=True, comment="the first characters of the key; empty: it is not known"
        ),
        sa.Column("events", sa.BigInteger, nullable=False),
        schema="touchline",
    )
    op.create_index(
        "dead_letter_key", "dead_letter", ["workspace_id", "key_class", "key_hint", "dead_letter_id"], schema="touchline",
        postgresql_where=sa.text('"offset" IS NULL'),
    )  # fmt: skip
