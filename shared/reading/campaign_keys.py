"""Which deal touches count for a campaign, and what did they earn? Parts of SQL statements.

`deal_touch` has the keys of every touch for which a deal may count. They are joined with the windows in which a key counts for a
campaign (`attribution_window`), so that only rows of the campaign are read. The strings of this file are parts of a WITH clause; $1 is the
workspace, $2 the keys of the campaigns, and $3 and $4 the range of time.
"""

from shared.projection.sql import sql_numbers
from shared.projection.windows import COUNTING_STATUSES, KEY_COLUMN, split, within
from shared.reading.attribution import in_range
from shared.rules.influence import REVENUE_TOUCHES
from shared.rules.models import MODELS

MODEL_PLACES = {name: place for place, name in enumerate(sorted(MODELS), 1)}
"""The index of each model's share in `deal_touch.shares_minor`, from 1."""


def deal_touches(columns: str, condition: str = "true") -> str:
    """The deal touches that count for the campaigns, of deals dated in the range; one row for each route by which a touch counts.

    `columns` and `condition` are of the table `deal_touch`. OFFSET 0 makes PostgreSQL look up each key; else it reads a whole
    index for keys that few rows have.
    """
    return " UNION ALL ".join(
        f"""
    SELECT w.campaign, t.* FROM counting_window w CROSS JOIN LATERAL (
        SELECT {columns} FROM {{g}}.deal_touch
        WHERE ws = $1 AND {column} = w.key AND {in_range("dated_us")} AND {within("w", "occurred_at_us")} AND {condition} OFFSET 0) t
    WHERE w.route = {route:d}"""
        for route, column in KEY_COLUMN.items()
    )


IS_REVENUE = f"won AND type IN ({sql_numbers(REVENUE_TOUCHES)})"
"""A condition: a row of `deal_touch` makes its contact one with revenue (rule **deal**)."""

_LIST = "string_agg(int8send(deal), ''::bytea) AS deals"
OPEN_DEALS = deal_touches(_LIST, "NOT won")
"""The open deals dated in the range that count for the campaigns, as lists of their 64-bit keys: one row per campaign and window. A deal may be in
a list several times, and in several lists."""

OPEN_DEALS_BY_PART = deal_touches(f"width_bucket(dated_us, $5::bigint[]) AS bucket, {_LIST}", "NOT won GROUP BY 1")
"""The same, one row per campaign, window and bucket of the range (divided by the instants $5)."""

CAMPAIGN_DEAL = f"""campaign_deal AS MATERIALIZED (
    SELECT campaign, deal, contact, min(dated_us) AS dated_us, bool_or(revenue) AS revenue FROM ({
    deal_touches(f"deal, contact, dated_us, {IS_REVENUE} AS revenue")
}) met GROUP BY campaign, deal, contact
)"""
"""The deals dated in the range that count for the campaigns, one row per campaign, deal and contact; `revenue`: whether the contact brings revenue to the deal."""


def earned(places: str, condition: str = "true") -> str:
    """Defines `part`: what the campaigns earned of the deals won in the range, one row per campaign, touch and model.

    `places` is a parameter with some indexes of `MODEL_PLACES`. In a row, `n` is the position (from 1) of its model in `places`, and `minor` the
    campaign's part of the share in minor units. If a touch counts for several campaigns, its share is divided among them as `shared.rules.exact.split` does: equally, in the order of
    their ids; the first ones get the remainder.
    """
    rivals = " UNION ALL ".join(
        f"""
    SELECT e.campaign, e.deal, e.step, w.campaign AS rival FROM earning e
    JOIN rival_window w ON w.route = {route:d} AND w.key = e.{column} AND {within("w", "e.occurred_at_us")} AND w.campaign <> e.campaign"""
        for route, column in KEY_COLUMN.items()
    )
    keys = " UNION ".join(
        f"SELECT {route:d} AS route, {column} AS key FROM earning" for route, column in KEY_COLUMN.items()
    )
    return f"""earning AS MATERIALIZED (
    SELECT campaign, deal, step, min(contact) AS contact, min(dated_us) AS dated_us, min(occurred_at_us) AS occurred_at_us,
        min(shares_minor) AS shares_minor,
        {", ".join(f"min({column}) AS {column}" for column in KEY_COLUMN.values())}
    FROM ({
        deal_touches(
            "deal, contact, step, occurred_at_us, asset_or_page_key, via, utm, dated_us, shares_minor",
            f"shares_minor IS NOT NULL AND {condition}",
        )
    }) met GROUP BY campaign, deal, step
), rival_window AS MATERIALIZED (
    SELECT k.route, k.key, w.* FROM ({keys}) k CROSS JOIN LATERAL (
        SELECT campaign, from_us, to_us FROM {{g}}.attribution_window
        WHERE ws = $1 AND key = k.key AND route = k.route AND window_status IN ({COUNTING_STATUSES}) OFFSET 0) w
), sharing AS MATERIALIZED (
    SELECT r.campaign, r.deal, r.step, 1 + count(DISTINCT r.rival) AS campaigns,
        count(DISTINCT r.rival) FILTER (WHERE other.campaign_id < own.campaign_id) AS place
    FROM ({rivals}) r JOIN {{g}}.campaign own ON own.ws = $1 AND own.campaign = r.campaign
    JOIN {{g}}.campaign other ON other.ws = $1 AND other.campaign = r.rival
    GROUP BY r.campaign, r.deal, r.step
), part AS (
    SELECT e.campaign, e.deal, e.contact, e.dated_us, m.n, CASE WHEN s.campaigns IS NULL THEN e.shares_minor[m.place]
        ELSE {split("e.shares_minor[m.place]", "s.campaigns", "s.place")} END AS minor
    FROM earning e LEFT JOIN sharing s ON s.campaign = e.campaign AND s.deal = e.deal AND s.step = e.step
    CROSS JOIN unnest({places}::int[]) WITH ORDINALITY m(place, n)
)"""
