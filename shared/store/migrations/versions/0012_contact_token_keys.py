"""Contact tokens: the secret of each workspace that encrypts and signs them."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the table empty: a workspace gets its secret with its first token."""
    op.create_table(
        "contact_token_key",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("secret", sa.LargeBinary, nullable=False, comment="of AES-SIV: 64 bytes"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="touchline",
    )
