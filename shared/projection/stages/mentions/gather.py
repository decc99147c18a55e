"""Which identifiers are known, and which event names each of them first?"""

from shared.projection.sql import sql
from shared.rules.excluded_traffic import TrafficClass

IDENTIFIERS = sql("SELECT * FROM {g}.identifier WHERE ws = $1 AND identifier = ANY($2::bigint[])")

FIRST_NAMED = sql(f"""
SELECT i.identifier, f.occurred_at_us, f.event_id FROM unnest($2::bigint[]) i(identifier)
LEFT JOIN LATERAL (
    SELECT occurred_at_us, event_id FROM (
        (SELECT occurred_at_us, event_id FROM {{g}}.identifier_mention WHERE ws = $1 AND identifier = i.identifier
         ORDER BY occurred_at_us, event_id LIMIT 1)
        UNION ALL
        (SELECT occurred_at_us, event_id FROM {{g}}.touch WHERE ws = $1 AND person = i.identifier
            AND NOT by_visitor AND traffic_class <> {TrafficClass.RETRACTED:d} ORDER BY occurred_at_us, event_id LIMIT 1)) n
    ORDER BY 1, 2 LIMIT 1) f ON true
""")  # the earliest event that names each identifier
