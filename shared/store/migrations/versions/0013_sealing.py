"""The vault of names of persons, and whether the store is sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create both tables empty: a store is sealed only when its operator says so."""
    op.create_table(
        "sealing",
        sa.Column(
            "one",
            sa.Boolean,
            sa.CheckConstraint("one"),
            primary_key=True,
            server_default=sa.true(),
            comment="there is one row at most",
        ),
        sa.Column("key_check", sa.LargeBinary, nullable=False, comment="tells the master key; reveals nothing of it"),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="touchline",
    )
    op.create_table(
        "person",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True, comment="keyed, of the name's kind and text"),
        sa.Column("pseudonym", sa.Text, nullable=False, comment="what stands for the name in the log"),
        sa.Column("key", sa.BigInteger, nullable=False, comment="of the pseudonym in the projection"),
        sa.Column(
            "sealed",
            sa.LargeBinary,
            nullable=False,
            comment="the name, and the seed of the person's key, under the master key",
        ),
        sa.Index("person_key", "workspace_id", "key"),
        schema="touchline",
    )
