"""What was earned on each day, by group of touches and by model: sums of credit, so that no report goes through all credited touches.

A day is one of a time zone, as the number of days since 1970-01-01; a deal belongs to the day on which it was won. A day with many deals is
divided into slices of time, each with rows of its own (`shared.projection.slices`). Contacts are lists of their 64-bit keys, each once, one after another.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.projection.metadata import key_column, projection, workspace_column


def _day(*, primary_key: bool = False) -> "sa.Column[int]":
    return sa.Column("day", sa.Integer, primary_key=primary_key, autoincrement=False, nullable=False)


def _slice(*, primary_key: bool = False) -> "sa.Column[int]":
    comment = "when the slice of the day begins; of a day that is not divided, when the day begins"
    return sa.Column(
        "slice_us", sa.BigInteger, primary_key=primary_key, autoincrement=False, nullable=False, comment=comment
    )


credit_day = sa.Table(
    "credit_day", projection,
    sa.Column("ws", sa.Integer, nullable=False),
    _day(),
    _slice(),
    sa.Column("group_by", sa.Text, nullable=False, comment="campaign, channel, …"),
    sa.Column("name", sa.LargeBinary, comment="of the group, in UTF-8"),
    sa.Column("reason", sa.Text, comment="why the touches belong to no group, where there is no name"),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("deals", sa.BigInteger, nullable=False, comment="that have a touch of the group in the journey"),
    sa.Column("contacts", sa.LargeBinary, nullable=False, comment="of these touches"),
    sa.Column("paid", sa.Boolean, nullable=False, comment="whether one of the deals has an amount"),
    sa.Column("minor", postgresql.ARRAY(sa.Numeric), nullable=False, comment="minor units, by the published models in the order of their names, then by shapley"),
    sa.Index("credit_day_of", "ws", "group_by", "day"),
    comment="what touches of a group earned of the deals won in a slice of a day, in a currency",
)  # fmt: skip

path_day = sa.Table(
    "path_day", projection,
    sa.Column("ws", sa.Integer, nullable=False),
    _day(),
    _slice(),
    sa.Column("group_by", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("names", postgresql.ARRAY(sa.LargeBinary), nullable=False, comment="of the groups, in UTF-8; their places in it, from 0, are their numbers"),
    sa.Column("steps", sa.LargeBinary, nullable=False, comment="numbers of 4 bytes, three a step: the group before (-1: none), the group after (-1: none), how often"),
    sa.Index("path_day_of", "ws", "group_by", "day"),
    comment="how often the paths of the deals won in a slice of a day, in a currency, went from one group to another; there is no row where no path has a group",
)  # fmt: skip

defined_credit_day = sa.Table(
    "defined_credit_day", projection,
    sa.Column("ws", sa.Integer, nullable=False),
    _day(),
    _slice(),
    sa.Column("group_by", sa.Text, nullable=False),
    sa.Column("name", sa.LargeBinary),
    sa.Column("reason", sa.Text),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("minor", postgresql.ARRAY(sa.Numeric), nullable=False, comment="minor units, by the workspace's own models in the order of their names"),
    sa.Index("defined_credit_day_of", "ws", "group_by", "day"),
    comment="as `credit_day`, under the models that the workspace has defined; there is no row where no deal has an amount",
)  # fmt: skip

won_campaign_day = sa.Table(
    "won_campaign_day", projection,
    sa.Column("ws", sa.Integer, nullable=False),
    key_column("campaign", nullable=False),
    _day(),
    _slice(),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("deals", sa.BigInteger, nullable=False),
    sa.Column("amount_minor", sa.Numeric, comment="of the deals, in minor units; null if none of them has an amount"),
    sa.Column("contacts", sa.LargeBinary, nullable=False, comment="by whom the deals bring revenue"),
    sa.Column("minor", postgresql.ARRAY(sa.Numeric), comment="what the campaign earned in minor units, by the published models in the order of their names; null if none of its touches earned anything"),
    sa.Column(
        "earning", postgresql.ARRAY(sa.LargeBinary), comment="the contacts by whom it earned more than 0, by the models in the order of their names",
    ),
    sa.Column("refunded", sa.Boolean, nullable=False, comment="whether it earned less than 0 by a contact, under some model"),
    sa.Index("won_campaign_day_of", "ws", "campaign", "day"),
    sa.Index("won_campaign_day_on", "ws", "day"),
    comment="the deals won in a slice of a day, in a currency, that count for a campaign, and what it earned of them",
)  # fmt: skip

won_day = sa.Table(
    "won_day", projection, workspace_column(), _day(primary_key=True), _slice(primary_key=True),
    sa.Column("currency", sa.Text, primary_key=True),
    sa.Column("deals", sa.BigInteger, nullable=False),
    sa.Column("without_journey", sa.BigInteger, nullable=False, comment="how many of them have no touch that gets credit"),
    sa.Column("amount_minor", sa.Numeric, comment="minor units; null if no deal has an amount"),
    comment="the deals won in a slice of a day, in a currency; there is no row without any",
)  # fmt: skip

credit_slice = sa.Table(
    "credit_slice", projection, workspace_column(), _day(primary_key=True),
    sa.Column("from_us", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("to_us", sa.BigInteger, nullable=False, comment="exclusive"),
    sa.Column("deals", sa.BigInteger, comment="that were won in it when its sums were made; null: they were not made yet"),
    comment="the slices of the days that are divided: each day from its beginning to its end, without a gap",
)  # fmt: skip

stale_credit = sa.Table(
    "stale_credit", projection, workspace_column(), _day(primary_key=True),
    sa.Column("closed_us", sa.BigInteger, primary_key=True, autoincrement=False, comment="when a deal was, or is, won that is another now"),
    comment="the sums of the slices with these instants are to be made again: their credited touches are read until then",
)  # fmt: skip

credit_days_kept = sa.Table(
    "credit_days_kept", projection, workspace_column(),
    sa.Column("time_zone", sa.Text, nullable=False, comment="whose days they are"),
    sa.Column("through_day", sa.Integer, nullable=False, comment="there are sums of the days before it; the others are read from the touches"),
    sa.Column("decided_by", sa.Text, nullable=False, comment="which lists decided about the groups; other releases do not read the sums"),
    sa.Column("defined_through_day", sa.Integer, nullable=False, comment="as `through_day`, of `defined_credit_day`; never later than that"),
    sa.Column("defined_by", sa.Text, nullable=False, comment="a digest of the definitions that its sums are of; '' without any"),
    comment="the workspaces that have sums",
)  # fmt: skip

SUM_TABLES = tuple(
    table.name
    for table in (
        credit_day,
        path_day,
        defined_credit_day,
        won_campaign_day,
        won_day,
        credit_slice,
        stale_credit,
        credit_days_kept,
    )
)
"""They say again what `deal`, `credit`, `deal_touch` and `touch` say; which rows say it depends on when the background came."""
