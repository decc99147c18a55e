"""From which web pages a collect key may be used, what was refused to pages of which origin, and which events came last."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column empty: keys of earlier releases may be used from every origin, as before."""
    column = sa.Column("origins", postgresql.ARRAY(sa.Text), comment="of web pages that may use it; null: of all")
    op.add_column("access_key", column, schema="touchline")
    op.create_table(
        "browser_notice",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("key_hint", sa.Text, primary_key=True, comment="the first characters of the key; empty: no such key"),
        sa.Column("origin", sa.Text, primary_key=True, comment="of the web page; empty: the browser does not say"),
        sa.Column("notice", sa.Text, primary_key=True, comment="what happened: origin_not_allowed, consent_awaited, …"),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        schema="touchline",
    )
    op.create_table(
        "browser_arrival",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("key_hint", sa.Text, primary_key=True, comment="the first characters of the key"),
        sa.Column(
            "event_ids",
            postgresql.ARRAY(sa.Text),
            nullable=False,
            comment="the latest few of web pages, the newest first",
        ),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        schema="touchline",
    )
