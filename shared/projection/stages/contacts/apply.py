"""Stage *contacts*: how did each contact come to be, what is it called, and what is known of it?

Rules **contact** and **created** decide. A contact is derived again if its identifiers changed, if an event about it entered or left the set,
or if touches that may be its first visit or its conversion changed.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from shared.events import types as e
from shared.events.codec import decode_event
from shared.projection.changes import (
    Change,
    Changes,
    ContactMembers,
    ContactsChanged,
    EntitiesChanged,
    IdentityChanged,
    SessionsChanged,
    SettingsChanged,
)
from shared.projection.contact_members import contact_of
from shared.projection.pipeline import Context, Stage
from shared.projection.sql import sql
from shared.projection.stages.contacts.gather import (
    ALL_CONTACTS,
    CONTACT_EVENTS,
    CONTACTS_OF_IDENTIFIERS,
    CONTACTS_OF_PERSONS,
    CONVERSION_TOUCHES,
    CONVERSIONS,
    FIRST_VISITS,
    LAST_PAGE,
    LAST_SESSION_EVENT,
    MEMBERS,
    MERGES,
    NEW_BY,
)
from shared.rules.contact import SALESFORCE_PROPERTY, Merge, SalesforceChange, name, salesforce_campaigns
from shared.rules.excluded_traffic import TrafficClass, internal_contact
from shared.rules.first_and_last_touch import may_be_last_touch
from shared.rules.influence import TouchType
from shared.rules.keys import event_key, identifiers, utm_key
from shared.rules.order import Order
from shared.rules.page import parse

CONTACTS_AT_A_TIME = 5_000  # some 10 MB of rows

DROP_CONTACTS = sql("DELETE FROM {g}.contact WHERE ws = $1 AND contact = ANY($2::bigint[])")
SAVE_CONTACTS = sql("""
INSERT INTO {g}.contact SELECT $1, * FROM unnest(
    $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::jsonb[], $13::bool[])
ON CONFLICT (ws, contact) DO UPDATE SET name = excluded.name, created_us = excluded.created_us,
    created_event = excluded.created_event, first_visit_person = excluded.first_visit_person,
    first_visit_us = excluded.first_visit_us, first_visit_event = excluded.first_visit_event,
    first_visit_asset_or_page = excluded.first_visit_asset_or_page, first_visit_utm = excluded.first_visit_utm,
    conversion_utm = excluded.conversion_utm,
    properties = excluded.properties, internal = excluded.internal
""")
DROP_OF_CONTACTS = [
    sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1 AND contact = ANY($2::bigint[])")
    for table in ("salesforce_member", "conversion_touch")
]
CONVERSION_TOUCH_COLUMNS = ("ws", "asset_or_page_key", "created_us", "contact", "occurred_at_us")
MEMBER_COLUMNS = ("ws", "salesforce_campaign_id", "contact", "source", "joined_us", "joined_event")
SALESFORCE_EVENTS = (e.SalesforceCampaignJoined, e.SalesforceCampaignLeft)


class _ConversionSession(NamedTuple):
    """The session that a contact converted in, whose touches they are, and when it began."""

    person: int
    session: int
    session_at_us: int


class _Contact:
    """A contact as it is derived."""

    def __init__(self, of: ContactMembers) -> None:
        self.key, self.members, self.named, self.created = of
        self.emails = of.emails
        self.merges: list[Merge] = []
        self.properties: dict[str, str] = {}
        self.salesforce: list[SalesforceChange] = []
        self.salesforce_property: list[tuple[Order, str | None]] = []
        self.first_visit: tuple[int, int, str, int | None, int | None] | None = None
        self.session: _ConversionSession | None = None
        self.utm: int | None = None


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Derive the contacts that the batch concerns again, and pass on their identifiers."""
    identity, sessions = changes.of(IdentityChanged), changes.of(SessionsChanged)
    new_by = _NewBy()
    await new_by.was(context, identity.gone)
    if identity.gone:
        for statement in (DROP_CONTACTS, *DROP_OF_CONTACTS):
            await context.connection.execute(statement, context.ws, list(identity.gone))
    known = {contact.key: contact for contact in identity.contacts}
    others = (await _concerned(context, changes)) - known.keys() - identity.gone
    found = [*identity.contacts, *await _members_of(context, others)]
    for begin in range(0, len(found), CONTACTS_AT_A_TIME):
        await _derive(context, found[begin : begin + CONTACTS_AT_A_TIME], new_by)
    if sessions.all_persons or _concerns_all(changes.settings()):
        await _derive_all(context)  # and all cells are made again
    changed = {member for contact in found for member in contact.members} | identity.unnamed
    return [ContactsChanged(frozenset(changed), new_by.changed())] if changed else []


class _NewBy:
    """By which keys contacts may be new to campaigns, before the batch and after it."""

    def __init__(self) -> None:
        self._was: set[tuple[int, ...]] = set()
        self._is: set[tuple[int, ...]] = set()

    async def was(self, context: Context, contacts: Collection[int]) -> None:
        """Take what is stored of contacts that are about to be derived, or dropped."""
        await self._add(context, contacts, self._was)

    async def now(self, context: Context, contacts: Collection[int]) -> None:
        """Take what is stored of contacts that were derived."""
        await self._add(context, contacts, self._is)

    async def _add(self, context: Context, contacts: Collection[int], to: set[tuple[int, ...]]) -> None:
        if contacts:
            to.update(map(tuple, await context.connection.fetch(NEW_BY, context.ws, list(contacts))))

    def changed(self) -> frozenset[tuple[int, int]]:
        """As `ContactsChanged.new_by`."""
        return frozenset((key, created_us) for _, key, created_us, _ in self._was ^ self._is)


def _concerns_all(settings: SettingsChanged | None) -> bool:
    """Whether a setting has changed that decides of which asset or page a visit is."""
    return settings is not None and settings.was.urls != settings.now.urls


async def _concerned(context: Context, changes: Changes) -> set[int]:
    """Contacts whose identifiers are as they were, and of which something else changed."""
    out = set(changes.of(IdentityChanged).reassigned)
    for statement, keys in (
        (CONTACTS_OF_PERSONS, changes.of(SessionsChanged).persons),
        (CONTACTS_OF_IDENTIFIERS, changes.of(EntitiesChanged).contacts),
    ):
        if keys:
            out |= {row["contact"] for row in await context.connection.fetch(statement, context.ws, list(keys))}
    return out


async def _members_of(context: Context, contacts: Collection[int]) -> list[ContactMembers]:
    """Contacts by their stored identifiers."""
    if not contacts:
        return []
    by_contact: dict[int, list[Any]] = {}
    for row in await context.connection.fetch(MEMBERS, context.ws, list(contacts)):
        by_contact.setdefault(row["contact"], []).append(row)
    return [contact_of(rows) for rows in by_contact.values()]


async def _derive_all(context: Context) -> None:
    after = -(2**63)
    while rows := await context.connection.fetch(ALL_CONTACTS, context.ws, after, CONTACTS_AT_A_TIME):
        after = rows[-1]["contact"]
        await _derive(context, await _members_of(context, [row["contact"] for row in rows]))


async def _derive(context: Context, found: Sequence[ContactMembers], new_by: _NewBy | None = None) -> None:
    """Derive contacts again, and write them; `new_by` takes by which keys they may be new."""
    contacts = [_Contact(of) for of in found]
    if new_by is not None:
        await new_by.was(context, [contact.key for contact in contacts])
    for statement in DROP_OF_CONTACTS:
        await context.connection.execute(statement, context.ws, [contact.key for contact in contacts])
    await _gather_events_about(context, contacts)
    await _gather_conversions(context, contacts)
    await _gather_first_visits(context, contacts)
    domains = context.settings.internal_domains
    saved = [
        (
            c.key,
            name(c.named, c.merges),
            *c.created,
            *(c.first_visit or (None,) * 5),
            c.utm,
            c.properties,
            bool(domains) and internal_contact(c.emails, domains),
        )
        for c in contacts
    ]
    await context.connection.execute(SAVE_CONTACTS, context.ws, *map(list, zip(*saved, strict=True)))
    joined = [
        (context.ws, member.salesforce_campaign_id, c.key, member.source, *member.joined)
        for c in contacts
        for member in salesforce_campaigns(c.salesforce, c.salesforce_property)
    ]
    await context.connection.copy("salesforce_member", MEMBER_COLUMNS, joined)
    await _write_conversion_touches(context, contacts)
    if new_by is not None:
        await new_by.now(context, [contact.key for contact in contacts])


async def _gather_events_about(context: Context, contacts: list[_Contact]) -> None:
    by_member = {member: contact for contact in contacts for member in contact.members}
    for row in await context.connection.fetch(MERGES, context.ws, list(by_member)):
        event = decode_event(row["body"])
        assert isinstance(event, e.ContactMerged)
        into = identifiers(event.into)[0].text
        by_member[row["subject"]].merges.append(Merge(Order(row["occurred_at_us"], row["event_id"]), into))
    rows = await context.connection.fetch(CONTACT_EVENTS, context.ws, list(by_member))
    for row in sorted(rows, key=lambda r: (r["occurred_at_us"], r["event_id"])):
        event, contact = decode_event(row["body"]), by_member[row["subject"]]
        order = Order(row["occurred_at_us"], row["event_id"])
        if isinstance(event, SALESFORCE_EVENTS):
            source = event.source if isinstance(event, e.SalesforceCampaignJoined) else None
            contact.salesforce.append(SalesforceChange(order, event.salesforce_campaign_id, source))
            continue
        if not isinstance(event, e.ContactCreated):
            continue  # it has no property
        properties = contact.properties
        for key, value in (event.properties or {}).items():
            if key == SALESFORCE_PROPERTY:
                contact.salesforce_property.append((order, value))
            if value is None:
                properties.pop(key, None)
            else:
                properties[key] = value


async def _gather_conversions(context: Context, contacts: list[_Contact]) -> None:
    """The session that each contact converted in, and the utm of the page that it converted on."""
    by_key = {contact.key: contact for contact in contacts}
    rows = await context.connection.fetch(
        CONVERSIONS, context.ws, list(by_key), [p.created.at_us for p in contacts], [p.created.event_id for p in contacts],
        [event_key(p.created.event_id) for p in contacts],
    )  # fmt: skip
    visitors: dict[int, int] = {}
    own_url: set[int] = set()
    for row in rows:
        contact = by_key[row["contact"]]
        if (row["by_visitor"] or row["type"] is None) and row["visitor"] is not None:
            visitors[contact.key] = row["visitor"]
        if row["session"] is not None:
            contact.session = _ConversionSession(row["visitor"], row["session"], row["session_at_us"])
        if row["url"] is not None:
            own_url.add(contact.key)
            value = parse(row["url"], "").campaign
            contact.utm = row["utm"] if row["type"] == TouchType.PAGE_VISITED else utm_key(value) if value else None
    outside = [by_key[key] for key in visitors if by_key[key].session is None]
    for key, session, session_at_us, at_us in await _per_visitor(context, LAST_SESSION_EVENT, outside, visitors):
        if by_key[key].created.at_us - at_us < context.settings.session_gap_us:
            by_key[key].session = _ConversionSession(visitors[key], session, session_at_us)
    found = {key: by_key[key].session for key in visitors if key not in own_url}
    paged = {key: session.session for key, session in found.items() if session is not None}
    for key, utm in await _per_visitor(context, LAST_PAGE, [by_key[k] for k in paged], visitors, list(paged.values())):
        by_key[key].utm = utm
    for contact in contacts:
        if contact.session is None:
            contact.utm = None


async def _per_visitor(
    context: Context, statement: Any, contacts: list[_Contact], visitors: dict[int, int], *more: list[Any]
) -> list[Any]:
    if not contacts:
        return []
    return await context.connection.fetch(
        statement, context.ws, [p.key for p in contacts], [visitors[p.key] for p in contacts],
        [p.created.at_us for p in contacts], [p.created.event_id for p in contacts], *more,
    )  # fmt: skip


async def _gather_first_visits(context: Context, contacts: list[_Contact]) -> None:
    by_key = {contact.key: contact for contact in contacts}
    rows = await context.connection.fetch(
        FIRST_VISITS,
        context.ws,
        list(by_key),
        [p.created.at_us for p in contacts],
        [p.created.event_id for p in contacts],
    )
    for row in sorted(rows, key=lambda r: (r["occurred_at_us"], r["event_id"])):
        contact = by_key[row["contact"]]
        if contact.first_visit is None:
            contact.first_visit = (
                row["person"], row["occurred_at_us"], row["event_id"], row["asset_or_page_key"], row["utm"]
            )  # fmt: skip


async def _write_conversion_touches(context: Context, contacts: list[_Contact]) -> None:
    """Write what each contact touched in the session of its conversion, up to it, where that may make it new to a campaign."""
    created = {contact.key: contact.created for contact in contacts}
    asked = [(c.key, *c.session, c.created.at_us) for c in contacts if c.session is not None]
    if not asked:
        return
    rows = await context.connection.fetch(CONVERSION_TOUCHES, context.ws, *map(list, zip(*asked, strict=True)))
    touched = {
        (context.ws, row["asset_or_page_key"], created[row["contact"]].at_us, row["contact"], row["occurred_at_us"])
        for row in rows
        if may_be_last_touch(
            Order(row["occurred_at_us"], row["event_id"]), TouchType(row["type"]), TrafficClass(row["traffic_class"]),
            created[row["contact"]],
        )
    }  # fmt: skip
    await context.connection.copy("conversion_touch", CONVERSION_TOUCH_COLUMNS, list(touched))


STAGE = Stage(
    "contacts", run, takes=(EntitiesChanged, IdentityChanged, SessionsChanged, SettingsChanged), passes_on=(ContactsChanged,),
    package=__package__, owns=("contact", "salesforce_member", "conversion_touch"),
    reads=("identifier", "identity_interval", "identifier_mention", "entity_event", "event_index", "touch"),
)  # fmt: skip
