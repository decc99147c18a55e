"""The projector service: take what the log holds, project it, and go on."""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Never

import asyncpg

from shared.log.port import EventLog
from shared.projection.project import Batch, Fenced, Projector, bury, decode
from shared.projection.sql import Connection

BATCH_EVENTS_MAX = 10_000  # in one transaction: the larger, the cheaper an event; this many still take under a second
IDLE_WAIT_S = 1.0
BACKOFF_S = (0.1, 0.3, 1.0, 3.0, 10.0)
WELL_AGAIN_S = 60.0  # having worked this long, the next failure is a first one

AWAY = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.OperatorInterventionError)

logger = logging.getLogger("touchline.projector")


@dataclass
class Worker:
    """Drives the projection of one partition until it is cancelled or fenced off."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    log: EventLog
    generation: str
    partition: int
    batch_events_max: int = BATCH_EVENTS_MAX

    async def run(self) -> None:
        """Project for ever; a database that is away is waited for, another owner is yielded to."""
        failures = 0
        while True:
            began_s = time.monotonic()
            try:
                async with self.pool.acquire() as raw:
                    await raw.execute("SET synchronous_commit = off")  # the offset is in the same transaction
                    connection = Connection(raw, self.generation)
                    projector = Projector(self.log, self.partition)
                    await projector.take(connection)
                    await self._follow(connection, projector)
            except Fenced as error:
                logger.warning("stopping: %s", error)
                return
            except AWAY as error:
                if time.monotonic() - began_s > WELL_AGAIN_S:
                    failures = 0
                pause_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                failures += 1
                logger.warning("the database is away (%s); trying again in %s s", error, pause_s)
                await asyncio.sleep(pause_s)

    async def _follow(self, connection: Connection, projector: Projector) -> Never:
        """Project batch after batch; the next one is read and decoded while the database works on the present one."""
        batch = await self._next(projector.offset)
        while True:
            upcoming = asyncio.create_task(self._next(batch.entries[-1].offset + 1))
            try:
                await project_or_bury(connection, projector, batch)
                batch = await upcoming
            finally:
                upcoming.cancel()

    async def _next(self, offset: int) -> Batch:
        while not (entries := await self.log.read(self.partition, offset, self.batch_events_max)):
            await self.log.wait(self.partition, offset, IDLE_WAIT_S)
        return decode(entries)


async def project_or_bury(connection: Connection, projector: Projector, batch: Batch) -> None:
    """Project a batch; one that fails is halved until the event that it fails on stands alone and is kept aside."""
    try:
        await projector.project(connection, batch)
    except (Fenced, *AWAY):
        raise
    except Exception as error:
        entries = batch.entries
        if len(entries) > 1:
            half = len(entries) // 2
            await project_or_bury(connection, projector, decode(entries[:half]))
            await project_or_bury(connection, projector, decode(entries[half:]))
            return
        logger.exception("an event cannot be projected and is kept as a dead letter")
        await bury(connection, projector, entries[0], f"{type(error).__name__}: {error}")
