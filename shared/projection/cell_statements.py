"""The statements that read cells, and the touches of parts of days, for the plans of `shared.projection.cell_plan`."""

from shared.projection.sql import owned, sql, sql_numbers
from shared.projection.stages.cells.gather import COUNTS, INFLUENCING_KINDS, KINDS_A_TYPE, VISIT
from shared.projection.windows import KEY_COLUMN
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.pre_association import Route

SESSIONS, CONTACTS, LATER, EVERY_KIND = 1, 2, 4, 8
"""Bits that say which lists to read: the sessions; the contacts of touches that influence; only sessions that began earlier; the contacts of touches of
every kind that counts. They are added up."""

OF_DAYS, OF_MONTHS, OF_ADDED = 0, 1, 2
"""Numbers of the tables from which cells are read: `day_cell`, `month_cell`, `added_cell`."""

WINDOWS = sql("""
SELECT campaign, route, key, from_us, to_us, window_status FROM {g}.attribution_window
WHERE ws = $1 AND campaign = ANY($2::bigint[])
""")
_HELD = """held AS MATERIALIZED (
    SELECT DISTINCT route, key FROM {g}.attribution_window WHERE ws = $1 AND campaign = ANY($2::bigint[]))"""
KEY_SETS = sql(f"""
WITH {_HELD}
SELECT key_set, asset_or_page_key, via, utm FROM (
    SELECT k.* FROM {{g}}.key_set k JOIN held h ON h.route = {Route.ASSET:d} AND k.ws = $1 AND k.asset_or_page_key = h.key
    UNION SELECT k.* FROM {{g}}.key_set k JOIN held h ON h.route = {Route.VIA:d} AND k.ws = $1 AND k.via = h.key AND k.via <> 0
    UNION SELECT k.* FROM {{g}}.key_set k JOIN held h ON h.route = {Route.UTM:d} AND k.ws = $1 AND k.utm = h.key AND k.utm <> 0) k
""")
KEY_SETS_OF_DAYS = (
    sql(f"""
WITH {_HELD}, met AS MATERIALIZED (
    SELECT key_set FROM {{g}}.day_cell WHERE ws = $1 AND day = ANY($3::int[])
    UNION SELECT key_set FROM {{g}}.added_cell WHERE ws = $1 AND day = ANY($3::int[])
    UNION SELECT key_set FROM {{g}}.dirty_cell WHERE ws = $1
    UNION SELECT v.key_set FROM unnest($4::bigint[], $5::bigint[]) u(from_us, to_us)
    JOIN {{g}}.carried_visit v ON v.ws = $1 AND v.session_at_us >= u.from_us AND v.session_at_us < u.to_us)
SELECT k.key_set, k.asset_or_page_key, k.via, k.utm
FROM met CROSS JOIN LATERAL (SELECT * FROM {{g}}.key_set WHERE ws = $1 AND key_set = met.key_set OFFSET 0) k
WHERE k.asset_or_page_key IN (SELECT key FROM held WHERE route = {Route.ASSET:d})
    OR k.via <> 0 AND k.via IN (SELECT key FROM held WHERE route = {Route.VIA:d})
    OR k.utm <> 0 AND k.utm IN (SELECT key FROM held WHERE route = {Route.UTM:d})
""")
)  # only those that may have touches on some days ($3), or visits of sessions that began on these days: from $4 to $5
KEY_SETS_NAMED = sql("""
SELECT key_set, asset_or_page_key, via, utm FROM {g}.key_set WHERE ws = $1 AND key_set = ANY($2::bigint[])
""")
WINDOWS_OF_KEY_SETS = sql("""
SELECT DISTINCT w.campaign, w.route, w.key, w.from_us, w.to_us, w.window_status FROM {g}.key_set k
JOIN {g}.attribution_window w ON w.ws = $1 AND w.key = ANY(ARRAY[k.asset_or_page_key, k.via, k.utm]) AND w.campaign = ANY($3::bigint[])
WHERE k.ws = $1 AND k.key_set = ANY($2::bigint[])
""")
DIRTY = sql("SELECT key_set, day FROM {g}.dirty_cell WHERE ws = $1 ORDER BY key_set, day")
STALE = sql("SELECT key_set, month FROM {g}.stale_month WHERE ws = $1 ORDER BY key_set, month")

_ASKED = f"""lists & {SESSIONS} <> 0 AS visits, lists & {CONTACTS | EVERY_KIND} <> 0 AS counts, lists & {EVERY_KIND} <> 0 AS every"""


def _cells(table: str, day: str, source: int, kinds: str = "c.kinds, c.touches", contacts: str = "c.contacts") -> str:
    return f"""
    SELECT r.n, r.visits, r.counts, r.every, width_bucket(c.{day}, $10::int[]) AS bucket, {kinds},
        CASE WHEN r.counts THEN {contacts} END AS contacts,
        CASE WHEN r.visits THEN c.sessions END AS sessions, CASE WHEN r.visits THEN c.new_sessions END AS new_sessions
    FROM asked r JOIN member m ON m.pattern = r.pattern
    JOIN {{g}}.{table} c ON c.ws = $1 AND c.key_set = m.key_set AND c.{day} >= r.from_day AND c.{day} < r.to_day
    WHERE r.source = {source}"""


_MEMBER = "member AS MATERIALIZED (SELECT * FROM unnest($2::int[], $3::bigint[]) u(pattern, key_set))"

# Reads cells. $2 and $3: the key sets of each pattern. $4 to $9: for a pattern ($4), a group ($5), a table ($6: `OF_DAYS` and so on), the
# days from $7 to $8, and the lists to read ($9). $10: the first days of the buckets. Returns one row per group, bucket
# and kind with the number of touches and the contacts, and one row per group and bucket with the sessions.
OF_CELLS = sql(f"""
WITH {_MEMBER}, asked AS MATERIALIZED (
    SELECT pattern, n, source, from_day, to_day, {_ASKED}
    FROM unnest($4::int[], $5::int[], $6::smallint[], $7::int[], $8::int[], $9::smallint[])
        u(pattern, n, source, from_day, to_day, lists)),
met AS MATERIALIZED ({_cells("day_cell", "day", OF_DAYS)} UNION ALL {_cells("month_cell", "month", OF_MONTHS)}
    UNION ALL {_cells("added_cell", "day", OF_ADDED, "ARRAY[c.kind], ARRAY[c.touches]", "ARRAY[c.contacts]")})
SELECT n, bucket, u.kind, sum(u.touches)::bigint AS touches,
    string_agg(u.contacts, ''::bytea) FILTER (WHERE counts AND (every OR u.kind IN ({sql_numbers(INFLUENCING_KINDS)}))) AS contacts,
    NULL::bytea AS sessions, NULL::bytea AS new_sessions
FROM met CROSS JOIN LATERAL unnest(kinds, touches, contacts) u(kind, touches, contacts) GROUP BY n, bucket, u.kind
UNION ALL
SELECT n, bucket, NULL, NULL, NULL, string_agg(sessions, ''::bytea), string_agg(new_sessions, ''::bytea)
FROM met WHERE visits GROUP BY n, bucket
""")


def _scans() -> str:
    """SQL for the touches of keys in spans of time. Each span of a key is read once, also if several key sets are looked up by it."""
    keys = ", ".join(f"coalesce({name}, 0) AS {name}" for name in KEY_COLUMN.values())
    return " UNION ALL ".join(
        f"""
    SELECT s.scan, t.* FROM scan s CROSS JOIN LATERAL (
        SELECT {keys}, person, occurred_at_us, event_id, type, traffic_class, count, session, session_at_us, session_is_new
        FROM {{g}}.touch WHERE ws = $1 AND {column} = s.key AND occurred_at_us >= s.from_us AND occurred_at_us < s.to_us
            AND traffic_class <> {TrafficClass.RETRACTED:d}
        OFFSET 0) t
    WHERE s.route = {route:d}"""
        for route, column in KEY_COLUMN.items()
    )


_KEY_OF_ROUTE = (
    f"CASE m.route {' '.join(f'WHEN {route:d} THEN k.{column}' for route, column in KEY_COLUMN.items())} END"
)

# Reads touches, for parts of days. $4 to $8: for a pattern ($4), a group ($5), the instants from $6 to $7, and the lists to read ($8).
# $9: the instants at which the buckets begin. $10: the route by whose key the touches of each key set are looked up. Returns the rows of `OF_CELLS`, but
# the contacts are in rows of their own, without a number of touches. Touches and parts are joined by the number of a scan and not by its
# columns, because PostgreSQL expects few touches and would sort all of them.
OF_TOUCHES = sql(f"""
WITH member AS MATERIALIZED (SELECT * FROM unnest($2::int[], $3::bigint[], $10::smallint[]) u(pattern, key_set, route)),
part AS MATERIALIZED (
    SELECT p.n, p.from_us, p.to_us, {_ASKED}, p.lists & {LATER} <> 0 AS later, m.route, {_KEY_OF_ROUTE} AS key,
        k.asset_or_page_key, k.via, k.utm
    FROM unnest($4::int[], $5::int[], $6::bigint[], $7::bigint[], $8::smallint[]) p(pattern, n, from_us, to_us, lists)
    JOIN member m ON m.pattern = p.pattern JOIN {{g}}.key_set k ON k.ws = $1 AND k.key_set = m.key_set),
scan AS MATERIALIZED (
    SELECT row_number() OVER () AS scan, d.* FROM (SELECT DISTINCT route, key, from_us, to_us FROM part) d),
asked AS MATERIALIZED (
    SELECT s.scan, p.* FROM part p JOIN scan s ON s.route = p.route AND s.key = p.key AND s.from_us = p.from_us AND s.to_us = p.to_us),
touched AS MATERIALIZED ({_scans()}),
t AS MATERIALIZED (
    SELECT p.n, p.visits, p.counts, p.every, p.later, t.person, t.occurred_at_us, t.event_id, t.type, t.traffic_class, t.count, t.session,
        t.session_at_us, t.session_is_new, ({KINDS_A_TYPE} * t.type + t.traffic_class)::smallint AS kind
    FROM touched t
    JOIN asked p ON p.scan = t.scan AND p.asset_or_page_key = t.asset_or_page_key AND p.via = t.via AND p.utm = t.utm)
SELECT n, width_bucket(occurred_at_us, $9::bigint[]) AS bucket, kind,
    sum(count)::bigint AS touches, NULL::bytea AS contacts, NULL::bytea AS sessions, NULL::bytea AS new_sessions
FROM t WHERE NOT later GROUP BY 1, 2, 3
UNION ALL
SELECT n, bucket, kind, NULL, string_agg(int8send(contact), ''::bytea), NULL, NULL
FROM (
    SELECT DISTINCT t.n, width_bucket(t.occurred_at_us, $9::bigint[]) AS bucket, t.kind, o.contact FROM t
    JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.person = t.person
        AND {owned()}
    WHERE t.counts AND NOT t.later AND {COUNTS} AND (t.every OR t.kind IN ({sql_numbers(INFLUENCING_KINDS)}))) c
GROUP BY n, bucket, kind
UNION ALL
SELECT n, bucket, NULL, NULL, NULL, string_agg(int8send(session), ''::bytea),
    string_agg(int8send(session), ''::bytea) FILTER (WHERE session_is_new)
FROM (
    SELECT DISTINCT t.n, width_bucket(t.session_at_us, $9::bigint[]) AS bucket, t.session, t.session_is_new FROM t
    WHERE t.visits AND {VISIT}) v
GROUP BY n, bucket
""")

# Reads the sessions that began in [$8, $9) of visits on a later day. $4 to $7: for a pattern ($4), a group ($5), the instants from $6 to $7 in which visits count.
# $10: the instants at which the buckets begin.
CARRIED = sql(f"""
WITH {_MEMBER}
SELECT u.n, width_bucket(v.session_at_us, $10::bigint[]) AS bucket, v.session, v.session_is_new
FROM unnest($4::int[], $5::int[], $6::bigint[], $7::bigint[]) u(pattern, n, from_us, to_us)
JOIN member m ON m.pattern = u.pattern
JOIN {{g}}.carried_visit v ON v.ws = $1 AND v.key_set = m.key_set AND v.session_at_us >= $8 AND v.session_at_us < $9
    AND v.occurred_at_us >= u.from_us AND v.occurred_at_us < u.to_us
WHERE NOT EXISTS (SELECT FROM {{g}}.dirty_cell d WHERE d.ws = $1 AND d.key_set = v.key_set AND d.day = v.day)
""")
