"""The batch job that one would write instead: DuckDB recomputes the campaigns' numbers from the same NDJSON.

It knows the standard mix and its rules: intervals of associations, addresses, utm claims, machines, retractions, sessions with
their sources, owners and merged contacts. It leaves out deals and credit, last and first touch, explanations and all that comes
late: it is run anew for every answer.
"""

import json
import resource
import sys
import time

import duckdb

COLUMNS = {
    "id": "VARCHAR", "type": "VARCHAR", "occurred_at": "TIMESTAMP", "visitor_id": "VARCHAR", "url": "VARCHAR",
    "referrer": "VARCHAR", "asset_id": "VARCHAR", "via_asset_id": "VARCHAR", "contact": "STRUCT(id VARCHAR, email VARCHAR)",
    "into": "STRUCT(id VARCHAR, email VARCHAR)", "campaign_id": "VARCHAR", "utm_campaign": "VARCHAR",
    "asset_type": "VARCHAR", "count": "BIGINT", "machine": "BOOLEAN", "event_id": "VARCHAR", "list_type": "VARCHAR",
}  # fmt: skip
ADDRESS = "rtrim(regexp_replace(split_part(split_part({0}, '?', 1), '#', 1), '^https?://(www\\.)?', ''), '/')"
TOUCHES = (
    "page_visited", "form_submitted", "cta_viewed", "cta_clicked", "email_sent", "email_delivered", "email_opened",
    "email_clicked", "email_bounced", "email_unsubscribed", "social_clicked", "social_interacted", "ad_viewed",
    "ad_clicked", "asset_interacted", "list_joined", "workflow_enrolled",
)  # fmt: skip
INFLUENCING = (
    "page_visited", "form_submitted", "cta_viewed", "cta_clicked", "email_opened", "email_clicked", "social_clicked",
    "social_interacted", "ad_clicked", "asset_interacted", "workflow_enrolled",
)  # fmt: skip
STEPS = [
    """CREATE TABLE e AS SELECT * FROM raw
    WHERE id NOT IN (SELECT event_id FROM raw WHERE type = 'event_retracted')""",
    """CREATE TABLE life AS SELECT campaign_id,
        coalesce(min(occurred_at) FILTER (type = 'campaign_created'), min(occurred_at)) AS created,
        coalesce(min(occurred_at) FILTER (type = 'campaign_deleted'), TIMESTAMP '9999-01-01') AS deleted
    FROM e WHERE campaign_id IS NOT NULL GROUP BY 1""",
    """CREATE TABLE kind AS SELECT asset_id, arg_max(asset_type, occurred_at) AS asset_type
    FROM e WHERE type = 'asset_registered' GROUP BY 1""",
    """CREATE TABLE held AS SELECT asset_id, c.campaign_id, greatest(c.occurred_at, l.created) AS t0, least(c.next, l.deleted) AS t1
    FROM (
        SELECT e.*, coalesce(lead(occurred_at) OVER (
            PARTITION BY e.asset_id, CASE WHEN k.asset_type = 'workflow' THEN campaign_id END ORDER BY occurred_at, id
        ), TIMESTAMP '9999-01-01') AS next
        FROM e LEFT JOIN kind k USING (asset_id) WHERE type IN ('asset_associated', 'asset_dissociated')
    ) c JOIN life l USING (campaign_id) WHERE c.type = 'asset_associated' AND greatest(c.occurred_at, l.created) < least(c.next, l.deleted)""",
    """CREATE TABLE claimed AS SELECT v, campaign_id, t0, least(next, deleted) AS t1 FROM (
        SELECT lower(trim(utm_campaign)) AS v, campaign_id, greatest(occurred_at, created) AS t0, deleted,
            coalesce(lead(occurred_at) OVER (PARTITION BY lower(trim(utm_campaign)) ORDER BY occurred_at, id), TIMESTAMP '9999-01-01') AS next
        FROM e JOIN life USING (campaign_id) WHERE type IN ('campaign_created', 'campaign_updated') AND utm_campaign IS NOT NULL)""",
    f"""CREATE TABLE page AS SELECT address, asset_id,
        CASE WHEN n = 1 THEN TIMESTAMP '1900-01-01' ELSE occurred_at END AS t0, next AS t1
    FROM (SELECT {ADDRESS.format("url")} AS address, asset_id, occurred_at,
            row_number() OVER (PARTITION BY {ADDRESS.format("url")} ORDER BY occurred_at, id) AS n,
            coalesce(lead(occurred_at) OVER (PARTITION BY {ADDRESS.format("url")} ORDER BY occurred_at, id), TIMESTAMP '9999-01-01') AS next
        FROM e JOIN kind k USING (asset_id)
        WHERE type = 'asset_registered' AND url IS NOT NULL AND k.asset_type IN ('site_page', 'landing_page', 'blog_post', 'case_study'))""",
    f"""CREATE TABLE touch AS SELECT t.id, t.type, t.occurred_at AS ts, t.visitor_id, t.contact, coalesce(t.count, 1) AS n,
        t.list_type, coalesce(t.asset_id, p.asset_id) AS asset, t.via_asset_id AS via, t.referrer, t.url,
        CASE WHEN t.type = 'page_visited' THEN nullif(lower(trim(regexp_extract(t.url, '[?&]utm_campaign=([^&#]*)', 1))), '') END AS utm
    FROM e t LEFT JOIN page p ON t.type = 'page_visited' AND t.asset_id IS NULL AND p.address = {ADDRESS.format("t.url")}
        AND t.occurred_at >= p.t0 AND t.occurred_at < p.t1
    WHERE t.type IN {TOUCHES} AND NOT coalesce(t.machine, false)""",
    """CREATE TABLE met AS SELECT DISTINCT id, campaign_id FROM (
        SELECT id, campaign_id FROM touch t JOIN held h ON h.asset_id = t.asset AND t.ts >= h.t0 AND t.ts < h.t1
        UNION ALL SELECT id, campaign_id FROM touch t JOIN held h ON h.asset_id = t.via AND t.ts >= h.t0 AND t.ts < h.t1
        UNION ALL SELECT id, campaign_id FROM touch t JOIN claimed c ON c.v = t.utm AND t.ts >= c.t0 AND t.ts < c.t1)""",
    """CREATE TABLE met_by_page AS SELECT DISTINCT id, campaign_id FROM (
        SELECT id, campaign_id FROM touch t JOIN held h ON h.asset_id = t.asset AND t.ts >= h.t0 AND t.ts < h.t1 WHERE t.type = 'page_visited'
        UNION ALL SELECT id, campaign_id FROM touch t JOIN claimed c ON c.v = t.utm AND t.ts >= c.t0 AND t.ts < c.t1)""",
    r"""CREATE TABLE session AS
    WITH one AS (
        SELECT id, type, ts, visitor_id,
            CASE WHEN type <> 'page_visited' THEN NULL
                WHEN regexp_matches(url, '[?&]utm_(campaign|source|medium)=[^&]') THEN
                    'u' || regexp_extract(url, '[?&]utm_campaign=([^&#]*)', 1) || '|' || regexp_extract(url, '[?&]utm_source=([^&#]*)', 1)
                    || '|' || regexp_extract(url, '[?&]utm_medium=([^&#]*)', 1)
                WHEN referrer IS NOT NULL AND regexp_extract(referrer, '://(?:www\.)?([^/]+)', 1) <> regexp_extract(url, '://(?:www\.)?([^/?]+)', 1)
                    THEN 'r' || regexp_extract(referrer, '://(?:www\.)?([^/]+)', 1) END AS source,
            coalesce(ts - lag(ts) OVER w >= INTERVAL 30 MINUTE, true) AS gap
        FROM touch WHERE visitor_id IS NOT NULL AND type IN ('page_visited', 'form_submitted', 'cta_viewed', 'cta_clicked')
        WINDOW w AS (PARTITION BY visitor_id ORDER BY ts, id)
    ), blocks AS (
        SELECT *, sum(gap::INT) OVER (PARTITION BY visitor_id ORDER BY ts, id ROWS UNBOUNDED PRECEDING) AS block FROM one
    ), named AS (
        SELECT *, last_value(source IGNORE NULLS) OVER (
            PARTITION BY visitor_id, block ORDER BY ts, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM blocks
    )
    SELECT id, visitor_id, sum((gap OR (source IS NOT NULL AND source IS DISTINCT FROM before))::INT)
        OVER (PARTITION BY visitor_id ORDER BY ts, id ROWS UNBOUNDED PRECEDING) AS number FROM named""",
    """CREATE TABLE edge AS
    SELECT 'i' || contact.id AS a, 'e' || lower(trim(contact.email)) AS b FROM e WHERE contact.id IS NOT NULL AND contact.email IS NOT NULL
    UNION SELECT coalesce('i' || contact.id, 'e' || lower(trim(contact.email))), coalesce('i' || "into".id, 'e' || lower(trim("into".email)))
    FROM e WHERE type = 'contact_merged'""",
    """CREATE TABLE component AS
    WITH RECURSIVE both_ways AS (SELECT a, b FROM edge UNION SELECT b, a FROM edge), reach(a, b) AS (
        SELECT a, a FROM both_ways UNION SELECT reach.a, both_ways.b FROM reach JOIN both_ways ON both_ways.a = reach.b
    ) SELECT a AS name, min(b) AS contact FROM reach GROUP BY a""",
    """CREATE TABLE identified AS
    SELECT visitor_id, occurred_at AS ts, coalesce('i' || contact.id, 'e' || lower(trim(contact.email))) AS name,
        lead(occurred_at) OVER w AS next, row_number() OVER w AS n
    FROM e WHERE visitor_id IS NOT NULL AND contact IS NOT NULL WINDOW w AS (PARTITION BY visitor_id ORDER BY occurred_at, id)""",
    f"""CREATE TABLE owned AS SELECT t.id, coalesce(c.contact, o.name) AS contact FROM (
        SELECT id, coalesce('i' || contact.id, 'e' || lower(trim(contact.email))) AS name FROM touch
        WHERE contact IS NOT NULL AND (type IN {INFLUENCING} OR (type = 'list_joined' AND list_type = 'static'))
        UNION ALL SELECT t.id, i.name FROM touch t JOIN identified i ON i.visitor_id = t.visitor_id
            AND (t.ts >= i.ts OR i.n = 1) AND (i.next IS NULL OR t.ts < i.next)
        WHERE t.contact IS NULL AND t.type IN {INFLUENCING}
    ) o(id, name) JOIN touch t USING (id) LEFT JOIN component c ON c.name = o.name""",
]  # fmt: skip
OVERVIEW = """
SELECT l.campaign_id, coalesce(a.page_views, 0), coalesce(a.form_submissions, 0), coalesce(a.cta_clicks, 0),
    coalesce(a.email_opens, 0), coalesce(a.email_clicks, 0), coalesce(s.sessions, 0), coalesce(s.new_sessions, 0), coalesce(c.influenced, 0)
FROM life l
LEFT JOIN (SELECT campaign_id, sum(n) FILTER (type = 'page_visited') AS page_views, sum(n) FILTER (type = 'form_submitted') AS form_submissions,
        sum(n) FILTER (type = 'cta_clicked') AS cta_clicks, sum(n) FILTER (type = 'email_opened') AS email_opens,
        sum(n) FILTER (type = 'email_clicked') AS email_clicks FROM met JOIN touch USING (id) GROUP BY 1) a USING (campaign_id)
LEFT JOIN (SELECT campaign_id, count(DISTINCT (visitor_id, number)) AS sessions,
        count(DISTINCT visitor_id) FILTER (number = 1) AS new_sessions FROM met_by_page JOIN session USING (id) GROUP BY 1) s USING (campaign_id)
LEFT JOIN (SELECT campaign_id, count(DISTINCT contact) AS influenced FROM met JOIN owned USING (id) GROUP BY 1) c USING (campaign_id)
"""
METRICS = ("page_views", "form_submissions", "cta_clicks", "email_opens", "email_clicks", "sessions", "new_sessions",
           "influenced_contacts")  # fmt: skip


def load(file: str) -> duckdb.DuckDBPyConnection:
    """A database in memory with the tables of `STEPS`, made of a file of events."""
    connection = duckdb.connect()
    connection.execute("SET threads = 2; SET TimeZone = 'UTC'")
    columns = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items()) + "}"
    connection.execute(
        f"CREATE TABLE raw AS SELECT * FROM read_json('{file}', format = 'newline_delimited', columns = {columns})"
    )
    for statement in STEPS:
        connection.execute(statement)
    return connection


def main() -> None:
    """Print the numbers, the seconds and the memory as one JSON line."""
    began = time.perf_counter()
    connection = load(sys.argv[1])
    rows = connection.execute(OVERVIEW).fetchall()
    numbers = {row[0]: dict(zip(METRICS, map(int, row[1:]), strict=True)) for row in rows}
    took_s = time.perf_counter() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": took_s, "peak_mb": peak_mb, "numbers": numbers}))


if __name__ == "__main__":
    main()
