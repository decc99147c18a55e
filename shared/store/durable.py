"""Which tables are kept whatever becomes of the projections?

These, in the schema `touchline`, changed by Alembic migrations only. All other tables can be rebuilt from the log.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

durable = sa.MetaData(schema="touchline")

workspace = sa.Table(
    "workspace", durable,
    sa.Column("number", sa.Integer, sa.Identity(), primary_key=True, comment="the short key of projection rows"),
    sa.Column("workspace_id", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)  # fmt: skip

access_key = sa.Table(
    "access_key", durable,
    sa.Column("sha256", sa.LargeBinary, primary_key=True, comment="of the whole key; the key itself is never stored"),
    sa.Column("workspace_id", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, sa.CheckConstraint("scope IN ('collect', 'server', 'read', 'admin')"), nullable=False),
    sa.Column("hint", sa.Text, nullable=False, comment="its first characters, to tell keys apart"),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("revoked_at", sa.DateTime(timezone=True)),
    sa.Column("origins", postgresql.ARRAY(sa.Text), comment="of web pages that may use it; null: of all"),
    sa.Index("access_key_workspace", "workspace_id"),
)  # fmt: skip

log_partition = sa.Table(
    "log_partition", durable,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False, server_default="0"),
    postgresql_with={"fillfactor": "10"},
)  # fmt: skip

event_log = sa.Table(
    "event_log", durable,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("base_offset", sa.BigInteger, primary_key=True, autoincrement=False, comment="of the row's first event"),
    sa.Column("event_count", sa.Integer, nullable=False),
    sa.Column("workspace", sa.Text, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False, comment="zstd of a msgpack array of records"),
)  # fmt: skip

dead_letter = sa.Table(
    "dead_letter", durable,
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
    sa.Column("user_agent", sa.Text, comment="of the request, where the event did not say it"),
    sa.Column("key_hint", sa.Text, comment="the first characters of the key that sent it, or `backfill`"),
    sa.Column("producer", sa.Text, comment="whose format the body has; null: our own"),
    sa.Index("dead_letter_workspace", "workspace_id", "dead_letter_id"),
    sa.Index("dead_letter_event", "workspace_id", "event_id"),
    sa.Index("dead_letter_reason", "workspace_id", "reason", "key_hint"),
    sa.Index(
        "dead_letter_key", "workspace_id", "key_class", "key_hint", "dead_letter_id",
        postgresql_where=sa.text('"offset" IS NULL'),
    ),
    sa.UniqueConstraint("partition", "offset", name="dead_letter_position"),
)  # fmt: skip

producer_account = sa.Table(
    "producer_account", durable,
    sa.Column("producer", sa.Text, primary_key=True, comment="the format: hubspot, sendgrid, …"),
    sa.Column("account", sa.Text, primary_key=True, comment="what the producer's messages or their URL name"),
    sa.Column("workspace_id", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False, comment="that signatures are checked with"),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)  # fmt: skip

producer_count = sa.Table(
    "producer_count", durable,
    sa.Column("workspace_id", sa.Text, primary_key=True),
    sa.Column("producer", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True, comment="what the producer calls such messages"),
    sa.Column("outcome", sa.Text, primary_key=True, comment="mapped, unmapped or refused"),
    sa.Column("reason", sa.Text, primary_key=True, comment="the code of a refusal; else empty"),
    sa.Column("messages", sa.BigInteger, nullable=False),
    sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
    sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
)  # fmt: skip

contact_token_key = sa.Table(
    "contact_token_key", durable,
    sa.Column("workspace_id", sa.Text, primary_key=True),
    sa.Column("secret", sa.LargeBinary, nullable=False, comment="of AES-SIV: 64 bytes"),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)  # fmt: skip

dead_letter_pushed_out = sa.Table(
    "dead_letter_pushed_out", durable,
    sa.Column("workspace_id", sa.Text, primary_key=True),
    sa.Column("key_class", sa.Text, primary_key=True),
    sa.Column("key_hint", sa.Text, primary_key=True, comment="the first characters of the key; empty: it is not known"),
    sa.Column("events", sa.BigInteger, nullable=False),
)  # fmt: skip

browser_notice = sa.Table(
    "browser_notice", durable,
    sa.Column("workspace_id", sa.Text, primary_key=True),
    sa.Column("key_hint", sa.Text, primary_key=True, comment="the first characters of the key; empty: no such key"),
    sa.Column("origin", sa.Text, primary_key=True, comment="of the web page; empty: the browser does not say"),
    sa.Column("notice", sa.Text, primary_key=True, comment="what happened: origin_not_allowed, consent_awaited, …"),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
    sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
)  # fmt: skip

browser_arrival = sa.Table(
    "browser_arrival", durable,
    sa.Column("workspace_id", sa.Text, primary_key=True),
    sa.Column("key_hint", sa.Text, primary_key=True, comment="the first characters of the key"),
    sa.Column("event_ids", postgresql.ARRAY(sa.Text), nullable=False, comment="the latest few of web pages, the newest first"),
    sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
)  # fmt: skip

generation = sa.Table(
    "generation", durable,
    sa.Column("name", sa.Text, primary_key=True, comment="the schema that holds it"),
    sa.Column(
        "live", sa.Boolean, nullable=False, server_default=sa.false(), comment="as releases before 0010 know it; see live_generation"
    ),
    sa.Column(
        "followed", sa.Boolean, nullable=False, server_default=sa.false(),
        comment="whether projectors project into it though it is not the live one of its shape",
    ),
    sa.Column("shape", sa.Text, nullable=False, comment="digest of the projection tables that it was made with"),
    sa.Column("log", sa.Text, nullable=False, comment="the log that it is a projection of"),
    sa.Column("partitions", sa.Integer, nullable=False, comment="of that log"),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("workspace_id", sa.Text, comment="the only workspace that it holds; null: all"),
    sa.Column("changes", postgresql.JSONB, comment="what its events have otherwise than the log"),
    sa.Column("ready_at", sa.DateTime(timezone=True), comment="since when it is whole and may be read"),
    sa.Column("expires_at", sa.DateTime(timezone=True), comment="when it is thrown away; null: never"),
    sa.Column("lists", postgresql.JSONB, comment="packages of lists that it was begun with: name and version"),
    sa.Column("events_built", sa.BigInteger, comment="how far its builder was; null: it has told nothing yet"),
    sa.Column("events_to_build", sa.BigInteger),
    sa.Column("built_at", sa.DateTime(timezone=True), comment="when its builder told it last"),
    sa.Index("generation_live", "live", unique=True, postgresql_where=sa.text("live")),
)  # fmt: skip

live_generation = sa.Table(
    "live_generation", durable,
    sa.Column("shape", sa.Text, primary_key=True, comment="of the releases that read it"),
    sa.Column("name", sa.Text, sa.ForeignKey("touchline.generation.name"), nullable=False, unique=True),
    sa.Column("since", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)  # fmt: skip

verification = sa.Table(
    "verification", durable,
    sa.Column("number", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("made_by", sa.Text, nullable=False, comment="verify or rebuild"),
    sa.Column("generation", sa.Text, nullable=False, comment="the live one, which was compared with the log"),
    sa.Column("began_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("ended_at", sa.DateTime(timezone=True), comment="null: it goes on, or was killed"),
    sa.Column("outcome", sa.Text, comment="agreed, differed or failed; null: it has not ended"),
    sa.Column("offsets", postgresql.JSONB, comment="by partition: up to where the log was compared"),
    sa.Column("sample", postgresql.JSONB, comment="which part was compared; null: everything"),
    sa.Column("tables", sa.Integer, comment="how many were compared"),
    sa.Column("row_count", sa.BigInteger, comment="of those tables in the live generation"),
    sa.Column("differences", postgresql.ARRAY(sa.Text), comment="the first few, in words, without values of rows"),
    sa.Column("left_out", postgresql.ARRAY(sa.Text), comment="workspaces that were not compared"),
    sa.Column("failure", sa.Text, comment="why it failed"),
)  # fmt: skip

reporting_login = sa.Table(
    "reporting_login", durable,
    sa.Column("login", sa.Text, primary_key=True, comment="the name of a role of PostgreSQL"),
    sa.Column("workspace_id", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)  # fmt: skip

sealing = sa.Table(
    "sealing", durable,
    sa.Column(
        "one", sa.Boolean, sa.CheckConstraint("one"), primary_key=True, server_default=sa.true(), comment="there is one row at most"
    ),
    sa.Column("key_check", sa.LargeBinary, nullable=False, comment="tells the master key; reveals nothing of it"),
    sa.Column("since", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)  # fmt: skip

person = sa.Table(
    "person", durable,
    sa.Column("workspace_id", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True, comment="keyed, of the name's kind and text"),
    sa.Column("pseudonym", sa.Text, nullable=False, comment="what stands for the name in the log"),
    sa.Column("key", sa.BigInteger, nullable=False, comment="of the pseudonym in the projection"),
    sa.Column(
        "sealed", sa.LargeBinary, nullable=False, comment="the name, and the seed of the person's key, under the master key"
    ),
    sa.Index("person_key", "workspace_id", "key"),
)  # fmt: skip
