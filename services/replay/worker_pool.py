"""Which processes do the work of a rebuild? Worker processes, one a core; or, for little work, the current process."""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import asyncpg
import uvloop

from shared.errors import ExpectedError
from shared.log.port import EventLog
from shared.projection.sql import Connection

NICENESS = 5  # live services have priority
SESSION = """
SET synchronous_commit = off;
SET maintenance_work_mem = '256MB';
SET work_mem = '64MB';
SET max_parallel_maintenance_workers = 0;
SELECT set_config('wal_compression', 'off', false) WHERE has_parameter_privilege('wal_compression', 'SET')
"""  # rows lost with the machine are built again; indexes are built at the same time, each by one process; compressing their WAL takes longer than writing it

Answer = TypeVar("Answer")
P = ParamSpec("P")
Opener = Callable[[], AbstractAsyncContextManager[Any]]
"""Opens connections to the store and its log, as `(pool, log)`. It is sent to other processes, so it must be picklable."""


@dataclass(frozen=True)
class WorkerContext:
    """What a step works with: a connection to the generation that is built, and the log."""

    connection: Connection
    log: EventLog


Step = Callable[Concatenate[WorkerContext, P], Awaitable[Answer]]


class WorkerLost(ExpectedError):
    """A worker process ended unexpectedly; its finished steps are recorded, and the next run continues."""


class WorkerPool(Protocol):
    """Runs steps: module-level functions whose first argument is a `WorkerContext`."""

    async def do(self, step: Step[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """Run a step, and return its result. Raises the step's error, or `WorkerLost`."""
        ...


class CurrentProcess:
    """Runs steps in the current process."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._turn = asyncio.Lock()

    async def do(self, step: Step[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """See `WorkerPool.do`."""
        async with self._turn:
            return await step(self._context, *args, **kwargs)


class Processes:
    """Runs steps in worker processes, which end when this process ends, also if it is killed."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    async def do(self, step: Step[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """See `WorkerPool.do`."""
        loop = asyncio.get_running_loop()
        try:
            answer: Answer = await loop.run_in_executor(self._executor, _do, step, args, kwargs)
        except BrokenProcessPool as error:
            raise WorkerLost(
                "a worker process has ended unexpectedly; does the machine have too little memory?"
            ) from error
        return answer


@asynccontextmanager
async def alone(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog, generation: str) -> AsyncIterator[WorkerPool]:
    """A worker pool of this process and one connection."""
    async with pool.acquire() as raw:
        await raw.execute(SESSION)
        yield CurrentProcess(WorkerContext(Connection(raw, generation), log))


@asynccontextmanager
async def processes(opener: Opener, generation: str, members: int) -> AsyncIterator[WorkerPool]:
    """A worker pool of `members` processes."""
    executor = ProcessPoolExecutor(
        members, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(opener, generation)
    )
    try:
        yield Processes(executor)
    finally:
        await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)


class _Member:
    """The state of a worker process: it runs in the process that was started for it."""

    def __init__(self, opener: Opener, generation: str) -> None:
        self._opener, self._generation = opener, generation
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._stack = contextlib.AsyncExitStack()
        self._context: WorkerContext | None = None

    def do(self, step: Callable[..., Awaitable[Any]], args: Any, kwargs: Any) -> Any:
        return self._runner.run(self._done(step, args, kwargs))

    async def _done(self, step: Callable[..., Awaitable[Any]], args: Any, kwargs: Any) -> Any:
        if self._context is None:
            pool, log = await self._stack.enter_async_context(self._opener())
            raw = await self._stack.enter_async_context(pool.acquire())
            await raw.execute(SESSION)
            self._context = WorkerContext(Connection(raw, self._generation), log)
        return await step(self._context, *args, **kwargs)


_member: _Member | None = None


def _begin(opener: Opener, generation: str) -> None:
    """Set up this process as a worker."""
    global _member
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that made the pool ends the workers
    os.nice(NICENESS)
    threading.Thread(target=_end_with_the_maker, daemon=True).start()
    _member = _Member(opener, generation)
    gc.disable()  # a worker runs for one rebuild only, and its objects hold no cycles


def _end_with_the_maker() -> None:
    maker = multiprocessing.parent_process()
    assert maker is not None
    wait([maker.sentinel])
    os._exit(1)


def _do(step: Callable[..., Awaitable[Any]], args: Any, kwargs: Any) -> Any:
    assert _member is not None
    return _member.do(step, args, kwargs)
