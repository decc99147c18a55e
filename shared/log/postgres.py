"""How is a PostgreSQL table a log?

One row holds the values of one append, like a record batch of Kafka: a row costs the same for one event as for a thousand. Small appends
that are written together share rows: sixteen events compressed together take a sixth of the time, and leave a quarter of the bytes.
Appends to a partition are serialised by the row lock on its counter, held until the commit, so no reader can see offset
n + 1 before n. Concurrent appends of one process share a transaction (group commit).
"""

import asyncio
import itertools
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import asyncpg
import msgspec
import structlog
import zstandard

from shared.database import AWAY, error_text
from shared.log.group_commit import Call, GroupCommit
from shared.log.port import Entry, LogDamaged, LogUnavailable, Position, partition_of
from shared.wakeups import Wakeups, appended

PARTITIONS = 4  # cannot change once the database is created
GROUP_EVENTS_MAX = 20_000  # in one transaction; bounds how long its row lock is held
GROUP_BYTES_MAX = 16 * 1024 * 1024
LOCK_AGAIN_S = 1.0
ALONE_MIN = 32  # values of an append that has a row of its own, compressed when it comes
SHARED_MAX = 128  # values in a row of small appends: who looks one up decompresses some 40 kB
COMPRESS_LEVEL = 1  # zstd: leaves a fifth of the bytes, for about half a microsecond an event
LOOKED_UP_MAX = 250  # offsets in one query: each may be in another row, of some 60 kB
# Of values that one read returns. A projector holds the results of two reads of a partition at a time.
READ_BYTES_MAX = 16 * 1024 * 1024
FULL_RETRY_AFTER_S = 30  # for so long `check_room` refuses appends: the operator must free space first

APPEND = """
WITH taken AS (
    UPDATE touchline.log_partition SET next_offset = next_offset + $2 WHERE partition = $1 RETURNING next_offset - $2 AS base
), written AS (
    INSERT INTO touchline.event_log (partition, base_offset, event_count, workspace, payload)
    SELECT $1, taken.base + values.place, values.events, values.workspace, values.payload
    FROM taken CROSS JOIN unnest($3::bigint[], $4::int[], $5::text[], $6::bytea[]) values(place, events, workspace, payload)
) SELECT base FROM taken
"""  # one statement, so one transaction and one round trip; the row lock of its first part makes commits happen in offset order

READ = """
SELECT base_offset, workspace, payload FROM (
    SELECT base_offset, workspace, payload,
        sum(octet_length(payload)) OVER (ORDER BY base_offset) - octet_length(payload) AS bytes_before
    FROM touchline.event_log
    WHERE partition = $1 AND base_offset < $3 AND base_offset >= (
        SELECT coalesce(max(base_offset), 0) FROM touchline.event_log WHERE partition = $1 AND base_offset <= $2)) r
WHERE bytes_before < $4 ORDER BY base_offset
"""  # from the row that holds offset $2 to the last row that begins before $3, until the rows have $4 compressed bytes

READ_SOME = """
SELECT DISTINCT ON (r.base_offset) r.base_offset, r.workspace, r.payload
FROM unnest($2::bigint[]) wanted CROSS JOIN LATERAL (
    SELECT base_offset, workspace, payload FROM touchline.event_log
    WHERE partition = $1 AND base_offset <= wanted ORDER BY base_offset DESC LIMIT 1) r
ORDER BY r.base_offset
"""  # the rows that hold the offsets $2

DISK_FULL = "disk_full"
TRY_LOCK = "SELECT pg_try_advisory_lock(hashtext('touchline.projector.' || $2), $1)"  # waiting would hold vacuum back
END = "SELECT next_offset FROM touchline.log_partition WHERE partition = $1"

logger = structlog.stdlib.get_logger("touchline.log")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode


Payload = bytes | Sequence[bytes]
"""Of an append: its values encoded and compressed, or, if they are few, as they are."""


class _Row(NamedTuple):
    """A row of the log: after how many others of its group its first value stands, how many it has, whose they are, and the values."""

    place: int
    events: int
    workspace: str
    payload: bytes


class PostgresLog:
    """The embedded log; see `shared.log.port.EventLog`."""

    identity = "postgres"

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", partitions: int, wakeups: Wakeups | None = None) -> None:
        """`wakeups` announces appends and wakes the readers that wait for them; without it the log makes its own."""
        self.partitions = partitions
        self._pool, self._owns_wakeups = pool, wakeups is None
        self._wakeups = wakeups or Wakeups(pool)
        self._group = GroupCommit[Payload](self._commit, GROUP_EVENTS_MAX, GROUP_BYTES_MAX, self._rest)
        self._held: dict[int, asyncpg.pool.PoolConnectionProxy[asyncpg.Record]] = {}  # of partitions that are written
        self._full_at_s: float | None = None
        self._compress = zstandard.ZstdCompressor(level=COMPRESS_LEVEL).compress
        self._decompress = zstandard.ZstdDecompressor().decompress

    async def append(self, workspace: str, values: Sequence[bytes]) -> Position:
        """See `EventLog.append`."""
        partition = partition_of(workspace, self.partitions)
        if not values:
            return Position(partition, await self.end(partition))
        if len(values) < ALONE_MIN:
            return await self._group.append(partition, workspace, len(values), sum(map(len, values)), values)
        payload = self._compress(_encode(values))
        return await self._group.append(partition, workspace, len(values), len(payload), payload)

    async def _commit(self, partition: int, calls: Sequence[Call[Payload]]) -> int:
        rows = list(self._rows(calls))
        total = sum(row.events for row in rows)
        with self._room(), _available():
            if (connection := self._held.get(partition)) is None:
                connection = self._held[partition] = await self._pool.acquire()
            try:
                base = await connection.fetchval(APPEND, partition, total, *map(list, zip(*rows, strict=True)))
            except BaseException:
                await self._rest(partition)
                raise
            if base is None:
                raise LogUnavailable(f"the log has no partition {partition}")
        self._wakeups.announce(appended(partition))
        return int(base)

    def _rows(self, calls: Sequence[Call[Payload]]) -> Iterator[_Row]:
        """The rows of a group of appends, in their order: small ones of a workspace that follow one another are in one row."""
        place = 0
        together: list[bytes] = []
        for call, following in itertools.pairwise([*calls, None]):
            assert call is not None
            if isinstance(call.payload, bytes):
                yield _Row(place, call.count, call.workspace, call.payload)
                place += call.count
                continue
            together += call.payload
            if (
                following is None or isinstance(following.payload, bytes) or following.workspace != call.workspace
                or len(together) + following.count > SHARED_MAX
            ):  # fmt: skip
                yield _Row(place, len(together), call.workspace, self._compress(_encode(together)))
                place += len(together)
                together = []

    async def _rest(self, partition: int) -> None:
        """Give the connection of a partition back, for nothing waits to be written there; or because it may be broken."""
        if (connection := self._held.pop(partition, None)) is not None:
            with suppress(*AWAY, asyncpg.PostgresError):  # then the pool makes a new one
                await self._pool.release(connection)

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Remember the time when an append found the disk full; a successful append clears it."""
        try:
            yield
        except LogUnavailable as error:
            if error.code == DISK_FULL:
                self._full_at_s = time.monotonic()
            raise
        self._full_at_s = None

    def check_room(self) -> None:
        """Raise `LogUnavailable` if an append of the last `FULL_RETRY_AFTER_S` found the disk full, and none has succeeded since."""
        if self._full_at_s is not None and time.monotonic() - self._full_at_s < FULL_RETRY_AFTER_S:
            raise _full()

    async def read(self, partition: int, offset: int, events_max: int) -> Sequence[Entry]:
        """See `EventLog.read`. It returns fewer where the values exceed `READ_BYTES_MAX`, but always those of the first append."""
        entries: list[Entry] = []
        with _available():
            rows = await self._pool.fetch(READ, partition, offset, offset + events_max, READ_BYTES_MAX)
        size = 0
        for row in rows:
            if entries and entries[-1].offset >= offset:
                size += zstandard.frame_content_size(row["payload"])
                if size > READ_BYTES_MAX:
                    break
            values = _decode(self._decompress(row["payload"]))
            entries += map(Entry, itertools.count(row["base_offset"]), itertools.repeat(row["workspace"]), values)
        if not entries:
            return entries
        begin = max(0, offset - entries[0].offset)
        return entries[begin : begin + events_max] if begin or len(entries) > events_max else entries

    async def entries(self, partition: int, offsets: Sequence[int]) -> Sequence[Entry]:
        """See `EventLog.entries`."""
        found: dict[int, Entry] = {}
        wanted = sorted(set(offsets))
        for begin in range(0, len(wanted), LOOKED_UP_MAX):
            part = wanted[begin : begin + LOOKED_UP_MAX]
            with _available():
                rows = await self._pool.fetch(READ_SOME, partition, part)
            for row in rows:
                values = _decode(self._decompress(row["payload"]))
                base = row["base_offset"]
                of_row = part[bisect_left(part, base) : bisect_left(part, base + len(values))]
                found |= {offset: Entry(offset, row["workspace"], values[offset - base]) for offset in of_row}
        for offset in wanted:
            if offset not in found:
                raise LogDamaged(f"there is no entry at {Position(partition, offset)}")
        return [found[offset] for offset in offsets]

    async def end(self, partition: int) -> int:
        """See `EventLog.end`."""
        with _available():
            return int(await self._pool.fetchval(END, partition) or 0)

    async def wait(self, partition: int, offset: int, timeout_s: float) -> None:
        """See `EventLog.wait`: the next append, of this process or of another, ends the wait (`shared.wakeups`)."""
        seen_count = self._wakeups.count(appended(partition))
        if await self.end(partition) <= offset:
            await self._wakeups.changed(appended(partition), seen_count, timeout_s)

    def another(self) -> "PostgresLog":
        """See `EventLog.another`: a reader has no state here, so all readers share this one."""
        return self

    async def leave(self, partition: int) -> None:
        """See `EventLog.leave`: a reader has no state here."""

    async def close(self) -> None:
        """See `EventLog.close`. Who made the pool, and the wakeups if they were given, closes them."""
        await self._group.close()
        if self._owns_wakeups:
            await self._wakeups.close()


@contextmanager
def _available() -> Iterator[None]:
    """Raise `LogUnavailable` where the database cannot be reached or fails."""
    try:
        yield
    except asyncpg.DiskFullError as error:
        raise _full() from error
    except (*AWAY, asyncpg.PostgresError) as error:
        raise LogUnavailable(f"the log's database: {error_text(error)}") from error


def _full() -> LogUnavailable:
    return LogUnavailable("the disk of the log's database is full", FULL_RETRY_AFTER_S, DISK_FULL)


class EveryPartition:
    """Gives all partitions to one process of a group, by advisory locks; the group's other processes stand by.

    See `shared.log.port.Assignment`. Groups are independent: each projects all partitions.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", partitions: int, group: str) -> None:
        self._pool, self._partitions, self._group = pool, partitions, group

    async def run(self, begin: Callable[[int], None], end: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        """See `Assignment.run`. The locks end with their connection."""
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await self._hold(connection, begin, end)
            except AWAY as error:
                logger.warning("the locks on the partitions are lost; they are taken again", error=error_text(error))
            await asyncio.sleep(LOCK_AGAIN_S)

    async def _hold(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        begin: Callable[[int], None],
        end: Callable[[Sequence[int]], Awaitable[None]],
    ) -> None:
        """Lock one partition after another, and keep the locks until the connection is lost."""
        held: list[int] = []
        try:
            for partition in range(self._partitions):
                while not await connection.fetchval(TRY_LOCK, partition, self._group):
                    await asyncio.sleep(LOCK_AGAIN_S)
                held.append(partition)
                begin(partition)
            while await connection.fetchval("SELECT true"):
                await asyncio.sleep(LOCK_AGAIN_S)
        finally:
            await end(held)

    def passed(self, partition: int, offset: int) -> None:
        """See `Assignment.passed`: nothing to do, for the projection stores its own offset."""
