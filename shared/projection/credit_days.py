"""Makes the sums of credit by day, in steps, from the credited touches of the deals that were won on these days.

Those under models that the workspace has defined are made after all others, and from the beginning after each definition.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from shared.events.instants import BEGINNING_US
from shared.projection.campaign_cells import WorkspaceRows
from shared.projection.credit_sums import MODEL_NAMES, TOGETHER, Sum, Summed, sums_of_spans, won_in_spans
from shared.projection.days import EVERY_DAY, NO_DAY, Days, days_of
from shared.projection.defined_models import DEFINED_BY, defined_models, digest_of_definitions, own_shares
from shared.projection.generations import WrongShape, lacks_model
from shared.projection.pipeline import Context
from shared.projection.site_list_versions import DECIDED_BY
from shared.projection.spans import Span
from shared.projection.sql import Statement, sql
from shared.projection.stages.credit_days.gather import KEPT
from shared.projection.stages.entities.gather import as_read
from shared.projection.walks import packed
from shared.projection.won_campaigns import won_of_campaigns
from shared.rules.models import Model
from shared.rules.report_groups import GroupBy

DEALS_MAX = 100  # won on the days that a step adds up, unless one day has more: some 0.2 s, which a batch may wait for
STALE_MAX = 31  # days that a step adds up again

CREDIT_DAY_COLUMNS = ("ws", "day", "group_by", "name", "reason", "currency", "deals", "contacts", "paid", "minor")
PATH_DAY_COLUMNS = ("ws", "day", "group_by", "currency", "names", "steps")
WON_CAMPAIGN_DAY_COLUMNS = (
    "ws", "campaign", "day", "currency", "deals", "amount_minor", "contacts", "minor", "earning", "refunded",
)  # fmt: skip
DEFINED_CREDIT_DAY_COLUMNS = ("ws", "day", "group_by", "name", "reason", "currency", "minor")
WON_DAY_COLUMNS = ("ws", "day", "currency", "deals", "without_journey", "amount_minor")
SETTINGS = sql("SELECT body FROM {g}.settings WHERE ws = $1")
CLOSES = sql("""
SELECT closed_us FROM {g}.deal WHERE ws = $1 AND state = 'won' AND closed_us >= $2 ORDER BY closed_us LIMIT $3
""")
STALE_DAYS = sql("SELECT day FROM {g}.stale_credit_day WHERE ws = $1 AND day < $2 ORDER BY day LIMIT $3")
DEALS_OF = sql("""
SELECT u.n, (SELECT count(*) FROM {g}.deal d WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= u.from_us AND d.closed_us < u.to_us)
FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY u(from_us, to_us, n) ORDER BY u.n
""")
PUBLISHED_TABLES = ("credit_day", "path_day", "won_campaign_day", "won_day", "stale_credit_day")
DROP_DAYS = [
    sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1 AND day = ANY($2::int[])")
    for table in (*PUBLISHED_TABLES, "defined_credit_day")
]
DROP_FROM = [sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1 AND day >= $2 AND day < $3") for table in PUBLISHED_TABLES]
DROP_DEFINED_FROM = [sql("DELETE FROM {g}.defined_credit_day WHERE ws = $1 AND day >= $2 AND day < $3")]
DROP_ALL = [sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1") for table in (*PUBLISHED_TABLES, "defined_credit_day")]
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
    OR EXISTS (SELECT FROM {{g}}.stale_credit_day s WHERE s.ws = r.ws)"""
"""A condition: the sums of workspace `r` are incomplete or stale."""


async def make_sums(context: Context) -> bool:
    """Add up some stale days, or the next days that have no sums. False if there is nothing to do. `context` has the time zone."""
    kept = await context.connection.fetchrow(KEPT, context.ws)
    if kept is None or (kept["time_zone"], kept["decided_by"]) != (context.settings.time_zone, DECIDED_BY):
        for statement in DROP_ALL:
            await context.connection.execute(statement, context.ws)
        await _keep(context, NO_DAY)
        return await _make_next(context, NO_DAY, DROP_FROM, _make, _keep)
    through_day, defined_through_day = kept["through_day"], kept["defined_through_day"]
    defined_by = await context.connection.fetchval(DEFINED_BY, context.ws)
    if kept["defined_by"] != defined_by:
        await context.connection.execute(DEFINED_OTHERWISE, context.ws, defined_by)
        defined_through_day = NO_DAY
    return (
        await _make_stale(context, through_day)
        or await _make_next(context, through_day, DROP_FROM, _make, _keep)
        or await _make_next_defined(context, defined_through_day, defined_by)
    )


async def _make_next_defined(context: Context, through_day: int, defined_by: str) -> bool:
    """As `_make_next`, under the models that the workspace has defined, by events whose digest is `defined_by`; without any, all days are done at once."""
    if defined_by:
        return await _make_next(context, through_day, DROP_DEFINED_FROM, _make_defined, _keep_defined)
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
    stale = [row["day"] for row in await connection.fetch(STALE_DAYS, ws, through_day, STALE_MAX)]
    if not stale:
        return False
    spans = _spans(days, stale)
    counts = await connection.fetch(DEALS_OF, ws, [from_us for from_us, _ in spans], [to_us for _, to_us in spans])
    taken, deals = 0, 0
    for _, number in counts:
        deals += number
        if taken and deals > DEALS_MAX:
            break
        taken += 1
    for statement in DROP_DAYS:
        await connection.execute(statement, ws, stale[:taken])
    await _make(context, stale[:taken])
    await _make_defined(context, stale[:taken])
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


def _spans(days: Days, some: Sequence[int]) -> list[Span]:
    return [(days.start_us(day), days.start_us(day + 1)) for day in some]


async def _make(context: Context, some: Sequence[int]) -> None:
    """Write the sums of some days that have none, under published models."""
    if not some:
        return
    connection, ws = context.connection, context.ws
    store, spans = WorkspaceRows(connection, ws), _spans(days_of(context.settings.time_zone), some)
    won = [(ws, some[one.span], *one[1:]) for one in await won_in_spans(store, spans)]
    await connection.copy("won_day", WON_DAY_COLUMNS, won)
    if not won:
        return
    summed = await _summed(context, some, MODEL_NAMES, paths=True)
    rows = [
        (ws, day, *group, one.currency, one.deals, one.contacts, one.paid, [*_of_all_models(context, one.minor), one.shapley])
        for day, group, one in _sums(some, summed)
    ]  # fmt: skip
    await connection.copy("credit_day", CREDIT_DAY_COLUMNS, rows)
    paths = [
        (ws, some[span], str(by), currency, [name.encode() for name in walked.names], packed(walked.steps))
        for by, of in summed.items() for (span, currency), walked in of.walked.items() if walked.names
    ]  # fmt: skip
    await connection.copy("path_day", PATH_DAY_COLUMNS, paths)
    won_for = [
        (ws, one.campaign, some[one.span], one.currency, one.deals, one.amount_minor, one.contacts,
         None if one.minor is None else _of_all_models(context, one.minor), one.earning, one.refunded)
        for one in await won_of_campaigns(store, spans, MODEL_NAMES)
    ]  # fmt: skip
    await connection.copy("won_campaign_day", WON_CAMPAIGN_DAY_COLUMNS, won_for)


def _of_all_models(context: Context, minor: Sequence[int | None]) -> list[int]:
    """Sums under all models. Raises `WrongShape` if the store lacks one."""
    for model, each in zip(MODEL_NAMES, minor, strict=True):
        if each is None:
            raise WrongShape(lacks_model(context.connection.generation, model))
    return [each for each in minor if each is not None]


async def _make_defined(context: Context, some: Sequence[int]) -> None:
    """As `_make`, under the models that the workspace has defined, in the order of their names."""
    store = WorkspaceRows(context.connection, context.ws)
    if not some or not (models := await defined_models(store)):
        return
    summed = await _summed(context, some, sorted(models), [models[name] for name in sorted(models)])
    rows = [
        (context.ws, day, *group, one.currency, [minor or 0 for minor in one.minor])
        for day, group, one in _sums(some, summed) if one.paid
    ]  # fmt: skip
    await context.connection.copy("defined_credit_day", DEFINED_CREDIT_DAY_COLUMNS, rows)


async def _summed(
    context: Context, some: Sequence[int], names: Sequence[str], defined: Sequence[Model] = (), *, paths: bool = False
) -> dict[GroupBy, Summed]:
    """The sums of some days under models, those among them that the workspace has `defined`, in their order; with `paths`, also those of paths."""
    store, spans = WorkspaceRows(context.connection, context.ws), _spans(days_of(context.settings.time_zone), some)
    referrers = as_read(await context.connection.fetchval(SETTINGS, context.ws)).referrers
    own = await own_shares(store, spans, defined, None) if defined else None
    out: dict[GroupBy, Summed] = {}
    for bys in TOGETHER:
        out |= await sums_of_spans(store, spans, bys, names, None, referrers, own, paths=paths)
    return out


def _sums(
    some: Sequence[int], summed: Mapping[GroupBy, Summed]
) -> list[tuple[int, tuple[str, bytes | None, str | None], Sum]]:
    """The sums of all groups of some days: the day, the group as columns have it, and the sum."""
    rows = []
    for by, of in summed.items():
        for one in of.sums:
            name, reason = one.group
            group = str(by), None if name is None else name.encode(), None if reason is None else str(reason)
            rows.append((some[one.span], group, one))
    return rows
