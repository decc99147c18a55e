"""The projector of one partition: take what the log holds, project it, and go on."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Never

import asyncpg
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_chain, wait_fixed

from services.projector import metrics
from services.projector.reprojecting import Reprojecting
from shared.database import error_text
from shared.log.port import EventLog, LogDamaged, LogUnavailable
from shared.projection.batch import Batch, decode
from shared.projection.poison import GONE, PASSING, ROLLED_BACK, project_or_dead_letter
from shared.projection.projector import Fenced, Projector
from shared.projection.reprojection import IN_BATCH, Limits
from shared.projection.sql import Connection
from shared.rules.association import SOCIAL_POSTS_MAX

BATCH_EVENTS_MAX = 10_000  # in one transaction: the larger, the cheaper an event; this many still take under a second
IDLE_WAIT_S = 10.0  # the log wakes who waits; should that fail, the next events are read after so long
BACKOFF_S = (0.1, 0.3, 1.0, 3.0)  # pauses after failures in a row; the last one again and again
WELL_AGAIN_S = 60.0  # having worked this long, the next failure is a first one

logger = structlog.stdlib.get_logger("touchline.projector")


@dataclass
class Worker:
    """Drives the projection of one partition until it is cancelled. Raises `LogDamaged`.

    A connection of `pool` is held for a batch, so that many partitions share few.
    """

    pool: "asyncpg.Pool[asyncpg.Record]"
    log: EventLog
    generation: str
    partition: int
    passed: Callable[[int, int], None]
    batch_events_max: int = BATCH_EVENTS_MAX
    social_posts_max: int = SOCIAL_POSTS_MAX
    offset: int | None = None
    """Up to where it is projected, None before it is known."""
    waiting_since_us: int | None = None
    """When the first event of the batch at hand was received; None while there is none."""
    reprojecting: AbstractAsyncContextManager[object] = field(default_factory=lambda: asyncio.Semaphore(1))
    """Held while a workspace's rows are made anew beside the live ones; the workers of a process share it."""
    limits: Limits = IN_BATCH
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _began_s: float = 0.0
    """When it began to work, after its last pause."""

    async def run(self) -> Never:
        """Project for ever. What is away is waited for; a partition that was taken is taken again after a pause.

        Whoever runs this was told that the partition is its own, so another owner is one that does not know yet.
        """
        again = AsyncRetrying(
            retry=retry_if_exception_type(PASSING), wait=wait_chain(*map(wait_fixed, BACKOFF_S)), after=self._failed,
            before_sleep=self._pauses, reraise=True,
        )  # fmt: skip
        await again(self._follow)
        raise AssertionError("a worker follows its log for ever")

    def _failed(self, state: RetryCallState) -> None:
        """Let a failure be a first one where all went well for long."""
        if time.monotonic() - self._began_s > WELL_AGAIN_S:
            state.attempt_number = 1

    def _pauses(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        error = state.outcome.exception()
        assert isinstance(error, Exception)
        why = _why(error)
        metrics.RETRIES.labels(why).inc()
        logger.warning(
            "projection pauses", why=why, error=error_text(error), partition=self.partition,
            again_in_s=state.upcoming_sleep,
        )  # fmt: skip

    async def _follow(self) -> Never:
        """Project live, and beside it what is to be made anew; what ends one ends the other."""
        self._began_s = time.monotonic()
        projector = Projector(self.log, self.partition, social_posts_max=self.social_posts_max, limits=self.limits)
        async with self._connection() as connection:
            await projector.take(connection)
        self._now_at(projector.offset)
        if projector.offset > (end := await self.log.end(self.partition)):
            raise LogDamaged(f"partition {self.partition} ends at {end}, but {projector.offset} was projected already")
        beside = Reprojecting(self.pool, self.generation, self.log, projector, self._turn, self.reprojecting)
        tasks = [asyncio.create_task(self._project_all(projector)), asyncio.create_task(beside.run())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
            raise AssertionError("neither ends by itself")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _project_all(self, projector: Projector) -> Never:
        """Project batch after batch; the next one is read and decoded while the database works on the present one."""
        batch = await self._next(projector.offset)
        while True:
            self.waiting_since_us = batch.received_from_us
            upcoming = asyncio.create_task(self._next(batch.entries[-1].offset + 1))
            try:
                await self._project(projector, batch)
                batch = await upcoming
            finally:
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)  # it reads what the next one will read

    async def _project(self, projector: Projector, batch: Batch) -> None:
        with metrics.BATCH_SECONDS.time():
            async with self._turn, self._connection() as connection:
                await project_or_dead_letter(connection, projector, batch)
        for reason, count in projector.kept.items():
            metrics.DEAD_LETTERS.labels(reason).inc(count)
        projector.kept.clear()
        metrics.BATCH_EVENTS.observe(len(batch.entries))
        metrics.EVENTS.labels(self.partition).inc(len(batch.entries))
        self.waiting_since_us = None
        self._now_at(projector.offset)

    def _now_at(self, offset: int) -> None:
        self.offset = offset
        self.passed(self.partition, offset)

    def _connection(self) -> AbstractAsyncContextManager[Connection]:
        return Connection.of(self.pool, self.generation)

    async def _next(self, offset: int) -> Batch:
        while not (entries := await self.log.read(self.partition, offset, self.batch_events_max)):
            await self.log.wait(self.partition, offset, IDLE_WAIT_S)
        return decode(entries)


def _why(error: Exception) -> str:
    match error:
        case Fenced():
            return "fenced"
        case LogUnavailable():
            return "log_unavailable"
        case _ if isinstance(error, GONE):
            return "generation_dropped"
        case _ if isinstance(error, ROLLED_BACK):
            return "rolled_back"
        case _:
            return "database_away"
