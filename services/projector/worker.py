"""The projector service: take what the log holds, project it, and go on."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from shared.log.port import Entry, EventLog
from shared.projection.project import Fenced, Projector, bury
from shared.projection.sql import Connection

BATCH_EVENTS_MAX = 5_000  # in one transaction: the larger, the cheaper an event; this many still take under a second
IDLE_WAIT_S = 1.0
BACKOFF_S = (0.1, 0.3, 1.0, 3.0, 10.0)

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
            try:
                async with self.pool.acquire() as raw:
                    await raw.execute("SET synchronous_commit = off")  # the offset is in the same transaction
                    connection = Connection(raw, self.generation)
                    projector = Projector(self.log, self.partition)
                    await projector.take(connection)
                    while True:
                        await self._step(connection, projector)
                        failures = 0
            except Fenced as error:
                logger.warning("stopping: %s", error)
                return
            except AWAY as error:
                pause_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                failures += 1
                logger.warning("the database is away (%s); trying again in %s s", error, pause_s)
                await asyncio.sleep(pause_s)

    async def _step(self, connection: Connection, projector: Projector) -> None:
        entries = await self.log.read(self.partition, projector.offset, self.batch_events_max)
        if not entries:
            await self.log.wait(self.partition, projector.offset, IDLE_WAIT_S)
            return
        await project_or_bury(connection, projector, entries)


async def project_or_bury(connection: Connection, projector: Projector, entries: Sequence[Entry]) -> None:
    """Project a batch; one that fails is halved until the event that it fails on stands alone and is kept aside."""
    try:
        await projector.project(connection, entries)
    except (Fenced, *AWAY):
        raise
    except Exception as error:
        if len(entries) > 1:
            half = len(entries) // 2
            await project_or_bury(connection, projector, entries[:half])
            await project_or_bury(connection, projector, entries[half:])
            return
        logger.exception("an event cannot be projected and is kept as a dead letter")
        await bury(connection, projector, entries[0], f"{type(error).__name__}: {error}")
