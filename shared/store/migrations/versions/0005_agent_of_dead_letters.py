"""A refused event that is sent again is still of the browser that sent it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Letters so far know none."""
    column = sa.Column("user_agent", sa.Text, comment="of the request, where the event did not say it")
    op.add_column("dead_letter", column, schema="touchline")
