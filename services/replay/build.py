"""How is a generation built beside the live one? From offset 0 of the log: in bulk as far as possible, then batch by batch."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import structlog

from services.replay.bulk import Bulk, forget_spill, is_empty
from services.replay.worker_pool import Opener, WorkerLost, WorkerPool, alone, processes
from shared.database import AWAY, error_text
from shared.errors import ExpectedError
from shared.log.port import EventLog, LogDamaged
from shared.projection.bulk.spill import SpillLost
from shared.projection.bulk.split import ALL, Selection, within
from shared.projection.generations import Generation, create_generation, drop_generation
from shared.projection.poison import NOT_ITS_FAULT, project_or_dead_letter
from shared.projection.projector import Projector
from shared.projection.sql import Connection
from shared.rules.association import SOCIAL_POSTS_MAX

BATCH_EVENTS_MAX = 10_000
ALONE_EVENTS_MAX = 100_000  # fewer are projected faster in this process than other processes start
REPORT_EVERY_S = 1.0  # how often the progress of a build is recorded; a shorter build records none
SET_PROGRESS = (
    "UPDATE touchline.generation SET events_built = $2, events_to_build = $3, built_at = now() WHERE name = $1"
)
UNLOCK = "SELECT pg_advisory_unlock(hashtext('touchline.scratch'), hashtext($1))"
LOCK = "SELECT pg_try_advisory_lock(hashtext('touchline.scratch'), hashtext($1))"
ABANDONED = """
SELECT name FROM touchline.generation WHERE ready_at IS NULL AND name <> $1 AND name !~ '^g\\d+$'
"""  # left by builders that were killed, unless their locks are held; a rebuild continues its own

GONE_ON_WITH: tuple[type[Exception], ...] = (WorkerLost, *NOT_ITS_FAULT)
"""The errors that stop a build; the next run continues it."""

logger = structlog.stdlib.get_logger("touchline.replay")


class Busy(ExpectedError):
    """Another rebuild or rollback is running, or a generation of this name is being built."""


@asynccontextmanager
async def scratch(
    pool: "asyncpg.Pool[asyncpg.Record]", kind: str, number: str, of: Generation
) -> AsyncIterator[Generation]:
    """A temporary, empty generation, dropped at the end. Also drops others of its kind whose builder was killed."""
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
    """Create an empty generation; a lock on its connection shows that its builder runs. Drops generations whose builder was killed."""
    async with pool.acquire() as connection:
        if not await connection.fetchval(LOCK, generation.name):
            raise Busy(f"{generation.name} is being built")
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
    """Remove a generation, and the files that a stopped build of it has left."""
    await forget_spill(Connection(connection, name))
    await drop_generation(connection, name)


async def ends_of(log: EventLog) -> dict[int, int]:
    """The end of every partition of a log: the offset that its next event will get."""
    return {partition: await log.end(partition) for partition in range(log.partitions)}


@dataclass(frozen=True)
class Resources:
    """What a build needs: connections, the log, how worker processes open both (None: no worker processes), and their number."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    log: EventLog
    opener: Opener | None = None
    processes: int = 1


@dataclass
class Build:
    """Projects a log into a generation up to given offsets; `run` again continues from there.

    It writes only the generation: the live projection stores the dead letters.
    """

    resources: Resources
    generation: Generation
    advance: Callable[[int], None]
    selection: Selection = ALL
    social_posts_max: int = SOCIAL_POSTS_MAX
    _begun: set[int] = field(default_factory=set)
    _events: int = 0
    """How many events are projected."""

    async def run(self, upto: Mapping[int, int]) -> None:
        """Project every partition from its current offset up to the given one (exclusive). Raises `LogDamaged`."""
        async with self._reporting(sum(upto.values())), self.resources.pool.acquire() as raw:
            await raw.execute(
                "SET synchronous_commit = off"
            )  # rows that are lost when the machine fails are built again
            connection = Connection(raw, self.generation.name)
            if any(upto.values()) and await is_empty(connection):
                await self._at_once(connection, upto)
            for partition, end in upto.items():
                await self._partition(connection, partition, end)

    def _advance(self, events: int) -> None:
        self._events += events
        self.advance(events)

    @asynccontextmanager
    async def _reporting(self, to_build: int) -> AsyncIterator[None]:
        """Write into the generation's row how far the build is, every `REPORT_EVERY_S` seconds."""

        async def report() -> None:
            while True:
                await asyncio.sleep(REPORT_EVERY_S)
                try:
                    await self.resources.pool.execute(SET_PROGRESS, self.generation.name, self._events, to_build)
                except (asyncpg.PostgresError, *AWAY) as error:
                    logger.warning("the progress of the build could not be recorded", error=error_text(error))

        task = asyncio.create_task(report())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _at_once(self, connection: Connection, upto: Mapping[int, int]) -> None:
        """The bulk path. Where it fails, the other path goes on, which stores a bad event as a dead letter."""
        done = 0

        def advance(events: int) -> None:
            nonlocal done
            done += events
            self._advance(events)

        try:
            async with self._pool_of_workers(sum(upto.values())) as worker_pool:
                bulk = Bulk(connection, self.resources.log, worker_pool, advance, self.selection, self.social_posts_max)
                await bulk.run(upto)
        except GONE_ON_WITH:
            raise
        except Exception as error:
            await self._empty(connection)
            self._advance(-done)
            if isinstance(error, SpillLost):
                logger.warning("the files of an earlier run are gone; the log is read again", error=str(error))
                await self._at_once(connection, upto)
            else:
                logger.exception("the bulk projection failed; the log is projected batch by batch")
        else:
            self._begun |= set(upto)

    def _pool_of_workers(self, events: int) -> AbstractAsyncContextManager[WorkerPool]:
        resources = self.resources
        if resources.opener is None or events <= ALONE_EVENTS_MAX:
            return alone(resources.pool, resources.log, self.generation.name)
        return processes(resources.opener, self.generation.name, resources.processes)

    async def _empty(self, connection: Connection) -> None:
        """Empty the generation, to begin again."""
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
            self._advance(projector.offset)  # the events that an earlier run has projected
        while projector.offset < end:
            entries = await log.read(partition, projector.offset, min(BATCH_EVENTS_MAX, end - projector.offset))
            if not entries:
                raise LogDamaged(
                    f"partition {partition} ends at offset {projector.offset}, but the live projection is at offset {end}"
                )
            async with within(connection, self.selection.snapshot):
                batch = await self.selection.chosen(connection, entries)
            await project_or_dead_letter(connection, projector, batch, self.selection.batch)
            self._advance(len(entries))
        await log.leave(partition)
