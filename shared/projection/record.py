"""Layer *record*: write what arrived, once, and note whom it concerns.

Touches of visitors whose events came in order get their session before they are written, so that a row is written once.
"""

from collections import Counter
from collections.abc import Iterable
from operator import itemgetter

import msgspec

from shared.events import types as e
from shared.events.codec import encode_event, event_type
from shared.events.registry import BY_STRUCT
from shared.projection.admission import SetChange
from shared.projection.rows import Prepared, TouchRow, identified_visitor, identifier_mention
from shared.projection.sql import Connection, sql
from shared.projection.traffic_classes import judged
from shared.projection.work import VisitorChange, Work
from shared.rules.excluded_traffic import FLAGGED_SCANNER, TrafficClass, is_machine, traffic_class
from shared.rules.influence import TouchType
from shared.rules.order import Order
from shared.rules.settled import counted

TOUCH_COLUMNS = TouchRow.__struct_fields__
touch_record = msgspec.structs.astuple
EVENT_INDEX_COLUMNS = (
    "ws", "event_key", "occurred_at_us", "place", "is_touch", "live", "log_offset", "sent_hash", "as_of_us",
)  # fmt: skip
ENTITY_EVENT_COLUMNS = ("ws", "subject", "occurred_at_us", "event_id", "type", "object", "leads_to", "live", "body")

DROP_TOUCHES = sql("""
DELETE FROM {g}.touch t USING unnest($2::bigint[], $3::bigint[], $4::text[]) u(person, at_us, event_id)
WHERE t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")
RETRACT_TOUCHES = sql(f"""
UPDATE {{g}}.touch t SET traffic_class = {TrafficClass.RETRACTED:d}, flags = t.flags & {~FLAGGED_SCANNER}, session = NULL, session_at_us = NULL, session_is_new = NULL
FROM unnest($2::bigint[], $3::bigint[], $4::text[]) u(person, at_us, event_id)
WHERE t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")
DROP_ENTITY_EVENTS = sql("""
DELETE FROM {g}.entity_event f USING unnest($2::bigint[], $3::bigint[], $4::text[]) u(subject, at_us, event_id)
WHERE f.ws = $1 AND f.subject = u.subject AND f.occurred_at_us = u.at_us AND f.event_id = u.event_id
""")
RETRACT_ENTITY_EVENTS = sql("""
UPDATE {g}.entity_event f SET live = false FROM unnest($2::bigint[], $3::bigint[], $4::text[]) u(subject, at_us, event_id)
WHERE f.ws = $1 AND f.subject = u.subject AND f.occurred_at_us = u.at_us AND f.event_id = u.event_id
""")


def sort_out(work: Work) -> None:
    """Note what enters and leaves the set, and which entities that concerns. No I/O.

    A touch has the traffic class that its user agent gives; whose touch it is, is asked once that is known (`traffic_classes`).
    """
    for arrived in work.change.leaving:
        _concerns(work, arrived, leaves=True)
    for arrived in work.change.entering:
        _concerns(work, arrived, leaves=False)


def _concerns(work: Work, arrived: Prepared, *, leaves: bool) -> None:
    event = arrived.event
    named = identifier_mention(event)
    if named is not None:
        work.named.append((arrived, named, leaves))
    visitor = None
    row = arrived.row
    if row is not None:
        row.ws = work.ws
        (work.left_touches if leaves else work.touches).append(row)
        if arrived.user_agent is not None:
            agent = judged(arrived.user_agent, work.settings.machine_rules)
            row.traffic_class = traffic_class(row.flags, is_machine(agent, TouchType(row.type)), False)
        if row.by_visitor:
            visitor = _visitor_change(work, row.person, row.order)
            visitor.touches.append(row)
    else:
        _entity_event_concerns(work, arrived)
        if (identified := identified_visitor(event)) is not None:
            visitor = _visitor_change(work, identified, Order(arrived.occurred_at_us, arrived.event_id))
    if visitor is not None:
        visitor.loses |= leaves
        if named is not None:
            visitor.identified_as.append(named.contacts[0][0].key)


def _visitor_change(work: Work, visitor: int, order: Order) -> VisitorChange:
    change = work.visitors.get(visitor)
    if change is None:
        change = work.visitors[visitor] = VisitorChange(order, order)
    elif order < change.earliest:
        change.earliest = order
    elif order > change.latest:
        change.latest = order
    return change


def _entity_event_concerns(work: Work, arrived: Prepared) -> None:
    told, about = BY_STRUCT[type(arrived.event)], arrived.about
    assert about is not None
    if "catalog" in told.stages:
        if told.entity == "asset":
            work.assets.add(about.subject)
        elif told.entity == "campaign":
            work.campaigns.add(about.subject)
        if told.object_key is not None and told.object_key.kind == "campaign" and about.object is not None:
            work.campaigns.add(about.object)
    if told.entity == "deal" and "deals" in told.stages:
        work.deals.add(about.subject)
    if isinstance(arrived.event, e.WorkspaceConfigured):
        work.settings_told = True


async def write(work: Work) -> None:
    """Write the touches and entity events; a row that another event replaces, or that comes back, is written anew."""
    change = work.change
    connection, ws = work.connection, work.ws
    fresh = {a.event_id for a in change.fresh}
    restored = [a for a in change.entering if a.event_id not in fresh]
    replaced = {a.event_id for a in change.replaced}
    gone = [*change.replaced, *restored]
    retracted = [a for a in change.leaving if a.event_id not in replaced]
    for statement, kind, arrived in (
        (DROP_TOUCHES, True, gone), (RETRACT_TOUCHES, True, retracted),
        (DROP_ENTITY_EVENTS, False, gone), (RETRACT_ENTITY_EVENTS, False, retracted),
    ):  # fmt: skip
        places = [(a.place, a.occurred_at_us, a.event_id) for a in arrived if a.is_touch == kind]
        if places:
            await connection.execute(statement, ws, *map(list, zip(*places, strict=True)))
    outside = [a.row for a in change.outside if a.row is not None]
    for arrived_out in change.outside:
        if (row := arrived_out.row) is not None:
            row.ws = ws
            row.traffic_class = TrafficClass.RETRACTED
    await connection.copy("touch", TOUCH_COLUMNS, [touch_record(row) for row in (*work.touches, *outside)])
    await _write_entity_events(work, restored)
    await _write_event_index(work)


async def _write_entity_events(work: Work, restored: Iterable[Prepared]) -> None:
    out = {a.event_id for a in work.change.outside}
    rows = [
        (work.ws, about.subject, a.occurred_at_us, a.event_id, event_type(a.event), about.object, about.leads_to,
         a.event_id not in out, entity_event_body(a.event))
        for a in (*work.change.fresh, *restored) if (about := a.about) is not None
    ]  # fmt: skip
    await work.connection.copy("entity_event", ENTITY_EVENT_COLUMNS, rows)


def entity_event_body(event: e.Event) -> bytes:
    """What an entity event keeps of its event: all but id, instant, `as_of` and `sent_at`, which have columns or are used up."""
    return encode_event(msgspec.structs.replace(event, id=None, occurred_at=None, as_of=None, sent_at=None))


def event_index_row(ws: int, arrived: Prepared, *, live: bool) -> tuple[object, ...]:
    """The row that knows an event's id."""
    return (
        ws, arrived.key128, arrived.occurred_at_us, arrived.place, arrived.is_touch, live, arrived.offset,
        arrived.sent_hash, arrived.as_of_us,
    )  # fmt: skip


async def _write_event_index(work: Work) -> None:
    out = {a.event_id for a in work.change.outside}
    rows = [event_index_row(work.ws, a, live=a.event_id not in out) for a in work.change.fresh]
    rows.sort(key=itemgetter(1))  # neighbours in the index one after another
    await work.connection.copy("event_index", EVENT_INDEX_COLUMNS, rows)


ADD_LATENESS = sql("""
INSERT INTO {g}.lateness SELECT $1, * FROM unnest($2::smallint[], $3::bigint[])
ON CONFLICT (ws, bucket) DO UPDATE SET events = lateness.events + excluded.events
""")
DROP_NO_LATENESS = sql("DELETE FROM {g}.lateness WHERE ws = $1 AND events = 0")


async def record_lateness(connection: Connection, ws: int, change: SetChange) -> None:
    """Count how late the batch's live events came (rule **settled**), each id once."""
    late = Counter(counted(a.late_us for a in change.fresh if a.is_punctual))
    gone = [a for a in (*change.replaced, *(before for before, _ in change.renewed)) if a is not None and a.is_punctual]
    if gone:
        late.subtract(counted(a.late_us for a in gone))
    if late:
        await connection.execute(ADD_LATENESS, ws, list(late), list(late.values()))
    if gone:
        await connection.execute(DROP_NO_LATENESS, ws)
