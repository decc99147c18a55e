"""More than one generation may be projected: the live one, and those that are to be live or were."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """The live one was followed all along."""
    column = sa.Column(
        "followed", sa.Boolean, nullable=False, server_default=sa.false(), comment="whether projectors project into it"
    )
    op.add_column("generation", column, schema="touchline")
    op.execute("UPDATE touchline.generation SET followed = live")
