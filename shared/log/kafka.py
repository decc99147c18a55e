"""How is a Kafka topic a log?

Each event is one record; its key is the workspace and `partition_of` gives its partition. The producer is idempotent and
waits for all in-sync replicas. It uses no transactions, so the offsets have no gaps. Concurrent appends of one process to a
partition share a record batch, and an append is never split: its values become readable together or not at all.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord

from shared.database import error_text
from shared.log.group_commit import Call, GroupCommit
from shared.log.kafka_cluster import ANSWER_S, KafkaCluster
from shared.log.port import Entry, LogDamaged, LogUnavailable, Position, partition_of

GROUP_EVENTS_MAX = 10_000
GROUP_BYTES_MAX = 1024 * 1024  # several appends share a batch up to this size, before compression
BATCH_BYTES_MAX = 14 * 1024 * 1024  # of a single append: a request of 10 MB, and the overhead of its records
MESSAGE_BYTES_MAX = 16 * 1024 * 1024  # the topic's `max.message.bytes`: one batch, even uncompressed
FETCH_BYTES = 2 * 1024 * 1024  # of one partition at a time; some 20,000 compressed events
LOOKUP_FETCH_BYTES = 64 * 1024
LOOKUP_WAIT_MS = 10  # looked-up records exist already; a fetch beyond the end of the log must not delay the next one
LOOKUP_RECORDS = 500
FETCH_WAIT_MS = 500  # how long a broker holds an empty fetch open
WORKSPACES_KNOWN_MAX = 65_536
AWAY_POLL_S = 0.1
CLOSE_S = 10.0

logger = structlog.stdlib.get_logger("touchline.log")


class Tail:
    """Reads one partition continuously with its own consumer, so that a slow reader does not block the others."""

    def __init__(self, consumer: AIOKafkaConsumer, at: TopicPartition) -> None:
        self._consumer, self._at = consumer, at
        self._next: int | None = None
        self._sought = False
        self._held: list[ConsumerRecord[bytes, bytes]] = []

    def stands_at(self, offset: int) -> bool:
        """Whether the next record that is read is the one at this offset."""
        return self._next == offset

    def go_to(self, offset: int) -> None:
        """Read on from this offset."""
        self._held = []
        self._consumer.seek(self._at, offset)
        self._next = offset

    async def take(self, events_max: int, timeout_s: float) -> Sequence[ConsumerRecord[bytes, bytes]]:
        """The next records; empty if none came in time. Raises `LogDamaged` if the records have other offsets than expected."""
        records, self._held = self._held, []
        if not records:
            fetched = await self._consumer.getmany(self._at, timeout_ms=int(timeout_s * 1000), max_records=events_max)
            records = fetched.get(self._at, [])
        if not records:
            return []
        first, last = records[0].offset, records[-1].offset
        if first != self._next or last != first + len(records) - 1:
            return self._out_of_turn(records)
        self._sought = False
        records, self._held = records[:events_max], records[events_max:]
        self._next = int(records[-1].offset) + 1
        return records

    def _out_of_turn(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> Sequence[ConsumerRecord[bytes, bytes]]:
        """Fetch again from the expected offset, once: a cancelled call may have lost records that it had fetched.

        Raises `LogDamaged` if the second fetch has other offsets too.
        """
        if self._sought or self._next is None:
            due, self._next, self._sought = self._next, None, False
            raise LogDamaged(
                f"{self._at.topic} partition {self._at.partition} returns {len(records)} records at offsets "
                f"{records[0].offset} to {records[-1].offset} where offset {due} is expected"
            )
        self.go_to(self._next)
        self._sought = True
        return []

    async def close(self) -> None:
        """Close the consumer."""
        await stop_client(self._consumer)

    async def peek(self, events_max: int, timeout_s: float) -> None:
        """Wait until a record has arrived, and keep it for the next `take`."""
        due = self._next
        taken = await self.take(events_max, timeout_s)
        self._held, self._next = [*taken, *self._held], due


class KafkaLog:
    """The production log; see `shared.log.port.EventLog`. Made by `open_kafka_log`."""

    def __init__(self, cluster: KafkaCluster, partitions: int, cluster_id: str) -> None:
        self.partitions = partitions
        self.identity = f"kafka:{cluster_id}/{cluster.topic}"
        self._cluster, self._cluster_id = cluster, cluster_id
        self._group = GroupCommit[Sequence[bytes]](self._commit, GROUP_EVENTS_MAX, GROUP_BYTES_MAX)
        self._producer: AIOKafkaProducer | None = None
        self._producer_lock = asyncio.Lock()
        self._lookup: AIOKafkaConsumer | None = None
        self._lookup_lock = asyncio.Lock()
        self._entries_lock = asyncio.Lock()
        self._tails: dict[int, Tail] = {}
        self._workspaces: dict[bytes, tuple[int, str]] = {}

    async def append(self, workspace: str, values: Sequence[bytes]) -> Position:
        """See `EventLog.append`."""
        partition = partition_of(workspace, self.partitions)
        if not values:
            return Position(partition, await self.end(partition))
        return await self._group.append(partition, workspace, len(values), sum(map(len, values)), values)

    async def _commit(self, partition: int, calls: Sequence[Call[Sequence[bytes]]]) -> int:
        return await self._put(partition, ((call.workspace, value) for call in calls for value in call.payload))

    async def fill(self, partition: int, entries: Sequence[Entry]) -> int:
        """Append entries of another log, also those without a workspace; returns the offset of the first.

        Only for a topic that nobody else writes to. Raises `LogUnavailable`; the entries may have been written all the same.
        """
        return await self._put(partition, ((entry.workspace, entry.value) for entry in entries))

    async def _put(self, partition: int, values: Iterable[tuple[str, bytes]]) -> int:
        """Send one batch; the producer repeats it until the broker has it, without a time limit."""
        producer = await self._producing()
        batch = producer.create_batch()
        now_ms = time.time_ns() // 1_000_000
        for workspace, value in values:
            if batch.append(key=workspace.encode(), value=value, timestamp=now_ms) is None:
                raise LogUnavailable(f"the values do not fit into one batch of {BATCH_BYTES_MAX} bytes")
        count = batch.record_count()
        try:
            sent = await producer.send_batch(batch, self._cluster.topic, partition=partition)
            offset = int((await sent).offset)
        except KafkaError as error:
            await self._discard(producer)
            raise LogUnavailable(f"Kafka: {error_text(error)}") from error
        # where an answer was lost and the broker already has the batch, its second answer may lack the offset
        return offset if offset >= 0 else await self.end(partition) - count

    async def _producing(self) -> AIOKafkaProducer:
        async with self._producer_lock:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._cluster.client(), acks="all", enable_idempotence=True, compression_type="zstd",
                    max_batch_size=BATCH_BYTES_MAX, max_request_size=MESSAGE_BYTES_MAX, linger_ms=0,
                )  # fmt: skip
                await start_client(producer)
                self._producer = producer
            return self._producer

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        """Stop an idempotent producer that failed: its sequence numbers are broken. The next append starts a new one."""
        if self._producer is producer:
            self._producer = None
            logger.warning("a producer is replaced")
            await stop_client(producer)

    async def read(self, partition: int, offset: int, events_max: int) -> Sequence[Entry]:
        """See `EventLog.read`."""
        async with _available():
            tail = await self._tail(partition)
            if not await self._reach(tail, partition, offset):
                return []
            records = await tail.take(events_max, 0)
            while not records:
                if offset >= await self.end(partition):
                    return []
                records = await tail.take(events_max, ANSWER_S)
            return [self._entry(record) for record in records]

    def _entry(self, record: "ConsumerRecord[bytes, bytes]") -> Entry:
        key = record.key or b""
        partition, workspace = self._workspaces.get(key) or self._workspace(key)
        return Entry(record.offset, workspace if partition == record.partition else "", record.value or b"")

    def _workspace(self, key: bytes) -> tuple[int, str]:
        """The partition and the id of the workspace that a record's key names."""
        workspace = key.decode(errors="replace")
        if len(self._workspaces) >= WORKSPACES_KNOWN_MAX:
            self._workspaces.clear()
        self._workspaces[key] = partition_of(workspace, self.partitions), workspace
        return self._workspaces[key]

    async def wait(self, partition: int, offset: int, timeout_s: float) -> None:
        """See `EventLog.wait`: the broker answers as soon as it has a record."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        async with _available():
            tail = await self._tail(partition)
            while not await self._reach(tail, partition, offset):
                if (left_s := deadline_s - loop.time()) <= 0:
                    return
                await asyncio.sleep(min(AWAY_POLL_S, left_s))
            await tail.peek(GROUP_EVENTS_MAX, max(0.0, deadline_s - loop.time()))

    async def _reach(self, tail: Tail, partition: int, offset: int) -> bool:
        """Move the tail to an offset; False if the log ends before it."""
        if not tail.stands_at(offset):
            if offset > await self.end(partition):
                return False
            tail.go_to(offset)
        return True

    async def _tail(self, partition: int) -> Tail:
        if partition not in self._tails:
            consumer = AIOKafkaConsumer(**self._cluster.client(), **FETCHING)
            await start_client(consumer)
            at = TopicPartition(self._cluster.topic, partition)
            consumer.assign([at])
            self._tails[partition] = Tail(consumer, at)
        return self._tails[partition]

    def another(self) -> "KafkaLog":
        """See `EventLog.another`."""
        return KafkaLog(self._cluster, self.partitions, self._cluster_id)

    async def leave(self, partition: int) -> None:
        """See `EventLog.leave`."""
        if tail := self._tails.pop(partition, None):
            await tail.close()

    async def entries(self, partition: int, offsets: Sequence[int]) -> Sequence[Entry]:
        """See `EventLog.entries`: in the order of the log, so that one fetch serves neighbouring offsets."""
        at = TopicPartition(self._cluster.topic, partition)
        found: dict[int, Entry] = {}
        async with self._entries_lock, _available():
            consumer = await self._looking()
            consumer.assign([at])
            try:
                for offset in sorted(set(offsets)):
                    if offset in found:
                        continue
                    found |= {record.offset: self._entry(record) for record in await _fetch(consumer, at, offset)}
                    if offset not in found:
                        await self._missing(at, offset)
            finally:
                consumer.unsubscribe()  # else it keeps fetching
        return [found[offset] for offset in offsets]

    async def _missing(self, at: TopicPartition, offset: int) -> None:
        """Raise `LogUnavailable` for an entry that did not come in time, `LogDamaged` for one that cannot come."""
        begins, ends = await self._bounds(at)
        if begins <= offset < ends:
            raise LogUnavailable(f"Kafka: partition {at.partition} does not answer")
        raise LogDamaged(
            f"there is no entry at {Position(at.partition, offset)}: the offsets are {begins} to {ends - 1}"
        )

    async def end(self, partition: int) -> int:
        """See `EventLog.end`."""
        at = TopicPartition(self._cluster.topic, partition)
        async with _available():
            consumer = await self._looking()
            async with asyncio.timeout(ANSWER_S):
                return int((await consumer.end_offsets([at]))[at])

    async def _bounds(self, at: TopicPartition) -> tuple[int, int]:
        consumer = await self._looking()
        async with asyncio.timeout(ANSWER_S):
            begins, ends = await asyncio.gather(consumer.beginning_offsets([at]), consumer.end_offsets([at]))
        return int(begins[at]), int(ends[at])

    async def _looking(self) -> AIOKafkaConsumer:
        async with self._lookup_lock:
            if self._lookup is None:
                own = {"max_partition_fetch_bytes": LOOKUP_FETCH_BYTES, "fetch_max_wait_ms": LOOKUP_WAIT_MS}
                consumer = AIOKafkaConsumer(**self._cluster.client(), **(FETCHING | own))
                await start_client(consumer)
                self._lookup = consumer
            return self._lookup

    async def close(self) -> None:
        """See `EventLog.close`. Appends that the broker has not confirmed after `CLOSE_S` are given up: their callers got no answer."""
        await self._group.close(CLOSE_S)
        clients = [client for client in (self._producer, self._lookup) if client is not None]
        await asyncio.gather(
            *(stop_client(client) for client in clients), *(tail.close() for tail in self._tails.values())
        )


FETCHING: dict[str, Any] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",  # never relied upon: an unexpected offset raises `LogDamaged`
    "max_partition_fetch_bytes": FETCH_BYTES,
    "fetch_max_wait_ms": FETCH_WAIT_MS,
}


async def _fetch(
    consumer: AIOKafkaConsumer, at: TopicPartition, offset: int
) -> "Sequence[ConsumerRecord[bytes, bytes]]":
    """The records that one fetch from an offset on returns."""
    consumer.seek(at, offset)
    fetched = await consumer.getmany(at, timeout_ms=int(ANSWER_S * 1000), max_records=LOOKUP_RECORDS)
    return fetched.get(at, [])  # type: ignore[no-any-return]


@asynccontextmanager
async def _available() -> AsyncIterator[None]:
    """Raise `LogUnavailable` for brokers that cannot be reached and for partitions that have just moved to another broker."""
    try:
        yield
    except (KafkaError, IllegalStateError, OSError, TimeoutError) as error:
        raise LogUnavailable(f"Kafka: {error_text(error)}") from error


async def start_client(client: Any) -> None:
    """Start a client. Raises `LogUnavailable`; leaves no open connection, however it ends."""
    starting = asyncio.ensure_future(client.start())  # if cancelled midway, it would leave its connection open
    try:
        await asyncio.shield(starting)
    except BaseException as error:
        await asyncio.wait([starting])
        await stop_client(client)
        if isinstance(error, (KafkaError, OSError)):
            raise LogUnavailable(f"Kafka: {error_text(error)}") from error
        raise


async def stop_client(client: Any) -> None:
    """Stop a client in any state; what it raises, also its own cancellations, is only logged."""
    stopping = asyncio.ensure_future(client.stop())
    done, _ = await asyncio.wait([stopping], timeout=CLOSE_S)
    if not done:
        stopping.cancel()
        logger.warning("a Kafka client did not stop in time")
    elif stopping.cancelled() or stopping.exception():
        error = "cancelled" if stopping.cancelled() else repr(stopping.exception())
        logger.warning("a Kafka client did not stop cleanly", error=error)
