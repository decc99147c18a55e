"""The worker of one partition: read events from the log, project them, and go on."""

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
from services.projector.digest_updates import DigestUpdates
from services.projector.reprojecting import Reprojecting
from shared.database import error_text
from shared.log.port import EventLog, LogDamaged, LogUnavailable
from shared.projection.batch import Batch, decode
from shared.projection.digest_updater import DigestUpdater
from shared.projection.poison import GONE, PASSING, ROLLED_BACK, project_or_dead_letter
from shared.projection.projector import Fenced, Projector
from shared.projection.reprojection import IN_BATCH, Limits
from shared.projection.sql import Connection
from shared.rules.association import SOCIAL_POSTS_MAX

BATCH_EVENTS_MAX = 10_000  # in one transaction: larger batches cost less an event; this many take under a second
IDLE_WAIT_S = 10.0  # the log wakes a waiting worker; should that fail, it reads again after so long
BACKOFF_S = (0.1, 0.3, 1.0, 3.0)  # pauses after consecutive failures; the last one repeats
BEHIND_S = 1.0  # the age of the oldest event that is not projected from which digests are not updated
WELL_AGAIN_S = 60.0  # after working without failure for so long, the next failure counts as the first

logger = structlog.stdlib.get_logger("touchline.projector")


@dataclass
class Worker:
    """Projects one partition until it is cancelled. Raises `LogDamaged`.

    It holds a connection of `pool` only during a batch, so that many partitions share few connections.
    """

    pool: "asyncpg.Pool[asyncpg.Record]"
    log: EventLog
    generation: str
    partition: int
    passed: Callable[[int, int], None]
    batch_events_max: int = BATCH_EVENTS_MAX
    social_posts_max: int = SOCIAL_POSTS_MAX
    offset: int | None = None
    """The offset before which all events are projected; None before it is known."""
    waiting_since_us: int | None = None
    """When the first event of the current batch was received, in µs; None while there is no batch."""
    reprojecting: AbstractAsyncContextManager[object] = field(default_factory=lambda: asyncio.Semaphore(1))
    """Held while a workspace is reprojected beside the live projection; the workers of a process share it."""
    limits: Limits = IN_BATCH
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _projected: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set after each batch."""
    _began_s: float = 0.0
    """When the worker last began to project, after its last pause, in seconds of the monotonic clock."""

    async def run(self) -> Never:
        """Project until cancelled. It waits while the log or database is unreachable; it takes a partition back that another took.

        It runs only while the partition is assigned to this process, so a process that took the partition has not noticed yet
        that it lost it.
        """
        again = AsyncRetrying(
            retry=retry_if_exception_type(PASSING), wait=wait_chain(*map(wait_fixed, BACKOFF_S)), after=self._failed,
            before_sleep=self._pauses, reraise=True,
        )  # fmt: skip
        await again(self._follow)
        raise AssertionError("a worker never ends by itself")

    def _failed(self, state: RetryCallState) -> None:
        """Count a failure as the first one if the worker worked for `WELL_AGAIN_S` before it."""
        if time.monotonic() - self._began_s > WELL_AGAIN_S:
            state.attempt_number = 1

    def _pauses(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        error = state.outcome.exception()
        assert isinstance(error, Exception)
        why = _why(error)
        metrics.RETRIES.labels(why).inc()
        logger.warning(
            "projection failed; it is tried again", why=why, error=error_text(error), partition=self.partition,
            again_in_s=state.upcoming_sleep,
        )  # fmt: skip

    async def _follow(self) -> Never:
        """Project new events, and reproject workspaces and update digests beside it; an error of one stops the others too."""
        self._began_s = time.monotonic()
        projector = Projector(self.log, self.partition, social_posts_max=self.social_posts_max, limits=self.limits)
        async with self._connection() as connection:
            await projector.take(connection)
        self._now_at(projector.offset)
        if projector.offset > (end := await self.log.end(self.partition)):
            raise LogDamaged(f"partition {self.partition} ends at {end}, but {projector.offset} was projected already")
        beside = Reprojecting(
            self.pool, self.generation, self.log, projector, self._turn, self.reprojecting, self._projected
        )
        digest_updates = DigestUpdates(
            self.pool,
            self.generation,
            DigestUpdater(self.partition, self.log.partitions),
            self._turn,
            self._projected,
            self._is_behind,
        )
        tasks = [asyncio.create_task(run) for run in (self._project_all(projector), beside.run(), digest_updates.run())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
            raise AssertionError("none of the tasks ends by itself")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _project_all(self, projector: Projector) -> Never:
        """Project batch after batch; the next one is read and decoded while the database works on the current one."""
        batch = await self._next(projector.offset)
        while True:
            self.waiting_since_us = batch.received_from_us
            upcoming = asyncio.create_task(self._next(batch.entries[-1].offset + 1))
            try:
                await self._project(projector, batch)
                batch = await upcoming
            finally:
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)  # two reads must not overlap

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
        self._projected.set()
        self._now_at(projector.offset)

    def _is_behind(self) -> bool:
        return self.waiting_since_us is not None and time.time() - self.waiting_since_us / 1e6 > BEHIND_S

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
