"""Stage *touches*: every touch is written, once.

A touch of a visitor whose events come in order has its session before it is written (rule **session**), and every touch the
traffic class that its user agent gives it; what depends on more than that is decided by the stages after this one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shared.projection.changes import (
    Change,
    Changes,
    EventsAdmitted,
    EventsArrived,
    SettingsChanged,
    TouchesAdded,
    TouchesRemoved,
    UtmValuesAdded,
    VisitorsChanged,
)
from shared.projection.pipeline import Context, Stage
from shared.projection.rows import Prepared, TouchRow, identified_visitor, keys_of_visit, suit_touch
from shared.projection.sessions_in_order import begin_alone, extend_session
from shared.projection.sql import sql
from shared.projection.stages.touches.gather import VISITS, visitor_states
from shared.projection.visitors import VisitorEvents, VisitorState
from shared.recognition.machine_agents import classify_agent
from shared.rules.excluded_traffic import FLAGGED_SCANNER, MachineRules, TrafficClass, is_machine, traffic_class
from shared.rules.influence import TouchType
from shared.rules.order import Order
from shared.rules.settings import NOTHING_SET, UrlRules

CHUNK_ROWS = 5_000  # of visits whose keys follow changed settings: some 5 MB of URLs at a time
KNOWN_UTM_VALUES_MAX = 65_536  # keys that a projector remembers to have written; about 6 MB

TOUCH_COLUMNS = TouchRow.__struct_fields__
touch_record = msgspec.structs.astuple

DROP_TOUCHES = sql("""
DELETE FROM {g}.touch t USING unnest($2::bigint[], $3::bigint[], $4::text[]) u(person, at_us, event_id)
WHERE t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")
RETRACT_TOUCHES = sql(f"""
UPDATE {{g}}.touch t SET traffic_class = {TrafficClass.RETRACTED:d}, flags = t.flags & {~FLAGGED_SCANNER},
    session = NULL, session_at_us = NULL, session_is_new = NULL
FROM unnest($2::bigint[], $3::bigint[], $4::text[]) u(person, at_us, event_id)
WHERE t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")
SET_VISITS = sql("""
UPDATE {g}.touch t SET asset_or_page_key = u.asset_or_page_key, via = u.via, source = u.source
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
    u(person, at_us, event_id, asset_or_page_key, via, source)
WHERE t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")
ADD_UTM_READINGS = sql("""
INSERT INTO {g}.utm_reading SELECT $1, * FROM unnest($2::bigint[], $3::bigint[]) ON CONFLICT DO NOTHING RETURNING value
""")


@dataclass
class _Visitors:
    """The events of each visitor in the batch."""

    events: dict[int, VisitorEvents] = field(default_factory=dict)

    def take(self, arrived: Prepared, *, leaves: bool) -> None:
        """Take an event that enters or leaves the set, if it is a visitor's."""
        row, event = arrived.row, arrived.event
        if row is not None and row.by_visitor:
            of = self._of(row.person, row.order)
            of.touches.append(row)
        elif row is None and (visitor := identified_visitor(event)) is not None:
            of = self._of(visitor, Order(arrived.occurred_at_us, arrived.event_id))
        else:
            return
        of.loses |= leaves
        if arrived.mention is not None:
            of.identified_as.append(arrived.mention.contacts[0][0].key)

    def _of(self, visitor: int, order: Order) -> VisitorEvents:
        of = self.events.get(visitor)
        if of is None:
            of = self.events[visitor] = VisitorEvents(order, order)
        elif order < of.earliest:
            of.earliest = order
        elif order > of.latest:
            of.latest = order
        return of


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Write the touches that entered the set and remove those that left it; pass on both, and their visitors."""
    values = await save_utm_readings(context, changes.of(EventsArrived).readings)
    if (settings := changes.settings()) is not None and settings.was.urls != settings.now.urls:
        await _apply_url_rules(context, settings.now.urls)
    admitted = changes.of(EventsAdmitted)
    visitors = _Visitors()
    for arrived in admitted.leaving:
        visitors.take(arrived, leaves=True)
    for arrived in admitted.entering:
        visitors.take(arrived, leaves=False)
    removed = [a.row for a in admitted.leaving if a.row is not None]
    added = [_classified(a, context.settings.machine_rules) for a in admitted.entering if a.row is not None]
    outside = [a.row for a in admitted.outside if a.row is not None]
    for row in outside:
        row.traffic_class = TrafficClass.RETRACTED
    _complete(context, (*added, *removed, *outside))
    changed = await _in_order(context, visitors.events, added)
    await _write(context, admitted, [*added, *outside])
    return [TouchesAdded(tuple(added)), TouchesRemoved(tuple(removed)), UtmValuesAdded(frozenset(values)), changed]


def _classified(arrived: Prepared, rules: MachineRules) -> TouchRow:
    """The row of a touch with the traffic class that its user agent gives it."""
    row = arrived.row
    assert row is not None
    if arrived.user_agent is not None:
        agent = classify_agent(arrived.user_agent, rules)
        row.traffic_class = traffic_class(row.flags, is_machine(agent, TouchType(row.type)), False)
    return row


def _complete(context: Context, rows: Iterable[TouchRow]) -> None:
    """Give rows their workspace, and the keys that its settings of URLs give them."""
    suits = context.settings.urls != NOTHING_SET
    for row in rows:
        row.ws = context.ws
        if suits:
            suit_touch(row, context.settings.urls)


async def _in_order(context: Context, events: dict[int, VisitorEvents], added: Sequence[TouchRow]) -> VisitorsChanged:
    """Give sessions to the touches of visitors whose events are in order; the others are late."""
    for row in added:
        begin_alone(row)
    states = await visitor_states(context, list(events))
    late: set[int] = set()
    gap_us = context.settings.session_gap_us
    for visitor, of in events.items():
        state = states.get(visitor)
        if of.loses or (state is not None and of.earliest < state.newest):
            late.add(visitor)
            if state is None:
                states[visitor] = VisitorState(of.latest, None, None)
            elif of.latest > state.newest:
                state.newest = of.latest
            continue
        if state is None:
            state = states[visitor] = VisitorState(of.latest, None, None)
        state.newest = of.latest
        state.session = extend_session(state.session, of.touches, gap_us)
    return VisitorsChanged(events, states, frozenset(late))


async def _write(context: Context, admitted: EventsAdmitted, rows: Sequence[TouchRow]) -> None:
    """A row that another event replaces, or that comes back, is rewritten."""
    for statement, arrived in ((DROP_TOUCHES, admitted.without_row), (RETRACT_TOUCHES, admitted.retracted)):
        if places := [(a.place, a.occurred_at_us, a.event_id) for a in arrived if a.is_touch]:
            await context.connection.execute(statement, context.ws, *map(list, zip(*places, strict=True)))
    await context.connection.copy("touch", TOUCH_COLUMNS, [touch_record(row) for row in rows])


async def save_utm_readings(context: Context, readings: Mapping[int, int]) -> set[int]:
    """Write the values that read otherwise decoded, if they are new; answers these."""
    remembered = context.remembered.utm_values
    new = {value: decoded for value, decoded in readings.items() if value not in remembered}
    if not new:
        return set()
    if len(remembered) > KNOWN_UTM_VALUES_MAX:
        remembered.clear()
    remembered |= set(new)
    rows = await context.connection.fetch(ADD_UTM_READINGS, context.ws, list(new), list(new.values()))
    return {row["value"] for row in rows}


async def _apply_url_rules(context: Context, rules: UrlRules) -> None:
    """Give every stored page visit the keys of changed settings. What is written while the cursor is open, it does not see."""
    connection = context.connection
    cursor = await connection.raw.cursor(VISITS.replace("{g}", connection.generation), context.ws)
    while rows := await cursor.fetch(CHUNK_ROWS):
        if found := [changed for row in rows if (changed := _visit(row, rules)) is not None]:
            await connection.execute(SET_VISITS, context.ws, *map(list, zip(*found, strict=True)))


def _visit(row: Any, rules: UrlRules) -> tuple[Any, ...] | None:
    keys = keys_of_visit(
        row["url"], row["utm_told"] or "", row["referrer"], row["asset_id"], row["via_asset_id"], rules
    )
    if keys == (row["asset_or_page_key"], row["via"], row["source"]):
        return None
    return row["person"], row["occurred_at_us"], row["event_id"], *keys


STAGE = Stage(
    "touches", run, takes=(EventsArrived, EventsAdmitted, SettingsChanged),
    passes_on=(TouchesAdded, TouchesRemoved, UtmValuesAdded, VisitorsChanged), package=__package__,
    owns=("touch", "utm_reading"), reads=("visitor",),
)  # fmt: skip
