"""Beside the live projection of a partition: rows that are made anew for changed settings, and what they cost the others."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Never

import asyncpg
import structlog

from services.projector import metrics
from shared.database import error_text
from shared.log.port import EventLog
from shared.projection.poison import PASSING
from shared.projection.projector import Projector
from shared.projection.reprojector import Reprojector
from shared.projection.sql import Connection

AT_ONCE_MAX = (
    2  # partitions of a process that do this at a time: each takes a connection, and its share of the processor
)
AGAIN_S = 30.0  # after an error that does not pass by itself; live events go on meanwhile

logger = structlog.stdlib.get_logger("touchline.projector")


@dataclass
class _Told:
    """Tells `/metrics` which workspace's rows are being made anew, and how far they are."""

    generation: str
    _workspace: str | None = None

    def tell(self, row: Any) -> None:
        """Tell what a row of `reprojection` says; None: there is none."""
        workspace = None if row is None else row["workspace_id"]
        if self._workspace not in (None, workspace):
            for gauge in (
                metrics.REPROJECTION_EVENTS_DONE, metrics.REPROJECTION_EVENTS_TO_DO, metrics.REPROJECTION_STARTED,
            ):  # fmt: skip
                gauge.remove(self._workspace, self.generation)
        self._workspace = workspace
        if row is not None:
            metrics.REPROJECTION_EVENTS_DONE.labels(workspace, self.generation).set(row["events_done"])
            metrics.REPROJECTION_EVENTS_TO_DO.labels(workspace, self.generation).set(row["events_to_do"] or 0)
            metrics.REPROJECTION_STARTED.labels(workspace, self.generation).set(row["started_us"] / 1e6)


@dataclass
class Reprojecting:
    """Does a `Reprojector`'s steps, whenever there are some, until it is cancelled. Raises one of `PASSING`.

    `turn` is held by whoever drives `live`, for each of its batches; `at_once` is shared by the partitions of a process. The
    log is read by a reader of its own.
    """

    pool: "asyncpg.Pool[asyncpg.Record]"
    generation: str
    log: EventLog
    live: Projector
    turn: asyncio.Lock
    at_once: AbstractAsyncContextManager[object]

    async def run(self) -> Never:
        """Begin with what a projector that was killed has left."""
        while True:
            self.live.noted.clear()
            try:
                async with self.at_once:
                    await self._do_all()
            except PASSING:
                raise
            except Exception as error:
                logger.exception("rows cannot be made anew now", partition=self.live.partition, error=error_text(error))
                metrics.RETRIES.labels("reprojection").inc()
                await asyncio.sleep(AGAIN_S)
            else:
                await self.live.noted.wait()

    async def _do_all(self) -> None:
        log = self.log.another()
        told = _Told(self.generation)
        try:
            reprojector = Reprojector(log, self.live, self.turn)
            while await self._step(reprojector):
                told.tell(reprojector.under_way)
                async with self.turn:  # a live batch that is under way is waited for, rather than slowed down
                    pass
        finally:
            told.tell(None)
            await log.leave(self.live.partition)
            if log is not self.log:
                await log.close()

    async def _step(self, reprojector: Reprojector) -> bool:
        async with Connection.of(self.pool, self.generation) as connection:
            return await reprojector.step(connection)
