"""Stage *identity*: which identifiers are one contact, whose are a visitor's touches over time, and who is of the workspace?

Rules **contact** and **owner** decide. An identification that keeps the anonymous past, or a merge, rewrites a row or two of
`identity_interval`, and no touch.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from shared.projection.changes import (
    Change,
    Changes,
    ContactMembers,
    IdentifiersMentioned,
    IdentityChanged,
    PassedTouches,
    SettingsChanged,
    VisitorsChanged,
)
from shared.projection.contact_members import contact_of
from shared.projection.pipeline import Context, Stage
from shared.projection.sql import sql
from shared.projection.stages.identity.gather import (
    COMPONENTS,
    IDENTIFIERS,
    INTERNAL,
    PERSONS_OF,
    contacts_at,
    identifications,
)
from shared.rules.contact import components
from shared.rules.excluded_traffic import internal_contact
from shared.rules.order import BEGINNING, END, Order
from shared.rules.owner import owned

DROP_IDENTITY_INTERVAL = sql("""
DELETE FROM {g}.identity_interval WHERE ws = $1 AND person = ANY($2::bigint[])
RETURNING person, from_us, from_event, to_us, to_event, contact
""")
ADD_IDENTITY_INTERVAL = sql("""
INSERT INTO {g}.identity_interval SELECT $1, u.person, u.from_us, u.from_event, u.to_us, u.to_event, u.identifier,
    coalesce(i.contact, u.identifier)
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::bigint[])
    u(person, from_us, from_event, to_us, to_event, identifier)
LEFT JOIN {g}.identifier i ON i.ws = $1 AND i.identifier = u.identifier
RETURNING person, from_us, from_event, to_us, to_event, contact
""")
SET_CONTACT = sql("""
UPDATE {g}.identifier i SET contact = u.contact, joined = u.joined
FROM unnest($2::bigint[], $3::bigint[], $4::int[]) u(identifier, contact, joined)
WHERE i.ws = $1 AND i.identifier = u.identifier AND (i.contact, i.joined) IS DISTINCT FROM (u.contact, u.joined)
""")
SET_OWNER = sql("""
UPDATE {g}.identity_interval o SET contact = u.contact FROM unnest($2::bigint[], $3::bigint[]) u(identifier, contact)
WHERE o.ws = $1 AND o.identifier = u.identifier AND o.contact <> u.contact
RETURNING o.person, o.from_us, o.from_event, o.to_us, o.to_event, o.contact, o.identifier
""")
OWN_THEMSELVES = sql(f"""
INSERT INTO {{g}}.identity_interval
SELECT $1, u.identifier, {BEGINNING.at_us}, '', {END.at_us}, '', u.identifier, u.contact
FROM unnest($2::bigint[], $3::bigint[]) u(identifier, contact)
ON CONFLICT DO NOTHING
""")
DROP_IDENTIFIERS = sql("DELETE FROM {g}.identifier WHERE ws = $1 AND identifier = ANY($2::bigint[])")
DROP_INTERNAL = sql("DELETE FROM {g}.internal_contact WHERE ws = $1 AND contact = ANY($2::bigint[])")


class _Interval(NamedTuple):
    """Whose a person's touches are, from one place among all events to another."""

    person: int
    start: Order
    end: Order
    contact: int


_ByPerson = dict[int, list[_Interval]]


@dataclass(frozen=True)
class _Intervals:
    """The identity intervals that were written: whose the touches of which visitors were, and are, and by which identifiers."""

    was: _ByPerson = field(default_factory=dict)
    now: _ByPerson = field(default_factory=dict)
    owners: dict[int, int | None] = field(default_factory=dict)
    identifiers: frozenset[int] = frozenset()

    @property
    def visitors(self) -> frozenset[int]:
        """The visitors of whom they were derived again."""
        return frozenset(self.owners)

    @property
    def contacts_before(self) -> frozenset[int]:
        """The contacts whose the touches were."""
        return frozenset(one.contact for some in self.was.values() for one in some)


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Derive the identity intervals of visitors and the contacts of identifiers that may be others now."""
    intervals = await _derive_intervals(context, changes.of(VisitorsChanged))
    mentioned, settings = changes.of(IdentifiersMentioned), changes.settings()
    was = frozenset[str]() if settings is None else settings.was.internal_domains
    domains = frozenset[str]() if settings is None else was ^ settings.now.internal_domains
    identifiers = mentioned.identifiers | intervals.identifiers
    contacts = await contacts_at(context, domains)
    if not identifiers and not contacts:
        gained, moved = _passed(intervals, [], {})
        return [
            IdentityChanged(
                reassigned=intervals.contacts_before, owners=intervals.owners, passed=intervals.visitors,
                gained=gained, moved=moved,
            )
        ]  # fmt: skip
    grouped = await _group(context, identifiers, contacts)
    passed: set[int] = set()
    if was or context.settings.internal_domains:
        passed = await _mark_internal(context, grouped)
    updated = await _write(context, grouped)
    before = {row["identifier"]: row["contact"] for _, rows in grouped.contacts for row in rows}
    gained, moved = ((), ()) if mentioned.whole_history else _passed(intervals, updated, before)
    present = [contact for contact, _ in grouped.contacts]
    keys = {contact.key for contact in present}
    regrouped = keys if mentioned.whole_history else _regrouped(grouped)
    return [
        IdentityChanged(
            tuple(present), frozenset(grouped.before - keys), frozenset(grouped.unnamed), frozenset(regrouped),
            intervals.contacts_before, intervals.owners, intervals.visitors | passed, gained, moved,
        )
    ]  # fmt: skip


async def _derive_intervals(context: Context, visitors: VisitorsChanged) -> _Intervals:
    """Whose the touches of the batch's visitors are; unchanged for a visitor identified in order as who it was."""
    changed = [
        visitor
        for visitor, of in visitors.events.items()
        if (of.identified_as or of.loses)
        and (visitor in visitors.late or any(i != visitors.states[visitor].owner for i in of.identified_as))
    ]
    if not changed:
        return _Intervals()
    identified = await identifications(context, changed)
    dropped = await context.connection.fetch(DROP_IDENTITY_INTERVAL, context.ws, changed)
    found = {visitor: owned(identified.get(visitor, [])) for visitor in changed}
    rows = [(visitor, *o.start, *o.end, o.identifier) for visitor, some in found.items() for o in some]
    written = []
    if rows:
        written = await context.connection.fetch(ADD_IDENTITY_INTERVAL, context.ws, *map(list, zip(*rows, strict=True)))
    return _Intervals(
        _by_person(dropped), _by_person(written),
        {visitor: some[-1].identifier if some else None for visitor, some in found.items()},
        frozenset(o.identifier for some in found.values() for o in some),
    )  # fmt: skip


def _by_person(rows: Iterable[Any]) -> _ByPerson:
    out: _ByPerson = defaultdict(list)
    for row in rows:
        out[row["person"]].append(_interval(row))
    return out


def _interval(row: Any) -> _Interval:
    start, end = Order(row["from_us"], row["from_event"]), Order(row["to_us"], row["to_event"])
    return _Interval(row["person"], start, end, row["contact"])


def _passed(
    intervals: _Intervals, updated: Iterable[Any], contact_before: Mapping[int, int | None]
) -> tuple[tuple[PassedTouches, ...], tuple[PassedTouches, ...]]:
    """The touches that nobody owned before, and those that another contact did. `updated` are the rows of `identity_interval` that were
    given another contact after the intervals were written; `contact_before` has the contacts that their identifiers were.
    """
    moved: list[PassedTouches] = []
    now = {(one.person, one.start): one for some in intervals.now.values() for one in some}
    for row in updated:
        one = _interval(row)
        if one.person in intervals.visitors:
            now[one.person, one.start] = one
        else:
            moved.append(PassedTouches(*one[:3], contact_before[row["identifier"]], one.contact))
    others = [
        passed
        for visitor in intervals.visitors
        for passed in _differences(
            intervals.was.get(visitor, []), [now[one.person, one.start] for one in intervals.now.get(visitor, [])]
        )
    ]
    gained = tuple(one for one in others if one.was is None)
    return gained, (*moved, *(one for one in others if one.was is not None))


def _differences(was: Sequence[_Interval], now: Sequence[_Interval]) -> Iterator[PassedTouches]:
    """The touches of a person that are another's than they were."""
    bounds = sorted({at for one in (*was, *now) for at in (one.start, one.end)})
    for start, end in pairwise(bounds):
        before, after = (
            next((one.contact for one in some if one.start <= start < one.end), None) for some in (was, now)
        )
        if before != after:
            yield PassedTouches((was or now)[0].person, start, end, before, after)


@dataclass(frozen=True)
class _Grouped:
    """Identifiers by the contact that they are now, each contact with the rows of its identifiers.

    `before` are the contacts that they were; `unnamed` identifiers that no event names any more.
    """

    contacts: list[tuple[ContactMembers, list[Any]]]
    before: set[int]
    unnamed: list[int]


async def _group(context: Context, identifiers: Collection[int], contacts: Collection[int]) -> _Grouped:
    """Find which identifiers are one contact, of these and of all that events join them with."""
    connection, ws = context.connection, context.ws
    known = await connection.fetch(IDENTIFIERS, ws, list(identifiers))
    before = {*contacts, *(row["contact"] for row in known if row["contact"] is not None)}
    rows = {row["identifier"]: row for row in await connection.fetch(COMPONENTS, ws, list(identifiers), list(before))}
    before |= {row["contact"] for row in rows.values() if row["contact"] in rows}  # of those reached by edges alone
    unnamed = [key for key, row in rows.items() if row["first_us"] is None]
    edges = [(key, other) for key, row in rows.items() for other in row["linked"] if other in rows]
    groups = components((key for key in rows if key not in unnamed), edges)
    return _Grouped([_contact([rows[key] for key in sorted(group)]) for group in groups], before, unnamed)


def _contact(rows: list[Any]) -> tuple[ContactMembers, list[Any]]:
    return contact_of(rows), rows


def _regrouped(grouped: _Grouped) -> set[int]:
    """Contacts that gained identifiers that were another's, and those others."""
    out: set[int] = set()
    for contact, rows in grouped.contacts:
        if were := {row["contact"] for row in rows} - {None, contact.key}:
            out |= {contact.key, *were}
    return out


async def _mark_internal(context: Context, grouped: _Grouped) -> set[int]:
    """Keep which contacts are the workspace's own people; answers the persons whose touches pass to, or from, these."""
    before, domains = list(grouped.before), context.settings.internal_domains
    were = {row["contact"] for row in await context.connection.fetch(INTERNAL, context.ws, before)}
    internal = [c for c, _ in grouped.contacts if domains and internal_contact(c.emails, domains)]
    keys = {contact.key for contact in internal}
    changed = [
        row["identifier"]
        for contact, rows in grouped.contacts
        for row in rows
        if (row["contact"] in were) != (contact.key in keys)
    ]
    if were:
        await context.connection.execute(DROP_INTERNAL, context.ws, list(were))
    await context.connection.copy("internal_contact", ("ws", "contact"), [(context.ws, key) for key in sorted(keys)])
    if not changed:
        return set()
    persons = await context.connection.fetch(PERSONS_OF, context.ws, changed)
    return {row["person"] for row in persons} | set(changed)


async def _write(context: Context, grouped: _Grouped) -> list[Any]:
    """Write who is whom; answers the rows of `identity_interval` that are another contact's than they were."""
    connection, ws = context.connection, context.ws
    if grouped.unnamed:
        await connection.execute(DROP_IDENTIFIERS, ws, grouped.unnamed)
        await connection.execute(DROP_IDENTITY_INTERVAL, ws, grouped.unnamed)
    members = [
        (row["identifier"], contact.key, len(row["linked"])) for contact, rows in grouped.contacts for row in rows
    ]
    if not members:
        return []
    identifiers, contacts, joined = map(list, zip(*members, strict=True))
    await connection.execute(SET_CONTACT, ws, identifiers, contacts, joined)
    updated = await connection.fetch(SET_OWNER, ws, identifiers, contacts)
    await connection.execute(OWN_THEMSELVES, ws, identifiers, contacts)
    return updated


STAGE = Stage(
    "identity", run, takes=(VisitorsChanged, IdentifiersMentioned, SettingsChanged), passes_on=(IdentityChanged,),
    package=__package__, owns=("identity_interval", "internal_contact"), updates=("identifier",),
    reads=("identifier_mention", "identity_edge"),
)  # fmt: skip
