"""Makes the rows of `campaign_day` from cells, adds to them, and makes months from them: steps of the background task, run while no cell is dirty."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.campaign_cells import BucketSums, WorkspaceRows, add_added, add_of_cells, plan_of_added
from shared.projection.cell_plan import status_number
from shared.projection.cell_statements import KEY_SETS
from shared.projection.days import EVERY_DAY, NO_DAY, days_of, month_of, next_month, spans_of_days
from shared.projection.key_lists import united
from shared.projection.new_contacts import DAYS as DAYS_OF_NEW
from shared.projection.new_contacts import NewContacts, new_in_spans
from shared.projection.pipeline import Context
from shared.projection.renamed_contacts import Renamed
from shared.projection.sql import Statement, columns, sql
from shared.projection.stages.cells.gather import WINDOWS_LOOKED_UP

DAYS_MAX = 92  # of a campaign that a step makes for the first time
STALE_MAX = 200  # stale days of campaigns that a step makes again
MONTHS_MAX = 200  # months of campaigns that a step makes

_OF_TOUCHES = ("statuses", "kinds", "touches", "sessions", "new_sessions", "contacts")
CAMPAIGN_DAY_COLUMNS = ("ws", "campaign", "day", *_OF_TOUCHES, "new_by_first_touch", "new_by_last_touch")
CAMPAIGN_MONTH_COLUMNS = ("ws", "campaign", "month", *_OF_TOUCHES)
SESSIONS_COLUMNS = ("ws", "campaign", "day", "sessions", "new_sessions")


def _drop_rows(table: str, begins: str) -> Statement:
    """SQL that deletes the rows of campaigns ($2) and days or months ($3); `begins` is the column of the day or month."""
    return sql(f"""
DELETE FROM {{g}}.{table} d USING unnest($2::bigint[], $3::int[]) u(campaign, begins)
WHERE d.ws = $1 AND d.campaign = u.campaign AND d.{begins} = u.begins
""")


STALE_DAYS = sql("""
SELECT s.campaign, s.day FROM {g}.stale_campaign_day s
JOIN {g}.campaign_kept k ON k.ws = $1 AND k.campaign = s.campaign AND s.day < k.through_day
WHERE s.ws = $1 AND s.of_touches = $2 LIMIT $3
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
""")  # the instants at which sessions began on a day before their visit; on that day the campaign may have no touch
DROP_DAYS = [_drop_rows("campaign_day", "day"), _drop_rows("campaign_day_sessions", "day")]
CAMPAIGNS_ADDED = sql(f"""
SELECT DISTINCT w.campaign FROM (SELECT key_set, $3::int AS day FROM unnest($2::bigint[]) u(key_set)) c {WINDOWS_LOOKED_UP}
JOIN {{g}}.campaign_kept p ON p.ws = $1 AND p.campaign = w.campaign AND p.through_day > c.day
WHERE NOT EXISTS (
    SELECT FROM {{g}}.stale_campaign_day s WHERE s.ws = $1 AND s.campaign = w.campaign AND s.day = c.day AND s.of_touches)
""")  # the campaigns with a day $3 in `campaign_day` to which touches of key sets $2 may be added
HAD = sql("""
SELECT d.*, coalesce(s.sessions, ''::bytea) AS session_keys, coalesce(s.new_sessions, ''::bytea) AS new_session_keys
FROM {g}.campaign_day d LEFT JOIN {g}.campaign_day_sessions s ON s.ws = $1 AND s.campaign = d.campaign AND s.day = d.day
WHERE d.ws = $1 AND d.campaign = ANY($2::bigint[]) AND d.day = $3
""")
MARK_DAY = sql("""
INSERT INTO {g}.stale_campaign_day SELECT $1, u.campaign, $3, true, false FROM unnest($2::bigint[]) u(campaign)
ON CONFLICT (ws, campaign, day) DO UPDATE SET of_touches = true
""")
FRESH_DAYS = _drop_rows("stale_campaign_day", "day")
BEGIN_DAYS = [
    sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1 AND campaign = $2 AND {begins} >= $3 AND {begins} < $4")
    for table, begins in (
        ("campaign_day", "day"), ("campaign_day_sessions", "day"), ("stale_campaign_day", "day"), ("campaign_month", "month"),
    )
]  # fmt: skip
MARK_MONTHS = sql("""
INSERT INTO {g}.stale_campaign_month SELECT $1, * FROM unnest($2::bigint[], $3::int[]) ON CONFLICT DO NOTHING
""")
STALE_MONTHS = sql("SELECT campaign, month FROM {g}.stale_campaign_month WHERE ws = $1 LIMIT $2")
DROP_MONTHS = [_drop_rows("campaign_month", "month"), _drop_rows("stale_campaign_month", "month")]
DAYS_OF_MONTHS = sql("""
SELECT u.campaign, u.month, d.*
FROM unnest($2::bigint[], $3::int[], $4::int[]) u(campaign, month, before)
JOIN {g}.campaign_day d ON d.ws = $1 AND d.campaign = u.campaign AND d.day >= u.month AND d.day < u.before
""")
SET_NEW = sql("""
INSERT INTO {g}.campaign_day
SELECT $1, u.campaign, u.day, '{}', '{}', '{}', 0, 0, '', u.by_first, u.by_last
FROM unnest($2::bigint[], $3::int[], $4::int[], $5::int[]) u(campaign, day, by_first, by_last)
ON CONFLICT (ws, campaign, day) DO UPDATE
SET new_by_first_touch = excluded.new_by_first_touch, new_by_last_touch = excluded.new_by_last_touch
""")
NOBODY = NewContacts(0, 0)
KEEP_THROUGH = sql("""
INSERT INTO {g}.campaign_kept VALUES ($1, $2, $3) ON CONFLICT (ws, campaign) DO UPDATE SET through_day = excluded.through_day
""")


async def make_stale_days(context: Context) -> bool:
    """Make some days of campaigns again whose touches changed. False if there is none."""
    stale = await _take_stale(context, of_touches=True)
    if stale:
        await _drop(context, [(campaign, day) for campaign, some in stale.items() for day in some])
        await _make(context, stale)
    return bool(stale)


async def count_new_again(context: Context) -> int:
    """Count the new contacts of some days of campaigns again, at most `STALE_MAX`, of which only the new contacts changed; how many.

    This unites no lists, so it runs in every round. Until it is done, each read counts the new contacts of these days itself.
    """
    stale = await _take_stale(context, of_touches=False)
    if stale:
        await _make_new(context, stale)
    return sum(map(len, stale.values()))


async def _take_stale(context: Context, *, of_touches: bool) -> dict[int, list[int]]:
    """Some stale days of campaigns, in order. Their marks are deleted."""
    rows = sorted(map(tuple, await context.connection.fetch(STALE_DAYS, context.ws, of_touches, STALE_MAX)))
    out: dict[int, list[int]] = defaultdict(list)
    for campaign, day in rows:
        out[campaign].append(day)
    if rows:
        await context.connection.execute(FRESH_DAYS, context.ws, *columns(rows))
    return dict(out)


async def make_next_days(context: Context) -> bool:
    """Make the next days of a campaign that does not have all of its days yet. False if every campaign has them."""
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
    """The first days from `from_day` on that may have touches, sessions or new contacts of a campaign, in order; at most one more than `DAYS_MAX`."""
    connection, ws, days = context.connection, context.ws, days_of(context.settings.time_zone)
    touched = {row["day"] for row in await connection.fetch(DAYS_OF, ws, [campaign], from_day, DAYS_MAX + 1)}
    begun = {days.day_of(row["session_at_us"]) for row in await connection.fetch(BEGUN_BEFORE, ws, [campaign])}
    utc = [row["day"] for row in await connection.fetch(DAYS_OF_NEW, ws, [campaign], BEGINNING_US, END_US)]
    others = begun | {day + offset for day in utc for offset in (-1, 0, 1)}
    return sorted(touched | {day for day in others if day >= from_day})[: DAYS_MAX + 1]


async def _make_new(context: Context, wanted: Mapping[int, Sequence[int]]) -> None:
    """Write how many contacts are new to campaigns on some days, without changing the other columns of these days."""
    bucket_of, asked, edges_us = _spans(context, wanted)
    new = await new_in_spans(WorkspaceRows(context.connection, context.ws), asked, edges_us)
    places = [(campaign, day) for campaign, some in wanted.items() for day in some]
    numbers = [new.get((campaign, bucket_of[day]), NOBODY) for campaign, day in places]
    rows = [(*place, *number) for place, number in zip(places, numbers, strict=True)]
    await context.connection.execute(SET_NEW, context.ws, *columns(rows))


async def _make(context: Context, wanted: Mapping[int, Sequence[int]]) -> None:
    """Write days of campaigns that have no row. The days of each campaign are in order."""
    days = days_of(context.settings.time_zone)
    every = sorted({day for some in wanted.values() for day in some})
    bucket_of, asked, edges_us = _spans(context, wanted)
    found = {campaign: BucketSums() for campaign in wanted}
    store = WorkspaceRows(context.connection, context.ws)
    spans = {campaign: spans_of_days(days, some) for campaign, some in wanted.items()}
    # a round of the background may leave additions to the next one, which adds them to the day, too
    await add_of_cells(found, store, days, edges_us, spans, every, added=False)
    new = await new_in_spans(store, asked, edges_us)
    rows = [
        _row(context.ws, campaign, day, found[campaign], bucket, new.get((campaign, bucket), NOBODY), None)
        for campaign, some in wanted.items()
        for day in some
        for bucket in [bucket_of[day]]
    ]
    await _write(context, rows)


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


_Row = tuple[tuple[Any, ...], tuple[Any, ...]]
"""A row of `campaign_day`, and one of `campaign_day_sessions`."""


def _row(ws: int, campaign: int, day: int, found: BucketSums, bucket: int, new: NewContacts, had: Any) -> _Row | None:
    """The rows of a campaign's day: what was found, added to what the row `had` (None: no row). None for a day without anything."""
    counts = Counter({(status_number(statuses), kind): n for (statuses, kind), n in found.touches[bucket].items()})
    lists = [found.contacts[bucket], found.sessions[bucket], found.new_sessions[bucket]]
    if had is not None:
        _add_touches(counts, had)
        for some, name in zip(lists, ("contacts", "session_keys", "new_session_keys"), strict=True):
            some.append(had[name])
    contacts, sessions, new_sessions = map(united, lists)
    if not counts and not sessions and not contacts and not any(new):
        return None
    of_day = ws, campaign, day, *_touches_of(counts), len(sessions) // 8, len(new_sessions) // 8, contacts, *new
    return of_day, (ws, campaign, day, sessions, new_sessions)


async def make_months_of_days(context: Context) -> bool:
    """Make some stale months of campaigns from their days. False if there is none."""
    stale = await context.connection.fetch(STALE_MONTHS, context.ws, MONTHS_MAX)
    if not stale:
        return False
    campaigns, months = columns(stale)
    for statement in DROP_MONTHS:
        await context.connection.execute(statement, context.ws, campaigns, months)
    days_of_month: dict[tuple[int, int], list[Any]] = defaultdict(list)
    ends = list(map(next_month, months))
    for day in await context.connection.fetch(DAYS_OF_MONTHS, context.ws, campaigns, months, ends):
        days_of_month[day["campaign"], day["month"]].append(day)
    rows = [(context.ws, *place, *_union(some)) for place, some in days_of_month.items()]
    await context.connection.copy("campaign_month", CAMPAIGN_MONTH_COLUMNS, rows)
    return True


def _union(some: Sequence[Any]) -> tuple[Any, ...]:
    """The union of rows of `campaign_day`: touches, sessions and contacts, in the order of the columns."""
    counts: Counter[tuple[int, int]] = Counter()
    for day in some:
        _add_touches(counts, day)
    begun, new = (sum(day[name] for day in some) for name in ("sessions", "new_sessions"))
    return *_touches_of(counts), begun, new, united([day["contacts"] for day in some])


def _add_touches(counts: "Counter[tuple[int, int]]", day: Any) -> None:
    """Add the touches of a row of `campaign_day` to numbers by status and kind."""
    for status, kind, n in zip(day["statuses"], day["kinds"], day["touches"], strict=True):
        counts[status, kind] += n


def _touches_of(counts: Mapping[tuple[int, int], int]) -> tuple[list[int], list[int], list[int]]:
    """Numbers of touches by status and kind, as a row has them: statuses, kinds and numbers."""
    places = sorted(counts)
    return [status for status, _ in places], [kind for _, kind in places], [counts[place] for place in places]


async def _mark_months(context: Context, some: Iterable[tuple[int, int]]) -> None:
    """Mark the months of days of campaigns that are written or deleted."""
    months = sorted({(campaign, month_of(day)) for campaign, day in some})
    if months:
        await context.connection.execute(MARK_MONTHS, context.ws, *columns(months))


async def _write(context: Context, rows: Iterable[_Row | None]) -> None:
    """Write days of campaigns that have no row."""
    some = [row for row in rows if row is not None]
    await _mark_months(context, ((campaign, day) for (_, campaign, day, *_), _ in some))
    await context.connection.copy("campaign_day", CAMPAIGN_DAY_COLUMNS, [of_day for of_day, _ in some])
    begun = [sessions for _, sessions in some if sessions[3]]
    await context.connection.copy("campaign_day_sessions", SESSIONS_COLUMNS, begun)


async def _drop(context: Context, some: Sequence[tuple[int, int]]) -> None:
    """Delete days of campaigns."""
    await _mark_months(context, some)
    for statement in DROP_DAYS:
        await context.connection.execute(statement, context.ws, *columns(some))


async def add_to_days(context: Context, day: int, key_sets: Sequence[int]) -> None:
    """Add to one day of all campaigns what batches have added to the cells of some key sets on that day. No cell of the day may be dirty.

    If a window of the campaign begins or ends within the day, the day becomes stale instead, because `added_cell` has no time of day.
    """
    store, days = WorkspaceRows(context.connection, context.ws), days_of(context.settings.time_zone)
    campaigns = [row["campaign"] for row in await store.fetch(CAMPAIGNS_ADDED, key_sets, day)]
    if not campaigns:
        return
    edges_us = [days.start_us(day), days.start_us(day + 1)]
    asked = {key: [(edges_us[0], edges_us[1])] for key in campaigns}
    plan = await plan_of_added(store, days, edges_us, asked, key_sets, Renamed({}))
    divided = {campaign for campaign, _ in plan.divided()}
    found = {campaign: BucketSums() for campaign in campaigns}
    await add_added(found, store, plan)
    if divided:
        await context.connection.execute(MARK_DAY, context.ws, sorted(divided), day)
    added = [c for c, of in found.items() if c not in divided and (of.touches or of.contacts or of.sessions)]
    had = {row["campaign"]: row for row in await store.fetch(HAD, added, day)}
    rows = [
        _row(context.ws, campaign, day, found[campaign], 1, _new_of(had.get(campaign)), had.get(campaign))
        for campaign in added
    ]
    if added:
        await _drop(context, [(campaign, day) for campaign in added])
    await _write(context, rows)


def _new_of(had: Any) -> NewContacts:
    return NOBODY if had is None else NewContacts(had["new_by_first_touch"], had["new_by_last_touch"])
