"""Which deals may a batch change, and what is stored of them, their contacts and their journeys?"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from shared.events import types as e
from shared.events.codec import decode_event
from shared.events.instants import to_micros
from shared.events.registry import name_of
from shared.projection.changes import (
    Changes,
    ContactsChanged,
    EntitiesChanged,
    ReclassifiedTouch,
    SettingsChanged,
    TouchesAdded,
    TouchesRemoved,
    TrafficChanged,
    VisitorsChanged,
)
from shared.projection.pipeline import Context
from shared.projection.rows import TouchRow
from shared.projection.sql import owned, sql, sql_numbers
from shared.projection.visitors import owned_persons
from shared.rules.deal import DealFields, Member, State
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import DEAL_TOUCHES
from shared.rules.keys import Identifier, identifiers
from shared.rules.order import Order

_A_DEAL_TOUCH = f"""t.traffic_class = {TrafficClass.COUNTED:d}
    AND t.type IN ({sql_numbers(DEAL_TOUCHES)})"""

DISSOCIATED = name_of(e.DealContactDissociated)

LATEST_CLOSE = sql("SELECT max(closed_us) FROM {g}.deal WHERE ws = $1")
DEALS_OF_LATE_TOUCHES = sql("""
SELECT DISTINCT c.deal FROM unnest($2::bigint[], $3::bigint[]) u(person, at_us)
JOIN {g}.identity_interval o ON o.ws = $1 AND o.person = u.person
JOIN {g}.deal_contact c ON c.ws = $1 AND c.contact = o.contact
JOIN {g}.deal d ON d.ws = $1 AND d.deal = c.deal AND d.closed_us > u.at_us
""")  # deals closed after a touch that has only now arrived, left, or got another traffic class
_OPEN_DEALS = f"""
FROM unnest($2::bigint[]) u(person)
JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.person = u.person
JOIN {{g}}.deal_contact c ON c.ws = $1 AND c.contact = o.contact
JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = c.deal AND d.state = '{State.OPEN}'
"""
OPEN_DEALS_OF = sql(f"SELECT DISTINCT c.deal {_OPEN_DEALS}")
"""The open deals of persons of whom a touch has left, or got another traffic class."""
WHO_HAVE_OPEN_DEALS = sql(f"SELECT DISTINCT u.person {_OPEN_DEALS}")
"""Which of some persons have an open deal."""
DEALS_NAMING = sql("SELECT DISTINCT deal FROM {g}.deal_named WHERE ws = $1 AND identifier = ANY($2::bigint[])")
ALL_DEALS = sql("SELECT deal FROM {g}.deal WHERE ws = $1")
ENTITY_EVENTS = sql("""
SELECT subject, type, occurred_at_us, event_id, body FROM {g}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND live
""")
CONTACTS_OF = sql("""
SELECT i.identifier, c.contact, c.name, c.created_us, c.created_event
FROM {g}.identifier i JOIN {g}.contact c ON c.ws = $1 AND c.contact = i.contact
WHERE i.ws = $1 AND i.identifier = ANY($2::bigint[])
""")
DEAL_TOUCHES_OF = sql(f"""
SELECT u.deal, t.person, t.occurred_at_us, t.event_id, t.type, o.contact, t.asset_id, t.asset_or_page_key, t.via, t.utm
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) u(deal, contact, to_us)
JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.contact = u.contact
JOIN {{g}}.touch t ON t.ws = $1 AND t.person = o.person
    AND t.occurred_at_us >= o.from_us AND t.occurred_at_us <= o.to_us AND t.occurred_at_us < u.to_us
    AND {owned()} AND {_A_DEAL_TOUCH}
ORDER BY t.occurred_at_us, t.event_id
""")  # the deal touches of the eligible contacts of deals, each before the deal's close, in order

ADDED_TO_OPEN = sql(f"""
SELECT d.deal, d.created_us, o.contact, t.occurred_at_us, t.type, t.asset_or_page_key, t.via, t.utm
FROM (SELECT DISTINCT p.person FROM unnest($2::bigint[]) p(person)) u
JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.person = u.person
JOIN {{g}}.deal_contact c ON c.ws = $1 AND c.contact = o.contact AND c.deal <> ALL($5::bigint[])
JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = c.deal AND d.state = '{State.OPEN}'
JOIN unnest($2::bigint[], $3::bigint[], $4::text[]) a(person, at_us, event_id) ON a.person = u.person
    AND (a.at_us, a.event_id COLLATE "C") >= (o.from_us, o.from_event)
    AND (a.at_us, a.event_id COLLATE "C") < (o.to_us, o.to_event)
JOIN {{g}}.touch t ON t.ws = $1 AND t.person = a.person AND t.occurred_at_us = a.at_us AND t.event_id = a.event_id
    AND {_A_DEAL_TOUCH}
""")  # the deal touches, among those that were added, of the eligible contacts of open deals but for some of them

DealEvent = tuple[Order, str, Any]
"""An event about a deal: its place among all events, its type, and the event itself."""


async def deals_concerned(context: Context, changes: Changes) -> set[int]:
    """The deals that the batch's events, touches, contacts or settings may change."""
    deals = set(changes.of(EntitiesChanged).deals)
    if _concerns_all(changes.settings()):
        return deals | {row["deal"] for row in await context.connection.fetch(ALL_DEALS, context.ws)}
    if named := changes.of(ContactsChanged).identifiers:
        deals |= {row["deal"] for row in await context.connection.fetch(DEALS_NAMING, context.ws, list(named))}
    return deals | await _deals_of_touches(context, changes)


def _concerns_all(settings: SettingsChanged | None) -> bool:
    """Whether a setting has changed that a deal may depend on: any but how outside producers' messages read."""
    return settings is not None and settings.was.of_history != settings.now.of_history


async def _deals_of_touches(context: Context, changes: Changes) -> set[int]:
    """The deals that closed after a touch of their contacts which came, left, or has another traffic class now."""
    added, removed = changes.of(TouchesAdded).touches, changes.of(TouchesRemoved).touches
    reclassified = changes.of(TrafficChanged).touches
    if not added and not removed and not reclassified:
        return set()
    deals: set[int] = set()
    if changed := {touch.person for touch in chain[TouchRow | ReclassifiedTouch](removed, reclassified)}:
        deals |= {r["deal"] for r in await context.connection.fetch(OPEN_DEALS_OF, context.ws, list(changed))}
    latest_us = await context.connection.fetchval(LATEST_CLOSE, context.ws)
    if latest_us is None:
        return deals
    earliest: dict[int, int] = {}
    touches: Iterable[TouchRow | ReclassifiedTouch] = chain(added, removed, reclassified)
    for touch in touches:
        if touch.occurred_at_us < earliest.get(touch.person, latest_us):
            earliest[touch.person] = touch.occurred_at_us
    if not earliest:
        return deals
    rows = await context.connection.fetch(DEALS_OF_LATE_TOUCHES, context.ws, list(earliest), list(earliest.values()))
    return deals | {row["deal"] for row in rows}


async def added_to_open(context: Context, changes: Changes, but: Collection[int]) -> list[Any]:
    """What the batch's touches add to open deals, as rows of `ADDED_TO_OPEN`; `but` are deals that are derived again anyway."""
    added = [touch for touch in changes.of(TouchesAdded).touches if touch.type in DEAL_TOUCHES]
    persons = owned_persons(changes.of(VisitorsChanged).states, added)
    if not persons:
        return []
    have = {row["person"] for row in await context.connection.fetch(WHO_HAVE_OPEN_DEALS, context.ws, persons)}
    places = [(touch.person, touch.occurred_at_us, touch.event_id) for touch in added if touch.person in have]
    if not places:
        return []
    return await context.connection.fetch(
        ADDED_TO_OPEN, context.ws, *map(list, zip(*places, strict=True)), list(but)
    )  # fmt: skip


async def events_of(context: Context, deals: Sequence[int]) -> Mapping[int, list[DealEvent]]:
    """The events about each of these deals; a deal without any is absent."""
    events: dict[int, list[DealEvent]] = defaultdict(list)
    for row in await context.connection.fetch(ENTITY_EVENTS, context.ws, deals):
        order = Order(row["occurred_at_us"], row["event_id"])
        events[row["subject"]].append((order, row["type"], decode_event(row["body"])))
    return dict(events)


async def contacts_of(context: Context, named: Collection[int]) -> dict[int, Any]:
    """The contact of each of these identifiers, as a row of `CONTACTS_OF`."""
    if not named:
        return {}
    return {r["identifier"]: r for r in await context.connection.fetch(CONTACTS_OF, context.ws, list(named))}


class DealTouch(NamedTuple):
    """A row of `DEAL_TOUCHES_OF`."""

    deal: int
    person: int
    occurred_at_us: int
    event_id: str
    type: int
    contact: int
    asset_id: str | None
    asset_or_page_key: int | None
    via: int | None
    utm: int | None


async def deal_touches_of(context: Context, asked: Sequence[tuple[int, int, int]]) -> Mapping[int, list[DealTouch]]:
    """The deal touches of deals by key, in order.

    `asked` has for each deal and eligible contact their keys, and the close in microseconds (`END_US`: it is open).
    """
    out: dict[int, list[DealTouch]] = defaultdict(list)
    if asked:
        rows = await context.connection.fetch(DEAL_TOUCHES_OF, context.ws, *map(list, zip(*asked, strict=True)))
        for touch in map(DealTouch._make, rows):
            out[touch.deal].append(touch)
    return out


def fields_of(order: Order, kind: str, event: Any) -> DealFields:
    """What the rule reads of a deal event."""
    closed_at = getattr(event, "closed_at", None)
    return DealFields(
        order, kind, getattr(event, "won", None), getattr(event, "name", None), getattr(event, "amount", None),
        getattr(event, "currency", None), None if closed_at is None else to_micros(closed_at),
    )  # fmt: skip


def members_of(events: list[Any], contact_of: Mapping[int, int]) -> list[Member]:
    """Who joined and left a deal, by contact."""
    return [
        Member(order, contact_of[named[0].key], kind != DISSOCIATED)
        for order, kind, event in events
        for named in contacts_named(event)
    ]


def contacts_named(event: Any) -> list[tuple[Identifier, ...]]:
    """The identifiers of each contact that a deal's event names."""
    if isinstance(event, e.DealCreated):
        return [identifiers(contact) for contact in event.contacts]
    if isinstance(event, e.DealContactAssociated):
        return [identifiers(event.contact)]
    return []


def keys_named(events: Iterable[DealEvent]) -> set[int]:
    """The keys of all identifiers that a deal's events name."""
    return {i.key for _, _, event in events for contact in contacts_named(event) for i in contact}
