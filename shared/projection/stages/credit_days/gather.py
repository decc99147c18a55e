"""When were the deals won whose sums a batch may make wrong? Which days of a workspace have sums, and how is a sum marked as stale?"""

from shared.projection.sql import sql
from shared.projection.windows import KEY_COLUMN

KEPT = sql(
    "SELECT time_zone, through_day, decided_by, defined_through_day, defined_by FROM {g}.credit_days_kept WHERE ws = $1"
)
MARK = sql("INSERT INTO {g}.stale_credit SELECT $1, * FROM unnest($2::int[], $3::bigint[]) ON CONFLICT DO NOTHING")
KEPT_AND_LATEST = sql("""
SELECT time_zone, through_day, (SELECT max(closed_us) FROM {g}.deal WHERE ws = $1) AS latest_us
FROM {g}.credit_days_kept WHERE ws = $1
""")  # with the last instant at which a deal was closed; null if none was
CLOSES_OF_PERSONS = sql("""
SELECT DISTINCT d.closed_us FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) u(person, after_us, until_us)
JOIN {g}.identity_interval o ON o.ws = $1 AND o.person = u.person
JOIN {g}.deal_contact c ON c.ws = $1 AND c.contact = o.contact
JOIN {g}.deal d ON d.ws = $1 AND d.deal = c.deal AND d.state = 'won' AND d.closed_us > u.after_us AND d.closed_us <= u.until_us
""")  # the won deals of whoever owns or owned a person's touches
CLOSES_OF_CONTACTS = sql("""
SELECT DISTINCT d.closed_us FROM {g}.deal_contact c JOIN {g}.deal d ON d.ws = $1 AND d.deal = c.deal AND d.state = 'won'
WHERE c.ws = $1 AND c.contact = ANY($2::bigint[])
""")
_OF_WON = "SELECT dated_us FROM {g}.deal_touch WHERE ws = $1 AND won"
_CLOSES = "SELECT count(*) AS touches, array_agg(DISTINCT dated_us) AS closes_us FROM"
_BY_ROUTE = " UNION ALL ".join(
    f"""
    SELECT t.dated_us FROM u CROSS JOIN LATERAL (
        {_OF_WON} AND {column} = u.key AND occurred_at_us >= u.from_us AND occurred_at_us < u.to_us OFFSET 0) t
    WHERE u.route = {route:d}"""
    for route, column in KEY_COLUMN.items()
)

# The deal touches of won deals of keys ($3) by routes ($2) from $4, inclusive, to $5, at most $6 of them: how many, and when the deals were won.
CLOSES_OF_WINDOWS = sql(f"""
WITH u AS MATERIALIZED (SELECT * FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[]) u(route, key, from_us, to_us))
{_CLOSES} (SELECT * FROM ({_BY_ROUTE}) t LIMIT $6) t
""")

# The credited touches of assets and pages ($2), at most $3 of them.
CLOSES_OF_ASSETS = sql(f"""
{_CLOSES} (
    SELECT t.dated_us FROM unnest($2::bigint[]) u(key) CROSS JOIN LATERAL (
        {_OF_WON} AND step IS NOT NULL AND asset_or_page_key = u.key OFFSET 0) t
    LIMIT $3) t
""")
