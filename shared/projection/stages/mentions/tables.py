"""Which events name which identifiers, and which pairs of identifiers they say are one contact."""

import sqlalchemy as sa

from shared.projection.metadata import OrderText, key_column, projection, workspace_column

identifier_mention = sa.Table(
    "identifier_mention", projection, workspace_column(),
    key_column("identifier", primary_key=True),
    key_column("occurred_at_us", primary_key=True),
    sa.Column("event_id", OrderText, primary_key=True),
    key_column("visitor"),
    sa.Index("identifier_mention_visitor", "ws", "visitor", postgresql_where=sa.text("visitor IS NOT NULL")),
    comment="events that name an identifier and are not found by touch.person; with a visitor, it is identified",
)  # fmt: skip

identity_edge = sa.Table(
    "identity_edge", projection, workspace_column(),
    key_column("a", primary_key=True),
    key_column("b", primary_key=True),
    sa.Column("uses", sa.Integer, nullable=False, comment="how many events say that a and b are one contact"),
)  # fmt: skip

identifier = sa.Table(
    "identifier", projection, workspace_column(),
    key_column("identifier", primary_key=True),
    sa.Column("is_email", sa.Boolean, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    key_column("first_us", nullable=True),
    sa.Column("first_event", OrderText, comment="the earliest event that names it; null if all were retracted"),
    key_column("contact"),
    sa.Column("joined", sa.Integer, comment="how many others events say at once that it is one contact with; null: not derived"),
    sa.Index("identifier_contact", "ws", "contact"),
    sa.Index("identifier_joined", "ws", sa.text("joined DESC"), "identifier", postgresql_where=sa.text("joined >= 2")),
)  # fmt: skip
