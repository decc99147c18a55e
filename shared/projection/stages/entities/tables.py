"""Events that are no touch, by the entity that they are about, and what the workspace has set."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.projection.metadata import OrderText, key_column, projection, workspace_column

entity_event = sa.Table(
    "entity_event", projection, workspace_column(),
    key_column("subject", primary_key=True),
    key_column("occurred_at_us", primary_key=True),
    sa.Column("event_id", OrderText, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    key_column("object"),
    key_column("leads_to"),
    sa.Column("live", sa.Boolean, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("entity_event_object", "ws", "object", postgresql_where=sa.text("object IS NOT NULL")),
    sa.Index("entity_event_leads_to", "ws", "leads_to", postgresql_where=sa.text("leads_to IS NOT NULL")),
    comment="every event that is no touch; subject and object are the entities that it is about, leads_to a registered link",
)  # fmt: skip

settings = sa.Table(
    "settings", projection, workspace_column(),
    sa.Column("body", postgresql.JSONB, nullable=False),
)  # fmt: skip
