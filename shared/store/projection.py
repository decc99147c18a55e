"""Which tables hold one complete projection?

A generation is a schema with all of these. They have no migrations: a new shape is a new generation, rebuilt from the log.
Instants are microseconds since 1970 UTC in columns that end in `_us`; persons, assets, values, campaigns, contacts and
deals are 64-bit keys (`shared.rules.keys`) beside which the name stands once. Every key begins with the workspace `ws`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from shared.rules.models import MODELS

projection = sa.MetaData()

OrderText = sa.Text(collation="C")  # compares as UTF-8 bytes, like rule **order**
CONTENT = 5  # grows when the same events make other rows of the same tables
TOUCH_LEAF_DAYS = 91  # a partition of touch; keeps the indexes that live traffic writes to small


def _ws() -> "sa.Column[int]":
    return sa.Column("ws", sa.Integer, primary_key=True, autoincrement=False)


def _key(name: str, **options: bool) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, autoincrement=False, **options)  # type: ignore[arg-type]


progress = sa.Table(
    "progress", projection,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False, comment="grows with every projector that takes the partition"),
    sa.Column("events", sa.BigInteger, nullable=False, comment="projected so far, duplicates among them"),
    sa.Column("received_us", sa.BigInteger, nullable=False, comment="the latest receipt among them"),
    comment="how far each partition is projected; moved by compare-and-set in the batch's own transaction",
)  # fmt: skip

event_index = sa.Table(
    "event_index", projection, _ws(),
    sa.Column("event_key", sa.LargeBinary, primary_key=True, comment="128-bit digest of the event id"),
    _key("occurred_at_us", nullable=False),
    _key("place", nullable=False),
    sa.Column("is_touch", sa.Boolean, nullable=False),
    sa.Column("live", sa.Boolean, nullable=False, comment="false: retracted"),
    sa.Column("log_offset", sa.BigInteger, nullable=False),
    sa.Column(
        "sent_hash", sa.BigInteger, nullable=False,
        comment="of the bytes as sent, with an as_of of the canonical JSON: equal ones of one as_of are the same event",
    ),
    _key("as_of_us"),
    comment="every event id once; `place` is the touch's person or the entity_event's subject",
)  # fmt: skip

retraction = sa.Table(
    "retraction", projection, _ws(),
    sa.Column("target", OrderText, primary_key=True),
    sa.Column("event_id", OrderText, primary_key=True),
    _key("occurred_at_us", nullable=False),
    sa.Column("met", sa.Boolean, nullable=False, comment="whether the target has arrived"),
    sa.Index("retraction_event", "ws", "event_id"),
    sa.Index("retraction_unmet", "ws", postgresql_where=sa.text("NOT met")),
)  # fmt: skip

touch = sa.Table(
    "touch", projection,
    sa.Column("ws", sa.Integer, nullable=False),
    _key("person", nullable=False),
    _key("occurred_at_us", nullable=False),
    sa.Column("event_id", OrderText, nullable=False),
    sa.Column("type", sa.SmallInteger, nullable=False, comment="shared.rules.influence.TouchType"),
    sa.Column("traffic_class", sa.SmallInteger, nullable=False, comment="shared.rules.excluded_traffic.TrafficClass"),
    sa.Column("flags", sa.SmallInteger, nullable=False, comment="what the event says of itself: 1 machine, 2 internal; 4: a mail scanner clicked"),
    _key("agent"),
    sa.Column("by_visitor", sa.Boolean, nullable=False, comment="whether person is a visitor or a contact's identifier"),
    sa.Column("session_is_new", sa.Boolean, comment="whether it is the visitor's first session ever"),
    sa.Column("count", sa.Integer, nullable=False),
    _key("asset_or_page_key"),
    _key("via"),
    _key("utm"),
    _key("source"),
    _key("session"),
    _key("session_at_us"),
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

agent = sa.Table(
    "agent", projection, _ws(),
    _key("agent", primary_key=True),
    sa.Column("user_agent", sa.Text, nullable=False),
    sa.Column("visits", sa.Boolean, nullable=False, comment="whether its touches are a machine's"),
    sa.Column("opens", sa.Boolean, nullable=False, comment="whether its openings of emails are a machine's"),
    comment="every user agent once, as the workspace's present rules judge it",
)  # fmt: skip

utm_reading = sa.Table(
    "utm_reading", projection, _ws(),
    _key("value", primary_key=True),
    _key("decoded", nullable=False),
    sa.Index("utm_reading_decoded", "ws", "decoded"),
    comment="every utm value that ever came and reads otherwise when it is decoded once more",
)  # fmt: skip

entity_event = sa.Table(
    "entity_event", projection, _ws(),
    _key("subject", primary_key=True),
    _key("occurred_at_us", primary_key=True),
    sa.Column("event_id", OrderText, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    _key("object"),
    _key("leads_to"),
    sa.Column("live", sa.Boolean, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("entity_event_object", "ws", "object", postgresql_where=sa.text("object IS NOT NULL")),
    sa.Index("entity_event_leads_to", "ws", "leads_to", postgresql_where=sa.text("leads_to IS NOT NULL")),
    comment="every event that is no touch; subject and object are the entities that it is about, leads_to a registered link",
)  # fmt: skip

visitor = sa.Table(
    "visitor", projection, _ws(),
    _key("visitor", primary_key=True),
    _key("newest_us", nullable=False),
    sa.Column("newest_event", OrderText, nullable=False, comment="of all its events: what comes later is in order"),
    _key("owner"),
    _key("session"),
    _key("session_at_us"),
    sa.Column("session_is_new", sa.Boolean),
    _key("session_last_us"),
    _key("session_source"),
)  # fmt: skip

identifier_mention = sa.Table(
    "identifier_mention", projection, _ws(),
    _key("identifier", primary_key=True),
    _key("occurred_at_us", primary_key=True),
    sa.Column("event_id", OrderText, primary_key=True),
    _key("visitor"),
    sa.Index("identifier_mention_visitor", "ws", "visitor", postgresql_where=sa.text("visitor IS NOT NULL")),
    comment="events that name an identifier and are not found by touch.person; with a visitor, it is identified",
)  # fmt: skip

identity_edge = sa.Table(
    "identity_edge", projection, _ws(),
    _key("a", primary_key=True),
    _key("b", primary_key=True),
    sa.Column("uses", sa.Integer, nullable=False, comment="how many events say that a and b are one contact"),
)  # fmt: skip

identifier = sa.Table(
    "identifier", projection, _ws(),
    _key("identifier", primary_key=True),
    sa.Column("is_email", sa.Boolean, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    _key("first_us", nullable=True),
    sa.Column("first_event", OrderText, comment="the earliest event that names it; null if all were retracted"),
    _key("contact"),
    sa.Column("joined", sa.Integer, comment="how many others events say at once that it is one contact with; null: not derived"),
    sa.Index("identifier_contact", "ws", "contact"),
    sa.Index("identifier_joined", "ws", sa.text("joined DESC"), "identifier", postgresql_where=sa.text("joined >= 2")),
)  # fmt: skip

identity_interval = sa.Table(
    "identity_interval", projection, _ws(),
    _key("person", primary_key=True),
    _key("from_us", primary_key=True),
    sa.Column("from_event", OrderText, primary_key=True),
    _key("to_us", nullable=False),
    sa.Column("to_event", OrderText, nullable=False),
    _key("identifier", nullable=False),
    _key("contact", nullable=False),
    sa.Index("identity_interval_identifier", "ws", "identifier"),
    sa.Index("identity_interval_contact", "ws", "contact"),
    comment="whose a person's touches are, from (inclusive) to (exclusive) in order",
)  # fmt: skip

contact = sa.Table(
    "contact", projection, _ws(),
    _key("contact", primary_key=True),
    sa.Column("name", OrderText, nullable=False),
    _key("created_us", nullable=False),
    sa.Column("created_event", OrderText, nullable=False, comment="its conversion"),
    _key("first_visit_person"),
    _key("first_visit_us"),
    sa.Column("first_visit_event", OrderText),
    _key("conversion_session"),
    _key("conversion_utm"),
    sa.Column("properties", postgresql.JSONB, nullable=False),
    sa.Column("internal", sa.Boolean, nullable=False, comment="has an email of the workspace's own domains"),
    sa.Index("contact_name", "ws", "name", "contact"),
    sa.Index("contact_created", "ws", "created_us"),
    sa.Index("contact_internal", "ws", "contact", postgresql_where=sa.text("internal")),

    sa.Index("contact_conversion_session", "ws", "conversion_session"),
    sa.Index("contact_conversion_utm", "ws", "conversion_utm"),
    sa.Index("contact_first_visit", "ws", "first_visit_person", "first_visit_us"),
)  # fmt: skip

salesforce_member = sa.Table(
    "salesforce_member", projection, _ws(),
    sa.Column("salesforce_campaign_id", sa.Text, primary_key=True),
    _key("contact", primary_key=True),
    sa.Column("source", sa.Text, nullable=False, comment="sync, form, workflow, or property"),
    _key("joined_us", nullable=False),
    sa.Column("joined_event", OrderText, nullable=False, comment="since which it is in"),
    sa.Index("salesforce_member_contact", "ws", "contact"),
    comment="which contacts are in which Salesforce campaigns, how they came in and since when",
)  # fmt: skip

campaign = sa.Table(
    "campaign", projection, _ws(),
    _key("campaign", primary_key=True),
    sa.Column("campaign_id", OrderText, nullable=False),
    _key("created_us", nullable=False),
    _key("deleted_us"),
    sa.Column("deleted_event", OrderText),
    sa.Column("name", sa.Text),
    sa.Column("starts_on", sa.Date),
    sa.Column("ends_on", sa.Date),
    sa.Column("owner", sa.Text),
    sa.Column("budget_minor", sa.BigInteger),
    sa.Column("currency", sa.Text),
    sa.Column("notes", sa.Text),
    sa.Index("campaign_by_id", "ws", "campaign_id", unique=True),
)  # fmt: skip

asset = sa.Table(
    "asset", projection, _ws(),
    _key("asset", primary_key=True),
    sa.Column("asset_id", OrderText, nullable=False),
    sa.Column("asset_type", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("target_url", sa.Text),
    sa.Column("network", sa.Text, comment="of an advertisement: google, facebook, …"),
    sa.Column("ad_type", sa.Text, comment="of an advertisement: search, display, …"),
    sa.Column("published", sa.Boolean, nullable=False),
    sa.Column("published_us", postgresql.ARRAY(sa.BigInteger), nullable=False, comment="all its publications, in order"),
)  # fmt: skip

association = sa.Table(
    "association", projection, _ws(),
    _key("asset", primary_key=True),
    _key("campaign", primary_key=True),
    _key("from_us", primary_key=True),
    _key("to_us", nullable=False),
    sa.Column("event_id", OrderText, nullable=False),
    sa.Index("association_campaign", "ws", "campaign"),
    comment="the campaign holds the asset from (inclusive) to (exclusive)",
)  # fmt: skip

ignored_association = sa.Table(
    "ignored_association", projection, _ws(),
    _key("asset", primary_key=True),
    _key("campaign", primary_key=True),
    _key("occurred_at_us", primary_key=True),
    sa.Column("event_id", OrderText, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False, comment="shared.rules.association.IgnoredAssociation"),
    sa.Index("ignored_association_campaign", "ws", "campaign"),
    comment="associations and dissociations that changed nothing, and why",
)  # fmt: skip

address = sa.Table(
    "address", projection, _ws(),
    _key("page", primary_key=True),
    _key("from_us", primary_key=True),
    _key("to_us", nullable=False),
    _key("asset", nullable=False),
    sa.Column("route", sa.SmallInteger, nullable=False, comment="shared.rules.pre_association.Route: a page, or a link"),
    sa.Index("address_asset", "ws", "asset"),
    comment="whose a page's address or a link is, from (inclusive) to (exclusive)",
)  # fmt: skip

attribution_window = sa.Table(
    "attribution_window", projection, _ws(),
    _key("campaign", primary_key=True),
    sa.Column("route", sa.SmallInteger, primary_key=True, comment="shared.rules.pre_association.Route"),
    _key("key", primary_key=True),
    _key("from_us", primary_key=True),
    _key("to_us", nullable=False),
    sa.Column("window_status", sa.SmallInteger, nullable=False, comment="shared.rules.pre_association.WindowStatus"),
    _key("asset"),
    sa.Index("attribution_window_key", "ws", "key", "from_us"),
    comment="what a touch of a key at a time is to a campaign that ever held or claimed the key",
)  # fmt: skip

deal = sa.Table(
    "deal", projection, _ws(),
    _key("deal", primary_key=True),
    sa.Column("deal_id", OrderText, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("amount_minor", sa.BigInteger),
    sa.Column("currency", sa.Text, nullable=False),
    _key("created_us", nullable=False),
    _key("closed_us"),
    sa.Column("closed_event", OrderText),
    sa.Index("deal_closed", "ws", "closed_us"),
)  # fmt: skip

deal_named = sa.Table(
    "deal_named", projection, _ws(),
    _key("identifier", primary_key=True),
    _key("deal", primary_key=True),
    sa.Index("deal_named_deal", "ws", "deal"),
    comment="every identifier that a deal's events ever named: whose change may change the deal",
)  # fmt: skip

deal_contact = sa.Table(
    "deal_contact", projection, _ws(),
    _key("deal", primary_key=True),
    _key("contact", primary_key=True),
    sa.Column("associated_event", OrderText, nullable=False),
    sa.Index("deal_contact_contact", "ws", "contact"),
    comment="the eligible contacts of a deal",
)  # fmt: skip

credit = sa.Table(
    "credit", projection, _ws(),
    _key("deal", primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False, comment="the touch's place in the journey"),
    _key("person", nullable=False),
    _key("occurred_at_us", nullable=False),
    sa.Column("event_id", OrderText, nullable=False),
    sa.Column("type", sa.SmallInteger, nullable=False),
    _key("contact", nullable=False),
    sa.Column("asset_id", sa.Text),
    _key("asset_or_page_key"),
    _key("via"),
    _key("utm"),
    sa.Column("roles", postgresql.ARRAY(sa.Text), nullable=False),
    sa.Column("shares_minor", postgresql.JSONB, comment="minor units by the model's name; null if the deal has no amount"),
    sa.Index("credit_asset_or_page", "ws", "asset_or_page_key", postgresql_where=sa.text("asset_or_page_key IS NOT NULL")),
    sa.Index("credit_via", "ws", "via", postgresql_where=sa.text("via IS NOT NULL")),
    sa.Index("credit_utm", "ws", "utm", postgresql_where=sa.text("utm IS NOT NULL")),
    comment="the journey of every won deal, and what each of its touches earned",
)  # fmt: skip

lateness = sa.Table(
    "lateness", projection, _ws(),
    sa.Column("bucket", sa.SmallInteger, primary_key=True, autoincrement=False, comment="shared.rules.settled.bucket"),
    sa.Column("events", sa.BigInteger, nullable=False),
    comment="how late the workspace's live events came",
)  # fmt: skip

settings = sa.Table(
    "settings", projection, _ws(),
    sa.Column("body", postgresql.JSONB, nullable=False),
)  # fmt: skip


def create_statements(schema: str) -> list[str]:
    """The DDL of a new generation, in order."""
    tables = sa.MetaData(schema=schema)
    out = [f"CREATE SCHEMA {schema}"]
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in projection.sorted_tables:
        copy = table.to_metadata(tables)
        out.append(str(CreateTable(copy).compile(dialect=dialect)))
        out.extend(str(CreateIndex(index).compile(dialect=dialect)) for index in sorted(copy.indexes, key=str))
    out.append(f"CREATE TABLE {schema}.touch_other PARTITION OF {schema}.touch DEFAULT")
    return out


@dataclass(frozen=True)
class Index:
    """An index or primary key of a table, that can be taken away and made again."""

    name: str
    table: str
    drop: str
    make: str


def indexes(schema: str, tables: Iterable[str]) -> list[Index]:
    """All of some tables: a whole history is written without them, and they are made from it at once."""
    out = []
    copies = sa.MetaData(schema=schema)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for name in tables:
        table = projection.tables[name].to_metadata(copies)
        if key := ", ".join(column.name for column in table.primary_key):
            pkey = f"{name}_pkey"
            out.append(
                Index(
                    pkey, name, f"ALTER TABLE {schema}.{name} DROP CONSTRAINT {pkey}",
                    f"ALTER TABLE {schema}.{name} ADD CONSTRAINT {pkey} PRIMARY KEY ({key})",
                )
            )  # fmt: skip
        out += [
            Index(str(i.name), name, f"DROP INDEX {schema}.{i.name}", str(CreateIndex(i).compile(dialect=dialect)))
            for i in sorted(table.indexes, key=str)
        ]
    return out


@cache
def shape() -> str:
    """A digest of the tables and of what is in them: this release reads no other. Every read asks for it.

    The names of the models are part of it: a store that holds no shares under one of them is to be built again.
    """
    content = [str(CONTENT), "models " + " ".join(sorted(MODELS)), *create_statements("g")]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]
