"""What is stored of a workspace's cells, and how are touches digested?"""

from collections.abc import Sequence
from typing import Any

from shared.projection.pipeline import Context
from shared.projection.sql import owned, sql, sql_numbers, utc_day
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import INFLUENCING, TouchType
from shared.rules.pre_association import COUNTING_CLASSES

KINDS_A_TYPE = 10  # a kind is the type times this, plus the traffic class
INFLUENCING_KINDS = frozenset(KINDS_A_TYPE * type_ + class_ for type_ in INFLUENCING for class_ in COUNTING_CLASSES)
VISIT_KINDS = frozenset(KINDS_A_TYPE * TouchType.PAGE_VISITED + class_ for class_ in COUNTING_CLASSES)
CARRIED_COLUMNS = ("ws", "key_set", "day", "occurred_at_us", "session", "session_at_us", "session_is_new")
DIGEST = "kinds, touches, contacts, sessions, new_sessions"

WINDOWS_OF_CELLS = """
JOIN {g}.key_set k ON k.ws = $1 AND k.key_set = c.key_set
JOIN {g}.attribution_window w ON w.ws = $1 AND w.key = ANY(ARRAY[k.asset_or_page_key, k.via, k.utm])"""
"""SQL that joins cells `c` with the windows `w` of their keys: of every campaign for which their touches may be something."""
WINDOWS_LOOKED_UP = """
CROSS JOIN LATERAL (SELECT * FROM {g}.key_set WHERE ws = $1 AND key_set = c.key_set OFFSET 0) k
CROSS JOIN LATERAL (
    SELECT * FROM {g}.attribution_window WHERE ws = $1 AND key = ANY(ARRAY[k.asset_or_page_key, k.via, k.utm]) OFFSET 0) w"""
"""The same, of few cells. In a young store PostgreSQL has no statistics, and would compare each window with each key set instead: 0.36 s of a step."""

KEPT = sql("SELECT time_zone, through_day FROM {g}.cells_kept WHERE ws = $1")


def _of_spans(columns: str, condition: str) -> str:
    """SQL for the touches of persons ($2), each from an instant ($3) to another ($4), inclusive. OFFSET 0 has each person looked up."""
    return f"""
SELECT coalesce(t.asset_or_page_key, 0) AS asset_or_page_key, coalesce(t.via, 0) AS via, coalesce(t.utm, 0) AS utm, {columns}
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) u(person, from_us, to_us) CROSS JOIN LATERAL (
    SELECT t.* FROM {{g}}.touch t
    WHERE ws = $1 AND person = u.person AND occurred_at_us >= u.from_us AND occurred_at_us <= u.to_us AND {condition} OFFSET 0) t
"""


KIND = f"({KINDS_A_TYPE} * type + traffic_class)::smallint"
COUNTS = f"t.traffic_class IN ({sql_numbers(COUNTING_CLASSES)})"
KEYS_OF_TOUCHES = sql(_of_spans("occurred_at_us, session_at_us", f"traffic_class <> {TrafficClass.RETRACTED:d}"))
COUNTED_TOUCHES = sql(_of_spans(f"t.person, occurred_at_us, event_id, {KIND} AS kind", COUNTS))
OWNERS = sql("""
SELECT person, from_us, from_event, to_us, to_event, contact FROM {g}.identity_interval
WHERE ws = $1 AND person = ANY($2::bigint[])
""")
KEY_SETS_OF_TOUCHES = sql("""
SELECT DISTINCT coalesce(asset_or_page_key, 0) AS asset_or_page_key, coalesce(via, 0) AS via, coalesce(utm, 0) AS utm
FROM {g}.touch WHERE ws = $1 AND coalesce(asset_or_page_key, via, utm) IS NOT NULL
""")
DAYS_OF_TOUCHES = sql(f"""
SELECT DISTINCT {utc_day("occurred_at_us")} AS day
FROM {{g}}.touch WHERE ws = $1
""")  # days of UTC

_TOUCH = "t.person, t.occurred_at_us, t.event_id, t.type, t.traffic_class, t.count, t.session, t.session_at_us, t.session_is_new"

# All touches between the first and the last of the instants $2, at which the days $3 begin.
_OF_DAYS = f"""
    SELECT k.key_set, ($3::int[])[b.n] AS day, ($2::bigint[])[b.n] AS day_from_us, {_TOUCH}
    FROM {{g}}.touch t
    JOIN {{g}}.key_set k ON k.ws = $1 AND k.asset_or_page_key = coalesce(t.asset_or_page_key, 0) AND k.via = coalesce(t.via, 0)
        AND k.utm = coalesce(t.utm, 0)
    CROSS JOIN LATERAL (SELECT width_bucket(t.occurred_at_us, $2::bigint[]) AS n) b
    WHERE t.ws = $1 AND t.traffic_class <> {TrafficClass.RETRACTED:d} AND t.occurred_at_us >= $4 AND t.occurred_at_us < $5"""


KEY_COLUMNS = ("asset_or_page_key", "via", "utm")  # of a key set


def touches_of_parts(columns: str) -> str:
    """SQL for the touches of key sets within spans of time: of `part`, with the columns key_set, from_us and to_us.

    Each is found by the index of the first of its keys: without OFFSET 0, PostgreSQL may choose to read all touches instead.
    """
    branches = []
    for n, column in enumerate(KEY_COLUMNS):
        first = " AND ".join([*(f"k.{name} = 0" for name in KEY_COLUMNS[:n]), f"k.{column} <> 0"])
        same = " AND ".join(f"coalesce({name}, 0) = k.{name}" for name in KEY_COLUMNS if name != column)
        branches.append(f"""
    SELECT {columns} FROM part p JOIN {{g}}.key_set k ON k.ws = $1 AND k.key_set = p.key_set
    CROSS JOIN LATERAL (
        SELECT person, occurred_at_us, event_id, type, traffic_class, count, session, session_at_us, session_is_new
        FROM {{g}}.touch WHERE ws = $1 AND {column} = k.{column} AND occurred_at_us >= p.from_us AND occurred_at_us < p.to_us
            AND {same} AND traffic_class <> {TrafficClass.RETRACTED:d}
        OFFSET 0) t
    WHERE {first}""")
    return " UNION ALL ".join(branches)


_OF_CELLS = f"""
    WITH part AS MATERIALIZED (
        SELECT * FROM unnest($2::bigint[], $3::int[], $4::bigint[], $5::bigint[]) u(key_set, day, from_us, to_us))
    {touches_of_parts(f"p.key_set, p.day, p.from_us AS day_from_us, {_TOUCH}")}"""


VISIT = f"t.type = {TouchType.PAGE_VISITED:d} AND t.traffic_class IN ({sql_numbers(COUNTING_CLASSES)}) AND t.session IS NOT NULL"


def _digested(touches: str) -> str:
    """SQL that writes the day cells of some touches, with key_set, day and day_from_us, and their carried visits."""
    return f"""
WITH t AS MATERIALIZED ({touches}),
counted AS (
    SELECT key_set, day, {KIND} AS kind, sum(count)::bigint AS touches FROM t GROUP BY 1, 2, 3),
known AS (
    SELECT key_set, day, kind, string_agg(int8send(contact), ''::bytea ORDER BY contact) AS contacts
    FROM (
        SELECT DISTINCT t.key_set, t.day, {KIND} AS kind, o.contact FROM t
        JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.person = t.person
            AND {owned()}
        WHERE {COUNTS}) o
    GROUP BY 1, 2, 3),
of_kinds AS (
    SELECT key_set, day, array_agg(kind ORDER BY kind) AS kinds, array_agg(touches ORDER BY kind) AS touches,
        array_agg(coalesce(contacts, ''::bytea) ORDER BY kind) AS contacts
    FROM counted LEFT JOIN known USING (key_set, day, kind) GROUP BY 1, 2),
visited AS (
    SELECT key_set, day, string_agg(int8send(session), ''::bytea ORDER BY session) AS sessions,
        string_agg(int8send(session), ''::bytea ORDER BY session) FILTER (WHERE session_is_new) AS new_sessions
    FROM (SELECT DISTINCT key_set, day, session, session_is_new FROM t WHERE {VISIT} AND t.session_at_us >= t.day_from_us) v
    GROUP BY 1, 2),
carried AS (
    INSERT INTO {{g}}.carried_visit
    SELECT $1, key_set, day, occurred_at_us, session, session_at_us, session_is_new FROM t
    WHERE {VISIT} AND t.session_at_us < t.day_from_us)
INSERT INTO {{g}}.day_cell (ws, key_set, day, {DIGEST})
SELECT $1::int, c.key_set, c.day, c.kinds, c.touches, c.contacts, coalesce(v.sessions, ''::bytea), coalesce(v.new_sessions, ''::bytea)
FROM of_kinds c LEFT JOIN visited v USING (key_set, day)"""


DIGEST_DAYS = sql(_digested(_OF_DAYS))
DIGEST_CELLS = sql(_digested(_OF_CELLS))


async def kept(context: Context) -> Any:
    """For which days the workspace has cells, and of which time zone; None if it has none."""
    return await context.connection.fetchrow(KEPT, context.ws)


Interval = tuple[tuple[int, str], tuple[int, str], int]
"""From which place among all events (instant, id) to which, exclusive, a person's touches are a contact's."""


async def owners(context: Context, persons: Sequence[int]) -> dict[int, list[Interval]]:
    """The identity intervals of persons."""
    found: dict[int, list[Interval]] = {}
    if persons:
        rows = await context.connection.fetch(OWNERS, context.ws, persons)
        for person, from_us, from_event, to_us, to_event, contact in rows:
            found.setdefault(person, []).append(((from_us, from_event), (to_us, to_event), contact))
    return found
