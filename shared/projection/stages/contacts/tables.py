"""How each contact came to be, and what is known of it."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.projection.metadata import OrderText, key_column, projection, workspace_column

contact = sa.Table(
    "contact", projection, workspace_column(),
    key_column("contact", primary_key=True),
    sa.Column("name", OrderText, nullable=False),
    key_column("created_us", nullable=False),
    sa.Column("created_event", OrderText, nullable=False, comment="its conversion"),
    key_column("first_visit_person"),
    key_column("first_visit_us"),
    sa.Column("first_visit_event", OrderText),
    key_column("conversion_session"),
    key_column("conversion_utm"),
    sa.Column("properties", postgresql.JSONB, nullable=False),
    sa.Column("internal", sa.Boolean, nullable=False, comment="has an email of the workspace's own domains"),
    sa.Index("contact_name", "ws", "name", "contact"),
    sa.Index("contact_created", "ws", "created_us", "contact"),
    sa.Index("contact_conversion_session", "ws", "conversion_session"),
    sa.Index("contact_conversion_utm", "ws", "conversion_utm"),
    sa.Index("contact_first_visit", "ws", "first_visit_person", "first_visit_us"),
)  # fmt: skip

salesforce_member = sa.Table(
    "salesforce_member", projection, workspace_column(),
    sa.Column("salesforce_campaign_id", sa.Text, primary_key=True),
    key_column("contact", primary_key=True),
    sa.Column("source", sa.Text, nullable=False, comment="sync, form, workflow, or property"),
    key_column("joined_us", nullable=False),
    sa.Column("joined_event", OrderText, nullable=False, comment="since which it is in"),
    sa.Index("salesforce_member_contact", "ws", "contact"),
    comment="which contacts are in which Salesforce campaigns, how they came in and since when",
)  # fmt: skip
