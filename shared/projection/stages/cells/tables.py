"""What happened to each set of keys on each day and in each month, and to each campaign on each day: digests of `touch`, so that no read
goes through all touches.

A *key set* is what a touch names together: an asset or page, what it came by, and a utm value. A day is one of the workspace's time
zone, as the number of days since 1970-01-01; a month is the number of its first day. Sessions and contacts are lists of their 64-bit
keys in network order, each once, one after another. Contacts are listed for each kind of touch: what influences them, and what an asset's
section tells of each type, are unions of these lists.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.projection.metadata import key_column, projection, workspace_column


def _date(name: str) -> "sa.Column[int]":
    """A key column with the number of a day."""
    return sa.Column(name, sa.Integer, primary_key=True, autoincrement=False)


key_set = sa.Table(
    "key_set", projection, workspace_column(),
    key_column("key_set", primary_key=True),
    key_column("asset_or_page_key", nullable=False),
    key_column("via", nullable=False),
    key_column("utm", nullable=False),
    sa.Index("key_set_of", "ws", "asset_or_page_key", "via", "utm"),
    sa.Index("key_set_via", "ws", "via", postgresql_where=sa.text("via <> 0")),
    sa.Index("key_set_utm", "ws", "utm", postgresql_where=sa.text("utm <> 0")),
    comment="what touches ever named together; 0 for none. A set stays when its last touch leaves",
)  # fmt: skip


def _lists() -> "list[sa.Column[bytes]]":
    return [
        sa.Column("sessions", sa.LargeBinary, nullable=False, comment="that have a counted page visit and began on its day"),
        sa.Column("new_sessions", sa.LargeBinary, nullable=False, comment="those of them that are their visitor's first"),
    ]  # fmt: skip


def _digest() -> "list[sa.Column[Any]]":
    return [
        sa.Column("kinds", postgresql.ARRAY(sa.SmallInteger), nullable=False, comment="10 * type + traffic class"),
        sa.Column("touches", postgresql.ARRAY(sa.BigInteger), nullable=False, comment="the sum of `count` of each kind"),
        sa.Column(
            "contacts", postgresql.ARRAY(sa.LargeBinary), nullable=False,
            comment="of each kind, the contacts who own a touch of it; of kinds that do not count, none",
        ),
        *_lists(),
    ]  # fmt: skip


day_cell = sa.Table(
    "day_cell", projection, workspace_column(),
    key_column("key_set", primary_key=True),
    _date("day"),
    *_digest(),
    sa.Index("day_cell_day", "ws", "day", "key_set"),
    comment="the digest of a key set's touches of a day, with what `added_cell` adds to it",
)  # fmt: skip

month_cell = sa.Table(
    "month_cell", projection, workspace_column(),
    key_column("key_set", primary_key=True),
    _date("month"),
    *_digest(),
    comment="the union of a key set's day cells of a month; out of date while `stale_month` has it",
)  # fmt: skip

added_cell = sa.Table(
    "added_cell", projection,
    sa.Column("ws", sa.Integer, nullable=False),
    key_column("key_set", nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("kind", sa.SmallInteger, nullable=False, comment="10 * type + traffic class"),
    sa.Column("touches", sa.BigInteger, nullable=False, comment="the sum of their `count`"),
    sa.Column("contacts", sa.LargeBinary, nullable=False, comment="who own one of them; none if the kind does not count"),
    *_lists(),
    sa.Index("added_cell_of", "ws", "key_set", "day"),
    comment="what a batch has added to a day cell and nobody has put into it yet: a row a kind, one of them with the sessions",
)  # fmt: skip

dirty_cell = sa.Table(
    "dirty_cell", projection, workspace_column(),
    key_column("key_set", primary_key=True),
    _date("day"),
    comment="day cells of which a touch was changed or taken away: they are read from the touches until they are digested again",
)  # fmt: skip

stale_month = sa.Table(
    "stale_month", projection, workspace_column(),
    key_column("key_set", primary_key=True),
    _date("month"),
    comment="month cells that are to be made of their day cells again: their days are read until then",
)  # fmt: skip

carried_visit = sa.Table(
    "carried_visit", projection,
    sa.Column("ws", sa.Integer, nullable=False),
    key_column("key_set", nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    key_column("occurred_at_us", nullable=False),
    key_column("session", nullable=False),
    key_column("session_at_us", nullable=False),
    sa.Column("session_is_new", sa.Boolean, nullable=False),
    sa.Index("carried_visit_of", "ws", "key_set", "session_at_us"),
    sa.Index("carried_visit_begun", "ws", "session_at_us"),
    comment="counted page visits whose session began on an earlier day; they are in no list of sessions",
)  # fmt: skip

cells_kept = sa.Table(
    "cells_kept", projection, workspace_column(),
    sa.Column("time_zone", sa.Text, nullable=False, comment="whose days they are"),
    sa.Column("through_day", sa.Integer, nullable=False, comment="cells are kept for the days before it; the others are read raw"),
    comment="the workspaces that have cells",
)  # fmt: skip


def _of_touches() -> "list[sa.Column[Any]]":
    return [
        sa.Column("statuses", postgresql.ARRAY(sa.SmallInteger), nullable=False, comment="of each count of touches, what they are to the campaign"),
        sa.Column("kinds", postgresql.ARRAY(sa.SmallInteger), nullable=False, comment="of each: 10 * type + traffic class"),
        sa.Column("touches", postgresql.ARRAY(sa.BigInteger), nullable=False, comment="of each: the sum of `count`"),
        sa.Column("sessions", sa.Integer, nullable=False, comment="how many began on its days and have a counted visit on any day"),
        sa.Column("new_sessions", sa.Integer, nullable=False, comment="how many of them are their visitor's first"),
        sa.Column("contacts", sa.LargeBinary, nullable=False, comment="who own a counted touch of its days that influences"),
    ]  # fmt: skip


campaign_day = sa.Table(
    "campaign_day", projection, workspace_column(),
    key_column("campaign", primary_key=True),
    _date("day"),
    *_of_touches(),
    sa.Column("new_by_first_touch", sa.Integer, nullable=False, comment="how many contacts created on the day are new to it by their first touch"),
    sa.Column("new_by_last_touch", sa.Integer, nullable=False, comment="how many of them are by their last touch"),
    comment="what a campaign's day is to it, in numbers that can be added up, and a list that cannot; no row where there is nothing",
)  # fmt: skip

campaign_month = sa.Table(
    "campaign_month", projection, workspace_column(),
    key_column("campaign", primary_key=True),
    _date("month"),
    *_of_touches(),
    comment="the union of a campaign's days of a month; out of date while `stale_campaign_month` has it",
)  # fmt: skip

stale_campaign_month = sa.Table(
    "stale_campaign_month", projection, workspace_column(),
    key_column("campaign", primary_key=True),
    _date("month"),
    comment="months of campaigns that are to be made of their days again: these are read until then",
)  # fmt: skip

campaign_day_sessions = sa.Table(
    "campaign_day_sessions", projection, workspace_column(),
    key_column("campaign", primary_key=True),
    _date("day"),
    sa.Column("sessions", sa.LargeBinary, nullable=False, comment="that `campaign_day` counts"),
    sa.Column("new_sessions", sa.LargeBinary, nullable=False, comment="those of them that are their visitor's first"),
    comment="the sessions of each campaign's day, so that more can be added to it; no row where there is none",
)  # fmt: skip

stale_campaign_day = sa.Table(
    "stale_campaign_day", projection, workspace_column(),
    key_column("campaign", primary_key=True),
    _date("day"),
    sa.Column("of_touches", sa.Boolean, nullable=False, comment="its touches changed: the cells are read until it is made again"),
    sa.Column("of_contacts", sa.Boolean, nullable=False, comment="which contacts are new to it changed: these are read until then"),
    comment="days of campaigns that are to be made again",
)  # fmt: skip

campaign_kept = sa.Table(
    "campaign_kept", projection, workspace_column(),
    key_column("campaign", primary_key=True),
    sa.Column("through_day", sa.Integer, nullable=False, comment="`campaign_day` has the days before it; of the others cells are read"),
    comment="the campaigns that have days of their own",
)  # fmt: skip

renamed_contact = sa.Table(
    "renamed_contact", projection, workspace_column(),
    key_column("was", primary_key=True),
    key_column("contact", nullable=False),
    sa.Column("persons", postgresql.ARRAY(sa.BigInteger), nullable=False, comment="whose touches were that contact's: their cells may list it"),
    sa.Index("renamed_contact_now", "ws", "contact"),
    comment="contacts that are another one as a whole now; lists of contacts may name them still",
)  # fmt: skip

CELL_TABLES = tuple(
    table.name
    for table in (
        key_set, day_cell, month_cell, added_cell, dirty_cell, stale_month, carried_visit, cells_kept,
        campaign_day, campaign_month, stale_campaign_month, campaign_day_sessions, stale_campaign_day, campaign_kept, renamed_contact,
    )
)  # fmt: skip
"""They say again what `touch` and `identity_interval` say; which rows say it depends on how the events came."""
