"""Which events are in the set: every id once, what is retracted, and how late events came."""

import sqlalchemy as sa

from shared.projection.metadata import OrderText, key_column, projection, workspace_column

event_index = sa.Table(
    "event_index", projection, workspace_column(),
    sa.Column("event_key", sa.LargeBinary, primary_key=True, comment="128-bit digest of the event id"),
    key_column("occurred_at_us", nullable=False),
    key_column("place", nullable=False),
    sa.Column("is_touch", sa.Boolean, nullable=False),
    sa.Column("live", sa.Boolean, nullable=False, comment="false: retracted"),
    sa.Column("log_offset", sa.BigInteger, nullable=False),
    sa.Column(
        "sent_hash", sa.BigInteger, nullable=False,
        comment="of the bytes as sent, with an as_of of the canonical JSON: equal ones of one as_of are the same event",
    ),
    key_column("as_of_us"),
    sa.Index("event_index_offset", "ws", "log_offset"),
    comment="every event id once; `place` is the touch's person or the entity_event's subject",
)  # fmt: skip

retraction = sa.Table(
    "retraction", projection, workspace_column(),
    sa.Column("target", OrderText, primary_key=True),
    sa.Column("event_id", OrderText, primary_key=True),
    key_column("occurred_at_us", nullable=False),
    sa.Column("met", sa.Boolean, nullable=False, comment="whether the target has arrived"),
    sa.Index("retraction_event", "ws", "event_id"),
    sa.Index("retraction_unmet", "ws", postgresql_where=sa.text("NOT met")),
)  # fmt: skip

lateness = sa.Table(
    "lateness", projection, workspace_column(),
    sa.Column("bucket", sa.SmallInteger, primary_key=True, autoincrement=False, comment="shared.rules.settled.bucket"),
    sa.Column("events", sa.BigInteger, nullable=False),
    comment="how late the workspace's live events came",
)  # fmt: skip
