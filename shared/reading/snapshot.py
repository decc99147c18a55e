"""How is the store read? All statements of one read see one workspace in one generation, as it was at one position of the log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from shared.errors import ExpectedError
from shared.log.port import Position, partition_of
from shared.projection.generations import Generation, NoGeneration, live_generation, named_generation
from shared.projection.sql import Connection, Statement, sql
from shared.rules.settings import Settings

PROGRESS = sql("SELECT next_offset FROM {g}.progress WHERE partition = $1")
PROGRESS_AND_SETTINGS = sql("""
SELECT p.next_offset, r.workspace_id, r.told_offset
FROM {g}.progress p LEFT JOIN {g}.reprojection r ON r.partition = p.partition WHERE p.partition = $1
""")  # how far a partition is projected, and the offset of changed settings that rows do not show yet
WORKSPACE = sql("""
SELECT w.ws, w.times, coalesce(u.next_offset, 0) AS events_until,
    (SELECT g.created_at::text FROM touchline.generation g WHERE g.name = '{g}') AS made_at
FROM {g}.workspace_rows w LEFT JOIN {g}.events_until u ON u.ws = w.ws WHERE w.workspace_id = $1
""")
SETTINGS = sql("SELECT body FROM {g}.settings WHERE ws = $1")
UNDER_WAY = sql("""
SELECT told_offset, started_us, least(events_done, events_to_do) AS events_done, events_to_do
FROM {g}.reprojection WHERE from_ws = $1
""")  # while it goes on, more events come than there were to do


class SettingsUnderWay(NamedTuple):
    """Settings that an event at `told_offset` set, and that the rows do not show yet: how far the new rows are built."""

    told_offset: int
    started_us: int
    events_done: int | None
    events_to_do: int | None
    """Of the workspace, when it began; None: they are being counted."""


class NotFound(ExpectedError, LookupError):
    """The workspace has nothing of that kind and name, such as no campaign 'spring'."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"there is no {kind} {name!r}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A workspace in one generation, with all events before one position of the log and none after it."""

    connection: Connection
    workspace: str
    """The id of the workspace."""
    ws: int
    """The number under which the workspace's rows stand; 0 if there is no such workspace."""
    as_of: Position
    settings: Settings
    made_anew: int = 0
    """How often the workspace's rows were rebuilt, for settings that concern all of history."""
    under_way: SettingsUnderWay | None = None
    events_until: int = 0
    """The offset behind the last of the workspace's own events that was projected into this generation since it was made; 0: none was.

    While the generation, `made_at`, `ws` and this are the same, so are all rows of the workspace.
    """
    made_at: str = ""
    """When the generation was made; another may have had its name before."""

    @property
    def generation(self) -> str:
        """The name of the generation."""
        return self.connection.generation

    @property
    def zone(self) -> ZoneInfo:
        """The workspace's time zone."""
        return ZoneInfo(self.settings.time_zone)

    def lacks_settings(self, offset: int) -> bool:
        """Whether the snapshot's rows lack settings that are in the log before an offset."""
        return self.under_way is not None and self.under_way.told_offset < offset

    async def fetch(self, statement: Statement, *arguments: Any) -> list[Any]:
        """All rows of a statement whose first argument is the number `ws` of the workspace's rows; `arguments` are the others."""
        return await self.connection.fetch(statement, self.ws, *arguments)

    async def fetchrow(self, statement: Statement, *arguments: Any) -> Any:
        """As `fetch`, the first row alone; None if there is none."""
        return await self.connection.fetchrow(statement, self.ws, *arguments)

    def fetched_in_parts(self, statement: Statement, rows_max: int, *arguments: Any) -> AsyncIterator[list[Any]]:
        """As `fetch`, so many rows at a time."""
        return self.connection.fetched_in_parts(statement, rows_max, self.ws, *arguments)


@asynccontextmanager
async def snapshot(
    pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, generation: str | None = None
) -> AsyncIterator[Snapshot]:
    """As `snapshot_on`, on a connection of a pool, which is waited for without a bound: for commands."""
    async with pool.acquire() as raw, snapshot_on(raw, workspace, generation) as opened:
        yield opened


@asynccontextmanager
async def snapshot_on(
    raw: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", workspace: str, generation: str | None = None
) -> AsyncIterator[Snapshot]:
    """Open a snapshot of a workspace on a connection, in the live generation or the one that is named.

    It is a transaction that only reads; it ends when the context does. Raises `NoGeneration` or `WrongShape` where nothing can
    be read, and `NotFound` if no generation has that name.
    """
    async with raw.transaction(isolation="repeatable_read", readonly=True):
        yield await snapshot_within(raw, workspace, await _generation(raw, workspace, generation))


async def snapshot_within(raw: Any, workspace: str, generation: Generation) -> Snapshot:
    """A workspace in a generation, as the transaction sees it that the connection is in."""
    connection = Connection(raw, generation.name)
    partition = partition_of(workspace, generation.partitions)
    offset = await connection.fetchval(PROGRESS, partition) or 0
    ws, times, events_until, made_at = await connection.fetchrow(WORKSPACE, workspace) or (0, 0, 0, "")
    body = await connection.fetchval(SETTINGS, ws)
    settings = msgspec.convert(body, Settings) if body else Settings()
    under_way = await connection.fetchrow(UNDER_WAY, ws)
    return Snapshot(
        connection, workspace, ws, Position(partition, offset), settings, times,
        None if under_way is None else SettingsUnderWay(*under_way), events_until, made_at or "",
    )  # fmt: skip


async def another_generation(snapshot: Snapshot, name: str) -> Snapshot:
    """The snapshot's workspace in the generation of that name, as the same transaction sees it. Raises `NotFound` or `WrongShape`."""
    raw = snapshot.connection.raw
    return await snapshot_within(raw, snapshot.workspace, await _generation(raw, snapshot.workspace, name))


async def _generation(connection: Any, workspace: str, name: str | None) -> Generation:
    if name is None:
        return await live_generation(connection)
    try:
        return await named_generation(connection, name, workspace)
    except NoGeneration as error:
        raise NotFound("generation", name) from error


async def live_generation_name(pool: "asyncpg.Pool[asyncpg.Record]") -> str:
    """The name of the live generation. Raises `NoGeneration` or `WrongShape`."""
    return (await live_generation(pool)).name
