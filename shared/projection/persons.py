"""Layer *derive*: which identifiers are one contact, which touches are its own, and how did it come to be?"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from shared.events import types as e
from shared.events.codec import decode_event
from shared.events.registry import EVENT_TYPES, REGISTRY, name_of, names_about, sql_names
from shared.projection.rows import IdentifierMention
from shared.projection.sessions import VisitorState
from shared.projection.sql import sql
from shared.projection.work import VisitorChange, Work
from shared.rules.contact import (
    SALESFORCE_PROPERTY,
    Merge,
    Named,
    SalesforceTold,
    components,
    created,
    name,
    representative,
    salesforce_campaigns,
)
from shared.rules.excluded_traffic import TrafficClass, internal_contact
from shared.rules.influence import TouchType
from shared.rules.keys import Identifier, event_key, identifiers, utm_key
from shared.rules.order import BEGINNING, END, Order
from shared.rules.owner import owned
from shared.rules.page import parse
from shared.rules.settings import Settings

MENTION_COLUMNS = ("ws", "identifier", "occurred_at_us", "event_id", "visitor")

DROP_MENTIONS = sql("""
DELETE FROM {g}.identifier_mention n USING unnest($2::bigint[], $3::bigint[], $4::text[]) u(identifier, at_us, event_id)
WHERE n.ws = $1 AND n.identifier = u.identifier AND n.occurred_at_us = u.at_us AND n.event_id = u.event_id
""")

IDENTIFIERS = sql("SELECT * FROM {g}.identifier WHERE ws = $1 AND identifier = ANY($2::bigint[])")

SAVE_IDENTIFIERS = sql("""
INSERT INTO {g}.identifier (ws, identifier, is_email, text, first_us, first_event) SELECT $1, * FROM unnest(
    $2::bigint[], $3::bool[], $4::text[], $5::bigint[], $6::text[])
ON CONFLICT (ws, identifier) DO UPDATE SET first_us = excluded.first_us, first_event = excluded.first_event
""")

FIRST_NAMED = sql(f"""
SELECT i.identifier, f.occurred_at_us, f.event_id FROM unnest($2::bigint[]) i(identifier)
LEFT JOIN LATERAL (
    SELECT occurred_at_us, event_id FROM (
        (SELECT occurred_at_us, event_id FROM {{g}}.identifier_mention WHERE ws = $1 AND identifier = i.identifier
         ORDER BY occurred_at_us, event_id LIMIT 1)
        UNION ALL
        (SELECT occurred_at_us, event_id FROM {{g}}.touch WHERE ws = $1 AND person = i.identifier
            AND NOT by_visitor AND traffic_class <> {TrafficClass.RETRACTED:d} ORDER BY occurred_at_us, event_id LIMIT 1)) n
    ORDER BY 1, 2 LIMIT 1) f ON true
""")  # the earliest event that names each identifier

ADD_EDGES = sql("""
INSERT INTO {g}.identity_edge SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::int[])
ON CONFLICT (ws, a, b) DO UPDATE SET uses = identity_edge.uses + excluded.uses RETURNING a, xmax = 0 AS fresh
""")  # fresh: no event had said so before
DROP_UNUSED_EDGES = sql("DELETE FROM {g}.identity_edge WHERE ws = $1 AND a = ANY($2::bigint[]) AND uses = 0")


async def record_mentions(work: Work) -> None:
    """Write which identifiers the batch's events name, and mark those that it may change."""
    rows: list[tuple[int, int, int, str, int | None]] = []
    dropped: list[tuple[int, int, str]] = []
    edges: dict[tuple[int, int], int] = defaultdict(int)
    firsts: dict[Identifier, Order] = {}
    lost: dict[int, Order] = {}
    for arrived, named, leaves in work.named:
        order = Order(arrived.occurred_at_us, arrived.event_id)
        for identifier, visitor in named_once(named).items():
            if leaves:
                dropped.append((identifier.key, *order))
                lost[identifier.key] = min(order, lost.get(identifier.key, order))
                continue
            if order < firsts.get(identifier, END):
                firsts[identifier] = order
            if visitor is not None or not found_by_person(named, identifier, is_touch=arrived.is_touch):
                rows.append((work.ws, identifier.key, *order, visitor))
        for a, b in edges_of(named):
            edges[a, b] += -1 if leaves else 1
            if leaves:
                work.identifiers |= {a, b}
        if named.merge:
            work.identifiers |= {contact[0].key for contact in named.contacts}
    if dropped:
        await work.connection.execute(DROP_MENTIONS, work.ws, *map(list, zip(*dropped, strict=True)))
    await work.connection.copy("identifier_mention", MENTION_COLUMNS, rows)
    await _record_firsts(work, firsts, lost, edges)
    await _record_edges(work, edges)


def named_once(named: IdentifierMention) -> dict[Identifier, int | None]:
    """Every identifier that the event names, once; the first with the visitor that it identifies."""
    out: dict[Identifier, int | None] = {}
    for i, contact in enumerate(named.contacts):
        for j, identifier in enumerate(contact):
            out.setdefault(identifier, named.visitor if i == j == 0 else None)
    return out


def found_by_person(named: IdentifierMention, identifier: Identifier, *, is_touch: bool) -> bool:
    """Whether the touch's own row says that it names the identifier, so that no mention row is needed."""
    return is_touch and named.visitor is None and identifier == named.contacts[0][0]


def edges_of(named: IdentifierMention) -> Iterable[tuple[int, int]]:
    """The pairs of identifiers that the event says are one contact, as keys."""
    for contact in named.contacts:
        if len(contact) > 1:
            yield contact[0].key, contact[1].key
    if named.merge and named.contacts[0][0] != named.contacts[1][0]:
        yield named.contacts[0][0].key, named.contacts[1][0].key


async def _record_firsts(
    work: Work, firsts: dict[Identifier, Order], lost: dict[int, Order], edges: dict[tuple[int, int], int]
) -> None:
    keys = {identifier.key for identifier in firsts} | set(lost)
    if not keys:
        return
    rows = await work.connection.fetch(IDENTIFIERS, work.ws, list(keys))
    known = {row["identifier"]: row for row in rows}
    save: list[tuple[int, bool, str, int | None, str | None]] = []
    for identifier, order in firsts.items():
        row = known.get(identifier.key)
        if row is None or row["first_us"] is None or order < Order(row["first_us"], row["first_event"]):
            work.identifiers.add(identifier.key)
            save.append((identifier.key, *identifier, *order))
    for a, b in edges:
        if a not in known or b not in known or known[a]["contact"] != known[b]["contact"]:
            work.identifiers |= {a, b}
    await _save_identifiers(work, save)
    if lost:
        found = await work.connection.fetch(FIRST_NAMED, work.ws, list(lost))
        rows = await work.connection.fetch(IDENTIFIERS, work.ws, list(lost))
        texts = {row["identifier"]: row for row in rows}
        work.identifiers |= set(lost)
        await _save_identifiers(
            work,
            [
                (k, texts[k]["is_email"], texts[k]["text"], at_us, event_id)
                for k, at_us, event_id in found
                if k in texts
            ],
        )


async def _save_identifiers(work: Work, rows: list[tuple[int, bool, str, int | None, str | None]]) -> None:
    if rows:
        await work.connection.execute(SAVE_IDENTIFIERS, work.ws, *map(list, zip(*rows, strict=True)))


async def _record_edges(work: Work, edges: dict[tuple[int, int], int]) -> None:
    both_ways = [(a, b, n) for (a, b), n in edges.items() if n] + [(b, a, n) for (a, b), n in edges.items() if n]
    uses: dict[tuple[int, int], int] = defaultdict(int)
    for a, b, n in both_ways:
        uses[a, b] += n
    if uses:
        columns = map(list, zip(*((a, b, n) for (a, b), n in uses.items()), strict=True))
        added = await work.connection.fetch(ADD_EDGES, work.ws, *columns)
        work.identifiers |= {row["a"] for row in added if row["fresh"]}
        await work.connection.execute(DROP_UNUSED_EDGES, work.ws, [a for a, _ in uses])


IDENTIFICATIONS = sql("""
SELECT visitor, occurred_at_us, event_id, identifier FROM {g}.identifier_mention WHERE ws = $1 AND visitor = ANY($2::bigint[])
""")
OWNED = sql("SELECT person, contact FROM {g}.identity_interval WHERE ws = $1 AND person = ANY($2::bigint[])")
DROP_IDENTITY_INTERVAL = sql("""
DELETE FROM {g}.identity_interval WHERE ws = $1 AND person = ANY($2::bigint[]) RETURNING contact
""")
ADD_IDENTITY_INTERVAL = sql("""
INSERT INTO {g}.identity_interval SELECT $1, u.person, u.from_us, u.from_event, u.to_us, u.to_event, u.identifier,
    coalesce(i.contact, u.identifier)
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::bigint[])
    u(person, from_us, from_event, to_us, to_event, identifier)
LEFT JOIN {g}.identifier i ON i.ws = $1 AND i.identifier = u.identifier
""")


async def derive_identity_intervals(
    work: Work, states: dict[int, VisitorState], late: dict[int, VisitorChange]
) -> None:
    """Whose the touches of the batch's visitors are; unchanged for a visitor identified in order as who it was."""
    changed = [
        visitor
        for visitor, change in work.visitors.items()
        if (change.identified_as or change.loses)
        and (visitor in late or any(i != states[visitor].owner for i in change.identified_as))
    ]
    if late:
        work.contacts |= {r["contact"] for r in await work.connection.fetch(OWNED, work.ws, list(late))}
    if not changed:
        return
    told: dict[int, list[tuple[Order, int]]] = defaultdict(list)
    for row in await work.connection.fetch(IDENTIFICATIONS, work.ws, changed):
        told[row["visitor"]].append((Order(row["occurred_at_us"], row["event_id"]), row["identifier"]))
    work.owned_anew |= set(changed)
    dropped = await work.connection.fetch(DROP_IDENTITY_INTERVAL, work.ws, changed)
    work.contacts |= {row["contact"] for row in dropped}
    rows = []
    for visitor in changed:
        intervals = owned(told[visitor])
        if visitor in states:
            states[visitor].owner = intervals[-1].identifier if intervals else None
        rows += [(visitor, *o.start, *o.end, o.identifier) for o in intervals]
        work.identifiers |= {o.identifier for o in intervals}
    if rows:
        await work.connection.execute(ADD_IDENTITY_INTERVAL, work.ws, *map(list, zip(*rows, strict=True)))


COMPONENTS = sql("""
WITH RECURSIVE near(identifier) AS (
    SELECT unnest($2::bigint[])
    UNION SELECT identifier FROM {g}.identifier WHERE ws = $1 AND contact = ANY($3::bigint[])
    UNION SELECT l.b FROM near JOIN {g}.identity_edge l ON l.ws = $1 AND l.a = near.identifier
)
SELECT i.*, ARRAY(SELECT l.b FROM {g}.identity_edge l WHERE l.ws = $1 AND l.a = i.identifier) AS linked
FROM near JOIN {g}.identifier i ON i.ws = $1 AND i.identifier = near.identifier
""")  # the identifiers that the marked ones may belong together with, and what edges them

ABOUT_CONTACTS = tuple(
    name for name in names_about("contact", stage="contacts") if not REGISTRY[name].merges_contacts
)  # what is told of a contact itself; merges concern its name
_ABOUT_CONTACTS = frozenset(EVENT_TYPES[name] for name in ABOUT_CONTACTS)
MERGES = sql(f"""
SELECT subject, occurred_at_us, event_id, body FROM {{g}}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND type = '{name_of(e.ContactMerged)}' AND live
""")
TOLD = sql(f"""
SELECT subject, occurred_at_us, event_id, body FROM {{g}}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND live AND type IN {sql_names(ABOUT_CONTACTS)}
""")
SET_CONTACT = sql("""
UPDATE {g}.identifier i SET contact = u.contact, joined = u.joined
FROM unnest($2::bigint[], $3::bigint[], $4::int[]) u(identifier, contact, joined)
WHERE i.ws = $1 AND i.identifier = u.identifier AND (i.contact, i.joined) IS DISTINCT FROM (u.contact, u.joined)
""")
SET_OWNER = sql("""
UPDATE {g}.identity_interval o SET contact = u.contact FROM unnest($2::bigint[], $3::bigint[]) u(identifier, contact)
WHERE o.ws = $1 AND o.identifier = u.identifier AND o.contact <> u.contact
""")
OWN_THEMSELVES = sql(f"""
INSERT INTO {{g}}.identity_interval
SELECT $1, u.identifier, {BEGINNING.at_us}, '', {END.at_us}, '', u.identifier, u.contact
FROM unnest($2::bigint[], $3::bigint[]) u(identifier, contact)
ON CONFLICT (ws, person, from_us, from_event) DO UPDATE SET contact = excluded.contact
WHERE identity_interval.contact <> excluded.contact
""")
DROP_IDENTIFIERS = sql("DELETE FROM {g}.identifier WHERE ws = $1 AND identifier = ANY($2::bigint[])")
DROP_CONTACTS = sql("DELETE FROM {g}.contact WHERE ws = $1 AND contact = ANY($2::bigint[])")
SAVE_CONTACTS = sql("""
INSERT INTO {g}.contact SELECT $1, * FROM unnest(
    $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::bigint[],
    $10::bigint[], $11::jsonb[], $12::bool[])
ON CONFLICT (ws, contact) DO UPDATE SET name = excluded.name, created_us = excluded.created_us,
    created_event = excluded.created_event, first_visit_person = excluded.first_visit_person,
    first_visit_us = excluded.first_visit_us, first_visit_event = excluded.first_visit_event,
    conversion_session = excluded.conversion_session, conversion_utm = excluded.conversion_utm,
    properties = excluded.properties, internal = excluded.internal
""")
INTERNAL = sql("SELECT contact FROM {g}.contact WHERE ws = $1 AND contact = ANY($2::bigint[]) AND internal")
PERSONS_OF = sql("SELECT DISTINCT person FROM {g}.identity_interval WHERE ws = $1 AND identifier = ANY($2::bigint[])")
DROP_MEMBERS = sql("DELETE FROM {g}.salesforce_member WHERE ws = $1 AND contact = ANY($2::bigint[])")
MEMBER_COLUMNS = ("ws", "salesforce_campaign_id", "contact", "source", "joined_us", "joined_event")
SALESFORCE_EVENTS = (e.SalesforceCampaignJoined, e.SalesforceCampaignLeft)


class Person:
    """A contact as the batch derives it."""

    def __init__(self, members: list[Any]) -> None:
        self.members = [row["identifier"] for row in members]
        self.key = representative(self.members)
        self.named = [
            Named(Identifier((row["is_email"], row["text"])), Order(row["first_us"], row["first_event"]))
            for row in members
        ]
        self.created = created(self.named)
        self.merges: list[Merge] = []
        self.properties: dict[str, str] = {}
        self.salesforce: list[SalesforceTold] = []
        self.salesforce_property: list[tuple[Order, str | None]] = []
        self.first_visit: tuple[int, int, str] | None = None
        self.session: int | None = None
        self.utm: int | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return name(self.named, self.merges)

    def internal(self, settings: Settings) -> bool:
        """Whether it is one of the workspace's own people."""
        emails = (named.identifier.text for named in self.named if named.identifier.is_email)
        return bool(settings.internal_domains) and internal_contact(emails, settings.internal_domains)


async def derive_contacts(work: Work) -> None:
    """Derive every marked contact anew, and mark the deals that it may concern."""
    for arrived, named, _ in work.named:
        if type(arrived.event) in _ABOUT_CONTACTS:
            work.identifiers.add(named.contacts[0][0].key)
    if not work.identifiers and not work.contacts:
        return
    known = await work.connection.fetch(IDENTIFIERS, work.ws, list(work.identifiers))
    old = work.contacts | {row["contact"] for row in known if row["contact"] is not None}
    rows = {
        r["identifier"]: r for r in await work.connection.fetch(COMPONENTS, work.ws, list(work.identifiers), list(old))
    }
    old |= {
        row["contact"] for row in rows.values() if row["contact"] in rows
    }  # of those that were reached by edges alone
    unnamed = [key for key, row in rows.items() if row["first_us"] is None]
    edges = [(key, other) for key, row in rows.items() for other in row["linked"] if other in rows]
    persons = [
        Person([rows[key] for key in sorted(component)])
        for component in components((key for key in rows if key not in unnamed), edges)
    ]
    work.contacts = {person.key for person in persons}
    if unnamed:
        await work.connection.execute(DROP_IDENTIFIERS, work.ws, unnamed)
        await work.connection.execute(DROP_IDENTITY_INTERVAL, work.ws, unnamed)
    if work.has_internal:
        await _mark_owned_anew(work, persons, rows, old)
    for person in persons:
        were = {was for member in person.members if (was := rows[member]["contact"]) not in (None, person.key)}
        if were:
            work.regrouped |= {person.key, *were}
    if gone := list(old - work.contacts):
        await work.connection.execute(DROP_CONTACTS, work.ws, gone)
    if old:
        await work.connection.execute(DROP_MEMBERS, work.ws, list(old))
    members = [(member, person.key) for person in persons for member in person.members]
    if members:
        columns = list(map(list, zip(*members, strict=True)))
        others = [len(rows[member]["linked"]) for member, _ in members]
        await work.connection.execute(SET_CONTACT, work.ws, *columns, others)
        await work.connection.execute(SET_OWNER, work.ws, *columns)
        await work.connection.execute(OWN_THEMSELVES, work.ws, *columns)
    await _gather_told(work, persons)
    await _gather_conversions(work, persons)
    await _gather_first_visits(work, persons)
    if persons:
        saved = [
            (p.key, p.name, *p.created, *(p.first_visit or (None, None, None)), p.session, p.utm, p.properties,
             p.internal(work.settings))
            for p in persons
        ]  # fmt: skip
        await work.connection.execute(SAVE_CONTACTS, work.ws, *map(list, zip(*saved, strict=True)))
        joined = [
            (work.ws, member.salesforce_campaign_id, p.key, member.source, *member.joined)
            for p in persons
            for member in salesforce_campaigns(p.salesforce, p.salesforce_property)
        ]
        await work.connection.copy("salesforce_member", MEMBER_COLUMNS, joined)
    work.identifiers = set(rows)


async def _mark_owned_anew(work: Work, persons: list[Person], rows: dict[int, Any], old: set[int]) -> None:
    """Mark whose touches pass to, or from, the workspace's own people."""
    were = {row["contact"] for row in await work.connection.fetch(INTERNAL, work.ws, list(old))}
    changed = [
        member for person in persons for member in person.members
        if (rows[member]["contact"] in were) != person.internal(work.settings)
    ]  # fmt: skip
    if changed:
        work.owned_anew |= {row["person"] for row in await work.connection.fetch(PERSONS_OF, work.ws, changed)}
        work.owned_anew |= set(changed)


async def _gather_told(work: Work, persons: list[Person]) -> None:
    person_of = {member: person for person in persons for member in person.members}
    for row in await work.connection.fetch(MERGES, work.ws, list(person_of)):
        event = decode_event(row["body"])
        assert isinstance(event, e.ContactMerged)
        into = identifiers(event.into)[0].text
        person_of[row["subject"]].merges.append(Merge(Order(row["occurred_at_us"], row["event_id"]), into))
    told = await work.connection.fetch(TOLD, work.ws, list(person_of))
    for row in sorted(told, key=lambda r: (r["occurred_at_us"], r["event_id"])):
        event, person = decode_event(row["body"]), person_of[row["subject"]]
        order = Order(row["occurred_at_us"], row["event_id"])
        if isinstance(event, SALESFORCE_EVENTS):
            source = event.source if isinstance(event, e.SalesforceCampaignJoined) else None
            person.salesforce.append(SalesforceTold(order, event.salesforce_campaign_id, source))
            continue
        if not isinstance(event, e.ContactCreated):
            continue  # it tells no property
        properties = person.properties
        for key, value in (event.properties or {}).items():
            if key == SALESFORCE_PROPERTY:
                person.salesforce_property.append((order, value))
            if value is None:
                properties.pop(key, None)
            else:
                properties[key] = value


CONVERSIONS = sql("""
SELECT u.contact, t.by_visitor, t.url, t.utm, t.type, t.session, coalesce(n.visitor, t.person) AS visitor
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bytea[]) u(contact, at_us, event_id, event_key)
JOIN {g}.event_index s ON s.ws = $1 AND s.event_key = u.event_key
LEFT JOIN {g}.touch t ON s.is_touch AND t.ws = $1 AND t.person = s.place AND t.occurred_at_us = u.at_us
    AND t.event_id = u.event_id
LEFT JOIN {g}.identifier_mention n ON NOT s.is_touch AND n.ws = $1 AND n.identifier = s.place AND n.occurred_at_us = u.at_us
    AND n.event_id = u.event_id
""")  # the event that made each contact: its touch, or the visitor that it identified

LAST_SESSION_EVENT = sql("""
SELECT u.contact, t.session, t.occurred_at_us FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
    u(contact, visitor, at_us, event_id)
CROSS JOIN LATERAL (
    SELECT session, occurred_at_us FROM {g}.touch WHERE ws = $1 AND person = u.visitor AND by_visitor
        AND session IS NOT NULL AND occurred_at_us <= u.at_us
        AND (occurred_at_us, event_id) <= (u.at_us, u.event_id COLLATE "C")
    ORDER BY occurred_at_us DESC, event_id DESC LIMIT 1) t
""")  # what the visitor last did in a session, up to the conversion

LAST_PAGE = sql(f"""
SELECT u.contact, t.utm FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[])
    u(contact, visitor, at_us, event_id, session)
CROSS JOIN LATERAL (
    SELECT utm FROM {{g}}.touch WHERE ws = $1 AND person = u.visitor AND by_visitor AND session = u.session
        AND type = {TouchType.PAGE_VISITED:d} AND occurred_at_us <= u.at_us
        AND (occurred_at_us, event_id) <= (u.at_us, u.event_id COLLATE "C")
    ORDER BY occurred_at_us DESC, event_id DESC LIMIT 1) t
""")  # the session's last page visit up to the conversion

FIRST_VISITS = sql(f"""
SELECT o.contact, o.person, t.occurred_at_us, t.event_id
FROM unnest($2::bigint[], $3::bigint[], $4::text[]) u(contact, at_us, event_id)
JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.contact = u.contact
CROSS JOIN LATERAL (
    SELECT occurred_at_us, event_id FROM {{g}}.touch WHERE ws = $1 AND person = o.person
        AND type = {TouchType.PAGE_VISITED:d} AND traffic_class = {TrafficClass.COUNTED:d}
        AND occurred_at_us >= o.from_us AND occurred_at_us <= least(o.to_us, u.at_us)
        AND (occurred_at_us, event_id) >= (o.from_us, o.from_event)
        AND (occurred_at_us, event_id) < (o.to_us, o.to_event)
        AND (occurred_at_us, event_id) <= (u.at_us, u.event_id COLLATE "C")
    ORDER BY occurred_at_us, event_id LIMIT 1) t
""")  # the first page visit of each person that a contact owns, up to its conversion


async def _gather_conversions(work: Work, persons: list[Person]) -> None:
    """The session that each contact converted in, and the utm of the page that it converted on."""
    by_key = {person.key: person for person in persons}
    rows = await work.connection.fetch(
        CONVERSIONS, work.ws, list(by_key), [p.created.at_us for p in persons], [p.created.event_id for p in persons],
        [event_key(p.created.event_id) for p in persons],
    )  # fmt: skip
    visitors: dict[int, int] = {}
    own_url: set[int] = set()
    for row in rows:
        person = by_key[row["contact"]]
        if (row["by_visitor"] or row["type"] is None) and row["visitor"] is not None:
            visitors[person.key] = row["visitor"]
        person.session = row["session"]
        if row["url"] is not None:
            own_url.add(person.key)
            value = parse(row["url"], "").campaign
            person.utm = row["utm"] if row["type"] == TouchType.PAGE_VISITED else utm_key(value) if value else None
    outside = [by_key[key] for key in visitors if by_key[key].session is None]
    for key, session, at_us in await _per_visitor(work, LAST_SESSION_EVENT, outside, visitors):
        if by_key[key].created.at_us - at_us < work.settings.session_gap_us:
            by_key[key].session = session
    paged = [by_key[key] for key in visitors if by_key[key].session is not None and key not in own_url]
    for key, utm in await _per_visitor(work, LAST_PAGE, paged, visitors, [p.session for p in paged]):
        by_key[key].utm = utm
    for person in persons:
        if person.session is None:
            person.utm = None


async def _per_visitor(
    work: Work, statement: Any, persons: list[Person], visitors: dict[int, int], *more: list[Any]
) -> list[Any]:
    if not persons:
        return []
    return await work.connection.fetch(
        statement, work.ws, [p.key for p in persons], [visitors[p.key] for p in persons],
        [p.created.at_us for p in persons], [p.created.event_id for p in persons], *more,
    )  # fmt: skip


async def _gather_first_visits(work: Work, persons: list[Person]) -> None:
    by_key = {person.key: person for person in persons}
    rows = await work.connection.fetch(
        FIRST_VISITS, work.ws, list(by_key), [p.created.at_us for p in persons], [p.created.event_id for p in persons]
    )
    for row in sorted(rows, key=lambda r: (r["occurred_at_us"], r["event_id"])):
        person = by_key[row["contact"]]
        if person.first_visit is None:
            person.first_visit = (row["person"], row["occurred_at_us"], row["event_id"])
