"""Which logins read the views of the schema `reporting`, and of which workspace."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the table empty."""
    op.create_table(
        "reporting_login",
        sa.Column("login", sa.Text, primary_key=True, comment="the name of a role of PostgreSQL"),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="touchline",
    )
