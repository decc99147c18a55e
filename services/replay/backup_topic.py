"""How are the events of a Kafka topic written to a backup, and restored?

The member of the backup is a sequence of lots, compressed as one zstd stream. A lot is the length of its content in bytes (4 bytes,
the most significant first), and then, as MessagePack, its partition, the offset of its first entry, and every entry's workspace and
value. A record that is not ours has an empty workspace: it is stored too, so that all offsets stay the same.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import IO, Any

import msgspec
import zstandard

from shared.log.kafka import GROUP_BYTES_MAX, KafkaLog
from shared.log.port import Entry, LogDamaged

NAME = "topic.zst"
COMPRESS_LEVEL = 3  # the values are JSON; the brokers' own compression is undone when they are read
LOT_EVENTS = 10_000  # of one partition, in a lot; some 5 MB
LENGTH_BYTES = 4


class EntryBlock(msgspec.Struct, array_like=True, frozen=True):
    """Consecutive entries of a partition."""

    partition: int
    offset: int
    entries: list[tuple[str, bytes]]


async def write_topic(log: KafkaLog, ends: Mapping[int, int], member: IO[bytes]) -> tuple[int, int, str]:
    """Write all entries before the offsets `ends`; returns their number, the member's bytes, and its SHA-256.

    Raises `LogUnavailable`, or `LogDamaged` where the topic no longer begins at 0.
    """
    packer, digest, size = zstandard.ZstdCompressor(level=COMPRESS_LEVEL).compressobj(), hashlib.sha256(), 0

    def put(packed: bytes) -> None:
        nonlocal size
        digest.update(packed)
        size += len(packed)
        member.write(packed)

    for partition, end in ends.items():
        at = 0
        while at < end:
            entries = await log.read(partition, at, min(LOT_EVENTS, end - at))
            block = msgspec.msgpack.encode(EntryBlock(partition, at, [(e.workspace, e.value) for e in entries]))
            put(packer.compress(len(block).to_bytes(LENGTH_BYTES, "big") + block))
            at = entries[-1].offset + 1
        await log.leave(partition)
    put(packer.flush())
    return sum(ends.values()), size, digest.hexdigest()


async def fill_topic(log: KafkaLog, member: IO[bytes]) -> None:
    """Append all entries to an empty topic, each at its old offset. Raises `LogUnavailable`, or `LogDamaged` if one gets another offset."""
    for block in _blocks(member):
        places = enumerate(block.entries, block.offset)
        await fill_at(log, block.partition, [Entry(offset, workspace, value) for offset, (workspace, value) in places])


async def fill_at(log: KafkaLog, partition: int, entries: Iterable[Entry]) -> None:
    """Append consecutive entries to a topic, each at its own offset. Raises `LogUnavailable`, or `LogDamaged` if one gets another offset."""
    for some in _within(entries):
        first = await log.fill(partition, some)
        if first != some[0].offset:
            raise LogDamaged(
                f"an event of offset {some[0].offset} of partition {partition} got offset {first}: something else writes to "
                f"{log.identity}, or a broker's answer was lost; remove that topic, and repeat the command"
            )


def _blocks(member: IO[bytes]) -> Iterator[EntryBlock]:
    with zstandard.ZstdDecompressor().stream_reader(member) as reader:
        while length := reader.read(LENGTH_BYTES):
            yield msgspec.msgpack.decode(reader.read(int.from_bytes(length, "big")), type=EntryBlock)


def _within(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Consecutive entries in groups that fit into one record batch."""
    size = 0

    def batch(entry: Entry) -> int:
        nonlocal size
        size += len(entry.value)
        return size // GROUP_BYTES_MAX

    for _, some in groupby(entries, batch):
        yield list(some)


def is_empty(ends: Mapping[int, int]) -> bool:
    """Whether a topic with these end offsets is empty."""
    return not any(ends.values())


def holds(ends: Mapping[int, int], offsets: Mapping[Any, int]) -> bool:
    """Whether a topic with these end offsets holds all events of a backup."""
    return set(ends) == set(offsets) and all(ends[partition] >= offset for partition, offset in offsets.items())
