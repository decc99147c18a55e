"""How is the store read? All statements of one read see one workspace in one generation, as it was at one position of the log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from shared.log.port import Position, partition_of
from shared.projection.generations import Generation, NoGeneration, live_generation, named_generation
from shared.projection.sql import Connection, Statement, sql
from shared.rules.settings import Settings

PROGRESS = sql("SELECT next_offset FROM {g}.progress WHERE partition = $1")
WORKSPACE = "SELECT number FROM touchline.workspace WHERE workspace_id = $1"
SETTINGS = sql("SELECT body FROM {g}.settings WHERE ws = $1")


class NotFound(LookupError):
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
    """The number of the workspace in the tables; 0 if there is no such workspace."""
    as_of: Position
    settings: Settings

    @property
    def generation(self) -> str:
        """The name of the generation."""
        return self.connection.generation

    @property
    def zone(self) -> ZoneInfo:
        """The workspace's time zone."""
        return ZoneInfo(self.settings.time_zone)

    async def fetch(self, statement: Statement, *arguments: Any) -> list[Any]:
        """All rows of a statement whose first argument is the workspace's number; `arguments` are the others."""
        return await self.connection.fetch(statement, self.ws, *arguments)

    async def fetchrow(self, statement: Statement, *arguments: Any) -> Any:
        """As `fetch`, the first row alone; None if there is none."""
        return await self.connection.fetchrow(statement, self.ws, *arguments)


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
        found = await _generation(raw, workspace, generation)
        connection = Connection(raw, found.name)
        partition = partition_of(workspace, found.partitions)
        offset = await connection.fetchval(PROGRESS, partition) or 0
        ws = await raw.fetchval(WORKSPACE, workspace) or 0
        body = await connection.fetchval(SETTINGS, ws)
        settings = msgspec.convert(body, Settings) if body else Settings()
        yield Snapshot(connection, workspace, ws, Position(partition, offset), settings)


async def _generation(connection: Any, workspace: str, name: str | None) -> Generation:
    if name is None:
        return await live_generation(connection)
    try:
        return await named_generation(connection, name, workspace)
    except NoGeneration as error:
        raise NotFound("generation", name) from error
