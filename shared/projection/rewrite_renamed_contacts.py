"""Writes the present keys of merged contacts into lists of contacts: a step of the background task (see `shared.projection.renamed_contacts`)."""

from typing import Any

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.days import days_of, month_of
from shared.projection.pipeline import Context
from shared.projection.renamed_contacts import Renamed
from shared.projection.sql import Statement, columns, sql
from shared.projection.stages.cells.apply import cells_of_touches
from shared.projection.stages.cells.gather import WINDOWS_LOOKED_UP
from shared.projection.stages.credit_days.gather import CLOSES_OF_CONTACTS
from shared.projection.stages.credit_days.gather import KEPT as SUMS_KEPT

RENAMED_MAX = 20  # contacts of a step: each is in some 100 cells, their months, the days of one or two campaigns, and the sums of a day
SOME = sql("SELECT was, contact, persons FROM {g}.renamed_contact WHERE ws = $1 LIMIT $2")
DONE = sql("DELETE FROM {g}.renamed_contact WHERE ws = $1 AND was = ANY($2::bigint[])")
CAMPAIGN_DAYS = sql(
    f"SELECT DISTINCT w.campaign, c.day FROM unnest($2::bigint[], $3::int[]) c(key_set, day) {WINDOWS_LOOKED_UP}"
)


def _of_subjects(table: str, subject: str, day: str, lists: str) -> Statement:
    """SQL for the lists of contacts in the rows of subjects ($2) and days ($3): the `ctid` of the row, the number of the list (from 1), and the list."""
    return sql(f"""
SELECT c.ctid, l.n, l.contacts FROM unnest($2::bigint[], $3::int[]) u(subject, day)
JOIN {{g}}.{table} c ON c.ws = $1 AND c.{subject} = u.subject AND c.{day} = u.day
CROSS JOIN LATERAL unnest({lists}) WITH ORDINALITY l(contacts, n)
""")


def _of_days(table: str, lists: str) -> Statement:
    """The same for all rows of some days ($2)."""
    return sql(f"""
SELECT c.ctid, l.n, l.contacts FROM {{g}}.{table} c CROSS JOIN LATERAL unnest({lists}) WITH ORDINALITY l(contacts, n)
WHERE c.ws = $1 AND c.day = ANY($2::int[])
""")


def _write(table: str, value: str) -> Statement:
    """SQL that replaces the lists of contacts of rows: $2 is the `ctid` of the row, $3 the number of the list, $4 the list.

    No other transaction may write to the table at the same time, because that would change a `ctid`.
    """
    return sql(f"""
WITH changed AS MATERIALIZED (
    SELECT place, array_agg(contacts ORDER BY n) AS lists FROM unnest($2::tid[], $3::bigint[], $4::bytea[]) u(place, n, contacts)
    GROUP BY place)
UPDATE {{g}}.{table} c SET {value} FROM changed u WHERE c.ws = $1 AND c.ctid = u.place
""")


OF_DAY_CELLS = _of_subjects("day_cell", "key_set", "day", "c.contacts")
OF_ADDED_CELLS = _of_subjects("added_cell", "key_set", "day", "ARRAY[c.contacts]")
OF_MONTH_CELLS = _of_subjects("month_cell", "key_set", "month", "c.contacts")
OF_CAMPAIGN_DAYS = _of_subjects("campaign_day", "campaign", "day", "ARRAY[c.contacts]")
OF_CAMPAIGN_MONTHS = _of_subjects("campaign_month", "campaign", "month", "ARRAY[c.contacts]")
OF_CREDIT_DAYS = _of_days("credit_day", "ARRAY[c.contacts]")
OF_WON_CAMPAIGN_DAYS = _of_days("won_campaign_day", "c.contacts || c.earning")
WRITE_DAY_CELLS = _write("day_cell", "contacts = u.lists")
WRITE_ADDED_CELLS = _write("added_cell", "contacts = u.lists[1]")
WRITE_MONTH_CELLS = _write("month_cell", "contacts = u.lists")
WRITE_CAMPAIGN_DAYS = _write("campaign_day", "contacts = u.lists[1]")
WRITE_CAMPAIGN_MONTHS = _write("campaign_month", "contacts = u.lists[1]")
WRITE_CREDIT_DAYS = _write("credit_day", "contacts = u.lists[1]")
WRITE_WON_CAMPAIGN_DAYS = _write("won_campaign_day", "contacts = u.lists[1], earning = u.lists[2:]")


async def write_renamed(context: Context) -> bool:
    """Write the present keys into all lists that may have the former key of one of `RENAMED_MAX` contacts. False if no contact is renamed.

    What is stale need not be made before: it is made of these lists, or of the touches, which have the present keys.
    """
    some = await context.connection.fetch(SOME, context.ws, RENAMED_MAX)
    if not some:
        return False
    renamed = Renamed({row["was"]: row["contact"] for row in some})
    persons = sorted({(person, BEGINNING_US, END_US) for row in some for person in row["persons"]})
    if cells := await cells_of_touches(context, persons, days_of(context.settings.time_zone)):
        months = {(key_set, month_of(day)) for key_set, day in cells}
        await _rewrite(context, renamed, WRITE_DAY_CELLS, OF_DAY_CELLS, *columns(cells))
        await _rewrite(context, renamed, WRITE_ADDED_CELLS, OF_ADDED_CELLS, *columns(cells))
        await _rewrite(context, renamed, WRITE_MONTH_CELLS, OF_MONTH_CELLS, *columns(months))
        of_campaigns = await context.connection.fetch(CAMPAIGN_DAYS, context.ws, *columns(cells))
        if of_campaigns:
            of_months = {(campaign, month_of(day)) for campaign, day in of_campaigns}
            await _rewrite(context, renamed, WRITE_CAMPAIGN_DAYS, OF_CAMPAIGN_DAYS, *columns(of_campaigns))
            await _rewrite(context, renamed, WRITE_CAMPAIGN_MONTHS, OF_CAMPAIGN_MONTHS, *columns(of_months))
    if won_on := await _days_of_sums(context, [row["contact"] for row in some]):
        await _rewrite(context, renamed, WRITE_CREDIT_DAYS, OF_CREDIT_DAYS, won_on)
        await _rewrite(context, renamed, WRITE_WON_CAMPAIGN_DAYS, OF_WON_CAMPAIGN_DAYS, won_on)
    await context.connection.execute(DONE, context.ws, [row["was"] for row in some])
    return True


async def _days_of_sums(context: Context, contacts: list[int]) -> list[int]:
    """The days on which deals of some contacts, given by their present keys, were won; empty if the workspace has no sums."""
    kept = await context.connection.fetchrow(SUMS_KEPT, context.ws)
    if kept is None:
        return []
    days = days_of(kept["time_zone"])
    closes = await context.connection.fetch(CLOSES_OF_CONTACTS, context.ws, contacts)
    return sorted({days.day_of(row["closed_us"]) for row in closes})


async def _rewrite(
    context: Context, renamed: Renamed, write: Statement, lists: Statement, *arguments: list[Any]
) -> None:
    """Write the rows again in which a list has a renamed contact. `lists` is the statement that reads the lists, with its arguments."""
    changed: set[Any] = set()
    all_lists = []
    for place, n, contacts in await context.connection.fetch(lists, context.ws, *arguments):
        present = renamed.with_present_keys(contacts)
        all_lists.append((place, n, present))
        if present is not contacts:
            changed.add(place)
    if rows := [row for row in all_lists if row[0] in changed]:
        await context.connection.execute(write, context.ws, *columns(rows))
