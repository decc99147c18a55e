"""What must a log of events be able to do?

A log has partitions; a partition is a sequence of entries numbered by `offset` from 0 without gaps; all entries of a
workspace are in one partition, so they have one order. `append` returns only when the entries are durable: from then on
they are never lost and keep their offsets.
"""

import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from shared.errors import ExpectedError


class Entry(NamedTuple):
    """One record of the log. `value` is what was appended, byte for byte.

    `workspace` is empty where the record is not ours: its key names no workspace, or a workspace of another partition.
    """

    offset: int
    workspace: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the log: everything before `offset` (exclusive) in the partition."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"p{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """The position that `str` wrote. Raises `ValueError` on anything else."""
        partition, _, offset = text.removeprefix("p").partition("-")
        if not (text.startswith("p") and partition.isdecimal() and offset.isdecimal()):
            raise ValueError(f"{text!r} is not a position")
        return cls(int(partition), int(offset))


class LogUnavailable(ExpectedError):
    """The log did not answer in time or cannot take more now. `retry_after_s` is a suggestion; `code` goes into the HTTP answer.

    The events may have been appended all the same, as always where an answer is lost: send them again with the same ids.
    """

    def __init__(self, message: str, retry_after_s: int = 1, code: str = "unavailable") -> None:
        super().__init__(message)
        self.retry_after_s, self.code = retry_after_s, code


class LogDamaged(ExpectedError):
    """The log lacks entries that it once held. Projection stops, because going on would make wrong numbers."""


class EventLog(Protocol):
    """The port. Adapters: `shared.log.postgres`, `shared.log.kafka`. All calls but `close` raise `LogUnavailable`."""

    partitions: int
    identity: str
    """Identifies this log among all others: a projection belongs to one log."""

    async def append(self, workspace: str, values: Sequence[bytes]) -> Position:
        """Append in order, all or nothing. Returns, once the values are durable, the position after the last one."""
        ...

    async def read(self, partition: int, offset: int, events_max: int) -> Sequence[Entry]:
        """Up to `events_max` entries from `offset` on; empty at the end. Never skips: raises `LogDamaged` instead.

        For a reader that reads a partition continuously. A log has one such reader a partition; `another` gives a log for one more.
        """
        ...

    async def entries(self, partition: int, offsets: Sequence[int]) -> Sequence[Entry]:
        """The entries at these offsets, in the order given; leaves the place of `read` as it is. Raises `LogDamaged`."""
        ...

    async def end(self, partition: int) -> int:
        """The offset that the next entry will get."""
        ...

    async def wait(self, partition: int, offset: int, timeout_s: float) -> None:
        """Return when an entry at `offset` may exist, or after `timeout_s` seconds."""
        ...

    def another(self) -> "EventLog":
        """The same log for one more reader of its partitions. The caller closes it."""
        ...

    async def leave(self, partition: int) -> None:
        """Free what `read` and `wait` keep for a partition, whose reader has ended."""
        ...

    async def close(self) -> None:
        """Write everything that was accepted, then close all connections."""
        ...


class Assignment(Protocol):
    """The port by which processes share a log's partitions. Adapters: `shared.log.postgres`, `shared.log.kafka_group`.

    It only says which process should project which partition. The projection itself makes sure that no event is projected twice.
    """

    async def run(self, begin: Callable[[int], None], end: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        """Call `begin` with each partition that this process gets, `end` with those that it loses.

        Runs until it is cancelled, and then ends all partitions. After a lost connection it asks for partitions again.
        """
        ...

    def passed(self, partition: int, offset: int) -> None:
        """Report that every entry of the partition before `offset` is projected."""
        ...


def partition_of(workspace: str, partitions: int) -> int:
    """The partition of a workspace: CRC-32 of its id, modulo the count, so that every process gets the same."""
    return zlib.crc32(workspace.encode()) % partitions
