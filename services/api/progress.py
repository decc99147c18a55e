"""How far is the projection? Asked once for all who wait, however many they are."""

import asyncio
from dataclasses import dataclass, field

import asyncpg
import structlog

from shared.database import error_text
from shared.log.port import EventLog, LogUnavailable
from shared.projection.generations import live_generation
from shared.reading.snapshot import PROGRESS

POLL_S = 0.01
LIVE_AGAIN_S = 1.0  # another generation may have become the live one
END_WAIT_S = 1.0  # a read has its answer without the log, so it does not wait for one that is away
END_AGAIN_S = 5.0

logger = structlog.stdlib.get_logger("touchline.api")


@dataclass
class _Seen:
    offset: int = 0
    at_s: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ProjectionPosition:
    """The offsets up to which the live generation is projected, as a reader of the next moment will find it or nearly so."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._live, self._live_at_s = "", -LIVE_AGAIN_S
        self._seen: dict[int, _Seen] = {}

    async def passes(self, partition: int, offset: int, timeout_s: float) -> bool:
        """Wait, without holding a connection, until all before `offset` is projected; False if `timeout_s` goes by."""
        try:
            async with asyncio.timeout(timeout_s):
                while await self._offset(partition) < offset:
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return False
        return True

    async def _offset(self, partition: int) -> int:
        """The offset as it was within the last `POLL_S`."""
        seen = self._seen.setdefault(partition, _Seen())
        async with seen.lock:
            now_s = asyncio.get_running_loop().time()
            if now_s - seen.at_s >= POLL_S:
                if now_s - self._live_at_s >= LIVE_AGAIN_S:
                    self._live, self._live_at_s = (await live_generation(self._pool)).name, now_s
                seen.offset = int(await self._pool.fetchval(PROGRESS.replace("{g}", self._live), partition) or 0)
                seen.at_s = now_s
        return seen.offset


class LogEnd:
    """The offsets at which a log ends."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._away_until_s = 0.0

    async def of(self, partition: int) -> int | None:
        """The offset that the next event will get; None while the log does not answer."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._away_until_s:
            return None
        try:
            async with asyncio.timeout(END_WAIT_S):
                return await self._log.end(partition)
        except (LogUnavailable, TimeoutError) as error:
            self._away_until_s = loop.time() + END_AGAIN_S
            logger.warning("the end of the log is not known", error=error_text(error))
            return None
