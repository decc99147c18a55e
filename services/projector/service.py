"""The projector service: one worker for each partition of this process, and a measure of how far behind the log they are.

Where more than one generation is followed (one that has just become live, and the one before it), a partition has a worker
for each of them, and each worker has its own reader of the log.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Never

import asyncpg
import structlog

from services.projector import metrics
from services.projector.worker import Worker
from shared.database import AWAY, error_text
from shared.log.port import Assignment, EventLog, LogUnavailable

LAG_EVERY_S = 5.0
FOLLOWED_EVERY_S = 1.0
TIDY_EVERY_S = 30.0

Passed = Callable[[int, int], None]
Place = tuple[str, int]
"""A generation, and a partition."""

logger = structlog.stdlib.get_logger("touchline.projector")


class Projectors:
    """Projects the partitions that `assignment` gives to this process, into every followed generation.

    `followed` returns the generations' names, and for each whether it is live; `make` makes the worker for a partition of a
    generation.
    """

    def __init__(
        self, log: EventLog, assignment: Assignment, followed: Callable[[], Awaitable[Mapping[str, bool]]],
        make: Callable[[EventLog, str, int, Passed], Worker], tidy: Callable[[], Awaitable[object]],
    ) -> None:  # fmt: skip
        """`tidy` is called every `TIDY_EVERY_S`: it drops expired generations, adds table partitions before they are needed, and
        removes forgotten contacts from files.
        """
        self._log, self._assignment, self._followed, self.make = log, assignment, followed, make
        self._tidy_up = tidy
        self._held: set[int] = set()
        self._generations: dict[str, bool] = {}
        self._readers: dict[str, EventLog] = {}
        self._tasks: dict[Place, asyncio.Task[Never]] = {}
        self._failed: asyncio.Future[Never] | None = None
        self.workers: dict[Place, Worker] = {}

    async def run(self) -> None:
        """Project until cancelled. Raises the first error that stops a worker, such as `LogDamaged`."""
        self._failed = asyncio.get_running_loop().create_future()
        tasks: list[asyncio.Future[Any]] = [
            asyncio.create_task(self._follow()),
            asyncio.create_task(self._assignment.run(self._begin, self._end)),
            asyncio.create_task(self._watch()),
            asyncio.create_task(self._tidy()),
        ]
        try:
            done, _ = await asyncio.wait([self._failed, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                if ended.cancelled():
                    raise RuntimeError("a task of the projector was cancelled, but not by the projector")
                ended.result()
        finally:
            self._failed.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._stop(list(self._tasks))
            await asyncio.gather(*(reader.close() for reader in self._readers.values()))
            self._readers.clear()

    async def _follow(self) -> Never:
        """Start workers for generations that are followed, and stop those of generations that are no longer followed."""
        while True:
            try:
                self._generations = dict(await self._followed())
            except AWAY as error:
                logger.warning("the followed generations could not be read; it is tried again", error=error_text(error))
            else:
                await self._stop([place for place in self._tasks if place[0] not in self._generations])
                for partition in self._held:
                    self._start(partition)
            await asyncio.sleep(FOLLOWED_EVERY_S)

    def _begin(self, partition: int) -> None:
        self._held.add(partition)
        self._start(partition)

    async def _end(self, partitions: Sequence[int]) -> None:
        """Stop the workers of these partitions, and wait until they have ended."""
        self._held.difference_update(partitions)
        await self._stop([place for place in self._tasks if place[1] in partitions])

    def _start(self, partition: int) -> None:
        """Start a worker of this partition for every followed generation that has none."""
        for generation in self._generations:
            place = generation, partition
            if place in self._tasks:
                continue
            if generation not in self._readers:
                self._readers[generation] = self._log.another()

            def passed(partition: int, offset: int, generation: str = generation) -> None:
                if self._generations.get(generation):
                    self._assignment.passed(partition, offset)

            worker = self.workers[place] = self.make(self._readers[generation], generation, partition, passed)
            task = self._tasks[place] = asyncio.create_task(worker.run(), name=f"{generation}, partition {partition}")
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Never]") -> None:
        if not task.cancelled() and (error := task.exception()) and self._failed and not self._failed.done():
            self._failed.set_exception(error)

    async def _stop(self, places: Sequence[Place]) -> None:
        tasks = [self._tasks.pop(place) for place in places]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for generation, partition in places:
            self.workers.pop((generation, partition))
            for gauge in (metrics.LAG_EVENTS, metrics.LAG_SECONDS):
                gauge.remove(partition, generation)
        await asyncio.gather(*(self._readers[generation].leave(partition) for generation, partition in places))

    async def _watch(self) -> Never:
        """Update the lag metrics of every partition, every `LAG_EVERY_S`."""
        while True:
            for place, worker in list(self.workers.items()):
                await self._report_lag(place, worker)
            await asyncio.sleep(LAG_EVERY_S)

    async def _tidy(self) -> Never:
        """Call `tidy` every `TIDY_EVERY_S`; after an error, the next call tries again."""
        while True:
            try:
                await self._tidy_up()
            except (asyncpg.PostgresError, *AWAY) as error:
                logger.warning("tidying the store failed; it is tried again", error=error_text(error))
            await asyncio.sleep(TIDY_EVERY_S)

    async def _report_lag(self, place: Place, worker: Worker) -> None:
        generation, partition = place
        if worker.offset is None:
            return
        try:
            end = await self._log.end(partition)
        except LogUnavailable as error:
            logger.warning("the lag of a partition could not be measured", partition=partition, error=error_text(error))
            return
        since_us = worker.waiting_since_us
        if self.workers.get(place) is worker:
            lag_s = 0 if since_us is None else max(0, time.time() - since_us / 1e6)
            metrics.LAG_EVENTS.labels(partition, generation).set(max(0, end - worker.offset))
            metrics.LAG_SECONDS.labels(partition, generation).set(lag_s)

    async def check(self) -> dict[str, int]:
        """For `/readyz`: the live generation's lag in events, by partition. Raises `LogUnavailable` before all are known."""
        live = {partition: w for (name, partition), w in self.workers.items() if self._generations.get(name)}
        unknown = sorted(
            partition for partition in self._held if partition not in live or live[partition].offset is None
        )
        if unknown:
            raise LogUnavailable(f"the lag of partitions {unknown} is not known yet")
        return {
            str(partition): max(0, await self._log.end(partition) - (worker.offset or 0))
            for partition, worker in sorted(live.items())
        }
