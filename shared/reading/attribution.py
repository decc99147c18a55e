"""Layer *attribute*, read: the only place where a touch meets a campaign.

`attribution_window` says what a key (an asset, a page's address, a utm value) was to a campaign over time, `touch` what happened to which
key when. Their join is the campaign's touches; no row of it is stored, so nothing is stale when the catalog changes.
`identity_interval` says in the same way whose a person's touch is.
"""

from shared.projection.sql import sql
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.first_and_last_touch import FIRST_TOUCH_ROUTES, LAST_TOUCH_TYPES
from shared.rules.influence import DEAL_TOUCHES, INFLUENCING, REVENUE_TOUCHES, TouchType
from shared.rules.pre_association import Route, WindowStatus


def sql_list(types: frozenset[TouchType]) -> str:
    """A set of touch types as an SQL list."""
    return ", ".join(str(int(t)) for t in sorted(types))


def route_mask(routes: frozenset[Route]) -> int:
    """A set of routes as a mask of `routes`."""
    return sum(1 << route for route in routes)


_MEETS = " UNION ALL ".join(
    f"""
    SELECT p.campaign, p.route, p.window_status, t.person, t.occurred_at_us, t.event_id, t.type, t.traffic_class, t.count,
        t.session, t.session_at_us, t.session_is_new
    FROM piece p JOIN {{g}}.touch t ON t.ws = $1 AND t.{column} = p.key
        AND t.occurred_at_us >= p.from_us AND t.occurred_at_us < p.to_us
    WHERE p.route = {route:d} AND t.traffic_class <> {TrafficClass.RETRACTED:d}"""
    for route, column in ((Route.ASSET, "asset_or_page_key"), (Route.VIA, "via"), (Route.UTM, "utm"))
)

# $1 the workspace, $2 the campaigns' keys. A touch stands once for each campaign; `routes` has a bit for each route by
# which it counts, the by_ columns say what each route that applies says of it.
CAMPAIGN_TOUCHES = f"""
piece AS MATERIALIZED (
    SELECT campaign, route, key, from_us, to_us, window_status FROM {{g}}.attribution_window WHERE ws = $1 AND campaign = ANY($2::bigint[])
), met AS ({_MEETS}
), campaign_touch AS MATERIALIZED (
    SELECT campaign, person, occurred_at_us, event_id, min(type) AS type, min(traffic_class) AS traffic_class, min(count) AS count,
        min(session) AS session, min(session_at_us) AS session_at_us, bool_or(session_is_new) AS session_is_new,
        coalesce(bit_or(1 << route) FILTER (WHERE window_status = {WindowStatus.COUNTS:d}), 0) AS routes,
        min(window_status) FILTER (WHERE route = {Route.ASSET:d}) AS by_asset,
        min(window_status) FILTER (WHERE route = {Route.VIA:d}) AS by_via,
        min(window_status) FILTER (WHERE route = {Route.UTM:d}) AS by_utm
    FROM met GROUP BY campaign, person, occurred_at_us, event_id
)"""

OWNER_OF = """
    JOIN {g}.identity_interval o ON o.ws = $1 AND o.person = t.person
        AND (t.occurred_at_us, t.event_id) >= (o.from_us, o.from_event)
        AND (t.occurred_at_us, t.event_id) < (o.to_us, o.to_event)"""


def _guessed(condition: str) -> str:
    """A condition on columns that PostgreSQL has no statistics of, those of a WITH, told so that it guesses every second row.

    Of a bare equality it guesses one row in 200 and of several next to none; it then joins by reading one side as a whole for
    each row of the other.
    """
    return f"coalesce({condition}, false)"


_COUNTS = _guessed(f"t.traffic_class = {TrafficClass.COUNTED:d} AND t.routes <> 0")


def _in_range(column: str) -> str:
    return f"{column} >= $3::bigint AND {column} < $4::bigint"


def _created_in_range(column: str) -> str:
    """By no index: contacts are looked up by what a touch is to them, and not read by a range for every touch."""
    return _guessed(_in_range(column))


# Everything about campaigns that is read from touches, in one pass. One row a number; columns mean what `kind` says.
CAMPAIGN_NUMBERS = sql(f"""
WITH {CAMPAIGN_TOUCHES}
SELECT 'touches' AS kind, campaign, type::bigint AS a, traffic_class::bigint AS b, routes::bigint AS c, by_asset::bigint AS d,
    by_via::bigint AS e, by_utm::bigint AS f, sum(count)::bigint AS n
FROM campaign_touch t WHERE {_in_range("occurred_at_us")}
GROUP BY t.campaign, t.type, t.traffic_class, t.routes, t.by_asset, t.by_via, t.by_utm
UNION ALL
SELECT 'sessions', campaign, count(DISTINCT session), count(DISTINCT session) FILTER (WHERE session_is_new),
    NULL, NULL, NULL, NULL, NULL
FROM campaign_touch t
WHERE {_COUNTS} AND {_guessed(f"type = {TouchType.PAGE_VISITED:d}")} AND routes & {route_mask(FIRST_TOUCH_ROUTES)} <> 0
    AND {_in_range("session_at_us")} GROUP BY 2
UNION ALL
SELECT 'contact', campaign, o.contact,
    min(occurred_at_us) FILTER (WHERE type IN ({sql_list(INFLUENCING)})),
    min(occurred_at_us) FILTER (WHERE type IN ({sql_list(DEAL_TOUCHES)})),
    min(occurred_at_us) FILTER (WHERE type IN ({sql_list(REVENUE_TOUCHES)})), NULL, NULL, NULL
FROM campaign_touch t {OWNER_OF}
WHERE {_COUNTS} AND {_guessed(f"type IN ({sql_list(INFLUENCING)})")} GROUP BY 2, 3
UNION ALL
SELECT 'first_touch', t.campaign, ct.contact, ct.created_us, NULL, NULL, NULL, NULL, NULL
FROM campaign_touch t JOIN {{g}}.contact ct ON ct.ws = $1 AND ct.first_visit_person = t.person
    AND ct.first_visit_us = t.occurred_at_us AND ct.first_visit_event = t.event_id
WHERE {_COUNTS} AND t.routes & {route_mask(FIRST_TOUCH_ROUTES)} <> 0 AND {_created_in_range("ct.created_us")}
UNION ALL
SELECT 'last_touch', l.campaign, l.contact, l.created_us, NULL, NULL, NULL, NULL, NULL FROM (
    SELECT t.campaign, ct.contact, ct.created_us
    FROM campaign_touch t JOIN {{g}}.contact ct ON ct.ws = $1 AND ct.conversion_session = t.session
        AND (t.occurred_at_us, t.event_id) <= (ct.created_us, ct.created_event)
    WHERE {_COUNTS} AND t.routes & {route_mask(frozenset({Route.ASSET}))} <> 0 AND {_guessed(f"t.type IN ({sql_list(LAST_TOUCH_TYPES)})")}
    UNION
    SELECT p.campaign, ct.contact, ct.created_us
    FROM piece p JOIN {{g}}.contact ct ON ct.ws = $1 AND ct.conversion_utm = p.key
        AND ct.created_us >= p.from_us AND ct.created_us < p.to_us
    WHERE p.route = {Route.UTM:d} AND p.window_status = {WindowStatus.COUNTS:d}) l
WHERE {_created_in_range("l.created_us")}
""")

# The touch that first influenced each contact of one campaign.
INFLUENCED_CONTACTS = sql(f"""
WITH {CAMPAIGN_TOUCHES}
SELECT DISTINCT ON (o.contact) o.contact, c.name, t.occurred_at_us, t.event_id
FROM campaign_touch t {OWNER_OF} JOIN {{g}}.contact c ON c.ws = $1 AND c.contact = o.contact
WHERE {_COUNTS} AND t.type IN ({sql_list(INFLUENCING)})
ORDER BY o.contact, t.occurred_at_us, t.event_id
""")

# The influencing touches of contacts ($3) that count for a campaign, in order.
REACHED = sql(f"""
WITH {CAMPAIGN_TOUCHES}
SELECT o.contact, t.type, t.occurred_at_us, t.event_id, t.person FROM campaign_touch t {OWNER_OF}
WHERE {_COUNTS} AND t.type IN ({sql_list(INFLUENCING)}) AND o.contact = ANY($3::bigint[])
ORDER BY t.occurred_at_us, t.event_id
""")

# The first touch of each kind that would have brought the contacts ($3) to the campaign before $4, had it not been kept out,
# in order.
KEPT_OUT_OF = sql(f"""
WITH {CAMPAIGN_TOUCHES}, kept_out AS (
    SELECT DISTINCT ON (t.traffic_class, t.by_asset, t.by_via, t.by_utm) t.event_id, t.occurred_at_us, t.person, o.contact,
        t.traffic_class, t.by_asset, t.by_via, t.by_utm
    FROM campaign_touch t {OWNER_OF}
    WHERE NOT ({_COUNTS}) AND t.type IN ({sql_list(DEAL_TOUCHES)}) AND o.contact = ANY($3::bigint[])
        AND t.occurred_at_us < $4
    ORDER BY t.traffic_class, t.by_asset, t.by_via, t.by_utm, t.occurred_at_us, t.event_id)
SELECT * FROM kept_out ORDER BY occurred_at_us, event_id
""")

DEALS_OF_CONTACTS = sql("""
SELECT d.deal, d.deal_id, d.name, d.state, d.amount_minor, d.currency, d.created_us, d.closed_us, dc.contact
FROM {g}.deal_contact dc JOIN {g}.deal d ON d.ws = $1 AND d.deal = dc.deal
WHERE dc.ws = $1 AND dc.contact = ANY($2::bigint[]) AND d.state IN ('open', 'won')
""")  # open and won deals, once for each eligible contact

# The touches of the journeys of the deals won in [$2, $3), each with its shares by model (null if the deal has no amount) and
# its campaigns in the order of their ids. What belongs to no campaign has an empty list.
_SHARES = f"""
SELECT cr.deal, cr.contact, cr.shares_minor, d.currency, d.closed_us, cr.event_id, cr.type,
    cr.occurred_at_us,
    ARRAY(SELECT DISTINCT c.campaign_id FROM (VALUES ({Route.ASSET:d}, cr.asset_or_page_key), ({Route.VIA:d}, cr.via),
            ({Route.UTM:d}, cr.utm)) k(route, key)
        JOIN {{g}}.attribution_window p ON p.ws = $1 AND p.key = k.key AND p.route = k.route AND p.window_status = {WindowStatus.COUNTS:d}
            AND cr.occurred_at_us >= p.from_us AND cr.occurred_at_us < p.to_us
        JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = p.campaign
        ORDER BY 1) AS campaigns
FROM {{g}}.deal d JOIN {{g}}.credit cr ON cr.ws = $1 AND cr.deal = d.deal
WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3"""
SHARES = sql(_SHARES)

_CREDIT_OF = " UNION ".join(
    f"""
    SELECT cr.deal, cr.step FROM {{g}}.attribution_window p JOIN {{g}}.credit cr ON cr.ws = $1 AND cr.{column} = p.key
        AND cr.occurred_at_us >= p.from_us AND cr.occurred_at_us < p.to_us
    WHERE p.ws = $1 AND p.campaign = ANY($4::bigint[]) AND p.route = {route:d} AND p.window_status = {WindowStatus.COUNTS:d}"""
    for route, column in ((Route.ASSET, "asset_or_page_key"), (Route.VIA, "via"), (Route.UTM, "utm"))
)

# Of those, the touches of campaigns ($4): found by the keys that they hold.
SHARES_OF = sql(f"{_SHARES} AND (cr.deal, cr.step) IN ({_CREDIT_OF})")

# What touches ($2 their keys by route, $3 their instants, $4 their numbers) are to every campaign that holds or held them.
WINDOW_STATUSES = sql("""
SELECT u.n, p.route, p.window_status, c.campaign_id, p.campaign, p.key, p.asset
FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::int[]) u(n, key, at_us, route)
JOIN {g}.attribution_window p ON p.ws = $1 AND p.key = u.key AND p.route = u.route AND u.at_us >= p.from_us AND u.at_us < p.to_us
JOIN {g}.campaign c ON c.ws = $1 AND c.campaign = p.campaign
ORDER BY u.n, c.campaign_id, p.route
""")

# When the keys ($5) of routes ($4) counted for campaigns ($3), by the number ($2) of who asks.
COUNTED_WHEN = sql(f"""
SELECT u.n, p.from_us, p.to_us FROM unnest($2::int[], $3::bigint[], $4::int[], $5::bigint[]) u(n, campaign, route, key)
JOIN {{g}}.attribution_window p ON p.ws = $1 AND p.campaign = u.campaign AND p.route = u.route AND p.key = u.key
    AND p.window_status = {WindowStatus.COUNTS:d}
""")
