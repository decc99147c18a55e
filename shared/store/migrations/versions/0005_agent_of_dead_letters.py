"""Keep the user agent of a refused event, so that sending it again does not change it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Existing dead letters get no user agent."""
    column = sa.Column("user_agent", sa.Text, comment="of the request, where the event did not say it")
    op.add_column("dead_letter", column, schema="touchline")
