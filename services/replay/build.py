"""How is a generation made beside the live one? From the log, offset 0 on: at once as far as it may, then batch by batch."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import structlog

from services.replay.bulk import Bulk, forget_spill, is_empty
from services.replay.worker_pool import Opener, WorkerLost, WorkerPool, alone, processes
from shared.log.port import EventLog, LogDamaged
from shared.projection.bulk.spill import SpillLost
from shared.projection.bulk.split import ALL, Selection, within
from shared.projection.generations import Generation, create_generation, drop_generation
from shared.projection.poison import NOT_ITS_FAULT, project_or_dead_letter
from shared.projection.projector import Projector
from shared.projection.sql import Connection
from shared.rules.association import SOCIAL_POSTS_MAX

BATCH_EVENTS_MAX = 10_000
ALONE_EVENTS_MAX = 100_000  # fewer are projected sooner than other processes have begun
UNLOCK = "SELECT pg_advisory_unlock(hashtext('touchline.scratch'), hashtext($1))"
LOCK = "SELECT pg_try_advisory_lock(hashtext('touchline.scratch'), hashtext($1))"
ABANDONED = """
SELECT name FROM touchline.generation WHERE ready_at IS NULL AND name <> $1 AND name !~ '^g\\d+$'
"""  # of makers that were killed, unless their locks say otherwise; a rebuild's is gone on with

GONE_ON_WITH: tuple[type[Exception], ...] = (WorkerLost, *NOT_ITS_FAULT)
"""What ends a build, which the next run goes on with."""

logger = structlog.stdlib.get_logger("touchline.replay")


class Busy(Exception):
    """Somebody else is at it: a rebuild or a rollback, or a generation of this name is being made."""


@asynccontextmanager
async def scratch(
    pool: "asyncpg.Pool[asyncpg.Record]", kind: str, number: str, of: Generation
) -> AsyncIterator[Generation]:
    """An empty generation for the while, dropped at the end; so are those of its kind whose maker was killed."""
    generation = Generation(f"{kind}_{number}", of.log, of.partitions)
    async with begin_scratch(pool, generation) as connection:
        try:
            yield generation
        finally:
            await drop_scratch(connection, generation.name)


@asynccontextmanager
async def begin_scratch(
    pool: "asyncpg.Pool[asyncpg.Record]", generation: Generation
) -> "AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]":
    """Make an empty generation, whose connection tells others that its maker lives; drop those of makers that do not."""
    async with pool.acquire() as connection:
        if not await connection.fetchval(LOCK, generation.name):
            raise Busy(f"{generation.name} is being made")
        try:
            for row in await connection.fetch(ABANDONED, generation.name):
                if await connection.fetchval(LOCK, row["name"]):
                    await drop_scratch(connection, row["name"])
                    await connection.execute(UNLOCK, row["name"])
            await drop_scratch(connection, generation.name)
            async with connection.transaction():
                await create_generation(connection, generation, live=False)
            yield connection
        finally:
            await connection.execute(UNLOCK, generation.name)


async def drop_scratch(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", name: str) -> None:
    """Remove a generation, and what a stopped build of it has left in files."""
    await forget_spill(Connection(connection, name))
    await drop_generation(connection, name)


async def ends_of(log: EventLog) -> dict[int, int]:
    """Where every partition of a log ends: the offset that its next event will get."""
    return {partition: await log.end(partition) for partition in range(log.partitions)}


@dataclass(frozen=True)
class Resources:
    """What builds: connections, the log, and how other processes reach both (None: there are none) and how many they are."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    log: EventLog
    opener: Opener | None = None
    processes: int = 1


@dataclass
class Build:
    """Projects a log into a generation up to given offsets, and goes on from there.

    It writes the generation and nothing else: dead letters are the live projection's to keep.
    """

    resources: Resources
    generation: Generation
    advance: Callable[[int], None]
    selection: Selection = ALL
    social_posts_max: int = SOCIAL_POSTS_MAX
    _begun: set[int] = field(default_factory=set)

    async def run(self, upto: Mapping[int, int]) -> None:
        """Project every partition from where it stands up to its offset (exclusive). Raises `LogDamaged`."""
        async with self.resources.pool.acquire() as raw:
            await raw.execute("SET synchronous_commit = off")  # what is lost with the machine is made again
            connection = Connection(raw, self.generation.name)
            if any(upto.values()) and await is_empty(connection):
                await self._at_once(connection, upto)
            for partition, end in upto.items():
                await self._partition(connection, partition, end)

    async def _at_once(self, connection: Connection, upto: Mapping[int, int]) -> None:
        """The bulk path. What it cannot take is left to the other, which keeps a bad event aside."""
        done = 0

        def advance(events: int) -> None:
            nonlocal done
            done += events
            self.advance(events)

        try:
            async with self._pool_of_workers(sum(upto.values())) as worker_pool:
                bulk = Bulk(connection, self.resources.log, worker_pool, advance, self.selection, self.social_posts_max)
                await bulk.run(upto)
        except GONE_ON_WITH:
            raise
        except Exception as error:
            await self._empty(connection)
            self.advance(-done)
            if isinstance(error, SpillLost):
                logger.warning("what was read before is gone; it is read again", error=str(error))
                await self._at_once(connection, upto)
            else:
                logger.exception("the history cannot be projected at once; it is projected batch by batch")
        else:
            self._begun |= set(upto)

    def _pool_of_workers(self, events: int) -> AbstractAsyncContextManager[WorkerPool]:
        resources = self.resources
        if resources.opener is None or events <= ALONE_EVENTS_MAX:
            return alone(resources.pool, resources.log, self.generation.name)
        return processes(resources.opener, self.generation.name, resources.processes)

    async def _empty(self, connection: Connection) -> None:
        """Begin the generation anew."""
        await forget_spill(connection)
        async with connection.raw.transaction():
            await drop_generation(connection.raw, self.generation.name)
            await create_generation(connection.raw, self.generation, live=False)

    async def _partition(self, connection: Connection, partition: int, end: int) -> None:
        log = self.resources.log
        projector = Projector(
            log, partition, social_posts_max=self.social_posts_max, keeps_dead_letters=False, limits=None
        )
        await projector.take(connection)
        if partition not in self._begun:
            self._begun.add(partition)
            self.advance(projector.offset)  # what an earlier run has built
        while projector.offset < end:
            entries = await log.read(partition, projector.offset, min(BATCH_EVENTS_MAX, end - projector.offset))
            if not entries:
                raise LogDamaged(f"partition {partition} ends at {projector.offset}; {end} was projected from it")
            async with within(connection, self.selection.snapshot):
                batch = await self.selection.chosen(connection, entries)
            await project_or_dead_letter(connection, projector, batch, self.selection.batch)
            self.advance(len(entries))
        await log.leave(partition)
