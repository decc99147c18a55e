"""How far is the projection? Asked once for all who wait, however many they are."""

import asyncio
from dataclasses import dataclass, field

import asyncpg
import structlog

from shared.database import error_text
from shared.log.port import EventLog, LogUnavailable, Position
from shared.reading.snapshot import PROGRESS_AND_SETTINGS, live_generation_name
from shared.wakeups import Wakeups, projected

SEEN_S = 0.01  # so long all who wait share an answer, unless something was projected since
WAIT_S = 0.25  # who was not woken looks again after so long
LIVE_AGAIN_S = 1.0  # another generation may have become the live one
END_WAIT_S = 1.0  # a read has its answer without the log, so it does not wait for one that is away
END_AGAIN_S = 5.0

logger = structlog.stdlib.get_logger("touchline.api")


@dataclass
class _Seen:
    offset: int = 0
    settings: dict[str, int] = field(default_factory=dict)
    """By workspace: the offset of changed settings that its rows do not show yet."""
    at_s: float = 0.0
    seen_count: int = 0
    """How often it was seen_count before that the partition was projected further."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ProjectionPosition:
    """How far the live generation is projected, as a reader of the next moment will find it or nearly so."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", wakeups: Wakeups) -> None:
        """`wakeups` wakes this object when a partition was projected further (`shared.wakeups.projected`)."""
        self._pool, self._wakeups = pool, wakeups
        self._live, self._live_at_s = "", -LIVE_AGAIN_S
        self._seen: dict[int, _Seen] = {}

    async def passes(self, workspace: str, after: Position, timeout_s: float) -> bool:
        """Wait, without holding a connection, until all before a position of the workspace is projected and shown.

        Settings that were set before it are shown once the rows that are rebuilt for them are read. False if `timeout_s`
        goes by.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    seen_count = self._wakeups.count(projected(after.partition))
                    seen = await self._look(after.partition)
                    if seen.offset >= after.offset and seen.settings.get(workspace, after.offset) >= after.offset:
                        return True
                    await self._wakeups.changed(projected(after.partition), seen_count, WAIT_S)
        except TimeoutError:
            return False

    async def _look(self, partition: int) -> _Seen:
        """How far it is, as it was within the last `SEEN_S`, and after all that was seen_count of until now."""
        seen = self._seen.setdefault(partition, _Seen())
        async with seen.lock:
            now_s, seen_count = asyncio.get_running_loop().time(), self._wakeups.count(projected(partition))
            if now_s - seen.at_s >= SEEN_S or seen_count != seen.seen_count:
                if now_s - self._live_at_s >= LIVE_AGAIN_S:
                    self._live, self._live_at_s = await live_generation_name(self._pool), now_s
                rows = await self._pool.fetch(PROGRESS_AND_SETTINGS.replace("{g}", self._live), partition)
                seen.offset = rows[0]["next_offset"] if rows else 0
                seen.settings = {r["workspace_id"]: r["told_offset"] for r in rows if r["workspace_id"] is not None}
                seen.at_s, seen.seen_count = now_s, seen_count
        return seen


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
