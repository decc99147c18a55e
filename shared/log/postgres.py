"""How is a PostgreSQL table a log?

One row holds the values of one append, as Kafka keeps record batches: a row costs the same for one event or a thousand.
Appends to a partition are serialised by the row lock on its counter, held until the commit, so no reader can see offset
n + 1 before n. Concurrent calls of one process share a transaction (group commit).
"""

import asyncio
from collections.abc import Sequence

import asyncpg
import msgspec
import zstandard

from shared.log.port import Entry, LogUnavailable, Position, partition_of

PENDING_BYTES_MAX = 64 * 1024 * 1024  # waiting for one commit; beyond it callers are told to retry
GROUP_EVENTS_MAX = 20_000  # in one transaction; bounds how long its row lock is held
COMPRESS_LEVEL = 1  # zstd: a fifth of the bytes for about half a microsecond an event
POLL_S = 0.02  # how often a reader looks for entries of other processes

TAKE_OFFSETS = """
UPDATE touchline.log_partition SET next_offset = next_offset + $2 WHERE partition = $1 RETURNING next_offset
"""  # reserves offsets; its row lock makes commits happen in offset order

INSERT_VALUES = """
INSERT INTO touchline.event_log (partition, base_offset, event_count, workspace, payload)
SELECT $1, * FROM unnest($2::bigint[], $3::int[], $4::text[], $5::bytea[])
"""

READ = """
SELECT base_offset, workspace, payload FROM touchline.event_log
WHERE partition = $1 AND base_offset < $3 AND base_offset >= (
    SELECT coalesce(max(base_offset), 0) FROM touchline.event_log WHERE partition = $1 AND base_offset <= $2)
ORDER BY base_offset
"""  # from the row that holds offset $2 to those that begin before $3

END = "SELECT next_offset FROM touchline.log_partition WHERE partition = $1"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode


class _Call:
    __slots__ = ("count", "done", "payload", "size", "workspace")

    def __init__(self, workspace: str, count: int, payload: bytes, done: "asyncio.Future[Position]") -> None:
        self.workspace, self.count, self.payload, self.done = workspace, count, payload, done
        self.size = len(payload)


class PostgresLog:
    """The embedded log; see `shared.log.port.EventLog`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", partitions: int) -> None:
        self.partitions = partitions
        self._pool = pool
        self._pending: dict[int, list[_Call]] = {}
        self._pending_bytes = 0
        self._writers: dict[int, asyncio.Task[None]] = {}
        self._appended = asyncio.Condition()
        self._compress = zstandard.ZstdCompressor(level=COMPRESS_LEVEL).compress
        self._decompress = zstandard.ZstdDecompressor().decompress

    async def append(self, workspace: str, values: Sequence[bytes]) -> Position:
        """See `EventLog.append`. Raises `LogUnavailable` when too much waits or the database is away."""
        partition = partition_of(workspace, self.partitions)
        if not values:
            return Position(partition, await self.end(partition))
        call = _Call(
            workspace, len(values), self._compress(_encode(values)), asyncio.get_running_loop().create_future()
        )
        if self._pending_bytes + call.size > PENDING_BYTES_MAX:
            raise LogUnavailable(f"{self._pending_bytes} bytes are waiting to be written")
        self._pending_bytes += call.size
        self._pending.setdefault(partition, []).append(call)
        if partition not in self._writers:
            self._writers[partition] = asyncio.create_task(self._write(partition))
        return await asyncio.shield(call.done)

    async def _write(self, partition: int) -> None:
        """Commit what waits, again and again until nothing does: calls that come meanwhile form the next group."""
        try:
            while calls := self._take(partition):
                try:
                    await self._commit(partition, calls)
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    for call in calls:
                        if not call.done.done():
                            call.done.set_exception(LogUnavailable(f"the log's database: {error}"))
                finally:
                    self._pending_bytes -= sum(call.size for call in calls)
        finally:
            del self._writers[partition]

    def _take(self, partition: int) -> list[_Call]:
        waiting = self._pending.get(partition, [])
        events = taken = 0
        while taken < len(waiting) and (not taken or events + waiting[taken].count <= GROUP_EVENTS_MAX):
            events += waiting[taken].count
            taken += 1
        self._pending[partition] = waiting[taken:]
        return waiting[:taken]

    async def _commit(self, partition: int, calls: list[_Call]) -> None:
        total = sum(call.count for call in calls)
        async with self._pool.acquire() as connection, connection.transaction():
            after = await connection.fetchval(TAKE_OFFSETS, partition, total)
            if after is None:
                raise LogUnavailable(f"the log has no partition {partition}")
            bases, base = [], after - total
            for call in calls:
                bases.append(base)
                base += call.count
            await connection.execute(
                INSERT_VALUES, partition, bases, [c.count for c in calls], [c.workspace for c in calls],
                [c.payload for c in calls],
            )  # fmt: skip
        for call, base in zip(calls, bases, strict=True):
            if not call.done.done():
                call.done.set_result(Position(partition, base + call.count))
        async with self._appended:
            self._appended.notify_all()

    async def read(self, partition: int, offset: int, events_max: int) -> Sequence[Entry]:
        """See `EventLog.read`."""
        entries: list[Entry] = []
        for row in await self._pool.fetch(READ, partition, offset, offset + events_max):
            at = row["base_offset"]
            workspace = row["workspace"]
            for value in _decode(self._decompress(row["payload"])):
                if offset <= at < offset + events_max:
                    entries.append(Entry(at, workspace, value))
                at += 1
        return entries

    async def end(self, partition: int) -> int:
        """See `EventLog.end`."""
        return int(await self._pool.fetchval(END, partition) or 0)

    async def wait(self, partition: int, offset: int, timeout_s: float) -> None:
        """See `EventLog.wait`: woken at once by this process's appends, within `POLL_S` by another's."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while await self.end(partition) <= offset and (left := deadline - asyncio.get_running_loop().time()) > 0:
            try:
                async with asyncio.timeout(min(POLL_S, left)), self._appended:
                    await self._appended.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        """See `EventLog.close`. The pool is its maker's to close."""
        await asyncio.gather(*self._writers.values())
