"""Who does the work of a rebuild? Processes of its own, one a core; or, where there is little to do, the process at hand."""

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

from shared.log.port import EventLog
from shared.projection.sql import Connection

NICENESS = 5  # what is live goes first
SESSION = """
SET synchronous_commit = off;
SET maintenance_work_mem = '256MB';
SET work_mem = '64MB';
SET max_parallel_maintenance_workers = 0;
SELECT set_config('wal_compression', 'off', false) WHERE has_parameter_privilege('wal_compression', 'SET')
"""  # what is lost with the machine is made again; several indexes are built at once, each by one; whole pages are all that a new index logs, and packing them takes longer than writing

Answer = TypeVar("Answer")
P = ParamSpec("P")
Reached = "tuple[asyncpg.Pool[asyncpg.Record], EventLog]"
Opener = Callable[[], AbstractAsyncContextManager[Any]]
"""Opens connections to the store and its log, as `(pool, log)`. It is sent to other processes, so it must be picklable."""


@dataclass(frozen=True)
class WorkerContext:
    """What a step works with: a connection to the generation that is made, and the log."""

    connection: Connection
    log: EventLog


Step = Callable[Concatenate[WorkerContext, P], Awaitable[Answer]]


class WorkerLost(Exception):
    """A process of the worker pool ended before its time; what it had done is written down, and the next run goes on."""


class WorkerPool(Protocol):
    """Carries out steps: functions of a module that take `WorkerContext` first."""

    async def do(self, step: Step[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """Carry out a step, and answer what it answers. Raises what it raises, or `WorkerLost`."""
        ...


class Alone:
    """The process at hand."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._turn = asyncio.Lock()

    async def do(self, step: Step[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """See `WorkerPool.do`."""
        async with self._turn:
            return await step(self._context, *args, **kwargs)


class Processes:
    """Processes of their own, which end with this one, however it ends."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    async def do(self, step: Step[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """See `WorkerPool.do`."""
        loop = asyncio.get_running_loop()
        try:
            answer: Answer = await loop.run_in_executor(self._executor, _do, step, args, kwargs)
        except BrokenProcessPool as error:
            raise WorkerLost("a process that helps has ended; has the machine too little memory?") from error
        return answer


@asynccontextmanager
async def alone(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog, generation: str) -> AsyncIterator[WorkerPool]:
    """A worker pool of this process and one connection."""
    async with pool.acquire() as raw:
        await raw.execute(SESSION)
        yield Alone(WorkerContext(Connection(raw, generation), log))


@asynccontextmanager
async def processes(opener: Opener, generation: str, members: int) -> AsyncIterator[WorkerPool]:
    """A worker pool of so many processes."""
    executor = ProcessPoolExecutor(
        members, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(opener, generation)
    )
    try:
        yield Processes(executor)
    finally:
        await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)


class _Member:
    """One of a worker pool: the process at hand, which was started for it."""

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
    """Make this process a member of a worker pool."""
    global _member
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker pool's maker says when it is over
    os.nice(NICENESS)
    threading.Thread(target=_end_with_the_maker, daemon=True).start()
    _member = _Member(opener, generation)
    gc.disable()  # it lives for one rebuild, and what it makes holds no cycles


def _end_with_the_maker() -> None:
    maker = multiprocessing.parent_process()
    assert maker is not None
    wait([maker.sentinel])
    os._exit(1)


def _do(step: Callable[..., Awaitable[Any]], args: Any, kwargs: Any) -> Any:
    assert _member is not None
    return _member.do(step, args, kwargs)
