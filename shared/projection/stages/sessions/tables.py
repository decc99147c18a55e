"""The newest event and the last session of each visitor."""

import sqlalchemy as sa

from shared.projection.metadata import OrderText, key_column, projection, workspace_column

visitor = sa.Table(
    "visitor", projection, workspace_column(),
    key_column("visitor", primary_key=True),
    key_column("newest_us", nullable=False),
    sa.Column("newest_event", OrderText, nullable=False, comment="of all its events: what comes later is in order"),
    key_column("owner"),
    key_column("session"),
    key_column("session_at_us"),
    sa.Column("session_is_new", sa.Boolean),
    key_column("session_last_us"),
    key_column("session_source"),
)  # fmt: skip
