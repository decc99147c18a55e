"""How are unmapped messages mapped after their mapping was added? They are read again from the log, and their events are appended.

An event is the same as if its message had been mapped when it arrived: the same id, time of receipt, and so the same instant, and
the same key. So this can run any number of times: an event that was appended before is found by its id, and not appended again.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg
import msgspec

from services.replay.earlier_events import EarlierEvents
from services.replay.sending import append_patiently
from shared.events.codec import Record, Refusal, encode_record
from shared.events.refusal import UNDECODABLE
from shared.events.registry import name_of
from shared.events.types import UnmappedEvent
from shared.log.port import Entry, EventLog, partition_of
from shared.producers.message import Unmapped, Unreadable, events_of
from shared.producers.readers import READINGS, Reading
from shared.projection.acceptance_settings import AcceptanceSettings, acceptance_settings_of
from shared.rules.acceptance import accept
from shared.rules.keys import event_key
from shared.sealing.log import vault_of

READ_EVENTS = 2_000  # of the log, at a time, and so many messages at most in one append
SEEN_MAX = 1_000_000  # ids of messages kept in some 70 MB of memory: a message that was sent twice is counted once
MARK = f'"{name_of(UnmappedEvent)}"'.encode()  # occurs in the log's record of every unmapped message

_record = msgspec.json.Decoder(Record).decode
_event = msgspec.json.Decoder(UnmappedEvent).decode
_body = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass
class Remapped:
    """The outcome of the unmapped messages of a producer, by their names. `events` counts the appended events."""

    mapped: Counter[str] = field(default_factory=Counter)
    already: Counter[str] = field(default_factory=Counter)
    unmapped: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)
    """Why the first refused message of each name was refused."""
    conflicts: int = 0
    """Events whose id exists with other content, because the mapping has changed since."""
    events: int = 0

    def refuse(self, name: str, why: str) -> None:
        """Count a message that is refused."""
        self.refused[name] += 1
        self.reasons.setdefault(name, why)


@dataclass(frozen=True, slots=True)
class _UnmappedMessage:
    """An unmapped message in the log."""

    record: Record
    name: str
    sent: bytes


@dataclass
class Remap:
    """Reads a workspace's partition from its beginning. `advance` is called with the number of entries read, and of all."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    log: EventLog
    workspace: str
    producer: str
    dry_run: bool = False
    advance: Callable[[int, int], None] = lambda _, __: None

    async def run(self) -> Remapped:
        """Append the events of messages that can be mapped now. Raises `KeyError` for a producer without remapping, `LogUnavailable`, `LogDamaged`."""
        reading = READINGS[self.producer]
        accepting = await acceptance_settings_of(self.pool, self.workspace)
        known = EarlierEvents(self.pool, self.log, self.workspace)
        await known.begin()
        remapped = Remapped()
        partition = partition_of(self.workspace, self.log.partitions)
        end, at, seen = await self.log.end(partition), 0, set[bytes]()
        while at < end and (entries := await self.log.read(partition, at, min(READ_EVENTS, end - at))):
            at = entries[-1].offset + 1
            kept = [each for entry in entries if (each := self._kept(entry, seen)) is not None]
            await self._map(remapped, reading, accepting, known, kept)
            self.advance(at, end)
        await self.log.leave(partition)
        return remapped

    def _kept(self, entry: Entry, seen: set[bytes]) -> _UnmappedMessage | None:
        """The message in an entry; None if the entry holds no unmapped message of this producer, or one that was read before."""
        if entry.workspace != self.workspace or MARK not in entry.value:
            return None
        try:
            record = _record(entry.value)
            event = _event(record.event)
            if event.producer != self.producer:
                return None
            sent = bytes(_body(record.event)["body"])
        except UNDECODABLE:  # another event, or one that is not valid and so never counts
            return None
        key = event_key(f"{record.key}:{event.id or record.id}")
        if key in seen:
            return None
        if len(seen) >= SEEN_MAX:
            seen.clear()
        seen.add(key)
        return _UnmappedMessage(record, event.name, sent)

    async def _map(
        self,
        remapped: Remapped,
        reading: Reading,
        accepting: AcceptanceSettings,
        known: EarlierEvents,
        kept: Sequence[_UnmappedMessage],
    ) -> None:
        """Map some messages again, and append those of their events that are new."""
        taken: list[tuple[str, list[Record]]] = []
        for each in kept:
            record = each.record
            message = reading.read(each.sent, accepting.producers, record.key, record.received_at)
            if isinstance(message.means, Unmapped):
                remapped.unmapped[each.name] += 1
            elif isinstance(message.means, Unreadable):
                remapped.refuse(each.name, message.means.message)
            else:
                outcomes = [
                    accept(msgspec.json.encode(event), 0, record.key, record.received_at, record.user_agent, record.key_hint,
                           nobody=accepting.nobody, forgets=vault_of(self.log) is not None)
                    for event in events_of(self.producer, message)
                ]  # fmt: skip
                wrong = next((outcome for outcome in outcomes if isinstance(outcome, Refusal)), None)
                if wrong is not None:
                    remapped.refuse(each.name, wrong.detail)
                    continue
                taken.append((each.name, [outcome for outcome in outcomes if isinstance(outcome, Record)]))
        records = [record for _, of_message in taken for record in of_message]
        fates = iter([fate for _, fate in await known.fates(records)])
        new: list[Record] = []
        for name, of_message in taken:
            own = [(record, next(fates)) for record in of_message]
            fresh = [record for record, fate in own if fate == "new"]
            remapped.conflicts += sum(fate == "conflicts" for _, fate in own)
            (remapped.mapped if fresh or not own else remapped.already)[name] += 1
            new += fresh
        remapped.events += len(new)
        if new and not self.dry_run:
            values = [encode_record(record) for record in new]
            known.sent((await append_patiently(self.log, self.workspace, values)).offset)
