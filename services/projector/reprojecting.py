"""How are a workspace's rows projected again after a changed setting, while the live projection of its partition goes on?"""

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

AT_ONCE_MAX = 2  # partitions of a process that are reprojected at a time: each takes a connection and processor time
AGAIN_S = 30.0  # pause after an error that does not pass by itself; the live projection goes on meanwhile

logger = structlog.stdlib.get_logger("touchline.projector")


@dataclass
class _Progress:
    """Shows in `/metrics` which workspace is being reprojected, and how far."""

    generation: str
    _workspace: str | None = None

    def show(self, row: Any) -> None:
        """Set the gauges from a row of `reprojection`; None removes them."""
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
    """Runs the steps of a `Reprojector`, whenever there are some, until it is cancelled. Raises one of `PASSING`.

    The worker that drives `live` holds `turn` during each of its batches; the partitions of a process share `at_once`. The
    log is read with a reader of its own.
    """

    pool: "asyncpg.Pool[asyncpg.Record]"
    generation: str
    log: EventLog
    live: Projector
    turn: asyncio.Lock
    at_once: AbstractAsyncContextManager[object]
    projected: asyncio.Event
    """Is set when all is done: the new rows' digests are to be put in order, as after a batch."""

    async def run(self) -> Never:
        """Run all steps, first those that a killed projector left unfinished; then wait for the next changed setting."""
        while True:
            self.live.noted.clear()
            try:
                async with self.at_once:
                    await self._do_all()
            except PASSING:
                raise
            except Exception as error:
                logger.exception(
                    "reprojection failed; it is tried again", partition=self.live.partition, error=error_text(error)
                )
                metrics.RETRIES.labels("reprojection").inc()
                await asyncio.sleep(AGAIN_S)
            else:
                await self.live.noted.wait()

    async def _do_all(self) -> None:
        log = self.log.another()
        progress = _Progress(self.generation)
        try:
            reprojector = Reprojector(log, self.live, self.turn)
            while await self._step(reprojector):
                progress.show(reprojector.under_way)
                async with self.turn:  # wait for a running live batch, so that it is not slowed down
                    pass
            self.projected.set()
        finally:
            progress.show(None)
            await log.leave(self.live.partition)
            if log is not self.log:
                await log.close()

    async def _step(self, reprojector: Reprojector) -> bool:
        async with Connection.of(self.pool, self.generation) as connection:
            return await reprojector.step(connection)
