"""Corrects the lists of sessions and contacts in cells, where stored touches pass to another session or contact.

Only touches of the persons concerned are read. To digest the whole cell again would read all of its touches, and those of a page that everybody
visits are thousands a day. Numbers of touches do not change.

A session, or a contact, that may have entered or left a list is looked up: it is in the list if it still has a touch of the cell.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from struct import pack

from shared.projection.changes import OtherSession, PassedTouches, TouchPlace
from shared.projection.days import Days
from shared.projection.key_lists import united, without
from shared.projection.pipeline import Context
from shared.projection.sql import columns, owned, sql
from shared.projection.stages.cells.digests import ANY_CAMPAIGN_KEPT, FOLD, MARK_CAMPAIGN_DAYS, mark_months
from shared.projection.stages.cells.gather import CARRIED_COLUMNS, COUNTED_TOUCHES, COUNTS, KEY_COLUMNS, KIND, VISIT
from shared.projection.stages.cells.key_sets import NO_KEYS, Keys, columns_of, key_set_of

CELLS_MAX = 1_000  # whose lists a batch corrects
LOOKUPS_MAX = 20_000  # of persons, to find which contacts still have touches of a cell: some 0.1 s
TOUCHES_A_DAY_MAX = 300  # of a person that passed to another contact; each lookup goes through them

_NAMED = ", ".join(f"coalesce(t.{name}, 0) AS {name}" for name in KEY_COLUMNS)

# The counted visits of persons ($2) at instants ($3) by events ($4).
VISITS_AT = sql(f"""
SELECT {_NAMED}, t.person, t.occurred_at_us, t.event_id FROM unnest($2::bigint[], $3::bigint[], $4::text[]) u(person, at_us, event_id)
CROSS JOIN LATERAL (
    SELECT * FROM {{g}}.touch WHERE ws = $1 AND person = u.person AND occurred_at_us = u.at_us AND event_id = u.event_id OFFSET 0) t
WHERE {VISIT}
""")

# The counted visits of persons ($2), each from an instant ($3) to another ($4), exclusive.
VISITS_OF = sql(f"""
SELECT {_NAMED}, t.person, t.occurred_at_us, t.event_id, t.session, t.session_at_us, t.session_is_new
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) u(person, from_us, to_us)
CROSS JOIN LATERAL (
    SELECT * FROM {{g}}.touch WHERE ws = $1 AND person = u.person AND occurred_at_us >= u.from_us AND occurred_at_us < u.to_us OFFSET 0) t
WHERE {VISIT}
""")

# Which contacts ($7) have a touch of a kind ($6) of the keys $2 to $4 on the day from $5 to $8: the places of these in the arrays, from 1.
CONTACTS_WITH_TOUCHES = sql(f"""
SELECT u.n FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[], $7::bigint[], $8::bigint[])
    WITH ORDINALITY u(asset_or_page_key, via, utm, from_us, kind, contact, to_us, n)
WHERE EXISTS (
    SELECT FROM {{g}}.identity_interval o CROSS JOIN LATERAL (
        SELECT * FROM {{g}}.touch WHERE ws = $1 AND person = o.person AND occurred_at_us >= u.from_us AND occurred_at_us < u.to_us OFFSET 0) t
    WHERE o.ws = $1 AND o.contact = u.contact AND {owned()} AND {COUNTS} AND {KIND} = u.kind
        AND {" AND ".join(f"coalesce(t.{name}, 0) = u.{name}" for name in KEY_COLUMNS)})
""")
PERSONS_OF = sql("""
SELECT c.contact, (SELECT count(*) FROM (SELECT FROM {g}.identity_interval WHERE ws = $1 AND contact = c.contact LIMIT $3) o) AS persons
FROM unnest($2::bigint[]) c(contact)
""")  # how many persons' touches are, or were, contacts' ($2), at most $3
FORMER_KEYS = sql("SELECT was, contact FROM {g}.renamed_contact WHERE ws = $1 AND contact = ANY($2::bigint[])")
WITH_ADDED = sql("""
SELECT DISTINCT u.key_set, u.day FROM unnest($2::bigint[], $3::int[]) u(key_set, day)
JOIN {g}.added_cell a ON a.ws = $1 AND a.key_set = u.key_set AND a.day = u.day
""")
LISTS = sql("""
SELECT c.key_set, c.day, c.kinds, c.contacts, c.sessions, c.new_sessions FROM unnest($2::bigint[], $3::int[]) u(key_set, day)
JOIN {g}.day_cell c ON c.ws = $1 AND c.key_set = u.key_set AND c.day = u.day
""")
WRITE_SESSIONS = sql("""
UPDATE {g}.day_cell c SET sessions = u.sessions, new_sessions = u.new_sessions
FROM unnest($2::bigint[], $3::int[], $4::bytea[], $5::bytea[]) u(key_set, day, sessions, new_sessions)
WHERE c.ws = $1 AND c.key_set = u.key_set AND c.day = u.day
""")
WRITE_CONTACTS = sql("""
UPDATE {g}.day_cell c SET contacts = u.lists FROM (
    SELECT key_set, day, array_agg(contacts ORDER BY n) AS lists
    FROM unnest($2::bigint[], $3::int[], $4::int[], $5::bytea[]) p(key_set, day, n, contacts) GROUP BY 1, 2) u
WHERE c.ws = $1 AND c.key_set = u.key_set AND c.day = u.day
""")
DROP_CARRIED = sql("""
DELETE FROM {g}.carried_visit c USING unnest($2::bigint[], $3::int[], $4::bigint[], $5::bigint[]) u(key_set, day, session, session_at_us)
WHERE c.ws = $1 AND c.key_set = u.key_set AND c.day = u.day AND c.session = u.session AND c.session_at_us = u.session_at_us
""")

Cell = tuple[int, int]
"""A key set and a day."""


@dataclass
class Corrections:
    """What may be wrong in cells: sessions by cell, with the persons whose they are, and contacts by cell and kind of touch."""

    keys: dict[int, Keys] = field(default_factory=dict)
    """The keys of the key sets."""
    sessions: dict[Cell, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    """When each session began, by its key."""
    persons: set[tuple[int, int]] = field(default_factory=set)
    """Whose visits of which days are to be read."""
    begun_before: set[Cell] = field(default_factory=set)
    """The cells of earlier days on which these sessions began. Only days of campaigns count them there."""
    contacts: dict[tuple[Cell, int], set[int]] = field(default_factory=lambda: defaultdict(set))
    touches: Counter[tuple[int, int]] = field(default_factory=Counter)
    """How many touches of a person on a day passed to another contact."""

    @property
    def cells(self) -> set[Cell]:
        """The cells that are concerned."""
        return self.sessions.keys() | {cell for cell, _ in self.contacts}


async def needed(
    context: Context, other_sessions: Mapping[TouchPlace, OtherSession], moved: Collection[PassedTouches], days: Days, through_day: int,
) -> Corrections:  # fmt: skip
    """Which lists may be wrong, of days before `through_day`, since touches are in other sessions and have passed to other contacts."""
    found = Corrections()
    if other_sessions:
        for *named, person, at_us, event_id in await context.connection.fetch(
            VISITS_AT, context.ws, *columns(other_sessions)
        ):
            day = days.day_of(at_us)
            key_set = _key_set(context, found, named)
            if key_set is None or day >= through_day:
                continue
            found.persons.add((person, day))
            for session in other_sessions[person, at_us, event_id]:
                if session is not None:
                    found.sessions[key_set, day][session.session] = session.session_at_us
                    if (began := days.day_of(session.session_at_us)) < day:
                        found.begun_before.add((key_set, began))
    if moved:
        spans = [(one.person, one.start.at_us, one.end.at_us) for one in moved]
        passed: dict[int, list[PassedTouches]] = defaultdict(list)
        for one in moved:
            passed[one.person].append(one)
        for *named, person, at_us, event_id, kind in await context.connection.fetch(
            COUNTED_TOUCHES, context.ws, *columns(spans)
        ):
            day = days.day_of(at_us)
            key_set = _key_set(context, found, named)
            if key_set is None or day >= through_day:
                continue
            found.touches[person, day] += 1
            for one in passed[person]:
                if one.start <= (at_us, event_id) < one.end:
                    found.contacts[(key_set, day), kind] |= {key for key in (one.was, one.contact) if key is not None}
    return found


def _key_set(context: Context, found: Corrections, named: Sequence[int]) -> int | None:
    keys = (named[0], named[1], named[2])
    if keys == NO_KEYS:
        return None
    key_set = context.remembered.key_sets.get(keys) or key_set_of(keys)
    found.keys[key_set] = keys
    return key_set


async def are_few(context: Context, found: Corrections) -> bool:
    """Whether a batch can correct these lists soon. If not, the cells must be digested again in the background."""
    if len(found.cells) > CELLS_MAX or max(found.touches.values(), default=0) > TOUCHES_A_DAY_MAX:
        return False
    lookups = Counter(contact for some in found.contacts.values() for contact in some)
    if not lookups:
        return True
    rows = await context.connection.fetch(PERSONS_OF, context.ws, list(lookups), LOOKUPS_MAX)
    persons = {contact: int(number) for contact, number in rows}
    return sum(n * persons[contact] for contact, n in lookups.items()) <= LOOKUPS_MAX


async def correct(context: Context, found: Corrections, added: Collection[TouchPlace], days: Days) -> None:
    """Correct the lists of day cells, and mark what is made of them. `added` are touches that the batch adds to cells afterwards."""
    connection, ws = context.connection, context.ws
    cells = sorted(found.cells)
    if not cells:
        return
    if waiting := await connection.fetch(WITH_ADDED, ws, *columns_of(cells)):
        await connection.execute(FOLD, ws, *columns(waiting))
    begun_now = await _sessions_now(context, found, added, days)
    contacts = await _contacts_now(context, found, days)
    session_rows, contact_rows = [], []
    for key_set, day, kinds, of_kinds, all_sessions, new_sessions in await connection.fetch(
        LISTS, ws, *columns_of(cells)
    ):
        cell = key_set, day
        if candidates := found.sessions.get(cell):
            now = begun_now.get(cell, {})
            corrected = (
                _corrected(all_sessions, candidates, now),
                _corrected(new_sessions, candidates, [key for key in now if now[key]]),
            )
            session_rows.append((*cell, *corrected))
        if any((cell, kind) in contacts for kind in kinds):
            contact_rows += [
                (*cell, n, _corrected(of, *contacts[cell, kind]) if (cell, kind) in contacts else of)
                for n, (kind, of) in enumerate(zip(kinds, of_kinds, strict=True))
            ]
    if session_rows:
        await connection.execute(WRITE_SESSIONS, ws, *columns(session_rows))
    if contact_rows:
        await connection.execute(WRITE_CONTACTS, ws, *columns(contact_rows))
    await mark_months(context, cells)
    if await connection.fetchval(ANY_CAMPAIGN_KEPT, ws):
        await connection.execute(MARK_CAMPAIGN_DAYS, ws, *columns_of(found.cells | found.begun_before))


def _corrected(keys: bytes, candidates: Collection[int], now: Collection[int]) -> bytes:
    """A list without candidates, but for those that belong in it now."""
    rest = without([keys], _packed(candidates))
    return united([rest, _packed(now)]) if now else rest


def _packed(keys: Collection[int]) -> bytes:
    return pack(f">{len(keys)}q", *keys)


async def _sessions_now(
    context: Context, found: Corrections, added: Collection[TouchPlace], days: Days
) -> dict[Cell, dict[int, bool]]:
    """Which of the sessions are in the list of each cell, and whether they are new; visits of sessions of an earlier day are stored."""
    begun_now: dict[Cell, dict[int, bool]] = defaultdict(dict)
    if not found.persons:
        return begun_now
    carried = []
    spans = [(person, days.start_us(day), days.start_us(day + 1)) for person, day in found.persons]
    for *named, person, at_us, event_id, session, session_at_us, is_new in await context.connection.fetch(
        VISITS_OF, context.ws, *columns(spans)
    ):
        key_set, day = _key_set(context, found, named), days.day_of(at_us)
        if key_set is None or session not in found.sessions.get((key_set, day), ()):
            continue
        if session_at_us >= days.start_us(day):
            begun_now[key_set, day][session] = is_new
        elif (person, at_us, event_id) not in added:
            carried.append((context.ws, key_set, day, at_us, session, session_at_us, is_new))
    were_carried = [
        (*cell, session, session_at_us)
        for cell, some in found.sessions.items() for session, session_at_us in some.items()
        if session_at_us < days.start_us(cell[1])
    ]  # fmt: skip
    if were_carried:
        await context.connection.execute(DROP_CARRIED, context.ws, *columns(were_carried))
    await context.connection.copy("carried_visit", CARRIED_COLUMNS, carried)
    return begun_now


async def _contacts_now(
    context: Context, found: Corrections, days: Days
) -> dict[tuple[Cell, int], tuple[set[int], set[int]]]:
    """By cell and kind: the keys of contacts that may be in the list, also former ones, and which of the present ones belong in it."""
    asked = [(cell, kind, contact) for (cell, kind), some in found.contacts.items() for contact in sorted(some)]
    if not asked:
        return {}
    former: dict[int, set[int]] = defaultdict(set)
    for row in await context.connection.fetch(FORMER_KEYS, context.ws, list({contact for _, _, contact in asked})):
        former[row["contact"]].add(row["was"])
    rows = [
        (*found.keys[key_set], days.start_us(day), kind, contact, days.start_us(day + 1))
        for (key_set, day), kind, contact in asked
    ]
    there = {row["n"] - 1 for row in await context.connection.fetch(CONTACTS_WITH_TOUCHES, context.ws, *columns(rows))}
    now: dict[tuple[Cell, int], tuple[set[int], set[int]]] = {}
    for n, (cell, kind, contact) in enumerate(asked):
        candidates, present = now.setdefault((cell, kind), (set(), set()))
        candidates |= {contact, *former[contact]}
        if n in there:
            present.add(contact)
    return now
