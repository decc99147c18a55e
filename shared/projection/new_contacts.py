"""Which contacts are new to campaigns? By keys, and by when they were created; for reads, and for `campaign_day`.

A contact's row has the keys of its first visit, and `conversion_touch` those of the session of its conversion. They are joined with the
windows in which a key counts for a campaign (`attribution_window`). Rule **first and last touch**.
"""

from collections.abc import Sequence
from typing import NamedTuple

from shared.projection.campaign_cells import Rows
from shared.projection.sql import sql, utc_day
from shared.projection.windows import COUNTING_STATUSES, within
from shared.rules.pre_association import Route

COUNTING_WINDOW = f"""counting_window AS MATERIALIZED (
    SELECT campaign, route, key, from_us, to_us FROM {{g}}.attribution_window
    WHERE ws = $1 AND campaign = ANY($2::bigint[]) AND window_status IN ({COUNTING_STATUSES})
)"""
"""When which keys count for the campaigns ($2)."""


def _new_by(route: Route, table: str, key: str, at_us: str) -> str:
    """The contacts created in [$3, $4) of which a key counted for a campaign at an instant. A contact may stand twice.

    Of a few windows PostgreSQL looks the keys up, of thousands it reads the table once, which takes half the time.
    """
    return f"""
    SELECT w.campaign, c.contact, c.created_us FROM counting_window w
    JOIN {{g}}.{table} c ON c.ws = $1 AND c.{key} = w.key AND {within("w", f"c.{at_us}")}
        AND c.created_us >= $3::bigint AND c.created_us < $4::bigint
    WHERE w.route = {route:d}"""


NEW_BY_FIRST_TOUCH = " UNION ALL ".join(
    [
        _new_by(Route.ASSET, "contact", "first_visit_asset_or_page", "first_visit_us"),
        _new_by(Route.UTM, "contact", "first_visit_utm", "first_visit_us"),
    ]
)
"""The contacts that are new to the campaigns by their first touch. One row a campaign, contact and route."""

NEW_BY_LAST_TOUCH = " UNION ALL ".join(
    [
        _new_by(Route.ASSET, "conversion_touch", "asset_or_page_key", "occurred_at_us"),
        _new_by(Route.UTM, "contact", "conversion_utm", "created_us"),
    ]
)
"""Those that are new to the campaigns by their last touch. One row a campaign, contact and touch or utm value."""

_NEW = f"""
    SELECT campaign, contact, created_us, true AS first FROM ({NEW_BY_FIRST_TOUCH}) a
    UNION ALL SELECT campaign, contact, created_us, false FROM ({NEW_BY_LAST_TOUCH}) b"""
_NUMBERS = """count(DISTINCT contact) FILTER (WHERE first) AS by_first_touch,
    count(DISTINCT contact) FILTER (WHERE NOT first) AS by_last_touch"""

# How many contacts are new to campaigns ($2), created in [$3, $4), by the parts that the instants $5 begin; part 1 begins at $3.
BY_KEYS = sql(f"""
WITH {COUNTING_WINDOW}
SELECT campaign, width_bucket(created_us, $5::bigint[]) AS bucket, {_NUMBERS} FROM ({_NEW}) new GROUP BY 1, 2
""")

# The days of UTC on which contacts were created that are new to campaigns ($2), created in [$3, $4).
DAYS = sql(f"""
WITH {COUNTING_WINDOW}
SELECT DISTINCT {utc_day("created_us")} AS day FROM ({_NEW}) new
""")


def _met(route: Route, key: str, at_us: str, *, first: bool) -> str:
    return f"""
    SELECT w.campaign, c.contact, c.created_us, c.from_us, c.to_us, {first} AS first FROM created c
    JOIN counting_window w ON w.route = {route:d} AND w.key = c.{key} AND {within("w", f"c.{at_us}")}"""


_BY_CONVERSION = f"""
    SELECT a.campaign, t.contact, t.created_us, a.from_us, a.to_us, false FROM asked a
    JOIN counting_window w ON w.campaign = a.campaign AND w.route = {Route.ASSET:d} CROSS JOIN LATERAL (
        SELECT contact, created_us FROM {{g}}.conversion_touch WHERE ws = $1 AND asset_or_page_key = w.key
            AND created_us >= a.from_us AND created_us < a.to_us AND {within("w", "occurred_at_us")} OFFSET 0) t"""
"""OFFSET 0 has each span of each key looked up: PostgreSQL guesses that a span has a thousand times as many contacts, and would read all of a key."""

# The same of spans of time: the contacts that campaigns ($3, together $2) got from the instants $4 to $5. $6 are the instants at which the
# parts begin. Of first visits the contacts of the spans are read, and then their keys, where `BY_KEYS` reads all contacts of the keys.
OF_SPANS = sql(f"""
WITH {COUNTING_WINDOW}, asked AS MATERIALIZED (
    SELECT * FROM unnest($3::bigint[], $4::bigint[], $5::bigint[]) u(campaign, from_us, to_us)),
created AS MATERIALIZED (
    SELECT s.from_us, s.to_us, c.contact, c.created_us, c.first_visit_us, c.first_visit_asset_or_page, c.first_visit_utm, c.conversion_utm
    FROM (SELECT DISTINCT from_us, to_us FROM asked) s
    JOIN {{g}}.contact c ON c.ws = $1 AND c.created_us >= s.from_us AND c.created_us < s.to_us)
SELECT m.campaign, width_bucket(m.created_us, $6::bigint[]) AS bucket, {_NUMBERS} FROM (
    {_met(Route.ASSET, "first_visit_asset_or_page", "first_visit_us", first=True)}
    UNION ALL {_met(Route.UTM, "first_visit_utm", "first_visit_us", first=True)}
    UNION ALL {_met(Route.UTM, "conversion_utm", "created_us", first=False)}
    UNION ALL {_BY_CONVERSION}) m
JOIN asked a ON a.campaign = m.campaign AND a.from_us = m.from_us AND a.to_us = m.to_us
GROUP BY 1, 2
""")


class NewContacts(NamedTuple):
    """How many contacts are new to a campaign by their first touch, and by their last."""

    by_first_touch: int
    by_last_touch: int


async def new_in_spans(
    store: Rows, asked: Sequence[tuple[int, int, int]], edges_us: Sequence[int]
) -> dict[tuple[int, int], NewContacts]:
    """The contacts that were created in spans of time and are new to campaigns. `asked` has a campaign's key, from and to for each span.

    They are counted by campaign and bucket: bucket 1 begins at the first of the instants, what is before it has the number 0.
    """
    if not asked:
        return {}
    campaigns, from_us, to_us = map(list, zip(*asked, strict=True))
    rows = await store.fetch(OF_SPANS, list(set(campaigns)), campaigns, from_us, to_us, list(edges_us))
    return {(row["campaign"], row["bucket"]): NewContacts(row["by_first_touch"], row["by_last_touch"]) for row in rows}
