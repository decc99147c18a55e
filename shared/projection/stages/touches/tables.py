"""Every touch once, and the utm values that can be read in two ways."""

import sqlalchemy as sa

from shared.projection.metadata import OrderText, key_column, projection, workspace_column

touch = sa.Table(
    "touch", projection,
    sa.Column("ws", sa.Integer, nullable=False),
    key_column("person", nullable=False),
    key_column("occurred_at_us", nullable=False),
    sa.Column("event_id", OrderText, nullable=False),
    sa.Column("type", sa.SmallInteger, nullable=False, comment="shared.rules.influence.TouchType"),
    sa.Column("traffic_class", sa.SmallInteger, nullable=False, comment="shared.rules.excluded_traffic.TrafficClass"),
    sa.Column("flags", sa.SmallInteger, nullable=False, comment="what the event says of itself: 1 machine, 2 internal; 4: a mail scanner clicked"),
    key_column("agent"),
    sa.Column("by_visitor", sa.Boolean, nullable=False, comment="whether person is a visitor or a contact's identifier"),
    sa.Column("session_is_new", sa.Boolean, comment="whether it is the visitor's first session ever"),
    sa.Column("count", sa.Integer, nullable=False),
    key_column("asset_or_page_key"),
    key_column("via"),
    key_column("utm"),
    key_column("source"),
    key_column("session"),
    key_column("session_at_us"),
    sa.Column("asset_id", sa.Text),
    sa.Column("via_asset_id", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("referrer", sa.Text),
    sa.Column("utm_told", sa.Text, comment="the utm fields that stood beside the URL, as a query"),
    sa.Column("kind", sa.Text),
    sa.Index("touch_person", "ws", "person", "occurred_at_us"),
    sa.Index("touch_email_clicked", "ws", "person", postgresql_where=sa.text("type = 8")),  # TouchType.EMAIL_CLICKED
    sa.Index(
        "touch_asset_or_page", "ws", "asset_or_page_key", "occurred_at_us",
        postgresql_where=sa.text("asset_or_page_key IS NOT NULL"),
    ),
    sa.Index("touch_via", "ws", "via", "occurred_at_us", postgresql_where=sa.text("via IS NOT NULL")),
    sa.Index("touch_utm", "ws", "utm", "occurred_at_us", postgresql_where=sa.text("utm IS NOT NULL")),
    postgresql_partition_by="RANGE (occurred_at_us)",
    comment="every touch once, with its session; asset_or_page_key is the asset named, else the page's address; via likewise, or the link",
)  # fmt: skip

utm_reading = sa.Table(
    "utm_reading", projection, workspace_column(),
    key_column("value", primary_key=True),
    key_column("decoded", nullable=False),
    sa.Index("utm_reading_decoded", "ws", "decoded"),
    comment="every utm value that ever came and reads otherwise when it is decoded once more",
)  # fmt: skip
