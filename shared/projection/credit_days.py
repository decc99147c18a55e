"""Makes the sums of credit by day, in steps, from the credited touches of the deals that were won on these days.

A day with many deals is divided into slices, so that a deal that is won or changed makes the sums of few deals stale (`shared.projection.slices`).
Sums under models that the workspace has defined are made after all others, and from the beginning after each definition.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from shared.events.instants import BEGINNING_US
from shared.projection.credit_rows import PUBLISHED_TABLES, delete_rows, write_defined_rows, write_rows
from shared.projection.days import EVERY_DAY, NO_DAY, days_of
from shared.projection.defined_models import DEFINED_BY, digest_of_definitions
from shared.projection.pipeline import Context
from shared.projection.site_list_versions import DECIDED_BY
from shared.projection.slices import STALE_SLICES, Slice, divided, slices_of, to_unite, whole_day
from shared.projection.sql import Statement, columns, sql
from shared.projection.stages.credit_days.gather import KEPT, MARK

DEALS_MAX = 100
"""How many deals a step adds up, unless one slice has more: it takes some 0.2 s, or 0.8 s with 100 touches a deal, and a batch may wait for it."""
STALE_MAX = 31  # slices that a step adds up again
WHOLE_DEALS_MAX = 400  # a day of no more deals is one slice when its sums are made for the first time
DIVIDED_FROM, SLICE_DEALS = 9, 4
"""A stale slice of so many deals or more, whose sums were made before, is divided into slices of so many. While a slice is stale, a report reads the
touches of all of its deals, and the step that makes its sums reads them some ten times. But each slice has rows of its own, which reports read, too."""
OPEN_DEALS_MAX, OPEN_SLICES_MIN, OPEN_SLICES_LEFT = 32, 6, 4
"""On the last divided day, only slices of so many deals together are united, at least so many of them, and never the last few: deals are still won in these, or
change soon after."""

CLOSES = sql("""
SELECT closed_us FROM {g}.deal WHERE ws = $1 AND state = 'won' AND closed_us >= $2 ORDER BY closed_us LIMIT $3
""")
CLOSES_BETWEEN = sql("""
SELECT closed_us FROM {g}.deal WHERE ws = $1 AND state = 'won' AND closed_us >= $2 AND closed_us < $3 ORDER BY closed_us
""")
DEALS_OF = sql("""
SELECT u.n, (SELECT count(*) FROM {g}.deal d WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= u.from_us AND d.closed_us < u.to_us)
FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY u(from_us, to_us, n) ORDER BY u.n
""")
SLICES = sql(
    "SELECT day, from_us, to_us, deals FROM {g}.credit_slice WHERE ws = $1 AND day = ANY($2::int[]) ORDER BY day, from_us"
)
LAST_DIVIDED = sql("SELECT max(day) FROM {g}.credit_slice WHERE ws = $1")
TO_UNITE = sql("""
SELECT min(a.day) FROM {g}.credit_slice a JOIN {g}.credit_slice b ON b.ws = $1 AND b.day = a.day AND b.from_us = a.to_us
WHERE a.ws = $1 AND a.day < $2 AND a.deals + b.deals <= $3
""")
NOT_MADE = sql("SELECT from_us FROM {g}.credit_slice WHERE ws = $1 AND deals IS NULL")
ADD_SLICES = sql(
    "INSERT INTO {g}.credit_slice SELECT $1, * FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[])"
)
DROP_SLICES = sql("DELETE FROM {g}.credit_slice WHERE ws = $1 AND day = ANY($2::int[]) AND from_us = ANY($3::bigint[])")
COUNTED = sql("""
UPDATE {g}.credit_slice s SET deals = u.deals FROM unnest($2::int[], $3::bigint[], $4::bigint[]) u(day, from_us, deals)
WHERE s.ws = $1 AND s.day = u.day AND s.from_us = u.from_us
""")
DROP_MARKS = sql("""
DELETE FROM {g}.stale_credit m USING unnest($2::int[], $3::bigint[], $4::bigint[]) s(day, from_us, to_us)
WHERE m.ws = $1 AND m.day = s.day AND m.closed_us >= s.from_us AND m.closed_us < s.to_us
""")
DAY_TABLES = (*PUBLISHED_TABLES, "credit_slice", "stale_credit")
DROP_FROM = [sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1 AND day >= $2 AND day < $3") for table in DAY_TABLES]
DROP_DEFINED_FROM = [sql("DELETE FROM {g}.defined_credit_day WHERE ws = $1 AND day >= $2 AND day < $3")]
DROP_ALL = [sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1") for table in (*DAY_TABLES, "defined_credit_day")]
KEEP = sql(f"""
INSERT INTO {{g}}.credit_days_kept VALUES ($1, $2, $3, $4, {NO_DAY}, '') ON CONFLICT (ws) DO UPDATE
SET time_zone = excluded.time_zone, through_day = excluded.through_day, decided_by = excluded.decided_by,
    defined_through_day = least(credit_days_kept.defined_through_day, excluded.through_day)
""")
KEEP_DEFINED = sql("UPDATE {g}.credit_days_kept SET defined_through_day = $2 WHERE ws = $1")
DEFINED_OTHERWISE = sql(
    f"UPDATE {{g}}.credit_days_kept SET defined_through_day = {NO_DAY}, defined_by = $2 WHERE ws = $1"
)
WORK = f"""EXISTS (SELECT FROM {{g}}.cells_kept c WHERE c.ws = r.ws AND NOT EXISTS (
        SELECT FROM {{g}}.credit_days_kept k WHERE k.ws = r.ws AND k.through_day = {EVERY_DAY} AND k.time_zone = c.time_zone
            AND k.decided_by = '{DECIDED_BY}' AND k.defined_through_day = {EVERY_DAY} AND k.defined_by = {digest_of_definitions("r.ws")}))
    OR EXISTS (SELECT FROM {{g}}.stale_credit s WHERE s.ws = r.ws)"""
"""A condition: the sums of workspace `r` are incomplete or stale."""


async def make_sums(context: Context) -> bool:
    """Add up some stale slices, or the next days that have no sums, or unite slices. False if there is nothing to do. `context` has the time zone."""
    kept = await context.connection.fetchrow(KEPT, context.ws)
    if kept is None or (kept["time_zone"], kept["decided_by"]) != (context.settings.time_zone, DECIDED_BY):
        for statement in DROP_ALL:
            await context.connection.execute(statement, context.ws)
        await _keep(context, NO_DAY)
        return await _make_next(context, NO_DAY, DROP_FROM, _make_days, _keep)
    through_day, defined_through_day = kept["through_day"], kept["defined_through_day"]
    defined_by = await context.connection.fetchval(DEFINED_BY, context.ws)
    if kept["defined_by"] != defined_by:
        await context.connection.execute(DEFINED_OTHERWISE, context.ws, defined_by)
        defined_through_day = NO_DAY
    return (
        await _make_stale(context, through_day)
        or await _make_next(context, through_day, DROP_FROM, _make_days, _keep)
        or await _unite(context)
        or await _make_next_defined(context, defined_through_day, defined_by)
    )


async def _make_next_defined(context: Context, through_day: int, defined_by: str) -> bool:
    """As `_make_next`, under the models that the workspace has defined, by events whose digest is `defined_by`; without any, all days are done at once."""
    if defined_by:
        return await _make_next(context, through_day, DROP_DEFINED_FROM, _make_defined_days, _keep_defined)
    if through_day == EVERY_DAY:
        return False
    for statement in DROP_DEFINED_FROM:
        await context.connection.execute(statement, context.ws, through_day, EVERY_DAY)
    await _keep_defined(context, EVERY_DAY)
    return True


async def _keep(context: Context, through_day: int) -> None:
    await context.connection.execute(KEEP, context.ws, context.settings.time_zone, through_day, DECIDED_BY)


async def _keep_defined(context: Context, through_day: int) -> None:
    await context.connection.execute(KEEP_DEFINED, context.ws, through_day)


async def _make_stale(context: Context, through_day: int) -> bool:
    connection, ws, days = context.connection, context.ws, days_of(context.settings.time_zone)
    stale = slices_of(days, await connection.fetch(STALE_SLICES, ws, NO_DAY, through_day, STALE_MAX))
    if not stale:
        return False
    _, starts, ends = columns(stale)
    deals = [row["count"] for row in await connection.fetch(DEALS_OF, ws, starts, ends)]
    new = {row["from_us"] for row in await connection.fetch(NOT_MADE, ws)}
    too_many = [n > DEALS_MAX if one.from_us in new else n >= DIVIDED_FROM for one, n in zip(stale, deals, strict=True)]
    if too_many[0] and await _divide(context, stale[0]):
        return True
    taken = 1
    while taken < len(stale) and sum(deals[: taken + 1]) <= DEALS_MAX and not too_many[taken]:
        taken += 1
    await _drop(context, stale[:taken])
    await connection.execute(
        COUNTED, ws, *columns([(*one[:2], n) for one, n in zip(stale[:taken], deals, strict=False)])
    )
    await write_rows(context, stale[:taken], defined=True)
    return True


async def _drop(context: Context, some: Sequence[Slice]) -> None:
    """Delete the sums of slices, and their marks."""
    await delete_rows(context, some)
    await context.connection.execute(DROP_MARKS, context.ws, *columns(some))


async def _divide(context: Context, whole: Slice) -> bool:
    """Divide a slice, without sums, into stale slices. False if all of its deals were won at the same instant."""
    connection, ws = context.connection, context.ws
    closes = [row["closed_us"] for row in await connection.fetch(CLOSES_BETWEEN, ws, whole.from_us, whole.to_us)]
    pieces = divided(whole, closes, SLICE_DEALS if len(closes) <= WHOLE_DEALS_MAX else DEALS_MAX)
    if len(pieces) == 1:
        return False
    await _drop(context, [whole])
    await connection.execute(DROP_SLICES, ws, [whole.day], [whole.from_us])
    await connection.execute(ADD_SLICES, ws, *columns([(*one, None) for one in pieces]))
    await connection.execute(MARK, ws, *columns([one[:2] for one in pieces]))
    return True


async def _unite(context: Context) -> bool:
    """Make one slice of some that follow one another. False if there are none. No slice may be stale."""
    connection, ws = context.connection, context.ws
    last = await connection.fetchval(LAST_DIVIDED, ws)
    if last is None:
        return False
    day = await connection.fetchval(TO_UNITE, ws, last, DEALS_MAX)
    rows = await connection.fetch(SLICES, ws, [last if day is None else day])
    found = [(Slice(*row[:3]), row["deals"]) for row in rows]
    if day is None:
        some = to_unite(found[:-OPEN_SLICES_LEFT], OPEN_DEALS_MAX, OPEN_SLICES_MIN)
    else:
        some = to_unite(found, DEALS_MAX, 2)
    if not some:
        return False
    united, deals = Slice(some[0].day, some[0].from_us, some[-1].to_us), sum(n for one, n in found if one in some)
    await _drop(context, some)
    await connection.execute(DROP_SLICES, ws, *columns(some)[:2])
    if united != whole_day(days_of(context.settings.time_zone), united.day):
        await connection.execute(ADD_SLICES, ws, *columns([(*united, deals)]))
    await write_rows(context, [united], defined=True)
    return True


async def _make_next(
    context: Context, through_day: int, drop: Iterable[Statement], make: Callable[[Context, Sequence[int]], Awaitable[None]],
    keep: Callable[[Context, int], Awaitable[None]],
) -> bool:  # fmt: skip
    """Add up the next days that have no sums, by `make`, and store by `keep` before which day there are sums now. False if all days have them.

    The statements `drop` delete what is stored of days from one, inclusive, to another, exclusive.
    """
    if through_day == EVERY_DAY:
        return False
    connection, ws, days = context.connection, context.ws, days_of(context.settings.time_zone)
    from_us = BEGINNING_US if through_day == NO_DAY else days.start_us(through_day)
    closes = [row["closed_us"] for row in await connection.fetch(CLOSES, ws, from_us, DEALS_MAX + 1)]
    won_on = sorted({days.day_of(at_us) for at_us in closes})
    if len(closes) <= DEALS_MAX:
        through = EVERY_DAY
    elif len(won_on) > 1:  # the last day may have more deals than were read
        through = won_on.pop()
    else:
        through = won_on[0] + 1
    for statement in drop:
        await connection.execute(statement, ws, through_day, through)
    await make(context, won_on)
    await keep(context, through)
    return True


async def _make_days(context: Context, some: Sequence[int]) -> None:
    """Write the sums of some days that have none, or divide a day that has too many deals for one slice."""
    days = days_of(context.settings.time_zone)
    slices = [whole_day(days, day) for day in some]
    if len(slices) == 1:
        (one,) = slices
        ((_, deals),) = await context.connection.fetch(DEALS_OF, context.ws, [one.from_us], [one.to_us])
        if deals > WHOLE_DEALS_MAX and await _divide(context, one):
            return
    await write_rows(context, slices)


async def _make_defined_days(context: Context, some: Sequence[int]) -> None:
    """Write the sums of some days under the models that the workspace has defined."""
    days = days_of(context.settings.time_zone)
    slices = slices_of(days, [row[:3] for row in await context.connection.fetch(SLICES, context.ws, list(some))])
    are_divided = {one.day for one in slices}
    await write_defined_rows(context, slices + [whole_day(days, day) for day in some if day not in are_divided])
