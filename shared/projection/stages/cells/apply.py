"""Stage *cells*: what a batch adds to the digest of each key set and day, and which digests it makes wrong.

What is added is appended to `added_cell`. Where touches pass to another session or contact, the lists of their cells are corrected. A cell of which a
touch was changed otherwise, or taken away, is marked (`dirty_cell`): it is read from the touches until `shared.projection.digest_updater` has digested it again. Cells know no campaign: the catalog changes none.
Days of campaigns are made of cells in the background; where the catalog changes a campaign's windows, the campaign's days count for nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from struct import Struct, pack
from typing import Any

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.changes import (
    CatalogChanged,
    Change,
    Changes,
    ContactsChanged,
    ContactsNamedAgain,
    EventsArrived,
    IdentityChanged,
    PassedTouches,
    SessionOfTouch,
    SessionsChanged,
    SettingsChanged,
    TouchesAdded,
    TouchesRemoved,
    TouchPlace,
    TrafficChanged,
    VisitorsChanged,
)
from shared.projection.days import EVERY_DAY, Days, days_of
from shared.projection.pipeline import Context, Stage
from shared.projection.rows import TouchRow
from shared.projection.sql import sql
from shared.projection.stages.cells.corrections import are_few, correct, needed
from shared.projection.stages.cells.digests import ANY_CAMPAIGN_KEPT, IS_BIG, KEEP, begin_again
from shared.projection.stages.cells.gather import (
    CARRIED_COLUMNS,
    COUNTED_TOUCHES,
    KEYS_OF_TOUCHES,
    KINDS_A_TYPE,
    VISIT_KINDS,
    kept,
    owners,
)
from shared.projection.stages.cells.key_sets import NO_KEYS, KeySets, columns_of, key_set_of, save_key_sets
from shared.projection.visitors import owned_persons
from shared.rules.pre_association import COUNTING_CLASSES

SPANS_AT_A_TIME = 5_000

ADDED_COLUMNS = ("ws", "key_set", "day", "kind", "touches", "contacts", "sessions", "new_sessions")
OF_CARRIED = sql("""
SELECT v.key_set, v.session_at_us FROM unnest($2::bigint[], $3::int[]) c(key_set, day)
JOIN {g}.carried_visit v ON v.ws = $1 AND v.key_set = c.key_set AND v.day = c.day
""")
FORGET_CAMPAIGNS = [
    sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1 AND campaign = ANY($2::bigint[])")
    for table in ("campaign_kept", "stale_campaign_day")
]  # what is in `campaign_day` counts for nothing then, and is replaced when the campaign's days are made again
MARK_DAYS_OF_KEYS = sql("""
INSERT INTO {g}.stale_campaign_day
SELECT DISTINCT $1::int, w.campaign, c.day, false, true FROM unnest($2::bigint[], $3::int[]) c(key, day)
JOIN {g}.attribution_window w ON w.ws = $1 AND w.key = c.key
ON CONFLICT (ws, campaign, day) DO UPDATE SET of_contacts = true WHERE NOT stale_campaign_day.of_contacts
""")
RENAME_AGAIN = sql("""
UPDATE {g}.renamed_contact r SET contact = u.contact FROM unnest($2::bigint[], $3::bigint[]) u(was, contact)
WHERE r.ws = $1 AND r.contact = u.was
""")
UNNAME = sql("DELETE FROM {g}.renamed_contact WHERE ws = $1 AND was = ANY($2::bigint[]) RETURNING contact, persons")
MARK = sql("""
INSERT INTO {g}.dirty_cell SELECT $1, * FROM unnest($2::bigint[], $3::int[]) ON CONFLICT DO NOTHING
""")
_one = Struct(">q").pack
NO_LIST = b""
NO_SESSIONS = NO_LIST, NO_LIST


def packed(keys: Collection[int]) -> bytes:
    """Keys as cells have them: in order, eight bytes each. Most lists have one key or none."""
    if len(keys) == 1:
        return _one(*keys)
    return pack(f">{len(keys)}q", *sorted(keys)) if keys else NO_LIST


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Append what the batch adds to cells, and mark those that it makes wrong."""
    found = await kept(context)
    arrived = len(changes.of(EventsArrived).arrived)
    if found is None and not await context.connection.fetchval(IS_BIG, context.ws, arrived):
        await context.connection.execute(KEEP, context.ws, context.settings.time_zone, EVERY_DAY)
        found = await kept(context)  # the store has no event of the workspace but those of the batch
    if found is None:
        await begin_again(context)
        return []
    identity = changes.of(IdentityChanged)
    renamed = identity.renamed()
    named_again, persons = await _named_again(context, identity)
    await _rename(context, identity, renamed)
    outgoing = [ContactsNamedAgain(named_again)] if named_again else []
    if _concerns_all(changes) or found["time_zone"] != context.settings.time_zone:
        await begin_again(context)
        return outgoing
    if campaigns := changes.of(CatalogChanged).campaigns:
        for statement in FORGET_CAMPAIGNS:
            await context.connection.execute(statement, context.ws, list(campaigns))
    key_sets = KeySets(context.remembered.key_sets)
    days, through_day = days_of(found["time_zone"]), found["through_day"]
    added = [(row, key_sets.of(row)) for row in changes.of(TouchesAdded).touches]
    removed = [(row, key_sets.of(row)) for row in changes.of(TouchesRemoved).touches]
    await save_key_sets(context, key_sets.new)
    stored = {touch.place for touch in changes.of(TrafficChanged).touches}
    spans = _spans(identity, stored) + [(person, BEGINNING_US, END_US) for person in persons]
    await _mark(context, spans, removed, days, through_day)
    places = {_place(row) for row, _ in added}
    resessions = {place: of for place, of in changes.of(SessionsChanged).touches.items() if place not in places}
    moved = [one for one in identity.moved if one.was not in renamed]
    wrong = await needed(context, resessions, moved, days, through_day)
    if await are_few(context, wrong):
        await correct(context, wrong, places, days)
    else:
        await _mark_dirty(context, wrong.cells | wrong.begun_before, through_day)
    await _add(context, changes, added, days, through_day)
    if (new_by := changes.of(ContactsChanged).new_by) and await context.connection.fetchval(
        ANY_CAMPAIGN_KEPT, context.ws
    ):
        named = {(key, days.day_of(created_us)) for key, created_us in new_by}
        await context.connection.execute(MARK_DAYS_OF_KEYS, context.ws, *columns_of(named))
    return outgoing


def _concerns_all(changes: Changes) -> bool:
    """Whether changed settings change the keys or sessions of any touch."""
    settings = changes.settings()
    if settings is None:
        return False
    return changes.of(SessionsChanged).all_persons or settings.was.urls != settings.now.urls


def _place(row: TouchRow) -> TouchPlace:
    return row.person, row.occurred_at_us, row.event_id


Spans = list[tuple[int, int, int]]
"""Times of persons, from an instant to another, inclusive."""


def _spans(identity: IdentityChanged, stored: Iterable[TouchPlace]) -> Spans:
    """Which touches were digested as they are no more: `stored` ones, and those of identifiers that no event names any more."""
    spans = {(person, at_us, at_us) for person, at_us, _ in stored}
    return sorted(spans | {(person, BEGINNING_US, END_US) for person in identity.unnamed})


async def _rename(context: Context, identity: IdentityChanged, renamed: Mapping[int, int]) -> None:
    """Note which contacts are others now, so that no cell has to be digested again that lists them, and no sum to be made again."""
    if not renamed:
        return
    persons: dict[int, set[int]] = defaultdict(set)
    for one in identity.moved:
        if one.was is not None and one.was in renamed:
            persons[one.was].add(one.person)
    was, now = list(renamed), list(renamed.values())
    await context.connection.execute(RENAME_AGAIN, context.ws, was, now)
    rows = [(context.ws, key, renamed[key], sorted(persons[key])) for key in was]
    await context.connection.copy("renamed_contact", ("ws", "was", "contact", "persons"), rows)


async def _named_again(context: Context, identity: IdentityChanged) -> tuple[frozenset[int], list[int]]:
    """The contacts whom lists may name by a key which is another contact's again, since a merge was taken back; and the persons whose touches
    that other contact had. This batch gives some of these touches back to it, so the same batch does not rename the contact that loses them.
    """
    if not identity.contacts:
        return frozenset(), []
    keys = [contact.key for contact in identity.contacts]
    rows = await context.connection.fetch(UNNAME, context.ws, keys)
    return (
        frozenset(row["contact"] for row in rows),
        sorted({person for row in rows for person in row["persons"]}),
    )


_Placed = tuple[TouchRow, int | None]
"""A touch and the number of its key set."""


async def _mark(context: Context, spans: Spans, removed: Iterable[_Placed], days: Days, through_day: int) -> None:
    """Mark the cells of touches in these spans of persons' time, and of touches that are gone.

    Where a session began on a day before, the cell of the same key set on that day is marked too, of what is stored and of what
    was: a campaign's session is counted on the day on which it began.
    """
    cells = {(key_set, days.day_of(row.occurred_at_us)) for row, key_set in removed if key_set is not None}
    cells |= await cells_of_touches(context, spans, days)
    if not cells:
        return
    carried = await context.connection.fetch(OF_CARRIED, context.ws, *columns_of(cells))
    cells |= {(row["key_set"], days.day_of(row["session_at_us"])) for row in carried}
    await _mark_dirty(context, cells, through_day)


async def cells_of_touches(context: Context, spans: Spans, days: Days) -> set[tuple[int, int]]:
    """The cells of touches in spans of persons' time, and those of the days on which their sessions began: by key set and day."""
    cells: set[tuple[int, int]] = set()
    known = context.remembered.key_sets
    for begin in range(0, len(spans), SPANS_AT_A_TIME):
        columns = map(list, zip(*spans[begin : begin + SPANS_AT_A_TIME], strict=True))
        for *named, at_us, session_at_us in await context.connection.fetch(KEYS_OF_TOUCHES, context.ws, *columns):
            keys = (named[0], named[1], named[2])
            if keys == NO_KEYS:
                continue
            key_set = known.get(keys) or key_set_of(keys)
            cells.add((key_set, days.day_of(at_us)))
            if session_at_us is not None:
                cells.add((key_set, days.day_of(session_at_us)))
    return cells


async def _mark_dirty(context: Context, cells: Iterable[tuple[int, int]], through_day: int) -> None:
    if dirty := sorted(cell for cell in cells if cell[1] < through_day):
        await context.connection.execute(MARK, context.ws, *columns_of(dirty))


@dataclass(slots=True)
class _Sessions:
    """The keys of sessions that are added to a cell, and those of them that are new."""

    all: set[int] = field(default_factory=set)
    new: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Kind:
    """What is added to a kind of touches of a cell: the sum of `count`, and the keys of contacts."""

    touches: int = 0
    contacts: set[int] = field(default_factory=set)


async def _add(context: Context, changes: Changes, rows: Sequence[_Placed], days: Days, through_day: int) -> None:
    """Append what these touches add, and what stored ones add that were nobody's and are a contact's now.

    It is a row for each kind of touch of a cell, the first of them with the cell's sessions.
    """
    kinds: dict[tuple[int, int, int], _Kind] = defaultdict(_Kind)
    sessions: dict[tuple[int, int], _Sessions] = defaultdict(_Sessions)
    carried: list[tuple[Any, ...]] = []
    derived = {place: of.now for place, of in changes.of(SessionsChanged).touches.items()}
    counted = (row for row, _ in rows if row.traffic_class in COUNTING_CLASSES)
    intervals = await owners(context, owned_persons(changes.of(VisitorsChanged).states, counted))
    from_us = to_us = day = 0
    for row, key_set in rows:
        at_us = row.occurred_at_us
        if not from_us <= at_us < to_us:
            day = days.day_of(at_us)
            from_us, to_us = days.start_us(day), days.start_us(day + 1)
        if key_set is None or day >= through_day:
            continue
        kind = KINDS_A_TYPE * row.type + row.traffic_class
        of = kinds[key_set, day, kind]
        of.touches += row.count
        if row.traffic_class in COUNTING_CLASSES and (owned := intervals.get(row.person)) is not None:
            place = at_us, row.event_id
            for begin, end, contact in owned:
                if begin <= place < end:
                    of.contacts.add(contact)
        if kind in VISIT_KINDS and (session := _session(row, derived)) is not None:
            if session.session_at_us < from_us:
                carried.append((context.ws, key_set, day, at_us, *session))
                continue
            begun = sessions[key_set, day]
            begun.all.add(session.session)
            if session.is_new:
                begun.new.add(session.session)
    await _add_gained(context, kinds, changes.of(IdentityChanged).gained, days, through_day)
    await context.connection.copy("added_cell", ADDED_COLUMNS, _added(context.ws, kinds, sessions))
    await context.connection.copy("carried_visit", CARRIED_COLUMNS, carried)
    began = {(key_set, days.day_of(session_at_us)) for _, key_set, _, _, _, session_at_us, _ in carried}
    await _mark_dirty(context, began, through_day)


def _session(row: TouchRow, derived: Mapping[TouchPlace, SessionOfTouch]) -> SessionOfTouch | None:
    """The session of a touch that was written: the one that was derived afterwards, or else its own."""
    if derived and (session := derived.get(_place(row))) is not None:
        return session
    if row.session is None:
        return None
    assert row.session_at_us is not None
    return SessionOfTouch(row.session, row.session_at_us, bool(row.session_is_new))


async def _add_gained(
    context: Context, kinds: dict[tuple[int, int, int], _Kind], gained: Sequence[PassedTouches], days: Days, through_day: int
) -> None:  # fmt: skip
    """Add to each kind of a cell the contacts who own touches of it now that were nobody's. A touch that is being added may be among them."""
    owner_of: dict[int, list[PassedTouches]] = defaultdict(list)
    for one in gained:
        owner_of[one.person].append(one)
    for begin in range(0, len(gained), SPANS_AT_A_TIME):
        spans = ((one.person, one.start.at_us, one.end.at_us) for one in gained[begin : begin + SPANS_AT_A_TIME])
        rows = await context.connection.fetch(COUNTED_TOUCHES, context.ws, *map(list, zip(*spans, strict=True)))
        for *named, person, at_us, event_id, kind in rows:
            keys, day = (named[0], named[1], named[2]), days.day_of(at_us)
            if keys == NO_KEYS or day >= through_day:
                continue
            key_set = context.remembered.key_sets.get(keys) or key_set_of(keys)
            for one in owner_of[person]:
                if one.start <= (at_us, event_id) < one.end and one.contact is not None:
                    kinds[key_set, day, kind].contacts.add(one.contact)


def _added(
    ws: int, kinds: Mapping[tuple[int, int, int], _Kind], sessions: dict[tuple[int, int], _Sessions]
) -> list[tuple[Any, ...]]:
    """Rows of `added_cell`."""
    rows = []
    for (key_set, day, kind), of in sorted(kinds.items(), key=itemgetter(0)):
        begun = sessions.pop((key_set, day), None)
        session_lists = NO_SESSIONS if begun is None else (packed(begun.all), packed(begun.new))
        rows.append((ws, key_set, day, kind, of.touches, packed(of.contacts), *session_lists))
    return rows


STAGE = Stage(
    "cells", run,
    takes=(
        EventsArrived, TouchesAdded, TouchesRemoved, TrafficChanged, VisitorsChanged, IdentityChanged, SessionsChanged,
        ContactsChanged, CatalogChanged, SettingsChanged,
    ),
    passes_on=(ContactsNamedAgain,), package=__package__,
    owns=(
        "key_set", "day_cell", "month_cell", "added_cell", "dirty_cell", "stale_month", "carried_visit", "cells_kept",
        "campaign_day", "campaign_month", "stale_campaign_month", "campaign_day_sessions", "stale_campaign_day", "campaign_kept",
        "renamed_contact",
    ),
    reads=("touch", "identity_interval", "event_index", "attribution_window", "contact", "conversion_touch"),
)  # fmt: skip
