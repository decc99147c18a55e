"""How does a call see everything that its workspace had accepted before? Calls of a workspace take turns.

A turn waits until the projection has reached the end of the log as it was when the turn began, reads that state, and appends. The next
turn begins after that, in whatever process: PostgreSQL holds the lock. So of two equal calls at once the second finds the state as
wished. Events sent by other calls have no turn.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import asyncpg
import msgspec

from services.ingest.registered_addresses import Registered
from shared.events.codec import Record, Refusal, decode_record, encode_event, encode_record
from shared.events.types import Event
from shared.log.port import EventLog, Position, partition_of
from shared.reading.snapshot import Snapshot, snapshot_on
from shared.rules.acceptance import accept
from shared.sealing.log import as_stored
from shared.wakeups import Wakeups, projected

WAIT_S = 5.0  # for a turn, and in it for the projection: as long as a read waits for a position
LOOK_AGAIN_S = 0.25  # a wake-up may be lost
AT_ONCE_MAX = 4  # turns of a process: each keeps one of its few connections while it waits

LOCK = "SELECT pg_advisory_lock($1)"
UNLOCK = "SELECT pg_advisory_unlock($1)"


class NotInTime(Exception):
    """The turn did not come, or the projection did not get as far, within `WAIT_S` seconds."""


class NotAppended(Exception):
    """An event that a call made is not accepted; nothing of the call is appended. `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass
class Turn:
    """A turn of a workspace: its state before, and how it is changed."""

    snapshot: Snapshot
    now_us: int
    before: Position
    _log: EventLog
    _key_hint: str

    async def stored(self, event: Event) -> Any:
        """The event as the log keeps it: of a sealed store with digests in its URLs, as the projection compares them.

        Raises `NotAppended` or `LogUnavailable`.
        """
        (kept,) = await as_stored(self._log, self.snapshot.workspace, [encode_record(self._record(event))])
        return decode_record(kept).event

    async def target_of(self, asset_id: str, stored: str) -> str:
        """The link of an asset as it was registered, whose row holds `stored`; that itself if no more is known. Raises `LogUnavailable`."""
        registered = await Registered(self._log).target(self.snapshot.fetch, self.snapshot.workspace, asset_id, stored)
        return stored if registered is None else registered

    def _record(self, event: Event) -> Record:
        outcome = accept(encode_event(event), 0, "server", time.time_ns() // 1000, None, self._key_hint)
        if isinstance(outcome, Refusal):
            raise NotAppended(outcome)
        return _with_instant(outcome, event, self.now_us)

    async def append(self, events: Sequence[Event]) -> Position:
        """Append events; the position after them, once they are durable. Without events, the position that the turn saw.

        Raises `NotAppended` or `LogUnavailable`.
        """
        if not events:
            return self.before
        records = [self._record(event) for event in events]
        return await self._log.append(self.snapshot.workspace, list(map(encode_record, records)))


def _with_instant(record: Record, event: Event, now_us: int) -> Record:
    """The record of an event without an instant happens when the turn began, which is what the turn compared with."""
    if event.occurred_at is not None or event.as_of is not None:
        return record
    return msgspec.structs.replace(record, occurred_at=now_us)


@dataclass
class Turns:
    """Gives turns of the workspaces of one store."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    log: EventLog
    wakeups: Wakeups
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE_MAX))

    @asynccontextmanager
    async def take(self, workspace: str, key_hint: str) -> AsyncIterator[Turn]:
        """Wait for a turn of the workspace, and for its projection. Raises `NotInTime`, `LogUnavailable`, or as `snapshot_on` does."""
        lock = int.from_bytes(
            blake2b(workspace.encode(), digest_size=8, person=b"catalog").digest(), "little", signed=True
        )
        try:
            async with asyncio.timeout(WAIT_S):
                await self._at_once.acquire()
        except TimeoutError as error:
            raise NotInTime from error
        try:
            async with self.pool.acquire() as raw:
                try:
                    await raw.execute(LOCK, lock, timeout=WAIT_S)
                except TimeoutError as error:
                    raise NotInTime from error
                try:
                    partition = partition_of(workspace, self.log.partitions)
                    end = Position(partition, await self.log.end(partition))
                    async with self._reached(raw, workspace, end) as snapshot:
                        yield Turn(snapshot, time.time_ns() // 1000, end, self.log, key_hint)
                finally:
                    if not raw.is_closed():
                        await raw.execute(UNLOCK, lock)
        finally:
            self._at_once.release()

    async def reaches(self, workspace: str, position: Position) -> bool:
        """Whether everything before a position is projected. Raises as `snapshot_on` does."""
        async with self.pool.acquire() as raw, snapshot_on(raw, workspace) as snapshot:
            return snapshot.as_of.offset >= position.offset

    @asynccontextmanager
    async def _reached(self, raw: Any, workspace: str, end: Position) -> AsyncIterator[Snapshot]:
        """A snapshot that shows everything before `end`. Raises `NotInTime`."""
        deadline_s = asyncio.get_running_loop().time() + WAIT_S
        topic = projected(end.partition)
        while True:
            seen_count = self.wakeups.count(topic)
            async with snapshot_on(raw, workspace) as snapshot:
                if snapshot.as_of.offset >= end.offset:
                    yield snapshot
                    return
            left_s = deadline_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                raise NotInTime
            await self.wakeups.changed(topic, seen_count, min(LOOK_AGAIN_S, left_s))
