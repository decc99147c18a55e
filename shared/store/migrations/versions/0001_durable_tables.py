"""The durable tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

S = "touchline"


def upgrade() -> None:
    """Workspaces, keys, the log, dead letters and the list of generations."""
    op.create_table(
        "workspace",
        sa.Column("number", sa.Integer, sa.Identity(), primary_key=True, comment="the short key of projection rows"),
        sa.Column("workspace_id", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema=S,
    )
    op.create_table(
        "access_key",
        sa.Column(
            "sha256", sa.LargeBinary, primary_key=True, comment="of the whole key; the key itself is never stored"
        ),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column(
            "scope", sa.Text, sa.CheckConstraint("scope IN ('collect', 'server', 'read', 'admin')"), nullable=False
        ),
        sa.Column("hint", sa.Text, nullable=False, comment="its first characters, to tell keys apart"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        schema=S,
    )
    op.create_index("access_key_workspace", "access_key", ["workspace_id"], schema=S)
    op.create_table(
        "log_partition",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False, server_default="0"),
        schema=S,
        postgresql_with={"fillfactor": "10"},
    )
    op.create_table(
        "event_log",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column(
            "base_offset", sa.BigInteger, primary_key=True, autoincrement=False, comment="of the row's first event"
        ),
        sa.Column("event_count", sa.Integer, nullable=False),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False, comment="zstd of a msgpack array of records"),
        schema=S,
    )
    op.execute(f"ALTER TABLE {S}.event_log ALTER COLUMN payload SET STORAGE EXTERNAL")  # it is compressed already
    op.create_table(
        "dead_letter",
        sa.Column("dead_letter_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("key_class", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text),
        sa.Column("partition", sa.Integer, comment="where the log holds it; null if ingest refused it"),
        sa.Column("offset", sa.BigInteger),
        sa.Column("body", sa.LargeBinary, nullable=False, comment="the event as sent"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("partition", "offset", name="dead_letter_position"),
        schema=S,
    )
    op.create_index("dead_letter_workspace", "dead_letter", ["workspace_id", "dead_letter_id"], schema=S)
    op.create_table(
        "generation",
        sa.Column("name", sa.Text, primary_key=True, comment="the schema that holds it"),
        sa.Column("live", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("shape", sa.Text, nullable=False, comment="digest of the projection tables that it was made with"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema=S,
    )
    op.create_index("generation_live", "generation", ["live"], unique=True, schema=S, postgresql_where=sa.text("live"))
