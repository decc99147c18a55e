"""Projectors may write several generations: the live one, those that will become live and those that were."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Mark the live generation, the only one that projectors wrote so far, as followed."""
    column = sa.Column(
        "followed", sa.Boolean, nullable=False, server_default=sa.false(), comment="whether projectors project into it"
    )
    op.add_column("generation", column, schema="touchline")
    op.execute("UPDATE touchline.generation SET followed = live")
