"""An operator sees which access key sent what was kept aside."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Letters so far do not tell their key."""
    column = sa.Column("key_hint", sa.Text, comment="the first characters of the key that sent it, or `backfill`")
    op.add_column("dead_letter", column, schema="touchline")
    op.create_index(
        "dead_letter_reason", "dead_letter", ["workspace_id", "reason", "key_hint"], schema="touchline"
    )  # the counts that `status` tells are read from it alone
