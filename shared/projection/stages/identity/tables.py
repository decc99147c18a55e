"""Which identifiers are one contact, and whose a visitor's touches are over time."""

import sqlalchemy as sa

from shared.projection.metadata import OrderText, key_column, projection, workspace_column

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

identity_interval = sa.Table(
    "identity_interval", projection, workspace_column(),
    key_column("person", primary_key=True),
    key_column("from_us", primary_key=True),
    sa.Column("from_event", OrderText, primary_key=True),
    key_column("to_us", nullable=False),
    sa.Column("to_event", OrderText, nullable=False),
    key_column("identifier", nullable=False),
    key_column("contact", nullable=False),
    sa.Index("identity_interval_identifier", "ws", "identifier"),
    sa.Index("identity_interval_contact", "ws", "contact"),
    comment="whose a person's touches are, from (inclusive) to (exclusive) in order",
)  # fmt: skip

internal_contact = sa.Table(
    "internal_contact", projection, workspace_column(),
    key_column("contact", primary_key=True),
    comment="the contacts that have an email address of the workspace's own domains",
)  # fmt: skip
