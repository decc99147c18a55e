"""Which identifiers are one contact, and whose a visitor's touches are over time."""

import sqlalchemy as sa

from shared.projection.metadata import OrderText, key_column, projection, workspace_column

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
