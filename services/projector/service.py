"""The projector service: a worker for each partition that is this process's, and how far behind they are."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Never

import structlog

from services.projector import metrics
from services.projector.worker import Worker
from shared.database import told
from shared.log.port import Assignment, EventLog, LogUnavailable

LAG_EVERY_S = 5.0

logger = structlog.stdlib.get_logger("touchline.projector")


class Projectors:
    """Projects the partitions that `assignment` gives to this process; `make` makes the worker of one."""

    def __init__(self, log: EventLog, assignment: Assignment, make: Callable[[int], Worker]) -> None:
        self._log, self._assignment, self._make = log, assignment, make
        self.workers: dict[int, Worker] = {}
        self._tasks: dict[int, asyncio.Task[Never]] = {}
        self._failed: asyncio.Future[Never] | None = None

    async def run(self) -> None:
        """Project until cancelled. Raises what a worker cannot go on from, such as `LogDamaged`."""
        self._failed = asyncio.get_running_loop().create_future()
        tasks: list[asyncio.Future[Any]] = [
            asyncio.create_task(self._assignment.run(self._begin, self._end)),
            asyncio.create_task(self._watch()),
        ]
        try:
            done, _ = await asyncio.wait([self._failed, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                if ended.cancelled():
                    raise RuntimeError("a projector's work was cancelled from within")
                ended.result()
        finally:
            self._failed.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._end(list(self._tasks))

    def _begin(self, partition: int) -> None:
        worker = self.workers[partition] = self._make(partition)
        task = self._tasks[partition] = asyncio.create_task(worker.run(), name=f"partition {partition}")
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Never]") -> None:
        if not task.cancelled() and (error := task.exception()) and self._failed and not self._failed.done():
            self._failed.set_exception(error)

    async def _end(self, partitions: Sequence[int]) -> None:
        """Stop workers, and wait until they have put down what they hold."""
        tasks = [self._tasks.pop(partition) for partition in partitions]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for partition in partitions:
            del self.workers[partition]
            for gauge in (metrics.LAG_EVENTS, metrics.LAG_SECONDS):
                gauge.remove(partition)
        await asyncio.gather(*(self._log.leave(partition) for partition in partitions))

    async def _watch(self) -> Never:
        """Tell the lag of every partition again and again."""
        while True:
            for partition, worker in list(self.workers.items()):
                await self._tell_lag(partition, worker)
            await asyncio.sleep(LAG_EVERY_S)

    async def _tell_lag(self, partition: int, worker: Worker) -> None:
        if worker.offset is None:
            return
        try:
            end = await self._log.end(partition)
        except LogUnavailable as error:
            logger.warning("the lag is not known", partition=partition, error=told(error))
            return
        since_us = worker.waiting_since_us
        if self.workers.get(partition) is worker:
            metrics.LAG_EVENTS.labels(partition).set(max(0, end - worker.offset))
            metrics.LAG_SECONDS.labels(partition).set(0 if since_us is None else max(0, time.time() - since_us / 1e6))

    async def check(self) -> dict[str, int]:
        """For `/readyz`: the lag in events of every partition. Raises `LogUnavailable` before all are known."""
        unknown = [partition for partition, worker in self.workers.items() if worker.offset is None]
        if unknown:
            raise LogUnavailable(f"the lag of partitions {unknown} is not known yet")
        return {
            str(p): max(0, await self._log.end(p) - (worker.offset or 0)) for p, worker in sorted(self.workers.items())
        }
