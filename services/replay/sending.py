"""How is history sent into the log? In portions, repeated if the log is unavailable for a moment, never far ahead of the projection."""

import asyncio
from collections.abc import Sequence

import asyncpg
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_chain, wait_fixed

from shared.events.codec import Record, encode_record
from shared.log.port import EventLog, LogUnavailable, Position, partition_of
from shared.projection.generations import NoGeneration, WrongShape, live_generation

CHUNK_EVENTS = 1_000  # in one append
LAG_EVENTS_MAX = 20_000  # events that wait to be projected; live events are projected only after them
LAG_POLL_S = 0.1
IDLE_S = 2.0  # without progress for so long, no projector runs, and waiting would be useless
RETRY_S = (
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    5.0,
    5.0,
    10.0,
    10.0,
    10.0,
)  # pauses between attempts to append: most of a minute in all


@retry(
    retry=retry_if_exception_type(LogUnavailable),
    wait=wait_chain(*map(wait_fixed, RETRY_S)),
    stop=stop_after_attempt(len(RETRY_S) + 1),
    reraise=True,
)
async def append_patiently(log: EventLog, workspace: str, values: Sequence[bytes]) -> Position:
    """Like `EventLog.append`, repeated while the log is unavailable. Raises `LogUnavailable` after a minute."""
    return await log.append(workspace, values)


class Sender:
    """Sends events of one workspace into the log."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog, workspace: str) -> None:
        self._pool, self._log, self._workspace = pool, log, workspace
        self._nobody_at: int | None = None

    async def append(self, records: Sequence[Record]) -> Position | None:
        """Append records; returns the position after them, None if there are none. Raises `LogUnavailable` after a minute."""
        position = None
        for at in range(0, len(records), CHUNK_EVENTS):
            values = [encode_record(record) for record in records[at : at + CHUNK_EVENTS]]
            position = await append_patiently(self._log, self._workspace, values)
        return position

    async def fresh(self) -> None:
        """Wait while more than `LAG_EVENTS_MAX` events are not projected, as long as a projector runs."""
        try:
            live = await live_generation(self._pool)
        except (NoGeneration, WrongShape):
            return
        partition = partition_of(self._workspace, self._log.partitions)
        statement = f"SELECT next_offset FROM {live.name}.progress WHERE partition = $1"
        last, idle_s = -1, 0.0
        while idle_s < IDLE_S:
            at = await self._pool.fetchval(statement, partition) or 0
            if await self._log.end(partition) - at <= LAG_EVENTS_MAX or at == self._nobody_at:
                return
            idle_s = 0.0 if at != last else idle_s + LAG_POLL_S
            last = at
            await asyncio.sleep(LAG_POLL_S)
        self._nobody_at = last  # no projector runs: do not wait again before the offset changes
