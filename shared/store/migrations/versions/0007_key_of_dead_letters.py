"""A dead letter records which access key sent it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Existing dead letters get no key."""
    column = sa.Column("key_hint", sa.Text, comment="the first characters of the key that sent it, or `backfill`")
    op.add_column("dead_letter", column, schema="touchline")
    op.create_index(
        "dead_letter_reason", "dead_letter", ["workspace_id", "reason", "key_hint"], schema="touchline"
    )  # the counts that `touchline status` prints need this index only
