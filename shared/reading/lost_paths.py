"""How often did the paths of contacts who are eligible in no won deal go from one group to another in a range (rule **data-driven**)?

There are no sums of them: which touches of a path are within a range, and so where it begins and ends, depends on the range; and a deal that is won takes all touches
of its contacts out of every day. So the database reads these touches once, numbers them in order, and answers the places of those that say the same. They are read by part of the
contacts: a 64th of their touches is in memory, 20 bytes each.
"""

from functools import lru_cache
from typing import Any

from shared.projection.credit_sums import SAID, TOGETHER, TOUCHES, groups_of_said
from shared.projection.sql import Statement, sql
from shared.projection.walks import PLACE_SQL, Journeys, Walked
from shared.projection.windows import COUNTING_STATUSES, KEY_COLUMN, within
from shared.reading.created_credit import OWNED_TOUCHES
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.report_groups import BY_CAMPAIGNS, Group, GroupBy

ROWS_AT_ONCE = 5_000
REMEMBERED = 50_000  # values that touches say, each with its group: some 30 MB
PART = "{of}.subject >> 58"  # the keys of contacts are evenly distributed, so each of 64 parts has as many

# The revenue touches in [$2, $3) of the contacts who are eligible in no won deal; `step` is the place among all of them, by contact and in order.
_LOST = f"""
SELECT o.contact AS subject, row_number() OVER (ORDER BY o.contact, t.occurred_at_us, t.event_id)::int AS step, t.*
FROM {{g}}.identity_interval o {OWNED_TOUCHES} AND t.occurred_at_us >= $2 AND t.occurred_at_us < $3
WHERE o.ws = $1 AND NOT EXISTS (SELECT FROM {{g}}.deal_contact dc JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = dc.deal AND d.state = 'won'
    WHERE dc.ws = $1 AND dc.contact = o.contact)"""
_MET = " UNION ALL ".join(
    f"""
    SELECT w.campaign, l.subject, l.step FROM lost l
    JOIN counting_window w ON w.key = l.{column} AND {within("w", "l.occurred_at_us")} WHERE w.route = {route:d}"""
    for route, column in KEY_COLUMN.items()
)

# One row a part and campaign, in the order of parts and of the campaigns' ids.
_BY_CAMPAIGN = sql(f"""
WITH lost AS MATERIALIZED (
    SELECT subject, step, occurred_at_us, {", ".join(KEY_COLUMN.values())} FROM ({_LOST}) l
), counting_window AS MATERIALIZED (
    SELECT campaign, route, key, from_us, to_us FROM {{g}}.attribution_window WHERE ws = $1 AND window_status IN ({COUNTING_STATUSES})
), met AS (
    SELECT campaign, subject, step FROM ({_MET}) by_route GROUP BY campaign, subject, step
)
SELECT {PART.format(of="m")} AS part, c.campaign_id, c.owner, {PLACE_SQL.format(subject="m.subject", step="m.step")} AS places
FROM met m JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = m.campaign GROUP BY 1, 2, 3 ORDER BY 1, 2
""")


@lru_cache(maxsize=64)
def _statement(by: GroupBy) -> Statement:
    """The places of the touches, one row a part and campaign, or combination of the values that decide the group; in the order of parts."""
    if by in BY_CAMPAIGNS:
        return _BY_CAMPAIGN
    said, joins = SAID[by]
    joins = joins.replace(TOUCHES, "\nCROSS JOIN LATERAL (SELECT cr.*) t")
    columns = ", ".join(f"{column} AS {name}" for name, column in said.items())
    numbers = ", ".join(str(n) for n in range(1, len(said) + 2))
    return sql(f"""
SELECT {PART.format(of="cr")} AS part, {columns}, {PLACE_SQL.format(subject="cr.subject", step="cr.step")} AS places
FROM ({_LOST}) cr{joins} GROUP BY {numbers} ORDER BY 1
""")


async def lost_paths(snapshot: Snapshot, span: TimeRange, by: GroupBy) -> Walked:
    """The steps between groups on the paths of the contacts who are eligible in no won deal: of their revenue touches in a range."""
    out = Walked()
    part, journeys = None, Journeys()
    groups: dict[tuple[Any, ...], Group] = {}
    bys = next(bys for bys in TOGETHER if by in bys)
    rows = snapshot.fetched_in_parts(_statement(by), ROWS_AT_ONCE, span.from_us, span.to_us)
    async for some in rows:
        for row in some:
            if row["part"] != part:
                journeys.walk(out, *journeys.in_order())
                part, journeys = row["part"], Journeys()
            said = tuple(row.values())[1:-1]
            if (group := groups.get(said)) is None:
                if len(groups) >= REMEMBERED:
                    groups.clear()
                group = groups[said] = dict(groups_of_said(bys, row, snapshot.settings.referrers))[by]
            journeys.add(row["places"], group)
    journeys.walk(out, *journeys.in_order())
    return out
