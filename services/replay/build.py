"""How is a generation made beside the live one? From the log, offset 0 on, by the very functions that project live."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from shared.log.port import EventLog, LogDamaged
from shared.projection.poison import project_or_bury
from shared.projection.project import Projector, decode
from shared.projection.sql import Connection
from shared.store.generations import Generation, create_generation, drop_generation

BATCH_EVENTS_MAX = 10_000
LOCK = "SELECT pg_try_advisory_lock(hashtext('touchline.scratch'), hashtext($1))"
SCRATCH = "SELECT name FROM touchline.generation WHERE NOT live AND name LIKE $1 || '%'"


@asynccontextmanager
async def scratch(
    pool: "asyncpg.Pool[asyncpg.Record]", kind: str, number: str, of: Generation
) -> AsyncIterator[Generation]:
    """An empty generation for the while, dropped at the end; so are those of its kind whose maker was killed."""
    generation = Generation(f"{kind}_{number}", of.log, of.partitions)
    async with pool.acquire() as connection:
        for row in await connection.fetch(SCRATCH, f"{kind}_"):
            if await connection.fetchval(LOCK, row["name"]):
                await drop_generation(connection, row["name"])
        await connection.fetchval(LOCK, generation.name)
        async with connection.transaction():
            await create_generation(connection, generation, live=False)
        try:
            yield generation
        finally:
            await drop_generation(connection, generation.name)


@dataclass
class Build:
    """Projects a log into a generation, partition by partition, up to given offsets.

    It writes the generation and nothing else: dead letters are the live projection's to keep.
    """

    pool: "asyncpg.Pool[asyncpg.Record]"
    log: EventLog
    generation: str
    advance: Callable[[int], None]
    _begun: set[int] = field(default_factory=set)

    async def run(self, upto: Mapping[int, int]) -> None:
        """Project every partition from where it stands up to its offset (exclusive). Raises `LogDamaged`."""
        async with self.pool.acquire() as raw:
            await raw.execute("SET synchronous_commit = off")  # what is lost with the machine is made again
            connection = Connection(raw, self.generation)
            for partition, end in upto.items():
                await self._partition(connection, partition, end)

    async def _partition(self, connection: Connection, partition: int, end: int) -> None:
        projector = Projector(self.log, partition, keeps_dead_letters=False)
        await projector.take(connection)
        if partition not in self._begun:
            self._begun.add(partition)
            self.advance(projector.offset)  # what an earlier run has built
        while projector.offset < end:
            entries = await self.log.read(partition, projector.offset, min(BATCH_EVENTS_MAX, end - projector.offset))
            if not entries:
                raise LogDamaged(f"partition {partition} ends at {projector.offset}; {end} was projected from it")
            await project_or_bury(connection, projector, decode(entries))
            self.advance(len(entries))
        await self.log.leave(partition)
