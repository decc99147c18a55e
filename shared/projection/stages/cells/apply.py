"""Stage *cells*: what a batch adds to the digest of each key set and day, and which digests it makes wrong.

What is added is appended to `added_cell`. A cell of which a touch was changed or taken away is marked (`dirty_cell`): it is read
from the touches until `shared.projection.digesting` has digested it again. Cells know no campaign: the catalog changes none.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Any, NamedTuple

from shared.projection.changes import (
    Change,
    Changes,
    EventsArrived,
    IdentityChanged,
    SessionsChanged,
    SettingsChanged,
    TouchesAdded,
    TouchesRemoved,
    TrafficChanged,
    VisitorsChanged,
)
from shared.projection.pipeline import Context, Stage
from shared.projection.rows import TouchRow
from shared.projection.sql import sql
from shared.projection.stages.cells.days import EVERY_DAY, NO_DAY, Days, days_of, month_of, next_month
from shared.projection.stages.cells.gather import (
    DAYS_OF_TOUCHES,
    DIGEST,
    DIGEST_CELLS,
    DIGEST_DAYS,
    KEY_SETS_OF_TOUCHES,
    KEYS_OF_TOUCHES,
    KINDS_A_TYPE,
    PERSONS_OF,
    kept,
    owners,
)
from shared.rules.influence import INFLUENCING, TouchType
from shared.rules.order import Order
from shared.rules.pre_association import COUNTING_CLASSES

AT_ONCE_EVENTS_MAX = 20_000  # of history are digested in the batch that finds none of it digested: some 0.3 s
DAYS_AT_A_TIME = 92  # a partition of `touch`
PERSONS_AT_A_TIME = 5_000
KNOWN_KEY_SETS_MAX = 65_536  # that a projector remembers to have written; about 15 MB

CELL_COLUMNS = ("ws", "key_set", "day", "kinds", "touches", "sessions", "new_sessions", "contacts")
CARRIED_COLUMNS = ("ws", "key_set", "day", "occurred_at_us", "session", "session_at_us", "session_is_new")
ADD_KEY_SETS = sql("""
INSERT INTO {g}.key_set SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT DO NOTHING
""")
KEEP = sql("""
INSERT INTO {g}.cells_kept VALUES ($1, $2, $3)
ON CONFLICT (ws) DO UPDATE SET time_zone = excluded.time_zone, through_day = excluded.through_day
""")
MARK = sql("""
INSERT INTO {g}.dirty_cell SELECT $1, * FROM unnest($2::bigint[], $3::int[]) ON CONFLICT DO NOTHING
""")
IS_BIG = sql("SELECT count(*) > $2 FROM (SELECT FROM {g}.event_index WHERE ws = $1 LIMIT $2::bigint + 1) e")
NO_LOOPS, LOOPS = sql("SET LOCAL enable_nestloop = off"), sql("SET LOCAL enable_nestloop = on")
"""Of tables without statistics PostgreSQL guesses that they have few rows, and reads one again for each row of another."""
FORGET = [
    sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1")
    for table in ("day_cell", "month_cell", "added_cell", "dirty_cell", "stale_month", "carried_visit")
]
MAKE_MONTHS = sql(f"""
WITH part AS MATERIALIZED (
    SELECT k.key_set, k.month, c.kinds, c.touches, c.sessions, c.new_sessions, c.contacts
    FROM unnest($2::bigint[], $3::int[], $4::int[]) k(key_set, month, before)
    JOIN {{g}}.day_cell c ON c.ws = $1 AND c.key_set = k.key_set AND c.day >= k.month AND c.day < k.before),
counted AS (
    SELECT key_set, month, array_agg(kind ORDER BY kind) AS kinds, array_agg(touches ORDER BY kind) AS touches
    FROM (
        SELECT p.key_set, p.month, u.kind, sum(u.touches)::bigint AS touches
        FROM part p CROSS JOIN LATERAL unnest(p.kinds, p.touches) u(kind, touches) GROUP BY 1, 2, 3) c
    GROUP BY 1, 2),
visited AS (
    SELECT key_set, month, string_agg(sessions, ''::bytea) AS sessions, string_agg(new_sessions, ''::bytea) AS new_sessions
    FROM part GROUP BY 1, 2),
influenced AS (
    SELECT key_set, month, string_agg(contact, ''::bytea ORDER BY contact) AS contacts
    FROM (
        SELECT DISTINCT p.key_set, p.month, substring(p.contacts FROM 8 * i + 1 FOR 8) AS contact
        FROM part p CROSS JOIN LATERAL generate_series(0, length(p.contacts) / 8 - 1) i) d
    GROUP BY 1, 2)
INSERT INTO {{g}}.month_cell (ws, key_set, month, {DIGEST})
SELECT $1, c.key_set, c.month, c.kinds, c.touches, v.sessions, v.new_sessions, coalesce(i.contacts, ''::bytea)
FROM counted c JOIN visited v USING (key_set, month) LEFT JOIN influenced i USING (key_set, month)
""")  # of months $3 that end before the days $4; a session is in the cell of the day on which it begins, and no other
MONTHS_OF_DAYS = sql("SELECT DISTINCT key_set, day FROM {g}.day_cell WHERE ws = $1 AND day >= $2 AND day < $3")

_three = Struct(">qqq").pack
_key = Struct(">q").pack


class Keys(NamedTuple):
    """What a touch names together; 0 for none."""

    asset_or_page_key: int
    via: int
    utm: int

    @property
    def key_set(self) -> int:
        """The number of the set: a 64-bit digest, as other keys are."""
        return _key_set(self)


@lru_cache(65_536)
def _key_set(keys: Keys) -> int:
    digest = blake2b(_three(*keys), digest_size=8, person=b"keyset").digest()
    return int.from_bytes(digest, "big", signed=True)


def keys_of(row: TouchRow) -> Keys | None:
    """The keys of a touch; None if it has none: no campaign ever meets it."""
    keys = Keys(row.asset_or_page_key or 0, row.via or 0, row.utm or 0)
    return keys if any(keys) else None


@dataclass
class _Cell:
    """What is added to a cell."""

    touches: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    sessions: set[int] = field(default_factory=set)
    new_sessions: set[int] = field(default_factory=set)
    contacts: set[int] = field(default_factory=set)

    def columns(self) -> tuple[Any, ...]:
        kinds = sorted(self.touches)
        return (
            kinds, [self.touches[kind] for kind in kinds], packed(self.sessions), packed(self.new_sessions),
            packed(self.contacts),
        )  # fmt: skip


def packed(keys: Collection[int]) -> bytes:
    """Keys as cells have them: in order, eight bytes each."""
    return b"".join(map(_key, sorted(keys)))


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Append what the batch adds to cells, and mark those that it makes wrong."""
    found = await kept(context)
    arrived = len(changes.of(EventsArrived).arrived)
    if found is None and not await context.connection.fetchval(IS_BIG, context.ws, arrived):
        await context.connection.execute(KEEP, context.ws, context.settings.time_zone, EVERY_DAY)
        found = await kept(context)  # the store has no event of the workspace but those of the batch
    if found is None or _concerns_all(changes) or found["time_zone"] != context.settings.time_zone:
        await begin_again(context)
        return []
    days = days_of(found["time_zone"])
    added = changes.of(TouchesAdded).touches
    removed = changes.of(TouchesRemoved).touches
    await save_key_sets(context, filter(None, map(keys_of, (*added, *removed))))
    persons = await _persons(context, changes)
    await _mark(context, persons, removed, days, found["through_day"])
    await _add(context, changes, [row for row in added if row.person not in persons], days, found["through_day"])
    return []


def _concerns_all(changes: Changes) -> bool:
    """Whether changed settings change the keys or sessions of any touch."""
    settings = changes.settings()
    if settings is None:
        return False
    return changes.of(SessionsChanged).all_persons or settings.was.urls != settings.now.urls


async def _persons(context: Context, changes: Changes) -> set[int]:
    """The persons of whom stored touches may be in other sessions or classes now, or other contacts'."""
    identity = changes.of(IdentityChanged)
    persons = {*changes.of(SessionsChanged).persons, *identity.passed, *identity.unnamed}
    if regrouped := identity.regrouped | identity.gone:
        rows = await context.connection.fetch(PERSONS_OF, context.ws, list(regrouped))
        persons |= {row["person"] for row in rows}
    return persons


async def _mark(
    context: Context, persons: Collection[int], removed: Iterable[TouchRow], days: Days, through_day: int
) -> None:
    """Mark the cells of these persons' touches, and of touches that are gone."""
    cells = {(keys.key_set, days.day_of(row.occurred_at_us)) for row in removed if (keys := keys_of(row)) is not None}
    ordered = sorted(persons)
    for begin in range(0, len(ordered), PERSONS_AT_A_TIME):
        rows = await context.connection.fetch(KEYS_OF_TOUCHES, context.ws, ordered[begin : begin + PERSONS_AT_A_TIME])
        for asset_or_page_key, via, utm, at_us in rows:
            if asset_or_page_key or via or utm:
                cells.add((_key_set(Keys(asset_or_page_key, via, utm)), days.day_of(at_us)))
    if dirty := sorted(cell for cell in cells if cell[1] < through_day):
        await context.connection.execute(MARK, context.ws, *map(list, zip(*dirty, strict=True)))


async def _add(context: Context, changes: Changes, rows: Sequence[TouchRow], days: Days, through_day: int) -> None:
    """Append what these touches add."""
    cells: dict[tuple[int, int], _Cell] = defaultdict(_Cell)
    carried: list[tuple[Any, ...]] = []
    owner = await _contact_of(context, changes, rows)
    for row in rows:
        keys = keys_of(row)
        if keys is None or (day := days.day_of(row.occurred_at_us)) >= through_day:
            continue
        key_set = _key_set(keys)
        cell = cells[key_set, day]
        cell.touches[KINDS_A_TYPE * row.type + row.traffic_class] += row.count
        if row.traffic_class not in COUNTING_CLASSES:
            continue
        if (contact := owner(row)) is not None:
            cell.contacts.add(contact)
        if row.type == TouchType.PAGE_VISITED and row.session is not None:
            assert row.session_at_us is not None
            if row.session_at_us < days.start_us(day):
                carried.append(
                    (context.ws, key_set, day, row.occurred_at_us, row.session, row.session_at_us, row.session_is_new)
                )
                continue
            cell.sessions.add(row.session)
            if row.session_is_new:
                cell.new_sessions.add(row.session)
    connection = context.connection
    await connection.copy("added_cell", CELL_COLUMNS, [(context.ws, *of, *c.columns()) for of, c in cells.items()])
    await connection.copy("carried_visit", CARRIED_COLUMNS, carried)


async def _contact_of(context: Context, changes: Changes, rows: Sequence[TouchRow]) -> Any:
    """Which contact does a touch influence? A function of its row, that answers None for none."""
    states = changes.of(VisitorsChanged).states
    asked = {
        row.person for row in rows
        if row.type in INFLUENCING
        and not (row.by_visitor and row.person in states and states[row.person].owner is None)
    }  # fmt: skip
    found = await owners(context, list(asked))

    def contact(row: TouchRow) -> int | None:
        if row.type not in INFLUENCING:
            return None
        for o in found.get(row.person, ()):
            if Order(o["from_us"], o["from_event"]) <= row.order < Order(o["to_us"], o["to_event"]):
                return int(o["contact"])
        return None

    return contact


async def save_key_sets(context: Context, found: Iterable[Keys]) -> None:
    """Write the key sets that are new."""
    remembered = context.remembered.key_sets
    new = {keys for keys in found if keys not in remembered}
    if not new:
        return
    if len(remembered) > KNOWN_KEY_SETS_MAX:
        remembered.clear()
    rows = sorted((_key_set(keys), *keys) for keys in new)
    await context.connection.execute(ADD_KEY_SETS, context.ws, *map(list, zip(*rows, strict=True)))
    remembered |= new


async def begin_again(context: Context) -> None:
    """Forget all cells, and digest all touches: at once if they are few, else in the background."""
    for statement in FORGET:
        await context.connection.execute(statement, context.ws)
    if await context.connection.fetchval(IS_BIG, context.ws, AT_ONCE_EVENTS_MAX):
        await context.connection.execute(KEEP, context.ws, context.settings.time_zone, NO_DAY)
    else:
        await digest_all(context)


async def digest_all(context: Context) -> None:
    """Digest all touches of a workspace that has no cells."""
    for chunk in await chunks_of_days(context):
        await digest_days(context, chunk)
    await context.connection.execute(KEEP, context.ws, context.settings.time_zone, EVERY_DAY)


async def chunks_of_days(context: Context, from_day: int = NO_DAY) -> list[list[int]]:
    """The days from `from_day` on that may have touches, in order, at most `DAYS_AT_A_TIME` together; key sets are written."""
    rows = await context.connection.fetch(KEY_SETS_OF_TOUCHES, context.ws)
    await save_key_sets(context, (Keys(*row) for row in rows))
    utc = [row["day"] for row in await context.connection.fetch(DAYS_OF_TOUCHES, context.ws)]
    days = sorted({day + offset for day in utc for offset in (-1, 0, 1) if day + offset >= from_day})
    return [days[begin : begin + DAYS_AT_A_TIME] for begin in range(0, len(days), DAYS_AT_A_TIME)]


async def digest_days(context: Context, chunk: list[int]) -> None:
    """Digest all touches of some days, which follow one another but for days without touches, and make their months."""
    days, connection, ws = days_of(context.settings.time_zone), context.connection, context.ws
    starts = [days.start_us(day) for day in chunk]
    await connection.execute(NO_LOOPS)
    await connection.execute(DIGEST_DAYS, ws, starts, chunk, starts[0], days.start_us(chunk[-1] + 1))
    await connection.execute(LOOPS)
    rows = await connection.fetch(MONTHS_OF_DAYS, ws, month_of(chunk[0]), next_month(month_of(chunk[-1])))
    await make_months(context, {(row["key_set"], month_of(row["day"])) for row in rows})


DROP_MONTHS = sql("""
DELETE FROM {g}.month_cell c USING unnest($2::bigint[], $3::int[]) u(key_set, month)
WHERE c.ws = $1 AND c.key_set = u.key_set AND c.month = u.month
""")


async def make_months(context: Context, cells: Collection[tuple[int, int]]) -> None:
    """Make month cells, by key set and month, of their day cells."""
    if not cells:
        return
    key_sets, months = map(list, zip(*sorted(cells), strict=True))
    await context.connection.execute(DROP_MONTHS, context.ws, key_sets, months)
    before = [next_month(month) for month in months]
    await context.connection.execute(MAKE_MONTHS, context.ws, key_sets, months, before)


DROP_CELLS = [
    sql(f"""
DELETE FROM {{g}}.{table} c USING unnest($2::bigint[], $3::int[]) u(key_set, day)
WHERE c.ws = $1 AND c.key_set = u.key_set AND c.day = u.day
""")
    for table in ("day_cell", "added_cell", "carried_visit", "dirty_cell")
]
STALE = sql("""
INSERT INTO {g}.stale_month SELECT $1, * FROM unnest($2::bigint[], $3::int[]) ON CONFLICT DO NOTHING
""")


async def digest_cells(context: Context, cells: Collection[tuple[int, int]]) -> None:
    """Digest cells, by key set and day, again from the touches; their months become stale."""
    ordered = sorted(cells)
    key_sets, numbers = [key_set for key_set, _ in ordered], [day for _, day in ordered]
    days = days_of(context.settings.time_zone)
    for statement in DROP_CELLS:
        await context.connection.execute(statement, context.ws, key_sets, numbers)
    await context.connection.execute(
        DIGEST_CELLS, context.ws, key_sets, numbers, [days.start_us(day) for day in numbers],
        [days.start_us(day + 1) for day in numbers],
    )  # fmt: skip
    await _mark_months(context, ordered)


async def _mark_months(context: Context, cells: Iterable[tuple[int, int]]) -> None:
    months = sorted({(key_set, month_of(day)) for key_set, day in cells})
    await context.connection.execute(STALE, context.ws, *map(list, zip(*months, strict=True)))


ADDED = sql("SELECT key_set, day FROM {g}.added_cell WHERE ws = $1 GROUP BY 1, 2 LIMIT $2")
FOLD = sql(f"""
WITH part AS MATERIALIZED (
    SELECT * FROM unnest($2::bigint[], $3::int[]) u(key_set, day)),
taken AS (
    DELETE FROM {{g}}.added_cell a USING part p WHERE a.ws = $1 AND a.key_set = p.key_set AND a.day = p.day
    RETURNING a.key_set, a.day, a.kinds, a.touches, a.sessions, a.new_sessions, a.contacts),
found AS MATERIALIZED (
    SELECT * FROM taken
    UNION ALL
    SELECT c.key_set, c.day, c.kinds, c.touches, c.sessions || ''::bytea, c.new_sessions || ''::bytea, c.contacts || ''::bytea
    FROM part p JOIN {{g}}.day_cell c ON c.ws = $1 AND c.key_set = p.key_set AND c.day = p.day),
counted AS (
    SELECT key_set, day, array_agg(kind ORDER BY kind) AS kinds, array_agg(touches ORDER BY kind) AS touches
    FROM (
        SELECT f.key_set, f.day, u.kind, sum(u.touches)::bigint AS touches
        FROM found f CROSS JOIN LATERAL unnest(f.kinds, f.touches) u(kind, touches) GROUP BY 1, 2, 3) c
    GROUP BY 1, 2),
listed AS (
    SELECT key_set, day, {
    ", ".join(
        f"coalesce(string_agg(key, ''::bytea ORDER BY key) FILTER (WHERE n = {n}), ''::bytea) AS {name}"
        for n, name in enumerate(("sessions", "new_sessions", "contacts"))
    )
}
    FROM (
        SELECT DISTINCT f.key_set, f.day, l.n, substring(l.keys FROM 8 * i + 1 FOR 8) AS key
        FROM found f CROSS JOIN LATERAL (VALUES (0, f.sessions), (1, f.new_sessions), (2, f.contacts)) l(n, keys)
        CROSS JOIN LATERAL generate_series(0, length(l.keys) / 8 - 1) i) d
    GROUP BY 1, 2)
INSERT INTO {{g}}.day_cell (ws, key_set, day, {DIGEST})
SELECT $1, c.key_set, c.day, c.kinds, c.touches, coalesce(l.sessions, ''::bytea), coalesce(l.new_sessions, ''::bytea),
    coalesce(l.contacts, ''::bytea)
FROM counted c LEFT JOIN listed l USING (key_set, day)
ON CONFLICT (ws, key_set, day) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in DIGEST.split(", "))}
""")
# the `|| ''` reads a long list once, and not once for every key of it


async def fold(context: Context, cells_max: int) -> bool:
    """Put what was added to some day cells into them; their months become stale. False if nothing was added."""
    rows = await context.connection.fetch(ADDED, context.ws, cells_max)
    if not rows:
        return False
    cells = [(row["key_set"], row["day"]) for row in rows]
    await context.connection.execute(FOLD, context.ws, *map(list, zip(*cells, strict=True)))
    await _mark_months(context, cells)
    return True


STAGE = Stage(
    "cells", run,
    takes=(EventsArrived, TouchesAdded, TouchesRemoved, TrafficChanged, VisitorsChanged, IdentityChanged, SessionsChanged, SettingsChanged),
    tells=(), package=__package__,
    owns=(
        "key_set", "day_cell", "month_cell", "added_cell", "dirty_cell", "stale_month", "carried_visit", "cells_kept",
    ),
    reads=("touch", "identity_interval", "event_index"),
)  # fmt: skip
