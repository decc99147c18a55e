"""Pass two: what rows do the events of a bucket make?

A bucket has all events of each of its visitors, in order, so the rules derive a visitor's sessions and owners from its
first event to its last. Rows are written once, into tables without indexes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shared.events.codec import decode_event
from shared.events.registry import REGISTRY
from shared.projection.bulk.spill import Frame, Named, SpilledEntityEvent, SpilledTouch
from shared.projection.identifier_mentions import edges_of, found_by_person, named_once
from shared.projection.rows import IdentifierMention, suit_touch
from shared.projection.rows import entity_event as about_of
from shared.projection.sessions_in_order import begin_alone, extend_session, in_order_of
from shared.projection.sql import Connection
from shared.projection.stages.entities.apply import ENTITY_EVENT_COLUMNS
from shared.projection.stages.mentions.apply import MENTION_COLUMNS
from shared.projection.stages.touches.apply import TOUCH_COLUMNS, touch_record
from shared.projection.visitors import VisitorState
from shared.rules.excluded_traffic import MachineAgent, TrafficClass, is_machine, traffic_class
from shared.rules.influence import TouchType
from shared.rules.keys import Identifier
from shared.rules.order import BEGINNING, Order
from shared.rules.owner import owned
from shared.rules.settings import NOTHING_SET, Settings

VISITOR_COLUMNS = (
    "ws", "visitor", "newest_us", "newest_event", "owner", "session", "session_at_us", "session_is_new",
    "session_last_us", "session_source",
)  # fmt: skip
IDENTITY_INTERVAL_COLUMNS = ("ws", "person", "from_us", "from_event", "to_us", "to_event", "identifier", "contact")
PART_IDENTIFIER_COLUMNS = ("ws", "identifier", "is_email", "text", "first_us", "first_event")

PARTS = """
CREATE TABLE {g}.part_identifier (
    ws int, identifier bigint, is_email bool, text text, first_us bigint, first_event text COLLATE "C");
CREATE TABLE {g}.part_identity_edge (ws int, a bigint, b bigint, uses int);
CREATE TABLE {g}.part_lateness (ws int, bucket smallint, events bigint);
"""  # what several buckets say of one row, until they are put together


class Context(msgspec.Struct):
    """Facts of the whole log on which the rows of a bucket's events depend.

    By workspace: its settings, its user agents that are machines, which ids are retracted. By partition: a bit for every
    offset, set where the event is a duplicate or has lost its id.
    """

    settings: dict[int, Settings]
    machines: dict[int, dict[int, MachineAgent]]
    retracted: dict[int, frozenset[str]]
    lost: dict[int, bytes]

    def is_lost(self, partition: int, offset: int) -> bool:
        """Whether the event at an offset does not count, because another event has its id."""
        bits = self.lost.get(partition)
        return bits is not None and bool(bits[offset >> 3] >> (offset & 7) & 1)


@dataclass
class Visitor:
    """Everything that a visitor did, and whom it was identified as."""

    touches: list[Any] = field(default_factory=list)
    identified: list[tuple[Order, int]] = field(default_factory=list)
    newest: Order = BEGINNING


@dataclass
class Rows:
    """The rows that a bucket makes."""

    touches: list[Any] = field(default_factory=list)
    entity_events: list[tuple[Any, ...]] = field(default_factory=list)
    mentions: list[tuple[Any, ...]] = field(default_factory=list)
    visitors: list[tuple[Any, ...]] = field(default_factory=list)
    identity_interval: list[tuple[Any, ...]] = field(default_factory=list)
    firsts: dict[tuple[int, Identifier], Order] = field(default_factory=dict)
    edges: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    late: Counter[tuple[int, int]] = field(default_factory=Counter)

    async def write(self, connection: Connection) -> None:
        """Write them all."""
        await connection.copy("touch", TOUCH_COLUMNS, [touch_record(row) for row in self.touches])
        await connection.copy("entity_event", ENTITY_EVENT_COLUMNS, self.entity_events)
        await connection.copy("identifier_mention", MENTION_COLUMNS, self.mentions)
        await connection.copy("visitor", VISITOR_COLUMNS, self.visitors)
        await connection.copy("identity_interval", IDENTITY_INTERVAL_COLUMNS, self.identity_interval)
        firsts = [(ws, i.key, *i, *order) for (ws, i), order in self.firsts.items()]
        await connection.copy("part_identifier", PART_IDENTIFIER_COLUMNS, firsts)
        await connection.copy(
            "part_identity_edge", ("ws", "a", "b", "uses"), [(*of, n) for of, n in self.edges.items()]
        )
        late = [(*of, n) for of, n in self.late.items()]
        await connection.copy("part_lateness", ("ws", "bucket", "events"), late)


class Bucket:
    """Works out a bucket's rows."""

    def __init__(self, context: Context) -> None:
        self.rows = Rows()
        self._context = context
        self._urls = {ws: s.urls for ws, s in context.settings.items() if s.urls != NOTHING_SET}
        self._visitors: dict[tuple[int, int], Visitor] = defaultdict(Visitor)
        self._others: list[Any] = []

    def take(self, frames: Iterable[Frame]) -> None:
        """Take the events that have their id."""
        for frame in frames:
            lost = self._context.lost.get(frame.partition)
            for touch in frame.touches:
                if lost is None or not self._context.is_lost(frame.partition, touch.offset):
                    self._touch(touch)
            for entity_event in frame.entity_events:
                if lost is None or not self._context.is_lost(frame.partition, entity_event.offset):
                    self._entity_event(entity_event)

    def _touch(self, touch: SpilledTouch) -> None:
        row = touch.row
        ws = row.ws
        if (rules := self._urls.get(ws)) is not None:
            suit_touch(row, rules)
        if touch.late is not None:
            self.rows.late[ws, touch.late] += 1
        if row.event_id in self._context.retracted.get(ws, ()):
            row.traffic_class = TrafficClass.RETRACTED
            self.rows.touches.append(row)
            return
        if row.agent is not None and (agent := self._context.machines[ws].get(row.agent)) is not None:
            row.traffic_class = traffic_class(row.flags, is_machine(agent, TouchType(row.type)), False)
        visitor = None
        if row.by_visitor:
            visitor = self._visitors[ws, row.person]
            visitor.touches.append(row)
        else:
            self._others.append(row)
        if touch.named is not None:
            named = IdentifierMention(_identifiers(touch.named), row.person if row.by_visitor else None, False)
            self._name(ws, row.order, named, is_touch=True)
            if visitor is not None:
                visitor.identified.append((row.order, named.contacts[0][0].key))

    def _entity_event(self, entity_event: SpilledEntityEvent) -> None:
        ws, order = entity_event.ws, Order(entity_event.occurred_at_us, entity_event.event_id)
        if entity_event.late is not None:
            self.rows.late[ws, entity_event.late] += 1
        live = entity_event.event_id not in self._context.retracted.get(ws, ())
        about = entity_event.object, entity_event.leads_to
        if REGISTRY[entity_event.type].follows_addresses and (rules := self._urls.get(ws)) is not None:
            about = about_of(decode_event(entity_event.body), rules.addresses)[1:]
        self.rows.entity_events.append(
            (ws, entity_event.subject, *order, entity_event.type, *about, live, entity_event.body)
        )
        if not live or entity_event.named is None:
            return
        named = IdentifierMention(
            _identifiers(entity_event.named), entity_event.visitor, REGISTRY[entity_event.type].merges_contacts
        )
        self._name(ws, order, named, is_touch=False)
        if entity_event.visitor is not None:
            visitor = self._visitors[ws, entity_event.visitor]
            visitor.identified.append((order, named.contacts[0][0].key))
            visitor.newest = max(visitor.newest, order)

    def _name(self, ws: int, order: Order, named: IdentifierMention, *, is_touch: bool) -> None:
        """Note whom an event names, and which names it says are one contact's."""
        rows = self.rows
        for identifier, visitor in named_once(named).items():
            first = rows.firsts.get((ws, identifier))
            if first is None or order < first:
                rows.firsts[ws, identifier] = order
            if visitor is not None or not found_by_person(named, identifier, is_touch=is_touch):
                rows.mentions.append((ws, identifier.key, *order, visitor))
        for a, b in edges_of(named):
            rows.edges[ws, a, b] += 1
            rows.edges[ws, b, a] += 1

    def derive(self) -> Rows:
        """Sessions and owners of all visitors, from their first event to their last."""
        rows = self.rows
        for (ws, key), visitor in self._visitors.items():
            gap_us = self._context.settings[ws].session_gap_us
            session = extend_session(None, visitor.touches, gap_us)
            newest = max(visitor.newest, visitor.touches[-1].order) if visitor.touches else visitor.newest
            intervals = owned(visitor.identified)
            owner = intervals[-1].identifier if intervals else None
            rows.touches += visitor.touches
            rows.visitors.append((ws, *VisitorState(newest, owner, session).row(key)))
            rows.identity_interval += [(ws, key, *o.start, *o.end, o.identifier, o.identifier) for o in intervals]
        for row in self._others:
            begin_alone(row)
        self._others.sort(key=lambda row: (row.person, *in_order_of(row)))
        rows.touches += self._others
        return rows


def _identifiers(named: Named) -> tuple[tuple[Identifier, ...], ...]:
    return tuple(tuple(Identifier(identifier) for identifier in contact) for contact in named)
