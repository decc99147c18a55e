"""How many requests may read at a time, and how long may one take? A request beyond that is answered 503 with a code.

A heavy read gathers the touches of whole campaigns; a light one looks a few rows up. Heavy reads get only a part of the
connections, so that light ones always find one. Every wait has a limit.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

from shared.web.problems import unavailable

READERS_MAX = 12  # connections of a process that reads
HEAVY_MAX = 6  # of them; more would only share the machine's cores among more
WAIT_S = 5.0  # for a connection
READ_S = 30.0  # of one request, all its statements together; a proxy in front has given up by then or soon will
BUSY_RETRY_S, TIMEOUT_RETRY_S = 2, 10

SERVER_SETTINGS = {
    "plan_cache_mode": "force_custom_plan",  # a plan for any value is a hundred times slower for most; planning takes some ms
    "statement_timeout": f"{READ_S:.0f}s",  # the server ends what this process could not, having been killed
    "idle_in_transaction_session_timeout": "60s",  # no snapshot is left open by a request that hangs
}
"""The settings of PostgreSQL for every connection that reads."""


Answer = TypeVar("Answer")


class Gate:
    """Gives connections of `pool` to requests, at most `heavy_max` of them to heavy reads at a time.

    A request waits `wait_s` seconds for a connection, and keeps it for `read_s` seconds at most.
    """

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", heavy_max: int = HEAVY_MAX, wait_s: float = WAIT_S,
        read_s: float = READ_S,
    ) -> None:  # fmt: skip
        self._pool, self._heavy = pool, asyncio.Semaphore(heavy_max)
        self._wait_s, self._read_s = wait_s, read_s

    @asynccontextmanager
    async def connection(self, *, heavy: bool) -> "AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]":
        """A connection for one request. Raises a 503 `Problem`: `busy` if none is free in time, `read_timeout` if it is kept too long."""
        deadline_s = asyncio.get_running_loop().time() + self._wait_s
        if heavy:
            await self._in_time(self._heavy.acquire(), deadline_s)
        try:
            raw = await self._in_time(self._pool.acquire(), deadline_s)
            try:
                async with asyncio.timeout(self._read_s):
                    yield raw
            except (TimeoutError, asyncpg.QueryCanceledError) as error:
                detail = f"the read took longer than {self._read_s:g} s; ask for a shorter range or fewer items"
                raise unavailable(detail, TIMEOUT_RETRY_S, "read_timeout") from error
            finally:
                await self._pool.release(raw)
        finally:
            if heavy:
                self._heavy.release()

    async def _in_time(self, wanted: Awaitable[Answer], deadline_s: float) -> Answer:
        try:
            async with asyncio.timeout_at(deadline_s):
                return await wanted
        except TimeoutError as error:
            detail = f"no connection was free within {self._wait_s:g} s; others read"
            raise unavailable(detail, BUSY_RETRY_S, "busy") from error
