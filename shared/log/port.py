"""What must a log of events be able to do?

A log has partitions; a partition is a sequence of entries numbered by `offset` from 0 without gaps; a workspace lives in
one partition, so its entries have one order. `append` answers only when the entries are durable: what it has answered is
never lost and never moves.
"""

import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """One record of the log. `value` is what was appended, byte for byte.

    `workspace` is empty where the record is none of ours: it names no workspace, or one of another partition.
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
            raise ValueError(f"{text!r} is no position")
        return cls(int(partition), int(offset))


class LogUnavailable(Exception):
    """The log did not answer in time or cannot take more now; `retry_after_s` is a suggestion, `code` what a client is told.

    What was to be appended may be there all the same, as always where an answer is lost: send it again, with its ids.
    """

    def __init__(self, message: str, retry_after_s: int = 1, code: str = "unavailable") -> None:
        super().__init__(message)
        self.retry_after_s, self.code = retry_after_s, code


class LogDamaged(Exception):
    """The log does not hold what it once held. Nothing goes on by itself: what follows would be wrong numbers."""


class EventLog(Protocol):
    """The port. Adapters: `shared.log.postgres`, `shared.log.kafka`. All calls but `close` raise `LogUnavailable`."""

    partitions: int
    identity: str
    """Tells this log from any other: a projection is of one log."""

    async def append(self, workspace: str, values: Sequence[bytes]) -> Position:
        """Append in order, all or nothing, and answer when durable: the position after the last value."""
        ...

    async def read(self, partition: int, offset: int, events_max: int) -> Sequence[Entry]:
        """Up to `events_max` entries from `offset` on; empty at the end. Never skips: raises `LogDamaged` instead.

        For one who reads on and on; a partition has one such reader, and `another` makes a log for one more.
        """
        ...

    async def entries(self, partition: int, offsets: Sequence[int]) -> Sequence[Entry]:
        """The entries at some offsets, in their order, without disturbing the reader. Raises `LogDamaged`."""
        ...

    async def end(self, partition: int) -> int:
        """The offset that the next entry will get."""
        ...

    async def wait(self, partition: int, offset: int, timeout_s: float) -> None:
        """Return when an entry at `offset` may be there, or after the time given."""
        ...

    def another(self) -> "EventLog":
        """The same log for one more reader of its partitions, to be closed by itself."""
        ...

    async def leave(self, partition: int) -> None:
        """Let go of what `read` and `wait` keep for a partition's reader, who has ended."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, then let go of all connections."""
        ...


class Assignment(Protocol):
    """The port by which processes share a log's partitions. Adapters: `shared.log.postgres`, `shared.log.kafka_group`.

    It only says who should project what. That nobody projects twice is the projection's own doing.
    """

    async def run(self, begin: Callable[[int], None], end: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        """Call `begin` with each partition that is this process's from now on, `end` with those that are no more.

        Runs until it is cancelled, and then ends all. What is lost while away is asked for again.
        """
        ...

    def passed(self, partition: int, offset: int) -> None:
        """Tell whom it may concern that all before `offset` is projected."""
        ...


def partition_of(workspace: str, partitions: int) -> int:
    """The partition of a workspace: CRC-32 of its id, so that every process agrees."""
    return zlib.crc32(workspace.encode()) % partitions
