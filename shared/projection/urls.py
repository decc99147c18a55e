"""Layer *derive*: the keys that stored visits and registrations have by the workspace's settings of URLs.

A visit is written with the keys that the settings of its batch give it. Changed ones read all page visits of the workspace and
all registrations once, a chunk at a time, and write what has other keys now.
"""

from typing import Any

from shared.events.codec import decode_event
from shared.events.registry import names_with, sql_names
from shared.projection.rows import entity_event, keys_of_visit
from shared.projection.sql import Statement, sql
from shared.projection.work import Work
from shared.rules.influence import TouchType

CHUNK_ROWS = 5_000  # some 5 MB of URLs at a time

VISITS = sql(f"""
SELECT person, occurred_at_us, event_id, url, utm_told, referrer, asset_id, via_asset_id, asset_or_page_key, via, source FROM {{g}}.touch
WHERE ws = $1 AND type = {TouchType.PAGE_VISITED:d}
""")
SET_VISITS = sql("""
UPDATE {g}.touch t SET asset_or_page_key = u.asset_or_page_key, via = u.via, source = u.source
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
    u(person, at_us, event_id, asset_or_page_key, via, source)
WHERE t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")
REGISTRATIONS = sql(f"""
SELECT subject, occurred_at_us, event_id, object, leads_to, body FROM {{g}}.entity_event
WHERE ws = $1 AND type IN {sql_names(names_with("page", "link"))}
""")
SET_REGISTRATIONS = sql("""
UPDATE {g}.entity_event f SET object = u.object, leads_to = u.leads_to
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[])
    u(subject, at_us, event_id, object, leads_to)
WHERE f.ws = $1 AND f.subject = u.subject AND f.occurred_at_us = u.at_us AND f.event_id = u.event_id
""")


async def apply_url_rules(work: Work) -> None:
    """Give every page visit and every registration the keys of changed settings; marks the assets that these concern."""
    await _each(work, VISITS, SET_VISITS, _visit)
    await _each(work, REGISTRATIONS, SET_REGISTRATIONS, _registration)


async def _each(work: Work, read: Statement, write: Statement, changed: Any) -> None:
    """Read rows in chunks and write those that changed. What is written while the cursor is open, it does not see."""
    connection = work.connection
    cursor = await connection.raw.cursor(read.replace("{g}", connection.generation), work.ws)
    while rows := await cursor.fetch(CHUNK_ROWS):
        if found := [row for row in (changed(work, row) for row in rows) if row is not None]:
            await connection.execute(write, work.ws, *map(list, zip(*found, strict=True)))


def _visit(work: Work, row: Any) -> tuple[Any, ...] | None:
    keys = keys_of_visit(
        row["url"], row["utm_told"] or "", row["referrer"], row["asset_id"], row["via_asset_id"], work.settings.urls
    )
    if keys == (row["asset_or_page_key"], row["via"], row["source"]):
        return None
    return row["person"], row["occurred_at_us"], row["event_id"], *keys


def _registration(work: Work, row: Any) -> tuple[Any, ...] | None:
    work.assets.add(row["subject"])
    about = entity_event(decode_event(row["body"]), work.settings.addresses)
    if (about.object, about.leads_to) == (row["object"], row["leads_to"]):
        return None
    return about.subject, row["occurred_at_us"], row["event_id"], about.object, about.leads_to
