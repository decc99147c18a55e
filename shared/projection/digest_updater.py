"""What does the background task do between the live batches, so that digests are up to date? One small step after another, each in its own transaction.

A step does one of these things:

- it makes dirty cells again from the touches;
- it adds the rows of `added_cell`, which batches write, to day cells and days of campaigns;
- it makes month cells and days of campaigns from day cells, or months of campaigns from their days;
- it replaces former keys of merged contacts in lists of contacts;
- it adds up the credit of days;
- it makes the cells of the next days of a workspace that has no cells yet.

No step changes the answer of a read. Until a step is done, reads use the rows from which the step makes its rows.

A step locks the partition's row of `progress`, so no process projects a batch of the partition meanwhile.
"""

from collections.abc import Container
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from shared.log.port import partition_of
from shared.projection.campaign_days import (
    STALE_MAX,
    add_to_days,
    count_new_again,
    make_months_of_days,
    make_next_days,
    make_stale_days,
)
from shared.projection.credit_days import WORK as SUMS_TO_MAKE
from shared.projection.credit_days import make_sums
from shared.projection.days import EVERY_DAY
from shared.projection.pipeline import Context
from shared.projection.rewrite_renamed_contacts import write_renamed
from shared.projection.sql import Connection, sql
from shared.projection.stages.cells.digests import (
    KEEP,
    added_cells,
    chunks_of_days,
    digest_cells,
    digest_days,
    fold,
    make_months,
)
from shared.rules.settings import Settings

CELLS_MAX = 1_000  # that a step makes again or adds to: some 0.1 s, for which a live batch may wait
MONTHS_MAX = 500

HOLD = sql("SELECT next_offset FROM {g}.progress WHERE partition = $1 FOR UPDATE")
WORK = sql(f"""
SELECT r.workspace_id, r.ws FROM {{g}}.workspace_rows r
WHERE EXISTS (SELECT FROM {{g}}.dirty_cell c WHERE c.ws = r.ws) OR EXISTS (SELECT FROM {{g}}.added_cell c WHERE c.ws = r.ws)
    OR EXISTS (SELECT FROM {{g}}.stale_month c WHERE c.ws = r.ws)
    OR EXISTS (SELECT FROM {{g}}.cells_kept c WHERE c.ws = r.ws AND c.through_day < {EVERY_DAY})
    OR EXISTS (SELECT FROM {{g}}.stale_campaign_day c WHERE c.ws = r.ws)
    OR EXISTS (SELECT FROM {{g}}.stale_campaign_month c WHERE c.ws = r.ws)
    OR EXISTS (SELECT FROM {{g}}.campaign c WHERE c.ws = r.ws AND NOT EXISTS (
        SELECT FROM {{g}}.campaign_kept k WHERE k.ws = r.ws AND k.campaign = c.campaign AND k.through_day = {EVERY_DAY}))
    OR EXISTS (SELECT FROM {{g}}.renamed_contact c WHERE c.ws = r.ws)
    OR {SUMS_TO_MAKE}
""")
KEPT = sql("""
SELECT k.time_zone, k.through_day FROM {g}.cells_kept k
WHERE k.ws = $1 AND EXISTS (SELECT FROM {g}.workspace_rows r WHERE r.ws = $1)
""")  # not for rows of a workspace that were replaced: they are being deleted
DIRTY = sql("SELECT key_set, day FROM {g}.dirty_cell WHERE ws = $1 LIMIT $2")
STALE = sql("SELECT key_set, month FROM {g}.stale_month WHERE ws = $1 LIMIT $2")
FRESH = sql("""
DELETE FROM {g}.stale_month c USING unnest($2::bigint[], $3::int[]) u(key_set, month)
WHERE c.ws = $1 AND c.key_set = u.key_set AND c.month = u.month
""")


class Part(Enum):
    """A part of the work, by what its steps make."""

    CELLS = "cells"
    """Cells, what is added to days of campaigns, and the new contacts of these days. A step is short, so these steps run in every round."""
    DAYS = "days"
    """Days and months of campaigns. Until a stale day is made again, each read of the campaign makes it from the cells of its key sets."""
    SUMS = "sums"
    """Sums of credit. Until a slice of a day is added up again, each report reads the touches of its deals."""
    UNIONS = "unions"
    """Months of key sets, and lists of contacts without former keys: they take the longest."""


@dataclass
class Round:
    """What the steps of a round have done with the cells of a workspace. A round adds to the cells of each day once, and counts new contacts once. What batches
    add meanwhile is left to the next round, so each round ends.
    """

    days: set[int] = field(default_factory=set)
    """Days to whose cells was added what batches had added."""
    counted: bool = False
    """New contacts were counted again."""


@dataclass
class DigestUpdater:
    """Runs the steps for the workspaces of a partition. `partitions` is the number of partitions of the log."""

    partition: int
    partitions: int

    async def workspaces(self, connection: Connection) -> list[int]:
        """The numbers of the workspaces for which there is something to do."""
        rows = await connection.fetch(WORK)
        return [row["ws"] for row in rows if partition_of(row["workspace_id"], self.partitions) == self.partition]

    async def step(
        self, connection: Connection, ws: int, parts: Container[Part] = tuple(Part), round_: Round | None = None
    ) -> Part | None:
        """Run the next step for a workspace, of these parts of the work and always of the cells. The step's part, None if there is nothing to do.

        `round_` has what the earlier steps of a round did for the workspace, and is changed; None: the step is of no round, and leaves nothing to the next one.
        """
        async with connection.raw.transaction():
            await connection.fetchval(HOLD, self.partition)
            kept = await connection.fetchrow(KEPT, ws)
            if kept is None:
                return None
            context = Context(connection, ws, Settings(time_zone=kept["time_zone"]))
            if await self._cells(context, kept["through_day"], Round() if round_ is None else round_):
                return Part.CELLS
            if Part.DAYS in parts and await self._days(context):
                return Part.DAYS
            if Part.SUMS in parts and await make_sums(context):
                return Part.SUMS
            if Part.UNIONS in parts and await self._unions(context):
                return Part.UNIONS
            return None

    async def _cells(self, context: Context, through_day: int, round_: Round) -> bool:
        if through_day < EVERY_DAY:
            await self._digest_next(context, through_day)
            return True
        if cells := await self._some(context, DIRTY, CELLS_MAX):
            await digest_cells(context, cells)
            return True
        if added := await added_cells(context, CELLS_MAX, round_.days):
            day, key_sets = added
            await add_to_days(context, day, key_sets)
            await fold(context, day, key_sets)
            if len(key_sets) < CELLS_MAX:
                round_.days.add(day)
            return True
        if not round_.counted and (counted := await count_new_again(context)):
            round_.counted = counted < STALE_MAX
            return True
        return False

    async def _days(self, context: Context) -> bool:
        return await make_stale_days(context) or await make_next_days(context) or await make_months_of_days(context)

    async def _unions(self, context: Context) -> bool:
        if stale := await self._some(context, STALE, MONTHS_MAX):
            await context.connection.execute(FRESH, context.ws, *map(list, zip(*stale, strict=True)))
            await make_months(context, stale)
            return True
        return await write_renamed(context)

    async def _some(self, context: Context, statement: Any, limit: int) -> list[tuple[int, int]]:
        return [tuple(row) for row in await context.connection.fetch(statement, context.ws, limit)]

    async def _digest_next(self, context: Context, through_day: int) -> None:
        """Make the cells of the next days of a workspace that has cells for the days before `through_day`."""
        chunks = await chunks_of_days(context, through_day)
        if chunks:
            await digest_days(context, chunks[0])
        through = chunks[1][0] if len(chunks) > 1 else EVERY_DAY
        await context.connection.execute(KEEP, context.ws, context.settings.time_zone, through)
