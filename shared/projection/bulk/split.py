"""Pass one: what does a stretch of the log hold, and to which bucket does each event belong?

Every id goes to `event_index`, whose unique index shows afterwards whether two events have one id. The events themselves wait in files,
because their rows depend on the whole log: which events are retracted, which lost their id to another event, and the settings.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from shared.events import types as e
from shared.events.codec import event_type
from shared.log.port import Entry, EventLog, LogDamaged
from shared.projection.batch import Batch, decode
from shared.projection.bulk.spill import Block, Frame, Named, SpilledEntityEvent, SpilledTouch, SpillWriter
from shared.projection.partitions import leaf_of
from shared.projection.projector import workspace_number
from shared.projection.rows import NOBODY, SETTINGS_SUBJECT, Prepared, agents_of, identified_visitor
from shared.projection.sql import Connection, sql
from shared.projection.stages.admission.apply import EVENT_INDEX_COLUMNS, event_index_row
from shared.projection.stages.entities.apply import entity_event_body
from shared.rules.settled import bucket as lateness_bucket

READ_EVENTS = 5_000  # at a time

OFFSETS = sql("SELECT event_key, log_offset FROM {g}.event_index WHERE ws = $1 AND event_key = ANY($2::bytea[])")


@dataclass(frozen=True)
class Selection:
    """Which events of a log a generation is made of: those of one workspace, or those received by an instant, if it says so."""

    workspace: str | None = None
    received_by_us: int | None = None
    winners_in: str | None = None
    """A generation that knows which of several events with one id counts; without it all are chosen."""
    snapshot: str | None = None
    """An exported snapshot in which it is asked: a version that arrives later than what is read must not take an id away."""

    async def chosen(self, connection: Connection, entries: Sequence[Entry]) -> Batch:
        """As `batch`, and ask which events have their id."""
        batch = self.batch(entries)
        if self.winners_in is not None:
            known = Connection(connection.raw, self.winners_in)
            for workspace, arrived in batch.arrived.items():
                ws = await workspace_number(known, workspace)
                rows = await known.fetch(OFFSETS, ws, [a.key128 for a in arrived])
                counts = {row["event_key"]: row["log_offset"] for row in rows}
                batch.arrived[workspace] = [a for a in arrived if counts.get(a.key128) == a.offset]
        return batch

    def batch(self, entries: Sequence[Entry]) -> Batch:
        """Decode what is chosen of some entries of the log."""
        if self.workspace is not None:
            chosen = decode([entry for entry in entries if entry.workspace == self.workspace])
            batch = Batch(entries, chosen.arrived, chosen.readings, [])
        else:
            batch = decode(entries)
        for workspace, arrived in batch.arrived.items():
            batch.arrived[workspace] = [a for a in arrived if self.takes(a)]
        return batch

    def takes(self, arrived: Prepared) -> bool:
        """Whether an event of the workspace is chosen."""
        return self.received_by_us is None or arrived.received_at_us <= self.received_by_us


ALL = Selection()


@asynccontextmanager
async def within(connection: Connection, snapshot: str | None) -> AsyncIterator[None]:
    """A transaction, which sees what an exported snapshot shows if one is named."""
    isolation: Any = None if snapshot is None else "repeatable_read"
    async with connection.raw.transaction(isolation=isolation):
        if snapshot is not None:
            await connection.raw.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        yield


class Span(msgspec.Struct, frozen=True, array_like=True):
    """The events of a partition from `begin` (inclusive) to `end` (exclusive)."""

    partition: int
    begin: int
    end: int

    @property
    def events(self) -> int:
        """How many there are."""
        return self.end - self.begin


class WorkspaceEvent(msgspec.Struct, frozen=True, array_like=True):
    """An event that concerns its whole workspace: a retraction of `target`, or settings (then that is empty)."""

    ws: int
    offset: int
    occurred_at_us: int
    event_id: str
    target: str
    body: bytes


class Split(msgspec.Struct):
    """What a span holds: where its events wait, and what is to be known of it before they are worked on."""

    span: Span
    path: str
    size: int
    blocks: dict[int, list[Block]]
    received_us: int
    workspaces: dict[int, str]
    agents: dict[int, dict[int, str]]
    readings: dict[int, dict[int, int]]
    workspace_events: list[WorkspaceEvent]
    leaves: set[int]


async def split(
    connection: Connection, log: EventLog, span: Span, path: Path, buckets: int, selection: Selection
) -> Split:
    """Split a span of the log into a file, and write its ids. In the caller's transaction. Raises `LogDamaged`."""
    found = Split(span, str(path), 0, {}, 0, {}, defaultdict(dict), defaultdict(dict), [], set())
    numbers: dict[str, int] = {}
    with SpillWriter(path) as writer:
        at = span.begin
        while at < span.end:
            entries = await log.read(span.partition, at, min(READ_EVENTS, span.end - at))
            if not entries:
                raise LogDamaged(f"partition {span.partition} ends at {at}; {span.end} was projected from it")
            batch = await selection.chosen(connection, entries)
            found.received_us = max(found.received_us, batch.received_us)
            for workspace, arrived in batch.arrived.items():
                if workspace not in numbers:
                    numbers[workspace] = await workspace_number(connection, workspace)
                ws = numbers[workspace]
                found.workspaces[ws] = workspace
                found.agents[ws] |= agents_of(arrived)
                found.readings[ws] |= batch.readings.get(workspace, {})
                _take(found, writer, ws, arrived, buckets)
                await connection.copy(
                    "event_index", EVENT_INDEX_COLUMNS, [event_index_row(ws, a, live=True) for a in arrived]
                )
            at = entries[-1].offset + 1
    found.blocks, found.size = dict(writer.blocks), writer.size
    return found


def _take(found: Split, writer: SpillWriter, ws: int, arrived: list[Prepared], buckets: int) -> None:
    """Sort the events of one workspace into buckets."""
    frames: dict[int, Frame] = {}
    for a in arrived:
        named = a.mention
        contacts: Named | None = None if named is None else named.contacts
        late = lateness_bucket(a.late_us) if a.is_punctual else None
        spilled: SpilledTouch | SpilledEntityEvent
        if (row := a.row) is not None:
            row.ws = ws
            found.leaves.add(leaf_of(row.occurred_at_us))
            place = row.person
            spilled = SpilledTouch(a.offset, late, contacts, row)
        else:
            assert a.about is not None
            visitor = identified_visitor(a.event)
            place = a.about.subject if visitor is None else visitor
            spilled = SpilledEntityEvent(
                a.offset, late, contacts, visitor, ws, a.about.subject, a.occurred_at_us, a.event_id,
                event_type(a.event), a.about.object, a.about.leads_to, entity_event_body(a.event),
            )  # fmt: skip
            if place == SETTINGS_SUBJECT:
                _add_workspace_event(found, spilled, a.event)
        bucket = _bucket(place, a, buckets)
        if (frame := frames.get(bucket)) is None:
            frame = frames[bucket] = Frame(found.span.partition, [], [])
        (frame.touches if a.row is not None else frame.entity_events).append(spilled)  # type: ignore[arg-type]
    for bucket, frame in frames.items():
        writer.add(bucket, frame)


def _bucket(place: int, arrived: Prepared, buckets: int) -> int:
    """By person or subject; what is nobody's, by its id."""
    if place in (NOBODY, SETTINGS_SUBJECT):
        place = int.from_bytes(arrived.key128[:8], "little")
    return place % buckets


def _add_workspace_event(found: Split, entity_event: SpilledEntityEvent, event: e.Event) -> None:
    target = event.event_id if isinstance(event, e.EventRetracted) else ""
    if target or isinstance(event, e.WorkspaceConfigured):
        found.workspace_events.append(
            WorkspaceEvent(
                entity_event.ws,
                entity_event.offset,
                entity_event.occurred_at_us,
                entity_event.event_id,
                target,
                entity_event.body,
            )
        )
