"""What of the rows that are stored by key is a campaign's: deal touches of deals, and what these earned.

`deal_touch` has the keys of every deal touch that may make a deal count. They are joined with the windows in which a key counts for a
campaign (`attribution_window`), so that what is not the campaign's is not read. The statements of this file are parts of a WITH; $1 is the
workspace, $2 the keys of the campaigns, and $3 and $4 the range of time.
"""

from shared.projection.sql import sql_numbers
from shared.projection.windows import COUNTING_STATUSES, KEY_COLUMN, split, within
from shared.reading.attribution import in_range
from shared.rules.influence import REVENUE_TOUCHES
from shared.rules.models import MODELS

MODEL_PLACES = {name: place for place, name in enumerate(sorted(MODELS), 1)}
"""By the model's name: which element of `deal_touch.shares_minor` is its share; PostgreSQL counts from 1."""


def _deal_touches(columns: str, condition: str = "true") -> str:
    """The deal touches of the deals dated in the range that count for the campaigns, once for each route by which they do.

    `columns` and `condition` are of the table `deal_touch`. OFFSET 0 has each key looked up, for PostgreSQL chooses to read a whole
    index of keys that few rows have.
    """
    return " UNION ALL ".join(
        f"""
    SELECT w.campaign, t.* FROM counting_window w CROSS JOIN LATERAL (
        SELECT {columns} FROM {{g}}.deal_touch
        WHERE ws = $1 AND {column} = w.key AND {in_range("dated_us")} AND {within("w", "occurred_at_us")} AND {condition} OFFSET 0) t
    WHERE w.route = {route:d}"""
        for route, column in KEY_COLUMN.items()
    )


_IS_REVENUE = f"won AND type IN ({sql_numbers(REVENUE_TOUCHES)})"
"""Whether a row of `deal_touch` makes its contact one with revenue (rule **deal**: it came before the close)."""

_LIST = "string_agg(int8send(deal), ''::bytea) AS deals"
OPEN_DEALS = _deal_touches(_LIST, "NOT won")
"""The open deals dated in the range that count for the campaigns, as lists of their 64-bit keys: one row a campaign and window. A deal may be in
a list several times, and in several lists."""

OPEN_DEALS_BY_PART = _deal_touches(f"width_bucket(dated_us, $5::bigint[]) AS bucket, {_LIST}", "NOT won GROUP BY 1")
"""The same, one row a campaign, window and part of the range (the instants $5 divide it)."""

CAMPAIGN_DEAL = f"""campaign_deal AS MATERIALIZED (
    SELECT campaign, deal, contact, min(dated_us) AS dated_us, bool_or(revenue) AS revenue FROM ({
    _deal_touches(f"deal, contact, dated_us, {_IS_REVENUE} AS revenue")
}) met GROUP BY campaign, deal, contact
)"""
"""The deals dated in the range that count for the campaigns, by contact; `revenue`: whether they bring revenue by this contact."""


def earned(places: str, condition: str = "true") -> str:
    """What the campaigns earned of the deals won in the range: `part`, which has one row a campaign, touch and model.

    `places` is a parameter with places of `MODEL_PLACES`; `n` (from 1) is the one of the row, `minor` the part of the share in minor units.
    Where a touch counts for several campaigns, its share is split among them as `shared.rules.exact.split` does: equally, in the order of
    their ids, and the first ones get the rest.
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
        _deal_touches(
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
