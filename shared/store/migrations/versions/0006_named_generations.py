"""A generation may hold one workspace, use changed events and expire; readers may use it once it is complete."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Mark generations that are live or followed as complete."""
    for column in (
        sa.Column("workspace_id", sa.Text, comment="the only workspace that it holds; null: all"),
        sa.Column("changes", postgresql.JSONB, comment="what its events have otherwise than the log"),
        sa.Column("ready_at", sa.DateTime(timezone=True), comment="since when it is whole and may be read"),
        sa.Column("expires_at", sa.DateTime(timezone=True), comment="when it is thrown away; null: never"),
    ):
        op.add_column("generation", column, schema="touchline")
    op.execute("UPDATE touchline.generation SET ready_at = now() WHERE live OR followed")
