"""User agents, as the workspace's rules judge them."""

import sqlalchemy as sa

from shared.projection.metadata import key_column, projection, workspace_column

agent = sa.Table(
    "agent", projection, workspace_column(),
    key_column("agent", primary_key=True),
    sa.Column("user_agent", sa.Text, nullable=False),
    sa.Column("visits", sa.Boolean, nullable=False, comment="whether its touches are a machine's"),
    sa.Column("opens", sa.Boolean, nullable=False, comment="whether its openings of emails are a machine's"),
    comment="every user agent once, as the workspace's present rules judge it",
)  # fmt: skip
