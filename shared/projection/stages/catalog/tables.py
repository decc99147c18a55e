"""Campaigns, assets, who held what when, and what a touch of a key at a time is to a campaign."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.projection.metadata import OrderText, key_column, projection, workspace_column

campaign = sa.Table(
    "campaign", projection, workspace_column(),
    key_column("campaign", primary_key=True),
    sa.Column("campaign_id", OrderText, nullable=False),
    key_column("created_us", nullable=False),
    key_column("deleted_us"),
    sa.Column("deleted_event", OrderText),
    sa.Column("name", sa.Text),
    sa.Column("starts_on", sa.Date),
    sa.Column("ends_on", sa.Date),
    sa.Column("owner", sa.Text),
    sa.Column("budget_minor", sa.BigInteger),
    sa.Column("currency", sa.Text),
    sa.Column("notes", sa.Text),
    sa.Index("campaign_by_id", "ws", "campaign_id", unique=True),
    sa.Index(
        "campaign_name", "ws", sa.text("""(lower(coalesce(name, campaign_id COLLATE "default")) COLLATE "C")"""), "campaign_id"
    ),
)  # fmt: skip

asset = sa.Table(
    "asset", projection, workspace_column(),
    key_column("asset", primary_key=True),
    sa.Column("asset_id", OrderText, nullable=False),
    sa.Column("asset_type", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("target_url", sa.Text),
    sa.Column("network", sa.Text, comment="of an advertisement: google, facebook, …"),
    sa.Column("ad_type", sa.Text, comment="of an advertisement: search, display, …"),
    sa.Column("published", sa.Boolean, nullable=False),
    sa.Column("published_us", postgresql.ARRAY(sa.BigInteger), nullable=False, comment="all its publications, in order"),
    sa.Index("asset_name", "ws", sa.text("""(lower(coalesce(name, asset_id COLLATE "default")) COLLATE "C")"""), "asset_id"),
)  # fmt: skip

association = sa.Table(
    "association", projection, workspace_column(),
    key_column("asset", primary_key=True),
    key_column("campaign", primary_key=True),
    key_column("from_us", primary_key=True),
    key_column("to_us", nullable=False),
    sa.Column("event_id", OrderText, nullable=False),
    sa.Index("association_campaign", "ws", "campaign"),
    comment="the campaign holds the asset from (inclusive) to (exclusive)",
)  # fmt: skip

ignored_association = sa.Table(
    "ignored_association", projection, workspace_column(),
    key_column("asset", primary_key=True),
    key_column("campaign", primary_key=True),
    key_column("occurred_at_us", primary_key=True),
    sa.Column("event_id", OrderText, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False, comment="shared.rules.association.IgnoredAssociation"),
    sa.Index("ignored_association_campaign", "ws", "campaign"),
    comment="associations and dissociations that changed nothing, and why",
)  # fmt: skip

address = sa.Table(
    "address", projection, workspace_column(),
    key_column("page", primary_key=True),
    key_column("from_us", primary_key=True),
    key_column("to_us", nullable=False),
    key_column("asset", nullable=False),
    sa.Column("route", sa.SmallInteger, nullable=False, comment="shared.rules.pre_association.Route: a page, or a link"),
    sa.Index("address_asset", "ws", "asset"),
    comment="whose a page's address or a link is, from (inclusive) to (exclusive)",
)  # fmt: skip

attribution_window = sa.Table(
    "attribution_window", projection, workspace_column(),
    key_column("campaign", primary_key=True),
    sa.Column("route", sa.SmallInteger, primary_key=True, comment="shared.rules.pre_association.Route"),
    key_column("key", primary_key=True),
    key_column("from_us", primary_key=True),
    key_column("to_us", nullable=False),
    sa.Column("window_status", sa.SmallInteger, nullable=False, comment="shared.rules.pre_association.WindowStatus"),
    key_column("asset"),
    sa.Index("attribution_window_key", "ws", "key", "from_us"),
    comment="what a touch of a key at a time is to a campaign that ever held or claimed the key",
)  # fmt: skip
