"""The state of each deal, its contacts, and what each touch of its journey earned."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.projection.metadata import OrderText, key_column, projection, workspace_column

deal = sa.Table(
    "deal", projection, workspace_column(),
    key_column("deal", primary_key=True),
    sa.Column("deal_id", OrderText, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("amount_minor", sa.BigInteger),
    sa.Column("currency", sa.Text, nullable=False),
    key_column("created_us", nullable=False),
    key_column("closed_us"),
    sa.Column("closed_event", OrderText),
    sa.Column("touches", sa.Integer, nullable=False, comment="of its journey"),
    sa.Column("first_us", sa.BigInteger, comment="of its journey's first touch"),
    sa.Column("path", OrderText, comment="of its journey: the types of touches as they are sent, with spaces between them; null without a journey"),
    sa.Column("content", sa.BigInteger, comment="a digest of all rows of the deal; null if it is open, for touches are added to it then"),
    sa.Index("deal_closed", "ws", "closed_us"),
    sa.Index("deal_created", "ws", "created_us", "deal_id"),
    sa.Index("deal_dated", "ws", sa.text("coalesce(closed_us, created_us)"), "deal_id"),
    sa.Index("deal_amount", "ws", "currency", sa.text("coalesce(amount_minor, '-9223372036854775808'::bigint)"), "deal_id"),
    sa.Index("deal_name", "ws", sa.text("""(lower(coalesce(name, deal_id COLLATE "default")) COLLATE "C")"""), "deal_id"),
)  # fmt: skip

deal_named = sa.Table(
    "deal_named", projection, workspace_column(),
    key_column("identifier", primary_key=True),
    key_column("deal", primary_key=True),
    sa.Index("deal_named_deal", "ws", "deal"),
    comment="every identifier that a deal's events ever named: whose change may change the deal",
)  # fmt: skip

deal_contact = sa.Table(
    "deal_contact", projection, workspace_column(),
    key_column("deal", primary_key=True),
    key_column("contact", primary_key=True),
    sa.Column("associated_event", OrderText, nullable=False),
    sa.Index("deal_contact_contact", "ws", "contact"),
    comment="the eligible contacts of a deal",
)  # fmt: skip

credit = sa.Table(
    "credit", projection, workspace_column(),
    key_column("deal", primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False, comment="the touch's place in the journey"),
    key_column("person", nullable=False),
    key_column("occurred_at_us", nullable=False),
    sa.Column("event_id", OrderText, nullable=False),
    sa.Column("type", sa.SmallInteger, nullable=False),
    key_column("contact", nullable=False),
    sa.Column("asset_id", sa.Text),
    key_column("asset_or_page_key"),
    key_column("via"),
    key_column("utm"),
    sa.Column("roles", postgresql.ARRAY(sa.Text), nullable=False),
    sa.Column("shares_minor", postgresql.JSONB, comment="minor units by the model's name; null if the deal has no amount"),
    comment="the journey of every won deal, and what each of its touches earned",
)  # fmt: skip

deal_touch = sa.Table(
    "deal_touch", projection,
    sa.Column("ws", sa.Integer, nullable=False),
    key_column("deal", nullable=False),
    key_column("dated_us", nullable=False),
    sa.Column("won", sa.Boolean, nullable=False, comment="else it is open"),
    key_column("contact", nullable=False),
    key_column("occurred_at_us", nullable=False),
    sa.Column("type", sa.SmallInteger, nullable=False),
    sa.Column("step", sa.Integer, comment="of `credit`; null if the touch is in no journey"),
    key_column("asset_or_page_key"),
    key_column("via"),
    key_column("utm"),
    sa.Column(
        "shares_minor", postgresql.ARRAY(sa.BigInteger),
        comment="of `credit`, by the models in the order of their names; null if the touch is in no journey, or the deal has no amount",
    ),
    sa.Index("deal_touch_deal", "ws", "deal"),
    *(
        sa.Index(
            f"deal_touch_{name}", "ws", key, "won", "dated_us", postgresql_include=["occurred_at_us", "deal"],
            postgresql_where=sa.text(f"{key} IS NOT NULL"),
        )
        for name, key in (("asset_or_page", "asset_or_page_key"), ("via", "via"), ("utm", "utm"))
    ),
    comment="every deal touch, before the close, of the eligible contacts of each open or won deal, found by what was touched",
)  # fmt: skip
