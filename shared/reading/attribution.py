"""The statements in which touches meet campaigns: nothing else joins the two.

The table `attribution_window` says what a key (of an asset, of a page's address, of a utm value) was to a campaign over time, and
`touch` says what happened to which key when. A campaign's touches are their join. No row of it is stored, so nothing is out of
date when the catalog changes. `identity_interval` says in the same way which contact owns a person's touch.

SQL gathers, the rules of `shared.rules` decide. Where there are too many touches to decide about each one in Python, SQL selects
by lists that are made here by asking the rule.
"""

from collections.abc import Iterable

from shared.projection.sql import owned, sql, sql_numbers
from shared.projection.windows import COUNTING_STATUSES, KEY_COLUMN, within
from shared.rules import pre_association
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.first_and_last_touch import FIRST_TOUCH_ROUTES
from shared.rules.influence import INFLUENCING, TouchType
from shared.rules.pre_association import Route

# Rule pre-association: a touch counts if it is of one of these classes and one of its routes has one of COUNTING_STATUSES.
COUNTING_CLASSES = sql_numbers(pre_association.COUNTING_CLASSES)

# $1 is the workspace, $2 the keys of the campaigns.
_WINDOWS = """
campaign_window AS MATERIALIZED (
    SELECT campaign, route, key, from_us, to_us, window_status FROM {g}.attribution_window
    WHERE ws = $1 AND campaign = ANY($2::bigint[])
)"""

OWNER_OF = f"""
    JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.person = t.person
        AND {owned()}"""


def _guessed(condition: str) -> str:
    """A condition on the columns of a WITH, of which PostgreSQL may have no statistics, written so that PostgreSQL expects it to accept every second row.

    PostgreSQL expects a bare equality to accept one row in 200, and several of them nearly none; it then chooses a join that reads one
    side as a whole for each row of the other.
    """
    return f"coalesce({condition}, false)"


def in_range(column: str) -> str:
    """A condition: a column lies in the range of time in $3 and $4."""
    return f"{column} >= $3::bigint AND {column} < $4::bigint"


def statuses_by_route(of: str = "") -> str:
    """Columns that say what each route says of a touch, of grouped windows whose columns have `of` before them."""
    return ", ".join(
        f"min({of}window_status) FILTER (WHERE {of}route = {route:d}) AS by_{route.name.lower()}" for route in Route
    )


def _counting(columns: str, routes: Iterable[Route], condition: str) -> str:
    """The touches that count for the campaigns by some routes. A touch stands once for each route by which it counts."""
    return " UNION ALL ".join(
        f"""
    SELECT w.campaign, {columns} FROM campaign_window w
    JOIN {{g}}.touch t ON t.ws = $1 AND t.{KEY_COLUMN[route]} = w.key AND {within("w")}
    WHERE w.route = {route:d} AND {_guessed(f"w.window_status IN ({COUNTING_STATUSES})")}
        AND t.traffic_class IN ({COUNTING_CLASSES}) AND {condition}"""
        for route in sorted(routes)
    )


def _by_lowest_route() -> str:
    """The touches of the campaigns in [$3, $4), with what each route says of them. A touch stands once for each campaign.

    It is read by the lowest of its routes; what the higher ones say is looked up among the campaigns' few windows. To read it by
    each route and to group the rows by event took a third longer, and the groups had to be written to disk where they were many.
    """
    parts = []
    for route in Route:
        by, joins, lower = [], [], []
        for other in Route:
            name = f"by_{other.name.lower()}"
            if other == route:
                by.append(f"w.window_status AS {name}")
                continue
            joins.append(f"""
    LEFT JOIN campaign_window {name} ON {name}.campaign = w.campaign AND {name}.route = {other:d}
        AND {name}.key = t.{KEY_COLUMN[other]} AND {within(name)}""")
            if other < route:
                lower.append(f" AND {name}.campaign IS NULL")
            by.append(f"{name}.window_status AS {name}")
        parts.append(f"""
    SELECT w.campaign, t.type, t.traffic_class, t.count, {", ".join(by)} FROM campaign_window w
    JOIN {{g}}.touch t ON t.ws = $1 AND t.{KEY_COLUMN[route]} = w.key
        AND t.occurred_at_us >= greatest(w.from_us, $3::bigint) AND t.occurred_at_us < least(w.to_us, $4::bigint){"".join(joins)}
    WHERE w.route = {route:d} AND t.traffic_class <> {TrafficClass.RETRACTED:d}{"".join(lower)}""")
    return " UNION ALL ".join(parts)


# The numbers of campaigns are gathered by the next statements. Of many campaigns they are asked one after another in one snapshot, and
# each reads only what it needs. Of FEW_MAX or fewer they are parts of one statement, FEW_CAMPAIGNS, that makes their touches once: see
# there. The queries are the same, over `campaign_touch`, `visit` and `reached`.

_COUNTED_TOUCHES = """
SELECT campaign, type, traffic_class, by_asset, by_via, by_utm, sum(count)::bigint AS touches
FROM campaign_touch t {where} GROUP BY campaign, type, traffic_class, by_asset, by_via, by_utm"""

# How many touches of each kind happened in [$3, $4). One row a campaign, type, class and statuses.
TOUCH_COUNTS = sql(f"WITH {_WINDOWS}, campaign_touch AS ({_by_lowest_route()}) {_COUNTED_TOUCHES.format(where='')}")

_VISIT = f"t.type = {TouchType.PAGE_VISITED:d} AND t.occurred_at_us >= $3::bigint AND {in_range('t.session_at_us')}"
_SESSIONS = """
SELECT campaign, count(DISTINCT session) AS sessions, count(DISTINCT session) FILTER (WHERE session_is_new) AS new_sessions
FROM visit GROUP BY campaign"""

# How many sessions that began in [$3, $4) have a page visit that counts. One row a campaign. No touch is before its session.
SESSION_COUNTS = sql(f"""
WITH {_WINDOWS}, visit AS ({_counting("t.session, t.session_is_new", FIRST_TOUCH_ROUTES, _VISIT)}) {_SESSIONS}
""")

_REACHING = f"t.type IN ({sql_numbers(INFLUENCING)})"


def touched(contacts: str, from_us: str, to_us: str) -> str:
    """A part of a WITH: the influencing touches of contacts between two instants that count where one of their keys does; parameters name them."""
    return f"""touched AS MATERIALIZED (
    SELECT o.contact, t.* FROM unnest({contacts}::bigint[]) c(contact)
    JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.contact = c.contact
    CROSS JOIN LATERAL (
        SELECT t.occurred_at_us, t.event_id, {", ".join(f"t.{column}" for column in KEY_COLUMN.values())} FROM {{g}}.touch t
        WHERE t.ws = $1 AND t.person = o.person AND t.occurred_at_us >= {from_us} AND t.occurred_at_us < {to_us} AND {owned()}
            AND {_REACHING} AND t.traffic_class IN ({COUNTING_CLASSES}) OFFSET 0) t)"""


REACHED = f"""{_WINDOWS}, reached AS ({_counting("t.person, t.occurred_at_us, t.event_id", Route, _REACHING)})"""
"""Parts of a WITH: the influencing touches that count for the campaigns, at any time. A touch stands once for each route."""

_INFLUENCED = f"""
SELECT campaign, count(*) AS contacts FROM (
    SELECT t.campaign, o.contact, min(t.occurred_at_us) AS influence_us FROM reached t {OWNER_OF} GROUP BY t.campaign, o.contact) first
WHERE {in_range("influence_us")} GROUP BY campaign"""

# How many contacts were first influenced in [$3, $4). One row a campaign.
INFLUENCED = sql(f"WITH {REACHED} {_INFLUENCED}")

_MET = " UNION ALL ".join(
    f"""
    SELECT w.campaign, w.route, w.window_status, t.person, t.occurred_at_us, t.event_id, t.type, t.traffic_class, t.count, t.session,
        t.session_at_us, t.session_is_new
    FROM campaign_window w JOIN {{g}}.touch t ON t.ws = $1 AND t.{column} = w.key AND {within("w")}
    WHERE w.route = {route:d} AND t.traffic_class <> {TrafficClass.RETRACTED:d}"""
    for route, column in KEY_COLUMN.items()
)


def _counts_by(routes: Iterable[Route]) -> str:
    return " OR ".join(f"t.by_{route.name.lower()} IN ({COUNTING_STATUSES})" for route in sorted(routes))


def _counting_of_few(columns: str, routes: Iterable[Route], condition: str) -> str:
    """As `_counting`, from the touches that FEW_CAMPAIGNS has made; a touch stands once."""
    counts = _guessed(f"t.traffic_class IN ({COUNTING_CLASSES}) AND ({_counts_by(routes)})")
    return f"SELECT t.campaign, {columns} FROM campaign_touch t WHERE {counts} AND {_guessed(condition)}"


_PARTS_OF_FEW = {
    "touch_counts": _COUNTED_TOUCHES.format(where=f"WHERE {in_range('t.occurred_at_us')}"),
    "session_counts": f"""WITH visit AS ({
        _counting_of_few("t.session, t.session_is_new", FIRST_TOUCH_ROUTES, _VISIT)
    }) {_SESSIONS}""",
    "influenced": f"""WITH reached AS ({_counting_of_few("t.person, t.occurred_at_us, t.event_id", Route, _REACHING)}) {
        _INFLUENCED
    }""",
}

# All of these of a few campaigns. One row; a column for each statement above, named as it in small letters, with
# its rows as a JSON array (null for none) of objects whose fields are its columns.
# To plan six statements and to find the touches again in each takes 1.4 times as long for 20 small campaigns, and twice as long for one.
# Of many campaigns or large ones, all touches of all time take longer to make than what each statement needs: 1.5 times for 50, and 2.8
# times for 30 days of them. Which of the two holds is not known before they are read. (PostgreSQL 18, 300,000 events, processor time.)
FEW_CAMPAIGNS = sql(f"""
WITH {_WINDOWS}, met AS ({_MET}), campaign_touch AS MATERIALIZED (
    SELECT campaign, person, occurred_at_us, event_id, min(type) AS type, min(traffic_class) AS traffic_class, min(count) AS count,
        min(session) AS session, min(session_at_us) AS session_at_us, bool_or(session_is_new) AS session_is_new, {statuses_by_route()}
    FROM met GROUP BY campaign, person, occurred_at_us, event_id
)
SELECT {", ".join(f"(SELECT json_agg(part) FROM ({query}) part) AS {name}" for name, query in _PARTS_OF_FEW.items())}
""")


_OF_CONTACTS = " UNION ALL ".join(
    f"""
    SELECT w.campaign, w.route, w.window_status, o.contact, t.person, t.occurred_at_us, t.event_id, t.type, t.traffic_class
    FROM campaign_window w JOIN {{g}}.touch t ON t.ws = $1 AND t.{column} = w.key AND {within("w")} {OWNER_OF}
    WHERE w.route = {route:d} AND t.traffic_class <> {TrafficClass.RETRACTED:d}
        AND t.type IN ({sql_numbers(INFLUENCING)}) AND o.contact = ANY($3::bigint[])"""
    for route, column in KEY_COLUMN.items()
)

# The touches of influencing types of contacts ($3) that are of the campaigns' keys, whether they count or not, in order, each with
# what every route says of it. One row a campaign and touch.
TOUCHES_OF_CONTACTS = sql(f"""
WITH {_WINDOWS}, met AS ({_OF_CONTACTS})
SELECT campaign, contact, person, occurred_at_us, event_id, type, traffic_class,
    {statuses_by_route()}
FROM met GROUP BY campaign, contact, person, occurred_at_us, event_id, type, traffic_class
ORDER BY occurred_at_us, event_id
""")

# The touches of the journeys of the deals won in [$2, $3), each with its shares by model (null if the deal has no amount) and
# its campaigns in the order of their ids. What belongs to no campaign has an empty list.
_SHARES = f"""
SELECT cr.deal, cr.contact, cr.shares_minor, d.currency, d.closed_us, cr.event_id, cr.type,
    cr.occurred_at_us,
    ARRAY(SELECT DISTINCT c.campaign_id
        FROM (VALUES {", ".join(f"({route:d}, cr.{column})" for route, column in KEY_COLUMN.items())}) k(route, key)
        JOIN {{g}}.attribution_window w ON w.ws = $1 AND w.key = k.key AND w.route = k.route
            AND w.window_status IN ({COUNTING_STATUSES}) AND cr.occurred_at_us >= w.from_us AND cr.occurred_at_us < w.to_us
        JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = w.campaign
        ORDER BY 1) AS campaigns
FROM {{g}}.deal d JOIN {{g}}.credit cr ON cr.ws = $1 AND cr.deal = d.deal
WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3"""
SHARES = sql(_SHARES)

_CREDIT_OF = " UNION ".join(
    f"""
    SELECT t.deal, t.step FROM {{g}}.attribution_window w JOIN {{g}}.deal_touch t ON t.ws = $1 AND t.{column} = w.key
        AND t.dated_us >= $2 AND t.dated_us < $3 AND {within("w")} AND t.step IS NOT NULL
    WHERE w.ws = $1 AND w.campaign = ANY($4::bigint[]) AND w.route = {route:d} AND w.window_status IN ({COUNTING_STATUSES})"""
    for route, column in KEY_COLUMN.items()
)

# Of those, the touches that count for campaigns ($4): found by the keys that the campaigns held.
SHARES_OF = sql(f"{_SHARES} AND (cr.deal, cr.step) IN ({_CREDIT_OF})")

# What touches ($2 their numbers, $3 their keys, $4 their instants, $5 the routes of the keys) are to every campaign that ever held
# or claimed the keys. One row a touch, campaign and route.
WINDOW_STATUSES = sql("""
SELECT u.n, w.route, w.window_status, c.campaign_id, w.campaign, w.key, w.asset
FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::int[]) u(n, key, at_us, route)
JOIN {g}.attribution_window w ON w.ws = $1 AND w.key = u.key AND w.route = u.route AND u.at_us >= w.from_us AND u.at_us < w.to_us
JOIN {g}.campaign c ON c.ws = $1 AND c.campaign = w.campaign
ORDER BY u.n, c.campaign_id, w.route
""")

# When keys ($5) of routes ($4) counted for campaigns ($3); $2 numbers the questions. One row a question and stretch of time.
COUNTED_WHEN = sql(f"""
SELECT u.n, w.from_us, w.to_us FROM unnest($2::int[], $3::bigint[], $4::int[], $5::bigint[]) u(n, campaign, route, key)
JOIN {{g}}.attribution_window w ON w.ws = $1 AND w.campaign = u.campaign AND w.route = u.route AND w.key = u.key
    AND w.window_status IN ({COUNTING_STATUSES})
""")

# The campaigns that each of some deals ($2) counts for (rule deal): a deal touch of it counts for the campaign. One row a deal and campaign.
CAMPAIGNS_OF_DEALS = sql(f"""
SELECT DISTINCT t.deal, c.campaign_id FROM {{g}}.deal_touch t
CROSS JOIN LATERAL (VALUES {", ".join(f"({route:d}, t.{column})" for route, column in KEY_COLUMN.items())}) k(route, key)
JOIN {{g}}.attribution_window w ON w.ws = $1 AND w.key = k.key AND w.route = k.route AND {within("w")}
    AND w.window_status IN ({COUNTING_STATUSES})
JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = w.campaign
WHERE t.ws = $1 AND t.deal = ANY($2::bigint[]) ORDER BY t.deal, c.campaign_id
""")
