"""How are cells made, of touches and of other cells? By a rebuild, by the background, and by a batch that finds none.

Dirty cells are digested again from the touches; what batches have added is put into day cells; months are made of day cells.
"""

from collections.abc import Collection, Sequence

from shared.projection.days import EVERY_DAY, NO_DAY, days_of, month_of, next_month
from shared.projection.pipeline import Context
from shared.projection.sql import sql
from shared.projection.stages.cells.gather import (
    DAYS_OF_TOUCHES,
    DIGEST,
    DIGEST_CELLS,
    DIGEST_DAYS,
    KEY_SETS_OF_TOUCHES,
    WINDOWS_LOOKED_UP,
)
from shared.projection.stages.cells.key_sets import columns_of, key_set_of, save_key_sets

AT_ONCE_EVENTS_MAX = 20_000  # of history are digested in the batch that finds none of it digested: some 0.3 s
DAYS_AT_A_TIME = 92  # a partition of `touch`

KEEP = sql("""
INSERT INTO {g}.cells_kept VALUES ($1, $2, $3)
ON CONFLICT (ws) DO UPDATE SET time_zone = excluded.time_zone, through_day = excluded.through_day
""")
ANY_CAMPAIGN_KEPT = sql("SELECT EXISTS (SELECT FROM {g}.campaign_kept WHERE ws = $1)")
MARK_CAMPAIGN_DAYS = sql(f"""
INSERT INTO {{g}}.stale_campaign_day
SELECT DISTINCT $1::int, w.campaign, c.day, true, false FROM unnest($2::bigint[], $3::int[]) c(key_set, day) {WINDOWS_LOOKED_UP}
ON CONFLICT (ws, campaign, day) DO UPDATE SET of_touches = true WHERE NOT stale_campaign_day.of_touches
""")
IS_BIG = sql("SELECT count(*) > $2 FROM (SELECT FROM {g}.event_index WHERE ws = $1 LIMIT $2::bigint + 1) e")
NO_LOOPS, LOOPS = sql("SET LOCAL enable_nestloop = off"), sql("SET LOCAL enable_nestloop = on")
"""Of tables without statistics PostgreSQL guesses that they have few rows, and reads one again for each row of another."""
FORGET = [
    sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1")
    for table in (
        "day_cell", "month_cell", "added_cell", "dirty_cell", "stale_month", "carried_visit", "campaign_day",
        "campaign_month", "stale_campaign_month", "campaign_day_sessions", "stale_campaign_day", "campaign_kept",
    )
]  # fmt: skip


def _of_kinds(cells: str, place: str) -> str:
    """SQL that adds up, by key set and `place` (a column: the day or the month), the kinds of cells: their touches, and their contacts united."""
    return f"""
    SELECT key_set, {place}, array_agg(kind ORDER BY kind) AS kinds, array_agg(touches ORDER BY kind) AS touches,
        array_agg({_UNITED} ORDER BY kind) AS contacts
    FROM (
        SELECT c.key_set, c.{place}, u.kind, sum(u.touches)::bigint AS touches, count(*) FILTER (WHERE u.contacts <> ''::bytea) AS parts,
            string_agg(u.contacts, ''::bytea) AS keys
        FROM {cells} c CROSS JOIN LATERAL unnest(c.kinds, c.touches, c.contacts) u(kind, touches, contacts) GROUP BY 1, 2, 3) k
    GROUP BY 1, 2"""


_UNITED = """CASE WHEN parts <= 1 THEN keys ELSE (
            SELECT string_agg(key, ''::bytea ORDER BY key) FROM (
                SELECT DISTINCT substring(keys FROM 8 * i + 1 FOR 8) AS key FROM generate_series(0, length(keys) / 8 - 1) i) d) END"""
"""SQL for `parts` lists of keys, joined in `keys`, as one list."""

MAKE_MONTHS = sql(f"""
WITH part AS MATERIALIZED (
    SELECT k.key_set, k.month, {DIGEST}
    FROM unnest($2::bigint[], $3::int[], $4::int[]) k(key_set, month, before)
    JOIN {{g}}.day_cell c ON c.ws = $1 AND c.key_set = k.key_set AND c.day >= k.month AND c.day < k.before),
of_kinds AS ({_of_kinds("part", "month")}),
visited AS (
    SELECT key_set, month, string_agg(sessions, ''::bytea) AS sessions, string_agg(new_sessions, ''::bytea) AS new_sessions
    FROM part GROUP BY 1, 2)
INSERT INTO {{g}}.month_cell (ws, key_set, month, {DIGEST})
SELECT $1, key_set, month, {DIGEST} FROM of_kinds JOIN visited USING (key_set, month)
""")  # of months $3 that end before the days $4; a session is in the cell of the day on which it begins, and no other
MONTHS_OF_DAYS = sql("SELECT DISTINCT key_set, day FROM {g}.day_cell WHERE ws = $1 AND day >= $2 AND day < $3")


async def begin_again(context: Context) -> None:
    """Forget all cells, and digest all touches: at once if they are few, else in the background."""
    for statement in FORGET:
        await context.connection.execute(statement, context.ws)
    if await context.connection.fetchval(IS_BIG, context.ws, AT_ONCE_EVENTS_MAX):
        await context.connection.execute(KEEP, context.ws, context.settings.time_zone, NO_DAY)
    else:
        await digest_all(context)


async def digest_all(context: Context) -> None:
    """Digest all touches of a workspace that has no cells."""
    for chunk in await chunks_of_days(context):
        await digest_days(context, chunk)
    await context.connection.execute(KEEP, context.ws, context.settings.time_zone, EVERY_DAY)


async def chunks_of_days(context: Context, from_day: int = NO_DAY) -> list[list[int]]:
    """The days from `from_day` on that may have touches, in order, at most `DAYS_AT_A_TIME` together; key sets are written."""
    rows = await context.connection.fetch(KEY_SETS_OF_TOUCHES, context.ws)
    await save_key_sets(context, {keys: key_set_of(keys) for keys in map(tuple, rows)})
    utc = [row["day"] for row in await context.connection.fetch(DAYS_OF_TOUCHES, context.ws)]
    days = sorted({day + offset for day in utc for offset in (-1, 0, 1) if day + offset >= from_day})
    return [days[begin : begin + DAYS_AT_A_TIME] for begin in range(0, len(days), DAYS_AT_A_TIME)]


async def digest_days(context: Context, chunk: list[int]) -> None:
    """Digest all touches of some days, which follow one another but for days without touches, and make their months."""
    days, connection, ws = days_of(context.settings.time_zone), context.connection, context.ws
    starts = [days.start_us(day) for day in chunk]
    await connection.execute(NO_LOOPS)
    await connection.execute(DIGEST_DAYS, ws, starts, chunk, starts[0], days.start_us(chunk[-1] + 1))
    await connection.execute(LOOPS)
    rows = await connection.fetch(MONTHS_OF_DAYS, ws, month_of(chunk[0]), next_month(month_of(chunk[-1])))
    await make_months(context, {(row["key_set"], month_of(row["day"])) for row in rows})


DROP_MONTHS = sql("""
DELETE FROM {g}.month_cell c USING unnest($2::bigint[], $3::int[]) u(key_set, month)
WHERE c.ws = $1 AND c.key_set = u.key_set AND c.month = u.month
""")


async def make_months(context: Context, cells: Collection[tuple[int, int]]) -> None:
    """Make month cells, by key set and month, of their day cells."""
    if not cells:
        return
    key_sets, months = map(list, zip(*sorted(cells), strict=True))
    await context.connection.execute(DROP_MONTHS, context.ws, key_sets, months)
    before = [next_month(month) for month in months]
    await context.connection.execute(MAKE_MONTHS, context.ws, key_sets, months, before)


DROP_CELLS = [
    sql(f"""
DELETE FROM {{g}}.{table} c USING unnest($2::bigint[], $3::int[]) u(key_set, day)
WHERE c.ws = $1 AND c.key_set = u.key_set AND c.day = u.day
""")
    for table in ("day_cell", "added_cell", "carried_visit", "dirty_cell")
]
STALE = sql("""
INSERT INTO {g}.stale_month SELECT $1, * FROM unnest($2::bigint[], $3::int[]) ON CONFLICT DO NOTHING
""")


async def digest_cells(context: Context, cells: Collection[tuple[int, int]]) -> None:
    """Digest cells, by key set and day, again from the touches; what is made of them becomes stale."""
    ordered = sorted(cells)
    key_sets, numbers = columns_of(ordered)
    days = days_of(context.settings.time_zone)
    for statement in DROP_CELLS:
        await context.connection.execute(statement, context.ws, key_sets, numbers)
    await context.connection.execute(
        DIGEST_CELLS, context.ws, key_sets, numbers, [days.start_us(day) for day in numbers],
        [days.start_us(day + 1) for day in numbers],
    )  # fmt: skip
    await mark_months(context, ordered)
    if await context.connection.fetchval(ANY_CAMPAIGN_KEPT, context.ws):
        await context.connection.execute(MARK_CAMPAIGN_DAYS, context.ws, *columns_of(ordered))


async def mark_months(context: Context, cells: Sequence[tuple[int, int]]) -> None:
    """Mark the months that are made of day cells."""
    await context.connection.execute(
        STALE, context.ws, *columns_of(sorted({(key_set, month_of(day)) for key_set, day in cells}))
    )


ADDED = sql("""
SELECT DISTINCT key_set, day FROM {g}.added_cell
WHERE ws = $1 AND day = (SELECT day FROM {g}.added_cell WHERE ws = $1 AND day <> ALL($3::int[]) LIMIT 1)
LIMIT $2
""")
FOLD = sql(f"""
WITH part AS MATERIALIZED (
    SELECT * FROM unnest($2::bigint[], $3::int[]) u(key_set, day)),
taken AS (
    DELETE FROM {{g}}.added_cell a USING part p WHERE a.ws = $1 AND a.key_set = p.key_set AND a.day = p.day
    RETURNING a.key_set, a.day, ARRAY[a.kind] AS kinds, ARRAY[a.touches] AS touches, ARRAY[a.contacts] AS contacts, a.sessions,
        a.new_sessions),
found AS MATERIALIZED (
    SELECT * FROM taken
    UNION ALL
    SELECT key_set, day, {DIGEST} FROM part p JOIN {{g}}.day_cell c USING (key_set, day) WHERE c.ws = $1),
of_kinds AS ({_of_kinds("found", "day")}),
part_lists AS (
    SELECT f.key_set, f.day, l.n, count(*) AS parts, string_agg(l.keys, ''::bytea) AS keys
    FROM found f CROSS JOIN LATERAL (VALUES (0, f.sessions), (1, f.new_sessions)) l(n, keys)
    WHERE l.keys <> ''::bytea GROUP BY 1, 2, 3),
visited AS (
    SELECT key_set, day, {
    ", ".join(
        f"coalesce(string_agg(keys, ''::bytea) FILTER (WHERE n = {n}), ''::bytea) AS {name}"
        for n, name in enumerate(("sessions", "new_sessions"))
    )
}
    FROM (SELECT key_set, day, n, {_UNITED} AS keys FROM part_lists) united GROUP BY 1, 2)
INSERT INTO {{g}}.day_cell (ws, key_set, day, {DIGEST})
SELECT $1, c.key_set, c.day, c.kinds, c.touches, c.contacts, coalesce(v.sessions, ''::bytea), coalesce(v.new_sessions, ''::bytea)
FROM of_kinds c LEFT JOIN visited v USING (key_set, day)
ON CONFLICT (ws, key_set, day) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in DIGEST.split(", "))}
""")


async def added_cells(context: Context, cells_max: int, but: Collection[int]) -> tuple[int, list[int]] | None:
    """A day, but none of these, to whose cells something was added, and some key sets of these cells. None if nothing was added."""
    rows = await context.connection.fetch(ADDED, context.ws, cells_max, list(but))
    return (rows[0]["day"], [row["key_set"] for row in rows]) if rows else None


async def fold(context: Context, day: int, key_sets: Sequence[int]) -> None:
    """Put what was added to the cells of some key sets on a day into them; their months become stale."""
    cells = [(key_set, day) for key_set in key_sets]
    await context.connection.execute(FOLD, context.ws, *columns_of(cells))
    await mark_months(context, cells)
