"""How are lists of contacts written anew that name contacts by a key which is another one's now? A step of the background; see `renamed`."""

from collections.abc import Collection, Iterable
from typing import Any

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.days import days_of, month_of
from shared.projection.pipeline import Context
from shared.projection.renamed import Renamed
from shared.projection.sql import Statement, sql
from shared.projection.stages.cells.apply import cells_of_touches
from shared.projection.stages.cells.gather import WINDOWS_OF_CELLS

RENAMED_MAX = 20  # contacts of a step: each is in some 100 cells, their months, and the days of one or two campaigns
SOME = sql("SELECT was, contact, persons FROM {g}.renamed_contact WHERE ws = $1 LIMIT $2")
DONE = sql("DELETE FROM {g}.renamed_contact WHERE ws = $1 AND was = ANY($2::bigint[])")
CAMPAIGN_DAYS = sql(
    f"SELECT DISTINCT w.campaign, c.day FROM unnest($2::bigint[], $3::int[]) c(key_set, day) {WINDOWS_OF_CELLS}"
)


def _lists_of(table: str, subject: str, day: str, lists: str) -> Statement:
    """SQL for the lists of contacts of rows, by subject and day, numbered within their row from 1."""
    return sql(f"""
SELECT c.{subject}, c.{day}, l.n, l.contacts FROM unnest($2::bigint[], $3::int[]) u(subject, day)
JOIN {{g}}.{table} c ON c.ws = $1 AND c.{subject} = u.subject AND c.{day} = u.day
CROSS JOIN LATERAL unnest({lists}) WITH ORDINALITY l(contacts, n)
""")


def _write(table: str, subject: str, day: str, value: str) -> Statement:
    """SQL that gives rows other lists of contacts: $2 to $5 are subject, day, number and list."""
    return sql(f"""
WITH told AS MATERIALIZED (
    SELECT subject, day, array_agg(contacts ORDER BY n) AS lists
    FROM unnest($2::bigint[], $3::int[], $4::bigint[], $5::bytea[]) u(subject, day, n, contacts) GROUP BY 1, 2)
UPDATE {{g}}.{table} c SET contacts = {value} FROM told u WHERE c.ws = $1 AND c.{subject} = u.subject AND c.{day} = u.day
""")


_CELLS = [
    (_lists_of(table, "key_set", day, "c.contacts"), _write(table, "key_set", day, "u.lists"))
    for table, day in (("day_cell", "day"), ("month_cell", "month"))
]
_DAYS = (
    _lists_of("campaign_day", "campaign", "day", "ARRAY[c.contacts]"),
    _write("campaign_day", "campaign", "day", "u.lists[1]"),
)


async def write_renamed(context: Context) -> bool:
    """Write the lists anew that may name some renamed contacts. False if there is none.

    It is done where all cells and days of campaigns are made, and nothing waits to be added to one.
    """
    some = await context.connection.fetch(SOME, context.ws, RENAMED_MAX)
    if not some:
        return False
    renamed = Renamed({row["was"]: row["contact"] for row in some})
    persons = sorted({(person, BEGINNING_US, END_US) for row in some for person in row["persons"]})
    cells = await cells_of_touches(context, persons, days_of(context.settings.time_zone))
    months = {(key_set, month_of(day)) for key_set, day in cells}
    of_campaigns = await context.connection.fetch(CAMPAIGN_DAYS, context.ws, *_columns(cells)) if cells else []
    for (lists, write), rows in zip((*_CELLS, _DAYS), (cells, months, map(tuple, of_campaigns)), strict=True):
        await _write_anew(context, lists, write, list(rows), renamed)
    await context.connection.execute(DONE, context.ws, [row["was"] for row in some])
    return True


async def _write_anew(
    context: Context, lists: Statement, write: Statement, rows: Collection[tuple[int, int]], renamed: Renamed
) -> None:
    if not rows:
        return
    changed: set[tuple[int, int]] = set()
    found = []
    for subject, day, n, contacts in await context.connection.fetch(lists, context.ws, *_columns(rows)):
        written = renamed.written_anew(contacts)
        found.append((subject, day, n, written))
        if written is not contacts:
            changed.add((subject, day))
    if told := [row for row in found if row[:2] in changed]:
        await context.connection.execute(write, context.ws, *_columns(told))


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
