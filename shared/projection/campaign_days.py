"""How are the days of campaigns made of cells? In steps, where no cell is dirty and nothing waits to be added to one."""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.campaign_cells import KEY_SETS, Found, WorkspaceRows, add_of_cells, spans_of_days, status_number
from shared.projection.days import EVERY_DAY, NO_DAY, days_of
from shared.projection.new_contacts import DAYS as DAYS_OF_NEW
from shared.projection.new_contacts import New, new_in_spans
from shared.projection.pipeline import Context
from shared.projection.sql import sql

DAYS_MAX = 92  # of a campaign that a step makes for the first time
STALE_MAX = 200  # days of campaigns that a step makes again

CAMPAIGN_DAY_COLUMNS = (
    "ws", "campaign", "day", "statuses", "kinds", "touches", "sessions", "new_sessions", "contacts", "new_by_first_touch",
    "new_by_last_touch",
)  # fmt: skip
STALE_DAYS = sql("""
SELECT s.campaign, s.day, s.of_touches FROM {g}.stale_campaign_day s
JOIN {g}.campaign_kept k ON k.ws = $1 AND k.campaign = s.campaign AND s.day < k.through_day
WHERE s.ws = $1 LIMIT $2
""")
UNFINISHED = sql(f"""
SELECT c.campaign, coalesce(k.through_day, {NO_DAY}) AS through_day FROM {{g}}.campaign c
LEFT JOIN {{g}}.campaign_kept k ON k.ws = $1 AND k.campaign = c.campaign
WHERE c.ws = $1 AND k.through_day IS DISTINCT FROM {EVERY_DAY} LIMIT 1
""")
DAYS_OF = sql(f"""
SELECT DISTINCT c.day FROM ({KEY_SETS}) m JOIN {{g}}.day_cell c ON c.ws = $1 AND c.key_set = m.key_set AND c.day >= $3
ORDER BY c.day LIMIT $4
""")
BEGUN_BEFORE = sql(f"""
SELECT v.session_at_us FROM ({KEY_SETS}) m
JOIN {{g}}.carried_visit v ON v.ws = $1 AND v.key_set = m.key_set
""")  # when sessions began on a day before a visit: on that day the campaign may have no touch
DROP_DAYS = sql("""
DELETE FROM {g}.campaign_day d USING unnest($2::bigint[], $3::int[]) u(campaign, day)
WHERE d.ws = $1 AND d.campaign = u.campaign AND d.day = u.day
""")
FRESH_DAYS = sql("""
DELETE FROM {g}.stale_campaign_day d USING unnest($2::bigint[], $3::int[]) u(campaign, day)
WHERE d.ws = $1 AND d.campaign = u.campaign AND d.day = u.day
""")
BEGIN_DAYS = [
    sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1 AND campaign = $2 AND day >= $3 AND day < $4")
    for table in ("campaign_day", "stale_campaign_day")
]
SET_NEW = sql("""
INSERT INTO {g}.campaign_day
SELECT $1, u.campaign, u.day, '{}', '{}', '{}', 0, 0, '', u.by_first, u.by_last
FROM unnest($2::bigint[], $3::int[], $4::int[], $5::int[]) u(campaign, day, by_first, by_last)
ON CONFLICT (ws, campaign, day) DO UPDATE
SET new_by_first_touch = excluded.new_by_first_touch, new_by_last_touch = excluded.new_by_last_touch
""")
NOBODY = New(0, 0)
KEEP_THROUGH = sql("""
INSERT INTO {g}.campaign_kept VALUES ($1, $2, $3) ON CONFLICT (ws, campaign) DO UPDATE SET through_day = excluded.through_day
""")


async def make_stale_days(context: Context) -> bool:
    """Make some days of campaigns again that are stale. False if there is none."""
    stale = await context.connection.fetch(STALE_DAYS, context.ws, STALE_MAX)
    if not stale:
        return False
    campaigns, days = [row["campaign"] for row in stale], [row["day"] for row in stale]
    await context.connection.execute(FRESH_DAYS, context.ws, campaigns, days)
    whole, of_contacts = _by_campaign(stale, of_touches=True), _by_campaign(stale, of_touches=False)
    if whole:
        columns = (
            [campaign for campaign, some in whole.items() for _ in some],
            [day for some in whole.values() for day in some],
        )
        await context.connection.execute(DROP_DAYS, context.ws, *columns)
        await _make(context, whole)
    if of_contacts:
        await _make_new(context, of_contacts)
    return True


def _by_campaign(stale: Sequence[Any], *, of_touches: bool) -> dict[int, list[int]]:
    out: dict[int, list[int]] = {}
    for campaign, day, *told in sorted(map(tuple, stale)):
        if told == [of_touches]:
            out.setdefault(campaign, []).append(day)
    return out


async def make_next_days(context: Context) -> bool:
    """Make the next days of a campaign that has not all of its days yet. False if every campaign has them."""
    connection, ws = context.connection, context.ws
    found = await connection.fetchrow(UNFINISHED, ws)
    if found is None:
        return False
    campaign, from_day = found["campaign"], found["through_day"]
    days = await _days_of(context, campaign, from_day)
    through_day = days[DAYS_MAX] if len(days) > DAYS_MAX else EVERY_DAY
    for statement in BEGIN_DAYS:
        await connection.execute(statement, ws, campaign, from_day, through_day)
    if days:
        await _make(context, {campaign: days[:DAYS_MAX]})
    await connection.execute(KEEP_THROUGH, ws, campaign, through_day)
    return True


async def _days_of(context: Context, campaign: int, from_day: int) -> list[int]:
    """The first days, from one on, for which there may be something to say of a campaign, in order: one more than `DAYS_MAX`."""
    connection, ws, days = context.connection, context.ws, days_of(context.settings.time_zone)
    touched = {row["day"] for row in await connection.fetch(DAYS_OF, ws, [campaign], from_day, DAYS_MAX + 1)}
    begun = {days.day_of(row["session_at_us"]) for row in await connection.fetch(BEGUN_BEFORE, ws, [campaign])}
    utc = [row["day"] for row in await connection.fetch(DAYS_OF_NEW, ws, [campaign], BEGINNING_US, END_US)]
    others = begun | {day + offset for day in utc for offset in (-1, 0, 1)}
    return sorted(touched | {day for day in others if day >= from_day})[: DAYS_MAX + 1]


async def _make_new(context: Context, wanted: Mapping[int, Sequence[int]]) -> None:
    """Write how many contacts are new to campaigns on some days, and leave what else is known of these."""
    bucket_of, asked, edges_us = _spans(context, wanted)
    new = await new_in_spans(WorkspaceRows(context.connection, context.ws), asked, edges_us)
    places = [(campaign, day) for campaign, some in wanted.items() for day in some]
    numbers = [new.get((campaign, bucket_of[day]), NOBODY) for campaign, day in places]
    rows = [(*place, *number) for place, number in zip(places, numbers, strict=True)]
    await context.connection.execute(SET_NEW, context.ws, *map(list, zip(*rows, strict=True)))


async def _make(context: Context, wanted: Mapping[int, Sequence[int]]) -> None:
    """Write days of campaigns, in order, that have no row."""
    days = days_of(context.settings.time_zone)
    every = sorted({day for some in wanted.values() for day in some})
    bucket_of, asked, edges_us = _spans(context, wanted)
    found = {campaign: Found() for campaign in wanted}
    store = WorkspaceRows(context.connection, context.ws)
    spans = {campaign: spans_of_days(days, some) for campaign, some in wanted.items()}
    await add_of_cells(found, store, days, edges_us, spans, every)
    new = await new_in_spans(store, asked, edges_us)
    rows = []
    for campaign, some in wanted.items():
        for day in some:
            bucket = bucket_of[day]
            row = _row(context.ws, campaign, day, found[campaign], bucket, new.get((campaign, bucket), NOBODY))
            if row is not None:
                rows.append(row)
    await context.connection.copy("campaign_day", CAMPAIGN_DAY_COLUMNS, rows)


def _spans(
    context: Context, wanted: Mapping[int, Sequence[int]]
) -> tuple[dict[int, int], list[tuple[int, int, int]], list[int]]:
    """Days of campaigns as spans of time: the bucket of each day, the spans with their campaigns, and the instants at which buckets begin."""
    days = days_of(context.settings.time_zone)
    every = {day for some in wanted.values() for day in some}
    edges_us = sorted({days.start_us(at) for day in every for at in (day, day + 1)})
    bucket_of_us = {at_us: n for n, at_us in enumerate(edges_us, 1)}
    asked = [(campaign, *span) for campaign, some in wanted.items() for span in spans_of_days(days, some)]
    return {day: bucket_of_us[days.start_us(day)] for day in every}, asked, edges_us


def _row(ws: int, campaign: int, day: int, found: Found, bucket: int, new: New) -> tuple[Any, ...] | None:
    """The row of a campaign's day; None for a day without anything."""
    touches = sorted((status_number(statuses), kind, n) for (statuses, kind), n in found.touches[bucket].items())
    sessions, new_sessions, contacts = (
        _united(of[bucket]) for of in (found.sessions, found.new_sessions, found.contacts)
    )
    if not touches and not sessions and not contacts and not any(new):
        return None
    counts = ([count[n] for count in touches] for n in range(3))
    return ws, campaign, day, *counts, len(sessions) // 8, len(new_sessions) // 8, contacts, *new


def _united(lists: Collection[bytes]) -> bytes:
    """Lists of keys as one, each key once."""
    keys = chain.from_iterable((one[at : at + 8] for at in range(0, len(one), 8)) for one in lists)
    return b"".join(sorted(set(keys)))
