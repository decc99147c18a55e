"""How are a workspace's rows made again beside those that are read, for settings that concern all of its history?

One small step after another, each a transaction of its own, between which live batches go on: the log is projected again from
offset 0, for this workspace alone, with the new settings from the beginning on and under another number `ws`. Near the end of
what is projected live, the live projection is held for the last few events, and the new rows take the place of the old ones, in
one transaction. What nobody reads any more is then deleted, a few pages of a table at a time.

Every step moves what it does by compare-and-set, so that whoever owns the partition goes on where another was killed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.log.port import Entry, EventLog, LogDamaged
from shared.projection.batch import Batch, decode
from shared.projection.pipeline import Heed
from shared.projection.poison import project_or_dead_letter
from shared.projection.projector import Fenced, Projector
from shared.projection.reprojection import SUPERSEDE, keep_settings
from shared.projection.rows import Prepared
from shared.projection.sql import Connection, Statement, sql
from shared.projection.stages.entities.apply import save_settings
from shared.projection.stages.entities.gather import as_read
from shared.projection.tables import NOT_ROWS, projection
from shared.rules.settings import Settings

BATCH_EVENTS_MAX = 1_000  # of the workspace, in one transaction: some 0.1 s, which a live batch may have to wait
READ_ENTRIES = 10_000  # of the log at a time; those of other workspaces are passed over, and not decoded
NEAR_ENTRIES = 2_000  # so few are projected while the live projection is held: a quarter of a second
STALLED_STEPS = 100  # that did not reduce the distance: more events arrive than are projected again
HELD_ENTRIES = 20_000  # projected while the live projection is held, where it has stalled: twice the largest live batch
PIECE_PAGES = 256  # of 8 KiB: some 8,000 touches are deleted at a time

OLDEST = sql("SELECT * FROM {g}.reprojection WHERE partition = $1 ORDER BY started_us, workspace LIMIT 1")
COUNT = sql("""
UPDATE {g}.reprojection SET events_to_do = (SELECT count(*) FROM {g}.event_index e WHERE e.ws = from_ws)
WHERE workspace = $1 AND ws = $2
""")
ADVANCE = sql("""
UPDATE {g}.reprojection SET next_offset = $4, events_done = events_done + $5
WHERE workspace = $1 AND ws = $2 AND next_offset = $3
    AND EXISTS (SELECT FROM {g}.progress p WHERE p.partition = reprojection.partition AND p.epoch = $6)
""")
HOLD = sql("""
SELECT true FROM {g}.progress WHERE partition = $1 AND epoch = $2 AND next_offset = $3 FOR UPDATE
""")  # no live batch is under way, in whatever process, and none begins until the transaction ends
FINISH = sql("""
DELETE FROM {g}.reprojection WHERE workspace = $1 AND ws = $2 AND next_offset = $3 RETURNING from_ws, settings
""")
CHANGE_PLACES = sql("""
INSERT INTO {g}.rows_of AS r (workspace, ws, times) VALUES ($1, $2, 1)
ON CONFLICT (workspace) DO UPDATE SET ws = excluded.ws, times = r.times + 1
""")
SUPERSEDED = sql("SELECT ws FROM {g}.superseded_rows WHERE partition = $1 ORDER BY ws LIMIT 1")
DELETED = sql("""
WITH passed AS (DELETE FROM {g}.events_until u WHERE u.ws = $1 AND NOT EXISTS (SELECT FROM {g}.touch t WHERE t.ws = $1))
DELETE FROM {g}.superseded_rows WHERE ws = $1 AND NOT EXISTS (SELECT FROM {g}.touch t WHERE t.ws = $1)
""")  # rows may have moved to another partition of `touch` meanwhile; then they are looked for again
LEAVES = sql("SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = '{g}.touch'::regclass")
PAGES = "SELECT coalesce(pg_relation_size(to_regclass($1)), 0) / current_setting('block_size')::int"


class Overtaken(Fenced):
    """What is to be made has changed meanwhile, by other settings; it is to be read again."""


@dataclass
class NewRows(Projector):
    """Projects one workspace of the partition under another number, with settings that are given."""

    workspace: int = 0
    workspace_id: str = ""
    ws: int = 0
    settings: Settings = field(default_factory=Settings)

    def chosen(self, entries: Sequence[Entry]) -> Batch:
        """Decode the workspace's entries among some of the log. What cannot be read is a dead letter already."""
        batch = decode([entry for entry in entries if entry.workspace == self.workspace_id])
        return Batch(entries, batch.arrived, batch.readings, [])

    async def _move(self, connection: Connection, entries: Sequence[Entry], _: int) -> None:
        """See `Projector._move`. Raises `Overtaken`."""
        own = sum(entry.workspace == self.workspace_id for entry in entries)
        moved = await connection.execute(
            ADVANCE, self.workspace, self.ws, self.offset, entries[-1].offset + 1, own, self.epoch
        )
        if moved != "UPDATE 1":
            raise Overtaken(f"{self.workspace_id} is not made anew as {self.ws} at offset {self.offset} any more")

    async def _rows_of(self, _: Connection, __: str) -> int:
        return self.ws

    async def _settings_of(self, _: Connection, __: int) -> Settings:
        return self.settings

    def _heed(self, _: str, __: Sequence[Prepared]) -> Heed:
        return keep_settings


@dataclass
class Reprojector:
    """Makes rows again, and deletes the former ones, for the workspaces of a partition that `live` projects.

    `turn` is held by whoever drives `live`, for each of its batches. `log` is for this reader alone.
    """

    log: EventLog
    live: Projector
    turn: asyncio.Lock
    near_entries: int = NEAR_ENTRIES
    under_way: Any = None
    """The row of `reprojection` that the last step worked on; None: it had none."""
    _making: NewRows | None = None
    _ahead: Sequence[Entry] = ()
    _nearest: int = 0
    _stalled_steps: int = 0
    _pieces: tuple[int, list[tuple[Statement, int]]] | None = None
    """The `ws` whose rows are being deleted, and what is left to do of that."""

    async def step(self, connection: Connection) -> bool:
        """Do the next piece of work, a fraction of a second; False if there is none.

        Raises `Fenced`, and what the log and the database raise. Whatever it raised, it may be called again.
        """
        try:
            making = await self._next(connection)
            if making is None:
                return await self._delete_some(connection)
            gap = self.live.offset - making.offset
            if gap <= self.near_entries:
                await self._change_places(connection, making)
            else:
                await self._come_nearer(connection, making, gap)
        except Overtaken:
            await self._check_epoch(connection)
            self._making = None
        except BaseException:
            self._making = self._pieces = None
            raise
        return True

    async def _next(self, connection: Connection) -> NewRows | None:
        """What is to be made, as the database knows it."""
        row = self.under_way = await connection.fetchrow(OLDEST, self.live.partition)
        if row is None:
            self._making = None
            return None
        making = self._making
        if making is not None and (making.workspace, making.ws, making.offset) == _place(row):
            making.settings = as_read(row["settings"])
            return making
        self._ahead, self._stalled_steps, self._nearest = (), 0, self.live.offset
        making = self._making = NewRows(
            self.log, self.live.partition, row["next_offset"], self.live.epoch, keeps_dead_letters=False,
            social_posts_max=self.live.social_posts_max, workspace=row["workspace"], workspace_id=row["workspace_id"],
            ws=row["ws"], settings=as_read(row["settings"]),
        )  # fmt: skip
        if row["events_to_do"] is None:
            await connection.execute(COUNT, making.workspace, making.ws)
        return making

    async def _check_epoch(self, connection: Connection) -> None:
        partition, epoch = self.live.partition, self.live.epoch
        if await connection.fetchval(sql("SELECT epoch FROM {g}.progress WHERE partition = $1"), partition) != epoch:
            raise Fenced(f"partition {partition} has another owner than that of epoch {epoch}")

    async def _come_nearer(self, connection: Connection, making: NewRows, gap: int) -> None:
        """Project some more; where the live projection is as fast, it is held for a while."""
        self._stalled_steps = 0 if gap < self._nearest else self._stalled_steps + 1
        self._nearest = min(gap, self._nearest)
        if self._stalled_steps < STALLED_STEPS:
            await self._project(connection, making, self.live.offset)
            return
        async with self.turn:
            upto = min(self.live.offset, making.offset + HELD_ENTRIES)
            while making.offset < upto:
                await self._project(connection, making, upto)
        self._stalled_steps = 0

    async def _project(self, connection: Connection, making: NewRows, upto: int) -> None:
        """Project some entries of the log before offset `upto`, up to `BATCH_EVENTS_MAX` of the workspace."""
        if not self._ahead or self._ahead[0].offset != making.offset:
            self._ahead = await self.log.read(making.partition, making.offset, READ_ENTRIES)
        entries: list[Entry] = []
        own = 0
        for entry in self._ahead:
            if entry.offset >= upto or own == BATCH_EVENTS_MAX:
                break
            entries.append(entry)
            own += entry.workspace == making.workspace_id
        if not entries:
            raise LogDamaged(f"partition {making.partition} ends at {making.offset}; {upto} was projected from it")
        self._ahead = self._ahead[len(entries) :]
        await project_or_dead_letter(connection, making, making.chosen(entries), making.chosen)

    async def _change_places(self, connection: Connection, making: NewRows) -> None:
        """Project the last few events while the live projection is held, and let the new rows be those that are read."""
        live = self.live
        async with self.turn:
            while making.offset < live.offset:
                await self._project(connection, making, live.offset)
            try:
                async with connection.raw.transaction():
                    await self._point_at(connection, making)
            finally:
                live.forget()  # whatever was answered: the rows may stand under another number now
        self._making = None

    async def _point_at(self, connection: Connection, making: NewRows) -> None:
        live = self.live
        if not await connection.fetchval(HOLD, live.partition, live.epoch, live.offset):
            raise Fenced(f"partition {live.partition} is no longer at offset {live.offset}, epoch {live.epoch}")
        row = await connection.fetchrow(FINISH, making.workspace, making.ws, making.offset)
        if row is None:
            raise Overtaken(f"{making.workspace_id} is not made anew as {making.ws} any more")
        await save_settings(connection, making.ws, as_read(row["settings"]))
        await connection.execute(CHANGE_PLACES, making.workspace, making.ws)
        await connection.execute(SUPERSEDE, row["from_ws"], live.partition)

    async def _delete_some(self, connection: Connection) -> bool:
        """Delete some of the rows that nobody reads; False if there are none."""
        ws = await connection.fetchval(SUPERSEDED, self.live.partition)
        if ws is None:
            self._pieces = None
            return False
        if self._pieces is None or self._pieces[0] != ws:  # a lower `ws` may have been superseded meanwhile
            self._pieces = ws, await _pieces(connection)
        if left := self._pieces[1]:
            delete, begin = left[-1]
            await connection.execute(delete, ws, (begin, 0), (begin + PIECE_PAGES, 0))
            left.pop()
        else:
            await connection.execute(DELETED, ws)
            self._pieces = None
        return True


def _place(row: Any) -> tuple[int, int, int]:
    return row["workspace"], row["ws"], row["next_offset"]


async def _pieces(connection: Connection) -> list[tuple[Statement, int]]:
    """What deletes the rows of one `ws`, a few pages of a table at a time, so that every page is read once."""
    names = [row["name"] for row in await connection.fetch(LEAVES)]
    tables = set(projection.tables) - {"touch", *NOT_ROWS}
    names += [f"{connection.generation}.{name}" for name in sorted(tables)]
    out = []
    for name in names:
        delete = sql(f"DELETE FROM {name} WHERE ws = $1 AND ctid >= $2::tid AND ctid < $3::tid")
        pages = await connection.raw.fetchval(PAGES, name)
        out += [(delete, begin) for begin in range(0, pages, PIECE_PAGES)]
    return out
