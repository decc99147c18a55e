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
    key_column("first_visit_asset_or_page"),
    key_column("first_visit_utm"),
    key_column("conversion_utm"),
    sa.Column("properties", postgresql.JSONB, nullable=False),
    sa.Column("internal", sa.Boolean, nullable=False, comment="has an email of the workspace's own domains"),
    sa.Index("contact_name", "ws", "name", "contact"),
    sa.Index("contact_created", "ws", "created_us", "contact"),
    *(
        sa.Index(f"contact_{key}", "ws", key, "created_us", postgresql_where=sa.text(f"{key} IS NOT NULL"))
        for key in ("first_visit_asset_or_page", "first_visit_utm", "conversion_utm")
    ),
)  # fmt: skip

conversion_touch = sa.Table(
    "conversion_touch", projection, workspace_column(),
    key_column("asset_or_page_key", primary_key=True),
    key_column("created_us", primary_key=True),
    key_column("contact", primary_key=True),
    key_column("occurred_at_us", primary_key=True),
    sa.Index("conversion_touch_contact", "ws", "contact"),
    comment="what each contact touched in the session of its conversion, up to it: of this, its last touch may be",
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
