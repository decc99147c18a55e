"""What is stored of visitors' sessions around the events that changed?"""

from shared.projection.sessions_in_order import SESSION_TYPE_NUMBERS
from shared.projection.sql import sql
from shared.rules.excluded_traffic import TrafficClass

SESSIONS_BEFORE = sql("""
SELECT u.n, t.session, t.session_at_us, t.session_is_new
FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::text[]) u(n, visitor, at_us, event_id)
CROSS JOIN LATERAL (
    SELECT session, session_at_us, session_is_new FROM {g}.touch
    WHERE ws = $1 AND person = u.visitor AND by_visitor AND session IS NOT NULL
        AND occurred_at_us <= u.at_us AND (occurred_at_us, event_id) < (u.at_us, u.event_id COLLATE "C")
    ORDER BY occurred_at_us DESC, event_id DESC LIMIT 1) t
""")  # the session of each visitor's last event before a point

SESSION_EVENTS = sql(f"""
SELECT u.n, t.* FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::text[]) u(n, visitor, at_us, event_id)
CROSS JOIN LATERAL (
    SELECT occurred_at_us, event_id, source, session, session_at_us, session_is_new FROM {{g}}.touch
    WHERE ws = $1 AND person = u.visitor AND by_visitor AND traffic_class = {TrafficClass.COUNTED:d}
        AND type IN ({",".join(map(str, SESSION_TYPE_NUMBERS))})
        AND occurred_at_us >= u.at_us AND (occurred_at_us, event_id) > (u.at_us, u.event_id COLLATE "C")
    ORDER BY occurred_at_us, event_id LIMIT $6) t
""")  # each visitor's session events after a point, in order

NEWEST = sql(f"""
SELECT occurred_at_us, event_id FROM (
    (SELECT occurred_at_us, event_id FROM {{g}}.touch WHERE ws = $1 AND person = $2 AND by_visitor AND traffic_class <> {TrafficClass.RETRACTED:d}
     ORDER BY occurred_at_us DESC, event_id DESC LIMIT 1)
    UNION ALL
    (SELECT occurred_at_us, event_id FROM {{g}}.identifier_mention WHERE ws = $1 AND visitor = $2
     ORDER BY occurred_at_us DESC, event_id DESC LIMIT 1)) n
ORDER BY 1 DESC, 2 DESC LIMIT 1
""")  # a visitor's newest event of all that are in the set
ALL_VISITORS = sql("SELECT visitor FROM {g}.visitor WHERE ws = $1 ORDER BY visitor")
