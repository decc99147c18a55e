"""What would the numbers be with other events or settings? Builds a generation beside the live one, with the changes.

Settings are changed, events retracted and events added as in the log: by events, which are projected after all others but are
in no log. So every rule applies to them, and the live projection is not affected.
"""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec
import orjson

from services.replay.build import Build, Resources, begin_scratch, drop_scratch
from services.replay.verify import offsets_of
from shared.errors import ExpectedError
from shared.events.codec import Arrived, Record, Refusal, decode_record, encode_record
from shared.log.port import Entry, EventLog, Position, partition_of
from shared.projection.bulk.split import Selection
from shared.projection.generations import WHAT_IF, Generation, check_log, drop_expired, live_generation
from shared.projection.sql import Connection, sql
from shared.rules.acceptance import accept
from shared.rules.keys import event_key
from shared.rules.once import BEFORE_ALL_US, recency
from shared.sealing.log import as_stored

LAST = "9999-12-31T23:59:59Z"  # later than all other events, so it overrides them
NUMBER = sql("SELECT ws FROM {g}.workspace_rows WHERE workspace_id = $1")
KNOWN = "SELECT true FROM touchline.generation WHERE name = $1 AND ready_at IS NOT NULL"
READY = """
UPDATE touchline.generation SET ready_at = now(), workspace_id = $2, changes = $3, expires_at = now() + $4 WHERE name = $1
"""
SEEN = sql("SELECT event_key, as_of_us FROM {g}.event_index WHERE ws = $1 AND event_key = ANY($2::bytea[])")
STANDS_AT = sql("UPDATE {g}.progress SET next_offset = $2 WHERE partition = $1")


class NameTaken(ExpectedError):
    """A generation of this name exists already."""


class ImpossibleChange(ExpectedError):
    """A change that is not possible; the message says which and why."""


@dataclass(frozen=True)
class Changes:
    """The changes: settings, events to add, events (by id) to leave out, and an instant after which received events are left out."""

    settings: dict[str, Any]
    added: Sequence[Record]
    without: Sequence[str]
    received_by_us: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The changes as JSON, stored with the generation."""
        return {
            "settings": self.settings, "added": [id_of(record) for record in self.added],
            "without": list(self.without), "received_by_us": self.received_by_us,
        }  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A generation for `?generation=name`, projected up to the live generation's position at the time of the request."""

    name: str
    position: Position
    expires_in: dt.timedelta


class Extended:
    """A log with some records added at the end of one partition, only in this object. See `EventLog`."""

    def __init__(self, log: EventLog, at: Position, workspace: str, values: Sequence[bytes]) -> None:
        self.partitions, self.identity = log.partitions, log.identity
        self._log, self._at = log, at
        self._more = [Entry(at.offset + n, workspace, value) for n, value in enumerate(values)]

    async def append(self, workspace: str, values: Sequence[bytes]) -> Position:
        """Not possible: this log is read-only."""
        raise NotImplementedError

    async def read(self, partition: int, offset: int, events_max: int) -> Sequence[Entry]:
        """See `EventLog.read`."""
        if partition != self._at.partition or offset < self._at.offset:
            return await self._log.read(partition, offset, events_max)
        begin = offset - self._at.offset
        return self._more[begin : begin + events_max]

    async def entries(self, partition: int, offsets: Sequence[int]) -> Sequence[Entry]:
        """See `EventLog.entries`."""
        stored = [offset for offset in offsets if not self._is_more(partition, offset)]
        found = {e.offset: e for e in await self._log.entries(partition, stored)} if stored else {}
        return [
            self._more[o - self._at.offset] if self._is_more(partition, o) else found[o] for o in offsets
        ]  # fmt: skip

    def _is_more(self, partition: int, offset: int) -> bool:
        return partition == self._at.partition and offset >= self._at.offset

    async def end(self, partition: int) -> int:
        """See `EventLog.end`."""
        return len(self._more) + self._at.offset if partition == self._at.partition else await self._log.end(partition)

    async def wait(self, partition: int, offset: int, timeout_s: float) -> None:
        """See `EventLog.wait`."""
        await self._log.wait(partition, offset, timeout_s)

    def another(self) -> EventLog:
        """See `EventLog.another`."""
        return self._log.another()

    async def leave(self, partition: int) -> None:
        """See `EventLog.leave`."""
        await self._log.leave(partition)

    async def close(self) -> None:
        """See `EventLog.close`: does nothing, the underlying log stays open."""


def id_of(record: Record) -> str:
    """The id of an event that is to be added."""
    event_id: str = record.id or orjson.loads(bytes(record.event))["id"]
    return event_id


def settings_event(settings: dict[str, Any], now_us: int) -> Record:
    """An event that sets these settings, later than all others. Raises `ImpossibleChange`."""
    return _last({"type": "workspace_configured", "id": "what-if:set", "settings": settings}, now_us)


def _taken_out(event_id: str, now_us: int) -> Record:
    return _last({"type": "event_retracted", "id": f"what-if:without:{event_key(event_id).hex()}", "event_id": event_id}, now_us)  # fmt: skip


def _last(event: dict[str, Any], now_us: int) -> Record:
    body = orjson.dumps({**event, "occurred_at": LAST})
    record = accept(body, 0, "server", 2**62, None)
    if isinstance(record, Refusal):
        raise ImpossibleChange(record.detail)
    return msgspec.structs.replace(record, received_at=now_us)


async def what_if(
    resources: Resources, name: str, workspace: str, changes: Changes, keep: dt.timedelta,
    begun: Callable[[int], None], advance: Callable[[int], None],
) -> Made:  # fmt: skip
    """Build the generation, for one workspace, up to the live generation's current position. Live events are projected meanwhile.

    Raises `NameTaken`, `ImpossibleChange`, `NoGeneration`, `WrongShape`, `WrongLog` or `LogDamaged`.
    """
    await drop_expired(resources.pool)
    live = await live_generation(resources.pool)
    check_log(live, resources.log.identity, resources.log.partitions)
    schema = WHAT_IF + name
    if await resources.pool.fetchval(KNOWN, schema):
        raise NameTaken(f"a generation {name} exists already; `touchline replay drop {name}` removes it")
    partition = partition_of(workspace, live.partitions)
    at = Position(partition, (await offsets_of(resources.pool, live.name)).get(partition, 0))
    await _check(resources.pool, live, workspace, changes)
    now_us = time.time_ns() // 1000
    records = [*changes.added, *(_taken_out(event_id, now_us) for event_id in changes.without)]
    if changes.settings:
        records.append(settings_event(changes.settings, now_us))
    begun(at.offset + len(records))
    generation = Generation(schema, live.log, live.partitions)
    async with begin_scratch(resources.pool, generation) as connection:
        try:
            await Build(resources, generation, advance, Selection(workspace, changes.received_by_us)).run(
                {partition: at.offset}
            )
            values = await as_stored(resources.log, workspace, [encode_record(record) for record in records])
            await _extend(resources, generation, at, workspace, values, advance)
            await connection.execute(READY, schema, workspace, changes.as_json(), keep)
        except BaseException:
            await drop_scratch(connection, schema)
            raise
    return Made(name, at, keep)


async def _extend(
    resources: Resources, generation: Generation, at: Position, workspace: str, values: Sequence[bytes],
    advance: Callable[[int], None],
) -> None:  # fmt: skip
    """Project the added records, then set the generation's offset to the end of the real log's part."""
    log = Extended(resources.log, at, workspace, values)
    build = Build(Resources(resources.pool, log), generation, lambda _: None, Selection(workspace))
    await build.run({at.partition: at.offset + len(values)})
    advance(len(values))
    async with Connection.of(resources.pool, generation.name) as connection:
        await connection.execute(STANDS_AT, at.partition, at.offset)


def _as_of_us(record: Record) -> int | None:
    arrived: Arrived = decode_record(encode_record(record))
    return arrived.as_of_us


async def _check(pool: "asyncpg.Pool[asyncpg.Record]", live: Generation, workspace: str, changes: Changes) -> None:
    """Raise `ImpossibleChange` for an event to leave out that does not exist, or one to add that would not count."""
    added = {id_of(record): _as_of_us(record) for record in changes.added}
    async with Connection.of(pool, live.name) as connection:
        ws = await connection.fetchval(NUMBER, workspace) or 0
        rows = await connection.fetch(SEEN, ws, [event_key(i) for i in (*added, *changes.without)])
    known = {row["event_key"]: recency(row["as_of_us"]) for row in rows}
    if there := [i for i, as_of_us in added.items() if known.get(event_key(i), BEFORE_ALL_US - 1) >= recency(as_of_us)]:
        raise ImpossibleChange(
            f"an event with the id {there[0]} exists already, and an id counts once; use another id, or a later `as_of`"
        )
    if missing := [i for i in changes.without if event_key(i) not in known and i not in added]:
        raise ImpossibleChange(f"there is no event {missing[0]} to take out")
